"""Recipes and their parts; the plain recipe."""

from __future__ import annotations

import pytest
import torch

from voiceclone.alignment.base_warp import stretched
from voiceclone.cloning.config import CloneConfig
from voiceclone.errors import UsageError
from voiceclone.projection.config import ProjectionConfig
from voiceclone.projection.parts import PARTS, parse_parts
from voiceclone.projection.plain import PlainObjective
from voiceclone.projection.recipes import projection_config


def make(recipe: str, *without: str) -> ProjectionConfig:
    return projection_config(recipe, frozenset(without), epochs=20, lr=1e-3, seed=0)


def test_parts_are_named_or_refused() -> None:
    assert parse_parts("phones, speaker") == {"phones", "speaker"} and parse_parts("") == frozenset()
    with pytest.raises(UsageError, match="without='luck'.*alignment"):
        parse_parts("mel,luck")


def test_parts_of_earlier_versions_are_ignored_where_they_are_gone_and_refused_where_they_stayed() -> None:
    """Settings of an old run, ``average,drift,prior`` among them, mean what they meant."""
    assert CloneConfig(data="", without="average,drift,prior").without == CloneConfig(data="").without == ""
    assert CloneConfig(data="", without="phones, average,alignment").without == "alignment,phones"
    for part in ("rows", "stop"):
        with pytest.raises(UsageError, match=f"without='{part}': this part cannot be left out any more"):
            parse_parts(f"{part},mel")


def test_every_part_changes_something_and_nothing_else() -> None:
    whole = make("best")
    for part in PARTS:
        config = make("best", part)
        assert config != whole and config.without == {part}
    assert make("best", "prosody").weights.mel == whole.weights.mel
    assert make("best", "prosody").weights.rate == 0 and not make("best", "free-running").free_running
    assert make("plain", "phones") == make("plain")


def test_the_plain_recipe_has_one_term_and_its_gradient_reaches_no_duration(targets, kokoro, profile, voice) -> None:
    config = make("plain")
    assert config.plain and config.weights.mel_mse == 1 and config.weights.rate == 0
    objective = PlainObjective(
        targets, kokoro, profile, crop_frames=24,
    )  # fmt: skip
    leaf = voice.clone().requires_grad_()
    terms = objective.terms(leaf, objective.middle_crops()[:2])
    assert set(terms) == {"mel_mse"}
    terms["mel_mse"].backward()
    assert (leaf.grad[:, :128] != 0).any() and torch.isfinite(leaf.grad).all()


def test_stretched_durations_fill_the_clip_in_proportion() -> None:
    durations = stretched(torch.tensor([2, 4, 6, 8]), 40).durations
    assert durations.tolist() == [4, 8, 12, 16]
    assert int(stretched(torch.tensor([1, 1, 1]), 4).durations.sum()) == 4
