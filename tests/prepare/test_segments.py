"""Positions of cuts, for given words and pauses."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceclone.alignment.reading import NO_BREAK, PHRASE, SENTENCE
from voiceclone.prepare.segments import LONGEST_PAUSE, SHORTEST_PAUSE, Stretch, Unit, cut_recording

CELLS = 100  # a second


def recording(words: list[tuple[float, float, int]]) -> tuple[list[Unit], np.ndarray]:
    """Units and pauses of words (seconds long, pause behind it, break behind it), after half a second of silence."""
    units, silent, at = [], [True] * (CELLS // 2), 0.5
    for length, pause, kind in words:
        units.append(Unit(start=at, end=at + length, break_after=kind))
        silent += [False] * round(CELLS * length) + [True] * round(CELLS * pause)
        at += length + pause
    return units, np.array(silent)


def spans(found: list[Stretch]) -> list[tuple[int, int]]:
    return [(stretch.first, stretch.last) for stretch in found]


def test_long_pauses_at_the_ends_of_sentences_are_preferred() -> None:
    units, silent = recording([(1.0, 0.3, NO_BREAK), (1.0, 0.3, SENTENCE), (1.0, 0.3, PHRASE), (1.0, 0.5, SENTENCE)])
    assert spans(cut_recording(units, silent, min_seconds=1.5, max_seconds=4.0)) == [(0, 2), (2, 4)]


def test_without_punctuation_the_longest_pauses_are_preferred() -> None:
    """A cut at the short pause in the middle would give better clip lengths."""
    words = [(1.5, 1.5 if number in (2, 6) else 0.35, NO_BREAK) for number in range(1, 9)]
    units, silent = recording(words)
    assert spans(cut_recording(units, silent, min_seconds=3.0, max_seconds=12.0)) == [(0, 2), (2, 6), (6, 8)]


def test_a_part_of_each_pause_stays_with_the_clip() -> None:
    units, silent = recording([(2.0, 1.0, SENTENCE), (2.0, 0.2, SENTENCE), (2.0, 1.0, SENTENCE)])
    first, second, third = cut_recording(units, silent, min_seconds=1.0, max_seconds=2.6)
    assert (first.start, first.end) == (0.38, 2.62)  # 0.12 s of a long pause
    assert (second.start, second.end) == (3.38, 5.6)  # half of a short one
    assert third.start == second.end
    assert not any(stretch.problem for stretch in (first, second, third))


def test_sound_without_a_pause_is_left_out_and_said() -> None:
    units, silent = recording([(2.0, 0.5, SENTENCE), *[(1.0, 0.0, NO_BREAK)] * 8, (1.0, 0.5, SENTENCE), (2.0, 0.5, 2)])
    found = cut_recording(units, silent, min_seconds=1.5, max_seconds=5.0)
    assert spans(found) == [(0, 1), (1, 10), (10, 11)]
    assert [stretch.problem is None for stretch in found] == [True, False, True]
    assert found[1].problem.startswith("no pause: 9.")


def test_a_clip_holds_no_long_pause_and_none_is_too_short() -> None:
    units, silent = recording([(2.0, LONGEST_PAUSE + 1, SENTENCE), (0.5, LONGEST_PAUSE + 1, SENTENCE), (2.0, 0.5, 2)])
    found = cut_recording(units, silent, min_seconds=1.5, max_seconds=12.0)
    assert spans(found) == [(0, 1), (1, 2), (2, 3)]
    assert found[0].problem is None and found[2].problem is None and found[1].problem.startswith("too short")


def test_what_does_not_fit_is_kept_apart() -> None:
    units, silent = recording([(2.0, 0.5, SENTENCE)] * 5)
    found = cut_recording(units, silent, min_seconds=1.5, max_seconds=8.0, fits=lambda a, b: not a <= 2 < b)
    assert (2, 3) in spans(found)
    assert {stretch.first: stretch.problem for stretch in found}[2] == "text and sound differ"
    assert sum(stretch.problem is None for stretch in found) == len(found) - 1


def test_sound_outside_words_is_not_in_a_clip() -> None:
    """A second of speech between two words, with pauses around it, belongs to neither of them."""
    units, silent = recording([(2.0, 0.5, SENTENCE), (1.0, 0.5, SENTENCE), (2.0, 0.5, SENTENCE)])
    without = [units[0], Unit(start=units[2].start, end=units[2].end, apart=True)]
    found = cut_recording(without, silent, min_seconds=1.5, max_seconds=12.0)
    stranger = (units[1].start, units[1].end)
    for stretch in found:
        assert stretch.problem or min(stretch.end, stranger[1]) - max(stretch.start, stranger[0]) < 0.05


def test_a_recording_that_is_a_clip_is_not_cut() -> None:
    units, silent = recording([(1.0, 0.5, SENTENCE)] * 4)
    found = cut_recording(units, silent, min_seconds=0.0, max_seconds=np.inf, whole=True)
    assert spans(found) == [(0, 4)] and found[0].start == 0.38
    assert cut_recording([], silent, min_seconds=1.0, max_seconds=2.0) == []


WORDS = st.tuples(st.integers(10, 300), st.sampled_from([0, 5, 15, 30, 100, 300]), st.sampled_from([0, 1, 2]))


@settings(max_examples=100, deadline=None)
@given(words=st.lists(WORDS, min_size=1, max_size=30), low=st.sampled_from([0.8, 2.0, 3.0]))
def test_every_word_is_in_one_stretch_and_no_clip_breaks_a_rule(words: list, low: float) -> None:
    units, silent = recording([(length / CELLS, pause / CELLS, kind) for length, pause, kind in words])
    high = 3.0 * low
    found = cut_recording(units, silent, min_seconds=low, max_seconds=high)
    assert [index for stretch in found for index in range(stretch.first, stretch.last)] == list(range(len(units)))
    for before, stretch in zip([None, *found], found, strict=False):
        assert before is None or before.end <= stretch.start + 1e-9
        if stretch.problem is None:
            first, last = units[stretch.first], units[stretch.last - 1]
            assert low <= stretch.seconds <= high
            assert stretch.start <= first.start + 1e-6 and last.end <= stretch.end + 1e-6
        if stretch.first:
            assert units[stretch.first].start - units[stretch.first - 1].end >= SHORTEST_PAUSE - 1e-6
