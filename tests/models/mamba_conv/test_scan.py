"""The selective scan and the Mamba block, compared with a naive recurrence and with transformers' implementation."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from voiceclone.models.mamba_conv.config import MambaConvConfig
from voiceclone.models.mamba_conv.mixers import AttentionMixer, GruMixer, MambaBlock, make_mixer
from voiceclone.models.mamba_conv.scan import scan_by, selective_scan

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


def selective_scan_ref(u, delta, A, B, C, D=None, z=None, delta_bias=None, delta_softplus=False,
                       return_last_state=False):  # fmt: skip
    """The formula of mamba-ssm's function of this name (Gu and Dao 2023), time last: ``(B, E, L)``, ``(B, N, L)``."""
    delta = delta if delta_bias is None else delta + delta_bias[:, None]
    delta = F.softplus(delta) if delta_softplus else delta
    decay = torch.exp(torch.einsum("bdl,dn->bdln", delta, A))
    drive = torch.einsum("bdl,bnl,bdl->bdln", delta, B, u)
    x, outputs = A.new_zeros(u.shape[0], *A.shape), []
    for i in range(u.shape[2]):
        x = decay[:, :, i] * x + drive[:, :, i]
        outputs.append(torch.einsum("bdn,bn->bd", x, C[:, :, i]))
    out = torch.stack(outputs, dim=2)
    out = out if D is None else out + u * D[:, None]
    out = out if z is None else out * F.silu(z)
    return (out, x) if return_last_state else out


def test_the_scan_is_the_recurrence() -> None:
    values = parts()
    assert float((selective_scan(*values)[0] - naive(*values)).abs().max()) <= 1e-6
    values = parts(dtype=torch.float64)
    assert float((selective_scan(*values)[0] - naive(*values)).abs().max()) <= 1e-13


def test_a_kernel_gets_its_inputs_with_time_last() -> None:
    """A kernel of mamba-ssm's interface gives the same outputs and state."""
    values = parts(dtype=torch.float64)
    for ours, theirs in zip(selective_scan(*values), scan_by(selective_scan_ref, *values), strict=True):
        assert ours.shape == theirs.shape and float((ours - theirs).abs().max()) <= 1e-12


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


def test_the_state_carries_over_every_split() -> None:
    u, delta, a, b, c, d = parts()
    whole, last = selective_scan(u, delta, a, b, c, d)
    for at in range(1, L):
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


def test_a_block_is_mamba_ssms_formula() -> None:
    """As its ``Mamba.forward``, which gives the bias, softplus and the gate to the scan."""
    ours, x = block().double(), torch.randn(2, 25, 12, dtype=torch.float64)
    with torch.no_grad():
        u, z = ours.in_proj(x).mT.chunk(2, dim=1)
        u = F.silu(F.conv1d(u, ours.conv1d.weight, ours.conv1d.bias, padding=3, groups=24)[..., :25])
        delta, b, c = ours.x_proj(u.mT).split([ours.rank, N, N], dim=-1)
        y = selective_scan_ref(
            u, (delta @ ours.dt_proj.weight.T).mT, -torch.exp(ours.A_log), b.mT, c.mT, ours.D, z,
            delta_bias=ours.dt_proj.bias, delta_softplus=True,
        )  # fmt: skip
        assert float((ours(x) - ours.out_proj(y.mT)).abs().max()) <= 1e-12


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
