"""Planning clips from aligned words, or from subtitles without alignment."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from voiceclone.alignment.fine import SpokenWord
from voiceclone.alignment.reading import Reading
from voiceclone.alignment.recording_features import CELL, FRAME, RecordingFeatures
from voiceclone.data.recordings import Part
from voiceclone.prepare.clips import PlannedClip, noise_and_silence
from voiceclone.prepare.segments import Stretch, Unit, cut_recording

_FOREIGN_SECONDS = 0.4  # of audio between two words that belongs to neither
_WEAKEST_SECONDS = 0.8
_SLOWEST, _FASTEST = 3.0, 0.25  # plausible length of a word relative to the speaker's mean rate
_NOT_SAID = 1.0  # the gap of a word outside of that range


@dataclass(frozen=True, kw_only=True)
class CutRules:
    """How recordings are cut."""

    min_seconds: float
    """Shortest clip that is cut."""
    max_seconds: float
    min_ready_seconds: float
    """Shortest clip if the clips are already cut."""
    min_score: float
    """Fit of text and audio, 0-1."""
    min_weakest: float
    """The same for the worst second."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Heard:
    """A recording with its detected pauses."""

    index: int
    stem: str
    sound: RecordingFeatures
    silent: np.ndarray
    """bool, one value per 10 ms."""

    @property
    def speech_seconds(self) -> float:
        """Seconds outside of pauses."""
        return round(float((~self.silent).sum()) * CELL, 2)

    def without_text(self, why: str, part: Part | None = None) -> PlannedClip:
        """The recording, or a part of it, as a segment that is not a clip."""
        end = self.sound.seconds if part is None or part.end is None else part.end
        return PlannedClip(
            name=None,
            recording=self.index,
            start=round(part.start if part else 0.0, 3),
            end=round(end, 3),
            text=" ".join(part.text.split())[:200] if part else "",
            problem=f"text and sound differ: {why}",
        )


def score_of(gap: float) -> float:
    """The gap of the phone models, mapped to a fit of 0 to 1."""
    return math.exp(-2.0 * gap)


def clips_of_words(
    heard: Heard, reading: Reading, words: Sequence[SpokenWord], rules: CutRules, *, ready: bool, first_number: int = 1
) -> list[PlannedClip]:
    """Plan the clips of an aligned text.

    Args:
        words: at least one.
        ready: the recording is already a single clip.
        first_number: number of the first clip that is cut.
    """
    gaps, seconds = _gaps(reading, words)
    fit = _Fit(gaps, seconds)
    units = [
        Unit(
            start=word.start,
            end=word.end,
            break_after=reading.words[word.word].break_after,
            apart=k > 0 and _differs(heard.silent, words[k - 1], word),
            doubt=gaps[k],
        )
        for k, word in enumerate(words)
    ]
    if ready:
        stretches = cut_recording(units, heard.silent, min_seconds=0.0, max_seconds=math.inf, whole=True)
        missing = len(reading.words) - len(words)
        problem = f"text and sound differ: {missing} of {len(reading.words)} words not found" if missing else None
        low, names = rules.min_ready_seconds, iter([heard.stem])
    else:
        stretches = cut_recording(
            units,
            heard.silent,
            min_seconds=rules.min_seconds,
            max_seconds=rules.max_seconds,
            fits=lambda a, b: fit.score(a, b) >= rules.min_score and fit.weakest(a, b) >= rules.min_weakest,
        )
        problem, low = None, 0.0
        names = (f"{heard.stem}_{number:04d}" for number in range(first_number, first_number + len(stretches)))
    clips = []
    for stretch in stretches:
        a, b = stretch.first, stretch.last
        text = reading.text[reading.words[words[a].word].start : reading.words[words[b - 1].word].end]
        score, weakest = fit.score(a, b), fit.weakest(a, b)
        why = stretch.problem or problem or _fit_problem(score, weakest, rules)
        if why is None and stretch.seconds < low:
            why = f"too short: {stretch.seconds:.1f} s, at least {low:g} s"
        clips.append(planned(heard, stretch, text, names, problem=why, score=score, weakest=weakest))
    return clips


def clips_of_cues(heard: Heard, cues: Sequence[tuple[float, float, str]], rules: CutRules) -> list[PlannedClip]:
    """Plan clips by the times of subtitles (start, end, text) alone, moved to the pauses nearby."""
    units = [Unit(start=start, end=end) for start, end, _ in cues]
    stretches = cut_recording(
        units, heard.silent, min_seconds=rules.min_seconds, max_seconds=rules.max_seconds, reach=0.4
    )
    names = (f"{heard.stem}_{number:04d}" for number in range(1, len(stretches) + 1))
    return [
        planned(heard, stretch, " ".join(text for _, _, text in cues[stretch.first : stretch.last]), names)
        for stretch in stretches
    ]


def clip_as_it_is(heard: Heard, text: str, rules: CutRules) -> PlannedClip:
    """A recording that is already a single clip, with silences at both ends shortened."""
    loud = np.flatnonzero(~heard.silent)
    start, end = (loud[0] * CELL, (loud[-1] + 1) * CELL) if len(loud) else (0.0, heard.sound.seconds)
    unit = Unit(start=float(start), end=float(end))
    stretch = cut_recording([unit], heard.silent, min_seconds=0.0, max_seconds=math.inf, whole=True)[0]
    why = None
    if stretch.seconds < rules.min_ready_seconds:
        why = f"too short: {stretch.seconds:.1f} s, at least {rules.min_ready_seconds:g} s"
    elif stretch.seconds > rules.max_seconds:
        why = f"too long: {stretch.seconds:.1f} s, at most {rules.max_seconds:g} s"
    return planned(heard, stretch, text, iter([heard.stem]), problem=why)


def planned(
    heard: Heard,
    stretch: Stretch,
    text: str,
    names: Iterator[str],
    *,
    problem: str | None = None,
    score: float | None = None,
    weakest: float | None = None,
) -> PlannedClip:
    """The segment as a clip; it gets the next name unless there is a problem."""
    problem = problem or stretch.problem
    snr, silence = noise_and_silence(heard.sound, heard.silent, stretch.start, stretch.end)
    return PlannedClip(
        name=None if problem else next(names),
        recording=heard.index,
        start=round(stretch.start, 3),
        end=round(stretch.end, 3),
        text=" ".join(text.split()),
        score=None if score is None else round(score, 3),
        weakest=None if weakest is None else round(weakest, 3),
        snr_db=None if snr is None else round(snr, 1),
        silence=round(silence, 3),
        problem=problem,
    )


class _Fit:
    """Fit of text and audio for any run of words."""

    def __init__(self, gaps: np.ndarray, seconds: np.ndarray) -> None:
        self.seconds = np.concatenate([[0.0], np.cumsum(seconds)])
        self.weighted = np.concatenate([[0.0], np.cumsum(seconds * gaps)])

    def score(self, first: int, last: int) -> float:
        """Fit of words ``first`` to ``last`` (not included), by their mean gap."""
        return score_of(self._gap(first, last))

    def weakest(self, first: int, last: int) -> float:
        """Fit of the worst run of words of about a second."""
        worst, low = 0.0, first
        for high in range(first + 1, last + 1):
            while self.seconds[high] - self.seconds[low + 1] >= _WEAKEST_SECONDS:
                low += 1
            if self.seconds[high] - self.seconds[low] >= _WEAKEST_SECONDS:
                worst = max(worst, self._gap(low, high))
        return score_of(worst or self._gap(first, last))

    def _gap(self, first: int, last: int) -> float:
        return float((self.weighted[last] - self.weighted[first]) / (self.seconds[last] - self.seconds[first]))


def _gaps(reading: Reading, words: Sequence[SpokenWord]) -> tuple[np.ndarray, np.ndarray]:
    """The gap of each word, large if its length is implausible, and its length in seconds."""
    lengths = np.diff(reading.bounds) * FRAME
    usual = np.array([lengths[word.word] for word in words])
    seconds = np.array([word.end - word.start for word in words])
    pace = np.median(seconds / usual)
    slow = (seconds > _SLOWEST * pace * usual) & (seconds > 0.5)
    fast = (seconds < _FASTEST * pace * usual) & (usual > 0.2)
    return np.where(slow | fast, _NOT_SAID, [word.gap for word in words]), seconds


def _differs(silent: np.ndarray, before: SpokenWord, word: SpokenWord) -> bool:
    """Whether there is text or audio between two words that is in neither."""
    between = ~silent[int(before.end / CELL) : int(word.start / CELL)]
    return word.word != before.word + 1 or float(between.sum()) * CELL > _FOREIGN_SECONDS


def _fit_problem(score: float, weakest: float, rules: CutRules) -> str | None:
    if score < rules.min_score:
        return f"text and sound differ: fit {score:.2f}, at least {rules.min_score:g}"
    if weakest < rules.min_weakest:
        return f"text and sound differ: fit {weakest:.2f} in the worst second, at least {rules.min_weakest:g}"
    return None
