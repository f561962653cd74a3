"""Figures of a base training: losses, accuracies, and time for each step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from voiceclone.plotting.plots import heading, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NO_TERM = ("step", "seconds", "learning_rate", "step_seconds", "memory_mb", "gradient_norm")


def run_figure(
    history: Sequence[Mapping[str, float]], title: str, calibration: Mapping[str, Any] | None = None
) -> Figure:
    """Six panels over the steps of a run.

    Args:
        history: one row for each progress line: ``step``, loss terms, ``accuracy_*`` and other values of the run.
        title: heading of the figure.
        calibration: predicted and actual ``durations`` error by decile of the confidence; replaces the gradient norm
            panel.
    """
    names = list(dict.fromkeys(name for row in history for name in row))
    accuracies = [name for name in names if name.startswith("accuracy_")]
    terms = [name for name in names if name not in NO_TERM and name not in accuracies]
    figure = new_figure(13.0, 7.0)
    heading(figure, title)
    axes = figure.subplots(2, 3).ravel()
    _lines(axes[0], history, [name for name in ("tokens", "loss") if name in terms] or terms[:1], "loss")
    _lines(axes[1], history, accuracies, "token accuracy")
    _lines(axes[2], history, ["learning_rate"], "learning rate")
    _lines(axes[3], history, [name for name in terms if name != "tokens"], "component losses", logarithmic=True)
    _lines(axes[4], history, ["step_seconds"], "seconds a step")
    twin = axes[4].twinx()
    _curve(twin, history, "memory_mb", colour="#d95f02")
    twin.set_ylabel("memory, MB", fontsize=8, color="#d95f02")
    twin.tick_params(labelsize=7)
    if calibration and calibration.get("durations"):
        _calibration(axes[5], calibration["durations"])
    else:
        _lines(axes[5], history, ["gradient_norm"], "gradient norm", logarithmic=True)
    return figure


def _lines(
    axes: Axes, history: Sequence[Mapping[str, float]], names: Sequence[str], title: str, *, logarithmic: bool = False
) -> None:
    for name in names:
        _curve(axes, history, name)
    axes.set_title(title, fontsize=10)
    axes.set_xlabel("step", fontsize=8)
    axes.grid(alpha=0.25, linewidth=0.5)
    axes.tick_params(labelsize=7)
    values = [row[name] for row in history for name in names if name in row]
    if logarithmic and values and min(values) > 0:
        axes.set_yscale("log")
    if len(names) > 1:
        axes.legend(fontsize=7, frameon=False)


def _curve(axes: Axes, history: Sequence[Mapping[str, float]], name: str, colour: str | None = None) -> None:
    points = [(row["step"], row[name]) for row in history if np.isfinite(row.get(name, np.nan))]
    if points:
        marker = "o" if len(points) <= 12 else ""
        axes.plot(*zip(*points), color=colour, marker=marker, markersize=3, linewidth=1.2, label=name)


def _calibration(axes: Axes, tenths: Sequence[Mapping[str, float]]) -> None:
    expected, found = ([row[name] for row in tenths] for name in ("expected", "error"))
    axes.plot(expected, found, marker="o", markersize=4)
    most = max([*expected, *found])
    axes.plot([0, most], [0, most], linestyle=":", color="#555555")
    axes.set_title("duration: error expected and found", fontsize=10)
    axes.set_xlabel("expected error of the log duration", fontsize=8)
    axes.grid(alpha=0.25, linewidth=0.5)
    axes.tick_params(labelsize=7)
