"""Quantizer and codec."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

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


def in_two_processes(halves: tuple[torch.Tensor, torch.Tensor], quantizer_of, steps: int):
    """Quantizers that see one half each of every batch and sum over both, as threads."""
    barrier, given = threading.Barrier(2), {}

    def train(rank: int) -> ResidualQuantizer:
        def reduce(value: torch.Tensor) -> torch.Tensor:
            given[rank] = value
            barrier.wait()
            total = given[0] + given[1]
            barrier.wait()
            return total

        quantizer = quantizer_of()
        for _ in range(steps):
            quantizer(halves[rank], reduce=reduce, process=(rank, 2))
        return quantizer

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(train, range(2)))


def test_two_processes_have_the_codebooks_of_one() -> None:
    torch.manual_seed(0)
    latent, start = torch.randn(8, LATENT, 40), ResidualQuantizer(LEVELS, SIZE, LATENT)

    def same() -> ResidualQuantizer:
        quantizer = ResidualQuantizer(LEVELS, SIZE, LATENT).train()
        quantizer.load_state_dict(start.state_dict())
        return quantizer

    first, second = in_two_processes((latent[:4], latent[4:]), same, 5)
    alone = same()
    for _ in range(5):
        alone(latent)
    for name, value in alone.state_dict().items():
        assert torch.allclose(getattr(first, name), value, atol=1e-5), name
        assert torch.equal(getattr(first, name), getattr(second, name)), name


def test_a_code_is_replaced_by_a_vector_of_one_process() -> None:
    """Not by the mean of a vector of each, which lies between them."""
    torch.manual_seed(0)
    sides = tuple(side + 0.01 * torch.randn(4, LATENT, 40) for side in (-5.0, 5.0))
    far = torch.linspace(90.0, 100.0, SIZE)[:, None].expand(SIZE, LATENT)  # the first one is the nearest

    def unused() -> ResidualQuantizer:
        quantizer = ResidualQuantizer(1, SIZE, LATENT).train()
        quantizer.set_codebook(0, far)
        quantizer.use[:, 1:] = 0.0
        return quantizer

    first, second = in_two_processes(sides, unused, 1)
    replaced = first.codebooks[0, 1:]
    assert torch.equal(first.codebooks, second.codebooks)
    assert ((replaced.abs() - 5.0).abs() < 0.1).all() and (replaced > 0).any() and (replaced < 0).any()


def test_codebook_use_is_the_number_of_equally_frequent_codes() -> None:
    codes = torch.stack([torch.arange(400) % 16, torch.arange(400) % 4, torch.zeros(400, dtype=torch.long)])[None]
    assert codebook_use(codes, SIZE).tolist() == pytest.approx([1.0, 0.25, 1 / 16])
    unequal = torch.tensor([0] * 3 + [1]).repeat(100)[None, None]
    assert float(codebook_use(unequal, SIZE)) == pytest.approx((4 / 3) ** 0.75 * 4**0.25 / 16)
    assert float(codebook_use(torch.arange(4)[None, None], SIZE)) == pytest.approx(0.25)  # too few frames


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
