"""The control of the split-half test on the embedded base: known deviations are found again, and noise is not."""

from __future__ import annotations

import itertools

import pytest
import torch

from voiceclone.alignment.base_warp import Alignment
from voiceclone.bases.base import Base, load_base
from voiceclone.models.frozen_kokoro import FrozenKokoro, alignment_matrix, whole_durations
from voiceclone.projection.deviations import (
    PARTS,
    differences,
    fit_deviations,
    prosodic_directions,
    repeatable,
    split_half_correlation,
    unsupported,
)
from voiceclone.projection.objective import Objective
from voiceclone.projection.targets import AlignedTarget
from voiceclone.voice.profile import REFERENCE_ROW, LengthProfile

SENTENCES = (
    "ɪt ɪz ɐ lˈɔŋ wˈA hˈOm.",
    "ʃi sˈOld ði ˈOld bˈOt.",
    "wi nˈɛvəɹ sˈɔ ðə sˈi.",
    "hi ˈæskt fɔɹ pˈApəɹ ænd ɡlˈu.",
    "ðə kˈOld wˈɪnd blˈu ɐkɹˈɔs ðə ɹˈOd.",
)
TEXTS = [" ".join(pair) for pair in itertools.permutations(SENTENCES, 2)]
AMOUNTS = torch.tensor([0.1, 0.1])
F0_NOISE, LENGTH_NOISE = 0.1, 0.2  # standard deviations of logarithms, of each token by itself


@pytest.fixture(scope="module")
def nano() -> Base:
    return load_base("nano", offline=True)


@torch.no_grad()
def clips_of(kokoro: FrozenKokoro, rows: torch.Tensor) -> list[AlignedTarget]:
    """Clips with the prosody that the predictor gives for each text and its row ``(n, 256)``, with noise."""
    made = []
    for text, row in zip((kokoro.text(phonemes) for phonemes in TEXTS), rows, strict=True):
        prosodic = row[None, 128:]
        soft, states = kokoro.durations(text, prosodic)
        durations = whole_durations(soft * (LENGTH_NOISE * torch.randn_like(soft)).exp())
        f0, energy = kokoro.prosody(states, alignment_matrix(durations), prosodic)
        noise = (F0_NOISE * torch.randn(len(durations))).repeat_interleave(2 * durations)
        made.append(
            AlignedTarget(
                name="clip", phonemes=text.symbols, text=text, audio=torch.zeros(600 * int(durations.sum())),
                log_mel=torch.zeros(80, len(noise)), f0=f0[0] * noise.exp(), energy=energy[0],
                alignment=Alignment(durations=durations, score=1.0),
            )
        )  # fmt: skip
    return made


@pytest.fixture(scope="module")
def kokoro(nano: Base) -> FrozenKokoro:
    return FrozenKokoro(nano.kmodel, torch.device("cpu"))


@pytest.fixture(scope="module")
def profile(nano: Base) -> LengthProfile:
    return LengthProfile.of(nano.stock_voices.values())


@pytest.fixture(scope="module")
def vector(nano: Base) -> torch.Tensor:
    return nano.stock_voices["af_heart"].tensor[REFERENCE_ROW]


@pytest.fixture(scope="module")
def rows(profile: LengthProfile, vector: torch.Tensor) -> torch.Tensor:
    return torch.cat([profile.row(vector, len(text)) for text in TEXTS])


@pytest.fixture(scope="module")
def directions(nano, kokoro, profile, vector, rows) -> torch.Tensor:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        objective = Objective(clips_of(kokoro, rows), kokoro, profile, crop_frames=16)
    return prosodic_directions(objective, vector, nano.stock_voices.values())


def test_each_direction_changes_one_part_in_the_mean(kokoro, profile, rows, directions):
    targets = clips_of(kokoro, rows)
    objective = Objective(targets, kokoro, profile, crop_frames=16)

    def missing(moved: torch.Tensor) -> torch.Tensor:
        shifted = [torch.cat([row[None, :128], row[None, 128:] + moved], dim=1) for row in rows]
        pairs = zip(shifted, targets, strict=True)
        return torch.stack([differences(objective.predict(row, t), t) for row, t in pairs]).mean(0)

    with torch.no_grad():
        changes = torch.stack([missing(-0.02 * one) - missing(0.02 * one) for one in directions]) / 0.04
    assert torch.allclose(changes, torch.eye(len(PARTS)), atol=0.2)


@pytest.mark.parametrize("amount", [1.0, 0.0])
def test_known_deviations_are_found_again_and_noise_is_not(kokoro, profile, vector, rows, directions, amount):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        true = amount * AMOUNTS * torch.randn(len(TEXTS), len(PARTS))
        moved = rows.clone()
        moved[:, 128:] += true @ directions
        objective = Objective(clips_of(kokoro, moved), kokoro, profile, crop_frames=16)
    fitted, halves = fit_deviations(objective, vector, directions)
    tokens = torch.tensor([target.text.tokens for target in objective.targets])
    correlations = split_half_correlation(halves, tokens)
    reason = unsupported(len(TEXTS), dict(zip(PARTS, correlations.tolist(), strict=True)))
    if not amount:
        assert reason is not None and "do not agree" in reason
        return
    assert reason is None
    agreement = [float(torch.corrcoef(torch.stack(pair))[0, 1]) for pair in zip(fitted.T, true.T, strict=True)]
    assert agreement[0] > 0.9 and agreement[1] > 0.8
    varied, _ = repeatable(directions, fitted, tokens, correlations)
    spread = (varied @ torch.linalg.pinv(directions)).norm(dim=0)
    assert float(spread[0]) == pytest.approx(float(true[:, 0].std()), rel=0.25)
