"""How far speech is from the recording of the same sentence: F0, speaking rate, spectrum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from voiceclone.audio.features import HOP, SAMPLE_RATE, track_f0
from voiceclone.system.compiled import load_librosa

TRIM_DB = 40  # below the peak: what is quieter at either end is cut off before spectra are compared
SPEECH_DB = 35  # below the peak: what is quieter counts as a pause
NOISE_PERCENTILE = 5  # of the frames: about the level of the room, where a clip has pauses at all
ABOVE_NOISE_DB = 6
LOUDEST_PAUSE_DB = 22
MIN_VOICED = 5  # voiced frames below which a pitch says nothing
PITCH_REACH = 8.0  # semitones; frames further from the median are left out: mostly the tracker's octave errors
CEPSTRA = 13  # coefficients 1 to 13; number 0 is the level
N_MELS = 80
N_FFT = 1024
FLOOR_DB = 60  # below the loudest mel value: quieter values count as that quiet, so that room noise weighs little
MCD_CONSTANT = 10.0 * np.sqrt(2.0) / np.log(10.0)
"""Decibels per unit of cepstral distance (Kubichek 1993), 6.142: with it, the distance of two frames is the root mean
square difference of their smoothed spectra in dB."""


class SpeakerEncoder(Protocol):
    """Says who is speaking."""

    name: str

    def embed(self, audio: np.ndarray) -> np.ndarray:
        """Audio ``(T,)`` at 24 kHz to a unit vector."""


class PhoneScorer(Protocol):
    """Says what is being spoken."""

    def error_rate(self, audio: np.ndarray, phonemes: str) -> tuple[float, float]:
        """Audio ``(T,)`` at 24 kHz and what it should say: wrong phones, and phones in all."""


@dataclass(frozen=True, kw_only=True)
class Pitch:
    """Log-F0 of an utterance over its voiced frames."""

    mean: float  # semitones above 1 Hz
    spread: float  # standard deviation, semitones


def measure_pitch(audio: np.ndarray) -> Pitch | None:
    """Pitch of audio ``(T,)`` at 24 kHz; None where next to nothing is voiced."""
    f0 = track_f0(audio)
    semitones = 12.0 * np.log2(f0[f0 > 0], dtype=np.float64)
    if len(semitones) < MIN_VOICED:
        return None
    semitones = semitones[np.abs(semitones - np.median(semitones)) <= PITCH_REACH]
    return Pitch(mean=float(semitones.mean()), spread=float(semitones.std()))


def spoken_seconds(audio: np.ndarray, top_db: float = SPEECH_DB) -> float:
    """Length of audio ``(T,)`` at 24 kHz without its pauses: what lies ``top_db`` below the loudest frame."""
    librosa = load_librosa()
    stretches = librosa.effects.split(audio, top_db=top_db, frame_length=N_FFT, hop_length=HOP)
    return float(sum(end - start for start, end in stretches)) / SAMPLE_RATE


def pause_level(audio: np.ndarray) -> float:
    """How far below the loudest frame of audio ``(T,)`` its pauses begin, in dB.

    ``SPEECH_DB``, but above the room's noise where that is louder, which would else count as speech; at least
    ``LOUDEST_PAUSE_DB``, for speech without a pause has no noise to be measured.
    """
    librosa = load_librosa()
    rms = librosa.feature.rms(y=audio, frame_length=N_FFT, hop_length=HOP)[0]
    noise = 20.0 * np.log10((np.percentile(rms, NOISE_PERCENTILE) + 1e-9) / (rms.max() + 1e-9))
    return float(np.clip(-noise - ABOVE_NOISE_DB, LOUDEST_PAUSE_DB, SPEECH_DB))


def slower_percent(audio: np.ndarray, recording: np.ndarray) -> float:
    """By how much ``audio`` takes longer than the recording of the same sentence, pauses left out; negative: faster.

    Pauses are told by the same level in both, that of the noisier one: a clone has no room around it.
    """
    level = min(pause_level(audio), pause_level(recording))
    return 100.0 * (spoken_seconds(audio, level) / max(spoken_seconds(recording, level), 1e-3) - 1.0)


def trimmed(audio: np.ndarray) -> np.ndarray:
    """Audio ``(T,)`` without the silence at its ends."""
    librosa = load_librosa()
    return librosa.effects.trim(audio, top_db=TRIM_DB)[0]


def cepstra(audio: np.ndarray, bandwidth: float = np.inf) -> np.ndarray:
    """Mel cepstra of audio ``(T,)`` at 24 kHz: ``(13, frames)`` at 80 frames a second.

    Bands that end above ``bandwidth``, in Hz, are left out: with a recording that holds nothing there, compare neither.

    librosa's MFCC 1 to 13 of an 80-band mel spectrogram, rescaled to the amplitudes of the cosines that make up the log
    spectrum (in nepers), for which :data:`MCD_CONSTANT` is meant.
    """
    librosa = load_librosa()
    mel = librosa.feature.melspectrogram(y=audio, sr=SAMPLE_RATE, n_fft=N_FFT, hop_length=HOP, n_mels=N_MELS)
    if bandwidth < SAMPLE_RATE / 2:
        ends = librosa.mel_frequencies(N_MELS + 2, fmax=SAMPLE_RATE / 2)[2:]
        mel = mel[: max(CEPSTRA + 1, int((ends <= bandwidth).sum()))]
    decibels = librosa.power_to_db(mel, amin=1e-10, top_db=FLOOR_DB)
    mfcc = librosa.feature.mfcc(S=decibels, n_mfcc=CEPSTRA + 1, dct_type=2, norm="ortho")[1:]
    nepers_per_decibel = np.log(10.0) / 20.0
    return mfcc * nepers_per_decibel * np.sqrt(2.0 / len(mel))


def warp(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Dynamic time warping of two rows of cepstra (librosa): pairs of frame indices ``(P, 2)`` in order of time."""
    librosa = load_librosa()
    _, path = librosa.sequence.dtw(ours, theirs, metric="euclidean")
    return path[::-1]


def mel_cepstral_distortion(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Mean distance in dB of two rows of cepstra ``(13, frames)`` along their warping path."""
    path = warp(ours, theirs)
    distances = np.linalg.norm(ours[:, path[:, 0]] - theirs[:, path[:, 1]], axis=0)
    return float(MCD_CONSTANT * distances.mean())
