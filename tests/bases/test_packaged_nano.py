"""The base inside the package: there, small, named, and it speaks."""

from __future__ import annotations

import torch

from voiceclone import load_base
from voiceclone.models.frozen_kokoro import FrozenKokoro
from voiceclone.models.presets import NANO_FOLDER
from voiceclone.projection.losses import MIN_VOICED_HZ
from voiceclone.projection.stock_table import SENTENCES, find_table
from voiceclone.text.g2p import Phonemizer
from voiceclone.voice.health import HealthRange, examine


def test_it_is_whole_and_small() -> None:
    base = load_base("nano")
    assert base.kind == "nano" and base.info["name"] == "nano" and base.info["sha256"] == base.sha256
    assert base.own_encoders is not None and len(base.stock_voices) >= 30
    assert sum(path.stat().st_size for path in NANO_FOLDER.rglob("*")) <= 20e6
    card = (NANO_FOLDER / "README.md").read_text()
    assert "Kept out of training" in card and "## Measured" in card and "## Limits" in card


def test_its_two_pairs_of_encoders_are_different_spaces() -> None:
    base = load_base("nano")
    mel = torch.randn(1, 80, 200, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert not torch.allclose(base.style_encoders(mel), base.own_encoders(mel), atol=0.05)


def test_its_voices_are_healthy_vary_with_length_and_speak() -> None:
    base = load_base("nano")
    expected = HealthRange.of(base.stock_voices.values())
    for name, pack in base.stock_voices.items():
        assert examine(pack, expected).healthy, name
        assert not torch.equal(pack.row(5), pack.row(200)), name
    pipeline = base.pipeline("a", offline=True)
    lengths = [
        sum(r.audio.numel() for r in pipeline("We meet again.", voice=name)) for name in list(base.stock_voices)[:3]
    ]
    assert all(12_000 < length < 120_000 for length in lengths)


def test_its_table_says_how_its_own_voices_sound() -> None:
    base = load_base("nano")
    table = find_table(base)
    assert table is not None and set(table.names) == set(base.stock_voices)
    kokoro, texts = FrozenKokoro(base.kmodel, torch.device("cpu")), Phonemizer("a", offline=True)
    text = kokoro.text(texts.phonemes(SENTENCES[0]))
    for index in (int(table.prosody[:, 0].argmin()), int(table.prosody[:, 0].argmax())):
        spoken = kokoro.utter(text, base.stock_voices[table.names[index]].row(text.phoneme_count))
        voiced = spoken.f0[spoken.f0 > MIN_VOICED_HZ].log()
        assert abs(float(voiced.mean() - table.prosody[index, 0])) < 0.1  # 1.7 semitones: one sentence of three
    assert float(table.prosody[:, 0].max() - table.prosody[:, 0].min()) > 0.4
