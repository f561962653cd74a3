"""Finding a voice: all export formats by their content, and one of several voices by name."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from support import needs_shared

from voiceclone.bases import base as bases
from voiceclone.bases.finder import finder_of
from voiceclone.cli.main import main
from voiceclone.errors import UsageError, VoicecloneError
from voiceclone.voice.compact import compress, expand_compact
from voiceclone.voice.formats import FORMATS, RAW_BYTES, write_voices
from voiceclone.voice.lookup import VoiceFinder, file_of, names_a_file
from voiceclone.voice.official import official_voice
from voiceclone.voice.pack import SHAPE, VoicePack

# Of rank 16, so that the compact form holds it, too.
PACK = expand_compact(compress(official_voice("bf_emma")), "v")
OTHER = expand_compact(compress(official_voice("am_onyx")), "w")
NAMES = ("v.pt", "v.bin", "v.npz", "v.safetensors", "v", "my voice, (new) + old:2.bin")


def no_stock() -> dict[str, VoicePack]:
    pytest.fail("a file was named: no stock voice is needed")


def find(voice: str | Path) -> torch.Tensor:
    return VoiceFinder(no_stock).find(str(voice)).tensor


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_told_by_its_content_whatever_its_name(tmp_path: Path, form: str, name: str) -> None:
    write_voices(tmp_path / name, {"v": PACK}, form)
    for found in (find(tmp_path / name), VoicePack.load(tmp_path / name).tensor):
        torch.testing.assert_close(found, PACK.tensor, rtol=0, atol=1e-5 if form == "compact" else 0)


def test_what_pytorch_wrote_before_its_zip_format_is_read(tmp_path: Path) -> None:
    torch.save(PACK.tensor, tmp_path / "old.bin", _use_new_zipfile_serialization=False)
    assert torch.equal(find(tmp_path / "old.bin"), PACK.tensor)


def test_what_numpy_s_own_savez_writes_is_read(tmp_path: Path) -> None:
    with (tmp_path / "voices-v1.0.bin").open("wb") as file:
        np.savez(file, v=PACK.tensor.numpy(), w=OTHER.tensor.numpy())
    assert torch.equal(find(f"{tmp_path / 'voices-v1.0.bin'}:w"), OTHER.tensor)


@pytest.mark.parametrize("form", ["npz", "bin", "safetensors", "compact"])
def test_one_of_several_is_picked_by_name(tmp_path: Path, form: str) -> None:
    path = tmp_path / "all: of + them.bin"
    write_voices(path, {"v": PACK, "am.onyx": OTHER}, form)
    torch.testing.assert_close(find(f"{path}:am.onyx"), OTHER.tensor, rtol=0, atol=1e-5)
    with pytest.raises(UsageError, match=r"holds 2 voices: choose one as .*:NAME \(am.onyx, v\)"):
        find(path)
    with pytest.raises(UsageError, match=r"holds no voice 'nobody', but am.onyx, v"):
        find(f"{path}:nobody")
    with pytest.raises(UsageError, match="no voice file at .*none.bin"):
        find(f"{tmp_path / 'none.bin'}:v")


def test_a_raw_file_needs_the_exact_size(tmp_path: Path) -> None:
    write_voices(tmp_path / "v.bin", {"v": PACK}, "kokoro-js")
    content = (tmp_path / "v.bin").read_bytes()
    assert len(content) == RAW_BYTES
    for wrong in (content[:-4], content + bytes(4)):
        (tmp_path / "x.bin").write_bytes(wrong)
        with pytest.raises(VoicecloneError, match="is not a Kokoro voice: its content"):
            find(tmp_path / "x.bin")


def test_a_pickle_of_impossible_size_is_not_opened(tmp_path: Path) -> None:
    with (tmp_path / "v.pt").open("wb") as file:
        file.write(b"\x80\x02")
        file.truncate(65 * 2**20)
    with pytest.raises(VoicecloneError, match="is not a Kokoro voice: a voice has half a megabyte"):
        find(tmp_path / "v.pt")


def test_an_array_of_objects_is_never_unpickled(tmp_path: Path) -> None:
    canary = tmp_path / "canary"

    class Evil:
        def __reduce__(self):
            return Path.touch, (canary,)

    buffer = io.BytesIO()
    np.savez(buffer, v=np.array([Evil()], dtype=object))
    for name in ("v.bin", "v.pt", "v.safetensors"):
        (tmp_path / name).write_bytes(buffer.getvalue())
        with pytest.raises(VoicecloneError):
            find(tmp_path / name)
    assert not canary.exists()


def test_files_are_found_without_suffix_and_in_the_home_folder(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    PACK.save(tmp_path / "v1.2.pt")
    for voice in ("~/v1.2", "~/v1.2.pt", "~/v1.2:v1.2", str(tmp_path / "v1.2")):
        assert torch.equal(find(voice), PACK.tensor), voice
    assert file_of("~/v1.2:x") == (tmp_path / "v1.2.pt", "x") and not names_a_file("~/v1.2:x")
    for nonsense in ("", ":", "a:", ":a", "/", "..", "x\0", "~nobody/v", "y" * 5000):
        assert file_of(nonsense) is None, nonsense


def test_official_voices_need_neither_a_base_nor_the_network(monkeypatch) -> None:
    for asked in ("get_weights", "weights_at_hand"):
        monkeypatch.setattr(bases, asked, lambda *a, **k: pytest.fail("a model was asked for"))
    mixed = finder_of("auto").find("0.5*bf_emma + 0.5*am_onyx").tensor
    torch.testing.assert_close(mixed, 0.5 * (PACK.tensor + OTHER.tensor), rtol=0, atol=1e-5)


def test_official_voices_are_not_taken_for_those_of_another_base(base_folder: Path) -> None:
    for voice in ("af_heart", "0.5*af_heart + 0.5*stock_0"):
        with pytest.raises(UsageError, match="'af_heart' in base=.*: it is an official voice.*base kokoro"):
            finder_of(str(base_folder)).find(voice)


def test_a_wrong_voice_beside_an_official_one(base_folder: Path, monkeypatch) -> None:
    with pytest.raises(UsageError, match="no voice 'stock_0': give a voice file or a stock voice of Kokoro-82M"):
        finder_of("auto").find("af_heart,stock_0")


def test_every_command_takes_every_file(tmp_path: Path, base_folder: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    base = ["--base", str(base_folder), "--offline"]
    said = set()
    for form in FORMATS:
        name = f"v {form}, mine"
        assert main(["export", "stock_1", "--name", "v", "--to", form, "--out", name, *base]) == 0
        assert main(["inspect", name, "--json", *base]) == 0
        assert main(["mix", name, "--out", f"{form}.pt", *base]) == 0
        assert main(["mix", f"0.5*{name} + 0.5*stock_1", "--out", f"{form}-mix.pt", *base]) == 0
        assert main(["say", "Hello.", "--voice", name, "--out", f"{form}.wav", *base]) == 0
        for mixed in (f"{form}.pt", f"{form}-mix.pt"):
            assert torch.allclose(find(mixed), bases.load_stock_voices(base_folder)["stock_1"].tensor, atol=1e-5)
        if form != "compact":
            said.add(Path(f"{form}.wav").read_bytes())
    assert len(said) == 1


def test_a_name_that_could_not_be_read_back_is_not_written(tmp_path: Path, capsys) -> None:
    PACK.save(tmp_path / "a:b.pt")
    export = ["export", str(tmp_path / "a:b.pt"), "--to", "bin", "--out", str(tmp_path / "v.bin")]
    assert main(export) == 2
    assert "'a:b' is not a name of a voice within a file: give another with --name" in capsys.readouterr().err
    assert main([*export, "--name", "ab"]) == 0
    assert torch.equal(find(tmp_path / "v.bin"), PACK.tensor)


def test_a_mix_of_odd_names_gets_a_name_that_can_be_written(tmp_path: Path) -> None:
    write_voices(tmp_path / "all.bin", {"v": PACK, "w": OTHER}, "bin")
    PACK.save(tmp_path / "x:y.pt")
    out = tmp_path / "out.bin"
    expression = f"{tmp_path / 'all.bin'}:w(3)+{tmp_path / 'x:y.pt'}"
    assert main(["export", expression, "--to", "bin", "--out", str(out)]) == 0
    torch.testing.assert_close(find(f"{out}:w+x_y"), 0.75 * OTHER.tensor + 0.25 * PACK.tensor)


def test_provenance_goes_along_with_one_of_several(tmp_path: Path) -> None:
    from voiceclone.voice.provenance import stored_provenance

    write_voices(
        tmp_path / "a.safetensors", {"v": PACK, "w": OTHER}, "safetensors", provenance={"w": {"consent": "Ann"}}
    )
    shutil.move(tmp_path / "a.safetensors", tmp_path / "a.bin")
    out = tmp_path / "w.safetensors"
    assert main(["export", f"{tmp_path / 'a.bin'}:w", "--to", "compact", "--out", str(out)]) == 0
    assert stored_provenance(out) == {"w": {"consent": "Ann"}}


def test_files_that_were_exported_elsewhere() -> None:
    for name in ("mine.bin", "mine.safetensors"):
        assert find(needs_shared("cases", "own-export-as-voice", name)).shape == SHAPE
