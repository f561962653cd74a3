"""The selective scan and the Mamba block, compared with a naive recurrence and with transformers' implementation."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from voiceclone.models.mamba_conv.config import MambaConvConfig
from voiceclone.models.mamba_conv.mixers import AttentionMixer, GruMixer, MambaBlock, make_mixer
from voiceclone.models.mamba_conv.scan import selective_scan

B, L, E, N = 2, 40, 6, 4


def parts(length: int = L, *, dtype: torch.dtype = torch.float32, seed: int = 0) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)

    delta = F.softplus(draw(B, length, E) - 2)
    return draw(B, length, E), delta, -torch.exp(draw(E, N)), draw(B, length, N), draw(B, length, N), draw(E)


def naive(u, delta, a, b, c, d):
    """The recurrence of one row, one channel and one state at a time."""
    y = torch.zeros_like(u)
    for row in range(u.shape[0]):
        for channel in range(u.shape[2]):
            h = torch.zeros(a.shape[1], dtype=u.dtype)
            for t in range(u.shape[1]):
                step = delta[row, t, channel]
                h = torch.exp(step * a[channel]) * h + step * b[row, t] * u[row, t, channel]
                y[row, t, channel] = (c[row, t] * h).sum() + d[channel] * u[row, t, channel]
    return y


def test_the_scan_is_the_recurrence() -> None:
    values = parts()
    assert torch.allclose(selective_scan(*values)[0], naive(*values), atol=2e-6)


def test_the_scan_is_a_convolution_where_nothing_is_selected() -> None:
    u, delta, a, b, c, d = parts()
    delta, b, c = delta[:1, :1].expand_as(delta), b[:1, :1].expand_as(b), c[:1, :1].expand_as(c)
    y = selective_scan(u, delta, a, b, c, d)[0]
    kernel = torch.stack(
        [(c[0, 0] * torch.exp(k * delta[0, 0, :, None] * a) * delta[0, 0, :, None] * b[0, 0]).sum(1) for k in range(L)]
    )  # (L, E)
    convolved = torch.stack(
        [sum(kernel[k] * u[:, t - k] for k in range(t + 1)) for t in range(L)], dim=1
    )  # fmt: skip
    assert torch.allclose(y, convolved + d * u, atol=1e-5)


def test_the_gradient_is_that_of_the_recurrence() -> None:
    values = tuple(v.requires_grad_() for v in parts(6, dtype=torch.float64))
    assert torch.autograd.gradcheck(lambda *v: selective_scan(*v), values)


@pytest.mark.parametrize("at", [1, 17, L - 1])
def test_the_state_carries_over_a_split(at: int) -> None:
    u, delta, a, b, c, d = parts()
    whole, last = selective_scan(u, delta, a, b, c, d)
    first, state = selective_scan(u[:, :at], delta[:, :at], a, b[:, :at], c[:, :at], d)
    second, end = selective_scan(u[:, at:], delta[:, at:], a, b[:, at:], c[:, at:], d, state)
    assert torch.allclose(torch.cat([first, second], 1), whole, atol=1e-6)
    assert torch.allclose(end, last, atol=1e-6)


def test_half_precision_is_lifted() -> None:
    values = parts()
    halves = [value.bfloat16() for value in values]
    y, state = selective_scan(*halves)
    assert y.dtype == state.dtype == torch.float32
    assert torch.equal(y, selective_scan(*(value.float() for value in halves))[0])


def block(seed: int = 1) -> MambaBlock:
    torch.manual_seed(seed)
    return MambaBlock(12, state=N, expand=2, conv=4).eval()


def test_a_block_equals_the_transformers_implementation() -> None:
    mamba = pytest.importorskip("transformers.models.mamba.modeling_mamba")
    from transformers import MambaConfig

    ours = block()
    settings = MambaConfig(
        hidden_size=12, state_size=N, expand=2, conv_kernel=4, time_step_rank=ours.rank, use_mambapy=False
    )
    theirs = mamba.MambaMixer(settings, layer_idx=0).eval()
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 25, 12)
    with torch.no_grad():
        expected = theirs.slow_forward(x) if hasattr(theirs, "slow_forward") else theirs(x)
        assert torch.allclose(ours(x), expected, atol=1e-5)


def test_a_block_continues_from_its_state() -> None:
    ours, x = block(), torch.randn(2, 30, 12)
    with torch.no_grad():
        whole = ours(x)
        state, pieces = None, []
        for piece in x.split([1, 11, 2, 16], dim=1):
            y, state = ours.run(piece, state)
            pieces.append(y)
    assert torch.allclose(torch.cat(pieces, 1), whole, atol=1e-6)


@pytest.mark.parametrize("mixer", ["mamba", "gru", "attention"])
def test_mixers_see_no_later_frame(mixer: str) -> None:
    torch.manual_seed(0)
    net = make_mixer(32, MambaConvConfig(mixer=mixer)).eval()
    assert isinstance(net, {"mamba": MambaBlock, "gru": GruMixer, "attention": AttentionMixer}[mixer])
    x = torch.randn(1, 50, 32)
    changed = x.clone()
    changed[:, 30] += 1
    with torch.no_grad():
        ours, theirs = net(x), net(changed)
    assert torch.equal(ours[:, :30], theirs[:, :30])
    assert not torch.allclose(ours[:, 31:], theirs[:, 31:], atol=1e-6)


def test_rates_decay_even_where_they_vanish() -> None:
    ours = block()
    with torch.no_grad():
        ours.A_log.fill_(-100.0)  # exp gives 0: without a minimum rate the state would grow without limit
        y, (_, state) = ours.run(torch.ones(1, 400, 12))
    assert torch.isfinite(y).all() and torch.isfinite(state).all()
    assert {id(p) for p in ours.undecayed()} == {id(ours.A_log), id(ours.D)}
