"""The projection network."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from voiceclone.projection.mlp import MlpConfig, Projection, parameter_groups


def test_layers_are_the_ones_drawn() -> None:
    kinds = [(type(layer), getattr(layer, "out_features", None)) for layer in Projection().layers]
    block = [(nn.LayerNorm, None), (nn.ReLU, None), (nn.Dropout, None)]
    assert kinds == [(nn.Linear, 512), *block, (nn.Linear, 512), *block, (nn.Linear, 256), (nn.Tanh, None)]
    assert Projection().layers[0].in_features == 256


def test_it_starts_exactly_at_the_anchor_whatever_the_style() -> None:
    anchor = 0.4 * torch.randn(1, 256).clamp(-2, 2)
    projection = Projection().eval()
    projection.initialize_at(anchor)
    for style in (torch.zeros(1, 256), torch.randn(3, 256)):
        torch.testing.assert_close(projection(style), anchor.expand(len(style), -1), rtol=1e-5, atol=1e-6)


def test_values_that_tanh_cannot_reach_are_clamped() -> None:
    projection = Projection().eval()
    projection.initialize_at(torch.full((1, 256), 1.4))
    out = projection(torch.zeros(1, 256))
    assert torch.isfinite(out).all() and (out > 0.96).all()


@pytest.mark.parametrize("lr", [1e-4, 1e-3, 1e-2])
def test_one_step_moves_the_output_by_about_the_learning_rate(lr: float) -> None:
    """Otherwise 1e-3 would leave the range of real voices within three steps."""
    torch.manual_seed(0)
    projection = Projection(MlpConfig(dropout=0.0))
    projection.initialize_at(0.2 * torch.randn(1, 256))
    optimizer = torch.optim.AdamW(parameter_groups(projection, lr), weight_decay=0.0)
    style, wish = torch.randn(1, 256), torch.randn(1, 256)
    before = projection(style).detach()
    for _ in range(3):
        optimizer.zero_grad()
        (projection(style) - wish).square().sum().backward()
        optimizer.step()
    moved = float((projection(style).detach() - before).abs().mean())
    assert lr < moved < 10 * 3 * lr


def test_dropout_must_be_a_probability() -> None:
    with pytest.raises(ValueError):
        MlpConfig(dropout=1.0)
