"""A wrong call is one clear line and the right exit code, never a traceback, and nothing is written over.

One row a case: arguments (``{ds}`` a good dataset, ``{base}`` a good base, ``{tmp}`` an empty folder), a function that
prepares the folder, the exit code, and what the line must say.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from voiceclone.cli.main import main

GOOD = '{"file_name": "a.wav", "text": "hello there my friend"}\n'


def nothing(tmp: Path) -> None:
    """Leave the folder empty."""


def metadata(content: bytes | str) -> Callable[[Path], None]:
    def prepare(tmp: Path) -> None:
        (tmp / "d").mkdir()
        data = content.encode() if isinstance(content, str) else content
        (tmp / "d" / "metadata.jsonl").write_bytes(data)

    return prepare


def clips(audio: np.ndarray, count: int = 4) -> Callable[[Path], None]:
    def prepare(tmp: Path) -> None:
        (tmp / "d").mkdir()
        lines = []
        for index in range(count):
            soundfile.write(tmp / "d" / f"{index}.wav", audio * (1 - 0.01 * index), 24000)
            lines.append(json.dumps({"file_name": f"{index}.wav", "text": f"hello there my friend {index}"}))
        (tmp / "d" / "metadata.jsonl").write_text("\n".join(lines))

    return prepare


def text(name: str, content: str | bytes) -> Callable[[Path], None]:
    def prepare(tmp: Path) -> None:
        (tmp / name).write_bytes(content if isinstance(content, bytes) else content.encode())

    return prepare


CLONE = ["clone", "--data", "{ds}", "--name", "v", "--out", "{tmp}/out", "--base", "{base}", "--offline",
         "--device", "cpu", "--epochs-projection", "1"]  # fmt: skip

SAY = ["say", "hi", "--base", "{base}", "--out", "{tmp}/x.wav", "--offline"]


def on(folder: str) -> list[str]:
    return ["clone", "--data", folder, "--out", "{tmp}/out", "--base", "{base}", "--offline", "--device", "cpu"]


SILENCE = np.zeros(48000, np.float32)
SHORT = 0.1 * np.random.default_rng(0).standard_normal(2400).astype(np.float32)
CASES = [
    # flags
    ([], nothing, 2, "COMMAND"),
    (["fly"], nothing, 2, "fly"),
    (["clone"], nothing, 2, "--data is required"),
    ([*CLONE, "--nonsense"], nothing, 2, "--nonsense"),
    ([*CLONE, "--epochs-projection", "many"], nothing, 2, "--epochs-projection"),
    ([*CLONE, "--epochs-projection", "-1"], nothing, 2, "--epochs-projection -1"),
    ([*CLONE, "--lr-projection", "0"], nothing, 2, "--lr-projection"),
    ([*CLONE, "--lr-projection", "nan"], nothing, 2, "--lr-projection"),
    ([*CLONE, "--max-style-samples", "0"], nothing, 2, "--max-style-samples"),
    ([*CLONE, "--seed", "-3"], nothing, 2, "--seed"),
    ([*CLONE, "--seed", "99999999999"], nothing, 2, "--seed"),
    ([*CLONE, "--device", "tpu"], nothing, 2, "tpu"),
    ([*CLONE, "--device", "mps"], nothing, 2, "not available"),
    ([*CLONE, "--lang", "xx"], nothing, 2, "unknown language"),
    ([*CLONE, "--name", "../evil"], nothing, 2, "--name"),
    ([*CLONE, "--name", "a,b"], nothing, 2, "--name"),
    ([*CLONE, "--name", ""], nothing, 2, "--name"),
    ([*CLONE, "--base", "{tmp}/nowhere"], nothing, 2, "no base"),
    ([*CLONE, "--base", "{tmp}"], nothing, 1, "0 weight files"),
    ([*CLONE, "--base", "kokoro"], nothing, 1, "--base nano"),
    ([*CLONE, "--quiet", "--verbose"], nothing, 2, "--verbose"),
    ([*CLONE, "--resume", "{tmp}/none.pt"], nothing, 2, "no such checkpoint"),
    ([*CLONE, "--resume", "{tmp}/x.pt"], text("x.pt", b"junk"), 1, "no checkpoint"),
    # config file
    ([*CLONE, "--config", "{tmp}/none.yaml"], nothing, 2, "none.yaml"),
    ([*CLONE, "--config", "{tmp}/c.yaml"], text("c.yaml", "flavour: vanilla"), 2, "unknown key 'flavour'"),
    ([*CLONE, "--config", "{tmp}/c.yaml"], text("c.yaml", "a: [1"), 2, "no valid YAML"),
    ([*CLONE, "--config", "{tmp}/c.yaml"], text("c.yaml", "- 1\n- 2"), 2, "key: value"),
    ([*CLONE, "--config", "{tmp}/c.yaml"], text("c.yaml", "max-training-clips: lots"), 2, "int expected"),
    ([*CLONE, "--config", "{tmp}/c.yaml"], text("c.yaml", b"\xff\xfe\x00"), 2, "c.yaml"),
    ([*CLONE, "--config", "{tmp}/c.yaml"], text("c.yaml", "overwrite: 3"), 2, "bool expected"),
    ([*CLONE, "--config", "{tmp}/c.yaml"], text("c.yaml", "a: !!python/object/apply:os.getcwd []"), 2, "YAML"),
    # dataset
    (on("{tmp}/none"), nothing, 2, "none"),
    (on("{tmp}"), nothing, 2, "metadata"),
    (on("{tmp}/d"), metadata(""), 1, "d"),
    (on("{tmp}/d"), metadata("not json\n"), 1, "line 1"),
    (on("{tmp}/d"), metadata(GOOD + "{broken\n"), 1, "line 2"),
    (on("{tmp}/d"), metadata(GOOD + "[1, 2]\n"), 1, "line 2"),
    (on("{tmp}/d"), metadata(b"\xff\xfe broken \x80\n"), 1, "UTF-8"),
    (on("{tmp}/d"), metadata('{"text": "hello"}\n'), 1, "file_name"),
    (on("{tmp}/d"), metadata('{"file_name": "a.wav"}\n'), 1, "text"),
    (on("{tmp}/d"), metadata('{"file_name": "../../etc/passwd", "text": "x"}\n'), 1, "leaves the dataset folder"),
    (on("{tmp}/d"), metadata('{"file_name": "/etc/passwd", "text": "x"}\n'), 1, "absolute"),
    (on("{tmp}/d"), metadata(GOOD), 1, "a.wav"),
    (on("{tmp}/d"), clips(SILENCE), 1, "silent"),
    (on("{tmp}/d"), clips(SHORT), 1, "short"),
    # say
    (["say", "hello", "--base", "{base}", "--out", "{tmp}/x.wav"], nothing, 2, "--voice"),
    (
        [*SAY, "--voice", "nobody"],
        nothing,
        2,
        "no voice 'nobody'",
    ),
    (["say", " ", *SAY[2:], "--voice", "stock_0"], nothing, 2, "empty"),
    (
        ["say", "\u200b", *SAY[2:], "--voice", "stock_0"],
        nothing,
        2,
        "nothing",
    ),
    ([*SAY, "--voice", "{tmp}/v.pt"], nothing, 2, "no voice file"),
    (
        [*SAY, "--voice", "{tmp}/v.pt"],
        text("v.pt", "junk"),
        1,
        "v.pt",
    ),
    (
        [*SAY, "--voice", "stock_0", "--speed", "0"],
        nothing,
        2,
        "--speed",
    ),
    (
        [*SAY, "--voice", "stock_0"],
        text("x.wav", "mine"),
        2,
        "exists",
    ),
    (
        [*SAY, "--voice", "stock_0", "--lang", "q"],
        nothing,
        2,
        "language",
    ),
    # inspect, demo-data, download
    (["inspect", "{tmp}/none.pt"], nothing, 2, "no voice file"),
    (["inspect", "{tmp}/v.pt"], text("v.pt", b"PK junk"), 1, "no Kokoro voice"),
    (["demo-data", "--out", "{tmp}/d", "--clips", "1"], nothing, 2, "4 to 24"),
    (["demo-data", "--out", "{tmp}"], text("mine.txt", "x"), 2, "holds other files"),
    (["download", "--offline"], nothing, 1, "switched off"),
]


@pytest.mark.parametrize(("arguments", "prepare", "code", "says"), CASES, ids=[str(i) for i in range(len(CASES))])
def test_one_clear_line(
    arguments: list[str],
    prepare,
    code: int,
    says: str,
    tmp_path: Path,
    dataset_folder,
    base_folder,
    capsys,
    monkeypatch,
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path.parent / "empty_hub"))
    prepare(tmp_path)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    places = {"{ds}": dataset_folder, "{base}": base_folder, "{tmp}": tmp_path}
    filled = [_fill(argument, places) for argument in arguments]
    try:
        found = main(filled)
    except SystemExit as stop:  # argparse ends the process for wrong flags
        found = stop.code
    err = capsys.readouterr().err
    assert found == code, err
    assert "Traceback" not in err
    last = err.strip().splitlines()[-1]
    assert "error:" in last and says in last, last
    assert {p: p.read_bytes() for p in before} == before
    assert not list(tmp_path.rglob(".partial-*")) and not list(tmp_path.rglob("*.pt.lock"))
    shutil.rmtree(tmp_path, ignore_errors=True)


def _fill(argument: str, places: dict[str, Path]) -> str:
    for mark, path in places.items():
        argument = argument.replace(mark, str(path))
    return argument
