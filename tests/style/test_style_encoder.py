"""The style encoder: its checkpoint format, and equality with the styletts2 package's class where that is installed."""

from __future__ import annotations

import importlib.util
import re

import pytest
import torch
from support import REPOSITORY
from torch import nn

from voiceclone.style.style_encoder import Halve, StyleEncoder

PUBLISHED = (64, 128, 512)  # dim_in, style_dim, max_conv_dim of StyleTTS2-LibriTTS
WIDTHS = [PUBLISHED, (4, 128, 8), (3, 5, 64), (8, 16, 8)]


def build(widths: tuple[int, int, int], kind: type = StyleEncoder, seed: int = 0) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return kind(dim_in=widths[0], style_dim=widths[1], max_conv_dim=widths[2]).eval()


@pytest.fixture(scope="module")
def packaged() -> type:
    if importlib.util.find_spec("styletts2") is None:
        pytest.skip("styletts2 is not installed: pip install -r requirements.txt, in an environment of its own")
    from styletts2.models import StyleEncoder as theirs

    return theirs


@pytest.mark.parametrize("widths", WIDTHS, ids=str)
def test_the_same_seed_gives_the_packages_own_weights(widths: tuple[int, int, int], packaged: type) -> None:
    ours, theirs = build(widths).state_dict(), build(widths, packaged).state_dict()
    assert list(ours) == list(theirs)
    for key, value in ours.items():
        assert value.shape == theirs[key].shape and torch.equal(value, theirs[key]), key


@pytest.mark.parametrize("widths", WIDTHS, ids=str)
@pytest.mark.parametrize("frames", [65, 80, 131])
def test_the_same_weights_give_the_packages_own_styles(
    widths: tuple[int, int, int], frames: int, packaged: type
) -> None:
    theirs = build(widths, packaged, seed=1)
    ours = build(widths, seed=2)
    ours.load_state_dict(theirs.state_dict())
    image = torch.randn(2, 1, 80, frames, generator=torch.Generator().manual_seed(frames))
    with torch.no_grad():
        assert torch.equal(ours(image), theirs(image))


def test_training_it_moves_the_packages_own_weights_and_buffers(packaged: type) -> None:
    """Gradients and the spectral norm's vectors, which a pass in training mode renews."""
    states = []
    for encoder in (build((4, 8, 16)), build((4, 8, 16), packaged)):
        image = torch.randn(2, 1, 80, 70, generator=torch.Generator().manual_seed(0))
        step = torch.optim.SGD(encoder.train().parameters(), lr=0.1)
        for _ in range(3):
            step.zero_grad()
            encoder(image).square().sum().backward()
            step.step()
        states.append(encoder.state_dict())
    first = build((4, 8, 16)).state_dict()
    for key, value in states[0].items():
        assert torch.equal(value, states[1][key]), key
        assert not torch.equal(value, first[key]), key


def test_the_published_widths_have_the_published_parameters() -> None:
    """What StyleTTS2-LibriTTS's checkpoint holds of one encoder, without the package."""
    encoder = build(PUBLISHED)
    state = encoder.state_dict()
    assert sum(parameter.numel() for parameter in encoder.parameters()) == 13_845_440
    assert len(state) == 67
    assert state["shared.0.weight_orig"].shape == (64, 1, 3, 3)
    assert state["shared.1.downsample_res.conv.weight_orig"].shape == (64, 1, 3, 3)
    assert state["shared.3.conv1x1.weight_orig"].shape == (512, 256, 1, 1)
    assert "shared.3.conv1x1.bias" not in state and "shared.4.conv1x1.weight_orig" not in state
    assert state["shared.4.conv2.weight_u"].shape == (512,) and state["shared.4.conv2.weight_v"].shape == (512 * 9,)
    assert state["shared.6.weight_orig"].shape == (512, 512, 5, 5)
    assert state["unshared.weight"].shape == (128, 512)


def test_no_module_imports_the_package() -> None:
    """Its import takes seconds and has side effects."""
    sources = [path.read_text(encoding="utf-8") for path in (REPOSITORY / "voiceclone").rglob("*.py")]
    imports = re.compile(r"^\s*(from|import)\s+styletts2\b|import_module\(.styletts2\b", re.M)
    assert len(sources) > 300 and not any(imports.search(source) for source in sources)


def test_halving_repeats_an_odd_last_frame() -> None:
    image = torch.tensor([[1.0, 2.0, 5.0], [3.0, 6.0, 7.0]])[None, None]
    assert Halve()(image).tolist() == [[[[3.0, 6.0]]]]


def test_at_least_65_frames() -> None:
    encoder = build((4, 8, 16))
    with torch.no_grad():
        assert encoder(torch.zeros(3, 1, 80, 65)).shape == (3, 8)
        with pytest.raises(RuntimeError):
            encoder(torch.zeros(3, 1, 80, 64))
