"""The runs of the page: one at a time, each associated with the visitor who started it."""

from __future__ import annotations

import contextlib
import secrets
import threading
from datetime import date
from typing import TYPE_CHECKING

from voiceclone.cloning.config import CloneConfig, check_name
from voiceclone.cloning.folder import RunFolder
from voiceclone.errors import UsageError, VoicecloneError, shown
from voiceclone.ui.clips import MIN_CLIPS
from voiceclone.ui.consent import consent_text
from voiceclone.ui.draft import Draft
from voiceclone.ui.job import DONE, FAILED, STOPPED, Job, JobState, digest_of
from voiceclone.ui.names import DATASETS, check_new_name, claim, is_claimed

if TYPE_CHECKING:
    from voiceclone.ui.studio import Studio

INTERRUPTED = "The page was closed during the training. "
KEPT = "Finished rounds are kept: you can continue from there."
NOT_KEPT = "No round was finished: the training begins anew."
GONE = "The voice was renamed or deleted in the library meanwhile."


class Jobs:
    """The runs of a page."""

    def __init__(self, studio: Studio) -> None:
        self._studio, self._lock = studio, threading.Lock()
        self._jobs: dict[str, Job] = {}

    def start(self, draft: Draft, *, resume: bool = False) -> Job:
        """Start the run that makes the voice of a draft.

        Raises:
            UsageError: another run is active, input is missing, or the name is taken.
            VoicecloneError: the clips cannot be copied.
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
            self._claim(draft, config.name)
            self._jobs.pop(draft.token, None)
            job = Job(self._studio, draft, config, resume=resume)
            try:
                job.start()
            except VoicecloneError as error:
                draft.state.run |= {"ended": FAILED, "line": shown(error)}
                with contextlib.suppress(VoicecloneError):
                    draft.save()
                raise
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
        run, job = draft.state.run, self.of(draft)
        if job is not None and job.running:
            return job.state()
        if not run.get("name") or not _is_own(self._studio, draft, run["name"]):  # another voice may have the name now
            return None if job is None else JobState(name=job.config.name, outcome=STOPPED, line=GONE)
        if job is not None:
            return job.state()
        folder = RunFolder(self._studio.out / run["name"])
        first = draft.folder / "first.wav"
        known = {"name": run["name"], "first": first if first.is_file() else None}
        if folder.is_finished():
            return JobState(outcome=DONE, line=f"The voice {run['name']} is ready.", **known)
        if run.get("ended") == FAILED:
            return JobState(outcome=FAILED, line=run.get("line", ""), **known)
        if not _is_of(draft):
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

    def _claim(self, draft: Draft, name: str) -> None:
        """Keep the name for the draft's run, also if it ends before it has written anything.

        Raises:
            UsageError: another voice has got the name meanwhile.
            VoicecloneError: the disk cannot be written to.
        """
        own = _is_own(self._studio, draft, name)
        token = draft.state.run.get("token") or secrets.token_hex(16)
        draft.state.run = {"name": name, "clips": digest_of(draft), "ended": "", "token": token}
        draft.state.step = 4
        draft.save()  # before the claim: a name claimed with a token that nobody has would be lost to all visitors
        if not own:
            claim(self._studio.out, name, token)

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
        check_draft_name(self._studio, draft, state.name)
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


def _is_own(studio: Studio, draft: Draft, name: str) -> bool:
    """Whether ``OUT/NAME`` was made by a run of the visitor, and not by another's of the same name."""
    return is_claimed(studio.out, name, draft.state.run.get("token", ""))


def check_draft_name(studio: Studio, draft: Draft, name: str) -> None:
    """Check the name that a visitor chose; a voice of the visitor's own runs may be made again.

    Raises:
        UsageError: the name is missing or not valid, or another voice has it.
    """
    if not name:
        raise UsageError("the voice has no name yet: write one down")
    check_name(name)
    if not _is_own(studio, draft, name):
        check_new_name(studio.out, name)
