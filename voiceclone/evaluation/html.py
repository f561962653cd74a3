"""The report as one self-contained HTML page with embedded figures and audio, in one column for phones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from voiceclone.evaluation.bars import three_bars
from voiceclone.evaluation.bootstrap import Interval
from voiceclone.evaluation.pages import data_uri, encode_audio, render_document
from voiceclone.evaluation.report_columns import Column, measured
from voiceclone.evaluation.report_results import Evaluation, VoiceResult
from voiceclone.evaluation.voices import (
    BEST_BLEND,
    BEST_STOCK,
    CLONE,
    ORACLE,
    PLAIN_RECIPE,
    RECORDINGS,
    STRANGER,
    ZERO_SHOT,
    in_order,
    title_of,
)

if TYPE_CHECKING:
    from voiceclone.bases.base import Base

MEANINGS = {
    CLONE: "the voice under test",
    ZERO_SHOT: "the mean style of the clips, without any training",
    BEST_STOCK: "the stock voice nearest to the speaker",
    BEST_BLEND: "the mix of stock voices nearest to the speaker",
    PLAIN_RECIPE: "a voice made by another recipe",
    ORACLE: "made by the encoders the base was trained with: what the base could reach",
    STRANGER: "a stock voice at a middling distance: where the scale of likeness begins",
    RECORDINGS: "the speaker, each clip against the others: where the scale of likeness ends",
}
COMPARED = (RECORDINGS, CLONE, BEST_STOCK)  # voices that the A/B switch offers
LIKENESS = Column(key="", title="", short="", digits=2)


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """The figures of the page as PNG bytes; None where there is nothing to draw."""

    similarity: bytes | None = None
    mels: bytes | None = None
    f0: bytes | None = None
    norms: bytes | None = None


def draw(evaluation: Evaluation, base: Base, *, advance: Callable[[], None] = lambda: None) -> Pictures:
    """Draw all four figures of an evaluation.

    Mels and F0 are those of the first sample. ``advance`` is called after each.
    """
    from voiceclone.evaluation import figures

    first = evaluation.samples[0] if evaluation.samples else None
    drawings: dict[str, Callable[[], bytes | None]] = {
        "similarity": lambda: figures.similarity_bars(evaluation) if evaluation.encoders else None,
        "mels": lambda: figures.mel_panels(first) if first else None,
        "f0": lambda: figures.f0_contours(first) if first else None,
        "norms": lambda: figures.norm_curves(evaluation.packs, list(base.stock_voices.values())),
    }
    drawn: dict[str, Any] = {}
    for name, drawing in drawings.items():
        drawn[name] = drawing()
        advance()
    return Pictures(**drawn)


@dataclass(frozen=True, kw_only=True)
class PageInfo:
    """Text of the page that is not a measurement."""

    title: str
    base: str
    facts: Mapping[str, str]
    """By name: date, dataset, version, consent."""
    doubts: Sequence[str] = ()
    """Reasons why the metrics may be misleading; shown at the top."""
    notes: Sequence[str] = ()
    """Remarks shown at the end."""


def render_page(evaluation: Evaluation, pictures: Pictures, info: PageInfo) -> str:
    """The whole page. All texts are escaped, and a Content-Security-Policy forbids external resources."""
    verdict, samples = evaluation.verdict, evaluation.samples
    return render_document(
        "report.html.j2",
        sounds="data:",
        title=info.title,
        in_words=evaluation.in_words,
        outcome=verdict.outcome.replace(" ", "-") if verdict is not None else "",
        figures=verdict.line if verdict is not None else "",
        doubts=info.doubts,
        doubts_about_judges=evaluation.doubts,
        bars=three_bars(evaluation.findings, evaluation.left_out) if evaluation.findings is not None else [],
        samples=[(sample.text, _takes(sample.audio, evaluation, COMPARED)) for sample in samples],
        others=[
            (sample.text, _takes(sample.audio, evaluation, [RECORDINGS, *_others(sample.audio)]))
            for sample in samples
            if _others(sample.audio)
        ],
        sentences=[(sample.text, _takes(sample.audio, evaluation, COMPARED)) for sample in evaluation.sentences],
        facts=_facts(evaluation, info),
        pictures={f.name: _picture(getattr(pictures, f.name)) for f in fields(pictures)},
        table=_table(evaluation),
        lengths=_lengths(evaluation),
        health=_health(evaluation),
        left_out=[*evaluation.left_out, *info.notes],
    )


def _facts(evaluation: Evaluation, info: PageInfo) -> list[tuple[str, str]]:
    clips = evaluation.validation_clips
    held_out = f"{clips} validation clip{'s' if clips != 1 else ''}, which the clone was not trained on"
    sentences = len(evaluation.sentences)
    return [
        *info.facts.items(),
        ("base", info.base),
        ("spoken", held_out + (f", and {sentences} sentences that nobody recorded" if sentences else "")),
        ("speaker known from", f"{evaluation.reference_clips} recordings"),
        ("seed", str(evaluation.seed)),
    ]


def _others(names: Iterable[str]) -> list[str]:
    """The voices that the A/B switch does not offer."""
    return [name for name in in_order(names) if name not in COMPARED]


def _takes(audio: Mapping[str, np.ndarray], evaluation: Evaluation, names: Sequence[str]) -> list[tuple[str, str]]:
    """Titles and data URIs of the audio of ``names``; missing ones are left out."""
    return [(_take_title(name, evaluation), data_uri(*encode_audio(audio[name]))) for name in names if name in audio]


def _take_title(name: str, evaluation: Evaluation) -> str:
    if name == RECORDINGS:
        return "recording"
    same_as = evaluation.voices[name].same_as if name in evaluation.voices else None
    return title_of(name) if same_as in (None, name) else f"{title_of(name)} ({same_as})"


def _table(evaluation: Evaluation) -> dict[str, Any]:
    """One row for each voice; on a phone, one block for each voice."""
    shown = measured(evaluation.voices.values())
    heads = [*(f"likeness by {name} (cosine)" for name in evaluation.encoders), *(column.title for column in shown)]
    rows = []
    for name, result in evaluation.voices.items():
        cells = [_cell(result.similarity.get(encoder), LIKENESS) for encoder in evaluation.encoders]
        cells += [_cell(result.measures.get(column.key), column) for column in shown]
        kind = name if name in (CLONE, RECORDINGS) else "other"
        rows.append({"kind": kind, "title": title_of(name), "meaning": _meaning(name, result), "cells": cells})
    return {"heads": heads, "rows": rows}


def _meaning(name: str, result: VoiceResult) -> str:
    """A short explanation of what kind of voice it is."""
    meaning = MEANINGS.get(name, "")
    if result.same_as in (None, name):
        return meaning
    return f"{meaning}: {result.same_as}" if meaning else f"the stock voice {result.same_as}"


def _cell(interval: Interval | None, column: Column) -> dict[str, str] | None:
    if interval is None:
        return None
    ends = (
        ""
        if interval.low is None or interval.high is None
        else f"{column.shown(interval.low)} to {column.shown(interval.high)}"
    )
    return {"value": column.shown(interval.mean), "ends": ends}


def _lengths(evaluation: Evaluation) -> list[dict[str, Any]]:
    """Similarity and phone errors of the held-out sentences, one table for each metric."""
    named = {title_of(name): result.by_length for name, result in evaluation.voices.items() if result.by_length}
    lengths = sorted({length for by_length in named.values() for length in by_length})
    tables = []
    for measure in (*evaluation.encoders, "phone_error_rate"):
        is_rate = measure == "phone_error_rate"
        rows = []
        for title, by_length in named.items():
            values = [by_length.get(length, {}).get(measure) for length in lengths]
            cells = ["" if v is None else f"{100 * v:.0f}" if is_rate else f"{v:.2f}" for v in values]
            if any(cells):
                rows.append((title, cells))
        if rows:
            title = "phone errors, %" if is_rate else f"likeness by {measure} (cosine)"
            tables.append({"title": title, "lengths": lengths, "rows": rows})
    return tables


def _health(evaluation: Evaluation) -> list[str]:
    lines = []
    for name, result in evaluation.voices.items():
        if result.health is not None:
            said = "; ".join(result.health.reasons) or "within the range of real voices"
            lines.append(f"{title_of(name)}: {said} (norm {result.health.norm:.2f}, spread {result.health.spread:.2f})")
    return lines


def _picture(png: bytes | None) -> str:
    return "" if png is None else data_uri("image/png", png)
