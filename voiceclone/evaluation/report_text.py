"""The report as plain text for the terminal."""

from __future__ import annotations

from voiceclone.evaluation.report_columns import measured
from voiceclone.evaluation.report_results import Evaluation, VoiceResult
from voiceclone.evaluation.voices import title_of

HEALTH_MEANS = "a hint for a voice that sounds bad; likeness and words understood decide"


def verdict_text(evaluation: Evaluation) -> str:
    """The verdict only: one line in words, then one line with figures."""
    lines = [" ".join(evaluation.in_words)] if evaluation.in_words else []
    if evaluation.verdict is not None:
        lines.append(evaluation.verdict.line)
    return "\n".join(lines)


def evaluation_text(evaluation: Evaluation) -> str:
    """The verdict, a table of the voices, and what was not measured."""
    shown = measured(evaluation.voices.values())
    rows = [["", *evaluation.encoders, *(column.short for column in shown)]]
    for name, result in evaluation.voices.items():
        cells = [_similarity(result, encoder) for encoder in evaluation.encoders]
        cells += [c.shown(result.measures[c.key].mean) if c.key in result.measures else "" for c in shown]
        title = title_of(name)
        rows.append([title if result.same_as in (None, name) else f"{title} ({result.same_as})", *cells])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [verdict] if (verdict := verdict_text(evaluation)) else []
    for row in rows:
        first, *rest = (cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        lines.append("  ".join([first.strip().ljust(widths[0]), *rest]).rstrip())
    lines += [
        f"{', '.join(evaluation.encoders)}: likeness to the speaker (cosine, 95 % interval), higher is better; "
        f"{'naturalness, too; ' if any(c.key == 'opinion_score' for c in shown) else ''}"
        f"all else: error, lower is better; {evaluation.validation_clips} validation clips",
        *(f"doubt: {line}" for line in evaluation.doubts),
        *(f"left out: {line}" for line in evaluation.left_out),
    ]
    for name, result in evaluation.voices.items():
        if result.health is not None and not result.health.healthy:
            lines.append(f"{title_of(name)} looks unusual: {'; '.join(result.health.reasons)} ({HEALTH_MEANS})")
    return "\n".join(lines)


def _similarity(result: VoiceResult, encoder: str) -> str:
    interval = result.similarity.get(encoder)
    if interval is None:
        return ""
    ends = "" if interval.low is None else f" [{interval.low:.2f} {interval.high:.2f}]"
    return f"{interval.mean:.2f}{ends}"
