"""Check whether a voice is within the range of the stock voices: norms, spread and shape of the length profile.

A voice outside of the range need not sound bad. Similarity and intelligibility as measured by ``evaluate`` decide.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from voiceclone.voice.pack import VoicePack
from voiceclone.voice.profile import REFERENCE_ROW

# Rows >= 100 of the 54 official v1.0 packs. The lower limit is the norm of their mean, about the minimum for a blend.
OFFICIAL_NORM = (1.8, 3.8)  # L2 norm of the 256 values
OFFICIAL_TIMBRE_NORM = (1.2, 2.6)  # L2 norm of the acoustic half
OFFICIAL_PROSODY_NORM = (1.3, 3.0)  # L2 norm of the prosodic half
OFFICIAL_SPREAD = (0.11, 0.24)  # standard deviation of the 256 values
_MARGIN = 0.15  # a new voice may lie this far (relative) outside the range of those measured
_RISING = 0.8  # the prosodic norm of the shortest row is above that of long rows in every official voice


@dataclass(frozen=True, kw_only=True)
class HealthRange:
    """Range of a base's voices at rows >= 100: single voices and blends, whose norms are lower."""

    norm: tuple[float, float]  # L2 norm of a row
    timbre_norm: tuple[float, float]  # of the acoustic half
    prosody_norm: tuple[float, float]  # of the prosodic half
    spread: tuple[float, float]  # standard deviation of a row's values
    source: str

    @classmethod
    def official(cls) -> HealthRange:
        """The range of the 54 official Kokoro v1.0 voices."""
        return cls(
            norm=OFFICIAL_NORM,
            timbre_norm=OFFICIAL_TIMBRE_NORM,
            prosody_norm=OFFICIAL_PROSODY_NORM,
            spread=OFFICIAL_SPREAD,
            source="the 54 official Kokoro voices",
        )

    @classmethod
    def of(cls, voices: Iterable[VoicePack]) -> HealthRange:
        """The range of a base's own stock voices and their mean; the official one where there are fewer than five."""
        voices = list(voices)
        if len(voices) < 5:
            return cls.official()
        mean = VoicePack(torch.stack([pack.tensor for pack in voices]).mean(dim=0), "mean")
        measured = [_measures(pack) for pack in (*voices, mean)]
        ranges = {
            what: (min(m[what] for m in measured) * (1.0 - _MARGIN), max(m[what] for m in measured) * (1.0 + _MARGIN))
            for what in measured[0]
        }
        return cls(**ranges, source=f"{len(voices)} stock voices and their blends")


@dataclass(frozen=True, kw_only=True)
class Health:
    """The result for a voice, with reasons if it is outside the range."""

    healthy: bool
    reasons: tuple[str, ...]
    norm: float  # mean L2 norm of rows >= 100
    spread: float  # mean standard deviation within rows >= 100


def examine(pack: VoicePack, expected: HealthRange) -> Health:
    """Compare a voice with the range of real ones."""
    measures = _measures(pack)
    reasons = []
    for what, value in measures.items():
        low, high = getattr(expected, what)
        if not low <= value <= high:
            name = what.replace("_", " ")
            reasons.append(f"{name} {value:.2f} is outside {low:.2f} to {high:.2f} of {expected.source}")
    if _largest_jump(pack.tensor[:, 0]) > measures["norm"]:
        reasons.append("neighbouring rows jump: real voices change smoothly with length")
    shortest, reference = float(pack.prosodic[0].norm()), float(pack.prosodic[REFERENCE_ROW].norm())
    if shortest < _RISING * reference:
        reasons.append(f"prosody norm rises with length ({shortest:.2f} to {reference:.2f}): in real voices it falls")
    return Health(healthy=not reasons, reasons=tuple(reasons), norm=measures["norm"], spread=measures["spread"])


def _measures(pack: VoicePack) -> dict[str, float]:
    """Means over the rows >= 100, by the names of :class:`HealthRange`'s fields."""
    stable = pack.tensor[REFERENCE_ROW:, 0]
    return {
        "norm": float(stable.norm(dim=1).mean()),
        "timbre_norm": float(pack.acoustic[REFERENCE_ROW:].norm(dim=1).mean()),
        "prosody_norm": float(pack.prosodic[REFERENCE_ROW:].norm(dim=1).mean()),
        "spread": float(stable.std(dim=1).mean()),
    }


def _largest_jump(rows: Tensor) -> float:
    """Largest L2 distance between neighbouring rows from row 10 on (the shortest rows change fast in real voices)."""
    return float((rows[11:] - rows[10:-1]).norm(dim=1).max())
