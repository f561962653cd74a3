"""Speech with frame-level phone labels: a teacher's synthesis, and recordings aligned by a phone classifier.

For a teacher's speech the durations give the symbol of each frame. For recordings with text only, the classifier's
scores are aligned to the phonemes by the best monotonic path (Viterbi forced alignment). A classifier trained on a
teacher's speech labels the recordings on which the next one is also trained.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from voiceclone.alignment.conditioning import condition
from voiceclone.alignment.forward_sum import best_path
from voiceclone.audio.features import FRAME_SAMPLES, LogMel
from voiceclone.audio.io import read_audio
from voiceclone.base_training.corpus import Corpus
from voiceclone.data.rows import Row
from voiceclone.errors import VoicecloneError
from voiceclone.nets.phone_classifier import UNLABELLED, PhoneClassifier, frame_labels
from voiceclone.text.alphabet import ALPHABET, DROPPED, to_alphabet

logger = logging.getLogger(__name__)

SILENCE_DB = -35.0
"""Level in dB relative to an utterance's loudest frame, below which a frame counts as a pause."""
PAUSE_SCORE = {True: 0.5, False: 0.02}
"""Probability of a pause or punctuation mark in a silent (True) and in a sounding frame."""


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """One utterance with the phone of every frame."""

    mel: np.ndarray = field(repr=False)
    """float16 ``(80, 2F)``, normalised log-mel."""
    labels: np.ndarray = field(repr=False)
    """int64 ``(F,)`` for frames of 25 ms; ``UNLABELLED`` in pauses."""
    speaker: str = ""


@torch.no_grad()
def labelled(audio: np.ndarray, phonemes: str, durations: Tensor, log_mel: LogMel, speaker: str = "") -> Labelled:
    """Label an utterance of a model: audio ``(600 F,)``, and the frames of BOS, each symbol and EOS, with sum F."""
    labels = frame_labels(phonemes, durations)
    mel = log_mel(torch.from_numpy(audio)[None])[0, :, : 2 * len(labels)]
    return Labelled(mel=mel.numpy().astype(np.float16), labels=labels.numpy(), speaker=speaker)


def teacher_speech(corpus: Corpus, indices: Iterable[int]) -> list[Labelled]:
    """Labelled utterances of a teacher's corpus."""
    log_mel = LogMel()
    return [
        labelled(corpus.audio(i), corpus.utterances[i].phonemes, torch.tensor(corpus.utterances[i].durations), log_mel)
        for i in indices
    ]


@dataclass(frozen=True, kw_only=True)
class PhonemizedRecording:
    """A recording with its phonemes and without times."""

    mel: np.ndarray = field(repr=False)
    """float16 ``(80, 2F)``."""
    silent: np.ndarray = field(repr=False)
    """bool ``(F,)``."""
    phonemes: str
    speaker: str


@torch.no_grad()
def read_recordings(rows: Iterable[Row], phonemize: Callable[[str], str]) -> list[PhonemizedRecording]:
    """Rows of datasets as recordings; unreadable ones are left out with a warning."""
    log_mel, found = LogMel(), []
    for row in rows:
        try:
            audio = condition(read_audio(row.path))
        except VoicecloneError as error:
            logger.warning("%s is left out: %s", row.path, error)
            continue
        frames = len(audio) // FRAME_SAMPLES
        power = np.square(audio.reshape(frames, FRAME_SAMPLES)).mean(axis=1)
        mel = log_mel(torch.from_numpy(audio)[None])[0, :, : 2 * frames]
        found.append(
            PhonemizedRecording(
                mel=mel.numpy().astype(np.float16),
                silent=10 * np.log10(power / power.max() + 1e-9) < SILENCE_DB,
                phonemes=row.phonemes or phonemize(row.text),
                speaker=row.speaker,
            )
        )
    return found


@torch.no_grad()
def align_recording(recording: PhonemizedRecording, net: PhoneClassifier) -> Labelled | None:
    """The recording with labels by forced alignment; None where it has fewer frames than symbols."""
    symbols = [s for s in recording.phonemes if s not in DROPPED]
    codes = [_code(symbol) for symbol in symbols]
    chances = torch.softmax(net(torch.from_numpy(recording.mel.astype(np.float32))[None])[0], dim=0)
    silent = torch.from_numpy(recording.silent)
    pause = torch.where(silent, PAUSE_SCORE[True], PAUSE_SCORE[False])
    # A phone in a silent frame is possible (closures), but never more probable than a pause.
    chances = torch.where(silent, chances * (1 - PAUSE_SCORE[True]), chances)
    states = [UNLABELLED, *codes, UNLABELLED]
    scores = torch.stack([pause if code == UNLABELLED else chances[code] for code in states]).clamp(min=1e-5).log()
    try:
        durations = best_path(scores)
    except ValueError:
        return None
    labels = torch.repeat_interleave(torch.tensor(states), durations)
    return Labelled(mel=recording.mel, labels=labels.numpy(), speaker=recording.speaker)


def align_recordings(recordings: Iterable[PhonemizedRecording], net: PhoneClassifier) -> list[Labelled]:
    """Those recordings that can be aligned."""
    return [found for recording in recordings if (found := align_recording(recording, net)) is not None]


def _code(symbol: str) -> int:
    phones = to_alphabet(symbol)
    return ALPHABET.index(phones[0]) if phones and phones[0] in ALPHABET else UNLABELLED
