"""Exact word times: Viterbi alignment with phone models near the rough alignment, in frames of 20 ms."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from voiceclone.alignment.coarse import POOL, RoughWord, Section
from voiceclone.alignment.features import Scale
from voiceclone.alignment.paths import Prices
from voiceclone.alignment.phones import PAUSE, PhoneModels, Third
from voiceclone.alignment.reading import NO_BREAK, PHRASE, SENTENCE, Reading
from voiceclone.alignment.recording_features import CELL, FRAME, RecordingFeatures, pauses, runs

RANGE_DB = 60.0
BAND_SECONDS = 2.0  # maximum error of the rough alignment, in seconds
FOREIGN_GAP = 0.35  # mean gap to the best phone above which sound between two words is not in the text
# Probability of a pause after a word with no punctuation, a comma, a full stop.
_PAUSE_CHANCE = {NO_BREAK: 0.07, PHRASE: 0.7, SENTENCE: 0.95}
_LONGEST_CLOSURE = 0.16  # seconds; maximum length of a stop closure within a word
_SPEECH_IN_PAUSE = 0.5  # added to the gaps of all phones in longer silences
_HOP_PRICE = 1.0
_NEIGHBOUR_PRICE = 0.5  # of a frame that belongs to the third before or after; added to the gap of that third
_FAR = np.float32(1e9)


@dataclass(frozen=True, kw_only=True)
class SpokenWord:
    """A word of the synthesis with its exact time in the recording."""

    word: int
    start: float
    """Seconds in the recording."""
    end: float
    gap: float
    """Mean gap of its sound to the text's phones, see :mod:`voiceclone.alignment.phones`; 0.2 is typical."""


class PhoneModelCost:
    """The second cost model of the rough alignment: gaps by phone models trained on the recording itself.

    A step of the rough alignment is longer than most thirds of phones. A frame may therefore belong to the third before
    or after, at a price. Without this, small errors of the times cost more than foreign sound where phone models are
    narrow, as in long recordings of speech with little variation.

    Args:
        models: the phone models.
        scale: of the recording.
        known: gaps ``(F, S)`` of the whole recording where already computed.
    """

    prices = Prices(right=0.2, foreign=0.3, turn=4.0, stay=0.08, hop=0.06, skip=8.0, skip_step=0.08)

    def __init__(self, models: PhoneModels, scale: Scale, known: np.ndarray | None = None) -> None:
        self.models, self.scale, self.known = models, scale, known

    def gaps(self, sound: RecordingFeatures) -> np.ndarray:
        """Gaps ``(F, S)`` of a segment of the recording."""
        if self.known is not None:
            return self.known[sound.first : sound.first + sound.mel.shape[1]].copy()
        return self.models.gaps(self.scale.apply(sound.mel))

    def costs(self, sound: RecordingFeatures, reading: Reading, places: np.ndarray) -> np.ndarray:
        """See :class:`voiceclone.alignment.coarse.CostModel`."""
        gaps = self.gaps(sound)
        steps = len(gaps) // POOL
        states = self.models.states(third for word in reading.words for third in word.thirds)
        first = np.cumsum([0, *(len(word.thirds) for word in reading.words)])
        at = first[reading.word_of[places]] + reading.unit_of[places]
        around = np.stack([states[np.clip(at + shift, 0, len(states) - 1)] for shift in (0, -1, 1)])
        # Most neighbourhoods occur many times: each is computed once.
        around, which = np.unique(around, axis=1, return_inverse=True)
        right, before, after = (gaps[: steps * POOL, row] for row in around)
        smallest = np.minimum(right, np.minimum(before, after) + np.float32(_NEIGHBOUR_PRICE))
        return smallest.reshape(steps, POOL, -1).mean(axis=1)[:, which.ravel()]


def rough_labels(words: tuple[RoughWord, ...], reading: Reading, start: float, frames: int) -> list[Third | None]:
    """The phone third of each of ``frames`` frames from ``start`` (seconds); None in pauses."""
    labels: list[Third | None] = [None] * frames
    bounds = reading.bounds
    for rough in words:
        first, last = int(round((rough.start - start) / FRAME)), int(round((rough.end - start) / FRAME))
        low, high = bounds[rough.word], bounds[rough.word + 1]
        thirds = reading.words[rough.word].thirds
        for frame in range(max(first, 0), min(last, frames)):
            place = low + int((frame - first) * (high - low) / (last - first))
            labels[frame] = thirds[reading.unit_of[min(place, high - 1)]]
    return labels


def align_section(
    section: Section, sound: RecordingFeatures, reading: Reading, voice: PhoneModelCost
) -> tuple[list[SpokenWord], list[Third | None]]:
    """Compute exact word times for a section.

    Args:
        section: with rough word times.
        sound: features of the section.
        reading: the synthesised text.
        voice: the phone models.

    Returns:
        The words, and the phone third of each frame (None in pauses).
    """
    gaps = voice.models.gaps(voice.scale.apply(sound.mel))
    judged = gaps.copy() if voice.known is None else voice.gaps(sound)
    gaps[_long_pauses(sound), PAUSE + 1 :] += _SPEECH_IN_PAUSE
    rows = _Rows(section, reading, voice.models)
    low, width = rows.band(section, len(gaps))
    if not section.words or len(gaps) < 2:
        return [], [None] * len(gaps)
    path = _cheapest_path(gaps, rows, low, width)
    states, word_at = rows.state[path], rows.word[path]
    gap_at = judged[np.arange(len(judged)), states]
    words = []
    for index, rough in enumerate(section.words):
        frames = np.flatnonzero((word_at == index) & (states != PAUSE))
        if len(frames):
            start, end = section.start + frames[0] * FRAME, section.start + (frames[-1] + 1) * FRAME
            words.append(SpokenWord(word=rough.word, start=start, end=end, gap=float(gap_at[frames].mean())))
    return words, [rows.third[row] for row in path]


def _long_pauses(sound: RecordingFeatures) -> np.ndarray:
    """bool ``(F,)``: inner frames of silences that are longer than any stop closure."""
    inside = np.zeros(sound.mel.shape[1], dtype=bool)
    for first, last in runs(pauses(sound)):
        if (last - first) * CELL >= _LONGEST_CLOSURE:
            inside[first // 2 + 2 : last // 2 - 2] = True
    return inside


class _Rows:
    """States in the order of the text: a pause, the thirds of a word's phones, a pause, ..."""

    def __init__(self, section: Section, reading: Reading, models: PhoneModels) -> None:
        third: list[Third | None] = [None]
        word, enter, leave_out, starts = [0], [0.0], [0.0], []
        for index, rough in enumerate(section.words):
            spoken = reading.words[rough.word]
            starts.append(len(third))
            third += [*spoken.thirds, None]
            word += [index] * (len(spoken.thirds) + 1)
            enter += [0.0] * len(spoken.thirds) + [-math.log(_PAUSE_CHANCE[spoken.break_after])]
            leave_out += [0.0] * len(spoken.thirds) + [-math.log(1.0 - _PAUSE_CHANCE[spoken.break_after])]
        self.third = third
        self.state = np.array([PAUSE if t is None else models.states([t])[0] for t in third])
        self.word = np.array(word)
        self.is_pause = self.state == PAUSE
        self.word_start = np.array(starts, dtype=np.int64)
        self.enter = np.array(enter, dtype=np.float32)
        self.hop = np.full(len(third), _HOP_PRICE, dtype=np.float32)
        # The transition that skips a pause row leads directly to the next word.
        self.hop[1:][self.is_pause[:-1]] = np.array(leave_out, dtype=np.float32)[:-1][self.is_pause[:-1]]

    def band(self, section: Section, frames: int) -> tuple[np.ndarray, int]:
        """The lowest allowed row for each frame, and the number of allowed rows."""
        expected = np.zeros(frames)
        points = [(0.0, 0.0)]
        for index, rough in enumerate(section.words):
            first = self.word_start[index]
            points += [(rough.start - section.start, first), (rough.end - section.start, self._end(index))]
        points.append((frames * FRAME, len(self.third) - 1))
        times, places = np.array(points).T
        expected = np.interp(np.arange(frames) * FRAME, times, np.maximum.accumulate(places))
        reach = int(BAND_SECONDS / FRAME)
        padded = np.concatenate([np.zeros(reach), expected, np.full(reach, len(self.third) - 1.0)])
        low, high = padded[:frames].astype(int), np.ceil(padded[2 * reach :]).astype(int)
        width = min(int((high - low).max()) + 3, len(self.third))
        return np.maximum.accumulate(np.clip(low, 0, len(self.third) - width)), width

    def _end(self, index: int) -> int:
        return int(self.word_start[index + 1]) - 1 if index + 1 < len(self.word_start) else len(self.third) - 1


def _cheapest_path(gaps: np.ndarray, rows: _Rows, low: np.ndarray, width: int) -> np.ndarray:
    """Viterbi search: rows ``(T,)`` from the first to the last, each within ``width`` of the lowest allowed one."""
    frames, count = len(gaps), len(rows.state)
    moves = np.zeros((frames, width), dtype=np.int8)
    total = np.full(width, _FAR)
    total[0] = 0.0
    total[1:2] = gaps[0, rows.state[1:2]]
    padded = np.full(width + 2, _FAR)
    for frame in range(1, frames):
        shift = low[frame] - low[frame - 1]
        inside = slice(low[frame], low[frame] + width)
        # padded[k] is the total cost of row low + k - 2 in the previous frame.
        padded[:] = _FAR
        first = max(2 - shift, 0)
        source = total[max(shift - 2, 0) :]
        length = min(len(source), width + 2 - first)
        padded[first : first + length] = source[:length]
        best, move = padded[2:].copy(), moves[frame]
        for hops, price in ((1, rows.enter[inside]), (2, rows.hop[inside])):
            came = padded[2 - hops : width + 2 - hops] + price
            better = came < best
            move[better] = hops
            np.minimum(best, came, out=best)
        cost = gaps[frame, rows.state[inside]]
        total = best + np.where(rows.is_pause[inside], np.minimum(cost, FOREIGN_GAP), cost)
    path = np.empty(frames, dtype=np.int64)
    row = count - 1
    for frame in range(frames - 1, -1, -1):
        path[frame] = row
        row -= int(moves[frame, row - low[frame]])
    return path
