"""``voiceclone prepare``: long recordings and what is said in them to a dataset of clips."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voiceclone.cli.clone import add_verbosity, verbosity

if TYPE_CHECKING:
    from voiceclone.tracking.progress import Reporter


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``prepare``."""
    parser.add_argument(
        "sources", nargs="+", type=Path, metavar="SOURCE", help="recordings, or folders of them; never changed"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="dataset folder to make")
    parser.add_argument(
        "--text", type=Path, metavar="FILE",
        help="what is said, by one of four: text of the recording, or one line for each file, or a folder of NAME.txt",
    )  # fmt: skip
    parser.add_argument(
        "--subtitles", type=Path, metavar="FILE",
        help="or: SRT, WebVTT or JSON of timed characters, or a folder of NAME.srt",
    )  # fmt: skip
    parser.add_argument(
        "--metadata",
        type=Path,
        metavar="FILE",
        help="or: metadata.csv (LJSpeech and others) or metadata.jsonl of clips cut already",
    )
    parser.add_argument(
        "--transcribe", nargs="?", const="small", metavar="MODEL",
        help="or: recognise the speech with faster-whisper, if installed (default model: small)",
    )  # fmt: skip
    parser.add_argument("--lang", default="a", help="Kokoro's language code (default: a)")
    parser.add_argument("--speaker", metavar="NAME", help="speaker, written into the metadata")
    parser.add_argument("--validation", type=float, default=0.1, help="share of clips held out (default: 0.1)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the choice of held-out clips (default: 0)")
    parser.add_argument("--min-seconds", type=float, default=None, help="shortest clip (default: 3; 1 if cut already)")
    parser.add_argument("--max-seconds", type=float, default=12.0, help="longest clip (default: 12)")
    parser.add_argument(
        "--loudness", type=float, default=-23.0, help="loudness of the clips, LUFS by ITU-R BS.1770 (default: -23)"
    )
    parser.add_argument("--resume", action="store_true", help="go on with an unfinished run")
    parser.add_argument("--overwrite", action="store_true", help="replace what an earlier run made")
    parser.add_argument(
        "--force",
        action="store_true",
        help="take it even where less than 70 %% of the words or of the sound became clips",
    )
    parser.add_argument("--json", action="store_true", help="print the summary as one JSON object")
    add_verbosity(parser)


def run(options: argparse.Namespace) -> int:
    """Make the dataset and say what came of it."""
    from voiceclone.prepare.run import LittleUsed, PrepareConfig, prepare_dataset
    from voiceclone.tracking.progress import Reporter

    given = {} if options.min_seconds is None else {
        "min_seconds": options.min_seconds, "min_ready_seconds": options.min_seconds
    }  # fmt: skip
    config = PrepareConfig(
        text=options.text,
        subtitles=options.subtitles,
        metadata=options.metadata,
        transcribe=options.transcribe,
        lang=options.lang,
        speaker=options.speaker,
        validation=options.validation,
        seed=options.seed,
        max_seconds=options.max_seconds,
        loudness=options.loudness,
        resume=options.resume,
        overwrite=options.overwrite,
        force=options.force,
        **given,
    )
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
    """What a person wants to know at the end."""
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
