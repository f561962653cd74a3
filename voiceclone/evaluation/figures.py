"""Figures of the report as PNG bytes, drawn without pyplot and narrow enough for a phone."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from voiceclone.audio.features import HOP, SAMPLE_RATE, track_f0
from voiceclone.evaluation.metrics import N_FFT, SPEECH_DB, cepstra, cepstra_path, trimmed
from voiceclone.evaluation.report_results import Evaluation, Sample
from voiceclone.evaluation.voices import (
    BEST_BLEND,
    BEST_STOCK,
    CLONE,
    ORACLE,
    PLAIN_RECIPE,
    RECORDINGS,
    STRANGER,
    ZERO_SHOT,
    title_of,
)
from voiceclone.system.compiled import load_librosa
from voiceclone.voice.pack import ROWS, VoicePack

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 5.2  # inches: on a screen of 360 pixels, text of 10 points is about 10 pixels high
DPI = 160
COLOURS = {
    CLONE: "#c2410c",
    ZERO_SHOT: "#9a7b2f",
    BEST_STOCK: "#2563a8",
    BEST_BLEND: "#4b9f8f",
    PLAIN_RECIPE: "#8b5fa8",
    ORACLE: "#64748b",
    STRANGER: "#c9a0b4",
    RECORDINGS: "#1a1a1a",
}
OTHER = "#a3a3a3"
NAME_CHARACTERS = 26  # characters of a name in a figure; longer names are cut
FRAME = HOP / SAMPLE_RATE  # seconds


def colour_of(name: str) -> str:
    """The colour of a voice, the same in every figure."""
    return COLOURS.get(name, OTHER)


def similarity_bars(evaluation: Evaluation) -> bytes:
    """One panel for each speaker encoder: every voice's mean cosine similarity with its 95 % interval."""
    encoders = [e for e in evaluation.encoders if any(e in v.similarity for v in evaluation.voices.values())]
    names = list(evaluation.voices)
    figure = _figure(0.7 + len(encoders) * (0.5 + 0.3 * len(names)))
    for axes, encoder in zip(figure.subplots(len(encoders), 1, squeeze=False)[:, 0], encoders, strict=True):
        shown = [name for name in names if encoder in evaluation.voices[name].similarity]
        lowest = 0.0
        for position, name in enumerate(shown):
            interval = evaluation.voices[name].similarity[encoder]
            axes.barh(position, interval.mean, color=colour_of(name), height=0.68)
            ends = [interval.mean]
            if interval.low is not None and interval.high is not None:
                ends += [interval.low, interval.high]
                axes.plot([interval.low, interval.high], [position] * 2, color="black", linewidth=1.4)
                for end in (interval.low, interval.high):
                    axes.plot([end] * 2, [position - 0.17, position + 0.17], color="black", linewidth=1.4)
            axes.text(max(0.0, *ends) + 0.015, position, f"{interval.mean:.2f}", va="center", fontsize=9)
            lowest = min(lowest, *ends)
        axes.set_yticks(range(len(shown)), [_short(name) for name in shown])
        axes.invert_yaxis()
        axes.set_xlim(1.1 * lowest, 1.18)
        axes.set_title(f"likeness to the speaker by {encoder} (cosine)", loc="left", fontsize=10)
        axes.grid(axis="x", alpha=0.3, linewidth=0.5)
        axes.set_axisbelow(True)
    return _png(figure)


def mel_panels(sample: Sample) -> bytes:
    """Log-mels of the recording, the clone and the best stock voice, stacked on one time axis."""
    librosa = load_librosa()
    shown = _present(sample, (RECORDINGS, CLONE, BEST_STOCK))
    mels = {}
    for name in shown:
        audio = trimmed(sample.audio[name])
        mel = librosa.feature.melspectrogram(y=audio, sr=SAMPLE_RATE, n_fft=1024, hop_length=HOP, n_mels=80)
        mels[name] = librosa.power_to_db(mel, ref=np.max, top_db=70)
    longest = max(mel.shape[1] for mel in mels.values()) * FRAME
    figure = _figure(0.5 + 1.35 * len(mels))
    panels = figure.subplots(len(mels), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (name, mel) in zip(panels, mels.items(), strict=True):
        seconds = mel.shape[1] * FRAME
        axes.imshow(
            mel, origin="lower", aspect="auto", cmap="magma", vmin=-70, vmax=0, extent=(0, seconds, 0, len(mel))
        )
        axes.set_title(f"{_short(name, one=True)} ({seconds:.2f} s)", loc="left", fontsize=10)
        axes.set_xlim(0, longest)
        axes.set_facecolor("#e5e5e5")
        axes.set_yticks([])
        axes.set_ylabel("mel channel")
    panels[-1].set_xlabel("time (s)")
    return _png(figure)


def f0_contours(sample: Sample) -> bytes:
    """F0 of the recording, the clone and the best stock voice, aligned to the recording by dynamic time warping."""
    shown = _present(sample, (RECORDINGS, CLONE, BEST_STOCK))
    figure = _figure(2.7)
    axes = figure.subplots()
    recording = trimmed(sample.audio[RECORDINGS])
    own, speaks = cepstra(recording), _speaking(recording)
    for name in shown:
        audio = trimmed(sample.audio[name])
        f0 = track_f0(audio)
        f0[f0 <= 0] = np.nan
        path = cepstra_path(own, cepstra(audio))
        # In pauses of the recording the warped contour is constant, which would draw F0 where there is no speech.
        path = path[speaks[np.minimum(path[:, 0], len(speaks) - 1)]]
        frames = np.full(own.shape[1], np.nan)
        frames[path[:, 0]] = f0[np.minimum(path[:, 1], len(f0) - 1)]
        times = np.arange(len(frames)) * FRAME
        width = 2.4 if name == RECORDINGS else 1.4
        axes.plot(times, frames, color=colour_of(name), linewidth=width, label=_short(name, one=True))
    _log_hertz(axes)
    axes.set_xlabel("time in the recording (s)")
    axes.set_ylabel("F0 (Hz)")
    axes.set_title("F0, aligned to the recording", loc="left", fontsize=10)
    axes.grid(alpha=0.3, linewidth=0.5)
    _legend(figure, axes)
    return _png(figure)


def norm_curves(packs: Mapping[str, VoicePack], stock: Sequence[VoicePack]) -> bytes:
    """L2 norm of both halves of every voice by row. The shaded area is the range of the base's stock voices."""
    figure = _figure(4.6)
    rows = np.arange(1, ROWS + 1)
    halves = ("acoustic", "prosodic")
    panels = figure.subplots(2, 1, sharex=True)
    for axes, half in zip(panels, halves, strict=True):
        if stock:
            norms = np.stack([getattr(pack, half).norm(dim=1).numpy() for pack in stock])
            axes.fill_between(rows, norms.min(0), norms.max(0), color="#e2e8f0", label="stock voices")
        for name, pack in packs.items():
            width = 2.4 if name == CLONE else 1.3
            norm = getattr(pack, half).norm(dim=1).numpy()
            axes.plot(rows, norm, color=colour_of(name), linewidth=width, label=_short(name))
        axes.set_ylim(bottom=0)
        axes.set_title(f"norm of the {half} half", loc="left", fontsize=10)
        axes.grid(alpha=0.3, linewidth=0.5)
    panels[-1].set_xlabel("row: phonemes in the sentence")
    _legend(figure, panels[0])
    return _png(figure)


def _speaking(audio: np.ndarray) -> np.ndarray:
    """True for each frame of audio ``(T,)`` that is not a pause: ``(1 + T // 300,)`` bool."""
    librosa = load_librosa()
    speaks = np.zeros(1 + len(audio) // HOP, dtype=bool)
    for start, end in librosa.effects.split(audio, top_db=SPEECH_DB, frame_length=N_FFT, hop_length=HOP):
        speaks[start // HOP : -(-end // HOP)] = True
    return speaks


def _present(sample: Sample, names: Sequence[str]) -> list[str]:
    return [name for name in names if name in sample.audio]


def _log_hertz(axes: Axes) -> None:
    """A logarithmic frequency axis with plain numbers."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter, NullLocator

    axes.set_yscale("log")
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, position: f"{value:g}"))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_minor_formatter(NullFormatter())


def _legend(figure: Figure, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=9, frameon=False)


def _short(name: str, *, one: bool = False) -> str:
    """A name cut to fit, with ``$`` escaped. ``one``: the label is for a single recording."""
    name = "recording" if one and name == RECORDINGS else title_of(name)
    name = name if len(name) <= NAME_CHARACTERS else name[: NAME_CHARACTERS - 1] + "…"
    return name.replace("$", r"\$")


def _figure(height: float) -> Figure:
    """A figure of :data:`WIDTH` x ``height`` inches on its own Agg canvas."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), dpi=DPI, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _png(figure: Figure) -> bytes:
    for axes in figure.axes:
        axes.tick_params(labelsize=9)
        axes.xaxis.label.set_fontsize(9)
        axes.yaxis.label.set_fontsize(9)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure.savefig(buffer, format="png")
    return buffer.getvalue()
