"""Durations of recorded speech that comes without phoneme times: warp eSpeak-NG's reading of the same text onto it."""

from __future__ import annotations

import numpy as np
import torch

from voiceclone.alignment.conditioning import trim_and_level
from voiceclone.alignment.durations import MAX_EDIT_COST, durations_from_events, whole_frames
from voiceclone.audio.features import FRAME_SAMPLES, SAMPLE_RATE, LogMel
from voiceclone.audio.io import resample
from voiceclone.errors import VoicecloneError
from voiceclone.system.compiled import load_librosa
from voiceclone.text.espeak import EspeakSynthesizer

VOICES = ("en-us+f2", "en-us+m3", "en-us")
CEPSTRA = 13
BANDS = 60  # lower mel bands used: up to about 6 kHz, so that recordings made at 16 kHz compare too


class EspeakAligner:
    """Callable ``(audio, text, phonemes) -> durations``: the nearest of several eSpeak-NG voices is warped onto it.

    Dynamic time warping on cepstra (no harmonics) whose mean and spread are taken out, so that voice and channel
    matter little; the phoneme times of the eSpeak-NG reading are exact and move along with the warping path.
    """

    def __init__(self, voices: tuple[str, ...] = VOICES, *, max_cost: float = 0.6) -> None:
        self.engine, self.voices, self.max_cost = EspeakSynthesizer(), voices, max_cost
        self.log_mel = LogMel()

    def __call__(self, audio: np.ndarray, text: str, phonemes: str) -> np.ndarray:
        """Audio ``(T,)`` at 24 kHz, T a multiple of 600, to frames of every token, int64 ``(len(phonemes) + 2,)``.

        Raises:
            VoicecloneError: the audio does not say the text.
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
            cost, warped = warp(self._features(reference), target, np.cumsum(durations)[:-1] * 2)
            if cost < best_cost:
                best_cost, best = cost, warped
        if best is None or best_cost > self.max_cost:
            raise VoicecloneError(f"the audio does not seem to say its text (warping cost {best_cost:.2f})")
        boundaries = np.concatenate([[0.0], best / 2.0, [frames]])
        return whole_frames(boundaries, frames)

    def _features(self, audio: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            mel = self.log_mel(torch.from_numpy(np.ascontiguousarray(audio))[None])[0, :BANDS].numpy()
        return cepstra(mel)


def cepstra(mel: np.ndarray) -> np.ndarray:
    """Normalised cepstra with their slopes, ``(26, T)``, of a log-mel ``(bands, T)``."""
    from scipy.fft import dct
    from scipy.ndimage import uniform_filter1d

    mel = np.maximum(mel, mel.max() - 2.5)  # 2.5 of the normalised log-mel is 43 dB: noise floors differ
    values = uniform_filter1d(dct(mel, axis=0, norm="ortho")[:CEPSTRA], 3, axis=1)
    slopes = np.gradient(uniform_filter1d(values, 3, axis=1), axis=1)
    both = np.concatenate([values, slopes])
    scaled = (both - both.mean(axis=1, keepdims=True)) / (both.std(axis=1, keepdims=True) + 1e-3)
    scaled[CEPSTRA:] *= 0.5  # slopes are noisier
    scaled[0] *= 2.0  # loudness separates speech from pauses
    return scaled


def warp(reference: np.ndarray, target: np.ndarray, positions: np.ndarray) -> tuple[float, np.ndarray]:
    """Move ``positions`` (frames of ``reference``) to ``target`` along the cheapest path.

    Args:
        reference: ``(D, R)``. target: ``(D, T)``.

    Returns:
        mean cosine distance along the path, 0-2; positions in frames of ``target``, float, ascending.
    """
    librosa = load_librosa()
    total, path = librosa.sequence.dtw(reference, target, metric="cosine", weights_mul=np.array([1.0, 1.1, 1.1]))
    path = path[::-1]
    cost = float(total[-1, -1]) / len(path)
    ours = np.unique(path[:, 0])
    theirs = np.array([path[path[:, 0] == r, 1].mean() for r in ours])
    return cost, np.interp(np.clip(positions, 0, reference.shape[1] - 1), ours, theirs)
