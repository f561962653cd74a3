"""The second cost model of the rough alignment, by phone models."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from voiceclone.alignment.coarse import POOL, Section, align_window
from voiceclone.alignment.features import SIZE
from voiceclone.alignment.fine import PhoneModelCost
from voiceclone.alignment.phones import PhoneModels
from voiceclone.alignment.reading import READERS, Reader, Reading
from voiceclone.alignment.recording_features import FRAME

TEXT = "She measured the length of the garden with a piece of string, and nobody knows why the old clock stopped."
OTHER = "George usually takes the longer way home, for fresh bread, butter and honey were waiting in the kitchen."
VARIANCE = 0.1  # of speech with little variation; 1 is that of all speech


def shifted(reading: Reading) -> list[tuple[str, int]]:
    """The thirds of the frames of a recording in which the first third of every phone is longer than the others."""
    thirds = []
    bounds = np.append(
        np.flatnonzero(np.diff(reading.word_of * 1000 + reading.unit_of // 3, prepend=-1)), len(reading.word_of)
    )
    for first, last in zip(bounds[:-1], bounds[1:], strict=True):
        phone = reading.words[reading.word_of[first]].phones[reading.unit_of[first] // 3]
        places = (np.arange(last - first) + 0.5) / (last - first)
        thirds += [(phone, int(3 * place**2)) for place in places]
    return thirds


def aligned(text: str) -> tuple[Reading, Section]:
    """The rough alignment of ``text`` to a recording of TEXT, with phone models of that recording's speaker."""
    reader = Reader("a", READERS[0])
    spoken, reading = reader.read(TEXT), reader.read(text)
    known = sorted({third for one in (spoken, reader.read(OTHER)) for word in one.words for third in word.thirds})
    chance = np.random.default_rng(0)
    mean = np.concatenate([np.zeros((1, SIZE)), chance.standard_normal((len(known), SIZE)), np.zeros((1, SIZE))])
    mean[0, 0] = -4.0  # the level of a pause
    variance = np.full(mean.shape, VARIANCE)
    variance[-1] = 1.0
    models = PhoneModels(thirds=tuple(known), mean=mean, variance=variance)
    states = models.states(shifted(spoken))
    features = mean[states] + np.sqrt(VARIANCE) * chance.standard_normal((len(states), SIZE))
    frames = len(states) // POOL * POOL
    sound = SimpleNamespace(
        mel=np.zeros((40, frames)), energy=np.full(2 * frames, 10.0), speech=np.ones(frames, dtype=bool),
        silence_db=-20.0, seconds=frames * FRAME, first=0,
    )  # fmt: skip
    cost = PhoneModelCost(models, SimpleNamespace(), models.gaps(features.T))
    return reading, align_window(sound, reading, cost)


def test_narrow_models_do_not_lose_words_whose_phones_are_a_third_off() -> None:
    reading, found = aligned(TEXT)
    assert [word.word for word in found.words] == list(range(len(reading.words)))
    assert found.foreign == ()


def test_another_text_is_not_in_the_recording() -> None:
    _, found = aligned(OTHER)
    assert sum(last - first for first, last in found.foreign) > 0.9 * found.end
