"""``voiceclone batch``: clone the voices of a table."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from voiceclone.errors import UsageError

if TYPE_CHECKING:
    from voiceclone.cloning.batch.run import Runner

_OF_ONE_VOICE = ("data", "name", "resume", "config")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``batch``: the table, and settings of ``clone`` that apply to all voices without their own."""
    from voiceclone.cli.clone import add_settings, add_verbosity

    parser.add_argument("table", type=Path, metavar="voices.csv", help="CSV: name,data and any setting of clone")
    parser.add_argument("--processes", type=int, help="voices cloned at once on this machine (default: 1)")
    parser.add_argument(
        "--address", metavar="HOST:PORT|auto", help="clone on the machines of a Ray cluster instead (extra [cluster])"
    )
    parser.add_argument(
        "--gpus-per-voice",
        type=float,
        metavar="N",
        help="on a cluster: GPUs of one clone, such as 0.5 (default: 1, or 0)",
    )
    parser.add_argument(
        "--retries", type=int, metavar="N", help="on a cluster: new tries where a machine is lost (default: 3)"
    )
    add_settings(parser, leave_out=_OF_ONE_VOICE)
    parser.add_argument("--config", type=Path, help="YAML or JSON file with settings; flags and the table win over it")
    parser.add_argument("--json", action="store_true", help="print the report as one JSON object")
    add_verbosity(parser)


def run(options: argparse.Namespace) -> int:
    """Check the whole table, clone, report; 1 where a voice failed, 128 + N where signal N ended it."""
    from voiceclone.cli.clone import refuse_launcher, verbosity
    from voiceclone.cloning.batch.plan import check_rows, read_table
    from voiceclone.cloning.config import CloneConfig, read_config_file

    if refuse_launcher("one table", "use --processes N, or --address for several machines"):
        return UsageError.exit_code
    names = [name for name in CloneConfig(data="").as_dict() if name not in _OF_ONE_VOICE]
    flags = {name: getattr(options, name) for name in names}
    rows = read_table(options.table, flags, read_config_file(options.config) if options.config else {})
    check_rows(options.table, rows)

    from voiceclone.cloning.batch.report import FAILED, REPORT_TEXT, write_report
    from voiceclone.cloning.batch.run import run_batch
    from voiceclone.system.signals import Ended, ended_by_signals
    from voiceclone.tracking.progress import Reporter

    out = Path(rows[0].config.out)
    reporter = Reporter(verbosity=-1 if options.json else verbosity(options))
    runner = _runner(options)
    try:
        with ended_by_signals():
            write_report(out, rows)  # before the first clone: an output folder that is not writable is reported at once
            outcomes = run_batch(rows, out, runner=runner, reporter=reporter)
            content = write_report(out, rows)
    except Ended as ended:  # by the reporter, because a terminal that hung up raises an error where it is written to
        reporter.write(f"ended by {ended}: finished voices and epochs are kept; continue with the same command")
        return ended.exit_code
    if options.json:
        print(json.dumps(content))
    reporter.info(f"report: {out / REPORT_TEXT}")
    return int(any(outcome.status == FAILED for outcome in outcomes))


def _runner(options: argparse.Namespace) -> Runner:
    """This machine's processes, or a cluster."""
    only_there = {"--gpus-per-voice": options.gpus_per_voice, "--retries": options.retries}
    if options.address is None:
        from voiceclone.cloning.batch.local import LocalRunner

        if given := next((flag for flag, value in only_there.items() if value is not None), None):
            raise UsageError(f"{given}: is for a cluster: give --address, too")
        return LocalRunner(options.processes or 1)
    from voiceclone.cli.clone import clone_by_system
    from voiceclone.cloning.batch.cluster import RETRIES, ClusterRunner

    if options.processes is not None:
        raise UsageError(
            "--processes: is for this machine; on a cluster Ray clones as many at once as there is room for"
        )
    if options.gpus_per_voice is not None and options.gpus_per_voice < 0:
        raise UsageError(f"--gpus-per-voice {options.gpus_per_voice}: use a number of 0 or more")
    return ClusterRunner(
        address=options.address,
        gpus=options.gpus_per_voice,
        retries=RETRIES if options.retries is None else options.retries,
        clone=clone_by_system,
    )
