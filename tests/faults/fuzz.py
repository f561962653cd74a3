"""Fuzz everything that reads what others wrote: every input is read, or refused in one line; nothing else.

    python tests/faults/fuzz.py                             # 100,000 inputs for each target
    python tests/faults/fuzz.py --target mix --count 1000   # one target

Each target runs in a process of its own, so that a crash of a library, an input that takes more than 10 s of work and
one that wants more than 2 GiB are findings, too. The input at fault is kept (``--keep FOLDER``). One JSON line at the
end; exit code 1 where anything was found.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import json
import os
import pickle
import re
import signal
import struct
import subprocess
import sys
import tempfile
import time
import traceback
import zipfile
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from voiceclone.errors import VoicecloneError, shown

INPUT_SECONDS = 10  # of work; an input that takes more hangs
MEMORY_BYTES = 2 * 2**30  # on top of what the process holds when it begins
BATCH = 5000  # inputs of one hypothesis run: its memory of what it tried grows with their number

CANARY = "canary"  # a file that pickled code in the inputs would make in the current folder


# --- Inputs -----------------------------------------------------------------------------------------------------------

POSITION = st.integers(0, 700) | st.integers(-2000, -1) | st.integers(0, 2**20)
_EXTREMES = [("i", -1), ("i", 2**31 - 1), ("I", 2**31), ("H", 0), ("H", 65535), ("q", 2**62), ("q", -1), ("i", 10**6)]
NUMBERS = [struct.pack(f"<{kind}", value) for kind, value in _EXTREMES]
EDIT = st.one_of(
    st.tuples(st.just("set"), POSITION, st.binary(min_size=1, max_size=4)),
    st.tuples(st.just("set"), POSITION, st.sampled_from(NUMBERS)),
    st.tuples(st.just("insert"), POSITION, st.binary(min_size=1, max_size=12)),
    st.tuples(st.just("delete"), POSITION, st.integers(1, 64)),
    st.tuples(st.just("repeat"), POSITION, st.integers(1, 64)),
    st.tuples(st.just("cut"), POSITION, st.none()),
)


def edited(content: bytes, edits: list[tuple]) -> bytes:
    """``content`` after edits, each at a position counted modulo its length."""
    data = bytearray(content)
    for kind, where, what in edits:
        at = where % (len(data) + 1)
        if kind == "set":
            data[at : at + len(what)] = what
        elif kind == "insert":
            data[at:at] = what
        elif kind == "delete":
            del data[at : at + what]
        elif kind == "repeat":
            data[at:at] = data[at : at + what]
        else:
            del data[at:]
    return bytes(data)


def mutations(*seeds: bytes) -> st.SearchStrategy[bytes]:
    """Valid files with one to eight edits."""
    return st.builds(edited, st.sampled_from(seeds), st.lists(EDIT, min_size=1, max_size=8))


def soup(*words: str | bytes, free: st.SearchStrategy | None = None, most: int = 40) -> st.SearchStrategy:
    """Words of a language in any order, with anything between them."""
    kind = type(words[0])
    piece = st.sampled_from(words)
    piece = piece if free is None else piece | free
    return st.lists(piece, max_size=most).map(kind().join)


def zipped(files: dict[str, bytes]) -> bytes:
    """A zip archive, stored."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def unzipped(content: bytes) -> dict[str, bytes]:
    """Name -> content of an archive."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def inside(content: bytes, part: str) -> st.SearchStrategy[bytes]:
    """An archive whose member ``part`` is edited, with checksums that are right again."""
    files = unzipped(content)
    name = next(name for name in files if name.endswith(part))
    return mutations(files[name]).map(lambda new: zipped({**files, name: new}))


def canary_code() -> bytes:
    """A pickle that would make the canary file."""

    class Canary:
        def __reduce__(self):
            return os.system, (f"touch {CANARY}",)

    return pickle.dumps(Canary(), protocol=2)


# Fragments of pickles: globals, values, calls, containers, memo, persistent ids, states.
PICKLE_WORDS = (
    b"\x80\x02", b".", b"(", b")", b"}", b"]", b"0", b"2", b"1", b"N", b"\x88", b"\x89", b"t", b"\x85", b"\x86",
    b"\x87", b"R", b"b", b"\x81", b"\x92", b"ios\nsystem\n", b"o", b"s", b"u", b"a", b"e", b"Q", b"\x93", b"\x8f",
    b"\x90", b"cos\nsystem\n", b"cbuiltins\neval\n", b"cbuiltins\ngetattr\n", b"ccollections\nOrderedDict\n",
    b"ctorch\nSize\n",
    b"ctorch._utils\n_rebuild_tensor_v2\n", b"ctorch._utils\n_rebuild_parameter\n", b"ctorch\nFloatStorage\n",
    b"ctorch\nQInt8Storage\n", b"ctorch.storage\nUntypedStorage\n", b"ctorch\nUntypedStorage\n",
    b"X\x07\x00\x00\x00storage", b"X\x01\x00\x00\x000", b"X\x03\x00\x00\x00cpu", b"X\x03\x00\x00\x00net",
    b"X\x0d\x00\x00\x00style_encoder", b"X\x11\x00\x00\x00predictor_encoder", b"K\x00", b"K\x01", b"K\x04",
    b"J\xff\xff\xff\x7f", b"J\xff\xff\xff\xff", b"\x8a\x08" + b"\xff" * 7 + b"\x7f", b"q\x00", b"q\x01", b"h\x00",
    b"h\x01", b"r\xff\xff\xff\x00", b"j\x00\x00\x00\x00", b"\x82\x01", b"G" + struct.pack(">d", float("nan")),
    b"X\x0b\x00\x00\x00touch canar", b"C\x02ab", b"\x8c\x02ab", b"\x94", b"X\x0c\x00\x00\x00__defaults__",
    b"X\x08\x00\x00\x00__code__", b"X\x08\x00\x00\x00__dict__", b"X\x05\x00\x00\x00items", b"X\x03\x00\x00\x00get",
)  # fmt: skip


def pickles() -> st.SearchStrategy[bytes]:
    """Pickle programs: often well-formed at the start and the end, anything between."""
    body = soup(*PICKLE_WORDS, free=st.binary(max_size=3))
    return body | body.map(lambda middle: b"\x80\x02" + middle + b".")


def torch_archive(pickled: bytes, record: bytes = b"\0" * 16) -> bytes:
    """A file of the form that ``torch.save`` writes."""
    return zipped({"a/data.pkl": pickled, "a/data/0": record, "a/version": b"3\n", "a/byteorder": b"little"})


def saved(content: object) -> bytes:
    """What ``torch.save`` writes."""
    import torch

    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


# --- Targets: (inputs, check); a check raises on whatever a user must never see --------------------------------------


def metadata_inputs() -> st.SearchStrategy[bytes]:
    """metadata.jsonl and metadata.csv; the first byte chooses which."""
    value = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=6,
    )
    path = st.text(max_size=20) | soup("..", ".", "/", "\\", "a", "C:", "~", " ", "\x1b[2J", "\0", "a" * 300, most=8)
    row = st.fixed_dictionaries({}, optional={"file_name": path | value, "text": value, "speaker": value})
    jsonl = st.lists(row | value, max_size=4).map(lambda rows: "\n".join(map(json.dumps, rows)).encode())
    words = soup('{"file_name": ', '"text": ', '"a.wav"', ", ", "}", "\n", "[", "{", "1e999", "NaN", '"\\ud800"', "|",
                 "file_name,text\n", '"', "\ufeff", "\r", "../", "\0", "[" * 3000, "9" * 5000, "\u2028",
                 free=st.text(max_size=5))  # fmt: skip
    table = st.lists(st.tuples(path, st.text(max_size=20), st.text(max_size=20)), max_size=4).flatmap(
        lambda rows: st.sampled_from("|,").map(
            lambda mark: ("file_name,text,other\n" if mark == "," else "") + "\n".join(map(mark.join, rows))
        )
    )
    good = b'{"file_name": "a.wav", "text": "Hello there."}\n{"file_name": "b/c.flac", "text": "Bye."}\n'
    text = (words | table).map(lambda written: written.encode("utf-8", "surrogatepass"))
    content = st.binary(max_size=200) | jsonl | text | mutations(good, b"file_name,text\na.wav,Hello\n")
    return st.builds(lambda first, rest: first + rest, st.sampled_from([b"j", b"c"]), content)


def check_metadata(content: bytes, folder: Path) -> None:
    from voiceclone.data.metadata import read_metadata

    path = folder / ("metadata.jsonl" if content[:1] == b"j" else "metadata.csv")
    path.write_bytes(content[1:])
    for entry in read_metadata(path, folder, "train"):
        assert entry.path.is_relative_to(folder.resolve())
        entry.text.encode("utf-8")


def config_inputs() -> st.SearchStrategy[bytes]:
    """Config files: YAML and JSON of known and unknown keys."""
    from voiceclone.config import CloneConfig

    keys = [field.name for field in fields(CloneConfig)]
    value = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.integers(10**20, 10**400),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=6,
    )
    mapping = st.dictionaries(st.sampled_from(keys) | st.text(max_size=8), value, max_size=5)
    signs = list("\na1-[]{},!|>'\"#%@`_=~\t\0\x85\u2028")
    marks = [": ", "&a ", "*a", "!!", "? ", "- ", "<<: ", "---", "...", "  ", "[" * 500]
    values = ["2020-13-45", "0b_", "0x_", "1:99", ".inf", ".nan", "true", "null", "2001-01-01", "1e999", "1_000", "0o9"]
    values += ["9" * 5000, "!!python/object/apply:os.system [touch canary]", "!!binary x", "!!timestamp x", "!!int x"]
    values += ["!!float x", "!!set", "!!omap"]
    words = soup(*[f"{key}: " for key in keys], *signs, *marks, *values, free=st.text(max_size=4))
    good = b"name: v\nepochs_projection: 3\nlr-projection: 0.01\noffline: true\nbase: nano\n"
    text = (mapping.map(json.dumps) | words).map(lambda written: written.encode("utf-8", "surrogatepass"))
    return st.binary(max_size=100) | text | text | mutations(good)


def check_config(content: bytes, folder: Path) -> None:
    from voiceclone.config import dump, merge, read_config_file
    from voiceclone.runs import RunFolder

    path = folder / "c.yaml"
    path.write_bytes(content)
    config = merge({"data": "ds"}, read_config_file(path))
    json.loads(dump(config))
    assert Path(config.folder).parent == Path(config.out)
    RunFolder(config.folder).check_free(resume=None, overwrite=False)


def voice_inputs() -> st.SearchStrategy[bytes]:
    """Voice files of every format; the first byte chooses the suffix."""
    import numpy as np
    import torch

    from voiceclone.voice.pack import SHAPE, VoicePack

    whole = torch.zeros(SHAPE)
    with tempfile.TemporaryDirectory() as place:
        from voiceclone.voice.formats import write_voices

        def written(form: str) -> bytes:
            write_voices(Path(place) / "v", {"v": VoicePack(whole, "v")}, form)
            return (Path(place) / "v").read_bytes()

        npz, safetensors, raw = written("npz"), written("safetensors"), written("kokoro-js")
    small, big = saved(torch.zeros(2, 2)), saved(whole)
    buffer = io.BytesIO()
    np.savez(buffer, v=np.zeros(4, np.float32), w=np.zeros((2, 2), np.float64))
    small_npz = buffer.getvalue()
    header = json.dumps({"v": {"dtype": "F32", "shape": [510, 1, 256], "data_offsets": [0, 522240]}}).encode()
    pt = st.one_of(
        st.binary(max_size=100), mutations(small, small, big), inside(small, "data.pkl"), inside(big, "data.pkl"),
        pickles(), pickles().map(torch_archive), st.just(canary_code()), st.just(torch_archive(canary_code())),
    )  # fmt: skip
    names = soup("..", "/", "\\", "a", "C:", "\n", "\x1b[2J", "file", most=6)
    archive = st.one_of(
        st.binary(max_size=100), mutations(small_npz, small_npz, npz), inside(small_npz, "v.npy"),
        inside(npz, "v.npy"), mutations(raw[:4096]), pickles().map(lambda code: zipped({"v.npy": code})),
        names.map(lambda name: zipped({name + ".npy": unzipped(small_npz)["v.npy"]})),
        names.map(lambda name: zipped({name + ".npy": unzipped(npz)["v.npy"]})),
    )  # fmt: skip
    tensors = st.one_of(
        st.binary(max_size=100),
        mutations(safetensors[:4096], safetensors),
        mutations(header).map(lambda head: struct.pack("<Q", len(head)) + head + bytes(522240)),
    )
    kinds = ((b"p", pt), (b"n", archive), (b"b", archive), (b"s", tensors))
    return st.one_of(*[st.builds(lambda rest, first=first: first + rest, content) for first, content in kinds])


def check_voice(content: bytes, folder: Path) -> None:
    import torch

    from voiceclone.voice.formats import read_voices

    suffix = {b"p": "pt", b"n": "npz", b"b": "bin", b"s": "safetensors"}.get(content[:1], "pt")
    path = folder / f"v.{suffix}"
    path.write_bytes(content[1:])
    for name, pack in read_voices(path).items():
        assert torch.isfinite(pack.tensor).all() and tuple(pack.tensor.shape) == (510, 1, 256)
        assert not re.search(r"[/\\\0]", name), name


def mix_inputs() -> st.SearchStrategy[bytes]:
    """Mix expressions."""
    words = soup("a", "b.pt", "0.7", "0.3", "1", ".5", "*", "+", "-", "(", ")", "timbre(", "prosody(", '"', " ", "1e9",
                 "../x.pt", "~", "\\", ":", "9" * 400, "\n", "\0", "é", "½", "٣", free=st.text(max_size=3))  # fmt: skip
    good = soup("a", "0.5*a + 0.5*b", "timbre(a) + prosody(b)", "(", ")", " + ", "0.5*", "1*", " - ", most=12)
    return (words | good | st.text(max_size=60)).map(lambda text: text.encode("utf-8", "surrogatepass"))


def check_mix(content: bytes, folder: Path) -> None:
    from voiceclone.voice.mixing import parse

    mix = parse(content.decode("utf-8", "surrogatepass"))
    for half in (mix.timbre, mix.prosody):
        assert abs(sum(half.values()) - 1.0) < 2e-3


def subtitle_inputs() -> st.SearchStrategy[bytes]:
    """SRT and WebVTT; the first byte chooses the suffix."""
    times = ["00:00:01,000 --> 00:00:02,500\n", "00:01.000 --> 00:02.000 align:start\n", "-->", "00:", "99:99:99,999"]
    times += ["00:00:03,000 --> 00:00:02,000\n"]
    marks = [
        "1\n",
        "WEBVTT\n",
        "\n",
        "\n\n",
        "NOTE x\n",
        "STYLE\n",
        ",",
        ".",
        "\r\n",
        "\ufeff",
        "-1",
        "٣",
        "9" * 30,
        "\0",
    ]
    spoken = ["Hello", "<v Bob>", "<i>", "</i>", "&amp;", "{\\an8}"]
    words = soup(*times, *marks, *spoken, free=st.text(max_size=6))
    srt = b"1\n00:00:01,000 --> 00:00:02,500\nHello there.\n\n2\n00:00:03,000 --> 00:00:04,500\nBye.\n"
    vtt = b"WEBVTT\n\nid\n00:01.000 --> 00:02.500 align:start\n<v Bob>Hello</v>\n\n00:03.000 --> 00:04.000\nBye.\n"
    text = words.map(lambda written: written.encode("utf-8", "surrogatepass"))
    content = st.binary(max_size=100) | text | text.map(lambda rest: b"WEBVTT\n\n" + rest) | mutations(srt, vtt)
    return st.builds(lambda first, rest: first + rest, st.sampled_from([b"s", b"v"]), content)


def check_subtitles(content: bytes, folder: Path) -> None:
    from voiceclone.prepare import subtitles

    path = folder / ("a.srt" if content[:1] == b"s" else "a.vtt")
    path.write_bytes(content[1:])
    subtitles.read_subtitles(path)


def checkpoint_inputs() -> st.SearchStrategy[bytes]:
    """Files of the form of StyleTTS2's checkpoint, the one form that is read by an unpickler of our own."""
    import torch

    from voiceclone.style.encoders import StyleEncoderConfig, build_style_encoders

    build_style_encoders(StyleEncoderConfig(dim_in=4, max_conv_dim=8))  # imports take long, and count for no input
    state = {"module.x": torch.zeros(2), "module.y": torch.ones(1, dtype=torch.float16)}
    good = saved({"net": {"style_encoder": state, "predictor_encoder": state}, "epoch": 3, "hook": getattr})
    files = unzipped(good)
    program = next(content for name, content in files.items() if name.endswith("data.pkl"))
    spliced = st.builds(
        lambda middle, at: program[: at % len(program)] + middle + program[at % len(program) :],
        soup(*PICKLE_WORDS, most=6),
        st.integers(0, 4096),
    ).map(torch_archive)
    return st.one_of(
        st.binary(max_size=60), mutations(good), inside(good, "data.pkl"), pickles().map(torch_archive), spliced,
        st.just(torch_archive(canary_code())),
    )  # fmt: skip


def check_checkpoint(content: bytes, folder: Path) -> None:
    import torch

    from voiceclone.models.tensor_only import load_tensors
    from voiceclone.style.encoders import StyleEncoderConfig, load_styletts2_checkpoint

    def known() -> tuple:
        rebuild = torch._utils._rebuild_tensor_v2
        return rebuild.__defaults__, rebuild.__code__, dict(vars(rebuild))

    path = folder / "epochs_2nd_00001.pth"
    path.write_bytes(content)
    before = known()
    try:
        load_tensors(path)
        with contextlib.suppress(VoicecloneError):  # never the right widths
            load_styletts2_checkpoint(path, StyleEncoderConfig(dim_in=4, max_conv_dim=8))
    finally:
        assert before == known()  # what the file did stays in the file


def audio_inputs() -> st.SearchStrategy[bytes]:
    """Damaged WAV, FLAC, OGG, AIFF, AU, CAF and MP3 files; the first byte chooses the suffix."""
    import numpy as np
    import soundfile

    samples = (0.2 * np.sin(np.arange(4800) * 0.05)).astype(np.float32)

    def coded(kind: str, subtype: str | None = None, rate: int = 24000, channels: int = 1) -> bytes:
        buffer = io.BytesIO()
        soundfile.write(buffer, np.stack([samples] * channels, 1), rate, format=kind, subtype=subtype)
        return buffer.getvalue()

    files = [coded(kind) for kind in ("WAV", "FLAC", "OGG", "AIFF", "AU", "CAF", "W64", "RF64")]
    files += [coded("WAV", "FLOAT"), coded("WAV", "PCM_24", 8000, 2), coded("WAV", "IMA_ADPCM")]
    if "MP3" in soundfile.available_formats():
        files.append(coded("MP3"))
    suffix = st.sampled_from([b"w", b"f", b"o", b"m", b"r", b"x"])
    return st.builds(lambda first, rest: first + rest, suffix, mutations(*files) | st.binary(max_size=100))


def check_audio(content: bytes, folder: Path) -> None:
    import numpy as np

    from voiceclone.audio.io import read_audio
    from voiceclone.data.quality import QualityLimits, measure_audio

    kind = {b"w": "wav", b"f": "flac", b"o": "ogg", b"m": "mp3", b"r": "raw", b"x": "x"}.get(content[:1], "x")
    path = folder / f"a.{kind}"
    path.write_bytes(content[1:])
    measured = measure_audio(path, QualityLimits(min_seconds=0.05))
    if measured.problem is not None:
        raise VoicecloneError(measured.problem)
    assert np.isfinite(read_audio(path)).all()  # the run goes on to read it whole


def state_inputs() -> st.SearchStrategy[bytes]:
    """Checkpoints of a run, as ``--resume`` reads them."""
    import torch

    from voiceclone.projection.state import FORMAT, TrainingState

    field = st.sampled_from([field.name for field in fields(TrainingState)] + ["other"])
    vector = torch.zeros(1, 256)
    plain = [None, -1, 0, 3, 1e9, float("nan"), "x", [], {}, [1], {"a": 1}, [{}], [{"epoch": 1}], 2**70]
    tensors = [vector, vector / 0, vector[0], vector.long(), torch.zeros(1), torch.zeros(()), {"a": vector / 0}]
    aligned = [{"train/a": value} for value in ({}, {"durations": 1}, {"durations": vector, "score": 1.0})]
    value = st.sampled_from([*plain, *tensors, *aligned])

    def base_state() -> dict:
        own = {"anchor": vector, "whitening": torch.eye(256), "projection": {}, "optimizer": {}}
        return {"epoch": 1, "step": 2, "alignments": {}, "history": [], **own}

    changed = st.dictionaries(field, value, max_size=4).map(
        lambda new: saved({"format": FORMAT, "identity": {"dataset": "x"}, "state": {**base_state(), **new}})
    )
    other = st.fixed_dictionaries({}, optional={"format": value, "identity": value, "state": value}).map(saved)
    good = saved({"format": FORMAT, "identity": {}, "state": base_state()})
    return changed | other | mutations(good) | inside(good, "data.pkl") | pickles().map(torch_archive)


def check_state(content: bytes, folder: Path) -> None:
    import torch

    from voiceclone.projection.state import load_state

    path = folder / "last.pt"
    path.write_bytes(content)
    state, identity = load_state(path)
    assert torch.isfinite(state.anchor).all() and state.epoch >= 0 and isinstance(identity, dict)


TARGETS: dict[str, tuple[Callable[[], st.SearchStrategy[bytes]], Callable[[bytes, Path], None]]] = {
    "metadata": (metadata_inputs, check_metadata),
    "config": (config_inputs, check_config),
    "voice": (voice_inputs, check_voice),
    "mix": (mix_inputs, check_mix),
    "subtitles": (subtitle_inputs, check_subtitles),
    "checkpoint": (checkpoint_inputs, check_checkpoint),
    "audio": (audio_inputs, check_audio),
    "state": (state_inputs, check_state),
}


# --- Running ----------------------------------------------------------------------------------------------------------


def attempt(check: Callable[[bytes, Path], None], content: bytes, folder: Path) -> bool:
    """True where the input was read, False where it was refused as it should be; raises on everything else."""
    try:
        check(content, folder)
    except VoicecloneError as error:
        line = shown(error)
        assert line and "\n" not in line and line.isprintable() and len(line) < 2000, line[:300]
        return False
    finally:
        assert not (folder / CANARY).exists(), "pickled code was run"
    return True


def needs(target: str, require: Callable[[str], object] = importlib.import_module) -> None:
    """Import what a target cannot do without; ``require`` decides what happens where it is not there."""
    if target == "subtitles":
        require("voiceclone.prepare.subtitles")


def fuzz(
    target: str, count: int, first_seed: int, folder: Path, *, progress: bool = False, limited: bool = True
) -> dict:
    """Run ``count`` inputs in this process; raises what a check raised, shrunk, with the input in ``last-input``."""
    make, check = TARGETS[target]
    inputs = make()
    facts = {"target": target, "inputs": 0, "read": 0, "refused": 0, "slowest_ms": 0.0}
    last = folder / "last-input"
    handle = os.open(last, os.O_CREAT | os.O_RDWR)
    started = time.perf_counter()

    def one(content: bytes) -> None:
        os.ftruncate(handle, 0)  # kept outside this process: a crash must not take it along
        os.pwrite(handle, content, 0)
        _limit_work(INPUT_SECONDS if limited else 0)
        began = time.perf_counter()
        read = attempt(check, content, folder)
        facts["slowest_ms"] = max(facts["slowest_ms"], 1000 * (time.perf_counter() - began))
        facts["inputs"] += 1
        facts["read" if read else "refused"] += 1

    options = settings(
        deadline=None, database=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate, Phase.shrink],
        report_multiple_bugs=False,
    )  # fmt: skip
    before = os.getcwd()
    os.chdir(folder)
    try:
        with contextlib.suppress(VoicecloneError):
            check(b"", folder)  # imports count for no input
        batch = 0
        while facts["inputs"] < count:
            left = min(BATCH, count - facts["inputs"])
            seed(first_seed + batch)(settings(options, max_examples=left)(given(inputs)(one)))()
            batch += 1
            if progress:
                rate = facts["inputs"] / (time.perf_counter() - started)
                print(f"{target}: {facts['inputs']}/{count}, {rate:.0f} inputs/s", file=sys.stderr, flush=True)
    finally:
        _limit_work(0)
        os.chdir(before)
        os.close(handle)
    facts.update(slowest_ms=round(facts["slowest_ms"], 1), seconds=round(time.perf_counter() - started, 1))
    return facts


def _limit_work(seconds: float) -> None:
    """End the process, not just Python's part of it, after that much processor time; 0 lifts the limit."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, seconds)


def worker(target: str, count: int, first_seed: int, folder: Path) -> int:
    """One target in this process: facts, or what was found, as one JSON line on standard output."""
    with contextlib.suppress(ImportError):
        import resource

        import torch  # noqa: F401 (before the limit: it maps gigabytes that it never touches)

        if sys.platform == "linux":
            held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (held + MEMORY_BYTES, resource.RLIM_INFINITY))
    import warnings

    warnings.filterwarnings("ignore")
    try:
        print(json.dumps(fuzz(target, count, first_seed, folder, progress=True)))
    except BaseException as error:
        last = f"{type(error).__name__}: {error}"[:300]
        place = traceback.extract_tb(error.__traceback__)[-1]
        traceback.print_exc()
        print(json.dumps({"target": target, "found": f"{last} ({Path(place.filename).name}:{place.lineno})"}))
        return 1
    return 0


def main() -> int:
    """Run the targets one after the other, each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", action="append", choices=list(TARGETS), help="default: all")
    parser.add_argument("--count", type=int, default=100_000, help="inputs for each target")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for inputs that were found at fault")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        return worker(options.target[0], options.count, options.seed, options.worker)
    results = []
    for target in options.target or TARGETS:
        with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
            command = [sys.executable, __file__, "--worker", folder, "--target", target, "--count", str(options.count),
                       "--seed", str(options.seed)]  # fmt: skip
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
            lines = done.stdout.strip().splitlines()
            result = json.loads(lines[-1]) if lines else {"target": target, "found": f"it ended with {done.returncode}"}
            if "found" in result and options.keep:
                options.keep.mkdir(parents=True, exist_ok=True)
                kept = options.keep / f"{target}-input"
                kept.write_bytes((Path(folder) / "last-input").read_bytes())
                result["input"] = str(kept)
            results.append(result)
            print(json.dumps(result), file=sys.stderr, flush=True)
    found = [result for result in results if "found" in result]
    print(json.dumps({"inputs": sum(r.get("inputs", 0) for r in results), "found": len(found), "targets": results}))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
