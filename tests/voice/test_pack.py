"""VoicePack, length profile and health; properties over arbitrary tensors and files."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import needs_shared

from voiceclone.errors import UsageError, VoicecloneError
from voiceclone.voice.health import HealthRange, examine
from voiceclone.voice.pack import SHAPE, VoicePack
from voiceclone.voice.profile import LengthProfile

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


def random_pack(seed: int = 0) -> VoicePack:
    generator = torch.Generator().manual_seed(seed)
    return VoicePack(0.2 * torch.randn(SHAPE, generator=generator), f"v{seed}")


@given(seed=st.integers(0, 10**6), dtype=st.sampled_from(DTYPES), transposed=st.booleans())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_tensor_becomes_float32_contiguous_on_cpu(tmp_path, seed, dtype, transposed) -> None:
    tensor = torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed)).to(dtype).requires_grad_()
    if transposed:
        tensor = tensor.transpose(0, 2).contiguous().transpose(0, 2)
    pack = VoicePack(tensor)
    assert pack.tensor.dtype == torch.float32 and pack.tensor.is_contiguous() and not pack.tensor.requires_grad
    pack.save(tmp_path / "v.pt")
    raw = torch.load(tmp_path / "v.pt", weights_only=True)
    assert isinstance(raw, torch.FloatTensor) and tuple(raw.shape) == SHAPE
    assert torch.equal(VoicePack.load(tmp_path / "v.pt").tensor, pack.tensor)
    assert os.listdir(tmp_path) == ["v.pt"]


@given(shape=st.lists(st.integers(0, 12), max_size=4).map(tuple))
@settings(max_examples=25, deadline=None)
def test_other_shapes_are_refused(shape) -> None:
    with pytest.raises(VoicecloneError, match=r"shape \(510, 1, 256\)"):
        VoicePack(torch.zeros(shape))


@pytest.mark.parametrize(
    "tensor",
    [
        torch.zeros(510, 256),
        torch.zeros(511, 1, 256),
        torch.zeros(SHAPE, dtype=torch.int64),
        torch.full(SHAPE, float("nan")),
        torch.full(SHAPE, float("inf")),
        "no tensor",
    ],
)
def test_what_kokoro_cannot_use_is_refused(tensor) -> None:
    with pytest.raises(VoicecloneError):
        VoicePack(tensor)


@given(content=st.binary(max_size=300))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_arbitrary_bytes_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.pt"
    path.write_bytes(content)
    with pytest.raises(VoicecloneError) as caught:
        VoicePack.load(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_pickled_code_never_runs(tmp_path: Path) -> None:
    canary = tmp_path / "canary"

    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {canary}",)

    torch.save(Evil(), tmp_path / "v.pt")
    with pytest.raises(VoicecloneError):
        VoicePack.load(tmp_path / "v.pt")
    assert not canary.exists()


def test_missing_file_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no voice file"):
        VoicePack.load(tmp_path / "none.pt")


def test_rows_are_counted_from_one_phoneme() -> None:
    pack = random_pack()
    assert torch.equal(pack.row(1), pack.tensor[0]) and torch.equal(pack.row(510), pack.tensor[509])
    for count in (0, 511, -1):
        with pytest.raises(ValueError):
            pack.row(count)


def test_measured_profile_gives_a_stock_voice_back_from_its_own_reference_row() -> None:
    pack = random_pack(3)
    profile = LengthProfile.measured([pack])
    assert torch.allclose(profile.expand(pack.tensor[100]).tensor, pack.tensor, atol=1e-6)


def test_profile_row_is_what_expansion_writes_and_passes_gradient_unchanged() -> None:
    profile = LengthProfile.measured([random_pack(1), random_pack(2)])
    base = torch.randn(1, 256, requires_grad=True)
    row = profile.row(base, 17)
    assert torch.allclose(row.detach(), profile.expand(base).row(17), atol=1e-6)
    row.sum().backward()
    assert torch.equal(base.grad, torch.ones(1, 256))


def test_published_profile_shortens_prosody_with_length() -> None:
    pack = LengthProfile.published().expand(torch.full((1, 256), 0.15))
    norms = pack.prosodic.norm(dim=1)
    assert norms[0] > norms[20] > norms[100] > norms[300]
    assert (norms[1:300] <= norms[:299] + 1e-6).all()


def test_official_voices_load_are_healthy_and_leave_one_out_expansion_helps() -> None:
    folder = needs_shared("data", "voices")
    packs = {p.stem: VoicePack.load(p) for p in sorted(folder.glob("*.pt"))}
    assert len(packs) == 54
    official = HealthRange.official()
    assert [name for name, p in packs.items() if not examine(p, official).healthy] == []
    constant, expanded = [], []
    for name in ("af_heart", "am_michael", "bf_emma", "jf_alpha"):
        others = [p for other, p in packs.items() if other != name]
        own = packs[name].tensor
        guess = LengthProfile.measured(others).expand(own[100]).tensor
        constant.append((own[:60] - own[100]).norm())
        expanded.append((own[:60] - guess[:60]).norm())
    assert sum(expanded) < 0.9 * sum(constant)


def test_a_voice_out_of_range_is_reported_with_a_reason() -> None:
    stock = [random_pack(i) for i in range(6)]
    expected = HealthRange.of(stock)
    assert "6 stock voices" in expected.source
    wild = VoicePack(stock[0].tensor * 3)
    verdict = examine(wild, expected)
    assert not verdict.healthy and any("norm" in r for r in verdict.reasons)
    smooth = VoicePack(stock[0].tensor[100:101].expand(SHAPE))
    assert examine(smooth, expected).healthy


def test_blends_are_healthy_and_a_fading_voice_is_not() -> None:
    """The norm of a blend is below that of its voices."""
    stock = [VoicePack(random_pack(i).tensor[100:101].expand(SHAPE)) for i in range(6)]
    expected = HealthRange.of(stock)
    generator = np.random.default_rng(0)
    for count in (2, 3, 6):
        weights = generator.dirichlet(np.ones(count))
        blend = sum(float(weight) * pack.tensor for weight, pack in zip(weights, stock))
        assert examine(VoicePack(blend), expected).healthy, count
    assert not examine(VoicePack(stock[0].tensor * 0.3), expected).healthy
    assert not examine(VoicePack(stock[0].tensor * 1.3), expected).healthy
