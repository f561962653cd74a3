"""Differences between synthesised speech and the recording of the same sentence: F0, speaking rate, spectrum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from voiceclone.alignment.warping import warp_path
from voiceclone.audio.features import HOP, SAMPLE_RATE, track_f0
from voiceclone.system.compiled import load_librosa

TRIM_DB = 40  # dB below the peak; quieter audio at both ends is trimmed before spectra are compared
SPEECH_DB = 35  # dB below the peak; quieter frames are pauses
NOISE_PERCENTILE = 5  # percentile of the frame levels that estimates the noise floor, where a clip has pauses
ABOVE_NOISE_DB = 6
LOUDEST_PAUSE_DB = 22
MIN_VOICED = 5  # minimum number of voiced frames for an F0 statistic
PITCH_REACH = 8.0  # semitones from the median; frames beyond are left out as octave errors of the tracker
CEPSTRA = 13  # coefficients 1 to 13; coefficient 0 is the level
N_MELS = 80
N_FFT = 1024
# dB below the loudest mel value at which quieter values are clipped, so that room noise has little weight
FLOOR_DB = 60
MCD_CONSTANT = 10.0 * np.sqrt(2.0) / np.log(10.0)
"""Decibels per unit of cepstral distance (Kubichek 1993), 6.142.

With it, the distance of two frames is the root mean square difference of their smoothed spectra in dB.
"""


class SpeakerEncoder(Protocol):
    """Interface of a speaker encoder."""

    name: str

    def embed(self, audio: np.ndarray) -> np.ndarray:
        """Audio ``(T,)`` at 24 kHz to a unit vector ``(D,)``."""


class PhoneScorer(Protocol):
    """Interface of a phone recogniser."""

    def error_rate(self, audio: np.ndarray, phonemes: str) -> tuple[float, float]:
        """Number of phone errors in audio ``(T,)`` at 24 kHz, and number of phones in ``phonemes``."""


@dataclass(frozen=True, kw_only=True)
class Pitch:
    """Statistics of an utterance's log F0 over its voiced frames."""

    mean: float  # semitones above 1 Hz
    spread: float  # standard deviation, semitones


def measure_pitch(audio: np.ndarray) -> Pitch | None:
    """Pitch of audio ``(T,)`` at 24 kHz; None where there are too few voiced frames."""
    f0 = track_f0(audio)
    semitones = 12.0 * np.log2(f0[f0 > 0], dtype=np.float64)
    if len(semitones) < MIN_VOICED:
        return None
    semitones = semitones[np.abs(semitones - np.median(semitones)) <= PITCH_REACH]
    return Pitch(mean=float(semitones.mean()), spread=float(semitones.std()))


def spoken_seconds(audio: np.ndarray, top_db: float = SPEECH_DB) -> float:
    """Duration in seconds of audio ``(T,)`` at 24 kHz without pauses: frames within ``top_db`` of the loudest one."""
    librosa = load_librosa()
    stretches = librosa.effects.split(audio, top_db=top_db, frame_length=N_FFT, hop_length=HOP)
    return float(sum(end - start for start, end in stretches)) / SAMPLE_RATE


def pause_depth(audio: np.ndarray) -> float:
    """The level that separates pauses from speech in audio ``(T,)``, in dB below the loudest frame.

    ``SPEECH_DB``, or ``ABOVE_NOISE_DB`` above the noise floor where that is higher, as noise would otherwise count as
    speech. At least ``LOUDEST_PAUSE_DB``, because in speech without pauses the noise floor cannot be measured.
    """
    librosa = load_librosa()
    rms = librosa.feature.rms(y=audio, frame_length=N_FFT, hop_length=HOP)[0]
    noise = 20.0 * np.log10((np.percentile(rms, NOISE_PERCENTILE) + 1e-9) / (rms.max() + 1e-9))
    return float(np.clip(-noise - ABOVE_NOISE_DB, LOUDEST_PAUSE_DB, SPEECH_DB))


def slower_percent(audio: np.ndarray, recording: np.ndarray) -> float:
    """Relative difference in spoken duration to the recording of the same sentence, in percent; positive means slower.

    Pauses are left out. Both signals, ``(T,)`` at 24 kHz, use the pause level of the noisier one, because synthesised
    speech has no room noise.
    """
    level = min(pause_depth(audio), pause_depth(recording))
    return 100.0 * (spoken_seconds(audio, level) / max(spoken_seconds(recording, level), 1e-3) - 1.0)


def trimmed(audio: np.ndarray) -> np.ndarray:
    """Audio ``(T,)`` without leading and trailing silence."""
    librosa = load_librosa()
    return librosa.effects.trim(audio, top_db=TRIM_DB)[0]


def cepstra(audio: np.ndarray, bandwidth: float = np.inf) -> np.ndarray:
    """Mel cepstra of audio ``(T,)`` at 24 kHz: ``(13, frames)`` at 80 frames per second.

    Mel bands that end above ``bandwidth`` (Hz) are left out, for both signals of a comparison with a band-limited
    recording.

    These are librosa's MFCC 1 to 13 of an 80-band mel spectrogram, rescaled to the amplitudes of the cosines that make
    up the log spectrum (in nepers), for which :data:`MCD_CONSTANT` is defined.
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


def cepstra_path(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Dynamic time warping of two cepstra ``(13, frames)``: pairs of frame indices ``(P, 2)`` in order of time."""
    from scipy.spatial.distance import cdist

    _, path = warp_path(cdist(ours.T, theirs.T), sideways=1.0)
    return path


def mel_cepstral_distortion(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Mean distance in dB of two cepstra ``(13, frames)`` along their warping path."""
    path = cepstra_path(ours, theirs)
    distances = np.linalg.norm(ours[:, path[:, 0]] - theirs[:, path[:, 1]], axis=0)
    return float(MCD_CONSTANT * distances.mean())
