"""Initialization: the best half is selected, blends are convex."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from voiceclone.nets.phone_classifier import load_phone_classifier
from voiceclone.projection import initialization as initialization_module
from voiceclone.projection.initialization import (
    BLEND,
    NOT_PROSODIC,
    ZERO_SHOT,
    _descend,
    best_initialization,
    neutral_initialization,
)
from voiceclone.projection.losses import LossWeights, weights_from
from voiceclone.projection.objective import Objective
from voiceclone.voice.pack import VoicePack

WEIGHTS = LossWeights()


def pack(vector: torch.Tensor, name: str = "v") -> VoicePack:
    return VoicePack(vector.expand(510, 1, 256).clone(), name)


@pytest.fixture(autouse=True)
def few_steps(monkeypatch) -> None:
    """Of the search for a blend, which a test of its own follows to its end."""
    monkeypatch.setattr(initialization_module, "BLEND_STEPS", 4)


@pytest.fixture
def objective(targets, kokoro, profile, voice) -> Objective:
    return Objective(
        targets,
        kokoro,
        profile,
        crop_frames=24,
    )


def test_the_initialization_is_at_least_as_good_as_any_stock_voice(objective, base) -> None:
    crops = objective.middle_crops()
    initialization = best_initialization(
        base.stock_voices, objective, crops=crops, weights=WEIGHTS, zero_shot=None, seed=3
    )
    assert initialization.best_stock in base.stock_voices and set(initialization.candidates) == {"best_blend"}

    def halves(vector: torch.Tensor) -> list[float]:
        rows, values = objective.rows(vector, crops), []
        for terms in (objective.timbre_terms, objective.prosody_terms):
            torch.manual_seed(3)
            with torch.no_grad():
                values.append(float(objective.total(terms(rows, crops), WEIGHTS)))
        return values

    ours = halves(initialization.vector)
    for voice in base.stock_voices.values():
        theirs = halves(voice.tensor[100])
        assert ours[0] <= theirs[0] + 1e-4 and ours[1] <= theirs[1] + 1e-4


def test_prosody_is_scored_with_the_chosen_timbre(targets, kokoro, profile, voice, base) -> None:
    objective = Objective(
        targets, kokoro, profile, crop_frames=24,  free_running=True,
        phone_classifier=load_phone_classifier(),
    )  # fmt: skip
    crops, weights = objective.middle_crops(), replace(WEIGHTS, phones=50.0)
    initialization = best_initialization(
        base.stock_voices, objective, crops=crops, weights=weights, zero_shot=None, seed=3
    )
    used = weights_from(weights, initialization.phones_stock)
    assert initialization.phones_stock > 0 and used.phones < 50.0  # an untrained base is not understood

    def loss(prosodic: torch.Tensor) -> float:
        spoken = torch.cat([initialization.vector[:, :128], prosodic], dim=1)
        torch.manual_seed(3)
        with torch.no_grad():
            terms = objective.terms(spoken, [replace(crop, free_running=True, mel_weight=0.0) for crop in crops])
        return float(objective.total({n: v for n, v in terms.items() if n not in NOT_PROSODIC}, used))

    ours = loss(initialization.vector[:, 128:])
    assert all(ours <= loss(pack.tensor[100][:, 128:]) + 1e-3 for pack in base.stock_voices.values())


def test_a_zero_shot_voice_that_fits_better_is_taken(objective, base, monkeypatch) -> None:
    wanted, crops = torch.full((1, 256), 0.11), objective.middle_crops()
    near = lambda rows: torch.stack([(row - wanted).square().mean() for row in rows]).mean()  # noqa: E731
    monkeypatch.setattr(objective, "rows", lambda vector, crops: [vector])
    monkeypatch.setattr(objective, "timbre_terms", lambda rows, crops: {"mel": near(rows)})
    monkeypatch.setattr(objective, "prosody_terms", lambda rows, crops: {"f0": near(rows)})
    initialization = best_initialization(
        base.stock_voices, objective, crops=crops, weights=WEIGHTS, zero_shot=wanted, seed=0
    )
    assert initialization.timbre_from == initialization.prosody_from == ZERO_SHOT
    torch.testing.assert_close(initialization.vector, wanted)
    left_out = frozenset({"blend"})
    initialization = best_initialization(
        base.stock_voices, objective, crops=crops, weights=WEIGHTS, zero_shot=wanted, left_out=left_out, seed=0
    )
    assert initialization.timbre_from == ZERO_SHOT and set(initialization.candidates) == {"zero_shot"}
    unwanted = torch.full((1, 256), 9.0)
    initialization = best_initialization(
        base.stock_voices, objective, crops=crops, weights=WEIGHTS, zero_shot=unwanted, seed=0
    )
    assert ZERO_SHOT not in (initialization.timbre_from, initialization.prosody_from)
    assert torch.equal(initialization.candidates["zero_shot"], unwanted)


def test_the_blend_finds_a_mixture_and_stays_convex() -> None:
    vectors = torch.eye(3, 256)
    wanted = 0.6 * vectors[0] + 0.4 * vectors[2]
    loss = lambda blend: (blend - wanted).square().sum()  # noqa: E731
    gradient_at = lambda blend: (float(loss(blend)), 2 * (blend - wanted))  # noqa: E731
    blend = _descend(vectors, torch.tensor([float(loss(v[None])) for v in vectors]), gradient_at, 60)
    assert float(loss(blend)) < 0.01
    assert float(blend.sum()) == pytest.approx(1.0, abs=1e-4) and float(blend.min()) >= 0


def test_without_stock_voices_there_is_the_neutral_voice(objective) -> None:
    initialization = best_initialization(
        {}, objective, crops=objective.middle_crops(), weights=WEIGHTS, zero_shot=None, seed=0
    )
    assert (
        torch.equal(initialization.vector, neutral_initialization({}).vector)
        and BLEND not in initialization.timbre_from
    )
    assert not initialization.best_stock and not initialization.candidates
