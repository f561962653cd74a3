"""Malicious files: no code is executed, nothing outside is read or written, and processing time is bounded."""

from __future__ import annotations

import ast
import builtins
import functools
import io
import os
import pickle
import shutil
import struct
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from support import REPOSITORY, styletts2_checkpoint

from voiceclone.base_training.trainer import CHECKPOINT, read_checkpoint
from voiceclone.bases.base import load_base
from voiceclone.cli.main import main
from voiceclone.errors import VoicecloneError
from voiceclone.models.checkpoint import read_state
from voiceclone.models.tensor_only import load_tensors
from voiceclone.projection.state import load_checkpoint
from voiceclone.style.encoders import StyleEncoderConfig, load_styletts2_checkpoint
from voiceclone.voice.formats import read_voices
from voiceclone.voice.pack import SHAPE, VoicePack

CANARY = "canary"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test works in an empty folder, where executed pickle code would create the canary file."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


# --- Pickled code -----------------------------------------------------------------------------------------------------


class Calls:
    """Calls a function if it is really unpickled."""

    def __init__(self, function: Callable, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple:
        return self.call


PAYLOADS = {
    "system": Calls(os.system, f"touch {CANARY}"),
    "eval": Calls(builtins.eval, f"open('{CANARY}', 'w')"),
    "exec": Calls(builtins.exec, f"open('{CANARY}', 'w')"),
    "mkdir": Calls(os.mkdir, CANARY),
    "partial": Calls(functools.partial(os.mkdir, CANARY)),
    "getattr": Calls(getattr, Path(CANARY), "touch"),
}


def torch_file(content: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def array_file(content: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, v=np.array([content], dtype=object))
    return buffer.getvalue()


def tiny_encoders(path: Path) -> Any:
    return load_styletts2_checkpoint(path, StyleEncoderConfig(dim_in=4, max_conv_dim=8))


READERS: dict[str, tuple[str, Callable[[Any], bytes], Callable[[Path], Any]]] = {
    "voice": ("v.pt", torch_file, VoicePack.load),
    "voice, bare pickle": ("v.pt", pickle.dumps, VoicePack.load),
    "voices of kokoro-onnx": ("v.npz", array_file, read_voices),
    "voices of kokoro-onnx, bin": ("v.bin", array_file, read_voices),
    "voices, bare pickle": ("v.bin", pickle.dumps, read_voices),
    "checkpoint of a run": ("last.pt", torch_file, load_checkpoint),
    "checkpoint of a base training": (CHECKPOINT, torch_file, lambda path: read_checkpoint(path.parent)),
    "weights of a base": ("kokoro.pth", torch_file, read_state),
    "StyleTTS2's checkpoint": ("epochs_2nd_00020.pth", torch_file, tiny_encoders),
}


@pytest.mark.parametrize("payload", list(PAYLOADS))
@pytest.mark.parametrize("reader", list(READERS))
def test_pickled_code_never_runs(reader: str, payload: str, here: Path) -> None:
    name, write, read = READERS[reader]
    for content in (PAYLOADS[payload], {"a": [PAYLOADS[payload]]}, [torch.zeros(2), PAYLOADS[payload]]):
        (here / name).write_bytes(write(content))
        with pytest.raises(VoicecloneError):
            read(here / name)
    assert os.listdir(here) == [name]


def test_the_canary_runs_with_a_plain_unpickler(here: Path) -> None:
    for payload in ("system", "eval", "mkdir"):
        pickle.loads(pickle.dumps(PAYLOADS[payload]))
        assert (here / CANARY).exists()
        shutil.rmtree(here / CANARY) if (here / CANARY).is_dir() else (here / CANARY).unlink()


def test_a_whole_base_of_pickled_code(here: Path, base_folder: Path) -> None:
    """Weights as .pth, voices as .pt and StyleTTS2's own checkpoint, through the command line."""
    evil = torch_file(PAYLOADS["mkdir"])
    folder = Path(shutil.copytree(base_folder, here / "base"))
    (folder / "voices.safetensors").unlink()
    (folder / "voices").mkdir()
    (folder / "voices" / "v.pt").write_bytes(evil)
    assert main(["inspect", "v", "--base", str(folder), "--offline"]) != 0
    (folder / "model.safetensors").rename(folder / "kokoro.pth")
    (folder / "kokoro.pth").write_bytes(evil)
    assert main(["say", "hi", "--voice", "v", "--base", str(folder), "--out", "x.wav", "--offline"]) == 1
    assert os.listdir(here) == ["base"]


def test_no_source_of_this_package_unpickles_or_unpacks() -> None:
    """By the syntax tree: which functions could do so, and with which arguments."""
    found = []
    for path in sorted((REPOSITORY / "voiceclone").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            forbidden = called in ("pickle.load", "pickle.loads", "pickle.Unpickler", "marshal.loads", "eval", "exec",
                                   "yaml.unsafe_load", "yaml.full_load", "joblib.load", "torch.jit.load",
                                   "shutil.unpack_archive") or called.endswith((".extractall", ".extract"))  # fmt: skip
            forbidden |= called == "torch.load" and given.get("weights_only") != "True"
            forbidden |= called == "np.load" and given.get("allow_pickle", "False") != "False"
            forbidden |= called == "yaml.load" and given.get("Loader") not in ("WithoutAliases", "yaml.SafeLoader")
            if forbidden:
                found.append(f"{path.relative_to(REPOSITORY)}:{node.lineno}: {called}")
    assert found == []


# --- StyleTTS2's checkpoint: the one unpickler of our own -------------------------------------------------------------


def archive(program: bytes, *, compress: bool = False, **records: bytes) -> bytes:
    """A zip of the form ``torch.save`` writes, of a pickle program and records ``r0``, ``r1``..."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED) as made:
        made.writestr("a/data.pkl", program)
        for name, content in records.items():
            made.writestr(f"a/data/{name[1:]}", content)
    return buffer.getvalue()


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def number(value: int) -> bytes:
    content = value.to_bytes(9, "little", signed=True)
    return b"\x8a" + bytes([len(content)]) + content


def tensor(count: int, *, offset: int = 0, size: tuple = (4,), stride: tuple = (1,), kind: str = "Float") -> bytes:
    """Instructions that rebuild a tensor over record 0, with a declared size of ``count`` values."""
    storage = b"(" + text("storage") + f"ctorch\n{kind}Storage\n".encode() + text("0") + text("cpu") + number(count)
    sizes = b"(" + b"".join(map(number, size)) + b"t(" + b"".join(map(number, stride)) + b"t"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"tQ" + number(offset) + sizes + b"\x89}tR"


def read(here: Path, content: bytes) -> Any:
    path = here / "epochs_2nd_00001.pth"
    path.write_bytes(content)
    return load_tensors(path)


def test_a_valid_tensor_is_read(here: Path) -> None:
    """The same instructions as in the attacks below, so that those cannot fail for another reason."""
    values = struct.pack("<4f", 1, 2, 3, 4)
    assert read(here, archive(b"\x80\x02" + tensor(4) + b".", r0=values)).tolist() == [1, 2, 3, 4]
    turned = tensor(4, size=(2, 2), stride=(1, 2))
    assert read(here, archive(b"\x80\x02" + turned + b".", r0=values)).tolist() == [[1, 3], [2, 4]]


TOO_FAR = {
    "a storage longer than its record": tensor(10**6),
    "a storage shorter than its record": tensor(2, size=(2,)),
    "a size beyond the storage": tensor(4, size=(5,)),
    "an offset beyond the storage": tensor(4, offset=1),
    "a huge offset": tensor(4, offset=2**62),
    "a negative offset": tensor(4, offset=-4),
    "a stride beyond the storage": tensor(4, size=(2, 2), stride=(2**40, 1)),
    "a negative stride": tensor(4, stride=(-1,)),
    "a negative size": tensor(4, size=(-4,)),
    "more values than the storage has": tensor(4, size=(2**40,), stride=(0,)),
    "another number of strides": tensor(4, size=(2, 2), stride=(1,)),
    "quantised values": tensor(4, kind="QInt8"),
    "complex values": tensor(2, size=(2,), kind="ComplexFloat"),
}


@pytest.mark.parametrize("what", list(TOO_FAR))
def test_no_tensor_reaches_beyond_its_record(what: str, here: Path) -> None:
    with pytest.raises(VoicecloneError, match="is damaged"):
        read(here, archive(b"\x80\x02" + TOO_FAR[what] + b".", r0=bytes(16)))


REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n"
NO_EFFECT = {
    "attributes on a function": REBUILD + b"N}" + text("__defaults__") + b"(K\x01tss\x86b",
    "a state on a function": REBUILD + b"}" + text("evil") + b"K\x01sb",
    "attributes on the placeholder": b"cos\nsystem\nN}" + text("append") + b"cos\nsystem\ns\x86b",
    "a state on a mapping": b"ccollections\nOrderedDict\n)R}" + text("items") + b"cos\nsystem\nsb",
    "a call of what a call gave": b"cos\nsystem\n(" + text(f"touch {CANARY}") + b"tR(" + text(CANARY) + b"tR",
    "a call through an instance": b"(ios\nsystem\n",
    "an object with arguments": b"(cos\nsystem\n" + text(f"touch {CANARY}") + b"o",
    "a new object": b"cos\nsystem\n(" + text(f"touch {CANARY}") + b"t\x81",
    "a new object with keywords": b"cos\nsystem\n(" + text(CANARY) + b"t}\x92",
    "a global by name from the stack": text("os") + text("system") + b"\x93(" + text(f"touch {CANARY}") + b"tR",
    "a nested name": b"ccollections\nOrderedDict.__init__.__globals__\n",
    "an extension": b"\x82\x01",
    "a loader of bytes": b"ctorch.storage\n_load_from_bytes\n(" + text("x") + b"tR",
    "a typed storage by class": b"ctorch.storage\nTypedStorage\n)R",
}


@pytest.mark.parametrize("what", list(NO_EFFECT))
def test_no_pickle_instruction_has_side_effects(what: str, here: Path) -> None:
    rebuild = torch._utils._rebuild_tensor_v2
    before = rebuild.__defaults__, dict(vars(rebuild)), dict(vars(dict))
    for end in (b".", b"0" + tensor(4) + b"."):
        try:
            read(here, archive(b"\x80\x02" + NO_EFFECT[what] + end, r0=bytes(16)))
        except VoicecloneError as error:
            assert "is damaged" in str(error)
    assert before == (rebuild.__defaults__, dict(vars(rebuild)), dict(vars(dict)))
    assert os.listdir(here) == ["epochs_2nd_00001.pth"]
    # Nor on the files read after it.
    good, widths = styletts2_checkpoint(here / "good.pth")
    load_styletts2_checkpoint(good, widths)


NESTED = b"(" * 100_000 + b"l" * 100_000
DOUBLED = b")" + b"q\x000h\x00h\x00\x86" * 60  # a pair of a pair of a pair...: its hash would take 2^60 steps
BOMBS = {
    "a memo of two thousand million entries": b"K\x01r\xff\xff\xff\x7f",
    "a text longer than the file": b"X\xff\xff\xff\x7fabc",
    "bytes longer than the file": b"\x8e" + struct.pack("<Q", 2**50) + b"abc",
    "a number longer than the file": b"\x8b" + struct.pack("<i", 2**31 - 1) + b"abc",
    "a frame longer than the file": b"\x95" + struct.pack("<Q", 2**50) + b"abc",
    "lists in lists": NESTED,
    "a key whose hash never ends": b"}" + DOUBLED + b"K\x01s",
    "a key of a whole mapping": b"(" + DOUBLED + b"K\x01d",
    "a member of a set": b"\x8f(" + DOUBLED + b"\x90",
    "a member of a frozen set": b"(" + DOUBLED + b"\x91",
}


@pytest.mark.parametrize("what", list(BOMBS))
def test_pickles_have_bounded_time_and_memory(what: str, here: Path) -> None:
    tracemalloc.start()
    started = time.process_time()
    try:
        read(here, archive(b"\x80\x04" + BOMBS[what] + b".", r0=bytes(16)))
    except VoicecloneError as error:
        assert "is damaged" in str(error)
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert time.process_time() - started < 20 and peak < 100 * 2**20


def test_compressed_records_are_refused(here: Path) -> None:
    """torch writes none; a few bytes could expand to gigabytes."""
    content = archive(b"\x80\x02" + tensor(2**22, size=(2**22,)) + b".", compress=True, r0=bytes(2**24))
    assert len(content) < 2**17
    with pytest.raises(VoicecloneError, match="is damaged"):
        read(here, content)


def test_a_torchscript_archive_is_refused_however_it_is_hidden(here: Path) -> None:
    """Zip readers may disagree on which directory is valid: only one reader is used, and it executes nothing."""
    script = io.BytesIO()
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), script)
    honest = archive(b"\x80\x02" + tensor(4) + b".", r0=bytes(16))
    for content in (script.getvalue(), honest + script.getvalue(), script.getvalue() + honest):
        try:
            read(here, content)
        except VoicecloneError:
            continue
        assert content.endswith(honest)  # read as what it ends with


# --- Paths and names --------------------------------------------------------------------------------------------------

TRICKS = ["../evil", "/etc/evil", "a/../../evil", "..", "C:\\evil", "a\\..\\evil", "\x1b]0;evil\x07", "a\nb", ""]


@pytest.mark.parametrize("name", TRICKS)
def test_names_in_archives_are_no_paths(name: str, here: Path) -> None:
    inside = here / "inside"
    inside.mkdir()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        array = io.BytesIO()
        np.lib.format.write_array(array, np.zeros(SHAPE, np.float32))
        made.writestr(zipfile.ZipInfo(f"{name}.npy"), array.getvalue())
    (inside / "v.npz").write_bytes(buffer.getvalue())
    save_file({name: torch.zeros(SHAPE)}, inside / "v.safetensors")
    for file in ("v.npz", "v.safetensors"):
        with pytest.raises(VoicecloneError, match="not a name of a voice"):
            read_voices(inside / file)
    assert os.listdir(here) == ["inside"] and sorted(os.listdir(inside)) == ["v.npz", "v.safetensors"]


def test_a_voice_may_have_any_plain_name(here: Path) -> None:
    """``file`` is the first parameter of NumPy's writer, and ``arr_0`` its default name."""
    for name in ("file", "arr_0", "allow_pickle", "my voice", "é"):
        VoicePack(torch.ones(SHAPE), name).save(here / f"{name}.pt")
        assert main(["export", str(here / f"{name}.pt"), "--to", "npz", "--out", f"{name}.npz"]) == 0
        assert list(read_voices(here / f"{name}.npz")) == [name]


def test_a_base_of_voices_that_are_links_or_no_voices(here: Path, base_folder: Path) -> None:
    folder = Path(shutil.copytree(base_folder, here / "base"))
    save_file({"../../x": torch.zeros(SHAPE), "v": torch.zeros(3)}, folder / "voices.safetensors")
    with pytest.raises(VoicecloneError, match="voice"):
        load_base(folder)


def test_terminal_control_characters_are_escaped(here: Path, base_folder: Path, capsys) -> None:
    evil = "\x1b]0;owned\x07\x1b[2J\r"
    assert main(["say", "hi", "--voice", evil, "--base", str(base_folder), "--out", "x.wav", "--offline"]) == 2
    VoicePack(torch.zeros(SHAPE)).save(here / f"{evil}.pt")
    main(["mix", f'"{evil}.pt"', "--out", f"{evil}2.pt"])
    said = capsys.readouterr().err
    assert "owned" in said and "\\x1b]0;owned\\x07" in said
    assert not any(sign in said for sign in "\x1b\x07\r")


def test_names_that_are_not_utf8_are_recorded(here: Path, dataset_folder: Path, run) -> None:
    """File names on Linux may be any bytes; reports are UTF-8 in any case."""
    strange = Path(os.fsdecode(b"caf\xe9"))
    try:
        shutil.copytree(dataset_folder, strange)
    except (OSError, UnicodeError):
        pytest.skip("this file system takes no such name")
    consent = os.fsdecode(b"Ren\xe9e")
    assert run(here / "out", "--data", str(strange), "--epochs-projection", "0", "--consent", consent) == 0
    for name in ("dataset_report.json", "report.json", "config.json", "README.md"):
        assert (here / "out" / "v" / name).read_text(encoding="utf-8")
