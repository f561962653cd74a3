"""``voiceclone batch``: clone the voices of a table."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

_OF_ONE_VOICE = ("data", "name", "resume", "config")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The table, and the settings of ``clone`` for all voices that have none of their own."""
    from voiceclone.cli.clone import add_settings, add_verbosity

    parser.add_argument("table", type=Path, metavar="voices.csv", help="CSV: name,data and any setting of clone")
    parser.add_argument("--processes", type=int, default=1, help="voices cloned at once (default: 1)")
    add_settings(parser, leave_out=_OF_ONE_VOICE)
    parser.add_argument("--config", type=Path, help="YAML or JSON file with settings; flags and the table win over it")
    parser.add_argument("--json", action="store_true", help="print the report as one JSON object")
    add_verbosity(parser)


def run(options: argparse.Namespace) -> int:
    """Check the whole table, clone, report; 1 where a voice failed."""
    from voiceclone.cli.clone import verbosity
    from voiceclone.cloning.batch.plan import check_rows, read_table
    from voiceclone.cloning.config import CloneConfig, read_config_file

    names = [name for name in CloneConfig(data="").as_dict() if name not in _OF_ONE_VOICE]
    flags = {name: getattr(options, name) for name in names}
    rows = read_table(options.table, flags, read_config_file(options.config) if options.config else {})
    check_rows(options.table, rows)

    from voiceclone.cloning.batch.report import FAILED, REPORT_TEXT, write_report
    from voiceclone.cloning.batch.run import Place, run_batch
    from voiceclone.distributed import process_count, process_index
    from voiceclone.tracking.progress import Reporter

    out = Path(rows[0].config.out)
    reporter = Reporter(verbosity=-1 if options.json else verbosity(options))
    place = Place(index=process_index(), count=process_count())
    write_report(out, rows)  # a place that cannot be written to is found before the first clone, not after it
    outcomes = run_batch(rows, out, processes=options.processes, place=place, reporter=reporter)
    content = write_report(out, rows)
    if options.json and place.index == 0:
        print(json.dumps(content))
    reporter.info(f"report: {out / REPORT_TEXT}")
    return int(any(outcome.status == FAILED for outcome in outcomes))
