"""What the tests of StyleTTS2's own parts share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True)
def flushed() -> Iterator[None]:
    """As ``train-base`` does: numbers near 0 cost hundreds of times more than others."""
    torch.set_flush_denormal(True)
    yield
    torch.set_flush_denormal(False)
