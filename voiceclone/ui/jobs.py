"""The runs of the page: one at a time, each associated with the visitor who started it."""

from __future__ import annotations

import threading
from datetime import date
from typing import TYPE_CHECKING

from voiceclone.cloning.config import CloneConfig
from voiceclone.cloning.folder import RunFolder
from voiceclone.errors import UsageError
from voiceclone.ui.clips import MIN_CLIPS
from voiceclone.ui.consent import consent_text
from voiceclone.ui.draft import Draft
from voiceclone.ui.job import DONE, FAILED, STOPPED, Job, JobState, digest_of

if TYPE_CHECKING:
    from voiceclone.ui.studio import Studio

DATASETS = "datasets"  # subfolder of the output folder with the recordings of each voice, by name
INTERRUPTED = "The page was closed during the training. "
KEPT = "Finished rounds are kept: you can continue from there."
NOT_KEPT = "No round was finished: the training begins anew."


class Jobs:
    """The runs of a page."""

    def __init__(self, studio: Studio) -> None:
        self._studio, self._lock = studio, threading.Lock()
        self._jobs: dict[str, Job] = {}

    def start(self, draft: Draft, *, resume: bool = False) -> Job:
        """Start the run that makes the voice of a draft.

        Raises:
            UsageError: another run is active, input is missing, or the name is taken.
        """
        with self._lock:
            if (other := self.running()) is not None:
                mine = other.draft.token == draft.token
                raise UsageError(
                    "your voice is being made already"
                    if mine
                    else "another voice is being made: try again when it is done"
                )
            config = self._config(draft)
            # Before the first round the checkpoint holds the alignment of the clips, which need not be computed again.
            resume = resume and _is_of(draft) and RunFolder(config.folder).checkpoint.is_file()
            job = Job(self._studio, draft, config, resume=resume)
            job.start()
            draft.state.run = {"name": config.name, "clips": digest_of(draft), "ended": ""}
            draft.state.step = 4
            draft.save()
            self._jobs[draft.token] = job
            return job

    def running(self) -> Job | None:
        """The active run, or None."""
        return next((job for job in self._jobs.values() if job.running), None)

    def of(self, draft: Draft) -> Job | None:
        """The run that a visitor started since the server was started, or None."""
        return self._jobs.get(draft.token)

    def state(self, draft: Draft) -> JobState | None:
        """State of a visitor's run, also of one from before the server was restarted.

        None where there is none, or clips or settings were changed since: the next run will be another.
        """
        if (job := self.of(draft)) is not None:
            return job.state()
        run = draft.state.run
        if not run.get("name"):
            return None
        folder = RunFolder(self._studio.out / run["name"])
        first = draft.folder / "first.wav"
        known = {"name": run["name"], "first": first if first.is_file() else None}
        if folder.is_finished():
            return JobState(outcome=DONE, line=f"The voice {run['name']} is ready.", **known)
        if run.get("ended") == FAILED:
            return JobState(outcome=FAILED, line=run.get("line", ""), **known)
        if not folder.path.is_dir() or not _is_of(draft):  # a folder that is gone was deleted in the library
            return None
        learnt = folder.last_checkpoint.is_file()
        line = run.get("line") or INTERRUPTED + (KEPT if learnt else NOT_KEPT)
        return JobState(outcome=STOPPED, line=line, learnt=learnt, **known)

    def forget(self, draft: Draft) -> None:
        """Forget a visitor's finished run, so that a new voice can be made.

        Raises:
            UsageError: the run is still active.
        """
        job = self.of(draft)
        if job is not None and job.running:
            raise UsageError("your voice is being made: stop that first")
        self._jobs.pop(draft.token, None)

    def close(self) -> None:
        """Stop the active run."""
        for job in list(self._jobs.values()):
            job.close()

    def _config(self, draft: Draft) -> CloneConfig:
        """The settings of ``clone`` for a draft.

        Raises:
            UsageError: input is missing, or the name is taken.
        """
        state = draft.state
        if len(draft.usable()) < MIN_CLIPS:
            raise UsageError(
                f"{len(draft.usable())} clips can be used: give at least {MIN_CLIPS} good ones with their texts"
            )
        consent = consent_text(state.person, state.agreed, date.today())
        check_new_name(self._studio, draft, state.name)
        return CloneConfig(
            data=str(self._studio.out / DATASETS / state.name),
            name=state.name,
            out=str(self._studio.out),
            base=state.base or self._studio.base,
            lang=self._studio.lang,
            epochs_projection=state.epochs,
            seed=state.seed,
            consent=consent,
            offline=self._studio.offline,
        )


def _is_of(draft: Draft) -> bool:
    """Whether the visitor's last run was made with the present name, clips and settings."""
    run = draft.state.run
    return run.get("name") == draft.state.name and run.get("clips") == digest_of(draft)


def check_new_name(studio: Studio, draft: Draft, name: str) -> None:
    """Check the name of a new voice.

    Raises:
        UsageError: the name is not valid, or another voice has it.
    """
    if not name:
        raise UsageError("the voice has no name yet: write one down")
    CloneConfig(data="", name=name)
    if name in (DATASETS,):
        raise UsageError(f"the voice cannot be called {name}: choose another name")
    own = draft.state.run.get("name") == name
    if not own and (studio.out / name).exists():
        raise UsageError(f"there is a voice {name} already: choose another name")
