"""Clone the voices of a table. Finished voices are skipped, and a failure does not stop the others."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from voiceclone.bases.other_systems import is_vits2
from voiceclone.bases.stock_names import placed_base
from voiceclone.cloning.batch.plan import BatchRow
from voiceclone.cloning.batch.report import FAILED, FINISHED, Outcome, figures, write_outcome, write_report
from voiceclone.cloning.config import CloneConfig
from voiceclone.cloning.folder import RunFolder
from voiceclone.errors import UsageError, VoicecloneError
from voiceclone.tracking.trackers import LOST

if TYPE_CHECKING:
    from voiceclone.tracking.progress import Reporter

AFTERWARDS = {"fidelity": 1.0, "expressive": False}
"""Settings that change what is made of a finished training, and their values in runs from before them."""
OF_A_VECTOR = ("lang", "seed")  # settings that change a voice of a VITS2; those of the projection are ignored there


@dataclass(frozen=True, kw_only=True)
class Made:
    """Result of one clone."""

    row: BatchRow
    error: str = ""
    """Reason of the failure in one line; empty on success."""
    said: str = ""
    """Its standard error output."""


class Runner(Protocol):
    """Interface: where the clones of a batch run."""

    def clones(self, rows: Sequence[BatchRow]) -> Generator[Made, None, None]:
        """Clone every row and yield each result when it is finished.

        If the generator is closed early, running clones keep their finished epochs.
        """


def run_batch(rows: Sequence[BatchRow], out: Path, *, runner: Runner, reporter: Reporter) -> list[Outcome]:
    """Clone ``rows`` and return the results in the table's order. The report is rewritten after every voice."""
    outcomes: dict[str, Outcome] = {}
    told: dict[str, list[str]] = {}
    reporter.info(f"{len(rows)} voices")
    with reporter.task("Voices", total=len(rows), unit="voice") as task:

        def note(outcome: Outcome) -> None:
            outcomes[outcome.name] = outcome
            write_outcome(out, outcome)
            write_report(out, rows)
            if outcome.status == FAILED:
                reporter.warn(f"{outcome.name} failed: {outcome.error}")
            elif outcome.kept:
                reporter.info(f"{outcome.name}: finished earlier, kept as it is")
            for line in told.pop(outcome.name, []):
                reporter.warn(f"{outcome.name}: {line}")
            task.advance(1, note=outcome.name)

        missing = []
        for row in rows:
            if (found := already_there(row)) is None:
                missing.append(row)
            else:
                note(found)
        with contextlib.closing(runner.clones(missing)) as clones:
            for made in clones:
                told[made.row.config.name] = of_trackers(made.said)
                note(_outcome(made))
    return [outcomes[row.config.name] for row in rows]


def already_there(row: BatchRow) -> Outcome | None:
    """The result of a voice that was finished earlier; None where it has to be cloned."""
    config, folder = row.config, RunFolder(row.config.folder)
    if config.overwrite or not folder.is_finished():
        return None
    outcome = Outcome(name=config.name, line=row.line, folder=str(folder.path))
    try:
        if other := other_settings(config, folder):
            return replace(outcome, status=FAILED, error=other)
        figures(folder)  # raises for a damaged report: the voice is then cloned again
    except (VoicecloneError, OSError) as error:
        return replace(outcome, status=FAILED, error=str(error))
    return replace(outcome, status=FINISHED, kept=True)


def other_settings(config: CloneConfig, folder: RunFolder) -> str:
    """Why the finished voice in ``folder`` does not match ``config``; empty where it does."""
    try:
        made = json.loads((folder.path / "config.json").read_text(encoding="utf-8"))
        with contextlib.suppress(UsageError):  # a part that can no longer be disabled: the voice is a different one
            made["without"] = CloneConfig(data="", without=str(made.get("without", ""))).without
        made.setdefault("finish", 0)  # a voice from before that setting
        wanted = config.for_base((folder.read_report().get("base") or {}).get("kind", "")).decisive()
        names = OF_A_VECTOR if is_vits2(Path(config.base)) else wanted
        different = [name for name in names if made.get(name) != wanted[name]]
        if names is not OF_A_VECTOR:  # they change the voice, not its training
            different += [name for name, usual in AFTERWARDS.items() if made.get(name, usual) != getattr(config, name)]
        if placed_base(str(made.get("base"))) != placed_base(config.base):
            different.append("base")
        if Path(made.get("data", "")).resolve() != Path(config.data).resolve():
            different.append("data")
    except (OSError, ValueError, AttributeError, TypeError):
        return f"{folder.path}: its config.json cannot be read: make the voice again with --overwrite"
    if not different:
        return ""
    return f"{folder.voice} was made with other settings ({', '.join(different)}): choose another name, or --overwrite"


def of_trackers(said: str) -> list[str]:
    """Warnings of a clone about --tensorboard and --wandb, which would otherwise be lost."""
    lines = [line.strip().removeprefix("warning: ") for line in said.splitlines() if line.startswith("warning: ")]
    return [line for line in lines if any(part in line for part in LOST)]


def _outcome(made: Made) -> Outcome:
    folder = RunFolder(made.row.config.folder)
    outcome = Outcome(name=made.row.config.name, line=made.row.line, folder=str(folder.path))
    if made.error:
        return replace(outcome, status=FAILED, error=made.error)
    if not folder.is_finished():
        lost = f"the clone ended, but {folder.path} does not hold it: --out must be a folder that every machine sees"
        return replace(outcome, status=FAILED, error=lost)
    try:
        figures(folder)
    except VoicecloneError as error:  # else the report would list as failed what counts as finished here
        return replace(outcome, status=FAILED, error=str(error))
    return replace(outcome, status=FINISHED)
