"""Figure of a voice among the stock voices: row norms, and a PCA map."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from voiceclone.plotting.plots import heading, new_figure
from voiceclone.voice.comparison import HALVES, MIN_VOICES, NormBand, neighbours, norm_bands, row_norms, voice_map
from voiceclone.voice.pack import ROWS, VoicePack

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

OWN_COLOUR, STOCK_COLOUR, NEAR_COLOUR, BAND_COLOUR = "#d95f02", "#7f7f7f", "#2171b5", "#9ecae1"
NEAREST = 5  # number of nearest stock voices that are labelled in the map
NUMBER_PLACES = ((9, 0), (3, 9), (-7, 6), (-7, -6), (3, -9))  # offsets of the labels from their points, in points


def voice_figure(pack: VoicePack, stock: Mapping[str, VoicePack], title: str) -> Figure:
    """Row norms of both halves by phoneme count and, with at least five stock voices, a PCA map of each half."""
    mapped = len(stock) >= MIN_VOICES
    figure = new_figure(12.0, 9.0 if mapped else 4.2)
    heading(figure, title)
    panels = figure.subplots(2 if mapped else 1, 2, squeeze=False, height_ratios=[3, 4] if mapped else [1])
    bands, source = norm_bands(stock)
    for axes, half in zip(panels[0], HALVES, strict=True):
        _draw_norms(axes, pack, half, bands[half], source)
    if mapped:
        for axes, half in zip(panels[1], HALVES, strict=True):
            _draw_map(axes, pack, stock, half)
    return figure


def _draw_norms(axes: Axes, pack: VoicePack, half: str, band: NormBand, source: str) -> None:
    from matplotlib.ticker import FuncFormatter, NullLocator

    counts = np.arange(1, ROWS + 1)
    axes.fill_between(
        counts, band.low.numpy(), band.high.numpy(), color=BAND_COLOUR, alpha=0.45, label=f"range of {source}"
    )
    axes.plot(counts, band.median.numpy(), color=NEAR_COLOUR, linewidth=1, linestyle="--", label="their median")
    axes.plot(counts, row_norms(pack, half).numpy(), color=OWN_COLOUR, linewidth=1.8, label="this voice")
    axes.set_xscale("log")
    axes.set_xlim(1, ROWS)
    axes.set_ylim(bottom=0)
    axes.set_xticks([1, 2, 5, 10, 20, 50, 100, 200, 510])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, position: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_title(f"{half}: norm of the row", fontsize=10)
    axes.set_xlabel("phonemes in the text", fontsize=9)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.25, linewidth=0.5)
    axes.legend(fontsize=8, frameon=False)


def _draw_map(axes: Axes, pack: VoicePack, stock: Mapping[str, VoicePack], half: str) -> None:
    chart = voice_map(pack, stock, half)
    points = dict(zip(chart.names, chart.stock.numpy(), strict=True))
    nearest = neighbours(pack, stock, half)[:NEAREST]
    others = np.array([point for name, point in points.items() if name not in {other.name for other in nearest}])
    if len(others):
        axes.scatter(others[:, 0], others[:, 1], s=16, color=STOCK_COLOUR, alpha=0.6, label="other stock voices")
    x, y = chart.own.tolist()
    axes.scatter(x, y, s=150, marker="*", color=OWN_COLOUR, zorder=2, label="this voice")
    for rank, other in enumerate(nearest, 1):
        # Points are labelled by number, with the names in the legend: names of neighbouring points would overlap.
        place = NUMBER_PLACES[rank % len(NUMBER_PLACES)]
        label = f"{rank}  {other.name} ({other.distance:.2f})"
        x, y = points[other.name]
        axes.scatter(x, y, s=24, color=NEAR_COLOUR, zorder=3, label=label)
        axes.annotate(
            str(rank), points[other.name], xytext=place, textcoords="offset points", fontsize=9, color=NEAR_COLOUR,
            ha="center", va="center", fontweight="bold", zorder=4,
        )  # fmt: skip
    axes.set_aspect("equal", adjustable="datalim")
    axes.margins(0.12)
    axes.set_title(f"{half}: map of the stock voices, nearest numbered (distance)", fontsize=10)
    axes.set_xlabel(f"first principal component ({chart.shares[0]:.0%} of the variance)", fontsize=9)
    axes.set_ylabel(f"second ({chart.shares[1]:.0%})", fontsize=9)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.25, linewidth=0.5)
    for text in axes.legend(fontsize=8, framealpha=0.8, edgecolor="none", loc="best").get_texts():
        text.set_parse_math(False)
