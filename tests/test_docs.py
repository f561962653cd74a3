"""The documents keep their word: commands parse or run, messages exist, Python compiles."""

from __future__ import annotations

import ast
import re
import shlex
from dataclasses import MISSING, fields
from functools import cache
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file
from support import REPOSITORY, write_base
from talks import SENTENCES, speak_talk

from voiceclone.cli.main import COMMANDS, _parser, main
from voiceclone.cloning.config import CloneConfig
from voiceclone.serving.config import ServeConfig
from voiceclone.system.settings import words_of

DOCUMENTS = [
    REPOSITORY / "README.md",
    REPOSITORY / "CONTRIBUTING.md",
    REPOSITORY / "datasets" / "README.md",
    *sorted((REPOSITORY / "docs").glob("*.md")),
]
BLOCK = re.compile(
    r"^(?P<indent> *)(?P<run><!-- run -->\n *)?```(?P<kind>bash|python)\n(?P<code>.*?)^ *```", re.M | re.S
)
CALL = re.compile(r"^(?:python -m voiceclone|python training_styletts2\.py|voiceclone) ")
VARIABLE = "\0"


def blocks(kind: str, *, run: bool) -> list[tuple[str, str]]:
    """(document, code) of every block of a kind; ``run`` wants those that are marked to be run."""
    found = []
    for document in DOCUMENTS:
        for match in BLOCK.finditer(document.read_text()):
            if match["kind"] == kind and (not run or match["run"]):
                code = "\n".join(line.removeprefix(match["indent"]) for line in match["code"].splitlines())
                found.append((document.name, code))
    return found


def commands(*, run: bool) -> list[tuple[str, list[str]]]:
    """(document, arguments of the command) of every call; what stands behind a pipe or # is left out."""
    found = []
    for document, code in blocks("bash", run=run):
        for line in code.replace("\\\n", " ").splitlines():
            if CALL.match(line):
                words = shlex.split(line, comments=True)
                words = words[: words.index("|")] if "|" in words else words
                arguments = words[3:] if words[1] == "-m" else words[1:] if words[0] == "voiceclone" else None
                found.append((document, ["clone", *words[2:]] if arguments is None else arguments))
    return found


@pytest.fixture
def workplace(tmp_path: Path, tmp_path_factory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as the documents' readers have it, on a tiny base in the place of nano."""
    nano = write_base(tmp_path_factory.mktemp("base") / "nano", voices=6)
    voices = list(load_file(nano / "voices.safetensors").values())
    names = ["ljspeech_lj", *(f"voice_{number}" for number in range(1, len(voices)))]
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


@pytest.mark.parametrize(("document", "arguments"), commands(run=False), ids=lambda value: str(value)[:60])
def test_commands_parse(document: str, arguments: list[str]) -> None:
    options = _parser(arguments, None).parse_args(arguments)
    assert callable(options.run)


def test_marked_commands_run(workplace: Path) -> None:
    calls = commands(run=True)
    assert {"say.md", "inspect.md", "mix.md", "export.md", "prepare.md"} <= {document for document, _ in calls}
    for document, arguments in calls:
        assert main(arguments) == 0, (document, arguments)
        for flag in ("--out", "--plot"):
            if flag in arguments:
                made = workplace / arguments[arguments.index(flag) + 1]
                assert made.is_file() or (made / "train" / "metadata.jsonl").is_file(), arguments


@pytest.mark.parametrize(("document", "code"), blocks("python", run=False), ids=lambda value: str(value)[:20])
def test_python_compiles_and_its_imports_exist(document: str, code: str) -> None:
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and node.module.startswith("voiceclone"):
            module = __import__(node.module, fromlist=["_"])
            for name in node.names:
                assert hasattr(module, name.name), (document, node.module, name.name)


def test_marked_python_runs(workplace: Path, capsys) -> None:
    marked = blocks("python", run=True)
    assert {"python_api.md", "export.md"} <= {document for document, _ in marked}
    for document, code in marked:
        exec(compile(code, document, "exec"), {"__name__": "document"})
    printed = capsys.readouterr().out
    assert (workplace / "lines.wav").is_file() and (workplace / "softer.pt").is_file() and printed


def test_every_command_is_in_the_readme() -> None:
    readme = (REPOSITORY / "README.md").read_text()
    rows = set(re.findall(r"^\| \[?`([a-z-]+)`", readme, re.M))
    assert set(COMMANDS) <= rows


def test_flag_tables_hold_every_flag_of_their_command() -> None:
    for name in ("say", "voices", "doctor", "serve", "record", "inspect", "mix", "export", "ui", "prepare", "evaluate"):
        cells = re.findall(r"^\| (`--.*?) \|", (REPOSITORY / "docs" / f"{name}.md").read_text(), re.M)
        rows = {flag for cell in cells for flag in re.findall(r"`(--[a-z-]+)`", cell)}
        parser = _parser([name], None)
        actions = next(a for a in parser._actions if getattr(a, "choices", None)).choices[name]._actions
        flags = {option for action in actions for option in action.option_strings if option.startswith("--")}
        assert rows == flags - {"--help", "--version", "--quiet", "--verbose"}, name


@pytest.mark.parametrize(("document", "config"), [("clone.md", CloneConfig), ("serve.md", ServeConfig)])
def test_tables_of_settings_say_what_the_fields_say(document: str, config: type) -> None:
    """Links, code marks and a link in brackets at the end aside; the flags' help is made from the fields, too."""
    page = (REPOSITORY / "docs" / document).read_text()
    rows = dict(re.findall(r"^\| `--([a-z-]+)` \| (.*) \|$", page, re.M))
    for field in fields(config):
        default, words = rows[field.name.replace("_", "-")].split(" | ")
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", re.sub(r" \(\[[^]]*\]\([^)]*\)\)$", "", words)).replace("`", "")
        assert plain == words_of(config, field.name), field.name
        if field.default not in (MISSING, None, False, ""):
            assert default == f"`{field.default}`", field.name


def test_messages_in_troubleshooting_exist() -> None:
    """``...`` stands for what varies; the rest must stand in this order in one text of the code."""
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
