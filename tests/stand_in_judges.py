"""Judges for the tests of ``evaluate``, without weights."""

from __future__ import annotations

import numpy as np


class Bright:
    """An encoder for which louder is more similar: the values are meaningless but differ."""

    name = "xvector"

    def embed(self, audio):
        angle = float(np.abs(audio).mean()) * 20
        return np.array([np.cos(angle), np.sin(angle)])


class Phones:
    errors = 1

    def error_rate(self, audio, phonemes):
        return self.errors, len(phonemes)
