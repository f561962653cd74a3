"""Is a voice within the range of real ones? Norms, spread and the shape of the length profile."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor

from voiceclone.voice.pack import VoicePack
from voiceclone.voice.profile import REFERENCE_ROW

# Rows >= 100 of the 54 official v1.0 packs.
OFFICIAL_NORM = (2.2, 3.8)  # L2 norm of the 256 values
OFFICIAL_SPREAD = (0.13, 0.24)  # standard deviation of the 256 values
_MARGIN = 0.15  # a new voice may lie this far (relative) outside the range of those measured


@dataclass(frozen=True, kw_only=True)
class HealthRange:
    """The range real voices of a base keep to at rows >= 100."""

    norm: tuple[float, float]  # L2 norm of a row
    spread: tuple[float, float]  # standard deviation of a row's values
    source: str

    @classmethod
    def official(cls) -> HealthRange:
        """The range of the 54 official Kokoro v1.0 voices."""
        return cls(norm=OFFICIAL_NORM, spread=OFFICIAL_SPREAD, source="the 54 official Kokoro voices")

    @classmethod
    def of(cls, voices: Iterable[VoicePack]) -> HealthRange:
        """The range of a base's own stock voices, the official one where there are fewer than five."""
        stable = [pack.tensor[REFERENCE_ROW:, 0] for pack in voices]
        if len(stable) < 5:
            return cls.official()
        norms = [float(rows.norm(dim=1).mean()) for rows in stable]
        spreads = [float(rows.std(dim=1).mean()) for rows in stable]
        low, high = 1.0 - _MARGIN, 1.0 + _MARGIN
        return cls(
            norm=(min(norms) * low, max(norms) * high),
            spread=(min(spreads) * low, max(spreads) * high),
            source=f"{len(stable)} stock voices",
        )


@dataclass(frozen=True, kw_only=True)
class Health:
    """The verdict on a voice, with the reasons where it is not well."""

    healthy: bool
    reasons: tuple[str, ...]
    norm: float  # mean L2 norm of rows >= 100
    spread: float  # mean standard deviation within rows >= 100


def examine(pack: VoicePack, expected: HealthRange) -> Health:
    """Hold a voice against the range of real ones."""
    stable = pack.tensor[REFERENCE_ROW:, 0]
    norm, spread = float(stable.norm(dim=1).mean()), float(stable.std(dim=1).mean())
    reasons = []
    for what, value, (low, high) in (("norm", norm, expected.norm), ("spread", spread, expected.spread)):
        if not low <= value <= high:
            reasons.append(f"{what} {value:.2f} is outside {low:.2f} to {high:.2f} of {expected.source}")
    if _largest_jump(pack.tensor[:, 0]) > norm:
        reasons.append("neighbouring rows jump: real voices change smoothly with length")
    return Health(healthy=not reasons, reasons=tuple(reasons), norm=norm, spread=spread)


def _largest_jump(rows: Tensor) -> float:
    """Largest L2 distance between neighbouring rows from row 10 on (the shortest rows do move fast)."""
    return float((rows[11:] - rows[10:-1]).norm(dim=1).max())
