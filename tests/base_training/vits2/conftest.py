"""Fixtures for the tests of VITS2 training; the corpus is that of all systems."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from voiceclone.base_training.config import TrainConfig

SHORT = {"steps": 8, "preset": "tiny", "crop_batch": 3, "warmup_steps": 2, "log_every": 4, "learning_rate": 3e-3}


@pytest.fixture
def configured() -> Callable[..., TrainConfig]:
    """Makes the config of a short run; settings of the system alone are given as ``settings``."""

    def make(settings: dict[str, Any] | None = None, **values: Any) -> TrainConfig:
        return TrainConfig.from_json({**SHORT, "system": "vits2", "system_settings": settings or {}, **values})

    return make
