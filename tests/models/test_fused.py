"""The fused residual blocks have Kokoro's values and gradients, and are used only if gradients are recorded."""

from __future__ import annotations

import copy

import pytest
import torch
from kokoro.istftnet import AdaINResBlock1, Decoder
from torch import nn

from voiceclone.audio.features import LogMel
from voiceclone.bases.base import Base
from voiceclone.models.checkpoint import fold_weight_norm
from voiceclone.models.frozen_kokoro import FrozenKokoro
from voiceclone.models.fused import fused

STYLE = 6


def make_block(channels: int, kernel: int, dilations: tuple[int, ...], *, kind: torch.dtype) -> AdaINResBlock1:
    """Frozen, with every parameter away from its initial value; Snake's alpha of either sign and some near zero."""
    block = AdaINResBlock1(channels, kernel, dilations, STYLE)
    fold_weight_norm(block)
    for name, parameter in block.named_parameters():
        nn.init.normal_(parameter, std=0.5)
        if "alpha" in name:
            parameter.data[:, 0] = 1e-4
    return block.to(kind).requires_grad_(False).eval()


def outcome(block: nn.Module, x: torch.Tensor, s: torch.Tensor, weight: torch.Tensor) -> list[torch.Tensor]:
    """Output, and the gradient of a weighted sum of it in ``x`` and in ``s``."""
    x, s = x.clone().requires_grad_(), s.clone().requires_grad_()
    y = block(x, s)
    return [y.detach(), *torch.autograd.grad((y * weight).sum(), [x, s])]


@pytest.mark.parametrize(
    "batch, channels, kernel, dilations", [(1, 4, 3, (1, 3, 5)), (3, 8, 7, (1, 2, 3)), (2, 5, 11, (5, 1, 3))]
)
def test_values_and_gradients_are_those_of_kokoros_block(batch, channels, kernel, dilations) -> None:
    torch.manual_seed(0)
    block = make_block(channels, kernel, dilations, kind=torch.float64)
    x, s = torch.randn(batch, channels, 70).double() + 3, torch.randn(batch, STYLE).double()
    weight = torch.randn_like(x)
    plain = outcome(block, x, s, weight)
    with fused(block):
        lean = outcome(block, x, s, weight)
    for ours, theirs in zip(lean, plain):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)
        assert theirs.abs().max() > 0


def test_the_gradient_is_that_of_finite_differences() -> None:
    torch.manual_seed(1)
    block = make_block(3, 3, (1, 2, 1), kind=torch.float64)
    x, s = torch.randn(2, 3, 9).double().requires_grad_(), torch.randn(2, STYLE).double().requires_grad_()
    with fused(block):
        assert torch.autograd.gradcheck(block, (x, s))


@pytest.mark.parametrize("wanted", ["x", "s"])
def test_either_input_may_need_no_gradient(wanted: str) -> None:
    torch.manual_seed(2)
    block = make_block(4, 3, (1, 3, 5), kind=torch.float64)
    inputs = {"x": torch.randn(2, 4, 40).double(), "s": torch.randn(2, STYLE).double()}
    inputs[wanted].requires_grad_()
    expected = torch.autograd.grad(block(**inputs).square().sum(), inputs[wanted])[0]
    with fused(block):
        ours = torch.autograd.grad(block(**inputs).square().sum(), inputs[wanted])[0]
    torch.testing.assert_close(ours, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_half_precision_follows_kokoros_block(half: torch.dtype) -> None:
    torch.manual_seed(3)
    block = make_block(8, 3, (1, 3, 5), kind=torch.float32)
    for name, parameter in block.named_parameters():
        if "alpha" in name:
            parameter.data.fill_(0.7)
    x, s = torch.randn(2, 8, 200), torch.randn(2, STYLE)
    exact = outcome(block, x, s, torch.ones_like(x) / 8)
    with fused(block), torch.autocast("cpu", dtype=half):
        lean = outcome(block, x, s, torch.ones_like(x) / 8)
    for ours, theirs in zip(lean, exact):
        assert (ours - theirs).norm() < 0.1 * theirs.norm()


@pytest.mark.parametrize("with_gradient", [True, False])
def test_convolutions_of_another_type_follow_the_decoder(base: Base, voice: torch.Tensor, with_gradient: bool) -> None:
    """The audio's log-mel and its gradient stay near; after it the decoder is as it was, to the bit."""
    kokoro = FrozenKokoro(base.kmodel, torch.device("cpu"))
    text = torch.randn(2, base.kmodel.text_encoder.embedding.weight.shape[1], 24)
    log_mel, found = LogMel(), []
    for dtype in (None, torch.bfloat16, None):
        kokoro.convolutions = dtype
        leaf = voice[:, :128].clone().requires_grad_()
        with torch.set_grad_enabled(with_gradient):
            torch.manual_seed(5)
            mel = log_mel(kokoro.decode(text, torch.full((2, 48), 120.0), torch.zeros(2, 48), leaf.expand(2, -1)))
        gradient = torch.autograd.grad(mel.square().mean(), leaf)[0] if with_gradient else torch.zeros(1)
        assert mel.dtype == torch.float32
        found.append((mel.detach(), gradient))
    (exact, exact_gradient), (near, near_gradient), (again, _) = found
    assert torch.equal(again, exact)
    assert 0 < (near - exact).norm() < 0.05 * exact.norm()
    if with_gradient:
        assert torch.cosine_similarity(near_gradient, exact_gradient).item() > 0.98


def test_without_a_gradient_it_is_kokoros_to_the_bit() -> None:
    torch.manual_seed(4)
    block = make_block(8, 7, (1, 3, 5), kind=torch.float32)
    x, s = torch.randn(2, 8, 90), torch.randn(2, STYLE)
    expected = block(x, s)
    with fused(block):
        assert torch.equal(block(x, s), expected)
        with torch.no_grad():
            assert torch.equal(block(x.clone().requires_grad_(), s), expected)


def test_blocks_that_are_not_frozen_are_left_alone() -> None:
    normed = AdaINResBlock1(4, 3, (1, 3, 5), STYLE).requires_grad_(False)  # its weight norm is not folded
    trained = make_block(4, 3, (1, 3, 5), kind=torch.float32)
    trained.alpha1[0].requires_grad_()
    frozen = make_block(4, 3, (1, 3, 5), kind=torch.float32)
    other = copy.deepcopy(frozen)
    with fused(nn.ModuleList([normed, trained, frozen])):
        changed = ["forward" in vars(block) for block in (normed, trained, frozen, other)]
    assert changed == [False, False, True, False]
    assert "forward" not in vars(frozen)


def test_the_context_can_be_nested() -> None:
    block = make_block(4, 3, (1, 3, 5), kind=torch.float32)
    x, s = torch.randn(1, 4, 30), torch.randn(1, STYLE, requires_grad=True)
    with fused(block):
        with fused(block):
            first = block(x, s)
        second = block(x, s)
        assert "forward" in vars(block)
    assert torch.equal(first, second)
    assert "forward" not in vars(block)


def test_the_whole_decoder_gives_the_same_audio_and_gradient(base: Base, voice: torch.Tensor) -> None:
    kokoro = FrozenKokoro(base.kmodel, torch.device("cpu"))
    before = {key: value.clone() for key, value in base.kmodel.state_dict().items()}
    text = torch.randn(2, base.kmodel.text_encoder.embedding.weight.shape[1], 24)
    found = []
    for lean in (False, True):
        kokoro.fused = lean
        torch.manual_seed(5)
        leaf = voice[:, :128].clone().requires_grad_()
        audio = kokoro.decode(text, torch.full((2, 48), 120.0), torch.zeros(2, 48), leaf.expand(2, -1))
        audio.square().sum().backward()
        found.append((audio.detach(), leaf.grad))
    (audio, gradient), (lean_audio, lean_gradient) = found
    torch.testing.assert_close(lean_audio, audio, rtol=1e-4, atol=1e-5 * float(audio.abs().max()))
    torch.testing.assert_close(lean_gradient, gradient, rtol=1e-3, atol=1e-4 * float(gradient.abs().max()))
    after = base.kmodel.state_dict()
    assert list(after) == list(before) and all(torch.equal(after[key], before[key]) for key in before)
    blocks = [module for module in base.kmodel.modules() if isinstance(module, AdaINResBlock1)]
    assert blocks and not any("forward" in vars(block) for block in blocks)


def test_less_is_kept_for_the_gradient(kokoro: FrozenKokoro, voice: torch.Tensor) -> None:
    assert isinstance(kokoro.kmodel.decoder, Decoder)
    text = torch.randn(1, kokoro.kmodel.text_encoder.embedding.weight.shape[1], 24)
    kept = []
    for fuse in (False, True):
        view = FrozenKokoro(kokoro.kmodel, torch.device("cpu"))
        view.fused = fuse
        held: dict[int, int] = {}

        def note(tensor: torch.Tensor, held: dict[int, int] = held) -> torch.Tensor:
            held[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            style = voice[:, :128].clone().requires_grad_()
            audio = view.decode(text, torch.full((1, 48), 120.0), torch.zeros(1, 48), style)
        kept.append(sum(held.values()))
        del audio
    assert kept[1] < 0.6 * kept[0]


@pytest.mark.gpu
@pytest.mark.parametrize("half", [None, torch.bfloat16, torch.float16])
def test_on_a_gpu_it_is_kokoros_block_too(half: torch.dtype | None) -> None:
    torch.manual_seed(6)
    block = make_block(8, 7, (1, 3, 5), kind=torch.float32).cuda()
    for name, parameter in block.named_parameters():
        if "alpha" in name:
            parameter.data.fill_(0.7)
    x, s = torch.randn(2, 8, 200).cuda(), torch.randn(2, STYLE).cuda()
    exact = outcome(block, x, s, torch.ones_like(x) / 8)
    with fused(block), torch.autocast("cuda", dtype=half, enabled=half is not None):
        lean = outcome(block, x, s, torch.ones_like(x) / 8)
    for ours, theirs in zip(lean, exact):
        assert (ours - theirs).norm() < (0.1 if half else 1e-2) * theirs.norm()
