"""The rough alignment of one segment."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from voiceclone.alignment.coarse import POOL, CepstralCost, align_window
from voiceclone.alignment.reading import READERS, Reader

STEPS = 100


class Constant:
    """A cost model for which every frame of the text fits equally well."""

    prices = CepstralCost.prices

    def __init__(self, cost: float) -> None:
        self.cost = cost

    def costs(self, sound, reading, places):
        return np.full((STEPS, len(places)), self.cost, dtype=np.float32)


@pytest.mark.parametrize(("cost", "found"), [(0.0, True), (50.0, False)])
def test_a_segment_in_which_no_word_is_found_has_no_words(cost: float, found: bool) -> None:
    reading = Reader("a", READERS[0]).read("Good morning to you all.")
    level = np.full(2 * POOL * STEPS, 10.0)
    sound = SimpleNamespace(
        speech=np.ones(reading.mel.shape[1], dtype=bool), energy=level, silence_db=-20.0, seconds=4.0
    )
    section = align_window(sound, reading, Constant(cost))
    assert bool(section.words) is found
    assert section.span == (0, len(reading.words))
    if not found:
        assert [start for start, _ in section.foreign] == [0.0]
