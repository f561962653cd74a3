"""The output folder: ownership, leftovers of killed runs, and the final step that makes it a dataset."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voiceclone.data.metadata import SPLITS
from voiceclone.errors import UsageError, VoicecloneError
from voiceclone.files import LOCK, held, remove_partial_files, write_failure, write_json, write_text

REPORT = "prepare_report.json"
WORK = ".prepare"
MADE_BY = "voiceclone prepare"
# Must be equal in a resumed run.
_OTHER = {
    "recordings": "other recordings",
    "transcript": "another transcript",
    "settings": "other settings",
    "speaker_check": "another check of the speakers",
    "version": "another version",
}
CLEARING = "clearing"
_CLIP = re.compile(r"[A-Za-z0-9_-]+\.wav")


@dataclass(frozen=True)
class PrepareFolder:
    """``OUT``: ``train/``, ``validation/`` and the report, which is written last; ``.prepare/`` during the run."""

    path: Path

    @property
    def work(self) -> Path:
        """Folder of temporary files, needed until the dataset is complete."""
        return self.path / WORK

    @property
    def clips(self) -> Path:
        """Clips and their measurements before they are split."""
        return self.work / "clips"

    @property
    def state(self) -> Path:
        """The settings of an unfinished run, or the clips of an earlier one that are still to be removed."""
        return self.work / "state.json"

    @property
    def report(self) -> Path:
        """The report; written last."""
        return self.path / REPORT

    def finished_report(self) -> dict[str, Any] | None:
        """The report of a finished dataset, else None."""
        found = _read(self.report)
        return found if found is not None and found.get("made_by") == MADE_BY else None

    def open(self, identity: Mapping[str, Any], *, resume: bool, overwrite: bool) -> dict[str, Any] | None:
        """Prepare the folder for this run; returns the report if the dataset is already finished.

        Raises:
            UsageError: it holds something else, or a dataset, without ``overwrite``.
        """
        report, state = self.finished_report(), _read(self.state)
        if report is None and state is None and self._holds_other_files():
            raise UsageError(f"{self.path}: holds other files: choose an empty folder, or a new one, for --out")
        remove_partial_files(self.path)
        if overwrite or (resume and state is not None and CLEARING in state):
            self.clear()
        elif report is not None:
            if not resume:
                raise UsageError(f"{self.path} is finished: choose another --out, or replace it with --overwrite")
            self._check_same(report.get("identity"), identity)
            shutil.rmtree(self.work, ignore_errors=True)
            return report
        elif state is not None:
            if not resume:
                raise UsageError(
                    f"{self.path} holds an unfinished run: continue with --resume, or start again with --overwrite"
                )
            self._check_same(state, identity)
        write_json(self.state, dict(identity))
        return None

    def _check_same(self, known: Any, identity: Mapping[str, Any]) -> None:
        known = known if isinstance(known, dict) else {}
        other = next((what for what, value in identity.items() if known.get(what) != value), None)
        if other is not None:
            raise UsageError(
                f"--resume: {self.path} was made with {_OTHER[other]}: use the same, or start again with --overwrite"
            )

    def clear(self) -> None:
        """Remove the files of an earlier run, and nothing else. Where that is interrupted, it goes on next time."""
        report = self.finished_report() or {}
        listed = [row.get("name") for row in report.get("clips", []) if isinstance(row, dict)]
        left = (_read(self.state) or {}).get(CLEARING)
        names = {name for name in [*listed, *(left if isinstance(left, list) else [])] if isinstance(name, str)}
        names |= {f"{record.stem}.wav" for record in self.clips.glob("*.json")}
        write_json(self.state, {CLEARING: sorted(names)})  # the folder stays this program's without its report
        try:
            self.report.unlink(missing_ok=True)
            for split in SPLITS:
                for name in ["metadata.jsonl", *names]:
                    if name == "metadata.jsonl" or _CLIP.fullmatch(name):
                        (self.path / split / name).unlink(missing_ok=True)
                with contextlib.suppress(OSError):
                    (self.path / split).rmdir()  # only if it contains nothing else
            for path in self.work.iterdir():
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                elif path != self.state:
                    path.unlink()
        except OSError as error:
            raise VoicecloneError(write_failure(self.path, error)) from error

    def finish(self, splits: Mapping[str, Sequence[Mapping[str, Any]]], report: Mapping[str, Any]) -> None:
        """Put the clips in place, then their metadata, then the report.

        Args:
            splits: the rows of each ``metadata.jsonl``; a split without rows is not made.

        Raises:
            VoicecloneError: the folder cannot be written to.
        """
        try:
            for split, rows in splits.items():
                for row in rows:
                    made, place = self.clips / row["file_name"], self.path / split / row["file_name"]
                    place.parent.mkdir(parents=True, exist_ok=True)
                    if made.exists():  # otherwise a killed run has moved it
                        os.replace(made, place)
        except OSError as error:
            raise VoicecloneError(write_failure(self.path, error)) from error
        for split, rows in splits.items():
            if rows:
                lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
                write_text(self.path / split / "metadata.jsonl", lines)
        write_json(self.report, {"made_by": MADE_BY, **report})
        shutil.rmtree(self.work, ignore_errors=True)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the folder against a second run.

        Raises:
            UsageError: another run is writing here, or it is not a folder.
            VoicecloneError: the folder cannot be written to.
        """
        if self.path.exists() and not self.path.is_dir():
            raise UsageError(f"{self.path}: is a file: choose another --out")
        with held(self.path, instead="--out"):
            yield

    def _holds_other_files(self) -> bool:
        return self.path.is_dir() and any(entry.name != LOCK for entry in self.path.iterdir())


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
