"""``examples/voiceclone_colab.ipynb`` is a valid notebook without outputs; its cells parse, and run on nano."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from documents import call
from support import REPOSITORY

from voiceclone.cli.main import _parser

NOTEBOOK = REPOSITORY / "examples" / "voiceclone_colab.ipynb"
CONTENT = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
CODE = [cell for cell in CONTENT["cells"] if cell["cell_type"] == "code"]
MAGIC = re.compile(r"^( *)([!%])(.*)$", re.M)  # a line for the shell, or of IPython
SETTINGS = {
    "NAME": "my_voice",
    "BASE": "nano",
    "recording": "reading.wav",
    "text": "reading.txt",
    "voice": "output/my_voice/my_voice.pt",
}
EPOCHS = 2  # in the place of the notebook's own


def source(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


def as_python(code: str) -> str:
    """The code of a cell with its lines for the shell as calls of ``shell``."""
    return MAGIC.sub(lambda match: f"{match[1]}shell({match[3]!r})", code)


def test_it_is_a_notebook_of_format_4_without_outputs() -> None:
    assert CONTENT["nbformat"] == 4 and CONTENT["nbformat_minor"] >= 5 and CONTENT["metadata"]["kernelspec"]["name"]
    identities = [cell["id"] for cell in CONTENT["cells"]]
    assert len(set(identities)) == len(identities)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", identity) for identity in identities)
    for cell in CONTENT["cells"]:
        assert cell["cell_type"] in ("markdown", "code") and isinstance(cell["metadata"], dict)
        assert all(isinstance(line, str) for line in cell["source"]) and source(cell).strip()
        assert cell["cell_type"] == "markdown" or (cell["outputs"] == [] and cell["execution_count"] is None)


def test_it_has_a_cell_for_each_step_in_order() -> None:
    assert [cell["id"] for cell in CODE] == ["install", "settings", "dataset", "clone", "listen", "export"]
    assert CODE[0]["metadata"]["tags"] == ["install"]


@pytest.mark.parametrize("cell", CODE, ids=lambda cell: cell["id"])
def test_cells_parse_and_their_imports_exist(cell: dict[str, Any]) -> None:
    for node in ast.walk(ast.parse(as_python(source(cell)))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("voiceclone"):
            module = importlib.import_module(node.module)
            assert all(hasattr(module, name.name) for name in node.names)


def test_command_lines_parse() -> None:
    texts = [match[3] for cell in CODE for match in MAGIC.finditer(source(cell)) if match[2] == "!"]
    calls = [call(text.format(**SETTINGS)) for text in texts if not text.startswith("git clone ")]
    assert {arguments[0] for arguments in calls} == {"demo-data", "prepare", "say", "export"}
    for arguments in calls:
        assert callable(_parser(arguments, None).parse_args(arguments).run)


def test_the_speaker_encoder_is_that_of_the_makefile() -> None:
    (pinned,) = re.findall(r"^SPEAKER = (.*)$", (REPOSITORY / "Makefile").read_text(), re.M)
    assert f"--no-deps {pinned}\n" in source(CODE[0]) + "\n"


def test_outside_a_checkout_the_first_cell_says_what_is_missing(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "content").mkdir()
    monkeypatch.chdir(tmp_path / "content")
    with pytest.raises(SystemExit, match="set REPOSITORY"):
        exec(compile(as_python(source(CODE[0])), "install", "exec"), {"shell": pytest.fail})


@pytest.mark.slow
def test_cells_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All but the installation, on nano and the demo dataset."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    played: list[str] = []
    _stand_in_for_ipython(monkeypatch, played)
    space: dict[str, Any] = {"__name__": "__main__"}

    def shell(line: str) -> None:
        words = call(line.format(**space))
        assert words is not None, line
        subprocess.run([sys.executable, "-m", "voiceclone", *words], check=True)

    space["shell"] = shell
    for cell in CODE[1:]:
        exec(compile(as_python(source(cell)), cell["id"], "exec"), space)
        if cell["id"] == "settings":
            space["EPOCHS"] = EPOCHS
    assert [Path(path).suffix for path in played] == [".wav", ".wav"] and all(Path(path).is_file() for path in played)
    assert (tmp_path / "output" / "my_voice" / "my_voice.pt").is_file()
    assert (tmp_path / "my_voice.safetensors").is_file()
    assert space["result"].report["epochs"] <= EPOCHS


def _stand_in_for_ipython(monkeypatch: pytest.MonkeyPatch, played: list[str]) -> None:
    module = types.ModuleType("IPython.display")
    module.Audio = str
    module.display = played.append
    monkeypatch.setitem(sys.modules, "IPython", types.ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", module)
