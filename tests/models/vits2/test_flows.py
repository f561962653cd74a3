"""Every type of flow is invertible, preserves the padding, and has the right log-determinant."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from voiceclone.models.vits2.config import FLOWS, Vits2Config, vits2_preset
from voiceclone.models.vits2.flows import Flow
from voiceclone.models.vits2.layers import length_mask


def random_flow(config: Vits2Config, *, scale: float = 0.2) -> Flow:
    """A flow with random last layers, which are initialized to 0."""
    torch.manual_seed(3)
    flow = Flow(config)
    for parameter in flow.parameters():
        parameter.data += scale * torch.randn_like(parameter)
    return flow


def config_of(flow: str, *, speakers: int = 4, **values: object) -> Vits2Config:
    return replace(vits2_preset("tiny"), flow=flow, speakers=speakers, **values)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("speakers", [0, 4])
@pytest.mark.parametrize("kind", FLOWS)
def test_the_inverse_undoes_it_and_the_padding_stays(kind: str, speakers: int, training: bool) -> None:
    config = config_of(kind, speakers=speakers)
    flow = random_flow(config).train(training)
    mask = length_mask(torch.tensor([20, 13]), 20)
    voice = torch.randn(2, config.voice_size, 1) if speakers else None
    x = torch.randn(2, config.channels, 20) * mask
    y = flow(x, mask, voice)
    assert (y - x).abs().max() > 0.1  # it is no identity
    assert torch.equal(y * (1 - mask), torch.zeros_like(y))
    assert torch.allclose(flow.inverse(y, mask, voice), x, atol=1e-5)


@pytest.mark.parametrize("kind", FLOWS)
def test_the_log_determinant_is_the_jacobians(kind: str) -> None:
    config = config_of(kind, speakers=0, channels=4, hidden=4)
    flow = random_flow(config).double()
    mask = torch.ones(1, 1, 3, dtype=torch.float64)

    def flat(x: Tensor) -> Tensor:
        return flow(x.view(1, 4, 3), mask).flatten()

    jacobian = torch.autograd.functional.jacobian(flat, torch.randn(12, dtype=torch.float64))
    expected = float(torch.linalg.slogdet(jacobian).logabsdet)
    assert float(flow.log_determinant(mask)[0]) == pytest.approx(expected, abs=1e-6)
    if kind == "mono_layer_post_residual":
        assert expected == pytest.approx(config.flows * 12 * math.log(2), abs=1e-6)


@pytest.mark.parametrize("kind", FLOWS)
def test_a_padded_row_is_the_row_alone(kind: str) -> None:
    config = config_of(kind)
    flow = random_flow(config)
    voice = torch.randn(1, config.voice_size, 1)
    x = torch.randn(1, config.channels, 13)
    alone = flow(x, torch.ones(1, 1, 13), voice)
    padded = flow(torch.cat([x, torch.zeros(1, config.channels, 7)], 2), length_mask(torch.tensor([13]), 20), voice)
    assert torch.allclose(padded[:, :, :13], alone, atol=1e-5)


@pytest.mark.parametrize("causal", [True, False])
def test_later_frames_matter_unless_the_flow_is_causal(causal: bool) -> None:
    config = config_of("fft", flow_causal=causal)
    flow = random_flow(config)
    mask, voice = torch.ones(1, 1, 40), torch.randn(1, config.voice_size, 1)
    x = torch.randn(1, config.channels, 40)
    other = x.clone()
    other[:, :, 30] += 1.0
    same = torch.allclose(flow(x, mask, voice)[:, :, :30], flow(other, mask, voice)[:, :, :30], atol=1e-6)
    assert same == causal
