"""Figure panel: the clone's speaker similarity over the epochs against that of the best stock voice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from voiceclone.projection.likeness import INITIALIZATION, LIKENESS, RECORDINGS, STOCK, ReferenceLevels

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CLONE_COLOUR = "#c2410c"
LEVELS = {  # title, colour, style
    STOCK: ("best stock voice", "#2563a8", "--"),
    INITIALIZATION: ("initialization", "#8a8a8a", ":"),
    RECORDINGS: ("recordings", "#1a1a1a", "-."),
}


def draw_beside_stock(axes: Axes, reference_levels: ReferenceLevels, history: Sequence[dict[str, Any]]) -> None:
    """Draw the clone's similarity (or held-out loss) over the epochs, with the reference values as horizontal lines.

    Args:
        axes: to draw on.
        reference_levels: reference values, and which metric is drawn.
        history: as :func:`plots.training_figure` takes it; epoch 0 is the initialization.
    """
    points = _clone(reference_levels, history)
    if points:
        axes.plot(*zip(*points), color=CLONE_COLOUR, linewidth=2.0, marker="o", markersize=3, label="clone")
    for name, level in reference_levels.levels.items():
        title, colour, style = LEVELS[name]
        title = f"{title}, {reference_levels.stock_name}" if name == STOCK and reference_levels.stock_name else title
        axes.axhline(level, color=colour, linestyle=style, linewidth=1.4, label=f"{title} ({level:.2f})")
    axes.set_title(f"Better than a stock voice yet? {answer(reference_levels, points)}", fontsize=11, loc="left",
                   fontweight="bold", parse_math=False)  # fmt: skip
    if reference_levels.measure == LIKENESS:
        by = f"by {reference_levels.encoder}, the training's own encoder"
        axes.set_ylabel("likeness (cosine)", fontsize=9)
    else:
        by = "no speaker encoder is installed: held-out loss instead, lower is better"
        axes.set_ylabel("held-out loss", fontsize=9)
    axes.set_xlabel(f"epoch; held-out clips, {by}", fontsize=9)
    axes.grid(alpha=0.25, linewidth=0.5)
    axes.tick_params(labelsize=8)
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(handles, [label.replace("$", r"\$") for label in labels], fontsize=8.5, frameon=False,
                loc="center left", bbox_to_anchor=(1.0, 0.5))  # fmt: skip


def answer(reference_levels: ReferenceLevels, points: Sequence[tuple[float, float]]) -> str:
    """The panel's answer for the last epoch: yes or not yet, with both values. Empty without data."""
    stock = reference_levels.levels.get(STOCK)
    if stock is None or not points:
        return ""
    clone = points[-1][1]
    more = clone > stock if reference_levels.measure == LIKENESS else clone < stock
    return f"{'Yes' if more else 'Not yet'}: {clone:.2f} against {stock:.2f}"


def _clone(reference_levels: ReferenceLevels, history: Sequence[dict[str, Any]]) -> list[tuple[float, float]]:
    points = []
    if (level := reference_levels.levels.get(INITIALIZATION)) is not None:
        points.append((0.0, level))
    for index, row in enumerate(history):
        terms = {name.removeprefix("val/"): value for name, value in row.items() if name.startswith("val/")}
        if (value := reference_levels.of(terms)) is not None:
            points.append((float(row.get("epoch", index + 1)), value))
    return points
