"""Gradients of the objective reach the voice vector."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from voiceclone.nets.phone_classifier import load_phone_classifier
from voiceclone.projection import losses
from voiceclone.projection.losses import LossWeights, total
from voiceclone.projection.objective import Crop, Objective, Speaker, as_free_running


@pytest.fixture
def objective(targets, kokoro, profile, voice) -> Objective:
    return Objective(
        targets,
        kokoro,
        profile,
        crop_frames=24,
    )


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
    torch.manual_seed(0)
    total(objective.terms(leaf, objective.middle_crops()), LossWeights()).backward()
    assert torch.isfinite(leaf.grad).all() and (leaf.grad != 0).all()


@pytest.mark.parametrize("term", ["duration", "rate", "f0", "f0_level", "f0_spread", "energy"])
def test_prosody_terms_reach_the_prosodic_half_and_only_that(objective: Objective, voice, term: str) -> None:
    leaf = voice.clone().requires_grad_()
    objective.terms(leaf, objective.middle_crops())[term].backward()
    assert (leaf.grad[:, 128:] != 0).any() and (leaf.grad[:, :128] == 0).all()


def test_the_phone_term_has_gradient_in_the_timbre_half_only(targets, kokoro, profile, voice) -> None:
    objective = Objective(
        targets,
        kokoro,
        profile,
        crop_frames=24,
        phone_classifier=load_phone_classifier(),
    )
    leaf = voice.clone().requires_grad_()
    torch.manual_seed(0)
    term = objective.terms(leaf, objective.middle_crops())["phones"]
    term.backward()
    assert float(term.detach()) > 0
    assert (leaf.grad[:, :128] != 0).all() and (leaf.grad[:, 128:] == 0).all()


def test_in_a_free_running_crop_the_phone_term_reaches_the_prosodic_half_and_mel_terms_are_absent(
    targets, kokoro, profile, voice
) -> None:
    objective = Objective(
        targets, kokoro, profile, crop_frames=24,  free_running=True,
        phone_classifier=load_phone_classifier(),
    )  # fmt: skip
    crops = as_free_running(objective.middle_crops())
    leaf = voice.clone().requires_grad_()
    torch.manual_seed(0)
    terms = objective.terms(leaf, crops)
    assert terms["mel"] == 0 and terms["mel_mse"] == 0 and terms["duration"] > 0
    terms["phones"].backward()
    assert (leaf.grad[:, :128] != 0).all() and (leaf.grad[:, 128:] != 0).any()


def test_a_free_running_crop_uses_the_predicted_prosody(targets, kokoro, profile, voice, monkeypatch) -> None:
    objective = Objective(
        targets,
        kokoro,
        profile,
        crop_frames=24,
    )
    decoded = []
    monkeypatch.setattr(
        kokoro, "decode", lambda *given: decoded.append(given) or torch.zeros(1, 600 * given[1].shape[1] // 2)
    )
    text = targets[0].text
    with torch.no_grad():
        _, durations = kokoro.speak(text, profile.row(voice, text.phoneme_count))
        objective.crop_frames = int(durations.sum())  # the whole of it
        objective.terms(voice, [Crop(clip=0, start=0, free_running=True)])
        for ours, theirs in zip(decoded[1], decoded[0], strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)
        # A crop longer than what the voice speaks takes the clip's own durations.
        objective.crop_frames = targets[0].frames
        assert targets[0].frames > int(durations.sum())
        objective.terms(voice, [Crop(clip=0, start=0, free_running=True)])
        torch.testing.assert_close(decoded[2][0], objective._texts[0])


@pytest.mark.parametrize("with_classifier", [False, True])
def test_every_second_crop_is_free_running_where_a_net_scores_it(
    targets, kokoro, profile, voice, with_classifier: bool
) -> None:
    objective = Objective(
        targets, kokoro, profile, crop_frames=24,  free_running=True,
        phone_classifier=load_phone_classifier() if with_classifier else None,
    )  # fmt: skip
    crops = objective.random_crops(5, np.random.default_rng(0))
    assert [crop.free_running for crop in crops] == [with_classifier and index % 2 == 1 for index in range(5)]
    free_running = as_free_running(crops)
    assert [(crop.clip, crop.start) for crop in free_running] == [(crop.clip, crop.start) for crop in crops]
    assert all(crop.free_running and crop.mel_weight == 0 for crop in free_running)
    assert sum(crop.mel_weight for crop in crops) == pytest.approx(5)


def test_without_a_phone_classifier_there_is_no_phone_term(objective: Objective, voice) -> None:
    assert "phones" not in objective.terms(voice, objective.middle_crops())


def test_crops_are_seeded_in_range_and_of_one_shape(objective: Objective) -> None:
    first = objective.random_crops(9, np.random.default_rng(4))
    assert first == objective.random_crops(9, np.random.default_rng(4))
    assert {c.clip for c in first} == {0, 1, 2, 3}
    for crop in first:
        assert 0 <= crop.start <= objective.targets[crop.clip].frames - 24


def test_full_recordings_have_the_mel_terms_of_plain_means_to_the_bit(objective: Objective, voice) -> None:
    crops = objective.middle_crops()
    torch.manual_seed(0)
    terms = objective.terms(voice, crops)
    torch.manual_seed(0)
    with torch.no_grad():
        ours = objective.speak_crops(objective.rows(voice, crops), crops)
    true = torch.stack([objective.targets[c.clip].audio[600 * c.start : 600 * (c.start + 24)] for c in crops])
    floor = objective.log_mel(true).amax(dim=(1, 2), keepdim=True) - losses.HEARD_RANGE / losses.LOG_STD
    mse = torch.nn.functional.mse_loss(
        torch.maximum(objective.log_mel(ours), floor), torch.maximum(objective.log_mel(true), floor)
    )
    assert float(terms["mel_mse"]) == float(mse * losses.LOG_STD**2)


def test_a_narrow_recordings_missing_bands_do_not_count(targets, kokoro, profile, voice) -> None:
    found = {}
    for width in (float("inf"), 24_000.0, 3_400.0):
        narrow = [replace(target, bandwidth=width) for target in targets]
        one = Objective(
            narrow,
            kokoro,
            profile,
            crop_frames=24,
        )
        torch.manual_seed(0)
        found[width] = {name: float(value) for name, value in one.terms(voice, one.middle_crops()).items()}
    assert found[24_000.0] == found[float("inf")]
    changed = {name for name, value in found[3_400.0].items() if value != found[float("inf")][name]}
    assert changed == {"mel_mse", "mel"}


@pytest.mark.parametrize("free_running", [False, True])
def test_the_speaker_term_hears_no_more_than_the_clips_hold(
    targets, kokoro, profile, voice, free_running: bool
) -> None:
    """The vector of band-limited clips is compared with speech of the same band; that of others with all of it."""
    heard: list[torch.Tensor] = []

    def encoder(audio: torch.Tensor) -> torch.Tensor:
        heard.append(audio.detach())
        return torch.nn.functional.normalize(audio[:, :64], dim=1)

    for width in (3400.0, 7600.0):
        clips = [replace(target, bandwidth=width) for target in targets]
        objective = Objective(
            clips, kokoro, profile, crop_frames=24, speaker=Speaker(encoder=encoder, vector=torch.ones(64) / 8)
        )
        crops = objective.middle_crops()
        torch.manual_seed(0)
        objective.terms(voice, as_free_running(crops) if free_running else crops)
    hertz = torch.fft.rfftfreq(heard[0].shape[-1], d=1 / 24_000)
    limited, whole = (torch.fft.rfft(audio.double()).abs().square().sum(dim=0) for audio in heard)
    assert limited[hertz > 3400].sum() < 1e-9 * limited.sum()
    assert whole[hertz > 3400].sum() > 1e-3 * whole.sum() and whole[hertz > 8000].sum() > 0
    torch.testing.assert_close(limited[hertz < 3100], whole[hertz < 3100], rtol=1e-3, atol=1e-6 * float(whole.max()))
