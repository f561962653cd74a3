"""The compact format: accuracy, size, and rejected voices."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from voiceclone.cli.main import main
from voiceclone.errors import VoicecloneError
from voiceclone.voice.compact import RANK, TOLERANCE, compact_keys, compress, expand_compact, voices_of
from voiceclone.voice.formats import read_voices
from voiceclone.voice.official import official_voice
from voiceclone.voice.pack import SHAPE, VoicePack
from voiceclone.voice.profile import LengthProfile


def smooth(seed: int = 0) -> VoicePack:
    """A voice as made by a clone: one vector expanded over the lengths."""
    base = 0.2 * torch.randn(1, 256, generator=torch.Generator().manual_seed(seed))
    profile = LengthProfile.measured([official_voice(name) for name in ("af_heart", "am_adam", "bf_emma")])
    return profile.expand(base, f"v{seed}")


def test_a_voice_of_rank_16_comes_back_and_has_a_tenth_of_the_size(tmp_path: Path, capsys) -> None:
    pack = smooth()
    pack.save(tmp_path / "v.pt")
    out = tmp_path / "v.safetensors"
    assert main(["export", str(tmp_path / "v.pt"), "--to", "compact", "--out", str(out)]) == 0
    assert "no value changed by more than" in capsys.readouterr().err
    assert set(load_file(out)) == {"v.mean", "v.rows", "v.basis"}
    assert out.stat().st_size < (tmp_path / "v.pt").stat().st_size / 9
    assert float((read_voices(out)["v"].tensor - pack.tensor).abs().max()) < 1e-5


def test_a_second_compression_changes_values_negligibly() -> None:
    once = expand_compact(compress(smooth()), "v")
    twice = expand_compact(compress(once), "v")
    assert float((twice.tensor - once.tensor).abs().max()) < 2e-6


@pytest.mark.parametrize(("noise", "fits"), [(1e-4, True), (0.05, False)])
def test_a_voice_of_full_rank_is_refused_by_its_error(tmp_path: Path, noise: float, fits: bool, capsys) -> None:
    rough = torch.randn(SHAPE, generator=torch.Generator().manual_seed(1))
    VoicePack(smooth().tensor + noise * rough, "v").save(tmp_path / "v.pt")
    arguments = ["export", str(tmp_path / "v.pt"), "--to", "compact", "--out", str(tmp_path / "v.safetensors")]
    assert main(arguments) == (0 if fits else 1)
    if not fits:
        assert f"'v' has no compact form: rank {RANK} changes its values by up to" in capsys.readouterr().err
    else:
        error = float(
            (read_voices(tmp_path / "v.safetensors")["v"].tensor - VoicePack.load(tmp_path / "v.pt").tensor).abs().max()
        )
        assert 1e-5 < error <= TOLERANCE
    assert (tmp_path / "v.safetensors").exists() == fits


def test_whole_and_compact_voices_in_one_file(tmp_path: Path) -> None:
    a, b = smooth(1), smooth(2)
    save_file({"a.mean": a.tensor, **compact_keys(compress(b), "b.rows")}, tmp_path / "v.safetensors")
    found = read_voices(tmp_path / "v.safetensors")
    assert list(found) == ["a.mean", "b.rows"]  # names are told from parts by their shape
    assert torch.equal(found["a.mean"].tensor, a.tensor)
    assert torch.allclose(found["b.rows"].tensor, b.tensor, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"rows": None}, "lacks rows"),
        ({"rows": torch.zeros(509, 16)}, "wrong shapes"),
        ({"basis": torch.zeros(15, 256)}, "wrong shapes"),
        ({"rows": torch.zeros(510, 0), "basis": torch.zeros(0, 256)}, "wrong shapes"),
        ({"mean": torch.zeros(256, dtype=torch.int32)}, "wrong shapes"),
        ({"mean": torch.full((256,), torch.nan)}, "NaN"),
    ],
)
def test_parts_that_do_not_fit_are_refused(change: dict[str, torch.Tensor | None], says: str) -> None:
    parts = {part: tensor for part, tensor in {**compress(smooth()), **change}.items() if tensor is not None}
    with pytest.raises(VoicecloneError, match=says):
        voices_of(compact_keys(parts, "v"))


def test_adding_keeps_what_is_there(tmp_path: Path) -> None:
    out = str(tmp_path / "all.safetensors")
    for name in ("a", "b"):
        smooth(len(name)).save(tmp_path / f"{name}.pt")
        assert main(["export", str(tmp_path / f"{name}.pt"), "--to", "compact", "--out", out, "--add"]) == 0
    assert list(read_voices(Path(out))) == ["a", "b"]
