"""The outputs equal those of transformers' VITS, an independent implementation, with the same weights."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from transformers import VitsConfig
from transformers.models.vits import modeling_vits as theirs

from voiceclone.models.vits2.config import PLAIN, FrontEnd, Vits2Config, vits2_preset
from voiceclone.models.vits2.durations import DurationPredictor
from voiceclone.models.vits2.encoders import PosteriorEncoder, TextEncoder
from voiceclone.models.vits2.flows import Flow
from voiceclone.models.vits2.layers import length_mask
from voiceclone.models.vits2.splines import spline
from voiceclone.models.vits2.stochastic_durations import StochasticDurationPredictor

HIDDEN, VOICE = 16, 8


@pytest.fixture
def config() -> Vits2Config:
    return replace(
        vits2_preset("tiny"), speakers=3, speaker_in_text=False, flow=PLAIN, duration_noise=False,
        front_end=FrontEnd(n_mels=20),
    )  # fmt: skip


@pytest.fixture
def reference() -> VitsConfig:
    config = VitsConfig(
        vocab_size=178, hidden_size=HIDDEN, num_hidden_layers=3, num_attention_heads=2, window_size=4, ffn_dim=32,
        flow_size=HIDDEN, spectrogram_bins=20, num_speakers=3, speaker_embedding_size=VOICE,
        posterior_encoder_num_wavenet_layers=2, prior_encoder_num_wavenet_layers=1, prior_encoder_num_flows=2,
        duration_predictor_filter_channels=16, wavenet_kernel_size=5, wavenet_dilation_rate=1,
        depth_separable_channels=2, depth_separable_num_layers=3, duration_predictor_flow_bins=10,
        duration_predictor_num_flows=4, layerdrop=0.0,
    )  # fmt: skip
    config._attn_implementation = "eager"  # the mask that VITS adds to its scores
    return config


def copy(ours: nn.Module, source: nn.Module) -> None:
    """Weights of one module into the other, in the order of both; random ones, so that nothing is 0 by chance."""
    torch.manual_seed(11)
    pairs = list(zip(_leaves(ours), _leaves(source), strict=True))
    for mine, other in pairs:
        for (name, parameter), (other_name, value) in zip(
            mine.named_parameters(recurse=False), other.named_parameters(recurse=False), strict=True
        ):
            value.data = 0.3 * torch.randn_like(value)
            assert parameter.numel() == value.numel(), (mine, name, other, other_name)
            parameter.data = value.data.reshape(parameter.shape).clone()


def _leaves(module: nn.Module) -> list[nn.Module]:
    return [part for part in module.modules() if list(part.parameters(recurse=False))]


def plain_weights(module: nn.Module) -> None:
    """Weights in the place of weight-normalised ones."""
    for part in module.modules():
        if isinstance(part, nn.Conv1d):
            if hasattr(part, "weight_g"):
                nn.utils.remove_weight_norm(part)
            elif hasattr(part, "parametrizations"):
                nn.utils.parametrize.remove_parametrizations(part, "weight")


def masks(longest: int) -> Tensor:
    return length_mask(torch.tensor([longest, longest - 5]), longest)


def voices() -> Tensor:
    torch.manual_seed(2)
    return torch.randn(2, VOICE, 1)


def test_text_encoder(config: Vits2Config, reference: VitsConfig) -> None:
    torch.manual_seed(4)
    ours, other = TextEncoder(config).eval(), theirs.VitsTextEncoder(reference).eval()
    for mine, layer in zip(range(config.layers), other.encoder.layers, strict=True):
        attention = ours.transformer.attentions[mine]
        pairs = {"query": "q_proj", "key": "k_proj", "value": "v_proj", "output": "out_proj"}
        for name, named in pairs.items():
            source, target = getattr(layer.attention, named), getattr(attention, name)
            target.weight.data, target.bias.data = source.weight.data.unsqueeze(-1), source.bias.data
        layer.attention.emb_rel_k.data.normal_()
        layer.attention.emb_rel_v.data.normal_()
        attention.key_positions.data = layer.attention.emb_rel_k.data[0]
        attention.value_positions.data = layer.attention.emb_rel_v.data[0]
        feed = ours.transformer.feeds[mine]
        copy(feed, layer.feed_forward)
        copy(ours.transformer.norms[2 * mine], layer.layer_norm)
        copy(ours.transformer.norms[2 * mine + 1], layer.final_layer_norm)
    copy(ours.embedding, other.embed_tokens)
    copy(ours.statistics, other.project)
    ours.statistics.weight.data.mul_(0.1)
    other.project.weight.data.mul_(0.1)
    for longest in (3, 12):  # shorter and longer than the window of positions
        tokens = torch.randint(0, 178, (2, longest))
        mask = length_mask(torch.tensor([longest, longest - 1]), longest)
        features, mean, log_scale = ours(tokens, mask, None)
        padding = mask.transpose(1, 2)
        result = other(tokens, padding, attention_mask=mask.squeeze(1).long())
        assert torch.allclose(features, result.last_hidden_state.transpose(1, 2), atol=1e-4)
        assert torch.allclose(mean, result.prior_means.transpose(1, 2) * mask, atol=1e-4)
        assert torch.allclose(log_scale, result.prior_log_variances.transpose(1, 2) * mask, atol=1e-4)


def test_posterior_encoder(config: Vits2Config, reference: VitsConfig) -> None:
    ours, other = PosteriorEncoder(config), theirs.VitsPosteriorEncoder(reference)
    for module in (ours, other):
        plain_weights(module)
    copy(ours.first, other.conv_pre)
    copy(ours.statistics, other.conv_proj)
    copy_wavenet(ours.wavenet, other.wavenet)
    frames, mask, voice = torch.randn(2, 20, 15), masks(15), voices()
    mean, log_scale = ours(frames, mask, voice)
    _, their_mean, their_log_scale = other(frames, mask, voice)
    assert mean.abs().max() > 0.5
    assert torch.allclose(mean, their_mean, atol=1e-5)
    assert torch.allclose(log_scale, their_log_scale.clamp(-7, 4), atol=1e-5)


def copy_wavenet(ours: nn.Module, other: nn.Module) -> None:
    copy(ours.inner, other.in_layers)
    copy(ours.outer, other.res_skip_layers)
    copy(ours.voice, other.cond_layer)


def test_flow_without_transformers(config: Vits2Config, reference: VitsConfig) -> None:
    ours, other = Flow(config), theirs.VitsResidualCouplingBlock(reference)
    for module in (ours, other):
        plain_weights(module)
    for mine, layer in zip(list(ours.parts)[::2], other.flows, strict=True):
        copy(mine.first, layer.conv_pre)
        copy(mine.last, layer.conv_post)
        copy_wavenet(mine.wavenet, layer.wavenet)
    mask, voice = masks(15), voices()
    x = torch.randn(2, HIDDEN, 15) * mask
    y = other(x, mask, voice)
    assert torch.allclose(ours(x, mask, voice), y, atol=1e-5)
    assert torch.allclose(ours.inverse(y, mask, voice), other(y, mask, voice, reverse=True), atol=1e-5)


def test_duration_predictor(config: Vits2Config, reference: VitsConfig) -> None:
    ours, other = DurationPredictor(config).eval(), theirs.VitsDurationPredictor(reference).eval()
    pairs = (("first", "conv_1"), ("second", "conv_2"), ("last", "proj"), ("voice", "cond"))
    for name, named in pairs:
        copy(getattr(ours, name), getattr(other, named))
    for mine, named in zip(ours.norms, ("norm_1", "norm_2"), strict=True):
        copy(mine, getattr(other, named))
    features, mask, voice = torch.randn(2, HIDDEN, 12), masks(12), voices()
    assert torch.allclose(ours(features, mask, voice), other(features, mask, voice), atol=1e-5)


def test_stochastic_duration_predictor(
    config: Vits2Config, reference: VitsConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = StochasticDurationPredictor(config).eval()
    other = theirs.VitsStochasticDurationPredictor(reference).eval()
    pairs = (
        ("first", "conv_pre"), ("last", "conv_proj"), ("voice", "cond"), ("spoken_first", "post_conv_pre"),
        ("spoken_last", "post_conv_proj"),
    )  # fmt: skip
    for name, named in pairs:
        copy(getattr(ours, name), getattr(other, named))
    copy_convs(ours.convs, other.conv_dds)
    copy_convs(ours.spoken_convs, other.post_conv_dds)
    for flow, flows in ((ours.flow, other.flows), (ours.dequantise, other.post_flows)):
        for mine, layer in zip(flow.parts, flows, strict=True):
            if hasattr(mine, "offset"):
                mine.offset.data, mine.log_scale.data = layer.translate.data, layer.log_scale.data
                continue
            copy(mine.first, layer.conv_pre)
            copy(mine.last, layer.conv_proj)
            copy_convs(mine.convs, layer.conv_dds)
    features, mask, voice = torch.randn(2, HIDDEN, 9), masks(9), voices()
    noise = torch.randn(2, 2, 9)
    monkeypatch.setattr(torch, "randn", lambda *sizes: noise)
    # Only synthesis is compared: transformers' training exchanges the channels once too often.
    log_frames = other(features, mask, voice, reverse=True, noise_scale=0.8)
    assert torch.allclose(ours(features, mask, voice, 0.8 * noise), log_frames, atol=1e-3)


def copy_convs(ours: nn.Module, other: nn.Module) -> None:
    copy(ours.depthwise, other.convs_dilated)
    copy(ours.pointwise, other.convs_pointwise)
    copy(ours.norms, nn.ModuleList(norm for pair in zip(other.norms_1, other.norms_2, strict=True) for norm in pair))


@pytest.mark.parametrize("inverse", [True, False])
def test_spline(inverse: bool) -> None:
    torch.manual_seed(6)
    x = 12 * torch.rand(2, 1, 40) - 6
    parameters = [torch.randn(2, 1, 40, size) for size in (10, 10, 9)]
    ours = spline(x, *parameters, inverse=inverse)
    other = theirs._unconstrained_rational_quadratic_spline(x, *parameters, reverse=inverse)
    assert all(torch.allclose(mine, their, atol=1e-4) for mine, their in zip(ours, other, strict=True))
