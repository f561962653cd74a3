"""The comparison of a student with its teacher."""

from __future__ import annotations

import numpy as np
import pytest
from support import benchmark


def measured(student, pitches: list[float], predicted: list[float], frames: list[float]):
    speakers = {"af_heart": np.array([1.0, 0.0]), "am_adam": np.array([0.0, 1.0])}
    count = len(pitches)
    return student.Measured(
        errors=[(1.0, 10.0)] * count, opinions=[4.0] * count, pitches=pitches, predicted=predicted, frames=frames,
        speakers=speakers,
    )  # fmt: skip


def test_pitch_is_compared_in_the_audio_as_predicted_and_by_voice() -> None:
    student = benchmark("student")
    count = len(student.VOICES)
    heights = [100.0 + number for number in range(2 * count)]
    lower = [height - (2.0 if number % count == 1 else 0.5) for number, height in enumerate(heights)]
    lower[0] = float("nan")  # a sentence in which nothing is voiced
    ours = measured(student, lower, [height + 0.25 for height in heights], [95.0] * (2 * count))
    theirs = measured(student, heights, heights, [100.0] * (2 * count))
    by_voice = student.pitch_by_voice(ours, theirs)
    assert by_voice[student.VOICES[0]] == (0.5, 0.25) and by_voice[student.VOICES[1]] == (2.0, 0.25)
    figures = student.compare(ours, theirs)
    expected = (2 * 2.0 + (2 * count - 3) * 0.5) / (2 * count - 1)
    assert figures["median F0, mean absolute difference, semitones"][0] == pytest.approx(expected)
    assert figures["the same, as predicted"][0] == pytest.approx(0.25)
    assert figures["length, mean absolute difference, %"][0] == pytest.approx(5.0)
    assert figures["own teacher first among the stock voices, %"][0] == 100.0


def test_the_median_is_that_of_voiced_frames() -> None:
    semitones = benchmark("student").median_semitones
    assert semitones(np.array([0.0, 0.0] + [128.0] * 7), 0.0) == pytest.approx(84.0)
    assert semitones(np.array([20.0] * 9 + [128.0] * 7), 40.0) == pytest.approx(84.0)
    assert np.isnan(semitones(np.array([128.0] * 5), 0.0))
