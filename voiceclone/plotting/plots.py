"""Figures of a training: similarity against a stock voice, loss curves by term, mels of target and clone.

Figures are created on the Agg canvas without pyplot, so that there is no window and no global state.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from voiceclone.files import atomic_path
from voiceclone.plotting.beside_stock import draw_beside_stock

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from voiceclone.projection.likeness import ReferenceLevels

MEL_FRAME_SECONDS = 300 / 24_000  # one mel frame
TRAIN, VALIDATION = "train/", "val/"
CURVES = ((TRAIN, "#1f77b4", "-", "training"), (VALIDATION, "#d95f02", "--", "validation"))
STUDENT_COLOUR = "#eeeeee"
TITLE_CHARACTERS = 80  # longer titles would overlap the legend
COLUMNS = 4  # panels of loss terms in one row
DPI = 120
BESIDE_STOCK_INCHES, MELS_INCHES = 2.8, 3.5
BORROWED = (
    "For this picture the clone was given the recording's own timing, F0 and energy, so that the two can be laid side "
    "by side: it shows the timbre alone."
)
_NO_LOSS = {"lr", "learning_rate", "grad_norm", "gradient_norm", "step_seconds", "step_time", "memory", "memory_mb"}


def training_figure(
    history: Sequence[dict[str, Any]],
    target_mel: np.ndarray,
    clone_mel: np.ndarray,
    title: str,
    *,
    reference_levels: ReferenceLevels | None = None,
    student_epochs: int = 0,
) -> Figure:
    """Similarity panel on top, then loss curves, then mels.

    Args:
        history: one dict for each epoch: "epoch" (its position, from 1, when missing) and the losses under "train/TERM"
            and "val/TERM"; the term "loss" is the total. Missing and non-finite values leave gaps.
        target_mel: normalised log-mel of the target ``(80, T)``.
        clone_mel: normalised log-mel of the clone ``(80, T')``.
        title: heading of the figure, not parsed as a formula.
        reference_levels: reference values of the similarity panel; None leaves it out.
        student_epochs: number of the first epochs that ran on the student: shaded in the loss curves, and not drawn in
            the similarity panel, because the reference values are the base's.
    """
    terms = loss_terms(history)
    epochs = np.array([row.get("epoch", index + 1) for index, row in enumerate(history)], dtype=float)
    rows = math.ceil(len(terms) / COLUMNS) if terms else 0
    parts = [*([BESIDE_STOCK_INCHES] if reference_levels else []), *([2.3 * rows] if rows else []), MELS_INCHES]
    figure = new_figure(12.0, 0.4 + sum(parts))
    heading(figure, title)
    *above, lower = figure.subfigures(len(parts), 1, height_ratios=parts, squeeze=False)[:, 0]
    if reference_levels:
        on_base = [row for row, epoch in zip(history, epochs, strict=True) if epoch > student_epochs]
        draw_beside_stock(above[0].subplots(), reference_levels, on_base)
    if rows:
        upper = above[-1]
        grid = upper.subplots(rows, min(COLUMNS, len(terms)), squeeze=False, sharex=True).ravel()
        for axes, term in zip(grid, terms, strict=False):
            _draw_term(axes, term, history, epochs)
            if student_epochs:
                axes.axvspan(0, student_epochs, color=STUDENT_COLOUR)
        _finish_grid(grid, terms)
        _add_legend(figure, history, student_epochs)
    _draw_mels(lower, target_mel, clone_mel)
    return figure


def loss_figure(losses: Sequence[tuple[int, float, str]]) -> Figure:
    """The total loss during a training: ``(step, loss, "training" or "validation")`` in any order, finite."""
    figure = new_figure(9.0, 3.0)
    axes = figure.subplots()
    for _, colour, style, name in CURVES:
        points = sorted((step, loss) for step, loss, curve in losses if curve == name)
        if points:
            marker = "o" if len(points) <= 12 else ""
            axes.plot(*zip(*points), style, color=colour, marker=marker, markersize=3, linewidth=1.4, label=name)
    values = [loss for _, loss, _ in losses]
    if values and min(values) > 0 and max(values) > 10 * min(values):
        _logarithmic(axes)
    axes.set_xlabel("step", fontsize=9)
    axes.set_ylabel("loss", fontsize=9)
    axes.grid(alpha=0.25, which="both", linewidth=0.5)
    axes.tick_params(labelsize=8)
    if values:
        axes.legend(fontsize=9, frameon=False)
    return figure


def mel_figure(target: np.ndarray, clone: np.ndarray) -> Figure:
    """Normalised log-mels of target ``(80, T)`` and clone ``(80, T')`` side by side with a common colour scale."""
    figure = new_figure(12.0, 3.2)
    _draw_mels(figure, target, clone)
    return figure


def matrix_figure(matrix: np.ndarray) -> Figure:
    """A matrix ``(N, T)`` such as an alignment of tokens and frames, with the first row at the bottom."""
    figure = new_figure(8.0, 4.0)
    axes = figure.subplots()
    axes.imshow(matrix, origin="lower", aspect="auto", interpolation="nearest", cmap="magma")
    axes.tick_params(labelsize=8)
    return figure


def figure_to_rgb(figure: Figure) -> np.ndarray:
    """The figure as an image ``(H, W, 3)``, uint8."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    with _no_glyph_warnings():
        canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def save_figure(figure: Figure, path: Path) -> None:
    """Write the figure as PNG, atomically.

    Raises:
        VoicecloneError: the file cannot be written.
    """
    with atomic_path(Path(path)) as temporary, _no_glyph_warnings():
        figure.savefig(temporary, format="png")


def loss_terms(history: Sequence[dict[str, Any]]) -> list[str]:
    """Names of the loss terms with at least one finite value: the total first, then in order of appearance."""
    terms: dict[str, None] = {}
    for row in history:
        for key in row:
            for prefix in (TRAIN, VALIDATION):
                term = key.removeprefix(prefix)
                if term != key and term not in _NO_LOSS and math.isfinite(_number(row[key])):
                    terms[term] = None
    return sorted(terms, key=lambda term: term != "loss")


def _draw_term(axes: Axes, term: str, history: Sequence[dict[str, Any]], epochs: np.ndarray) -> None:
    """One panel: training and validation curves of a term, on a log scale where they span more than a decade."""
    drawn = []
    for prefix, colour, style, _ in CURVES:
        values = _values(history, prefix + term)
        known = np.isfinite(values)
        if known.any():
            # A single point draws no line, so curves of few epochs have markers.
            marker = "o" if known.sum() <= 12 else ""
            axes.plot(epochs[known], values[known], style, color=colour, marker=marker, markersize=3, linewidth=1.4)
            drawn.append(values[known])
    every = np.concatenate(drawn)
    if every.min() > 0 and every.max() > 10 * every.min():
        _logarithmic(axes)
    heading = "loss (total)" if term == "loss" else term
    scale = ", log scale" if axes.get_yscale() == "log" else ""
    axes.set_title(heading + scale, fontsize=10, fontweight="bold" if term == "loss" else "normal", parse_math=False)
    axes.grid(alpha=0.25, which="both", linewidth=0.5)
    axes.tick_params(labelsize=8)


def _logarithmic(axes: Axes) -> None:
    """A logarithmic loss axis with plain numbers at 1, 2 and 5."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=9))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, position: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _finish_grid(grid: np.ndarray, terms: list[str]) -> None:
    """Label the lowest panels and remove the empty ones."""
    from matplotlib.ticker import MaxNLocator

    columns = min(COLUMNS, len(terms))
    for index, axes in enumerate(grid):
        if index >= len(terms):
            axes.remove()
            continue
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        if index + columns >= len(terms):
            axes.set_xlabel("epoch", fontsize=9)
            axes.tick_params(labelbottom=True)


def _add_legend(figure: Figure, history: Sequence[dict[str, Any]], student_epochs: int) -> None:
    """One legend for all panels, beside the title."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    lines: list[Any] = [Patch(color=STUDENT_COLOUR, label="on nano")] if student_epochs else []
    for prefix, colour, style, name in CURVES:
        if any(key.startswith(prefix) for row in history for key in row):
            lines.append(Line2D([], [], color=colour, linestyle=style, label=name))
    legend = figure.legend(handles=lines, loc="upper right", ncols=4, fontsize=9, frameon=False, borderaxespad=0.2)
    legend.set_in_layout(False)


def _draw_mels(figure: Any, target: np.ndarray, clone: np.ndarray) -> None:
    """Two mels with the same colour scale and time axis."""
    mels = [np.asarray(target, dtype=float), np.asarray(clone, dtype=float)]
    finite = np.concatenate([mel[np.isfinite(mel)] for mel in mels])
    low, high = np.percentile(finite, [1, 99.5]) if finite.size else (0.0, 1.0)
    longest = max(mel.shape[1] for mel in mels) * MEL_FRAME_SECONDS
    pair = figure.subplots(1, 2, sharex=True, sharey=True)
    for axes, mel, name in zip(pair, mels, ("target", "clone"), strict=True):
        seconds = mel.shape[1] * MEL_FRAME_SECONDS
        image = axes.imshow(
            mel,
            origin="lower",
            aspect="auto",
            interpolation="nearest",
            cmap="magma",
            vmin=low,
            vmax=max(high, low + 1e-6),
            extent=(0, seconds, 0, mel.shape[0]),
        )
        axes.set_xlim(0, longest)
        axes.set_facecolor("#dddddd")
        axes.set_title(f"{name} ({seconds:.2f} s)", fontsize=10)
        axes.set_xlabel("time (s)", fontsize=9)
        axes.tick_params(labelsize=8)
    pair[0].set_ylabel("mel channel", fontsize=9)
    bar = figure.colorbar(image, ax=pair, pad=0.01, fraction=0.03, extend="both")
    bar.set_label("normalised log-mel", fontsize=9)
    bar.ax.tick_params(labelsize=8)
    figure.supxlabel(BORROWED, fontsize=8.5, color="#444444")


def new_figure(width: float, height: float) -> Figure:
    """A figure of ``width`` x ``height`` inches on its own Agg canvas."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def heading(figure: Figure, title: str) -> None:
    """Title of the figure, shortened where it is very long."""
    if len(title) > TITLE_CHARACTERS:
        title = title[: TITLE_CHARACTERS - 1] + "…"
    # Without this, a "$" in a voice's name would start a formula.
    figure.suptitle(title, fontsize=12, x=0.01, horizontalalignment="left", parse_math=False)


def _values(history: Sequence[dict[str, Any]], key: str) -> np.ndarray:
    """One value for each epoch, NaN where it is missing or not finite."""
    values = np.array([_number(row.get(key)) for row in history], dtype=float)
    values[~np.isfinite(values)] = np.nan
    return values


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


class _no_glyph_warnings(warnings.catch_warnings):
    """Suppress warnings about glyphs that the built-in font lacks; they are drawn as boxes."""

    def __enter__(self) -> None:
        super().__enter__()
        warnings.filterwarnings("ignore", message="Glyph .* missing")
