"""What was found about a clone, in words that its speaker's family understands."""

from __future__ import annotations

from dataclasses import dataclass

TENTHS = 10
CLEAR = 2  # tenths by which a voice must lie ahead for "much nearer"
SAME_RATE = 3.0  # percent
WELL = 0.02  # share of words by which the clone may lie behind the recordings and still count as well understood
HARDLY = 0.5  # share of words understood below which this is said before everything else
AS_NATURAL = 0.2  # opinion score by which two voices may differ and sound equally natural
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
    nearest_clear: bool | None = None
    """Whether clone and nearest stock voice differ by more than chance; None where nobody asked."""
    understood: float | None = None
    """Share of the words (or sounds) of the clone that a recogniser got right, 0-1."""
    understood_recordings: float | None = None
    """The same of the recordings."""
    by_words: bool = True
    """Whether ``understood`` counts words; else speech sounds."""
    slower_percent: float | None = None
    """By how much longer the clone takes than the recordings; negative: faster."""
    natural: float | None = None
    """Opinion score of the clone as a judge predicts it, 1 to 5."""
    natural_recordings: float | None = None
    natural_nearest: float | None = None

    @property
    def can_tell(self) -> bool:
        """Whether the judge tells the speaker from others: from a stranger, and from the nearest stock voice."""
        apart = self.recordings - self.stranger > BLIND
        return apart and (self.nearest is None or self.nearest < self.recordings)

    def tenths(self, similarity: float) -> int | None:
        """Where a similarity lies between the stranger (0) and a second recording (10); None where it says nothing."""
        if not self.can_tell:
            return None
        span = self.recordings - self.stranger
        return max(0, min(TENTHS, round(TENTHS * (similarity - self.stranger) / span)))

    @property
    def counted(self) -> str:
        """What a recogniser was asked for: ``words`` or ``sounds``."""
        return "words" if self.by_words else "sounds"

    @property
    def hardly_understood(self) -> bool:
        """Whether most of the clone was not understood, and more of the recordings was."""
        if self.understood is None or self.understood >= HARDLY:
            return False
        return self.understood_recordings is None or self.understood + WELL < self.understood_recordings


def verdict_in_words(found: Findings) -> list[str]:
    """A line each: likeness, words, speaking rate, naturalness; first of all that it cannot be understood."""
    likeness, words = _likeness(found), _understood(found)
    lines = [words, likeness] if found.hardly_understood else [likeness, words]
    if found.slower_percent is not None:
        lines.append(_rate(found.slower_percent))
    if found.natural is not None:
        lines.append(_natural(found.natural, found.natural_recordings))
    return [line for line in lines if line]


def _likeness(found: Findings) -> str:
    clone, nearest = found.tenths(found.clone), None if found.nearest is None else found.tenths(found.nearest)
    if clone is None:
        other = "a stranger's"
        if found.nearest is not None and found.nearest >= found.recordings:
            other = f"the stock voice {found.nearest_name}"
        return f"How near the voice is to you cannot be said: the judge hardly tells your recordings from {other}."
    way = f"{clone}/{TENTHS} of the way from a stranger to a second recording of yours"
    end = " Nearer than that the judge cannot tell." if found.clone >= found.recordings else ""
    if nearest is None:
        return f"The voice goes {way}.{end}"
    other = f"The nearest stock voice, {found.nearest_name}, goes {nearest}/{TENTHS}."
    if found.nearest_clear is False:
        return (
            f"Not clearly nearer to you than the nearest stock voice, {found.nearest_name}, on these sentences: {way}. "
            f"{other}{end}"
        )
    if clone > nearest:
        much = "Much nearer" if clone >= nearest + CLEAR else "Nearer"
        return f"{much} to you than any stock voice: {way}. {other}{end}"
    if clone == nearest:
        return f"No nearer to you than the nearest stock voice, {found.nearest_name}: {way}.{end}"
    return f"Further from you than the stock voice {found.nearest_name}: {way}. {other}"


def _understood(found: Findings) -> str:
    clone, recordings, what = found.understood, found.understood_recordings, found.counted
    if clone is None:
        return ""
    if clone >= 0.995:
        return f"Every {what.removesuffix('s')} was understood."
    line = f"{100 * clone:.0f} of 100 {what} were understood by a speech recogniser"
    if found.hardly_understood:
        line = f"It can hardly be understood: only {line}"
    if recordings is None:
        return f"{line}."
    if recordings < HARDLY <= clone:
        return (
            f"{line}; of your recordings only {100 * recordings:.0f}: it hardly knows such speech, so this says little."
        )
    if abs(clone - recordings) <= WELL:
        return f"{line}, as many as in your recordings."
    more = "more" if clone > recordings else "fewer"
    return f"{line}, {more} than in your recordings ({100 * recordings:.0f})."


def _rate(slower_percent: float) -> str:
    if abs(slower_percent) < SAME_RATE:
        return "It speaks as fast as you."
    return f"It speaks {abs(slower_percent):.0f} % {'slower' if slower_percent > 0 else 'faster'} than you."


def _natural(clone: float, recordings: float | None) -> str:
    scores = f"{clone:.1f} of 5 as a judge of naturalness estimates it"
    if recordings is None:
        return f"How natural it sounds: {scores}."
    if abs(clone - recordings) <= AS_NATURAL:
        return f"It sounds as natural as your recordings: {scores}, and they {recordings:.1f}."
    more = "more" if clone > recordings else "less"
    return f"It sounds {more} natural than your recordings: {scores}, and they {recordings:.1f}."
