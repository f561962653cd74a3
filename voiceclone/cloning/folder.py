"""The folder of a run: its files, its lock, and whether the run is finished."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from voiceclone.cloning.report import CloneReport
from voiceclone.errors import UsageError, VoicecloneError
from voiceclone.files import LOCK, TEMPORARY_PREFIX, held, remove_partial_files, write_failure
from voiceclone.projection.state import INITIAL, LAST, TrainingState, load_checkpoint
from voiceclone.voice.expressive import deviations_beside
from voiceclone.voice.library import EVALUATION, EVALUATION_PAGE, is_evaluation

if TYPE_CHECKING:
    from voiceclone.voice.pack import VoicePack

TEST_WAVS = 3
"""Number of test sentences that a run synthesises at most."""
_CONFIGS = ({"data", "name", "lr_projection"}, {"clips", "name", "base", "consent"})
"""Keys of the settings of a clone and of a zero-shot voice."""
_CARD_BEGINS = "---\ntags:\n- kokoro\n- text-to-speech\n- voice\n"  # as written by voiceclone.voice.card


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
    def card(self) -> Path:
        """The model card."""
        return self.path / "README.md"

    @property
    def figure(self) -> Path:
        """The curves of the training."""
        return self.path / "training.png"

    @property
    def config(self) -> Path:
        """The settings of the run."""
        return self.path / "config.json"

    @property
    def dataset_report(self) -> Path:
        """The clips of the run, and why some are left out."""
        return self.path / "dataset_report.json"

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
        """Delete the state of an earlier run. Its voice, and what describes it, stay until the new one replaces it."""
        for path in (self.report, self.initial_checkpoint, self.last_checkpoint, self.dataset_report):
            path.unlink(missing_ok=True)
        if _is_config(self.config):
            self.config.unlink()

    def put_voice(self, voice: VoicePack) -> None:
        """Save the voice, and delete what describes the one that it replaces; the caller then writes that anew.

        Other commands would take those files for the new voice's: ``fidelity`` the artifacts, ``say --expressive`` the
        deviations, ``evaluate`` the candidates, ``voices`` the evaluation. Until now they belong to the old voice,
        which stays whole where the new run fails. So the new voice is written aside before any of them is deleted: a
        full disk ends the run there, and all that is left to do then is a rename. Logs (TensorBoard, W&B) and files
        that no run writes are kept.

        Raises:
            VoicecloneError: the folder cannot be written to or the disk is full.
        """
        aside = self.path / f"{TEMPORARY_PREFIX}{self.voice.name}"
        voice.save(aside)
        try:
            for path in self._of_the_voice():
                path.unlink(missing_ok=True)
            os.replace(aside, self.voice)
        except OSError as error:
            raise VoicecloneError(write_failure(self.voice, error)) from error
        finally:
            aside.unlink(missing_ok=True)

    def _of_the_voice(self) -> Iterator[Path]:
        """The outputs that describe the voice; those with common names only where a run or ``evaluate`` wrote them."""
        yield from (self.report, self.artifacts, self.candidates, deviations_beside(self.voice))
        yield from map(self.test_wav, range(1, TEST_WAVS + 1))
        if is_card(self.card):
            yield from (self.card, self.figure)
        if is_evaluation(self.path / EVALUATION):
            yield from (self.path / EVALUATION, self.path / EVALUATION_PAGE)

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


def _is_config(path: Path) -> bool:
    """Whether a file holds the settings of a run."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(content, dict) and any(keys <= set(content) for keys in _CONFIGS)


def is_card(path: Path) -> bool:
    """Whether a file is the model card of a voice."""
    try:
        with path.open(encoding="utf-8") as file:
            return file.read(len(_CARD_BEGINS)) == _CARD_BEGINS
    except (OSError, ValueError):
        return False
