"""Durations of recorded speech in the convention of the base that is trained further on it."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from voiceclone.audio.features import LogMel
from voiceclone.base_training.finetuned_base import FinetunedBase
from voiceclone.base_training.stock_voices import MIN_MEL_FRAMES
from voiceclone.bases.base import Base
from voiceclone.errors import VoicecloneError
from voiceclone.models.frozen_kokoro import FrozenKokoro
from voiceclone.nets.phone_classifier import frame_accuracy, frame_labels, load_phone_classifier
from voiceclone.projection.targets import aligned_to_base
from voiceclone.style.encoders import StyleEncoders
from voiceclone.text.normalization import ENGLISH

MIN_ACCURACY = 0.4
"""Share of the frames with the aligned phone by the phone classifier below which a recording is refused. Fourteen
recordings of one speaker had 0.68 to 0.89 with their own texts, 0.05 to 0.22 with another one's."""


class BaseAligner:
    """Callable ``(audio, text, phonemes) -> durations``. The base's speech of the phonemes is warped to the audio.

    A model divides the time of a phrase among letters, stress marks and spaces in its own way, and places every
    boundary some frames early or late. With durations in another convention, such as eSpeak-NG's phone times, its
    decoder reads every frame under a wrong token, and fine-tuning first has to unlearn the convention.

    Args:
        base: synthesises; its voice is the style of the recording.
        encoders: the pair whose styles are the base's voices, in eval mode.
        english: compare the phone classifier's posteriors beside the mels, and refuse recordings of other texts.

    Attributes:
        key: identifies the durations in a cache.
    """

    def __init__(self, base: Base, encoders: StyleEncoders, *, english: bool) -> None:
        self.kokoro, self.encoders = FrozenKokoro(base.kmodel, torch.device("cpu")), encoders
        self.phone_classifier = load_phone_classifier() if english else None
        self.log_mel = LogMel()
        # English and other languages are aligned in different ways.
        self.key = f"base {base.sha256}{' english' if english else ''}"

    @torch.no_grad()
    def __call__(self, audio: np.ndarray, text: str, phonemes: str) -> np.ndarray:
        """Durations of every token in frames of 25 ms, int64 ``(len(phonemes) + 2,)``.

        Args:
            audio: ``(T,)`` at 24 kHz, T a multiple of 600.
            text: what is spoken; not used.
            phonemes: its misaki symbols, all in the base's vocabulary.

        Raises:
            VoicecloneError: the audio does not match the text.
            ValueError: the audio has fewer frames than tokens.
        """
        mel = self.log_mel(torch.from_numpy(np.ascontiguousarray(audio))[None])[0]
        mel = mel[:, : mel.shape[1] // 2 * 2]
        long = mel.repeat(1, -(-MIN_MEL_FRAMES // mel.shape[1]))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            alignment, _ = aligned_to_base(
                mel,
                self.kokoro.text(phonemes),
                self.kokoro,
                self.encoders(long[None]),
                self.log_mel,
                phone_classifier=self.phone_classifier,
            )
        self._check(mel, phonemes, alignment.durations)
        return alignment.durations.numpy()

    def _check(self, mel: Tensor, phonemes: str, durations: Tensor) -> None:
        if self.phone_classifier is None:
            return
        accuracy = frame_accuracy(self.phone_classifier(mel[None]), frame_labels(phonemes, durations)[None])
        if accuracy < MIN_ACCURACY:
            raise VoicecloneError(f"the audio does not seem to say its text ({accuracy:.0%} of its phones are heard)")


def aligner_of(base: FinetunedBase, language: str) -> BaseAligner:
    """The aligner to the base that is fine-tuned, for recordings in Kokoro's language code ``language``.

    Raises:
        UsageError: the base does not include its encoders.
        VoicecloneError: its files are not available, or are damaged.
    """
    return BaseAligner(base.load_for_alignment(), base.encoders(), english=language in ENGLISH)
