"""A preview of the voice before the training, computed by style or speaker encoders from a few clips in seconds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from voiceclone.audio.io import read_audio

if TYPE_CHECKING:
    from voiceclone.bases.base import Base
    from voiceclone.voice.pack import VoicePack

CLIPS = 8  # maximum number of clips that are encoded
TEXT = "Hello, this is my own voice, and I am glad that you can hear it."


def first_voice(base: Base, clips: Sequence[Path]) -> VoicePack | None:
    """Estimate a voice from clips without training.

    Where the base's style vectors are voices (StyleTTS2), its style encoders give the voice. For other bases it is the
    stock voice nearest to the clips, which needs the table of stock voices and the speaker encoder.

    Returns:
        The voice, or None where the base supports neither.

    Raises:
        VoicecloneError: a clip cannot be read.
    """
    from voiceclone.cloning.zero_shot import pieces_of, untrained_voice

    if not base.styles_are_voices:
        return _nearest_stock_voice(base, clips[:CLIPS])
    return untrained_voice(base, [piece for path in clips[:CLIPS] for piece in pieces_of(path)], "first")[0]


def _nearest_stock_voice(base: Base, clips: Sequence[Path]) -> VoicePack | None:
    import torch

    from voiceclone.nets.resemblyzer import load_resemblyzer
    from voiceclone.projection.stock_table import find_table

    table, encoder = find_table(base), load_resemblyzer()
    if table is None or encoder is None or not clips:
        return None
    vectors = torch.stack([torch.from_numpy(encoder.embed(read_audio(path))) for path in clips])
    nearest = int((table.speaker @ vectors.mean(dim=0)).argmax())
    return base.stock_voices[table.names[nearest]]
