"""Stage 1: one style vector (256,) per clip, and their average.

Preprocessing follows ``styletts2.tts.StyleTTS2.compute_style`` exactly: 24 kHz mono, trimmed at 30 dB below the
peak, log-mel by :class:`voiceclone.audio.features.LogMel`. Clips are encoded one at a time, because padding changes
the style.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from voiceclone.audio.features import HOP, LogMel
from voiceclone.audio.silence import trim
from voiceclone.errors import VoicecloneError
from voiceclone.style.encoders import StyleEncoders, for_inference

TRIM_DB = 30  # dB below the peak, as StyleTTS2 trims its references
MIN_FRAMES = 65  # mel frames; the encoder's last convolution needs that many
STYLE_RANGE = 10.0  # times the norm of the longest stock voice; styles of trained encoders stay far below
TYPICAL_NORM = 4.0  # norm of a voice, for bases without stock voices
OUTLIER_DEVIATIONS = 3.5  # robust z-score beyond which a clip's style is called an outlier


@dataclass(frozen=True, kw_only=True, eq=False)
class StyleVectors:
    """The styles of a dataset."""

    names: tuple[str, ...]
    vectors: Tensor = field(repr=False)  # (clips, 256) float32
    mean: Tensor = field(repr=False)  # (1, 256) float32
    spread: float  # mean L2 distance of the clips' vectors from their mean
    outliers: tuple[str, ...]  # clips whose style is far from the others


def reference_mel(audio: np.ndarray, log_mel: LogMel) -> Tensor:
    """Audio ``(T,)`` at 24 kHz to the encoder's log-mel ``(1, 80, frames)``; clips under 65 frames are repeated.

    Raises:
        VoicecloneError: nothing is left after trimming.
    """
    trimmed = trim(audio, top_db=TRIM_DB)
    if len(trimmed) == 0:
        raise VoicecloneError("the clip is empty")
    shortest = (MIN_FRAMES - 1) * HOP
    if len(trimmed) < shortest:
        trimmed = np.tile(trimmed, -(-shortest // len(trimmed)))
    return log_mel(torch.from_numpy(np.ascontiguousarray(trimmed)).float().unsqueeze(0))


@torch.no_grad()
def extract_styles(
    clips: Sequence[tuple[str, Callable[[], np.ndarray]]],
    encoders: StyleEncoders,
    *,
    device: torch.device,
    largest: float = math.inf,
    advance: Callable[[], None] = lambda: None,
) -> StyleVectors:
    """Encode clips, given as (name, function that reads the audio), and average them.

    Args:
        largest: L2 norm that a style may have; see :func:`largest_style`.

    Raises:
        VoicecloneError: a style is not finite (damaged weights), or longer than ``largest`` (untrained encoders).
    """
    if not clips:
        raise VoicecloneError("style extraction needs at least one clip")
    log_mel = LogMel()
    fast = for_inference(encoders, device)
    vectors = []
    for name, read in clips:
        vector = fast(reference_mel(read(), log_mel).to(device)).float().cpu()
        if not torch.isfinite(vector).all():
            raise VoicecloneError(f"clip {name}: its style vector is not finite: are the encoder weights damaged?")
        if (norm := float(vector.norm())) > largest:
            raise VoicecloneError(
                f"clip {name}: its style vector has norm {norm:.3g}, more than {largest:.3g}: these style encoders are "
                "not trained, or not for this base"
            )
        vectors.append(vector)
        advance()
    stacked = torch.cat(vectors)
    names = tuple(name for name, _ in clips)
    mean = stacked.mean(dim=0, keepdim=True)
    distances = (stacked - mean).norm(dim=1)
    return StyleVectors(
        names=names,
        vectors=stacked,
        mean=mean,
        spread=float(distances.mean()),
        outliers=tuple(names[i] for i in _outliers(distances)),
    )


def largest_style(stock_norms: Sequence[float]) -> float:
    """The largest plausible norm of a style, for a base whose stock voices have these norms.

    Trained encoders stay near the base's own voices; untrained encoders, whose spectral norms are not
    calibrated, give norms up to 1e21.
    """
    return STYLE_RANGE * max(stock_norms, default=TYPICAL_NORM)


def _outliers(distances: Tensor) -> list[int]:
    """Indices of outliers by the median absolute deviation of the distances; none for fewer than five clips."""
    if len(distances) < 5:
        return []
    median = distances.median()
    deviation = (distances - median).abs().median() * 1.4826 + 1e-9
    return torch.nonzero((distances - median) / deviation > OUTLIER_DEVIATIONS).flatten().tolist()
