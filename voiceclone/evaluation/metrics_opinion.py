"""Naturalness of speech: a mean opinion score (1 to 5) predicted by DistilMOS, where it is installed."""

from __future__ import annotations

import contextlib
import io
from typing import Any, Protocol

import numpy as np

from voiceclone.system.extras import install_line

LOWEST, HIGHEST = 1.0, 5.0  # limits of the mean opinion score
RATE = 16_000  # Hz


class OpinionJudge(Protocol):
    """Interface of a predictor of the mean opinion score."""

    name: str

    def score(self, audio: np.ndarray) -> float:
        """Audio ``(T,)`` at 24 kHz to an opinion score, 1 to 5."""


def load_opinion_judge() -> tuple[OpinionJudge | None, str]:
    """The predictor, or None and the reason. Its weights come with its package; nothing is downloaded."""
    try:
        import distillmos
    except ImportError as error:
        return None, f"naturalness: {error.name} is not installed ({install_line('judges')})"
    # It prints the path of its weights, which would stand before the JSON of `evaluate --json`.
    with contextlib.redirect_stdout(io.StringIO()):
        model = distillmos.ConvTransformerSQAModel().eval()
    return DistilMos(model), ""


class DistilMos:
    """DistilMOS (Stahl and Gamper 2025), trained on ratings of transmitted and processed speech."""

    name = "distillmos"

    def __init__(self, model: Any) -> None:
        self._model = model

    def score(self, audio: np.ndarray) -> float:
        """Audio ``(T,)`` at 24 kHz to an opinion score, 1 to 5."""
        import torch

        from voiceclone.audio.io import SAMPLE_RATE, resample

        sound = resample(np.asarray(audio, dtype=np.float32), SAMPLE_RATE, RATE)
        with torch.no_grad():
            score = float(self._model(torch.from_numpy(sound)[None]))
        return min(HIGHEST, max(LOWEST, score))
