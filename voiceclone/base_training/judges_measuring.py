"""Metrics of the evaluation's networks on test speech."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from voiceclone.audio.io import SAMPLE_RATE
from voiceclone.nets.phone_recognizer import PhoneRecognizer
from voiceclone.nets.resemblyzer import Embed
from voiceclone.system.compiled import load_librosa


def phone_error_percent(recognizer: PhoneRecognizer, spoken: Sequence[tuple[np.ndarray, str]]) -> float:
    """Phone error rate in percent over all of ``spoken`` (24 kHz audio ``(T,)``, misaki phonemes)."""
    errors, phones = np.sum([recognizer.error_rate(audio, phonemes) for audio, phonemes in spoken], axis=0)
    return 100.0 * float(errors) / float(phones)


def speaker_measures(
    embed: Embed, groups: Mapping[str, Mapping[str, Sequence[np.ndarray]]]
) -> dict[str, dict[str, float]]:
    """Speaker verification within each group and identification among the speakers of all groups.

    Args:
        embed: the speaker encoder.
        groups: clips (24 kHz, ``(T,)``) by group and speaker, at least two for each speaker.

    Returns:
        By group: ``same_cosine`` (clip to the mean of the speaker's other clips), ``nearest_other_cosine`` (clip to the
        nearest mean of any other speaker), ``first_percent`` (own mean is the nearest), ``equal_error_percent`` (over
        all pairs of clips of the group), ``speakers`` and ``clips``.
    """
    vectors = {s: np.stack([embed(a) for a in clips]) for group in groups.values() for s, clips in group.items()}
    centres = {speaker: _unit(rows.mean(0)) for speaker, rows in vectors.items()}
    return {name: _measure_group({s: vectors[s] for s in group}, centres) for name, group in groups.items()}


def _measure_group(vectors: dict[str, np.ndarray], centres: dict[str, np.ndarray]) -> dict[str, float]:
    same, nearest, first = [], [], []
    for speaker, rows in vectors.items():
        others = np.stack([centre for name, centre in centres.items() if name != speaker])
        for position, vector in enumerate(rows):
            own = float(vector @ _unit(np.delete(rows, position, axis=0).mean(0)))
            rival = float((others @ vector).max())
            same.append(own)
            nearest.append(rival)
            first.append(own > rival)
    labels = np.repeat(np.arange(len(vectors)), [len(rows) for rows in vectors.values()])
    joined = np.concatenate(list(vectors.values()))
    upper = np.triu_indices(len(joined), 1)
    scores, equal = (joined @ joined.T)[upper], (labels[:, None] == labels[None])[upper]
    measures: dict[str, Any] = {
        "same_cosine": np.mean(same),
        "nearest_other_cosine": np.mean(nearest),
        "first_percent": 100 * np.mean(first),
        "equal_error_percent": 100 * equal_error_rate(scores[equal], scores[~equal]),
        "speakers": len(vectors),
        "clips": len(joined),
    }
    return {name: round(float(value), 3) for name, value in measures.items()}


def equal_error_rate(same: np.ndarray, other: np.ndarray) -> float:
    """Equal error rate (0-1), where the rates of false rejection and false acceptance are equal.

    Args:
        same: similarities of pairs of clips by one speaker ``(N,)``.
        other: similarities of pairs of clips by two speakers ``(M,)``.

    Returns:
        The rate; NaN without pairs.
    """
    if not len(same) or not len(other):
        return float("nan")
    scores = np.concatenate([same, other])
    is_same = np.concatenate([np.ones(len(same), bool), np.zeros(len(other), bool)])[np.argsort(scores, kind="stable")]
    refused = np.cumsum(is_same) / len(same)
    taken = 1 - np.cumsum(~is_same) / len(other)
    crossing = int(np.argmin(np.abs(refused - taken)))
    return float(refused[crossing] + taken[crossing]) / 2


def disturbed(audio: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The middle 2 s of 24 kHz audio ``(T,)``, filtered by up to 6 dB, with noise at 20 dB SNR."""
    length = 2 * SAMPLE_RATE
    first = max(len(audio) - length, 0) // 2
    piece = audio[first : first + length]
    spectrum = np.fft.rfft(piece)
    places = np.linspace(0, 1, len(spectrum)) ** 0.5  # denser at low frequencies
    curve = np.interp(places, np.linspace(0, 1, 8), rng.normal(0, 6.0, 8))
    coloured = np.fft.irfft(spectrum * 10 ** (curve / 20), len(piece))
    level = float(np.sqrt(np.mean(coloured**2)))
    return (coloured + 0.1 * level * rng.standard_normal(len(piece))).astype(np.float32)


def mfcc_embed(clips: Sequence[np.ndarray]) -> Embed:
    """The baseline: mean and standard deviation of 20 MFCCs, scaled to unit variance over ``clips``.

    Args:
        clips: 24 kHz audio, each ``(T,)``.
    """
    librosa = load_librosa()

    def statistics(audio: np.ndarray) -> np.ndarray:
        # Without coefficient 0 (the level); up to 7.2 kHz as for the networks.
        mfcc = librosa.feature.mfcc(y=audio, sr=SAMPLE_RATE, n_mfcc=21, n_fft=1024, hop_length=240, fmax=7200)[1:]
        return np.concatenate([mfcc.mean(1), mfcc.std(1)])

    rows = np.stack([statistics(clip) for clip in clips])
    mean, spread = rows.mean(0), rows.std(0)
    return lambda audio: _unit((statistics(audio) - mean) / spread)


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / max(float(np.linalg.norm(vector)), 1e-9)
