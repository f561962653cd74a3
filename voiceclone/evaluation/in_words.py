"""The result of a comparison in plain words for readers without a technical background."""

from __future__ import annotations

from dataclasses import dataclass

WORDS, CHARACTERS, SOUNDS = "words", "characters", "sounds"
TENTHS = 10
CLEAR = 2  # difference in tenths of the likeness scale from which the text says "much nearer"
HALFWAY = 5  # tenths of the likeness scale below which the text says "still far from you"
SAME_RATE = 3.0  # difference of the speaking rate in percent below which the text says "as fast as"
WELL = 0.02  # difference of the share of understood words that counts as equal
HARDLY = 0.5  # share of understood words below which the text says so first
AS_NATURAL = 0.2  # difference of the opinion score that counts as equal
# similarity gap between the unrelated voice and the recordings below which the encoder is no use for this speaker
BLIND = 0.15


@dataclass(frozen=True, kw_only=True)
class Findings:
    """Means of the metrics over the compared sentences."""

    clone: float
    """Cosine similarity of the clone to the speaker's recordings, -1 to 1."""
    stranger: float
    """The same of an unrelated stock voice at median distance: the lower end of the likeness scale."""
    recordings: float
    """The same of each recording to the others: the upper end of the likeness scale."""
    nearest: float | None = None
    """The same of the stock voice nearest to the speaker."""
    nearest_name: str = ""
    nearest_clear: bool | None = None
    """True where the difference of clone and nearest stock voice is significant; None where it was not tested."""
    understood: float | None = None
    """Fraction of the clone's words (or phones) that a recogniser got right, 0-1."""
    understood_recordings: float | None = None
    """The same of the recordings."""
    counted: str = WORDS
    """The unit of ``understood``: :data:`WORDS`, :data:`CHARACTERS` or :data:`SOUNDS`."""
    slower_percent: float | None = None
    """Difference of the clone's duration to the recordings' in percent; positive means slower."""
    natural: float | None = None
    """Predicted mean opinion score of the clone, 1 to 5."""
    natural_recordings: float | None = None
    natural_nearest: float | None = None

    @property
    def can_tell(self) -> bool:
        """True where the encoder separates the speaker from the unrelated voice and from the nearest stock voice."""
        apart = self.recordings - self.stranger > BLIND
        return apart and (self.nearest is None or self.nearest < self.recordings)

    def tenths(self, similarity: float) -> int | None:
        """Position of a similarity between the unrelated voice (0) and another recording (10); None where undefined."""
        if not self.can_tell:
            return None
        span = self.recordings - self.stranger
        return max(0, min(TENTHS, round(TENTHS * (similarity - self.stranger) / span)))

    @property
    def hardly_understood(self) -> bool:
        """True where most of the clone was not understood, but more of the recordings was."""
        if self.understood is None or self.understood >= HARDLY:
            return False
        return self.understood_recordings is None or self.understood + WELL < self.understood_recordings


def verdict_in_words(found: Findings) -> list[str]:
    """Lines of text: likeness (headline, then the ends of its scale), words, speaking rate, naturalness.

    An unintelligible clone is reported first.
    """
    likeness, words = _likeness(found), _understood(found)
    lines = [words, *likeness] if found.hardly_understood else [*likeness, words]
    if found.slower_percent is not None:
        lines.append(_rate(found.slower_percent))
    if found.natural is not None:
        lines.append(_natural(found.natural, found.natural_recordings))
    return [line for line in lines if line]


def _likeness(found: Findings) -> list[str]:
    """The headline, and a line with the other ends of the scale."""
    clone, nearest = found.tenths(found.clone), None if found.nearest is None else found.tenths(found.nearest)
    if clone is None:
        other = "a stranger's"
        if found.nearest is not None and found.nearest >= found.recordings:
            other = f"the stock voice {found.nearest_name}"
        return [f"How near the voice is to you cannot be said: the judge hardly tells your recordings from {other}."]
    way = f"{clone}/{TENTHS} of the way to a second recording of yours."
    details = [f"0/{TENTHS} is a stranger."]
    if nearest is not None:
        details.append(f"The stock voice {found.nearest_name}, chosen as the nearest, goes {nearest}/{TENTHS}.")
    if found.clone >= found.recordings:
        details.append(f"Nearer than {TENTHS}/{TENTHS} the judge cannot tell.")
    return [f"{_beside_stock(found, clone, nearest)} {way}", " ".join(details)]


def _beside_stock(found: Findings, clone: int, nearest: int | None) -> str:
    """How the headline begins."""
    if nearest is None:
        return "The voice goes"
    stock = f"the stock voice {found.nearest_name}"
    if found.nearest_clear is False:
        return f"Not clearly nearer to you than {stock} on these sentences:"
    if found.nearest_clear is None and clone == nearest:
        return f"No nearer to you than {stock}:"
    if found.nearest is not None and found.clone < found.nearest:
        return f"Further from you than {stock}:"
    if clone < HALFWAY:
        return f"Nearer to you than {stock}, but still far from you:"
    return f"{'Much nearer' if clone >= nearest + CLEAR else 'Nearer'} to you than {stock}:"


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
