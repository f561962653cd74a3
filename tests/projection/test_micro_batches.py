"""Micro-batches give the same loss and gradient as one batch."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from support import double_precision, doubled

from voiceclone.models.frozen_kokoro import FrozenKokoro
from voiceclone.nets.phone_classifier import UNLABELLED
from voiceclone.projection import losses
from voiceclone.projection.losses import LossWeights
from voiceclone.projection.micro_batches import mean_terms, micro_batch_size, term_gradients
from voiceclone.projection.objective import Objective, Speaker


def objective_labels(objective: Objective) -> list[torch.Tensor]:
    assert objective._labels and all(len(labels) >= objective.crop_frames for labels in objective._labels)
    return objective._labels


@pytest.fixture
def objective(targets, kokoro, profile, voice, monkeypatch) -> Objective:
    """An objective in float64, where rounding cannot hide a difference; see ``double_precision``."""
    with double_precision():
        precise = FrozenKokoro(copy.deepcopy(kokoro.kmodel).double(), torch.device("cpu"))
        made = Objective(
            [doubled(target) for target in targets], precise, profile,
            crop_frames=24,
            speaker=Speaker(encoder=lambda audio: torch.nn.functional.normalize(audio[:, :64], dim=1),
                            vector=torch.ones(64) / 8),
            phone_classifier=lambda mel: mel[..., ::2],
        )  # fmt: skip
        # Crops with different numbers of labelled frames, as where one has a pause.
        for number, labels in enumerate(objective_labels(made)):
            labels[: 7 * number] = UNLABELLED
        made.log_mel.double()
        made.multi_mel.double()
        # The vocoder's source draws its noise per batch: it is disabled, so that micro-batches and batch can be
        # compared.
        monkeypatch.setattr(torch, "randn_like", torch.zeros_like)
        monkeypatch.setattr(torch, "rand", lambda *size, **kind: torch.zeros(*size, **kind))
        # Random weights predict F0 about the limit of voicing; this one keeps well above it.
        predicted = precise.prosody
        monkeypatch.setattr(precise, "prosody", lambda *given: [120 + 10 * torch.tanh(c) for c in predicted(*given)])
        yield made


@pytest.mark.parametrize("free_running", [False, True])
@pytest.mark.parametrize("micro_batch", [1, 2, 3])
def test_parts_add_up_to_the_whole(objective, voice, micro_batch: int, free_running: bool) -> None:
    objective.free_running = free_running
    crops, weights, vector = objective.random_crops(3, np.random.default_rng(0)), LossWeights(), doubled(voice)
    assert [crop.free_running for crop in crops] == [False, free_running, False]
    leaf = vector.clone().requires_grad_()
    terms = objective.terms(leaf, crops)
    losses.total(terms, weights).backward()
    parts, gradient = term_gradients(objective.terms, vector, crops, weights, micro_batch)
    assert set(parts) == set(terms) and {"speaker", "phones"} <= set(parts)
    for name, value in terms.items():
        torch.testing.assert_close(parts[name], value.detach(), rtol=1e-10, atol=1e-12)
    assert leaf.grad.abs().max() > 0
    # About 1e-15 of the largest value was measured; the model may amplify that by some orders of magnitude.
    torch.testing.assert_close(gradient, leaf.grad, rtol=1e-9, atol=1e-10 * float(leaf.grad.abs().max()))
    for name, value in mean_terms(objective.terms, vector, crops, micro_batch).items():
        torch.testing.assert_close(value, parts[name], rtol=1e-10, atol=1e-12)


def test_terms_that_do_not_depend_on_the_voice_have_no_gradient(voice) -> None:
    terms, gradient = term_gradients(
        lambda vector, crops: {"mel": torch.ones((), requires_grad=True)}, voice, [None, None], LossWeights(), 1
    )
    assert float(terms["mel"]) == 1.0 and not gradient.any()


def test_a_large_model_takes_two_crops_at_a_time_on_a_cpu_alone(kokoro, monkeypatch) -> None:
    assert micro_batch_size(kokoro, 4) == 4
    monkeypatch.setattr("voiceclone.projection.micro_batches.LARGE", 10)
    assert micro_batch_size(kokoro, 4) == 2 and micro_batch_size(kokoro, 1) == 1
    monkeypatch.setattr(kokoro, "device", torch.device("cuda"))
    assert micro_batch_size(kokoro, 4) == 4
