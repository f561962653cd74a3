"""Fixtures for the tests of StyleTTS2's optional parts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True)
def flushed() -> Iterator[None]:
    """Flush denormal numbers to zero as ``train-base`` does, because they are hundreds of times slower."""
    torch.set_flush_denormal(True)
    yield
    torch.set_flush_denormal(False)
