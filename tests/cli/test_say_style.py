"""``say`` with a style sampled for every piece, on a base with a random style sampler."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import soundfile
import torch
from support import settle

from voiceclone.bases.base import load_base
from voiceclone.cli.main import main
from voiceclone.models.checkpoint import save_state
from voiceclone.models.presets import preset
from voiceclone.models.styletts2.diffusion import StyleDiffusion, denoiser_config
from voiceclone.style.encoders import StyleEncoderConfig, build_style_encoders
from voiceclone.style.sampling import SampledVoice, SamplingSettings

TEXT = "Good morning to all of you, my friends."
PHONEMES = "ɡʊd mˈɔɹnɪŋ tə ˈɔl ʌv ju"


@pytest.fixture(scope="module")
def sampling_base(base_folder: Path, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("sampling") / "base"
    shutil.copytree(base_folder, folder)
    config, widths = preset("tiny")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        sampler = StyleDiffusion(denoiser_config(config, reference=True))
        sampler.calibrate(0.2 * torch.randn(60, 256))
        save_state(settle(build_style_encoders(StyleEncoderConfig(**widths))), folder / "own_encoders.safetensors")
    save_state(sampler, folder / "style_diffusion.safetensors")
    return folder


def drawn(folder: Path, *phonemes: str, seed: int = 0, text: str | None = None, **settings):
    base = load_base(folder)
    rows = base.stock_voices["stock_0"].tensor
    voice = SampledVoice(base.kmodel, base.style_sampler, rows, SamplingSettings(**settings), seed=seed, text=text)
    return rows, [voice(one) for one in phonemes]


def test_without_alpha_and_beta_it_is_the_plain_voice_bit_for_bit(sampling_base, tmp_path):
    for name, flags in (("plain", []), ("none", ["--alpha", "0", "--beta", "0"]), ("some", ["--beta", "0.9"])):
        out = tmp_path / f"{name}.wav"
        assert main(["say", TEXT, "--voice", "stock_1", "--base", str(sampling_base), "--out", str(out), *flags]) == 0
    assert (tmp_path / "plain.wav").read_bytes() == (tmp_path / "none.wav").read_bytes()
    assert (tmp_path / "plain.wav").read_bytes() != (tmp_path / "some.wav").read_bytes()


def test_alpha_moves_the_timbre_and_beta_the_prosody(sampling_base):
    rows, (only_alpha,) = drawn(sampling_base, PHONEMES, alpha=1.0, beta=0.0)
    own = rows[len(PHONEMES) - 1]
    assert torch.equal(only_alpha[3, 0, 128:], own[0, 128:]) and not torch.equal(only_alpha[3, 0, :128], own[0, :128])
    _, (only_beta,) = drawn(sampling_base, PHONEMES, alpha=0.0, beta=1.0)
    assert torch.equal(only_beta[3, 0, :128], own[0, :128]) and not torch.equal(only_beta[3, 0, 128:], own[0, 128:])


def test_same_seed_same_style_and_carry_keeps_to_the_last_piece(sampling_base):
    _, first = drawn(sampling_base, PHONEMES, PHONEMES, carry=0.0, alpha=1.0, beta=1.0)
    _, again = drawn(sampling_base, PHONEMES, PHONEMES, carry=0.0, alpha=1.0, beta=1.0)
    assert all(torch.equal(a, b) for a, b in zip(first, again))
    assert not torch.equal(first[0], first[1])
    _, other = drawn(sampling_base, PHONEMES, seed=1, alpha=1.0, beta=1.0)
    assert not torch.equal(first[0], other[0])
    _, kept = drawn(sampling_base, PHONEMES, PHONEMES, carry=1.0, alpha=1.0, beta=1.0)
    assert torch.allclose(kept[0], kept[1])


def test_short_texts_are_moved_less_and_another_text_may_decide(sampling_base):
    rows, (short,) = drawn(sampling_base, "hɛlˈO", alpha=1.0, beta=1.0, text=PHONEMES)
    _, (long,) = drawn(sampling_base, PHONEMES, alpha=1.0, beta=1.0)
    moved = (short[0] - rows[4]).norm() / (long[0] - rows[4]).norm()
    assert moved < 0.5
    _, (own_text,) = drawn(sampling_base, "hɛlˈO", alpha=1.0, beta=1.0)
    assert not torch.equal(own_text, short)


def test_variants_are_files_that_differ_and_a_clip_gives_the_style(sampling_base, tmp_path, capsys):
    clip = tmp_path / "clip.wav"
    command = ["say", TEXT, "--voice", "stock_1", "--base", str(sampling_base)]
    assert main([*command, "--out", str(clip)]) == 0
    capsys.readouterr()
    said = [*command, "--variants", "2", "--json", "--style-from", str(clip), "--style-text", "How are you?"]
    assert main([*said, "--out", str(tmp_path / "v.wav")]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert [Path(one["out"]).name for one in facts] == ["v_1.wav", "v_2.wav"]
    assert (tmp_path / "v_1.wav").read_bytes() != (tmp_path / "v_2.wav").read_bytes()
    assert soundfile.info(tmp_path / "v_1.wav").frames > 2400
    assert main([*said, "--out", str(tmp_path / "v.wav")]) == 2
    assert "v_1.wav exists" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--alpha", "2"], "--alpha 2.0: use a number between 0 and 1"),
        (["--beta", "nan"], "--beta nan"),
        (["--diffusion-steps", "1"], "from 2 to"),
        (["--guidance", "-1"], "between 0 and 10"),
        (["--variants", "0"], "from 1 to"),
        (["--style-from", "nowhere.wav"], "no such file"),
        (["--style-text", "..."], "no word of it can be spoken"),
        (["--variants", "2", "--out", "-"], "give --out FILE"),
    ],
)
def test_wrong_values_are_refused_in_one_line(sampling_base, tmp_path, capsys, monkeypatch, flags, message):
    monkeypatch.chdir(tmp_path)
    assert main(["say", TEXT, "--voice", "stock_1", "--base", str(sampling_base), *flags]) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert message in error[-1]
    assert not list(tmp_path.glob("*.wav"))


def test_a_base_without_a_sampler_refuses(base_folder, tmp_path, capsys):
    out = tmp_path / "a.wav"
    command = ["say", TEXT, "--voice", "stock_1", "--base", str(base_folder), "--out", str(out)]
    assert main([*command, "--beta", "0.5"]) == 2
    assert "has no style sampler" in capsys.readouterr().err
    assert not out.exists()
