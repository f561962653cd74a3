"""The packaged nano base: present, small, in Kokoro's voice space, and able to speak."""

from __future__ import annotations

import torch

from voiceclone import load_base
from voiceclone.audio.features import MIN_VOICED_HZ
from voiceclone.bases.base import load_stock_voices
from voiceclone.models.frozen_kokoro import FrozenKokoro
from voiceclone.models.nano import count_parameters
from voiceclone.models.presets import NANO_FOLDER, nano_config
from voiceclone.projection.stock_table import SENTENCES, find_table
from voiceclone.text.g2p import Phonemizer
from voiceclone.voice.health import HealthRange, examine
from voiceclone.voice.space import KOKORO_SPACE


def test_it_is_whole_and_small() -> None:
    base = load_base("nano")
    assert base.kind == "nano" and base.info["name"] == "nano" and base.info["sha256"] == base.sha256
    assert count_parameters(base.kmodel)["total"] <= 12e6
    assert sum(path.stat().st_size for path in NANO_FOLDER.rglob("*")) <= 25e6
    assert base.config == nano_config()
    card = (NANO_FOLDER / "README.md").read_text()
    assert "trained on the speech of Kokoro-82M" in card and "## Measured" in card and "## Limits" in card


def test_it_shares_kokoros_voices_and_encoders() -> None:
    base = load_base("nano")
    assert base.voice_space == KOKORO_SPACE and base.styles_are_voices and base.own_encoders is None
    official = load_stock_voices("kokoro")
    assert list(base.stock_voices) == list(official) and len(official) == 54
    assert all(torch.equal(base.stock_voices[name].tensor, official[name].tensor) for name in ("af_heart", "zm_yunxi"))


def test_its_voices_are_healthy_vary_with_length_and_speak() -> None:
    base = load_base("nano")
    expected = HealthRange.of(base.stock_voices.values())
    for name, pack in base.stock_voices.items():
        assert examine(pack, expected).healthy, name
        assert not torch.equal(pack.row(5), pack.row(200)), name
    pipeline = base.pipeline("a")
    lengths = [
        sum(r.audio.numel() for r in pipeline("We meet again.", voice=name)) for name in ("af_heart", "am_michael")
    ]
    assert all(12_000 < length < 120_000 for length in lengths)


def test_kokoros_table_of_its_stock_voices_holds_for_it() -> None:
    base = load_base("nano")
    table = find_table(base)
    assert table is not None and set(table.names) == set(base.stock_voices)
    kokoro, texts = FrozenKokoro(base.kmodel, torch.device("cpu")), Phonemizer("a")
    text = kokoro.text(texts.phonemes(SENTENCES[0]))
    for index in (int(table.prosody[:, 0].argmin()), int(table.prosody[:, 0].argmax())):
        spoken = kokoro.utter(text, base.stock_voices[table.names[index]].row(text.phoneme_count))
        voiced = spoken.f0[spoken.f0 > MIN_VOICED_HZ].log()
        assert abs(float(voiced.mean() - table.prosody[index, 0])) < 0.1  # 1.7 semitones: one sentence of three
    assert float(table.prosody[:, 0].max() - table.prosody[:, 0].min()) > 0.4
