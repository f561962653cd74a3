"""``voiceclone prepare``: make a dataset of clips from long recordings and their texts."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voiceclone.cli.clone import add_verbosity, verbosity
from voiceclone.prepare.config import PrepareConfig
from voiceclone.system.settings import add_flags, given

if TYPE_CHECKING:
    from voiceclone.tracking.progress import Reporter


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``prepare``."""
    parser.add_argument(
        "sources", nargs="+", type=Path, metavar="SOURCE", help="recordings, or folders of them; never changed"
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="dataset folder to make, apart from the sources"
    )
    file, switch = {"type": Path, "metavar": "FILE"}, {"action": "store_true"}
    add_flags(
        parser, PrepareConfig, text=file, subtitles=file, metadata=file,
        transcribe={"nargs": "?", "const": "small", "metavar": "MODEL"}, lang={}, speaker={"metavar": "NAME"},
        validation={"type": float}, seed={"type": int}, min_seconds={"type": float}, max_seconds={"type": float},
        loudness={"type": float}, resume=switch, overwrite=switch, force=switch,
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the summary as one JSON object")
    add_verbosity(parser)


def run(options: argparse.Namespace) -> int:
    """Make the dataset and print a summary."""
    from voiceclone.prepare.run import LittleUsed, prepare_dataset
    from voiceclone.tracking.progress import Reporter

    config = given(PrepareConfig, options)
    reporter = Reporter(verbosity=verbosity(options))
    try:
        report = prepare_dataset(options.sources, options.out, config, reporter)
    except LittleUsed as error:
        _tell(options, error.report, reporter)
        raise
    _tell(options, report, reporter)
    return 0


def _tell(options: argparse.Namespace, report: dict[str, Any], reporter: Reporter) -> None:
    if options.json:
        print(json.dumps({"out": str(options.out), **report["summary"], "notices": report["notices"]}, indent=2))
    else:
        for line in summary_lines(options.out, report):
            reporter.info(line)
    for row in report["clips"]:
        if row["reason"]:
            reporter.detail(f"dropped {row['source']} {row['start']:.1f}-{row['end']:.1f} s: {row['reason']}")


def summary_lines(out: Path, report: dict[str, Any]) -> list[str]:
    """The summary in text form."""
    summary = report["summary"]
    kept = ", ".join(f"{count} {split}" for split, count in summary["kept_clips"].items())
    lines = [f"dataset: {out}: {kept}, {summary['kept_seconds'] / 60:.1f} minutes"]
    if summary["dropped"]:
        reasons = ", ".join(f"{count} {reason}" for reason, count in summary["dropped_reasons"].items())
        lines.append(f"dropped: {summary['dropped']} ({summary['dropped_seconds']:.0f} s): {reasons}")
    if summary["words_not_found"]:
        lines.append(f"text not found in the sound: {summary['words_not_found']} words")
    if summary["passed_over"]:
        first = report["passed_over"][0]
        lines.append(f"passed over: {summary['passed_over']} (first: {first['where']}: {first['reason']})")
    lines.append(f"every clip with its figures: {out / 'prepare_report.json'}")
    return lines
