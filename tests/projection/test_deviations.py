"""Prosody deviations: the split-half test, the sampler with the best score on held-out clips, and the file."""

from __future__ import annotations

import contextlib
import dataclasses
from types import SimpleNamespace

import pytest
import torch

from voiceclone.cloning.expressive import write_expressive
from voiceclone.projection.deviation_sampler import choose_sampler
from voiceclone.projection.deviations import repeatable, split_half_correlation, unsupported
from voiceclone.projection.objective import Objective
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
    shared = torch.randn(200, 2, generator=generator)
    noise = torch.randn(2, 200, 2, generator=generator) * torch.tensor([0.5, 1.0])
    offset = torch.tensor([[[0.0]], [[3.0]]])  # second halves differ in pitch: no agreement, no disagreement
    tokens = torch.randint(20, 200, (200,), generator=generator)
    found = split_half_correlation(shared + noise + offset, tokens)
    assert found.tolist() == pytest.approx([0.8, 0.5], abs=0.1)
    assert split_half_correlation(noise + offset, tokens).abs().max() < 0.2
    by_length = 5.0 * tokens.log()[:, None]
    assert torch.allclose(split_half_correlation(shared + noise + by_length, tokens), found, atol=1e-3)


def test_only_what_repeats_is_kept_without_its_noise():
    generator = torch.Generator().manual_seed(0)
    shared = torch.randn(400, 2, generator=generator) * torch.tensor([0.3, 0.0])
    halves = shared + 0.3 * torch.randn(2, 400, 2, generator=generator)
    tokens = torch.randint(20, 200, (400,), generator=generator)
    correlations = split_half_correlation(halves, tokens)
    directions, coefficients = repeatable(torch.eye(2, 128), halves.mean(0), tokens, correlations)
    assert directions.shape == (1, 128) and coefficients.shape == (400, 1)
    assert float(directions[0, 0]) == pytest.approx(0.3, rel=0.1)  # the fits' own spread is 0.37
    assert float(coefficients.std()) == pytest.approx(1.0)


def test_the_gate_says_why():
    assert unsupported(40, {"pitch": 0.6, "length": 0.1}) is None
    assert "too few" in unsupported(11, {"pitch": 0.9})
    assert "(pitch 0.15, length 0.39; 0.40 is needed)" in unsupported(40, {"pitch": 0.15, "length": 0.39})
    assert "0.55 is needed" in unsupported(16, {"pitch": 0.45})  # two standard errors


def test_the_sampler_with_the_best_held_out_score_is_chosen(monkeypatch):
    monkeypatch.setattr("voiceclone.projection.deviation_sampler.DIFFUSION_STEPS", 2)
    by_chance, scores = choose_sampler(*material(20))
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
    monkeypatch.setattr(
        "voiceclone.projection.deviation_sampler._energy_scores",
        lambda one, texts, true, seed: torch.full((len(true),), float(one.kind != "text")),
    )
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


def test_carrying_over_keeps_the_spread(gaussian):
    rows = torch.zeros(510, 1, 256)

    def drawn(carry: float) -> torch.Tensor:
        free = dataclasses.replace(gaussian, limit=1e9)
        voice = ExpressiveVoice(
            free, rows, strength=1.0, text_features=lambda p: torch.zeros(len(p), WIDTH), carry=carry
        )
        return torch.stack([voice("a" * 60)[0, 0, 128:] for _ in range(400)])

    alone, carried = drawn(0.0), drawn(0.7)
    assert float(carried.std(0).norm() / alone.std(0).norm()) == pytest.approx(1.0, abs=0.2)
    follows = torch.corrcoef(torch.stack([carried[1:, 0], carried[:-1, 0]]))[0, 1]
    assert float(follows) == pytest.approx(0.7, abs=0.1)


def test_summaries_leave_out_the_ends():
    hidden = torch.arange(5.0)[:, None].expand(5, 2)
    assert text_summary(hidden)[:, 0].tolist() == [2.0, 1.0, 3.0]
    assert deviated(torch.zeros(510, 1, 256), torch.ones(128)).sum() == 510 * 128


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
    monkeypatch.setattr("voiceclone.projection.deviation_sampler.DIFFUSION_STEPS", 2)
    agreed = torch.tensor([0.3, 0.2])
    monkeypatch.setattr("voiceclone.cloning.expressive.split_half_correlation", lambda halves, tokens: agreed)
    assert "do not agree" in write_expressive(run, trainer, voice)["reason"] and not path.exists()
    monkeypatch.setattr("voiceclone.projection.deviations.STANDARD_ERRORS", 0.0)
    agreed[:] = torch.tensor([0.7, 0.2])
    facts = write_expressive(run, trainer, voice)
    assert Deviations.load(path).kind == facts["kind"] and set(facts["energy_scores"]) == set(KINDS)
    assert facts["spread"]["pitch"] > 0.0 and facts["spread"]["length"] == pytest.approx(0.0, abs=1e-3)
    config.expressive = False
    assert write_expressive(run, trainer, voice) == {} and not path.exists()
