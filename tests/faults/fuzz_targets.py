"""The readers under test, each as (inputs, check). A check raises on anything but a result or a one-line error."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import re
import struct
import tempfile
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

from faults.fuzz_inputs import (
    PICKLE_WORDS,
    canary_code,
    inside,
    mutations,
    pickles,
    saved,
    soup,
    torch_archive,
    unzipped,
    zipped,
)
from hypothesis import strategies as st

from voiceclone.errors import VoicecloneError


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
        lambda rows: st.tuples(st.sampled_from("|,;\t"), st.booleans()).map(
            lambda form: "\n".join(form[0].join(row) for row in [("file_name", "text", "other")] * form[1] + rows)
        )
    )
    good = b'{"file_name": "a.wav", "text": "Hello there."}\n{"file_name": "b/c.flac", "text": "Bye."}\n'
    text = (words | table).map(lambda written: written.encode("utf-8", "surrogatepass"))
    wide = table.map(lambda written: written.encode("utf-16", "surrogatepass"))
    content = st.binary(max_size=200) | jsonl | text | wide | mutations(good, b"file_name,text\na.wav,Hello\n")
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
    from voiceclone.cloning.config import CloneConfig

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
    from voiceclone.cloning.config import dump, merge, read_config_file
    from voiceclone.cloning.folder import RunFolder

    path = folder / "c.yaml"
    path.write_bytes(content)
    config = merge({"data": "ds"}, read_config_file(path))
    json.loads(dump(config))
    assert Path(config.folder).parent == Path(config.out)
    try:
        RunFolder(config.folder).check_free(resume=None, overwrite=False)
    # the command reports all of these in one line; only this one can be caused by a file's content
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        raise VoicecloneError("file name too long") from error


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
        compact = written("compact")
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
        mutations(safetensors[:4096], safetensors, compact),
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
                 "../x.pt", "~", "\\", ":", "9" * 400, "\n", "\0", "é", "½", "٣", ",", ":60", "(2)",
                 free=st.text(max_size=3))  # fmt: skip
    good = soup("a", "0.5*a + 0.5*b", "timbre(a) + prosody(b)", "(", ")", " + ", "0.5*", "1*", " - ", most=12)
    lists = soup("a", "b", "a(2)", "b:3", "a(2)+b", "a:1,b:2", ",", "+", " ", ":", "0.5*", most=8)
    return (words | good | lists | st.text(max_size=60)).map(lambda text: text.encode("utf-8", "surrogatepass"))


def check_mix(content: bytes, folder: Path) -> None:
    from voiceclone.voice.mixing import parse_mix

    mix = parse_mix(content.decode("utf-8", "surrogatepass"))
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
        assert before == known()  # the file must have no effect outside


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
        own = {"anchor": vector, "projection": {}, "optimizer": {}}
        return {"epoch": 1, "step": 2, "alignments": {}, "history": [], **own}

    changed = st.dictionaries(field, value, max_size=4).map(
        lambda new: saved({"format": FORMAT, "identity": {"dataset": "x"}, "state": {**base_state(), **new}})
    )
    other = st.fixed_dictionaries({}, optional={"format": value, "identity": value, "state": value}).map(saved)
    good = saved({"format": FORMAT, "identity": {}, "state": base_state()})
    return changed | other | mutations(good) | inside(good, "data.pkl") | pickles().map(torch_archive)


def check_state(content: bytes, folder: Path) -> None:
    import torch

    from voiceclone.projection.state import load_checkpoint

    path = folder / "last.pt"
    path.write_bytes(content)
    state, identity = load_checkpoint(path)
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
