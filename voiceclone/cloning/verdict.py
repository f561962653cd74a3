"""One line on whether the training improved the voice, and one on its similarity to the speaker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from voiceclone.cloning.report import CloneMetrics
from voiceclone.projection.likeness import CLONE, INITIALIZATION, LIKENESS, RECORDINGS, STOCK

MARGIN = 0.02  # relative change of the held-out loss below which the result counts as unchanged
LIKE = 0.02  # change of the cosine similarity below which the result counts as unchanged
OFF_BY = {"f0_error_semitones": ("F0", "semitones", 0.5), "rate_error_percent": ("speaking rate", "%", 3.0)}
"""Errors of the voice's own prosody: name, unit, and increase above which it counts as worse."""


def verdict_line(metrics: CloneMetrics, initial: str, clips: int, likeness: Mapping[str, Any] | None = None) -> str:
    """Compare the clone with its initialization on ``clips`` held-out clips.

    A change below :data:`MARGIN` counts as none. A lower loss counts as mixed where F0, speaking rate or similarity got
    worse.
    """
    before, after = metrics["before"], metrics["after"]
    held_out = f"on {clips} held-out clip{'' if clips == 1 else 's'}"
    loss = f"loss {before['validation_loss']:.3f} -> {after['validation_loss']:.3f}"
    gain = 1.0 - after["validation_loss"] / before["validation_loss"] if before["validation_loss"] else 0.0
    if gain <= -MARGIN:
        return f"worse than its initialization ({initial}) {held_out}: {loss}"
    if gain < MARGIN:
        small = f"under {100 * MARGIN:.0f} % is not significant"
        return f"no better than its initialization ({initial}) {held_out}: {loss}, {small}"
    further = [
        f"{what} {before[name]:.1f} -> {after[name]:.1f} {unit}"
        for name, (what, unit, margin) in OFF_BY.items()
        if after.get(name, 0.0) > before.get(name, 0.0) + margin
    ]
    ends = _likeness_ends(likeness)
    if ends is not None and ends[1] < ends[0] - LIKE:
        further.append(f"likeness {ends[0]:.2f} -> {ends[1]:.2f}")
    if further:
        worse = f"but further off in {' and '.join(further)}"
        return f"mixed against its initialization ({initial}) {held_out}: {loss}, {worse}"
    return f"better than its initialization ({initial}) {held_out}: {loss}"


def likeness_line(likeness: Mapping[str, Any]) -> str:
    """Similarity of the clone to the speaker against that of the best stock voice; empty without an encoder."""
    if likeness.get("measure") != LIKENESS or CLONE not in likeness:
        return ""
    clone, stock = likeness[CLONE], likeness.get(STOCK)
    by = f"by {likeness['encoder']}, the encoder that the training itself uses"
    others = f", the recordings {likeness[RECORDINGS]:.2f}" if RECORDINGS in likeness else ""
    if stock is None:
        return f"likeness to the speaker {clone:.2f}{others}, {by}"
    name = f"the best stock voice {likeness['stock_name']}"
    if abs(clone - stock) < LIKE:
        how = f"no nearer to the speaker than {name}"
    else:
        how = f"{'nearer to' if clone > stock else 'further from'} the speaker than {name}"
    return f"{how}: likeness {clone:.2f} against {stock:.2f}{others}, {by}"


def _likeness_ends(likeness: Mapping[str, Any] | None) -> tuple[float, float] | None:
    """Similarity of the initialization and of the clone."""
    if likeness is None or likeness.get("measure") != LIKENESS or not {INITIALIZATION, CLONE} <= set(likeness):
        return None
    return likeness[INITIALIZATION], likeness[CLONE]
