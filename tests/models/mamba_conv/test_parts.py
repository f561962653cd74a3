"""The parts of the synthesizer: both branches, modulation, style, lengths, durations, prosody, controller."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from voiceclone.errors import UsageError
from voiceclone.models.mamba_conv.blocks import MambaConvLayer, SideConvs
from voiceclone.models.mamba_conv.config import GenerationConfig, MambaConvConfig, config_from, config_json, presets
from voiceclone.models.mamba_conv.durations import (
    FilmConditionedDurationPredictor,
    duration_confidence,
    laplace_nll,
)
from voiceclone.models.mamba_conv.film import Film
from voiceclone.models.mamba_conv.length import expand_tokens, frame_ends, frame_tokens
from voiceclone.models.mamba_conv.model import MambaConvTTS
from voiceclone.models.mamba_conv.style import AudioStyleExtractor, SeparableConv
from voiceclone.models.mamba_conv.variance import Prosody, decided

TINY = presets("tiny")[1]


def changed_at(net, x: torch.Tensor, at: int) -> torch.Tensor:
    """Which frames of the output change with frame ``at`` of the input, bool ``(L,)``."""
    other = x.clone()
    other[:, at] += 1
    with torch.no_grad():
        return (net(x) != net(other)).any(-1)[0]


def test_right_convolutions_see_no_earlier_frame_and_a_layer_sees_both_sides() -> None:
    torch.manual_seed(0)
    x, mask = torch.randn(1, 60, 32), torch.ones(1, 60, 1)
    right = changed_at(SideConvs(32, (1, 2, 4, 8), right=True), x, 30)
    assert not right[31:].any() and right[14:31].sum() >= 5
    both = changed_at(SideConvs(32, (1, 2, 4, 8), right=False), x, 30)
    assert both[31:].any() and both[:30].any()
    layer = MambaConvLayer(32, (1, 2, 4, 8), TINY).eval()
    seen = changed_at(lambda values: layer(values, mask), x, 30)
    assert seen[:30].any() and seen[31:].any()
    alone = MambaConvLayer(32, (1, 2, 4, 8), MambaConvConfig(branch="none", dropout=0.0)).eval()
    assert not changed_at(lambda values: alone(values, mask), x, 30)[:30].any()


def test_padding_changes_nothing() -> None:
    torch.manual_seed(0)
    model = MambaConvTTS(TINY).eval()
    tokens, style = torch.randint(1, 170, (1, 12)), torch.randn(1, 128)
    padded = torch.cat([tokens, torch.zeros(1, 9, dtype=torch.long)], 1)
    with torch.no_grad():
        alone = model.text(tokens, style, torch.ones(1, 12, 1))
        mask = (torch.arange(21) < 12).float()[None, :, None]
        beside = model.text(padded, style, mask)
        assert torch.allclose(alone, beside[:, :12], atol=1e-6)
        for part in (model.durations, model.variance.predict):
            ours, theirs = part(alone, style, torch.ones(1, 12, 1)), part(beside, style, mask)
            pairs = zip(*(vars(v).values() if isinstance(v, Prosody) else v for v in (ours, theirs)))
            assert all(torch.allclose(a, b[:, :12], atol=1e-6) for a, b in pairs)
        assert torch.allclose(
            model.text.pooled(alone, torch.ones(1, 12, 1)), model.text.pooled(beside, mask), atol=1e-6
        )


def test_film_is_the_identity_at_first_and_its_gradients_are_those_of_the_formula() -> None:
    film, x, style = Film(4, 3), torch.randn(2, 5, 3), torch.randn(2, 4)
    assert torch.equal(film(x, style), x)
    film.project.bias.data = torch.tensor([0.5, 0.0, -1.0, 2.0, 0.0, 1.0])  # gamma, then beta
    expected = torch.stack([1.5 * x[..., 0] + 2, x[..., 1], torch.ones_like(x[..., 2])], -1)
    assert torch.allclose(film(x, style), expected)
    film(x, style).sum().backward()
    gamma, beta = film.project.bias.grad.chunk(2)
    assert torch.allclose(gamma, x.sum((0, 1)), atol=1e-5) and torch.allclose(beta, torch.full((3,), 10.0))


def test_a_separable_convolution_is_the_dense_one_of_the_product_of_its_kernels() -> None:
    torch.manual_seed(0)
    separable = SeparableConv(8, 6, kernel=5, stride=2)
    dense = nn.Conv1d(8, 6, 5, 2, 2)
    dense.weight.data = separable.pointwise.weight.data * separable.depthwise.weight.data.transpose(0, 1)
    dense.bias.data = separable.pointwise.bias.data
    x = torch.randn(2, 8, 31)
    assert torch.allclose(separable(x), dense(x), atol=1e-6)
    ours, theirs = (sum(p.numel() for p in net.parameters()) for net in (separable, dense))
    assert ours == 8 * 5 + 8 * 6 + 6 and theirs == 8 * 5 * 6 + 6


@pytest.mark.parametrize("norm", ["batch", "group"])
def test_the_style_extractor_takes_any_length(norm: str) -> None:
    extractor = AudioStyleExtractor(MambaConvConfig(style_norm=norm)).eval()
    with torch.no_grad():
        short, long = extractor(torch.randn(1, 80, 20)), extractor(torch.randn(3, 80, 301))
    assert short.shape == (1, 128) and long.shape == (3, 128)
    if norm == "group":
        extractor.train()(torch.randn(1, 80, 40))  # one row is enough


def naive_regulator(features: np.ndarray, durations: np.ndarray, rate: float) -> np.ndarray:
    frames, total, done = [], 0.0, 0
    for vector, duration in zip(features, durations):
        total += float(duration)
        end = int(np.round(total * rate))
        frames += [vector] * (end - done)
        done = end
    return np.array(frames).reshape(-1, features.shape[1])


@pytest.mark.parametrize("rate", [2.0, 1.875])  # codec frames of 80 and of 75 Hz in a frame of 25 ms
def test_the_length_regulator_equals_an_explicit_loop(rate: float) -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        count = int(rng.integers(1, 12))
        durations = rng.random(count) * rng.integers(0, 2, count) * 6
        durations[-1] += 1.0
        features = rng.standard_normal((count, 3))
        ends = frame_ends(torch.from_numpy(durations)[None], rate)
        tokens, spoken = frame_tokens(ends)
        laid_out = expand_tokens(torch.from_numpy(features)[None], tokens)[0]
        expected = naive_regulator(features, durations, rate)
        assert spoken.all() and len(expected) == int(ends[0, -1]) == round(durations.sum() * rate)
        assert np.array_equal(laid_out.numpy(), expected)


def test_the_regulators_gradient_sums_over_the_copies_and_rows_are_padded() -> None:
    durations = torch.tensor([[1.0, 0.0, 2.5], [3.0, 1.0, 1.0]])
    features = torch.ones(2, 3, 2, requires_grad=True)
    tokens, spoken = frame_tokens(frame_ends(durations, 2.0))
    assert spoken.sum(1).tolist() == [7, 10]
    (expand_tokens(features, tokens) * spoken.unsqueeze(-1)).sum().backward()
    assert features.grad[..., 0].tolist() == [[2.0, 0.0, 5.0], [6.0, 2.0, 2.0]]


@pytest.mark.parametrize("scale", [0.1, 0.4])
def test_the_scale_of_durations_becomes_that_of_their_noise(scale: float) -> None:
    torch.manual_seed(0)
    noise = torch.distributions.Laplace(0.0, scale).sample((4000,))
    durations = torch.exp(1.0 + noise)
    location, log_scale = torch.zeros((), requires_grad=True), torch.zeros((), requires_grad=True)
    optimizer = torch.optim.Adam([location, log_scale], lr=0.05)
    for _ in range(200):
        optimizer.zero_grad()
        laplace_nll(location.expand(4000), log_scale.expand(4000), durations).mean().backward()
        optimizer.step()
    assert abs(float(log_scale.detach().exp()) / scale - 1) < 0.1 and abs(float(location.detach()) - 1.0) < 0.05
    assert abs(float(duration_confidence(log_scale.detach())) - math.exp(-scale)) < 0.02


def test_durations_start_at_sensible_lengths() -> None:
    predictor = FilmConditionedDurationPredictor(TINY).eval()
    log_duration, log_scale = predictor(torch.zeros(1, 4, 32), torch.zeros(1, 128), torch.ones(1, 4, 1))
    assert ((log_duration.exp() > 1) & (log_duration.exp() < 9)).all() and (log_scale <= 2).all()


def test_prosody_is_added_normed_and_unvoiced_tokens_have_no_pitch() -> None:
    torch.manual_seed(0)
    adaptor, features, mask = MambaConvTTS(TINY).eval().variance, torch.zeros(1, 6, 32), torch.ones(1, 6, 1)
    quiet = Prosody(pitch=torch.zeros(1, 6), voiced=torch.zeros(1, 6), energy=torch.zeros(1, 6))
    other = Prosody(pitch=torch.full((1, 6), 3.0), voiced=torch.zeros(1, 6), energy=torch.zeros(1, 6))
    with torch.no_grad():
        assert torch.equal(adaptor.add(features, quiet, mask), adaptor.add(features, other, mask))
        loud = Prosody(pitch=torch.ones(1, 6), voiced=torch.ones(1, 6), energy=torch.full((1, 6), 50.0))
        added = adaptor.add(features, loud, mask)
    assert (added.mean(-1).abs() < 1e-4).all() and ((added.std(-1) - 1).abs() < 0.1).all()
    assert decided(
        Prosody(pitch=other.pitch, voiced=torch.tensor([[-1.0, 2.0]]), energy=other.energy)
    ).voiced.tolist() == [[0.0, 1.0]]


def test_configs_survive_json_and_refuse_what_they_do_not_know() -> None:
    for config in (*presets("nano"), *presets("reference")):
        assert config_from(type(config), config_json(config)) == config
    with pytest.raises(ValueError, match="unknown keys widht"):
        config_from(MambaConvConfig, {"widht": 3})
    for call, message in (
        (lambda: MambaConvConfig(mixer="lstm"), "mixer.lstm"),
        (lambda: presets("huge"), "no preset 'huge'"),
        (lambda: presets("tiny", codebook_size=1), "vocab.size.1"),
        (lambda: GenerationConfig(mode="beam"), "mode.+beam"),
        (lambda: GenerationConfig(rounds=0), "iterations.0"),
    ):
        with pytest.raises(UsageError, match=message):
            call()
