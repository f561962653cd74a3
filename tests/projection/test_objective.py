"""Gradients reach the voice: the claim that everything rests on."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from voiceclone.listener.net import load_listener
from voiceclone.projection.losses import LossWeights, total
from voiceclone.projection.objective import Objective


@pytest.fixture
def objective(targets, kokoro, profile, voice) -> Objective:
    return Objective(targets, kokoro, profile, crop_frames=24, anchor=voice, whitening=torch.eye(256) / 0.2)


def test_the_mel_term_alone_moves_the_voice(objective: Objective, voice: torch.Tensor) -> None:
    leaf = voice.clone().requires_grad_()
    torch.manual_seed(0)
    objective.terms(leaf, objective.middle_crops())["mel_mse"].backward()
    assert (leaf.grad[:, :128] != 0).all()
    with torch.no_grad():
        moved = leaf - 0.05 * leaf.grad / leaf.grad.norm()
        values = []
        for vector in (leaf, moved):
            torch.manual_seed(0)
            values.append(float(objective.terms(vector, objective.middle_crops())["mel_mse"]))
    assert values[1] < values[0]


def test_each_of_the_256_values_gets_gradient_from_the_full_loss(objective: Objective, voice: torch.Tensor) -> None:
    leaf = (voice + 0.01).clone().requires_grad_()
    weights = LossWeights(drift=0.0)  # the drift term would reach every value by itself
    torch.manual_seed(0)
    total(objective.terms(leaf, objective.middle_crops()), weights).backward()
    assert torch.isfinite(leaf.grad).all() and (leaf.grad != 0).all()


@pytest.mark.parametrize("term", ["duration", "rate", "f0", "f0_level", "f0_spread", "energy"])
def test_prosody_terms_reach_the_prosodic_half_and_only_that(objective: Objective, voice, term: str) -> None:
    leaf = voice.clone().requires_grad_()
    objective.terms(leaf, objective.middle_crops())[term].backward()
    assert (leaf.grad[:, 128:] != 0).any() and (leaf.grad[:, :128] == 0).all()


def test_the_listeners_term_reaches_the_timbre_half_and_only_that(targets, kokoro, profile, voice) -> None:
    objective = Objective(
        targets, kokoro, profile, crop_frames=24, anchor=voice, whitening=torch.eye(256), listener=load_listener()
    )
    leaf = voice.clone().requires_grad_()
    torch.manual_seed(0)
    term = objective.terms(leaf, objective.middle_crops())["phones"]
    term.backward()
    assert float(term.detach()) > 0
    assert (leaf.grad[:, :128] != 0).all() and (leaf.grad[:, 128:] == 0).all()


def test_without_a_listener_there_is_no_such_term(objective: Objective, voice) -> None:
    assert "phones" not in objective.terms(voice, objective.middle_crops())


def test_crops_are_seeded_in_range_and_of_one_shape(objective: Objective) -> None:
    first = objective.random_crops(9, np.random.default_rng(4))
    assert first == objective.random_crops(9, np.random.default_rng(4))
    assert {c.clip for c in first} == {0, 1, 2, 3}
    for crop in first:
        assert 0 <= crop.start <= objective.targets[crop.clip].frames - 24


def test_a_clip_that_was_not_aligned_is_refused(objective: Objective, targets, kokoro, profile, voice) -> None:
    from dataclasses import replace

    with pytest.raises(ValueError, match="has not been aligned"):
        Objective(
            [replace(targets[0], alignment=None)],
            kokoro,
            profile,
            crop_frames=24,
            anchor=voice,
            whitening=torch.eye(256),
        )
