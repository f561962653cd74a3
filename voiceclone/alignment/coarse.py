"""Rough word times: eSpeak-NG's synthesis of the text is warped to the recording.

Dynamic time warping in windows of two minutes on normalised cepstra. A pause may occur between any two words. Sound
that is not in the text (a cough, a false start) and text that is not in the recording can be skipped at a cost, so that
one mismatch does not shift the rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from voiceclone.alignment.features import CEPSTRA, Scale
from voiceclone.alignment.paths import Prices, cheapest_path
from voiceclone.alignment.reading import SENTENCE, Reading
from voiceclone.alignment.recording_features import FRAME, RecordingFeatures, runs

POOL = 2  # mel frames in a step: 40 ms
STEP = POOL * FRAME  # seconds
WINDOW_SECONDS = 120.0
PACE_SECONDS = 60.0
_PACES = (0.75, 0.9, 1.05, 1.25, 1.5)
LOOK_AHEAD = 1.6  # length of the text available to a window, as a multiple of the window's length
RANGE_DB = 45.0
_STRETCH_LIMITS = (0.6, 1.7)  # limits of the ratio of the recording's duration to the synthesis'
_SHORTEST_FOREIGN = 0.6  # seconds
_MARGIN = 0.3  # seconds of foreign sound that the adjacent words may still be assigned
_BRIEF = 0.8  # seconds; a shorter stretch of missing text is assumed to be spoken


class CostModel(Protocol):
    """Interface: distance between frames of the recording and frames of the synthesis."""

    prices: Prices

    def costs(self, sound: RecordingFeatures, reading: Reading, places: np.ndarray) -> np.ndarray:
        """Costs ``(T, len(places))`` of the recording's T steps against the frames ``places`` of the synthesis."""


class CepstralCost:
    """The first cost model: cosine distance of cepstra, each normalised by its speaker's scale."""

    # Typical distances: 0.5 for frames of the same words, at least 0.7 for others.
    prices = Prices(right=0.5, foreign=0.75, turn=4.0, stay=0.3, hop=0.2, skip=4.0, skip_step=0.08)

    def __init__(self, scale: Scale, reading_scale: Scale) -> None:
        self.scale, self.reading_scale = scale, reading_scale

    def costs(self, sound: RecordingFeatures, reading: Reading, places: np.ndarray) -> np.ndarray:
        """See :class:`CostModel`."""
        target = _unit(self.scale.apply(sound.mel))
        return 1.0 - target.T @ _unit(self.reading_scale.apply_pooled(reading.mel[:, places]))


@dataclass(frozen=True, kw_only=True)
class RoughWord:
    """A word of the synthesis with its rough time in the recording."""

    word: int
    start: float
    """Seconds in the recording."""
    end: float


@dataclass(frozen=True, kw_only=True)
class Section:
    """A segment of a recording between two pauses, with rough word times."""

    start: float
    """Seconds in the recording."""
    end: float
    words: tuple[RoughWord, ...] = field(repr=False)
    """In order. Words of the text that are not in the recording are missing."""
    cost: float
    """Mean cost of the path for each step."""
    span: tuple[int, int]
    """Index of the first word of the text in this section, and of the first one after it."""
    foreign: tuple[tuple[float, float], ...] = ()
    """Start and end in seconds of sound that is not in the text."""

    def moved(self, seconds: float, words: int) -> Section:
        """The same section, shifted by ``seconds`` in the recording and by ``words`` in the text."""
        return Section(
            start=self.start + seconds,
            end=self.end + seconds,
            words=tuple(
                RoughWord(word=w.word + words, start=w.start + seconds, end=w.end + seconds) for w in self.words
            ),
            cost=self.cost,
            span=(self.span[0] + words, self.span[1] + words),
            foreign=tuple((start + seconds, end + seconds) for start, end in self.foreign),
        )

    def until(self, end: float) -> Section:
        """The part before ``end``, which lies between two words."""
        words = tuple(word for word in self.words if word.end <= end)
        return Section(
            start=self.start,
            end=end,
            words=words,
            cost=self.cost,
            span=(self.span[0], words[-1].word + 1 if words else self.span[0]),
            foreign=tuple((first, min(last, end)) for first, last in self.foreign if first < end),
        )


def align_long(
    sound: RecordingFeatures, reading: Reading, first_word: int, cost_model: CostModel, stretch: float
) -> Iterator[Section]:
    """Align a recording window by window, starting at a word of the text. The end of the text may remain unused.

    Args:
        sound: features of the recording.
        reading: the synthesised text.
        first_word: index of the first word.
        cost_model: distance of frames.
        stretch: duration ratio for the first window, see :func:`pace`.

    Yields:
        Sections in order of time.
    """
    done = 0.0
    while done < sound.seconds - STEP and first_word < len(reading.words):
        end = min(done + WINDOW_SECONDS, sound.seconds)
        final = end >= sound.seconds
        part = next_words(reading, first_word, (end - done) / stretch)
        found = align_window(sound.part(done, end), part, cost_model, stretch=stretch, whole=False)
        words = found.words if final else _up_to_a_pause(found.words, part, end - done)
        if not words:
            # No word of the text in this window: music, or another speaker.
            done = end if final else done + WINDOW_SECONDS / 2
            continue
        cut = end - done if final else (words[-1].end + _next_start(found.words, words)) / 2
        stretch = float(np.clip(0.5 * stretch + 0.5 * _stretch(words, part), *_STRETCH_LIMITS))
        section = found.until(cut).moved(done, first_word)
        first_word += words[-1].word + 1
        done = end if final else done + cut
        yield section


def settled(section: Section, reading: Reading) -> list[Section]:
    """Split a section at foreign sound, and restore words that were skipped although they are short.

    Short skipped words were more probably spoken fast than omitted. The exact alignment decides.
    """
    parts, start, words = [], section.start, list(section.words)
    first_word = section.span[0]
    for first, last in section.foreign:
        if last - first < _SHORTEST_FOREIGN:
            continue
        before = [word for word in words if word.end <= first + STEP]
        words = words[len(before) :]
        if before:
            end = min(words[0].start if words else section.end, first + _MARGIN)
            parts.append(_completed(before, (first_word, before[-1].word + 1), start, end, section.cost, reading))
            first_word = before[-1].word + 1
        start = max(before[-1].end if before else section.start, last - _MARGIN)
    if words:
        parts.append(_completed(words, (first_word, section.span[1]), start, section.end, section.cost, reading))
    return parts


def _completed(
    words: list[RoughWord], span: tuple[int, int], start: float, end: float, cost: float, reading: Reading
) -> Section:
    """A section of these words and the skipped ones between them that are short."""
    lengths = FRAME * np.diff(reading.bounds)
    found: list[RoughWord] = []
    for word in [*words, None]:
        last_end = found[-1].end if found else max(start, words[0].start - _MARGIN)
        missing = range(found[-1].word + 1 if found else span[0], word.word if word else span[1])
        if missing and float(lengths[missing.start : missing.stop].sum()) <= _BRIEF:
            room_end = min(word.start if word else end, last_end + _BRIEF)
            edges = np.linspace(last_end, max(room_end, last_end), len(missing) + 1)
            found += [
                RoughWord(word=index, start=float(a), end=float(b)) for index, a, b in zip(missing, edges, edges[1:])
            ]
        if word:
            found.append(word)
    return Section(start=start, end=end, words=tuple(found), cost=cost, span=span)


def pace(sound: RecordingFeatures, reading: Reading, first_word: int, cost_model: CostModel) -> tuple[float, float]:
    """Duration ratio and cost that fit the beginning of a recording best."""
    start = sound.part(0.0, min(sound.seconds, PACE_SECONDS))
    found = []
    for stretch in _PACES:
        part = next_words(reading, first_word, start.seconds / stretch)
        found.append((align_window(start, part, cost_model, stretch=stretch, whole=False).cost, stretch))
    cost, stretch = min(found)
    return stretch, cost


def next_words(reading: Reading, first_word: int, seconds: float) -> Reading:
    """The words from ``first_word`` on that take up to ``seconds`` in the synthesis, plus a margin."""
    low = int(np.searchsorted(reading.word_of, first_word))
    frame = low + int((seconds * LOOK_AHEAD + 15.0) / FRAME)
    last = int(reading.word_of[frame]) + 1 if frame < len(reading.word_of) else len(reading.words)
    return reading.words_part(first_word, last)


def align_window(
    sound: RecordingFeatures,
    reading: Reading,
    cost_model: CostModel,
    *,
    stretch: float | None = None,
    whole: bool = True,
) -> Section:
    """Warp a synthesis to a segment of at most a few minutes. Memory is proportional to the product of the lengths.

    Args:
        sound: features of the segment.
        reading: the synthesised text.
        cost_model: distance of frames.
        stretch: duration ratio of recording to synthesis; from their lengths when None.
        whole: the segment contains the whole text; otherwise it may end at any word.
    """
    if stretch is None:
        stretch = float(sound.speech.sum() / reading.mel.shape[1])
    stretch = float(np.clip(stretch, *_STRETCH_LIMITS))
    places, row_word = _rows(reading, stretch)
    sounds = cost_model.costs(sound, reading, places)
    prices = cost_model.prices
    costs = np.empty((len(sounds), len(row_word)), dtype=np.float32)
    costs[:, row_word >= 0] = sounds
    level = sound.energy[: len(sounds) * 2 * POOL].reshape(-1, 2 * POOL).mean(axis=1)
    loudness = 1.0 / (1.0 + np.exp((sound.silence_db - level) / 2.0))  # 0 in a pause, 1 in speech
    pause = 0.2 * prices.right + 2.4 * prices.right * loudness
    costs[:, row_word < 0] = pause[:, None]
    path, foreign, cost = cheapest_path(costs, row_word < 0, prices, whole=whole)
    word_at = np.where(foreign, -1, row_word[path])
    steps = np.flatnonzero(word_at >= 0)
    names, first = np.unique(word_at[steps], return_index=True)
    ends = np.append(first[1:], len(steps))[: len(first)] - 1  # none where all of it is foreign
    words = [
        RoughWord(word=int(name), start=float(steps[a] * STEP), end=float((steps[b] + 1) * STEP))
        for name, a, b in zip(names, first, ends, strict=True)
    ]
    stretches = tuple((first * STEP, last * STEP) for first, last in runs(foreign))
    last = len(reading.words) if whole or not words else words[-1].word + 1
    return Section(start=0.0, end=sound.seconds, words=tuple(words), cost=cost, span=(0, last), foreign=stretches)


def _rows(reading: Reading, stretch: float) -> tuple[np.ndarray, np.ndarray]:
    """Frames of the synthesis resampled by ``stretch``, and the word of each row. Pause rows (-1) lie between words."""
    places, row_word = [], [np.array([-1])]
    for word, (first, last) in enumerate(zip(reading.bounds[:-1], reading.bounds[1:], strict=True)):
        count = max(1, round((last - first) * stretch / POOL))
        places.append(np.minimum(first + ((np.arange(count) + 0.5) * (last - first) / count).astype(int), last - 1))
        row_word += [np.full(count, word), np.array([-1])]
    return np.concatenate(places), np.concatenate(row_word)


def _up_to_a_pause(words: tuple[RoughWord, ...], reading: Reading, seconds: float) -> tuple[RoughWord, ...]:
    """The words up to the longest pause in the third quarter of the window, or else in its second half."""
    for earliest, latest in ((0.5, 0.8), (0.3, 0.9)):
        best, chosen = 0.12, 0
        for index in range(1, len(words)):
            before, after = words[index - 1], words[index]
            pause = min(after.start - before.end, 1.0)
            if reading.words[before.word].break_after == SENTENCE:
                pause *= 1.5
            if earliest * seconds <= before.end <= latest * seconds and pause > best:
                best, chosen = pause, index
        if chosen:
            return words[:chosen]
    inside = [word for word in words if word.end <= 0.7 * seconds]
    return tuple(inside)


def _next_start(words: tuple[RoughWord, ...], kept: tuple[RoughWord, ...]) -> float:
    return words[len(kept)].start if len(kept) < len(words) else kept[-1].end


def _stretch(words: tuple[RoughWord, ...], reading: Reading) -> float:
    spoken = sum(word.end - word.start for word in words)
    counts = np.bincount(reading.word_of, minlength=len(reading.words))
    return spoken / (FRAME * max(1, sum(int(counts[word.word]) for word in words)))


def _unit(features: np.ndarray) -> np.ndarray:
    values = features.copy()
    values[CEPSTRA:] *= 0.5  # delta cepstra are noisier, so they get a lower weight
    values[0] *= 1.5  # the level separates speech from pauses, so it gets a higher weight
    return values / (np.linalg.norm(values, axis=0, keepdims=True) + 1e-6)
