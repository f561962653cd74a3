"""Wrong input gives one clear line and the right exit code, never a traceback, and overwrites nothing."""

from __future__ import annotations

import functools
import io
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import soundfile
import torch
from safetensors.torch import save_file
from support import QUICK, REPOSITORY

from voiceclone.cli.main import main
from voiceclone.data import dataset
from voiceclone.projection.state import FORMAT

Prepare = Callable[[Path, Path], None]  # gets the empty folder and the good base

GOOD = '{"file_name": "a.wav", "text": "hello there my friend"}\n'


def nothing(tmp: Path, base: Path) -> None:
    """Leave the folder empty."""


def metadata(content: bytes | str, name: str = "metadata.jsonl") -> Prepare:
    """A dataset ``d`` of that metadata, without audio."""

    def prepare(tmp: Path, base: Path) -> None:
        (tmp / "d" / name).parent.mkdir(parents=True)
        data = content.encode() if isinstance(content, str) else content
        (tmp / "d" / name).write_bytes(data)

    return prepare


def table(content: bytes | str) -> Prepare:
    """A dataset ``d`` of a ``metadata.csv``, without audio."""
    return metadata(content, "metadata.csv")


def shortened(folder: str, share: float) -> Prepare:
    """Truncated WAV files of a folder, with their original headers."""

    def prepare(tmp: Path, base: Path) -> None:
        for path in (tmp / folder).glob("*.wav"):
            content = path.read_bytes()
            path.write_bytes(content[: 80 + int(share * (len(content) - 80))])

    return prepare


def clips(audio: np.ndarray, count: int = 4, *, words: str = "hello there my friend", rate: int = 24000) -> Prepare:
    """A dataset ``d`` of ``count`` clips that differ a little in level."""

    def prepare(tmp: Path, base: Path) -> None:
        (tmp / "d").mkdir()
        lines = []
        for index in range(count):
            soundfile.write(tmp / "d" / f"{index}.wav", audio * (1 - 0.01 * index), rate, subtype="FLOAT")
            lines.append(json.dumps({"file_name": f"{index}.wav", "text": f"{words} {index}"}))
        (tmp / "d" / "metadata.jsonl").write_text("\n".join(lines))

    return prepare


def clip(name: str) -> Prepare:
    """One clip of a tone."""

    def prepare(tmp: Path, base: Path) -> None:
        soundfile.write(tmp / name, TONE, 24000)

    return prepare


def text(name: str, content: str | bytes) -> Prepare:
    """One file."""

    def prepare(tmp: Path, base: Path) -> None:
        (tmp / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp / name).write_bytes(content if isinstance(content, bytes) else content.encode())

    return prepare


def both(*steps: Prepare) -> Prepare:
    """Apply two preparations in order."""

    def prepare(tmp: Path, base: Path) -> None:
        for step in steps:
            step(tmp, base)

    return prepare


def saved(name: str, content: object) -> Prepare:
    """A file written by ``torch.save``."""

    def prepare(tmp: Path, base: Path) -> None:
        torch.save(content, tmp / name)

    return prepare


def arrays(name: str, **content: np.ndarray) -> Prepare:
    """A NumPy archive."""

    def prepare(tmp: Path, base: Path) -> None:
        buffer = io.BytesIO()
        np.savez(buffer, **content)
        (tmp / name).write_bytes(buffer.getvalue())

    return prepare


def onnx_graph(name: str, operator: str) -> Prepare:
    """An ONNX file of one operator."""

    def prepare(tmp: Path, base: Path) -> None:
        values = [onnx.helper.make_tensor_value_info(value, 1, [1]) for value in "xy"]
        graph = onnx.helper.make_graph([onnx.helper.make_node(operator, ["x"], ["y"])], "g", values[:1], values[1:])
        onnx.save(onnx.helper.make_model(graph), str(tmp / name))

    return prepare


def tensors(name: str, **content: torch.Tensor) -> Prepare:
    """A safetensors file."""

    def prepare(tmp: Path, base: Path) -> None:
        save_file(content, tmp / name)

    return prepare


def folder(name: str) -> Prepare:
    """A folder where a file should be."""

    def prepare(tmp: Path, base: Path) -> None:
        (tmp / name).mkdir(parents=True)

    return prepare


def damaged(name: str, change: Callable[[bytes], bytes | None]) -> Prepare:
    """A base ``b`` with one file changed, or removed where ``change`` gives None."""

    def prepare(tmp: Path, base: Path) -> None:
        shutil.copytree(base, tmp / "b")
        new = change((tmp / "b" / name).read_bytes())
        if new is None:
            (tmp / "b" / name).unlink()
        else:
            (tmp / "b" / name).write_bytes(new)

    return prepare


def config(**values: object) -> Callable[[bytes], bytes]:
    """Other values in a base's ``config.json``."""
    return lambda old: json.dumps({**json.loads(old), **values}).encode()


def checkpoint(**values: object) -> Prepare:
    """A file ``c.pt`` in the format of a run's checkpoint."""
    state = {"anchor": torch.zeros(1, 256), **values}
    return saved("c.pt", {"format": FORMAT, "identity": {}, "state": {"alignments": {}, **state}})


class Evil:
    """Creates a file if it is really unpickled."""

    def __reduce__(self):
        return os.mkdir, ("canary",)


CLONE = ["clone", "--data", "{ds}", "--name", "v", "--out", "{tmp}/out", "--base", "{base}", "--offline",
         "--device", "cpu", "--epochs-projection", "1", "--without", QUICK]  # fmt: skip

SAY = ["say", "hi", "--base", "{base}", "--out", "{tmp}/x.wav", "--offline"]


TRAIN = ["train-base", "--out", "{tmp}/o", "--steps", "1"]

EXPORT = ["export", "{tmp}/v.npz"]

EVALUATE = ["evaluate", "--data", "{ds}", "--base", "{base}", "--offline", "--device", "cpu"]

PREPARE = ["prepare", "{tmp}/a.wav", "--subtitles", "{tmp}/s.srt", "--out", "{tmp}/o"]

SUBTITLE = "1\n00:00:00,100 --> 00:00:01,900\nHello there my friend.\n"

ROWS = np.zeros((510, 1, 256), np.float32)
NOISE = np.random.default_rng(0).standard_normal(ROWS.shape).astype(np.float32)


def metadata_of(words: str, count: int, *, same: bool = False) -> Prepare:
    """Other transcripts for the clips of ``d``, or one clip listed several times."""

    def prepare(tmp: Path, base: Path) -> None:
        rows = [{"file_name": f"{0 if same else index}.wav", "text": words} for index in range(count)]
        (tmp / "d" / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))

    return prepare


def on(folder: str) -> list[str]:
    return ["clone", "--data", folder, "--out", "{tmp}/out", "--base", "{base}", "--offline", "--device", "cpu",
            "--without", QUICK]  # fmt: skip


SILENCE = np.zeros(48000, np.float32)
TONE = (0.3 * np.sin(np.arange(48000) * 0.03)).astype(np.float32)
SHORT = 0.1 * np.random.default_rng(0).standard_normal(2400).astype(np.float32)
CASES = [
    # flags
    (["--quiet"], nothing, 2, "COMMAND"),
    (["fly"], nothing, 2, "fly"),
    (["clone"], nothing, 2, "--data is required"),
    ([*CLONE, "--nonsense"], nothing, 2, "--nonsense"),
    ([*CLONE, "--epochs-projection", "many"], nothing, 2, "--epochs-projection"),
    ([*CLONE, "--epochs-projection", "-1"], nothing, 2, "--epochs-projection -1"),
    ([*CLONE, "--finish", "-1"], nothing, 2, "--finish -1"),
    ([*CLONE, "--finish", "3"], nothing, 2, "--finish 3: tiny has no student: use `--base kokoro`"),
    ([*CLONE, "--finish", "3", "--base", "nano"], nothing, 2, "--finish 3: nano has no student"),
    ([*CLONE, "--finish", "3", "--recipe", "plain"], nothing, 2, "--finish 3: --recipe 'plain' trains without"),
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
    ([*CLONE, "--name", "_" + 5000 * "9"], nothing, 2, "use letters"),
    ([*CLONE, "--base", "{tmp}/nowhere"], nothing, 2, "no base"),
    ([*CLONE, "--base", "{tmp}/k.onnx"], nothing, 2, "or a Kokoro ONNX file"),
    ([*CLONE, "--base", "{tmp}/k.onnx"], text("k.onnx", "no onnx"), 1, "is not an ONNX file or is damaged"),
    ([*CLONE, "--base", "{tmp}/k.onnx"], onnx_graph("k.onnx", "Relu"), 1, "it is not Kokoro-82M"),
    (
        [*SAY, "--voice", "af_heart", "--base", "{tmp}/k.onnx"],
        text("k.onnx", ""),
        1,
        "is not an ONNX file or is damaged",
    ),
    ([*CLONE, "--style-encoders", "mine"], nothing, 2, "--style-encoders 'mine'"),
    ([*CLONE, "--base", "{tmp}"], nothing, 1, "0 weight files"),
    ([*CLONE, "--base", "kokoro"], nothing, 1, "--base nano"),
    ([*CLONE, "--quiet", "--verbose"], nothing, 2, "--verbose"),
    ([*CLONE, "--resume", "{tmp}/none.pt"], nothing, 2, "no such checkpoint"),
    ([*CLONE, "--resume", "{tmp}/x.pt"], text("x.pt", b"junk"), 1, "not a checkpoint"),
    ([*CLONE, "--resume", "{tmp}"], nothing, 2, "no such checkpoint"),
    ([*CLONE, "--resume", "{tmp}/x.pt"], saved("x.pt", {"format": 99}), 1, "not a checkpoint of this version"),
    ([*CLONE, "--resume", "{tmp}/x.pt"], saved("x.pt", Evil()), 1, "not a checkpoint"),
    ([*CLONE, "--resume", "{tmp}/c.pt"], checkpoint(anchor=torch.full((1, 256), torch.nan)), 1, "not a checkpoint"),
    ([*CLONE, "--resume", "{tmp}/c.pt"], checkpoint(epoch=-1), 1, "not a checkpoint"),
    ([*CLONE, "--resume", "{tmp}/c.pt"], checkpoint(phone_accuracy=float("nan")), 1, "not a checkpoint"),
    ([*CLONE, "--resume", "{tmp}/c.pt"], checkpoint(phones_stock=-1.0), 1, "not a checkpoint"),
    ([*CLONE, "--resume", "{tmp}/c.pt"], checkpoint(), 2, "a different dataset"),
    ([*CLONE, "--epochs-projection", "9" * 30], nothing, 2, "from 0 to 1000000000"),
    ([*CLONE, "--lr-projection", "1.5"], nothing, 2, "--lr-projection"),
    ([*CLONE, "--max-training-clips", "1"], nothing, 2, "--max-training-clips"),
    ([*CLONE, "--seed", "1.5"], nothing, 2, "--seed"),
    ([*CLONE, "--name", "v/../../x"], nothing, 2, "--name"),
    ([*CLONE, "--wandb", "--wandb-project", "a/b"], nothing, 2, "--wandb-project"),
    ([*CLONE, "--out", "{tmp}/out"], text("out", "mine"), 1, "cannot write"),
    ([*CLONE, "--out", "{tmp}/" + "x" * 300], nothing, 1, "too long"),
    # base
    ([*CLONE, "--base", "{tmp}/b"], damaged("config.json", lambda old: None), 1, "cannot read"),
    ([*CLONE, "--base", "{tmp}/b"], damaged("config.json", lambda old: b"[" * 99999), 1, "not a JSON"),
    ([*CLONE, "--base", "{tmp}/b"], damaged("config.json", lambda old: b"[]"), 1, "not a Kokoro config"),
    ([*CLONE, "--base", "{tmp}/b"], damaged("config.json", config(hidden_dim="wide")), 1, "config.json"),
    ([*CLONE, "--base", "{tmp}/b"], damaged("config.json", config(hidden_dim=-4)), 1, "config.json"),
    ([*CLONE, "--base", "{tmp}/b"], damaged("config.json", config(vocab=[1])), 1, "config.json"),
    ([*CLONE, "--base", "{tmp}/b"], damaged("config.json", config(n_token=999)), 1, "do the weights belong"),
    ([*CLONE, "--base", "{tmp}/b"], damaged("model.safetensors", lambda old: old[:1000]), 1, "model.safetensors"),
    ([*CLONE, "--base", "{tmp}/b"], damaged("model.safetensors", lambda old: None), 1, "0 weight files"),
    ([*CLONE, "--base", "{tmp}/b"], damaged("style_encoders.safetensors", lambda old: None), 1, "no style encoders"),
    ([*CLONE, "--base", "{tmp}/b"], damaged("voices.safetensors", lambda old: b"\xff" * 40), 1, "voices.safetensors"),
    ([*CLONE, "--base", "{tmp}/b"], damaged("base.json", lambda old: b'{"a": ' * 99999), 1, "not a JSON"),
    ([*CLONE, "--base", "{tmp}/b"], damaged("base.json", lambda old: b'{"encoder": {"dim_in": 1e9}}'), 1, "widths"),
    ([*CLONE, "--base", "{tmp}/b"], damaged("base.json", lambda old: b'{"encoder": [1]}'), 1, "widths"),
    # config file
    ([*CLONE, "--config", "{tmp}/none.yaml"], nothing, 2, "none.yaml"),
    ([*CLONE, "--config", "{tmp}/c.yaml"], text("c.yaml", "flavour: vanilla"), 2, "unknown key 'flavour'"),
    ([*CLONE, "--config", "{tmp}/c.yaml"], text("c.yaml", "a: [1"), 2, "no valid YAML"),
    ([*CLONE, "--config", "{tmp}/c.yaml"], text("c.yaml", "- 1\n- 2"), 2, "key: value"),
    ([*CLONE, "--config", "{tmp}/c.yaml"], text("c.yaml", "max-training-clips: lots"), 2, "int expected"),
    ([*CLONE, "--config", "{tmp}/c.yaml"], text("c.yaml", b"\xff\xfe\x00"), 2, "c.yaml"),
    ([*CLONE, "--config", "{tmp}/c.yaml"], text("c.yaml", "overwrite: 3"), 2, "bool expected"),
    ([*CLONE, "--config", "{tmp}/c.yaml"], text("c.yaml", "a: !!python/object/apply:os.getcwd []"), 2, "YAML"),
    ([*CLONE, "--config", "{tmp}/c.yaml"], folder("c.yaml"), 2, "Is a directory"),
    ([*CLONE, "--config", "{tmp}/c.yaml"], text("c.yaml", "seed: 2020-13-45"), 2, "no valid YAML"),
    ([*CLONE, "--config", "{tmp}/c.yaml"], text("c.yaml", "seed: !!timestamp x"), 2, "no valid YAML"),
    ([*CLONE, "--config", "{tmp}/c.yaml"], text("c.yaml", "[" * 5000), 2, "no valid YAML"),
    ([*CLONE, "--config", "{tmp}/c.yaml"], text("c.yaml", "name: &a [x]\nbase: [*a, *a]"), 2, "aliases"),
    ([*CLONE, "--config", "{tmp}/c.yaml"], text("c.yaml", 'consent: "a\\0b"'), 2, "zero byte"),
    (
        [*CLONE, "--config", "{tmp}/c.yaml"],
        text("c.yaml", "max-style-samples: 1" + "0" * 400),
        2,
        "from 1 to 1000000000",
    ),
    ([*CLONE, "--config", "{tmp}/c.yaml"], text("c.yaml", "consent: [a, b]"), 2, "str expected"),
    (["clone", "--config", "{tmp}/c.yaml"], text("c.yaml", "data: null"), 2, "--data"),
    (["clone", "--data", "{ds}", "--config", "{tmp}/c.yaml"], text("c.yaml", '{"name": "../../v"}'), 2, "--name"),
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
    (on("{tmp}/d"), metadata(""), 1, "lists no clips"),
    (on("{tmp}/d"), metadata("[" * 99999), 1, "line 1"),
    (on("{tmp}/d"), metadata('{"file_name": "a\\u0000.wav", "text": "x"}\n'), 1, "names no file"),
    (on("{tmp}/d"), metadata('{"file_name": "' + "a" * 5000 + '.wav", "text": "x"}\n'), 1, "usable"),
    (on("{tmp}/d"), metadata('{"file_name": "\\u001b]0;x\\u0007.wav", "text": "x"}\n'), 1, r"\x1b]0;x"),
    (on("{tmp}/d"), metadata("file_name,words\na.wav,x\n", "metadata.csv"), 1, 'no "text"'),
    (on("{tmp}/d"), metadata("no separator\n", "metadata.csv"), 1, "line 1"),
    (on("{tmp}/d"), metadata("a|b\n", "train/metadata.csv"), 1, "usable"),
    (on("{tmp}/d"), folder("d/metadata.jsonl"), 2, "holds neither"),
    (on("{tmp}/d"), table("file_name,text,speaker\na.wav,well, yes,ann\n"), 1, "line 2: 4 cells under 3 columns"),
    (on("{tmp}/d"), table("file_name,text,speaker\na.wav,well, yes\n"), 1, "line 2: ' yes' under 'speaker'"),
    (on("{tmp}/d"), table('file_name,text\na1.wav,"well\na2.wav,yes"\n'), 1, "line 3: a cell in quotes holds another"),
    (on("{tmp}/d"), table("a|well then|na gut\nb|oh no|ach nein\n"), 1, "line 1: 'na gut' in column 3"),
    (on("{tmp}/d"), table("file_name,text,text\na.wav,well,then\n"), 1, "line 1: a column 'text' occurs twice"),
    (on("{tmp}/d"), table("speaker|text\nann|well\n"), 1, 'line 1: has no "file_name"'),
    (on("{tmp}/d"), table("file_name,text\nC:\\talk\\a.wav,well\n"), 1, "line 2: file_name 'C:"),
    (on("{tmp}/d"), table("file_name,text\n..\\..\\a.wav,well\n"), 1, "leaves the dataset folder"),
    (on("{tmp}/d"), table("file_name,text\na.wav,caf\xe9\n".encode("latin-1")), 1, "line 2: is not UTF-8"),
    (on("{tmp}/d"), table("v1.2_a|hello there\nv1.2_b|hello you\n"), 1, "v1.2_a.wav: unreadable: no such file"),
    (
        on("{tmp}/d"),
        both(clips(TONE), shortened("d", 0.5)),
        1,
        "cut short: the header says 2.00 s, the file holds 1.00",
    ),
    (on("{tmp}/d"), clips(np.stack([TONE, -TONE], axis=1) * 40), 1, "scaled wrongly"),
    (on("{tmp}/d"), both(clips(TONE), text("d/validation/metadata.jsonl", "{")), 1, "validation/metadata.jsonl line 1"),
    (on("{tmp}/d"), both(metadata(GOOD), folder("d/a.wav")), 1, "is not a file"),
    (on("{tmp}/d"), both(metadata(GOOD), text("d/a.wav", "no audio")), 1, "cannot be read as audio"),
    (on("{tmp}/d"), both(metadata(GOOD), text("d/a.wav", b"RIFF\xff\xff\xff\xffWAVEfmt ")), 1, "unreadable"),
    (on("{tmp}/d"), clips(TONE, count=1), 1, "usable"),
    (on("{tmp}/d"), clips(TONE * np.nan), 1, "not finite"),
    (on("{tmp}/d"), clips(TONE * 1e30), 1, "scaled wrongly"),
    (on("{tmp}/d"), clips(TONE[:0]), 1, "empty"),
    (on("{tmp}/d"), clips(np.tile(TONE, 20)), 1, "too long"),
    (on("{tmp}/d"), clips(np.sign(TONE)), 1, "clipped"),
    (on("{tmp}/d"), clips(TONE, words="hello " * 60), 1, "transcript too long"),
    (on("{tmp}/d"), clips(TONE, words="hello " * 300), 1, "transcript too long"),
    (on("{tmp}/d"), clips(np.tile(TONE, 9), words="oh"), 1, "transcript too short"),
    (on("{tmp}/d"), both(clips(TONE), metadata_of("?!…", 4)), 1, "not speakable"),
    (on("{tmp}/d"), both(clips(TONE), metadata_of("", 4)), 1, "no transcript"),
    (on("{tmp}/d"), both(clips(TONE), metadata_of("hello there my friend", 4, same=True)), 1, "duplicate"),
    # say
    ([*SAY, "--out", "{tmp}/x.aac"], nothing, 2, "give a name that ends in one of .wav"),
    ([*SAY, "--out", "{tmp}/x"], nothing, 2, "give a name that ends in one of .wav"),
    (["say", "[voice:nobody] hi", *SAY[2:]], nothing, 2, "no voice 'nobody'"),
    (["say", "[voice:stock_0] hi [voice: ] you", *SAY[2:]], nothing, 2, "names no voice"),
    (["say", "hi [voice:{tmp}/v.pt] you", *SAY[2:]], nothing, 2, "no voice file"),
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
    ([*SAY[:1], *SAY[2:], "--voice", "stock_0", "--file", "{tmp}/none.txt"], nothing, 2, "none.txt"),
    ([*SAY[:1], *SAY[2:], "--voice", "stock_0", "--file", "{tmp}/t"], text("t", b"\xff\xfe\x80"), 2, "UTF-8"),
    ([*SAY, "--voice", "stock_0", "--speed", "nan"], nothing, 2, "--speed"),
    ([*SAY, "--voice", "0.5*stock_0"], nothing, 2, "sum to 0.5"),
    ([*SAY, "--voice", "{tmp}"], nothing, 2, "no voice"),
    ([*SAY, "--voice", "x" * 5000], nothing, 2, "no voice 'xxx"),
    ([*SAY, "--voice", "af_heart"], nothing, 2, "--base kokoro"),
    ([*SAY, "--voice", "{tmp}/v.bin"], nothing, 2, "no voice file"),
    ([*SAY, "--voice", "{tmp}/v.bin:a"], nothing, 2, "no voice file"),
    ([*SAY, "--voice", "{tmp}/v.bin"], arrays("v.bin", a=ROWS, b=ROWS), 2, "v.bin:NAME (a, b)"),
    ([*SAY, "--voice", "{tmp}/v.bin:c"], arrays("v.bin", a=ROWS, b=ROWS), 2, "no voice 'c', but a, b"),
    ([*SAY, "--voice", "{tmp}/v.bin"], arrays("v.bin", a=np.array([Evil()])), 1, "not a kokoro-onnx"),
    ([*SAY, "--voice", "{tmp}/v.bin"], saved("v.bin", Evil()), 1, "not a Kokoro voice"),
    ([*SAY, "--voice", "{tmp}/v.bin"], saved("v.bin", torch.zeros(3)), 1, "shape"),
    ([*SAY, "--voice", "{tmp}/v.bin"], text("v.bin", bytes(510 * 1024 + 4)), 1, "not a Kokoro voice"),
    ([*SAY, "--voice", "{tmp}/v.bin"], text("v.bin", b"\xff" * 510 * 1024), 1, "NaN"),
    ([*SAY, "--voice", "{tmp}/v.bin"], text("v.bin", b""), 1, "not a Kokoro voice"),
    ([*SAY, "--voice", "{tmp}/v.safetensors"], tensors("v.safetensors"), 1, "is empty"),
    ([*SAY, "--voice", "{tmp}/v.safetensors"], tensors("v.safetensors", a=torch.zeros(4)), 1, "shape"),
    (
        [*SAY, "--voice", "{tmp}/v"],
        tensors("v", **{"a.mean": torch.zeros(256), "a.rows": torch.zeros(510, 16)}),
        1,
        "lacks basis",
    ),
    ([*SAY, "--voice", "{tmp}/my voice, old.pt"], nothing, 2, "nor is there a file"),
    ([*SAY, "--voice", "stock_0(x)+stock_1(2)"], nothing, 2, "'x' is not a weight of 'stock_0'"),
    ([*SAY, "--voice", "stock_0:60,stock_1"], nothing, 2, "'stock_1' has no weight"),
    ([*SAY, "--voice", "{tmp}/v.pt"], saved("v.pt", Evil()), 1, "not a Kokoro voice"),
    ([*SAY, "--voice", "{tmp}/v.pt"], saved("v.pt", torch.zeros(510, 256)), 1, "shape"),
    ([*SAY, "--voice", "{tmp}/v.pt"], saved("v.pt", {"a": torch.zeros(510, 1, 256)}), 1, "shape"),
    ([*SAY, "--voice", "{tmp}/v.pt"], saved("v.pt", torch.full((510, 1, 256), torch.nan)), 1, "NaN"),
    ([*SAY, "--voice", "{tmp}/v.pt"], saved("v.pt", torch.zeros(510, 1, 256, dtype=torch.int32)), 1, "floating"),
    # voices
    (["voices", "--base", "{tmp}/nowhere"], nothing, 2, "no base"),
    (["voices", "--base", "{tmp}"], text("voices.safetensors", "{"), 1, "not a safetensors file"),
    # mix, export
    (["mix", "a +", "--out", "{tmp}/m.pt"], nothing, 2, "missing"),
    (["mix", "(" * 999, "--out", "{tmp}/m.pt"], nothing, 2, "brackets"),
    (["mix", "2*a - 2*b", "--out", "{tmp}/m.pt"], nothing, 2, "sum to 0"),
    (["mix", "stock_0", "--base", "{base}", "--out", "{tmp}/m.wav"], nothing, 2, ".pt"),
    (["mix", "stock_0", "--base", "{base}", "--out", "{tmp}/m.pt"], text("m.pt", "mine"), 2, "exists"),
    (["mix", "nobody", "--base", "{base}", "--out", "{tmp}/m.pt"], nothing, 2, "no voice 'nobody'"),
    (["mix", "stock_0,nobody", "--base", "{base}", "--out", "{tmp}/m.pt"], nothing, 2, "no voice 'nobody'"),
    (["mix", "a(2)-b(1)", "--out", "{tmp}/m.pt"], nothing, 2, "to subtract, write"),
    (["mix", "a(2)+b,c", "--out", "{tmp}/m.pt"], nothing, 2, "not by both"),
    (["mix", "a(0),b(0)", "--out", "{tmp}/m.pt"], nothing, 2, "sum to 0"),
    (["mix", "a(2,b", "--out", "{tmp}/m.pt"], nothing, 2, "missing after 'a(2'"),
    (["mix", "0.7*a,b", "--out", "{tmp}/m.pt"], nothing, 2, "unexpected '0.7'"),
    (["mix", "af_bella,nobody", "--out", "{tmp}/m.pt"], nothing, 2, "stock voice of Kokoro-82M"),
    ([*EXPORT, "--to", "compact", "--out", "{tmp}/x"], arrays("v.npz", a=NOISE), 1, "has no compact form"),
    (
        [*EXPORT, "--name", "a/b", "--to", "bin", "--out", "{tmp}/x"],
        arrays("v.npz", a=ROWS),
        2,
        "not a name of a voice",
    ),
    (["export", "{tmp}/v.npz:b", "--to", "pt", "--out", "{tmp}/x"], arrays("v.npz", a=ROWS), 2, "no voice 'b', but a"),
    ([*EXPORT, "--to", "mp3", "--out", "{tmp}/x"], nothing, 2, "use one of"),
    ([*EXPORT, "--to", "npz", "--out", "{tmp}/x"], nothing, 2, "no voice file"),
    ([*EXPORT, "--to", "npz", "--out", "{tmp}/x"], arrays("v.npz", v=np.zeros(4)), 1, "shape"),
    ([*EXPORT, "--to", "npz", "--out", "{tmp}/x"], arrays("v.npz", v=np.array([Evil()])), 1, "not a kokoro-onnx"),
    ([*EXPORT, "--to", "npz", "--out", "{tmp}/x"], arrays("v.npz", **{"../v": ROWS}), 1, "not a name of a voice"),
    ([*EXPORT, "--to", "npz", "--out", "{tmp}/x"], text("v.npz", b"PK\x05\x06" + bytes(18)), 1, "not a voice file"),
    ([*EXPORT, "--to", "pt", "--out", "{tmp}/x"], arrays("v.npz", a=ROWS, b=ROWS), 2, "exactly one voice"),
    ([*EXPORT, "--to", "pt", "--out", "{tmp}/v.npz"], arrays("v.npz", a=ROWS), 2, "exists"),
    ([*EXPORT, "--name", "c", "--to", "pt", "--out", "{tmp}/x"], arrays("v.npz", a=ROWS, b=ROWS), 2, "--name 'c'"),
    (["export", "{tmp}/v.safetensors", "--to", "pt", "--out", "{tmp}/x"], text("v.safetensors", "{"), 1, "safetensors"),
    # train-base
    (["train-base", "--data", "{tmp}/none", "--out", "{tmp}/o", "--steps", "1"], nothing, 2, "none"),
    (["train-base", "--data", "{ds}", "--out", "{tmp}/o", "--preset", "huge", "--steps", "1"], nothing, 2, "huge"),
    (["train-base", "--data", "{ds}", "--out", "{tmp}/o"], text("o/checkpoint.pt", "mine"), 2, "holds a run"),
    (["train-base", "--data", "{ds}", "--out", "{tmp}/o", "--steps", "1", "--boost", "a"], nothing, 2, "--boost"),
    (["train-base", "--data", "{ds}", "--out", "{tmp}/o", "--settings", "{tmp}/s"], text("s", "["), 2, "--settings"),
    ([*TRAIN, "--data", "{tmp}/d"], metadata(GOOD + "{broken\n"), 1, "line 2: is not JSON"),
    ([*TRAIN, "--data", "{tmp}/d"], metadata('{"file_name": "../../a.wav", "text": "x"}\n'), 1, "leaves the dataset"),
    ([*TRAIN, "--data", "{tmp}/d"], metadata(GOOD.replace("}", ', "durations": 3}')), 1, 'line 1: "durations"'),
    # inspect, demo-data, download
    (["demo-data", "--out", "{tmp}/d", "--voice", "nobody"], nothing, 2, "nobody"),
    (["demo-data", "--out", "{tmp}/d"], text("d", "mine"), 2, "is a file"),
    (["inspect", "{tmp}"], nothing, 2, "no voice"),
    (["inspect", "{tmp}/none.pt"], nothing, 2, "no voice file"),
    (["inspect", "{tmp}/none.safetensors:a"], nothing, 2, "no voice file"),
    (["inspect", "{tmp}/v.npz"], arrays("v.npz", a=ROWS, b=ROWS), 2, "holds 2 voices"),
    (["inspect", "{tmp}/v.pt"], text("v.pt", b"PK junk"), 1, "not a Kokoro voice"),
    (["demo-data", "--out", "{tmp}/d", "--clips", "1"], nothing, 2, "4 to 24"),
    (
        ["demo-data", "--out", "{tmp}/d", "--seed", "-1"],
        nothing,
        2,
        "--seed -1: use a whole number from 0 to 2147483647",
    ),
    (
        ["say", "hi", "--voice", "stock_0", "--base", "{base}", "--out", "{tmp}/x.wav", "--seed", str(2**64)],
        nothing,
        2,
        "--seed 18446744073709551616",
    ),
    ([*TRAIN, "--data", "{ds}", "--seed", "-1"], nothing, 2, "--seed -1"),
    (
        ["train-base", "--data", "{ds}", "--out", "{tmp}/o", "--minutes", "nan"],
        nothing,
        2,
        "--minutes nan: use a finite",
    ),
    (
        [*TRAIN, "--data", "{tmp}/d"],
        table("caf\xe9_1|Bonjour.\n".encode("latin-1")),
        1,
        "metadata.csv line 1: is not UTF-8",
    ),
    (["demo-data", "--out", "{tmp}"], text("mine.txt", "x"), 2, "holds other files"),
    (["download", "--offline"], nothing, 1, "switched off"),
    (["download", "--from", "registry", "--offline"], nothing, 1, "the network is switched off"),
    (["download", "--from", "elsewhere"], nothing, 2, "invalid choice"),
    # evaluate
    ([*EVALUATE, "--voice", "stock_0"], nothing, 2, "give --out"),
    ([*EVALUATE, "--voice", "{tmp}/v.pt"], nothing, 2, "no voice file"),
    ([*EVALUATE, "--voice", "{tmp}/v.bin:a"], nothing, 2, "no voice file"),
    ([*EVALUATE, "--voice", "{tmp}/v.npz"], arrays("v.npz", a=ROWS, b=ROWS), 2, "holds 2 voices"),
    ([*EVALUATE, "--voice", "stock_0,stock_1"], nothing, 2, "give --out"),
    ([*EVALUATE, "--voice", "stock_0", "--out", "{tmp}/r", "--clips", "0"], nothing, 2, "--clips 0"),
    ([*EVALUATE, "--voice", "stock_0", "--out", "{tmp}/r", "--seed", "-1"], nothing, 2, "--seed -1"),
    ([*EVALUATE, "--voice", "stock_0", "--out", "{tmp}/r", "--lang", "xx"], nothing, 2, "language"),
    ([*EVALUATE, "--voice", "stock_0", "--out", "{tmp}/r", "--keep-best", "{tmp}/b.wav"], nothing, 2, ".pt"),
    ([*EVALUATE, "--voice", "stock_0", "--out", "{tmp}/r"], text("r", "mine"), 2, "not a folder"),
    ([*EVALUATE, "--voice", "stock_0", "--out", "{tmp}"], text("evaluation.json", "{}"), 2, "not an evaluation"),
    ([*EVALUATE, "--voice", "{tmp}/v.pt"], saved("v.pt", Evil()), 1, "not a Kokoro voice"),
    ([*EVALUATE, "--voice", "nobody", "--out", "{tmp}/r"], nothing, 2, "no voice 'nobody'"),
    # prepare
    (["prepare", "{tmp}/a.wav", "--out", "{tmp}/o"], nothing, 2, "one of --text"),
    (["prepare", "{tmp}/a.wav", "--out", "{tmp}/o", "--text", "{tmp}/t.txt"], nothing, 2, "no such file"),
    (PREPARE, text("a.wav", "no audio"), 2, "no audio that can be read"),
    ([*PREPARE, "--resume", "--overwrite"], nothing, 2, "choose one"),
    ([*PREPARE, "--validation", "2"], nothing, 2, "--validation"),
    ([*PREPARE, "--max-seconds", "nan"], nothing, 2, "--max-seconds"),
    ([*PREPARE, "--lang", "xx"], text("a.wav", "no audio"), 2, "language"),
    (PREPARE, both(clip("a.wav"), text("s.srt", "no subtitle")), 1, "no subtitle that can be used"),
    (PREPARE, both(clip("a.wav"), text("s.srt", SUBTITLE), text("o/mine.txt", "mine")), 2, "holds other files"),
    # batch, stock-table, ui
    (["batch", "{tmp}/v.csv"], nothing, 2, "v.csv"),
    (["batch", "{tmp}/v.csv", "--processes", "0"], text("v.csv", "name,data\n"), 2, "--processes 0"),
    (["batch", "{tmp}/v.csv"], text("v.csv", b"\xff\xfe\x00"), 2, "v.csv"),
    (["batch", "{tmp}/v.csv"], text("v.csv", "name,data,flavour\nv,{ds},vanilla\n"), 2, "flavour"),
    (["batch", "{tmp}/v.csv"], text("v.csv", "name,data\nv,{ds},x\n"), 2, "line 2: 3 cells under 2 columns"),
    (["batch", "{tmp}/v.csv"], text("v.csv", 'name,data\nv,"{ds}\n'), 2, "line 2: is not CSV"),
    (["batch", "{tmp}/v.csv", "--out", "{tmp}/o"], text("v.csv", "name,data\n../v,{ds}\n"), 2, "--name"),
    (["stock-table", "--base", "{tmp}/nowhere", "--offline"], nothing, 2, "no base"),
    (["ui", "--port", "70000"], nothing, 2, "--port 70000"),
    # record (more in tests/recording)
    (["record", "--sentences", "{tmp}/none.txt"], nothing, 2, "none.txt"),
    (["record", "--sentences", "{tmp}/s.txt"], text("s.txt", b"caf\xe9"), 2, "s.txt line 1: is not UTF-8"),
    (["record", "--out", "{tmp}"], text("mine.txt", "x"), 2, "holds other files"),
    # serve (more in tests/serving)
    (["serve", "--port", "70000"], nothing, 2, "--port 70000"),
    (["serve", "--queue", "-1"], nothing, 2, "--queue -1"),
    (["serve", "--max-characters", "0"], nothing, 2, "--max-characters 0"),
    (["serve", "--lang", "xx"], nothing, 2, "language"),
    (["serve", "--base", "{tmp}/nowhere"], nothing, 2, "no base"),
]


@pytest.fixture(scope="module")
def phonemizer() -> Callable:
    """One for each language, for all rows: it takes most of a second to build and is not tested here."""
    return functools.cache(dataset.Phonemizer)


def test_the_document_counts_the_rows() -> None:
    text = (REPOSITORY / "docs" / "reliability.md").read_text(encoding="utf-8")
    assert f"| {len(CASES)} wrong calls:" in text and f"{len(CASES)} of {len(CASES)} rows pass" in text


@pytest.mark.parametrize(("arguments", "prepare", "code", "says"), CASES, ids=[str(i) for i in range(len(CASES))])
def test_one_clear_line(
    arguments: list[str],
    prepare,
    code: int,
    says: str,
    tmp_path: Path,
    dataset_folder,
    base_folder,
    phonemizer,
    capsys,
    monkeypatch,
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path.parent / "empty_hub"))
    monkeypatch.setattr("voiceclone.data.dataset.Phonemizer", phonemizer)
    monkeypatch.setattr("voiceclone.models.registry.installed", lambda file: None)  # an extra that may be installed
    monkeypatch.chdir(tmp_path)  # where executed pickle code would create a file
    prepare(tmp_path, base_folder)
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
    assert "\n" not in last and last.isprintable() and len(last) < 1500
    assert {p: p.read_bytes() for p in before} == before
    assert not (tmp_path / "canary").exists()
    assert not list(tmp_path.rglob(".partial-*")) and not list(tmp_path.rglob("*.pt.lock"))
    shutil.rmtree(tmp_path, ignore_errors=True)


def _fill(argument: str, places: dict[str, Path]) -> str:
    for mark, path in places.items():
        argument = argument.replace(mark, str(path))
    return argument
