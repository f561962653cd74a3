"""Phone models of a speaker."""

from __future__ import annotations

import numpy as np

from voiceclone.alignment.features import SIZE
from voiceclone.alignment.phones import PAUSE, PhoneSums, PhoneTable

THIRDS = [None, ("a", 0), ("a", 1), ("b", 0)]


def labelled(frames: int, seed: int = 0) -> tuple[np.ndarray, list]:
    """Features of well separated phones, each constant for 20 frames."""
    chance = np.random.default_rng(seed)
    centres = 3.0 * np.random.default_rng(9).standard_normal((len(THIRDS), SIZE))
    rows = np.repeat(chance.integers(0, len(THIRDS), frames // 20), 20)
    return (centres[rows] + chance.standard_normal((len(rows), SIZE))).T, [THIRDS[row] for row in rows]


def table_of(features: np.ndarray, labels: list) -> PhoneTable:
    sums = PhoneSums()
    sums.add(features, labels)
    return sums.table()


def test_the_right_phone_has_the_smallest_gap() -> None:
    models = table_of(*labelled(2000)).models()
    features, labels = labelled(400, seed=1)
    gaps = models.gaps(features)
    right = models.states(label for label in labels if label is not None)
    spoken = np.array([label is not None for label in labels])
    assert (gaps[spoken, 1:].argmin(axis=1) + 1 == right).mean() > 0.99
    assert (gaps[~spoken].argmin(axis=1) == PAUSE).mean() > 0.99
    assert (gaps[:, 1:] >= 0).all()


def test_an_unseen_phone_has_the_general_speech_model() -> None:
    models = table_of(*labelled(400)).models()
    assert models.states([("x", 2)]).tolist() == [len(models.mean) - 1]


def test_sums_do_not_depend_on_the_order_of_adding() -> None:
    features, labels = labelled(600)
    sums = PhoneSums()
    sums.add(features[:, :200], labels[:200])
    sums.add(features[:, 200:], labels[200:])
    whole = table_of(features, labels)
    assert sums.table().thirds == whole.thirds == (("a", 0), ("a", 1), ("b", 0))
    for name in ("count", "first", "second"):
        np.testing.assert_allclose(getattr(sums.table(), name), getattr(whole, name), rtol=1e-9, atol=1e-9)


def test_held_out_gaps_use_models_without_the_frame() -> None:
    """Frames are scored by models trained without their part (a quarter, or 500 frames)."""
    for frames, length in ((3000, 500), (800, 200)):
        check_held_out(frames, length)


def check_held_out(frames: int, length: int) -> None:
    features, labels = labelled(frames)
    table = table_of(features, labels)
    rows = np.array([0 if label is None else 1 + table.thirds.index(label) for label in labels], dtype=np.int16)
    found = table.held_out_gaps(features, rows)
    for start in range(0, frames, length):
        others = np.ones(frames, dtype=bool)
        others[start : start + length] = False
        alone = table_of(features[:, others], [label for label, other in zip(labels, others) if other])
        expected = alone.models().gaps(features[:, start : start + length])
        np.testing.assert_allclose(found[start : start + length], expected, rtol=1e-3, atol=1e-3)
