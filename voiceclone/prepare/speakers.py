"""Whether all clips are by one speaker: by Resemblyzer's vectors, where the package is installed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from voiceclone.prepare.clips import Embed

MIN_LIKENESS = 0.7
"""Cosine of a clip's vector and the mean of all."""
MIN_CLIPS = 5
_ROUNDS = 3


def load_embedder() -> Embed | None:
    """Audio ``(T,)`` at 24 kHz to a unit vector of its speaker; None where Resemblyzer is not installed."""
    from voiceclone.nets.resemblyzer import load_resemblyzer

    encoder = load_resemblyzer()
    return None if encoder is None else encoder.embed


def wrong_speakers(vectors: Mapping[str, Sequence[float] | None]) -> dict[str, tuple[float, str | None]]:
    """For every clip its likeness to the mean of the others' vectors, and the problem where it is another speaker.

    The mean is that of the clips that are alike, so that some clips of another speaker do not shift it.
    """
    known = {name: np.array(vector) for name, vector in vectors.items() if vector}
    if len(known) < MIN_CLIPS:
        return {}
    stacked = np.stack(list(known.values()))
    stacked /= np.linalg.norm(stacked, axis=1, keepdims=True) + 1e-9
    # The clip that is most like all others begins.
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
