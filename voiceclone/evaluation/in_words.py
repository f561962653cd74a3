"""What was found about a clone, in words that its speaker's family understands."""

from __future__ import annotations

from dataclasses import dataclass

TENTHS = 10
CLEAR = 2  # tenths by which a voice must lie ahead for "much nearer"
SAME_PACE = 3.0  # percent
WELL = 0.02  # share of words by which the clone may lie behind the recordings and still count as well understood
BLIND = 0.15  # distance of stranger and recording below which the encoder cannot tell this speaker


@dataclass(frozen=True, kw_only=True)
class Findings:
    """Means over the sentences that were compared."""

    clone: float
    """Cosine to the speaker's recordings, -1 to 1."""
    stranger: float
    """The same of a stock voice that is neither near to the speaker nor especially far."""
    recordings: float
    """The same of one recording of the speaker against the others."""
    nearest: float | None = None
    """The same of the stock voice nearest to the speaker."""
    nearest_name: str = ""
    understood: float | None = None
    """Share of the words (or sounds) of the clone that a recogniser got right, 0-1."""
    understood_recordings: float | None = None
    """The same of the recordings of the same sentences."""
    by_words: bool = True
    """Whether ``understood`` counts words; else speech sounds."""
    slower_percent: float | None = None
    """By how much longer the clone takes than the recordings; negative: faster."""

    def tenths(self, similarity: float) -> int | None:
        """Where a similarity lies between the stranger (0) and a second recording (10); None where both are alike."""
        span = self.recordings - self.stranger
        if span <= BLIND:
            return None
        return max(0, min(TENTHS, round(TENTHS * (similarity - self.stranger) / span)))


def verdict_in_words(found: Findings) -> list[str]:
    """One sentence each: likeness, words, pace."""
    lines = [_likeness(found)]
    if found.understood is not None:
        lines.append(
            _understood(found.understood, found.understood_recordings, "words" if found.by_words else "sounds")
        )
    if found.slower_percent is not None:
        lines.append(_pace(found.slower_percent))
    return lines


def _likeness(found: Findings) -> str:
    clone = found.tenths(found.clone)
    if clone is None:
        return "How near the voice is to you cannot be said: the judge hardly tells your recordings from a stranger's."
    way = f"{clone}/{TENTHS} of the way from a stranger to a second recording of yours"
    nearest = None if found.nearest is None else found.tenths(found.nearest)
    if nearest is None:
        return f"The voice goes {way}."
    other = f"The nearest stock voice, {found.nearest_name}, goes {nearest}/{TENTHS}."
    if clone >= nearest + CLEAR:
        return f"Much nearer to you than any stock voice: {way}. {other}"
    if clone > nearest:
        return f"Nearer to you than any stock voice: {way}. {other}"
    if clone == nearest:
        return f"No nearer to you than the nearest stock voice, {found.nearest_name}: {way}."
    return f"Further from you than the stock voice {found.nearest_name}: {way}. {other}"


def _understood(clone: float, recordings: float | None, what: str) -> str:
    if clone >= 0.995:
        return f"Every {what.removesuffix('s')} was understood."
    line = f"{100 * clone:.0f} of 100 {what} were understood by a speech recogniser"
    if recordings is None:
        return f"{line}."
    if abs(clone - recordings) <= WELL:
        return f"{line}, as many as in your recordings."
    more = "more" if clone > recordings else "fewer"
    return f"{line}, {more} than in your recordings ({100 * recordings:.0f})."


def _pace(slower_percent: float) -> str:
    if abs(slower_percent) < SAME_PACE:
        return "It speaks at your pace."
    return f"It speaks {abs(slower_percent):.0f} % {'slower' if slower_percent > 0 else 'faster'} than you."
