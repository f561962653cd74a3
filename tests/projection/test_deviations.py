"""Prosody deviations: the fit through the predictor, the split-half test, and the sampler chosen on held-out clips."""

from __future__ import annotations

import contextlib
import dataclasses
from types import SimpleNamespace

import pytest
import torch

from voiceclone.cloning.expressive import write_expressive
from voiceclone.projection.deviation_sampler import choose_sampler
from voiceclone.projection.deviations import fit_deviations, split_half_correlation, unsupported
from voiceclone.projection.losses import LossWeights
from voiceclone.projection.objective import Crop, Objective
from voiceclone.voice.expressive import (
    GAUSSIAN,
    KINDS,
    NEAREST,
    Deviations,
    ExpressiveVoice,
    deviated,
    deviations_beside,
    text_summary,
)

WIDTH, SIZE = 12, 3


def material(clips: int, *, told_by_text: bool = False, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    fitted = torch.randn(clips, SIZE, generator=generator)
    summaries = torch.randn(clips, 3, WIDTH, generator=generator)
    if told_by_text:  # two kinds of texts, each with its own delivery
        kind = (torch.arange(clips) % 2).float()
        summaries = 0.05 * summaries + kind[:, None, None]
        fitted = 0.05 * fitted + (2 * kind[:, None] - 1)
    directions = torch.randn(SIZE, 128, generator=generator)
    return directions, fitted, summaries


def test_halves_that_agree_correlate_and_chance_does_not():
    generator = torch.Generator().manual_seed(0)
    shared = torch.randn(60, 4, generator=generator)
    noise = torch.randn(2, 60, 4, generator=generator)
    offset = torch.tensor([[[0.0]], [[3.0]]])  # second halves differ in pitch: no agreement, no disagreement
    assert split_half_correlation(shared + 0.5 * noise + offset) == pytest.approx(0.8, abs=0.08)
    assert abs(split_half_correlation(noise + offset)) < 0.2


def test_the_gate_says_why():
    assert unsupported(40, 0.6) is None
    assert "too few" in unsupported(11, 0.9)
    assert "0.15 only" in unsupported(40, 0.15)


def test_the_sampler_with_the_best_held_out_score_is_chosen(monkeypatch):
    monkeypatch.setattr("voiceclone.projection.deviation_sampler.DIFFUSION_STEPS", 2)
    by_chance, scores = choose_sampler(*material(40))
    assert set(scores) == set(KINDS) and scores[GAUSSIAN] < scores[NEAREST]
    by_text, scores = choose_sampler(*material(40, told_by_text=True))
    assert by_text.kind == NEAREST and scores[NEAREST] < scores["mean"]
    assert torch.allclose(by_text.fitted.mean(0), torch.zeros(SIZE), atol=1e-5)


@pytest.fixture
def gaussian() -> Deviations:
    directions, fitted, summaries = material(40)
    return Deviations(
        kind=GAUSSIAN, directions=directions, fitted=fitted - fitted.mean(0), texts=torch.zeros(40, 3, 32),
        text_mean=torch.zeros(WIDTH), text_basis=torch.zeros(WIDTH, 32), limit=2.5,
    )  # fmt: skip


def test_samples_have_the_spread_of_the_clips_no_bias_and_a_limit(gaussian):
    generator = torch.Generator().manual_seed(1)
    text = torch.zeros(3, 32)
    drawn = gaussian.coefficients(text, generator, count=800)
    spread = gaussian.fitted.std(0)
    assert (drawn.mean(0).abs() < 0.12 * spread).all()
    assert (drawn.norm(dim=1) <= 2.5 + 1e-5).all()
    free = dataclasses.replace(gaussian, limit=1e9)
    drawn = free.coefficients(text, generator, count=800)
    assert torch.allclose(drawn.std(0), spread, rtol=0.1)


def test_file_gives_back_what_was_drawn(gaussian, tmp_path, monkeypatch):
    monkeypatch.setattr("voiceclone.projection.deviation_sampler.DIFFUSION_STEPS", 2)
    monkeypatch.setattr("voiceclone.projection.deviation_sampler._energy_score", lambda one, *rest: one.kind != "text")
    with_sampler, _ = choose_sampler(*material(20))
    assert with_sampler.kind == "text"
    for number, one in enumerate((gaussian, with_sampler)):
        path = tmp_path / f"{number}.style.safetensors"
        one.save(path)
        text = torch.randn(3, 32, generator=torch.Generator().manual_seed(5))
        again = [d.draw(text, torch.Generator().manual_seed(3)) for d in (one, Deviations.load(path))]
        assert torch.equal(*again)


def test_strength_zero_is_the_plain_voice_and_only_prosody_changes(gaussian):
    rows = torch.randn(510, 1, 256)

    def said(phonemes: str, strength: float, **more) -> torch.Tensor:
        voice = ExpressiveVoice(
            gaussian, rows, strength=strength, text_features=lambda p: torch.zeros(len(p), WIDTH), **more
        )
        return voice(phonemes)

    assert torch.equal(said("a" * 60, 0.0), rows)
    assert torch.equal(said("a" * 9, 1.0), rows)  # too short
    moved = said("a" * 60, 1.0)
    assert torch.equal(moved[..., :128], rows[..., :128])
    change = moved - rows
    assert change.abs().sum() > 0 and torch.allclose(change, change[:1].expand_as(change), atol=1e-5)
    half = said("a" * 30, 1.0) - rows
    assert half.norm() == pytest.approx(0.5 * float(change.norm()), rel=1e-3)
    assert torch.equal(said("a" * 60, 1.0, seed=4), said("a" * 60, 1.0, seed=4))
    assert not torch.equal(said("a" * 60, 1.0, seed=5), said("a" * 60, 1.0, seed=4))


def test_summaries_leave_out_the_ends():
    hidden = torch.arange(5.0)[:, None].expand(5, 2)
    assert text_summary(hidden)[:, 0].tolist() == [2.0, 1.0, 3.0]
    assert deviated(torch.zeros(510, 1, 256), torch.ones(128)).sum() == 510 * 128


def test_a_delivery_that_the_predictor_made_itself_is_found_again(kokoro, targets, profile, voice):
    generator = torch.Generator().manual_seed(0)
    directions = torch.linalg.qr(torch.randn(128, 3, generator=generator))[0].T * 2.0
    true = torch.tensor([1.0, -0.5, 0.3])
    spoken = []
    for target in targets[:2]:
        row = profile.row(voice, target.text.phoneme_count)
        row = torch.cat([row[:, :128], row[:, 128:] + true @ directions], dim=1)
        made = kokoro.utter(target.text, row)
        alignment = dataclasses.replace(target.alignment, durations=made.durations)
        spoken.append(
            dataclasses.replace(target, audio=made.audio, f0=made.f0, energy=made.energy, alignment=alignment)
        )
    objective = Objective(
        spoken, kokoro, profile, crop_frames=16
    )  # fmt: skip
    whole, halves = fit_deviations(objective, voice, directions)
    assert whole.shape == (2, 3) and halves.shape == (2, 2, 3)

    def error(coefficients: torch.Tensor) -> float:
        rows = objective.rows(voice, [Crop(clip=0, start=0)])
        moved = torch.cat([rows[0][:, :128], rows[0][:, 128:] + coefficients @ directions], dim=1)
        with torch.no_grad():
            terms = objective.prosody_terms([moved], [Crop(clip=0, start=0)])
        return float(objective.total(terms, LossWeights()))

    assert error(whole[0]) < 0.7 * error(torch.zeros(3))
    assert torch.nn.functional.cosine_similarity(whole[0], true, dim=0) > 0.5


def test_a_clone_leaves_a_file_only_where_the_clips_support_it(
    base, kokoro, targets, profile, voice, tmp_path, monkeypatch
):
    objective = Objective(
        targets, kokoro, profile, crop_frames=16
    )  # fmt: skip
    warnings: list[str] = []
    reporter = SimpleNamespace(
        warn=warnings.append, info=lambda line: None,
        task=lambda *args, **more: contextlib.nullcontext(SimpleNamespace(advance=lambda count: None)),
    )  # fmt: skip
    config = SimpleNamespace(expressive=True, seed=0)
    run = SimpleNamespace(
        folder=SimpleNamespace(voice=tmp_path / "mine.pt"), config=config, base=base, reporter=reporter
    )
    trainer = SimpleNamespace(objective=objective, kokoro=kokoro)
    path = deviations_beside(tmp_path / "mine.pt")
    path.write_bytes(b"of an earlier voice")
    facts = write_expressive(run, trainer, voice)
    assert "4 clips are too few" in facts["reason"] and "4 clips are too few" in warnings[0]
    assert not path.exists()
    for module in ("voiceclone.cloning.expressive", "voiceclone.projection.deviations"):
        monkeypatch.setattr(f"{module}.LEAST_CLIPS", 2)
    monkeypatch.setattr("voiceclone.projection.deviations.STEPS", 2)
    monkeypatch.setattr("voiceclone.projection.deviation_sampler.DIFFUSION_STEPS", 2)
    monkeypatch.setattr("voiceclone.projection.deviations.LEAST_CORRELATION", 2.0)
    assert "agree by" in write_expressive(run, trainer, voice)["reason"] and not path.exists()
    monkeypatch.setattr("voiceclone.projection.deviations.LEAST_CORRELATION", -2.0)
    facts = write_expressive(run, trainer, voice)
    assert Deviations.load(path).kind == facts["kind"] and set(facts["energy_scores"]) == set(KINDS)
    config.expressive = False
    assert write_expressive(run, trainer, voice) == {} and not path.exists()
