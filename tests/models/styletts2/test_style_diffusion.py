"""The style sampler: exact for analytic cases, and independent of padding."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from voiceclone.base_training.styletts2.diffusion_loss import StyleMaterial, denoising_loss
from voiceclone.models.styletts2.denoiser import DenoiserConfig, StyleDenoiser
from voiceclone.models.styletts2.diffusion import StyleDiffusion
from voiceclone.models.styletts2.sampler import adpm2, karras_sigmas, sample_styles

SMALL = DenoiserConfig(text_dim=12, style_dim=16, blocks=1, heads=2, head_dim=8)


def built(config: DenoiserConfig = SMALL, *, seed: int = 0) -> StyleDiffusion:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return StyleDiffusion(config).eval()


def texts(rows: int, tokens: int, seed: int = 1) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, tokens, 12, generator=generator), torch.ones(rows, tokens, dtype=torch.bool)


def test_noise_levels_fall_and_never_reach_zero():
    sigmas = karras_sigmas(10)
    assert sigmas[0] == pytest.approx(3.0) and sigmas[-1] == pytest.approx(1e-4)
    assert (sigmas[1:] < sigmas[:-1]).all()
    with pytest.raises(ValueError, match="at least"):
        karras_sigmas(1)


def test_sampler_with_the_exact_denoiser_gives_the_gaussian_itself():
    generator = torch.Generator().manual_seed(0)
    spread, centre, shape = 0.3, 0.1, (4000, 4)

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        return centre + (x - centre) * spread**2 / (spread**2 + sigma**2)

    def noise() -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    x = adpm2(denoise, noise(), karras_sigmas(20), noise)
    assert x.std().item() == pytest.approx(spread, rel=0.02)
    assert abs(x.mean().item() - centre) < 3 * spread / x.numel() ** 0.5


def test_guidance_of_one_is_no_guidance_and_two_is_twice_the_difference():
    model, (text, mask) = built(), texts(3, 5)
    x, sigma, reference = torch.randn(3, 16), torch.full((3,), 0.4), torch.randn(3, 16)
    plain = model(x, sigma, text, mask, reference)
    assert torch.equal(model(x, sigma, text, mask, reference, guidance=1.0), plain)
    untold = model(x, sigma, text, mask, reference, without_text=torch.ones(3, dtype=torch.bool))
    doubled = model(x, sigma, text, mask, reference, guidance=2.0)
    assert torch.allclose(doubled, untold + 2 * (plain - untold), atol=1e-6)
    assert not torch.allclose(doubled, plain, atol=1e-4)


def test_rows_without_text_do_not_depend_on_it():
    model, (text, mask) = built(), texts(2, 5)
    x, sigma, reference = torch.randn(2, 16), torch.full((2,), 0.4), torch.randn(2, 16)
    without = torch.tensor([True, False])
    first = model(x, sigma, text, mask, reference, without_text=without)
    second = model(x, sigma, text + 1, mask, reference, without_text=without)
    assert torch.equal(first[0], second[0])
    assert not torch.equal(first[1], second[1])


@pytest.mark.parametrize("reference", [True, False])
def test_padding_changes_nothing(reference):
    config = DenoiserConfig(text_dim=12, style_dim=16, blocks=2, heads=2, head_dim=8, reference=reference)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = StyleDenoiser(config).eval()
    text, mask = texts(2, 20)
    told = torch.randn(2, 16) if reference else None
    x, level = torch.randn(2, 16), torch.randn(2)
    padded = torch.cat([text, 5 * torch.randn(2, 44, 12)], 1)
    padded_mask = torch.cat([mask, torch.zeros(2, 44, dtype=torch.bool)], 1)
    assert torch.allclose(model(x, level, padded, padded_mask, told), model(x, level, text, mask, told), atol=1e-5)
    assert not torch.allclose(model(x, level, padded, torch.ones_like(padded_mask), told),
                              model(x, level, text, mask, told), atol=1e-3)  # fmt: skip


def test_same_seed_same_style_and_the_callers_random_state_is_kept():
    model, (text, mask) = built(), texts(1, 5)
    reference = torch.zeros(1, 16)

    def drawn(seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        return sample_styles(model, text, mask, reference, steps=5, generator=generator)

    state = torch.get_rng_state()
    assert torch.equal(drawn(3), drawn(3))
    assert not torch.equal(drawn(3), drawn(4))
    assert torch.equal(torch.get_rng_state(), state)


def test_gradient_passes_through_the_sampler_to_every_weight():
    model, (text, mask) = built().train(), texts(2, 5)
    sample_styles(model, text, mask, torch.randn(2, 16), steps=3).abs().mean().backward()
    missing = [name for name, p in model.denoiser.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not missing


def test_spread_of_the_styles_is_part_of_the_state():
    model = built()
    model.observe(torch.tensor(0.5), first=True)
    model.observe(torch.tensor(0.7), first=False)
    model.calibrate(0.5 * torch.randn(200, 16) + 1.0)
    other = built(seed=9)
    other.load_state_dict(model.state_dict())
    assert other.sigma_data == model.sigma_data and 0.5 < other.sigma_data < 0.6
    assert other.style_limit == model.style_limit and torch.equal(other.style_mean, model.style_mean)


def test_far_styles_are_drawn_back_and_near_ones_left_alone():
    model = built()
    styles = torch.randn(300, 16)
    model.calibrate(styles)
    held = model.held(styles)
    changed = (held - styles).abs().sum(1) > 1e-5
    assert 0 < changed.sum() <= 0.02 * len(styles)
    far = model.held(100 * styles[:1])
    assert model._distance(far).item() == pytest.approx(model.style_limit.item(), rel=1e-4)


@pytest.mark.slow
def test_two_modes_are_learned_in_their_shares():
    config = DenoiserConfig(text_dim=8, style_dim=16, blocks=1, heads=2, head_dim=8, reference=False)
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = StyleDiffusion(config)
        modes = torch.stack([torch.full((16,), 0.3), torch.full((16,), -0.2)])
        optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
        mask = torch.ones(256, 3, dtype=torch.bool)
        for step in range(2500):
            for group in optimizer.param_groups:
                group["lr"] = 2e-3 * (1 - step / 2500) + 1e-5
            picked = (torch.rand(256, generator=generator) < 0.3).long()
            styles = modes[picked] + 0.05 * torch.randn(256, 16, generator=generator)
            model.observe(styles.std(), first=step == 0)
            material = StyleMaterial(styles=styles, text=torch.zeros(256, 3, 8), mask=mask, reference=None)
            optimizer.zero_grad()
            denoising_loss(model, material, text_dropout=0.1)[0].backward()
            optimizer.step()
    with torch.no_grad():
        text, mask = torch.zeros(1000, 3, 8), torch.ones(1000, 3, dtype=torch.bool)
        drawn = sample_styles(model.eval(), text, mask, steps=10, generator=generator)
    second = drawn.mean(1) < 0.05
    assert second.float().mean().item() == pytest.approx(0.3, abs=0.05)
    for mode, rows in zip(modes, (drawn[~second], drawn[second])):
        assert (rows.mean(0) - mode).abs().mean() < 0.02
        assert rows.std(0).mean().item() == pytest.approx(0.05, rel=0.15)
