"""Pauses are found in a clip's energy and taken out of what its durations teach."""

from __future__ import annotations

import pytest
import torch

from voiceclone.projection.losses import duration_terms
from voiceclone.projection.pauses import MIN_PAUSE, pauses, spoken_durations


def energy_of(*stretches: tuple[int, float]) -> torch.Tensor:
    """Log energy of stretches, each so many frames of 25 ms at so many dB, with a little life in it."""
    values = torch.cat([torch.full((2 * frames,), level * 0.2302585) for frames, level in stretches])
    return values + 0.1 * torch.sin(torch.arange(len(values)) * 1.3)


def test_a_pause_is_quiet_and_long_enough() -> None:
    found = pauses(energy_of((20, 0), (MIN_PAUSE + 4, -50), (20, -6), (MIN_PAUSE - 2, -50), (20, 0)))
    assert found[20 : 20 + MIN_PAUSE + 4].all() and int(found.sum()) == MIN_PAUSE + 4  # the closure is none


@pytest.mark.parametrize("noise", [-60.0, -45.0, -34.0, -20.0])
def test_a_pause_is_found_above_the_rooms_noise(noise: float) -> None:
    found = pauses(energy_of((30, 0), (15, noise), (30, -8), (15, noise), (10, -5)))
    assert int(found.sum()) == 30


def test_loud_speech_throughout_has_no_pause() -> None:
    assert not pauses(energy_of((40, 0), (40, -11), (40, -5))).any()


def test_a_phone_loses_a_pause_and_a_mark_keeps_it() -> None:
    durations = torch.tensor([4, 3, 20, 2, 18, 3, 5])  # BOS a s space , b EOS
    energy = energy_of((4, -50), (3, 0), (4, -10), (16, -50), (2, -5), (18, -50), (3, 0), (5, -50))
    spoken = spoken_durations(durations, "as ,b", energy)
    assert spoken.frames.tolist() == [4, 3, 4, 2, 18, 3, 5]
    assert spoken.counted.tolist() == [False, True, True, True, False, True, False]


def test_the_rate_is_that_between_the_pauses() -> None:
    """Two readings of a text at one rate, one with a pause that no mark asks for: the same rate."""
    even, paused = torch.tensor([4, 3, 4, 2, 3, 5]), torch.tensor([4, 3, 24, 2, 3, 5])
    voice = torch.tensor([6.0, 3, 4, 2, 3, 9])
    plain = energy_of((4, -50), (3, 0), (4, -10), (2, -5), (3, 0), (5, -50))
    stopped = energy_of((4, -50), (3, 0), (4, -10), (20, -50), (2, -5), (3, 0), (5, -50))
    for durations, energy in ((even, plain), (paused, stopped)):
        spoken = spoken_durations(durations, "as b", energy)
        assert float(duration_terms(voice, spoken.frames, spoken.counted)["rate"]) == pytest.approx(0.0, abs=1e-6)
    assert float(duration_terms(voice, paused)["rate"]) > 0.5  # as it was: the pause counted as speech
