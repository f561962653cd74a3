"""The report on all voices of a table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from voiceclone.cloning.batch.plan import BatchRow
from voiceclone.cloning.folder import RunFolder
from voiceclone.errors import VoicecloneError
from voiceclone.files import write_json, write_text

FINISHED, FAILED, WAITING = "finished", "failed", "waiting"
FOLDER = "batch"  # subfolder of --out with one small file for each voice, so that several processes can share a report
REPORT_JSON, REPORT_TEXT = "batch_report.json", "batch_report.md"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Result of one voice."""

    name: str
    line: int  # line in the table
    folder: str
    status: str = WAITING
    error: str = ""
    kept: bool = False  # True where an earlier run of the table finished it


def write_outcome(out: Path, outcome: Outcome) -> None:
    """Write the result to a file that every process of the batch can read."""
    write_json(out / FOLDER / f"{outcome.name}.json", asdict(outcome))


def read_outcome(out: Path, row: BatchRow) -> Outcome:
    """The stored result of a voice; ``waiting`` where there is none."""
    folder = RunFolder(row.config.folder)
    waiting = Outcome(name=row.config.name, line=row.line, folder=str(folder.path))
    try:
        content = json.loads((out / FOLDER / f"{row.config.name}.json").read_text(encoding="utf-8"))
        known = {"status": str(content["status"]), "error": str(content["error"]), "kept": content.get("kept") is True}
        found = Outcome(**{**asdict(waiting), **known})
    except (OSError, ValueError, KeyError, TypeError):
        return waiting
    return waiting if found.status == FINISHED and not folder.is_finished() else found


def batch_summary(out: Path, rows: Sequence[BatchRow]) -> dict[str, Any]:
    """``{"voices": [...], "finished": n, "failed": n, "waiting": n}``, with the metrics of each finished voice."""
    voices = [_entry(read_outcome(out, row)) for row in rows]
    counts = {status: sum(v["status"] == status for v in voices) for status in (FINISHED, FAILED, WAITING)}
    return {"voices": voices, **counts}


def write_report(out: Path, rows: Sequence[BatchRow]) -> dict[str, Any]:
    """Write ``batch_report.json`` and ``batch_report.md`` to ``out``; returns the content of the first."""
    content = batch_summary(out, rows)
    write_json(out / REPORT_JSON, content)
    write_text(out / REPORT_TEXT, batch_markdown(content))
    return content


def batch_markdown(content: dict[str, Any]) -> str:
    """The report as a Markdown table."""
    lines = [
        f"# {content[FINISHED]} of {len(content['voices'])} voices",
        "",
        "| voice | status | minutes of speech | epochs | seconds | verdict |",
        "|---|---|---|---|---|---|",
    ]
    for voice in content["voices"]:
        cells = (
            voice["name"], voice["status"] + (", kept" if voice["kept"] else ""),
            *("–" if voice.get(name) is None else voice[name] for name in ("minutes", "epochs", "seconds")),
            voice.get("verdict") or voice["error"] or "–",
        )  # fmt: skip
        lines.append("| " + " | ".join(str(cell).replace("|", "/") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def figures(folder: RunFolder) -> dict[str, Any]:
    """The entries of a finished voice's report that the batch report includes.

    Raises:
        VoicecloneError: the voice's report is damaged.
    """
    try:
        report = folder.read_report()
        return {
            "voice": str(folder.voice),
            "base": report["base"]["name"],
            "stock_kokoro": report["stock_kokoro"],
            "minutes": report["dataset"]["train_minutes"],
            **{name: report[name] for name in ("epochs", "seconds", "verdict", "consent", "notices")},
        }
    except (KeyError, TypeError) as error:
        raise VoicecloneError(f"{folder.report} cannot be read: start again with --overwrite") from error


def _entry(outcome: Outcome) -> dict[str, Any]:
    entry = asdict(outcome)
    if outcome.status != FINISHED:
        return entry
    try:
        return {**entry, **figures(RunFolder(Path(outcome.folder)))}
    except VoicecloneError as error:  # a damaged report of one voice must not hide the others
        return {**entry, "status": FAILED, "error": str(error)}
