"""Speech with phone labels: by a model's own durations, and by forced alignment with a classifier."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from voiceclone.audio.features import FRAME_SAMPLES, LogMel
from voiceclone.audio.io import write_wav
from voiceclone.base_training.phone_classifier import LabelledSpeech, frame_accuracy_percent
from voiceclone.base_training.phone_speech import (
    Labelled,
    align_recording,
    align_recordings,
    labelled,
    read_recordings,
)
from voiceclone.bases.base import load_base
from voiceclone.data.rows import Row
from voiceclone.models.frozen_kokoro import FrozenKokoro
from voiceclone.nets.phone_classifier import UNLABELLED, load_phone_classifier

PHONEMES = "ðə smˈɔl ɡɹˈin bˈOt kɹˈɔst ðə ɹˈɪvəɹ, ænd wi ˈɔl lˈʊkt ˈʌp."


@pytest.fixture(scope="module")
def utterance() -> tuple[np.ndarray, str, torch.Tensor]:
    """A sentence of nano's, its symbols and true durations."""
    base = load_base("nano", offline=True)
    kokoro = FrozenKokoro(base.kmodel, torch.device("cpu"))
    text = kokoro.text(PHONEMES)
    torch.manual_seed(0)
    audio, durations = kokoro.speak(text, base.stock_voices["af_heart"].row(text.phoneme_count))
    return audio.detach().numpy(), text.symbols, durations


def test_labels_of_a_models_speech_follow_its_durations(utterance) -> None:
    audio, symbols, durations = utterance
    one = labelled(audio, symbols, durations, LogMel())
    frames = int(durations.sum())
    assert one.labels.shape == (frames,) and one.mel.shape == (80, 2 * frames) and one.mel.dtype == np.float16
    assert (one.labels[: int(durations[0])] == UNLABELLED).all() and (one.labels != UNLABELLED).sum() > 30


def test_a_recording_is_aligned_near_the_true_boundaries(tmp_path, utterance) -> None:
    audio, symbols, durations = utterance
    write_wav(tmp_path / "a.wav", audio)
    row = Row(path=tmp_path / "a.wav", speaker="s", text="", phonemes=symbols, durations=None)
    (recording,) = read_recordings([row], phonemize=lambda text: text)
    aligned = align_recording(recording, load_phone_classifier())
    assert aligned is not None and aligned.speaker == "s" and len(aligned.labels) == recording.mel.shape[1] // 2
    true = labelled(audio, symbols, durations, LogMel()).labels
    # The silence at both ends was trimmed: align the first labelled frames before comparing.
    shift = int(np.argmax(true != UNLABELLED)) - int(np.argmax(aligned.labels != UNLABELLED))
    count = min(len(true) - max(shift, 0), len(aligned.labels) - max(-shift, 0))
    true, found = true[max(shift, 0) :][:count], aligned.labels[max(-shift, 0) :][:count]

    def near(labels: np.ndarray) -> float:
        """Share of the labelled frames that have the same true label within 75 ms."""
        window = [true[max(i - 3, 0) : i + 4] for i in range(count)]
        return float(np.mean([labels[i] in window[i] for i in range(count) if labels[i] != UNLABELLED]))

    assert near(found) > 0.8 and near(np.roll(found, 15)) < 0.5


def test_a_text_longer_than_its_recording_is_left_out(tmp_path, utterance) -> None:
    audio, symbols, _ = utterance
    write_wav(tmp_path / "a.wav", audio[: 20 * FRAME_SAMPLES])
    row = Row(path=tmp_path / "a.wav", speaker="s", text="", phonemes=symbols, durations=None)
    missing = Row(path=tmp_path / "b.wav", speaker="s", text="", phonemes=symbols, durations=None)
    recordings = read_recordings([row, missing], phonemize=lambda text: text)
    assert len(recordings) == 1 and align_recordings(recordings, load_phone_classifier()) == []


def test_crops_come_from_both_kinds_and_accuracy_is_a_share() -> None:
    def made(code: int) -> Labelled:
        return Labelled(mel=np.full((80, 200), code, dtype=np.float16), labels=np.full(100, code))

    speech = LabelledSpeech([made(1)], [made(2)])
    mels, labels = speech.crops(64, 50, 0.5, np.random.default_rng(0))
    assert mels.shape == (64, 80, 100) and labels.shape == (64, 50)
    assert 10 < int((labels[:, 0] == 2).sum()) < 54 and torch.equal(mels[:, 0, 0].long(), labels[:, 0])
    _, labels = speech.crops(8, 50, 0.0, np.random.default_rng(0))
    assert (labels == 1).all()
    share = frame_accuracy_percent(load_phone_classifier(), [made(1), made(2)])
    assert 0 <= share["frame_accuracy_percent"] <= 100 and share["utterances"] == 2
