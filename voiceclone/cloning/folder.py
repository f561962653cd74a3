"""The folder of a run: its files, its lock, and whether the run is finished."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from voiceclone.cloning.report import CloneReport
from voiceclone.errors import UsageError, VoicecloneError
from voiceclone.files import LOCK, held, remove_partial_files
from voiceclone.projection.state import INITIAL, LAST, TrainingState, load_checkpoint


@dataclass(frozen=True)
class RunFolder:
    """``OUT/NAME``. A voice is finished when both the voice file and its report exist; the report is written last."""

    path: Path

    @property
    def name(self) -> str:
        """Name of the voice."""
        return self.path.name

    @property
    def voice(self) -> Path:
        """The voice file."""
        return self.path / f"{self.name}.pt"

    @property
    def candidates(self) -> Path:
        """The reference voices of the clone (best stock voice, blend, zero-shot), for ``evaluate``."""
        return self.path / "artifacts" / "candidates.safetensors"

    @property
    def artifacts(self) -> Path:
        """Projection weights, style vectors, base vector, config, metrics."""
        return self.path / f"{self.name}_artifacts.pt"

    @property
    def report(self) -> Path:
        """The report; written last."""
        return self.path / "report.json"

    @property
    def initial_checkpoint(self) -> Path:
        """Checkpoint before the first epoch: alignment and initialization."""
        return self.path / "checkpoints" / INITIAL

    @property
    def last_checkpoint(self) -> Path:
        """Checkpoint of the last finished epoch."""
        return self.path / "checkpoints" / LAST

    @property
    def checkpoint(self) -> Path:
        """The checkpoint to resume from; need not exist."""
        return self.last_checkpoint if self.last_checkpoint.exists() else self.initial_checkpoint

    def test_wav(self, number: int) -> Path:
        """The ``number``-th synthesised test sentence."""
        return self.path / f"{self.name}_test_{number}.wav"

    def is_finished(self) -> bool:
        """True where the folder contains a finished voice."""
        return self.voice.is_file() and self.report.is_file()

    def read_report(self) -> CloneReport:
        """The report of a finished voice."""
        try:
            return cast(CloneReport, json.loads(self.report.read_text(encoding="utf-8")))
        except (OSError, ValueError, RecursionError) as error:
            raise VoicecloneError(f"{self.report} cannot be read: start again with --overwrite") from error

    def check_free(self, *, resume: str | None, overwrite: bool) -> None:
        """Check that the folder contains nothing that would be overwritten without permission.

        Raises:
            UsageError: it contains a voice or an unfinished run.
        """
        if overwrite or resume == "auto":
            return
        if self.is_finished():
            raise UsageError(f"{self.voice} is finished: choose another --name, or replace it with --overwrite")
        if resume is None and (self.checkpoint.exists() or self.voice.exists()):
            raise UsageError(
                f"{self.path} holds an unfinished run: continue with --resume, or start again with --overwrite"
            )

    def clear(self) -> None:
        """Delete an unfinished run. A finished voice stays until the new one replaces it."""
        for path in (self.report, self.initial_checkpoint, self.last_checkpoint):
            path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the folder against a second run, and delete temporary files of a killed one.

        Raises:
            UsageError: another run is writing here.
            VoicecloneError: the folder cannot be written.
        """
        with held(self.path, instead="--name"):
            remove_partial_files(self.path)
            yield

    def tidy(self) -> None:
        """Remove the lock file left by a run that was killed after its last write.

        Raises:
            UsageError: another run is writing here.
        """
        if (self.path / LOCK).exists():
            with self.locked():
                pass

    def resume_state(self, resume: str, identity: Mapping[str, str]) -> TrainingState | None:
        """The state to resume from; None where ``auto`` finds none.

        Raises:
            UsageError: the checkpoint belongs to another dataset, base or settings.
        """
        path = self.checkpoint if resume == "auto" else Path(resume)
        if not path.is_file():
            if resume == "auto":
                return None
            raise UsageError(f"--resume {path}: no such checkpoint")
        state, found = load_checkpoint(path)
        for what, value in identity.items():
            if found.get(what) != value:
                raise UsageError(
                    f"--resume: {path} was made with a different {what}: use that one, or start again with --overwrite"
                )
        return state
