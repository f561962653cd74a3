"""``say --expressive`` and ``export --variants``, with and without deviations beside the voice."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from voiceclone.bases.base import load_base
from voiceclone.cli.main import main
from voiceclone.models.presets import tiny_config
from voiceclone.voice.expressive import GAUSSIAN, NEAREST, Deviations, deviations_beside
from voiceclone.voice.formats import read_voices

TEXT = "This is a sentence that is long enough to be spoken with some expression."


WIDTH = tiny_config()["plbert"]["hidden_size"]


@pytest.fixture
def mine(base_folder: Path, tmp_path: Path) -> Path:
    path = tmp_path / "mine.pt"
    load_base(base_folder).stock_voices["stock_1"].save(path)
    write_deviations(path)
    return path


def write_deviations(path: Path, kind: str = GAUSSIAN, width: int = WIDTH) -> None:
    """Random deviations beside a voice's file, of a base whose PL-BERT has this width."""
    generator = torch.Generator().manual_seed(0)
    fitted = torch.randn(20, 4, generator=generator)
    Deviations(
        kind=kind, directions=0.3 * torch.randn(4, 128, generator=generator), fitted=fitted - fitted.mean(0),
        texts=torch.zeros(20, 3, 32), text_mean=torch.zeros(width), text_basis=torch.zeros(width, 32), limit=3.0,
    ).save(deviations_beside(path))  # fmt: skip


def test_strength_zero_is_the_plain_voice_and_more_is_not(mine, base_folder, tmp_path):
    def say(name: str, *flags: str) -> bytes:
        out = tmp_path / f"{name}.wav"
        command = ["say", TEXT, "--voice", str(mine), "--base", str(base_folder), "--out", str(out), *flags]
        assert main(command) == 0
        return out.read_bytes()

    plain = say("plain")
    assert say("none", "--expressive", "0") == plain
    assert say("some", "--expressive", "1") != plain
    assert say("other", "--expressive", "1", "--seed", "1") != say("again", "--expressive", "1")


@pytest.mark.parametrize(
    ("kind", "width", "code"),
    [
        pytest.param(GAUSSIAN, WIDTH + 1, 0, id="the text is not used"),
        pytest.param(NEAREST, 128, 0, id="nano reads the text"),
        pytest.param(NEAREST, WIDTH + 1, 2, id="an unknown base"),
    ],
)
def test_deviations_of_another_base(mine, base_folder, tmp_path, capsys, kind, width, code):
    write_deviations(mine, kind, width)
    command = ["say", TEXT, "--voice", str(mine), "--base", str(base_folder), "--out", str(tmp_path / "a.wav")]
    assert main([*command, "--expressive", "1"]) == code
    assert ("as another base than" in capsys.readouterr().err) == (code == 2)


def test_variants_are_ordinary_voices(mine, tmp_path, capsys):
    out = tmp_path / "five.npz"
    assert main(["export", str(mine), "--to", "npz", "--variants", "3", "--out", str(out)]) == 0
    voices = read_voices(out)
    assert sorted(voices) == ["mine_1", "mine_2", "mine_3"]
    plain = next(iter(read_voices(mine).values())).tensor
    for pack in voices.values():
        assert torch.equal(pack.tensor[..., :128], plain[..., :128])
        assert not torch.equal(pack.tensor[..., 128:], plain[..., 128:])
    assert main(["export", str(mine), "--to", "pt", "--variants", "3", "--out", str(tmp_path / "a.pt")]) == 2
    assert "holds one voice" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--voice", "stock_0", "--expressive", "0.5"], "stock_0 has no .style.safetensors beside it"),
        (["--voice", "stock_0", "--expressive", "2"], "--expressive 2.0: use a number between 0 and 1"),
        (["--voice", "stock_0", "--expressive", "1", "--beta", "1"], "leave one out"),
    ],
)
def test_wrong_calls_are_refused_in_one_line(base_folder, tmp_path, capsys, flags, message):
    out = tmp_path / "a.wav"
    assert main(["say", TEXT, "--base", str(base_folder), "--out", str(out), *flags]) == 2
    assert message in capsys.readouterr().err
    assert not out.exists()


def test_a_damaged_file_is_refused(mine, base_folder, tmp_path, capsys):
    deviations_beside(mine).write_bytes(deviations_beside(mine).read_bytes()[:100])
    command = ["say", TEXT, "--voice", str(mine), "--base", str(base_folder), "--out", str(tmp_path / "a.wav")]
    assert main([*command, "--expressive", "1"]) == 1
    assert "is damaged" in capsys.readouterr().err
