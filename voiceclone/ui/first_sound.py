"""The voice within seconds, before any training: what the style encoders make of a few clips."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from voiceclone.audio.io import read_audio

if TYPE_CHECKING:
    from voiceclone.bases.base import Base
    from voiceclone.voice.pack import VoicePack

CLIPS = 8  # that are listened to, at most
TEXT = "Hello, this is my own voice, and I am glad that you can hear it."


def first_voice(base: Base, clips: Sequence[Path]) -> VoicePack | None:
    """The voice of some clips without training; None where the base has no such way.

    A base whose styles are voices gives it directly; another one needs a map that was trained for it.

    Raises:
        VoicecloneError: a clip cannot be read.
    """
    import torch

    from voiceclone.projection.prior import load_prior, zero_shot
    from voiceclone.style.extraction import extract_styles
    from voiceclone.voice.profile import LengthProfile

    prior = None if base.styles_are_voices else load_prior(base)
    if not (base.styles_are_voices or prior is not None):
        return None
    named = [(path.name, partial(read_audio, path)) for path in clips[:CLIPS]]
    styles = extract_styles(named, base.style_encoders, device=torch.device("cpu"))
    vector = styles.mean if prior is None else zero_shot(prior, styles.vectors)
    return LengthProfile.of(base.stock_voices.values()).expand(vector, "first")
