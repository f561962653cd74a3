"""The pre-trained map: it learns what can be learnt, is found again, and a start on it is exact."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from voiceclone.errors import VoicecloneError
from voiceclone.projection.mlp import Projection
from voiceclone.projection.prior import (
    PriorConfig,
    cache_path,
    fit_prior,
    load_prior,
    made_up_voices,
    make_pairs,
    save_prior,
    zero_shot,
)  # fmt: skip
from voiceclone.voice.pack import VoicePack


def some_voices(count: int) -> dict[str, VoicePack]:
    generator = torch.Generator().manual_seed(0)
    vectors = 0.2 * torch.randn(count, 1, 1, 256, generator=generator)
    return {str(i): VoicePack(v.expand(510, 1, 256).clone(), str(i)) for i, v in enumerate(vectors)}


def test_a_map_that_exists_is_found() -> None:
    generator = torch.Generator().manual_seed(0)
    mix = torch.randn(256, 256, generator=generator) / 16
    vectors = 0.3 * torch.randn(400, 12, generator=generator) @ torch.randn(12, 256, generator=generator) / 4
    styles = (vectors @ mix)[:, None] + 0.002 * torch.randn(400, 2, 256, generator=generator)
    projection, explained = fit_prior(styles, vectors, PriorConfig(steps=400))
    assert explained["timbre"] > 0.5 and explained["prosody"] > 0.5
    # There is nothing to be found in noise, and the figures say so.
    _, nothing = fit_prior(torch.randn(400, 2, 256, generator=generator), vectors, PriorConfig(steps=100))
    assert nothing["timbre"] < 0.2
    assert not projection.training


def test_fitting_is_seeded_and_leaves_the_callers_random_state() -> None:
    styles, vectors = torch.randn(40, 2, 256), 0.2 * torch.randn(40, 256)
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first, _ = fit_prior(styles, vectors, PriorConfig(steps=20))
    assert torch.equal(torch.rand(1), expected)
    again, _ = fit_prior(styles, vectors, PriorConfig(steps=20))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters()))


def test_pairs_come_from_the_base(base, monkeypatch) -> None:
    rich = replace(base, stock_voices=some_voices(6))
    config = PriorConfig(voices=3)
    styles, vectors = make_pairs(rich, config, lambda text: "hɛlˈO ðɛɹ mI fɹˈɛnd")
    assert styles.shape == (3, 2, 256) and vectors.shape == (3, 256)
    assert torch.isfinite(styles).all() and float(vectors.abs().max()) <= 0.95
    assert torch.equal(made_up_voices(rich, config), vectors)
    with pytest.raises(VoicecloneError, match="a prior needs 5"):
        make_pairs(replace(base, stock_voices=some_voices(4)), config, str)


def test_saved_and_found_in_folder_or_cache(base, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    plain = replace(base, folder=tmp_path)
    assert load_prior(plain) is None
    save_prior(Projection(), cache_path(plain))
    assert load_prior(plain) is not None and not load_prior(plain).training
    (tmp_path / "prior.safetensors").write_bytes(b"no")
    with pytest.raises(VoicecloneError, match="prior.safetensors"):
        load_prior(plain)


def test_a_start_on_the_map_is_exact_and_the_map_stays() -> None:
    torch.manual_seed(0)
    projection, styles = Projection(), torch.randn(5, 256)
    before = zero_shot(projection.eval(), styles)
    anchor = torch.linspace(-0.5, 0.5, 256)[None]
    mean = styles.mean(dim=0, keepdim=True)
    projection.carry_to(mean, anchor)
    with torch.no_grad():
        torch.testing.assert_close(projection(mean), anchor)
        assert float((projection(styles[:1]) - projection(styles[1:2])).abs().max()) > 0.01
    assert before.shape == (1, 256)
