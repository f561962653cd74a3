"""Durations of recorded speech by warping eSpeak-NG's synthesis of the same text to it."""

from __future__ import annotations

import numpy as np
import torch

from voiceclone.alignment.conditioning import trim_and_level
from voiceclone.alignment.durations import MAX_EDIT_COST, durations_from_events, whole_frames
from voiceclone.alignment.features import clip_features
from voiceclone.alignment.warping import carried, warp_path
from voiceclone.audio.features import FRAME_SAMPLES, SAMPLE_RATE, LogMel
from voiceclone.audio.io import resample
from voiceclone.errors import VoicecloneError
from voiceclone.text.espeak import EspeakSynthesizer

VOICES = ("en-us+f2", "en-us+m3", "en-us")


class EspeakAligner:
    """Callable ``(audio, text, phonemes) -> durations``. The best of several eSpeak-NG voices is warped to the audio.

    Dynamic time warping on cepstra (no harmonics) normalised to zero mean and unit variance, which removes most of the
    differences between speakers and channels. The phoneme times of the eSpeak-NG synthesis are exact, and are mapped
    along the warping path.
    """

    def __init__(self, voices: tuple[str, ...] = VOICES, *, max_cost: float = 0.6) -> None:
        self.engine, self.voices, self.max_cost = EspeakSynthesizer(), voices, max_cost
        self.log_mel = LogMel()

    def __call__(self, audio: np.ndarray, text: str, phonemes: str) -> np.ndarray:
        """Durations of every token in frames of 25 ms, int64 ``(len(phonemes) + 2,)``.

        Args:
            audio: ``(T,)`` at 24 kHz, T a multiple of 600.
            text: what is spoken.
            phonemes: its misaki symbols.

        Raises:
            VoicecloneError: the audio does not match the text.
        """
        frames = len(audio) // FRAME_SAMPLES
        target = self._features(audio)
        best_cost, best = np.inf, None
        for voice in self.voices:
            speech = self.engine.speak(text, voice, rate_wpm=155)
            reference, events = trim_and_level(resample(speech.audio, speech.sample_rate), speech.events)
            durations, edit = durations_from_events(phonemes, events, len(reference) / SAMPLE_RATE)
            if edit > MAX_EDIT_COST:
                continue
            cost, warped = warp_boundaries(self._features(reference), target, np.cumsum(durations)[:-1] * 2)
            if cost < best_cost:
                best_cost, best = cost, warped
        if best is None or best_cost > self.max_cost:
            raise VoicecloneError(f"the audio does not seem to say its text (warping cost {best_cost:.2f})")
        boundaries = np.concatenate([[0.0], best / 2.0, [frames]])
        return whole_frames(boundaries, frames)

    def _features(self, audio: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return clip_features(self.log_mel(torch.from_numpy(np.ascontiguousarray(audio))[None])[0].numpy())


def warp_boundaries(reference: np.ndarray, target: np.ndarray, boundaries: np.ndarray) -> tuple[float, np.ndarray]:
    """Map ``boundaries`` (frames of ``reference``) to ``target`` along the path of lowest cost.

    Args:
        reference: features ``(D, R)``.
        target: features ``(D, T)``.
        boundaries: int, 1 to R - 1.

    Returns:
        Mean cosine distance (0-2) of a step of the path; boundaries in frames of ``target``, float, ascending.
    """
    cost, path = warp_path(1.0 - _unit(reference).T @ _unit(target))
    return cost, carried(np.clip(boundaries, 1, reference.shape[1] - 1), path)


def _unit(features: np.ndarray) -> np.ndarray:
    return features / (np.linalg.norm(features, axis=0, keepdims=True) + 1e-6)
