"""The random state around a clone."""

from __future__ import annotations

import pytest
import torch

from voiceclone.cloning.api import _random_state_kept


def test_a_gpu_whose_driver_cannot_be_used_is_not_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(device: object) -> None:
        raise RuntimeError("the NVIDIA driver on your system is too old")

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "get_rng_state", refuse)
    before = torch.get_rng_state()
    with _random_state_kept():
        torch.rand(3)
    assert torch.equal(torch.get_rng_state(), before)
