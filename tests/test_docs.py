"""Tests of the documents: commands parse or run, messages exist, Python compiles, figures are recorded."""

from __future__ import annotations

import argparse
import ast
import re
from dataclasses import MISSING, fields
from functools import cache
from pathlib import Path

import pytest
from documents import blocks, call, commands, lines, scripts
from safetensors.torch import load_file, save_file
from support import REPOSITORY, project_requirements, write_base
from talks import SENTENCES, speak_talk

from voiceclone.cli.main import COMMANDS, _parser, main
from voiceclone.cli.say_config import SayConfig
from voiceclone.cloning.config import CloneConfig
from voiceclone.evaluation.config import EvaluateConfig
from voiceclone.prepare.config import PrepareConfig
from voiceclone.recording.config import RecordConfig
from voiceclone.serving.config import ServeConfig
from voiceclone.system.settings import words_of

VARIABLE = "\0"
FLAG_TABLES = ("say", "voices", "doctor", "serve", "record", "inspect", "mix", "export", "ui", "prepare", "evaluate",
               "zero-shot")  # fmt: skip


@pytest.fixture
def workplace(tmp_path: Path, tmp_path_factory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that the documents name, on a tiny base instead of nano."""
    nano = write_base(tmp_path_factory.mktemp("base") / "nano", voices=6)
    voices = list(load_file(nano / "voices.safetensors").values())
    names = ["af_heart", *(f"voice_{number}" for number in range(1, len(voices)))]
    save_file(dict(zip(names, voices, strict=True)), nano / "voices.safetensors")
    monkeypatch.setattr("voiceclone.models.presets.NANO_FOLDER", nano)
    from voiceclone.bases.base import load_stock_voices

    for name in ("my_voice", "demo"):
        load_stock_voices("nano")["voice_1"].save(tmp_path / "output" / name / f"{name}.pt")
    (tmp_path / "chapter.txt").write_text("It was late.\nNobody was there.\n")
    talk = speak_talk(tmp_path / "talk.flac", SENTENCES[:6])
    (tmp_path / "talk.txt").write_text(talk.text)
    (tmp_path / "talk.srt").write_text(talk.subtitles())
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("document", "arguments"), commands(), ids=lambda value: str(value)[:60])
def test_commands_parse(document: str, arguments: list[str]) -> None:
    options = _parser(arguments, None).parse_args(arguments)
    assert callable(options.run)


@pytest.mark.parametrize(("document", "path", "arguments"), scripts(), ids=lambda value: str(value)[:60])
def test_flags_of_benchmarks_and_scripts_exist(document: str, path: str, arguments: list[str]) -> None:
    source = (REPOSITORY / path).read_text()
    beside = [(REPOSITORY / path).with_name(f"{name}.py") for name in re.findall(r"^from (\w+) import", source, re.M)]
    source += "".join(module.read_text() for module in beside if module.is_file())
    assert [argument for argument in arguments if argument.startswith("--") and f'"{argument}"' not in source] == []


def test_marked_commands_run(workplace: Path) -> None:
    calls = commands(mark="run")
    assert {"say.md", "inspect.md", "mix.md", "export.md", "prepare.md"} <= {document for document, _ in calls}
    for document, arguments in calls:
        assert main(arguments) == 0, (document, arguments)
        for flag in ("--out", "--plot"):
            if flag in arguments:
                made = workplace / arguments[arguments.index(flag) + 1]
                assert made.is_file() or (made / "train" / "metadata.jsonl").is_file(), arguments


@pytest.mark.parametrize(("document", "code"), blocks("python"), ids=lambda value: str(value)[:20])
def test_python_compiles_and_its_imports_exist(document: str, code: str) -> None:
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and node.module.startswith("voiceclone"):
            module = __import__(node.module, fromlist=["_"])
            for name in node.names:
                assert hasattr(module, name.name), (document, node.module, name.name)


def test_marked_python_runs(workplace: Path, capsys) -> None:
    marked = blocks("python", mark="run")
    assert {"python_api.md", "export.md"} <= {document for document, _ in marked}
    for document, code in marked:
        exec(compile(code, document, "exec"), {"__name__": "document"})
    printed = capsys.readouterr().out
    assert (workplace / "lines.wav").is_file() and (workplace / "softer.pt").is_file() and printed


def test_every_line_of_the_ten_minutes_parses() -> None:
    """Including lines that are not voiceclone commands: make targets and pip extras."""
    page = (REPOSITORY / "docs" / "ten_minutes.md").read_text()
    makefile = (REPOSITORY / "Makefile").read_text()
    ours = 0
    for line in [line for document, code in blocks("bash") if document == "ten_minutes.md" for line in lines(code)]:
        if arguments := call(line):
            ours += 1
            assert callable(_parser(arguments, None).parse_args(arguments).run)
        elif line.startswith("make "):
            assert re.search(rf"^{line.removeprefix('make ')}:", makefile, re.M), line
        else:
            assert line == "source .venv/bin/activate"
    assert ours > 8
    for extra in re.findall(r"`pip install '\.\[(\w+)\]'`", page):
        assert project_requirements(extra)


@pytest.mark.slow
def test_the_ten_minutes_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The marked lines of the page as they stand: demo data, nano, four epochs."""
    monkeypatch.chdir(tmp_path)
    calls = [arguments for document, arguments in commands(mark="walk") if document == "ten_minutes.md"]
    assert [arguments[0] for arguments in calls] == [
        "demo-data", "clone", "say", "evaluate", "inspect", "mix", "export", "voices",
    ]  # fmt: skip
    for arguments in calls:
        assert main(arguments) == 0, arguments
    for made in ("hello.wav", "first_try.png", "softer.pt", "first_try.safetensors"):
        assert (tmp_path / made).is_file(), made
    assert (tmp_path / "output" / "first_try" / "evaluation.html").is_file()


def test_figures_in_the_tables_were_recorded() -> None:
    """Decimal figures in README and quality must be in the lab notes or in the benchmarks' page."""
    recorded = "".join(path.read_text() for path in (REPOSITORY / "docs" / "lab_notes").glob("*.md"))
    recorded += (REPOSITORY / "benchmarks" / "README.md").read_text()
    known = set(re.findall(r"\d+\.\d+", recorded))
    for name in ("README.md", "docs/quality.md", "docs/clone.md"):
        rows = re.findall(r"^\|.*$", (REPOSITORY / name).read_text(), re.M)
        rows = [row for row in rows if not row.startswith("| `")]  # flags and commands
        figures = {figure for row in rows for figure in re.findall(r"\d+\.\d+", row)}
        assert figures and not figures - known, (name, figures - known)


def test_every_command_is_in_the_readme() -> None:
    readme = (REPOSITORY / "README.md").read_text()
    rows = set(re.findall(r"^\| \[?`([a-z-]+)`", readme, re.M))
    assert set(COMMANDS) <= rows


def page_of(command: str) -> str:
    return (REPOSITORY / "docs" / f"{command.replace('-', '_')}.md").read_text()


def actions_of(command: str) -> list[argparse.Action]:
    commands = next(a for a in _parser([command], None)._actions if isinstance(a, argparse._SubParsersAction))
    return commands.choices[command]._actions


def plain(words: str) -> str:
    """A cell without links and code marks."""
    return re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", re.sub(r" \(\[[^]]*\]\([^)]*\)\)$", "", words)).replace("`", "")


@pytest.mark.parametrize("name", FLAG_TABLES)
def test_tables_of_flags_hold_every_flag_of_their_command(name: str) -> None:
    cells = re.findall(r"^\| (`--.*?) \|", page_of(name), re.M)
    rows = {flag for cell in cells for flag in re.findall(r"`(--[a-z-]+)`", cell)}
    flags = {option for action in actions_of(name) for option in action.option_strings if option.startswith("--")}
    assert rows == flags - {"--help", "--version", "--quiet", "--verbose"}


@pytest.mark.parametrize(
    ("document", "config"),
    [("clone.md", CloneConfig), ("serve.md", ServeConfig), ("say.md", SayConfig), ("evaluate.md", EvaluateConfig),
     ("record.md", RecordConfig), ("prepare.md", PrepareConfig)],
)  # fmt: skip
def test_tables_of_settings_say_what_the_fields_say(document: str, config: type) -> None:
    """Compared without links and code marks; the flags' help is generated from the fields as well."""
    page = (REPOSITORY / "docs" / document).read_text()
    tables = re.findall(r"^\| flag \| default \| meaning \|\n(?:\|.*\n)+", page, re.M)
    rows = dict(re.findall(r"^\| `--([a-z-]+)` \| (.*) \|$", "".join(tables), re.M))
    described = [field for field in fields(config) if field.metadata]
    assert len(described) >= 4
    for field in described:
        default, words = rows[field.name.replace("_", "-")].split(" | ")
        assert plain(words) == words_of(config, field.name), field.name
        if field.default not in (MISSING, None, False, "", ()):
            assert default == f"`{field.default}`", field.name


@pytest.mark.parametrize("name", FLAG_TABLES)
def test_tables_of_flags_say_what_the_help_says(name: str) -> None:
    table = re.search(r"^\| flag \| default \| meaning \|\n(?:\|.*\n)+", page_of(name), re.M)
    assert table is not None
    rows = dict(re.findall(r"^\| `(--[a-z-]+)` \| .*? \| (.*) \|$", table[0], re.M))
    helps = {option: action.help for action in actions_of(name) for option in action.option_strings}
    assert len(rows) >= 1
    for flag, words in rows.items():
        assert plain(words) == re.sub(r" \(default: .*\)$", "", helps[flag].replace("%%", "%")), flag


def test_messages_in_troubleshooting_exist() -> None:
    """``...`` stands for variable parts; the rest must occur in this order in one string of the code."""
    page = (REPOSITORY / "docs" / "troubleshooting.md").read_text()
    cells = [row.split(" | ", 1)[0] for row in re.findall(r"^\| (`.*)$", page, re.M)]
    messages = [message.replace("\\|", "|") for cell in cells for message in re.findall(r"`([^`]+)`", cell)]
    assert len(messages) > 100
    missing = [message for message in messages if not any(_holds(text, message) for text in texts_of_the_code())]
    assert not missing


def _holds(text: str, message: str) -> bool:
    """Whether the fixed parts of ``message`` stand in ``text`` in order; a part may end where a variable begins."""
    at = 0
    for part in filter(None, (part.strip(" ") for part in message.split("..."))):
        at = text.find(part, at)
        if at < 0:
            return False
        at += len(part)
    return at > 0


@cache
def texts_of_the_code() -> frozenset[str]:
    """Every string of the package with its variables marked, and those of exceptions from the system that are named."""
    texts = {"cannot write \0: No space left on device"}
    for path in (REPOSITORY / "voiceclone").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if text := _text(node):
                texts.add(text)
    return frozenset(texts)


def _text(node: ast.AST) -> str:
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) or VARIABLE for part in node.values)
    return ""
