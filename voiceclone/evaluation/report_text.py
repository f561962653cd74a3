"""The report for a terminal."""

from __future__ import annotations

from voiceclone.evaluation.report_results import Evaluation, VoiceResult

COLUMNS = (  # key in ``VoiceResult.measures``, heading, digits, scale
    ("f0_error_semitones", "F0 st", 1, 1),
    ("f0_spread_error_semitones", "spread st", 1, 1),
    ("rate_error_percent", "pace %", 0, 1),
    ("mcd_db", "MCD dB", 1, 1),
    ("phone_error_rate", "phones %", 0, 100),
    ("word_error_rate", "words %", 0, 100),
)


def as_text(evaluation: Evaluation) -> str:
    """The verdict first, then a table of the voices, then what is missing."""
    shown = [column for column in COLUMNS if any(column[0] in v.measures for v in evaluation.voices.values())]
    rows = [["", *evaluation.encoders, *(heading for _, heading, _, _ in shown)]]
    for name, result in evaluation.voices.items():
        cells = [_similarity(result, encoder) for encoder in evaluation.encoders]
        cells += [_measure(result, key, digits, scale) for key, _, digits, scale in shown]
        rows.append([name if result.same_as in (None, name) else f"{name} ({result.same_as})", *cells])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [evaluation.verdict.line] if evaluation.verdict is not None else []
    for row in rows:
        first, *rest = (cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        lines.append("  ".join([first.strip().ljust(widths[0]), *rest]).rstrip())
    lines += [
        f"similarity [95 % interval]: higher is better; all else: error, lower is better; "
        f"{evaluation.validation_clips} validation clips",
        *(f"doubt: {line}" for line in evaluation.doubts),
        *(f"left out: {line}" for line in evaluation.left_out),
    ]
    for name, result in evaluation.voices.items():
        if result.health is not None and not result.health.healthy:
            lines.append(f"{name} looks unusual: {'; '.join(result.health.reasons)}")
    return "\n".join(lines)


def _similarity(result: VoiceResult, encoder: str) -> str:
    interval = result.similarity.get(encoder)
    if interval is None:
        return ""
    ends = "" if interval.low is None else f" [{interval.low:.2f} {interval.high:.2f}]"
    return f"{interval.mean:.2f}{ends}"


def _measure(result: VoiceResult, key: str, digits: int, scale: float) -> str:
    interval = result.measures.get(key)
    return "" if interval is None else f"{scale * interval.mean:.{digits}f}"
