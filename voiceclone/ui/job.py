"""Make one voice in the background: preview, training, comparison. The job continues when the page is closed."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from voiceclone.audio.io import write_wav
from voiceclone.bases.other_systems import is_vits2
from voiceclone.bases.stock_names import AUTO, KOKORO, planned_base
from voiceclone.cloning.folder import RunFolder
from voiceclone.errors import VoicecloneError, shown
from voiceclone.projection.state import load_checkpoint
from voiceclone.ui.clips import make_dataset
from voiceclone.ui.comparison import compare
from voiceclone.ui.events import Snapshot
from voiceclone.ui.first_sound import TEXT, first_voice
from voiceclone.ui.progress import COMPARE, FIRST, FIT_STAGES, STAGES, Gauge, Position
from voiceclone.ui.training import Training

if TYPE_CHECKING:
    from voiceclone.cloning.config import CloneConfig
    from voiceclone.ui.draft import Draft
    from voiceclone.ui.studio import Studio

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.5
RUNNING, DONE, STOPPED, FAILED = "running", "done", "stopped", "failed"
FIRST_FILE, SO_FAR_FILE = "first.wav", "so_far_{}.wav"
RESULT_FILE = "result_{}.wav"


@dataclass(frozen=True, kw_only=True, eq=False)
class JobState:
    """The state of a job as the page shows it."""

    name: str
    outcome: str
    """``running``, ``done``, ``stopped`` or ``failed``."""
    line: str
    """The current activity, or the result."""
    position: Position | None = None
    learnt: bool = False
    """Whether a finished epoch is kept, from which the run can continue."""
    first: Path | None = None
    """Audio of the preview before the training."""
    so_far: Path | None = None
    """Audio of the voice at the latest epoch."""
    target: Path | None = None
    """The recording of the sentence in ``so_far``."""
    snapshot: Snapshot = field(default_factory=Snapshot, repr=False)
    lines: tuple[str, ...] = ()


class Job:
    """One run of one visitor, in its own thread.

    Args:
        studio: synthesises the speech.
        draft: of the visitor.
        config: settings of ``clone``; ``data`` is replaced by a dataset made of the draft's clips.
        resume: continue the unfinished run of that name.
    """

    def __init__(self, studio: Studio, draft: Draft, config: CloneConfig, *, resume: bool) -> None:
        self.studio, self.draft, self.config, self.resume = studio, draft, config, resume
        self.clips = [(draft.path_of(clip), clip.text) for clip in draft.usable()]
        self.folder = RunFolder(config.folder)
        self._training = Training()
        stages = FIT_STAGES if is_vits2(Path(config.base)) else STAGES
        self._gauge = Gauge(clips=len(self.clips), epochs=_planned_epochs(config), stages=stages, resumed=resume)
        self._stage, self._outcome, self._line = FIRST, RUNNING, ""
        self._heard_step, self._reading = -1, threading.Lock()
        self._thread = threading.Thread(target=self._run, name="voiceclone-job", daemon=True)

    def start(self) -> None:
        """Copy the clips and start the thread.

        Raises:
            VoicecloneError: the clips cannot be copied.
        """
        for stale in self.draft.folder.glob("*.wav"):
            if not (self.resume and stale.name == FIRST_FILE):  # the clips are the same
                stale.unlink(missing_ok=True)
        if not self.resume:  # else a run that is stopped early would seem to have kept what an earlier one learnt
            for checkpoint in (self.folder.initial_checkpoint, self.folder.last_checkpoint):
                checkpoint.unlink(missing_ok=True)
        make_dataset(Path(self.config.data), self.clips)
        self._thread.start()

    @property
    def running(self) -> bool:
        """True while the job runs."""
        return self._outcome == RUNNING

    def state(self) -> JobState:
        """The current state. Thread-safe."""
        with self._reading:
            snapshot, lines = self._training.snapshot(), self._training.lines()
            self._keep_sounds(snapshot)
            stage = self._stage if self._stage in (FIRST, COMPARE) else ""
            position = self._gauge.read(stage, lines, snapshot.epochs) if self.running else None
        return JobState(
            name=self.config.name,
            outcome=self._outcome,
            line=self._line or (position.doing if position else ""),
            position=position,
            learnt=self.folder.last_checkpoint.is_file(),
            first=self._there(FIRST_FILE),
            so_far=self._there(SO_FAR_FILE.format(self._heard_step)),
            target=self._there("target.wav"),
            snapshot=snapshot,
            lines=tuple(lines[-12:]),
        )

    def stop(self) -> None:
        """Interrupt the training as Ctrl-C does."""
        self._training.stop()

    def close(self) -> None:
        """Stop the training, wait for the thread, and remove temporary files."""
        self._training.close()
        if self._thread.is_alive():
            self._thread.join(30.0)

    def _run(self) -> None:
        try:
            self._first_sound()
            self._stage = ""
            self._train()
            if self._training.succeeded:
                self._stage = COMPARE
                self._compare()
                self._end(DONE, f"The voice {self.config.name} is ready.")
            elif self._training.stopped:
                self._end(STOPPED, _stopped_line(self._training.snapshot().epochs, self.folder))
            else:
                self._end(FAILED, _failure(self._training.lines()))
        except VoicecloneError as error:
            self._end(FAILED, shown(error))
        except Exception as error:  # the page shows one line; the traceback goes to the terminal
            logger.exception("the run of %s failed", self.config.name)
            self._end(FAILED, f"an unexpected error ended it ({type(error).__name__}): the terminal says more")

    def _first_sound(self) -> None:
        if self._there(FIRST_FILE) is not None:
            return
        try:
            base = self.studio.load_base(self.config.base)
            pack = first_voice(base, [path for path, _ in self.clips])
            if pack is not None and not self._training.stopped:
                self._write(FIRST_FILE, self.studio.audio(TEXT, pack, base=self.config.base))
        except Exception as error:  # the preview is optional: a real fault shows up again in the training
            logger.info("no first sound: %s", error, exc_info=not isinstance(error, VoicecloneError))

    def _train(self) -> None:
        self._training.start(_arguments(self.config, self.studio, self.resume), self.folder.voice, resumed=self.resume)
        while self._training.running:
            threading.Event().wait(POLL_SECONDS)

    def _compare(self) -> None:
        """Compare the finished voice with its recordings; a failure is only logged, the voice itself is complete."""
        try:
            compare(
                self.studio, str(self.folder.voice), heard=lambda n, audio: self._write(RESULT_FILE.format(n), audio)
            )
        except Exception as error:
            unexpected = not isinstance(error, VoicecloneError)
            logger.warning("%s was not compared: %s", self.config.name, error, exc_info=unexpected)

    def _end(self, outcome: str, line: str) -> None:
        with contextlib.suppress(VoicecloneError):
            self.draft.state.run |= {"ended": outcome, "line": line}
            self.draft.save()
        self._line, self._outcome = line, outcome

    def _keep_sounds(self, snapshot: Snapshot) -> None:
        """Copy the training's audio to where the page can serve it."""
        if snapshot.clone is None or snapshot.clone_step == self._heard_step:
            return
        for earlier in self.draft.folder.glob(SO_FAR_FILE.format("*")):
            earlier.unlink(missing_ok=True)
        self._heard_step = snapshot.clone_step
        for name, sound in ((SO_FAR_FILE.format(snapshot.clone_step), snapshot.clone), ("target.wav", snapshot.target)):
            if sound is not None:
                self._write(name, sound[1].astype(np.float32) / 32768.0, sound[0])

    def _write(self, name: str, audio: np.ndarray, rate: int = 24_000) -> None:
        with contextlib.suppress(VoicecloneError):
            write_wav(self.draft.folder / name, audio, rate)

    def _there(self, name: str) -> Path | None:
        path = self.draft.folder / name
        return path if path.is_file() else None


def digest_of(draft: Draft) -> str:
    """Hash of the clips, their texts and the settings. A run is resumed only where it is unchanged."""
    state = draft.state
    told = [state.base, state.seed, state.epochs, *((clip.file, clip.text) for clip in draft.usable())]
    return hashlib.sha256(repr(told).encode()).hexdigest()[:16]


def _planned_epochs(config: CloneConfig) -> int:
    """The number of epochs, for the base that will be loaded."""
    base = planned_base(config.base, offline=config.offline)
    return config.for_base(KOKORO if base in (AUTO, KOKORO) or Path(base).is_file() else "").epochs


def _arguments(config: CloneConfig, studio: Studio, resume: bool) -> list[str]:
    given = {
        "data": config.data, "name": config.name, "out": config.out, "base": config.base, "lang": config.lang,
        "seed": config.seed, "consent": config.consent,
    }  # fmt: skip
    if config.epochs_projection is not None:
        given["epochs-projection"] = config.epochs_projection
    flags = ["--resume"] if resume else ["--overwrite"]
    return [*(f"--{name}={value}" for name, value in given.items()), *flags, *(["--offline"] if studio.offline else [])]


def _stopped_line(epochs: int, folder: RunFolder) -> str:
    """What is kept of a stopped run.

    An epoch is finished with its checkpoint, soon after its number was logged: ``epochs``, the logged one, may be one
    too many, and is used only where the checkpoint cannot be read.
    """
    if not folder.last_checkpoint.is_file():
        return "Stopped before the first round was finished: no training is kept."
    with contextlib.suppress(VoicecloneError):
        epochs = load_checkpoint(folder.last_checkpoint)[0].epoch
    return f"Stopped after round {epochs}. Finished rounds are kept: you can continue from there."


def _failure(lines: list[str]) -> str:
    """The line of the output that gives the reason of the failure."""
    errors = [line for line in lines if line.startswith("error: ")]
    return (errors or lines or ["the training ended without an error message"])[-1].removeprefix("error: ")
