"""Analysis of a trained model and its run: sizes, trends, accuracies, codebook use, calibration, cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from voiceclone.base_training.trainer import read_checkpoint
from voiceclone.errors import UsageError
from voiceclone.models.mamba_conv.bundle import Bundle, load_bundle
from voiceclone.models.mamba_conv.model import parameters_by_module
from voiceclone.models.mamba_conv.quantizer import LOW_USE
from voiceclone.plotting.plots import save_figure
from voiceclone.plotting.run_plots import NO_TERM, run_figure

PICTURE = "enhanced_analysis.png"
SMOOTHED = 5  # window of the moving average, in rows of the history


def analyze(path: Path) -> dict[str, Any]:
    """Analyse the model in a file. Returns JSON-able results; the figure is written beside the file.

    The history is read from the run's own checkpoint where it lies beside the model, because it continues after the
    best step.

    Raises:
        UsageError: there is no such model.
    """
    path = Path(path)
    bundle = load_bundle(path)
    facts = dict(bundle.facts)
    history, last = facts.get("history", []), facts.get("step", 0)
    try:
        state = read_checkpoint(path.parent)
        if state["config"] == facts.get("config") and state["step"] >= last:
            history, last = state["history"], state["step"]
    except (UsageError, KeyError, TypeError):  # the model was moved
        pass
    save_figure(run_figure(history, path.name, facts.get("calibration")), path.parent / PICTURE)
    return {
        "model": str(path),
        "best_step": facts.get("step", 0),
        "last_step": last,
        "minutes": round(facts.get("seconds", 0.0) / 60, 2),
        "parameters": _parameters(bundle),
        "config": {name: value for name, value in bundle.config_json().items() if name != "vocab"},
        "validation": facts.get("validation", {}),
        "calibration": facts.get("calibration", {}),
        "trends": trends(history),
        "cost": cost(history),
        "picture": str(path.parent / PICTURE),
    }


def trends(history: Sequence[Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Final moving average of every term, and its slope per 1000 steps over the last quarter."""
    found = {}
    for name in dict.fromkeys(name for row in history for name in row):
        if name in NO_TERM:
            continue
        points = np.array([(row["step"], row[name]) for row in history if math.isfinite(row.get(name, math.nan))])
        if not len(points):
            continue
        quarter = points[-max(len(points) // 4, 2) :]
        slope = float(np.polyfit(quarter[:, 0], quarter[:, 1], 1)[0]) if len(quarter) > 1 else 0.0
        found[name] = {"mean": round(float(points[-SMOOTHED:, 1].mean()), 5), "per_1000_steps": round(1000 * slope, 5)}
    return found


def cost(history: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Medians over the run, and the peak memory."""
    found = {}
    for name in ("step_seconds", "gradient_norm"):
        values = [row[name] for row in history if name in row]
        if values:
            found[name] = round(float(np.median(values)), 4)
    if memory := [row["memory_mb"] for row in history if "memory_mb" in row]:
        found["memory_mb"] = round(max(memory), 1)
    return found


def analysis_text(found: Mapping[str, Any]) -> str:
    """The results as text."""
    lines = [f"model: {found['model']}", f"best step: {found['best_step']} of {found['last_step']}"]
    lines += ["", "parameters", *(f"  {name:<12} {count:>12,}" for name, count in found["parameters"].items())]
    sizes = {name: value for name, value in found["config"]["model"].items() if not isinstance(value, list)}
    lines += ["", "sizes", *(f"  {name:<16} {value}" for name, value in sizes.items())]
    if found["validation"]:
        lines += ["", "held out", *(f"  {name:<16} {value:.4f}" for name, value in found["validation"].items())]
    calibration = found["calibration"]
    if calibration:
        use = calibration["codebook_use"]
        low = f" (below {LOW_USE:g}: many codes are unused)" if min(use) < LOW_USE else ""
        lines += ["", "codebook use a level: " + ", ".join(f"{value:.2f}" for value in use) + low]
        stopping = calibration["stopping"]
        saved, lost = stopping["rounds_saved"], stopping["accuracy_lost"]
        lines += [f"stopping: {saved:.1f} rounds saved a text, {lost:.4f} of the accuracy lost"]
        lines += ["", "durations: confidence, error expected, error found (log)"]
        lines += [
            f"  {row['confidence']:.3f}  {row['expected']:.3f}  {row['error']:.3f}" for row in calibration["durations"]
        ]
    lines += ["", "trends: mean at the end, change in 1000 steps over the last quarter"]
    lines += [
        f"  {name:<18} {row['mean']:>9.4f} {row['per_1000_steps']:>+9.4f}" for name, row in found["trends"].items()
    ]
    lines += ["", *(f"{name}: {value:g}" for name, value in found["cost"].items()), f"picture: {found['picture']}"]
    return "\n".join(lines)


def _parameters(bundle: Bundle) -> dict[str, int]:
    codec = sum(p.numel() for p in bundle.codec.parameters())
    books = sum(b.numel() for n, b in bundle.codec.named_buffers() if n.endswith("codebooks"))
    return {**parameters_by_module(bundle.model), "codec": codec, "codebooks": books}
