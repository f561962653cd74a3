"""Comparison of a voice with stock voices: row norms and their range, nearest voices per half, and a PCA map.

"Timbre" is the acoustic half ``[:128]``, "prosody" the prosodic half ``[128:]``. Voices are compared by the mean of
their rows from 101 phonemes on, where a voice hardly changes with length any more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from voiceclone.models.frozen_kokoro import STYLE_DIM
from voiceclone.voice.pack import ROWS, VoicePack
from voiceclone.voice.profile import REFERENCE_ROW, interpolate

HALVES = {"timbre": slice(0, STYLE_DIM), "prosody": slice(STYLE_DIM, 2 * STYLE_DIM)}
MIN_VOICES = 5  # fewer are not enough for a range and a map

# (row, smallest, median, largest norm of the half) over the 54 official v1.0 packs.
_OFFICIAL_NORMS = {
    "timbre": (
        (0, 1.67, 2.65, 3.65), (1, 1.61, 2.54, 3.25), (2, 1.58, 2.46, 3.02), (5, 1.53, 2.31, 2.71),
        (10, 1.50, 2.19, 2.62), (20, 1.49, 2.10, 2.53), (50, 1.48, 2.08, 2.50), (100, 1.49, 2.10, 2.52),
        (200, 1.51, 2.12, 2.59), (300, 1.52, 2.13, 2.62), (509, 1.51, 2.10, 2.55),
    ),
    "prosody": (
        (0, 3.30, 5.45, 11.77), (1, 3.00, 4.86, 10.16), (2, 2.84, 4.52, 9.20), (5, 2.57, 3.96, 7.50),
        (10, 2.36, 3.47, 5.96), (20, 2.17, 2.90, 4.83), (50, 1.89, 2.29, 3.62), (100, 1.63, 2.01, 3.07),
        (200, 1.56, 2.01, 2.92), (300, 1.55, 1.98, 2.92), (509, 1.55, 2.01, 3.04),
    ),
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class NormBand:
    """Smallest, median and largest L2 norm of a half by row, each ``(510,)``."""

    low: Tensor = field(repr=False)
    median: Tensor = field(repr=False)
    high: Tensor = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Neighbour:
    """Distance and cosine of a stock voice to another voice, in one half."""

    name: str
    distance: float  # L2
    cosine: float


@dataclass(frozen=True, eq=False, kw_only=True)
class VoiceMap:
    """Stock voices and one other voice on the first two principal components of the stock voices."""

    names: tuple[str, ...]
    stock: Tensor = field(repr=False)  # (N, 2)
    own: Tensor = field(repr=False)  # (2,)
    shares: tuple[float, float]  # of the stock voices' variance along each direction


def row_norms(pack: VoicePack, half: str) -> Tensor:
    """L2 norm of a half by row, ``(510,)``."""
    return pack.tensor[:, 0, HALVES[half]].norm(dim=1)


def norm_bands(stock: Mapping[str, VoicePack]) -> tuple[dict[str, NormBand], str]:
    """The range of real voices' norms, and its source: the stock voices, or if they are few the official voices."""
    if len(stock) >= MIN_VOICES:
        bands = {}
        for half in HALVES:
            norms = torch.stack([row_norms(pack, half) for pack in stock.values()])
            bands[half] = NormBand(norms.amin(0), norms.median(0).values, norms.amax(0))
        return bands, f"{len(stock)} stock voices"
    rows = torch.log1p(torch.arange(ROWS, dtype=torch.float32))
    bands = {}
    for half, table in _OFFICIAL_NORMS.items():
        known = torch.log1p(torch.tensor([float(row) for row, *_ in table]))
        columns = torch.tensor([values for _, *values in table]).T.contiguous()
        bands[half] = NormBand(*(interpolate(rows, known, column) for column in columns))
    return bands, "the 54 official Kokoro voices"


def cosine_to_reference(pack: VoicePack, half: str) -> Tensor:
    """Cosine of each row of a half to the row for 101 phonemes, ``(510,)``; 1 everywhere if all rows are equal."""
    rows = pack.tensor[:, 0, HALVES[half]]
    return torch.cosine_similarity(rows, rows[REFERENCE_ROW : REFERENCE_ROW + 1], dim=1)


def neighbours(pack: VoicePack, stock: Mapping[str, VoicePack], half: str) -> list[Neighbour]:
    """The stock voices by their distance in one half, nearest first."""
    own = _centre(pack, half)
    found = []
    for name, other in stock.items():
        centre = _centre(other, half)
        cosine = float(torch.cosine_similarity(own, centre, dim=0))
        found.append(Neighbour(name=name, distance=float((own - centre).norm()), cosine=cosine))
    return sorted(found, key=lambda neighbour: neighbour.distance)


def voice_map(pack: VoicePack, stock: Mapping[str, VoicePack], half: str) -> VoiceMap:
    """Principal components of the stock voices in one half; the other voice is projected onto them.

    Raises:
        ValueError: there are fewer than five stock voices.
    """
    if len(stock) < MIN_VOICES:
        raise ValueError(f"a map needs {MIN_VOICES} stock voices, not {len(stock)}")
    from sklearn.decomposition import PCA

    centres = torch.stack([_centre(other, half) for other in stock.values()])
    fitted = PCA(n_components=2, svd_solver="full").fit(centres.numpy())
    mean, axes = (torch.from_numpy(value).to(centres) for value in (fitted.mean_, fitted.components_))
    # The sign of a component is arbitrary: fixed, so that the same voices give the same map.
    axes = axes * torch.where(axes.gather(1, axes.abs().argmax(1, keepdim=True)) < 0, -1.0, 1.0)
    shares = fitted.explained_variance_ratio_
    return VoiceMap(
        names=tuple(stock),
        stock=(centres - mean) @ axes.T,
        own=(_centre(pack, half) - mean) @ axes.T,
        shares=(float(shares[0]), float(shares[1])),
    )


def _centre(pack: VoicePack, half: str) -> Tensor:
    return pack.tensor[REFERENCE_ROW:, 0, HALVES[half]].mean(dim=0)
