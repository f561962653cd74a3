"""Quantizer and codec."""

from __future__ import annotations

import pytest
import torch

from voiceclone.models.mamba_conv.codec import Codec
from voiceclone.models.mamba_conv.config import CodecConfig, presets
from voiceclone.models.mamba_conv.encodec import EncodecCodec
from voiceclone.models.mamba_conv.quantizer import ResidualQuantizer, codebook_use

LATENT, LEVELS, SIZE = 6, 3, 16


def fitted(steps: int = 150) -> tuple[ResidualQuantizer, torch.Tensor]:
    """A quantizer with codebooks fitted to normal vectors, and some of these ``(8, latent, 20)``."""
    torch.manual_seed(0)
    quantizer = ResidualQuantizer(LEVELS, SIZE, LATENT).train()
    for _ in range(steps):
        quantizer(torch.randn(8, LATENT, 40))
    return quantizer.eval(), torch.randn(8, LATENT, 20)


def test_every_level_reduces_the_residual() -> None:
    quantizer, latent = fitted()
    codes = quantizer.encode(latent)
    left = [float((latent - quantizer.decode(codes[:, :used])).norm()) for used in range(1, LEVELS + 1)]
    assert left[0] < float(latent.norm()) and left[2] < left[1] < left[0]
    assert (codebook_use(codes, SIZE) > 0.5).all()


def test_codes_name_their_own_vectors() -> None:
    """For clustered inputs; others may lie between two codes."""
    torch.manual_seed(0)
    groups = [scale * torch.randn(SIZE, LATENT) for scale in (1.0, 0.2, 0.04)]
    quantizer = ResidualQuantizer(LEVELS, SIZE, LATENT).eval()
    for level, group in enumerate(groups):
        quantizer.set_codebook(level, group)
    latent = sum(group[torch.randint(SIZE, (8, 20))] for group in groups).mT
    codes = quantizer.encode(latent)
    again = quantizer.encode(quantizer.decode(codes))
    assert float((codes == again).float().mean()) >= 0.95
    found = quantizer(latent)
    assert torch.equal(found.codes, codes) and torch.allclose(found.vectors, quantizer.decode(codes), atol=1e-6)


def test_every_levels_commitment_reaches_the_encoder() -> None:
    quantizer, latent = fitted()
    for used in range(1, LEVELS + 1):
        moved = latent.clone().requires_grad_()
        found = quantizer(moved, used=used)
        by_level = torch.autograd.grad(found.commitment * used, moved, retain_graph=True)[0]
        before = torch.zeros_like(by_level)
        if used > 1:
            fewer = latent.clone().requires_grad_()
            before = torch.autograd.grad(quantizer(fewer, used=used - 1).commitment * (used - 1), fewer)[0]
        assert (by_level - before).abs().max() > 1e-4  # what the last level alone gives
        straight = torch.autograd.grad(found.vectors.sum(), moved)[0]
        assert torch.equal(straight, torch.ones_like(straight))


def test_codes_that_nothing_uses_are_replaced() -> None:
    torch.manual_seed(0)
    quantizer = ResidualQuantizer(1, SIZE, LATENT).train()
    quantizer.set_codebook(0, torch.full((SIZE, LATENT), 100.0) + torch.randn(SIZE, LATENT))
    for _ in range(150):
        quantizer(torch.randn(8, LATENT, 40))
    assert quantizer.codebooks.abs().max() < 10
    assert (codebook_use(quantizer.eval().encode(torch.randn(8, LATENT, 200)), SIZE) > 0.6).all()


def test_codebooks_follow_only_in_training_and_take_no_gradient() -> None:
    quantizer, latent = fitted(5)
    before = quantizer.codebooks.clone()
    quantizer(latent)
    assert torch.equal(quantizer.codebooks, before) and not list(quantizer.parameters())
    quantizer.train()(latent)
    assert not torch.equal(quantizer.codebooks, before)


@pytest.mark.parametrize("name", ["tiny", "nano"])
def test_frames_and_samples_fit(name: str) -> None:
    torch.manual_seed(0)
    codec = Codec(presets(name)[0]).eval()
    assert codec.hop == 300
    audio = 0.1 * torch.randn(2, 300 * 20)
    codes = codec.encode(audio)
    assert codes.shape == (2, 4, 20) and codec.decode(codes).shape == audio.shape
    assert codec.encode(audio[:, :5999]).shape == (2, 4, 20)
    assert codec.decode(codes[:, :2]).shape == audio.shape  # a coarser sound


def test_a_frame_is_where_its_sound_is() -> None:
    """A click moves with its frame: encoder and decoder are aligned."""
    torch.manual_seed(0)
    codec = Codec(CodecConfig(channels=8, latent=8, codebook_size=8)).eval()
    silence, click = torch.zeros(1, 300 * 40), torch.zeros(1, 300 * 40)
    click[0, 300 * 20 + 150] = 1.0
    with torch.no_grad():
        moved = (codec.latents(click) - codec.latents(silence)).abs().sum(1)[0]
        touched = moved.nonzero().flatten()
        assert abs(float(touched.float().mean()) - 20) <= 0.5
        vectors = codec.latents(silence)
        other = vectors.clone()
        other[..., 20] += 1.0
        heard = (codec.resynthesize(other) - codec.resynthesize(vectors)).abs()[0]
    middle = float((heard * torch.arange(len(heard))).sum() / heard.sum())
    assert abs(middle - 300 * 20.5) < 300


@pytest.mark.slow
def test_encodec_has_the_same_methods() -> None:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.EncodecConfig(
        num_filters=4, hidden_size=8, codebook_size=1024, codebook_dim=8, num_lstm_layers=1, target_bandwidths=[3.0]
    )
    codec = EncodecCodec(transformers.EncodecModel(config))
    assert (codec.hop, codec.levels, codec.codebook_size) == (320, 4, 1024)
    codes = codec.encode(0.1 * torch.randn(1, 320 * 10 + 7))
    assert codes.shape == (1, 4, 11) and codec.decode(codes).shape == (1, 320 * 11)
