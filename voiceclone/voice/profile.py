"""Length profile of a voice: from one base vector to 510 rows.

Official packs are smooth curves in the row index; the short rows differ most, in directions that voices partly share.
So the mean deviation of the base's stock voices from their reference row is added to a base vector (the voice at the
reference row). For a base without stock voices only the published mean curve of the 54 official packs is available:
each half is then scaled by the factor nearest to that curve (cosine to the reference row times the ratio of norms).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from voiceclone.models.frozen_kokoro import STYLE_DIM
from voiceclone.voice.pack import ROWS, VOICE_DIM, VoicePack

REFERENCE_ROW = 100  # rows change little from about 60 on; the published figures refer to row 100

# (row, cosine to row 100 x norm / norm of row 100), means over the 54 official v1.0 packs, acoustic and prosodic half.
_PUBLISHED_ACOUSTIC = ((0, 0.914), (20, 0.964), (50, 0.985), (100, 1.0), (300, 1.009), (509, 1.0))
_PUBLISHED_PROSODIC = ((0, 1.468), (20, 1.142), (50, 1.051), (100, 1.0), (300, 0.945), (509, 0.965))


@dataclass(frozen=True, eq=False)
class LengthProfile:
    """Row ``r`` of a voice is ``base * scale[r] + delta[r]``, both ``(510, 256)`` float32."""

    scale: Tensor = field(repr=False)
    delta: Tensor = field(repr=False)
    source: str

    @classmethod
    def measured(cls, voices: Iterable[VoicePack]) -> LengthProfile:
        """The mean deviation of ``voices`` from their reference row.

        Raises:
            ValueError: there are no voices.
        """
        packs = [pack.tensor[:, 0] for pack in voices]
        if not packs:
            raise ValueError("a measured length profile needs stock voices")
        delta = torch.stack([pack - pack[REFERENCE_ROW] for pack in packs]).mean(dim=0)
        return cls(torch.ones(ROWS, VOICE_DIM), delta, f"measured on {len(packs)} stock voices")

    @classmethod
    def published(cls) -> LengthProfile:
        """The mean curve of the official packs, as scale factors, linear in log(row + 1) between the known rows."""
        rows = torch.log1p(torch.arange(ROWS, dtype=torch.float32))
        halves = []
        for curve in (_PUBLISHED_ACOUSTIC, _PUBLISHED_PROSODIC):
            known = torch.log1p(torch.tensor([float(row) for row, _ in curve]))
            factors = torch.tensor([factor for _, factor in curve])
            halves.append(interpolate(rows, known, factors)[:, None].expand(-1, STYLE_DIM))
        scale = torch.cat(halves, dim=1).contiguous()
        return cls(scale, torch.zeros(ROWS, VOICE_DIM), "published mean curve of the official voices")

    @classmethod
    def of(cls, voices: Iterable[VoicePack]) -> LengthProfile:
        """Measured on stock voices if there are any, else the published curve."""
        voices = list(voices)
        return cls.measured(voices) if voices else cls.published()

    def row(self, base: Tensor, phoneme_count: int) -> Tensor:
        """The vector for ``phoneme_count`` phonemes: base ``(1, 256)`` to ``(1, 256)``; differentiable."""
        index = min(max(phoneme_count, 1), ROWS) - 1
        return base * self.scale[index].to(base) + self.delta[index].to(base)

    def expand(self, base: Tensor, name: str = "voice") -> VoicePack:
        """Expand a base vector ``(1, 256)`` to a voice pack."""
        rows = base.detach().float().cpu() * self.scale + self.delta
        return VoicePack(rows[:, None, :], name)


def interpolate(x: Tensor, known_x: Tensor, known_y: Tensor) -> Tensor:
    """Piecewise linear interpolation of ``(K,)`` points at ``x``."""
    right = torch.searchsorted(known_x, x.contiguous()).clamp(1, len(known_x) - 1)
    x0, x1, y0, y1 = known_x[right - 1], known_x[right], known_y[right - 1], known_y[right]
    return y0 + (y1 - y0) * (x - x0) / (x1 - x0)
