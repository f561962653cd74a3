"""Durations are whole frames with the right sum, and symbols are placed at the synthesiser's times."""

import numpy as np
import pytest

from voiceclone.alignment.durations import durations_from_events, units_of_events, whole_frames
from voiceclone.text.espeak import PhonemeEvent


def event(ipa, start):
    return PhonemeEvent(ipa=ipa, start=start)


def test_whole_frames_sum_up_and_leave_none_empty():
    rng = np.random.default_rng(0)
    for _ in range(50):
        tokens = int(rng.integers(2, 40))
        frames = tokens + int(rng.integers(0, 60))
        boundaries = np.concatenate([[0], np.sort(rng.uniform(0, frames, tokens - 1)), [frames]])
        durations = whole_frames(boundaries, frames)
        assert durations.sum() == frames
        assert durations.min() >= 1


def test_whole_frames_keep_whole_boundaries():
    assert whole_frames(np.array([0, 3, 4, 9]), 9).tolist() == [3, 1, 5]


def test_whole_frames_move_as_little_as_they_can():
    # Three boundaries at the same position: one frame each, around it.
    durations = whole_frames(np.array([0.0, 10.0, 10.0, 10.0, 20.0]), 20)
    assert durations.tolist() in ([9, 1, 1, 9], [8, 1, 1, 10], [10, 1, 1, 8])


def test_too_few_frames_are_refused():
    with pytest.raises(ValueError, match="cannot hold"):
        whole_frames(np.array([0.0, 1.0, 2.0, 2.0]), 2)


def test_diphthongs_are_one_symbol_and_pauses_merge():
    units = units_of_events([event("ˈoʊ", 0.0), event("tʃ", 0.1), event("", 0.2), event("", 0.3)], 0.5)
    assert [unit[0] for unit in units] == ["O", "ʧ", "_"]
    assert units[2][1:] == (0.2, 0.5)


def test_symbols_lie_where_they_were_spoken():
    events = [event("n", 0.1), event("ˈoʊ", 0.2), event("", 0.5), event("b", 0.8), event("ɪ", 0.9), event("t", 1.0)]
    durations, cost = durations_from_events("nˈO, bɪt", events, 1.2)
    starts = np.concatenate([[0], np.cumsum(durations)]) * 0.025
    at = dict(zip("^nˈO, bɪt$", starts, strict=False))
    assert cost < 0.1
    assert durations.sum() == 48
    for symbol, start in (("n", 0.1), ("O", 0.2), ("b", 0.8), ("ɪ", 0.9), ("t", 1.0)):
        assert abs(at[symbol] - start) <= 0.051, symbol


def test_other_words_cost_much():
    events = [event(p, 0.1 * i) for i, p in enumerate("mnlmnl")]
    _, cost = durations_from_events("ɑɪtsæk", events, 1.0)
    assert cost > 0.45
