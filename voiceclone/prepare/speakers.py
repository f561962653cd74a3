"""Check that all clips are by one speaker, with Resemblyzer if it is installed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from voiceclone.nets.resemblyzer import Embed

MIN_LIKENESS = 0.7
"""Cosine of a clip's vector and the mean of all."""
MIN_CLIPS = 5
_ROUNDS = 3


def load_embedder() -> Embed | None:
    """Audio ``(T,)`` at 24 kHz to a unit vector of its speaker; None if Resemblyzer is not installed."""
    from voiceclone.nets.resemblyzer import load_resemblyzer

    encoder = load_resemblyzer()
    return None if encoder is None else encoder.embed


def wrong_speakers(vectors: Mapping[str, Sequence[float] | None]) -> dict[str, tuple[float, str | None]]:
    """For every clip its similarity to the mean of the others' vectors, and the problem if it is another speaker.

    The mean is taken over similar clips, so that a few clips of another speaker do not change it.
    """
    known = {name: np.array(vector) for name, vector in vectors.items() if vector}
    if len(known) < MIN_CLIPS:
        return {}
    stacked = np.stack(list(known.values()))
    stacked /= np.linalg.norm(stacked, axis=1, keepdims=True) + 1e-9
    # Start with the clip that is most similar to all others.
    centre = stacked[int(np.median(stacked @ stacked.T, axis=1).argmax())]
    likeness = stacked @ centre
    for _ in range(_ROUNDS):
        centre = stacked[likeness >= min(MIN_LIKENESS, float(np.median(likeness)))].mean(axis=0)
        likeness = stacked @ (centre / (np.linalg.norm(centre) + 1e-9))
    found = {}
    for name, value in zip(known, likeness.tolist(), strict=True):
        problem = f"another speaker: likeness {value:.2f}, at least {MIN_LIKENESS:g}" if value < MIN_LIKENESS else None
        found[name] = (round(value, 3), problem)
    return found
