"""The input of one visitor: clips, texts, consent and settings, stored on disk so that a reload keeps them.

Each visitor is identified by a random token that is stored in the browser. The folder is named after it, so that other
visitors cannot open the folder.
"""

from __future__ import annotations

import contextlib
import json
import re
import secrets
import shutil
import threading
import time
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from voiceclone.errors import UsageError
from voiceclone.files import atomic_path, write_json
from voiceclone.ui.clip_words import UNFIT, judge_clip

DRAFTS = ".drafts"  # subfolder of the output folder
MAX_CLIPS = 300  # clips of one visitor
MAX_TOTAL_BYTES = 2_000_000_000  # total size of one visitor's clips, in bytes
MAX_FILE_BYTES = 500_000_000  # size of one upload, in bytes
MAX_DAYS = 30  # age in days after which a visitor's clips are deleted
MAX_TEXT = 2_000  # characters of one transcript
_TOKEN = re.compile(r"[A-Za-z0-9_-]{24}")
_STATE = "draft.json"


@dataclass(kw_only=True)
class DraftClip:
    """An audio clip and its transcript."""

    file: str
    """File name in the visitor's folder of clips."""
    label: str
    """Original file name, or the number of the sentence."""
    text: str = ""
    grade: str = ""
    words: str = ""
    """The verdict on its quality."""
    seconds: float = 0.0

    @property
    def usable(self) -> bool:
        """True where the clip can be used for training: its grade is not ``unfit`` and it has a transcript."""
        return self.grade != UNFIT and bool(self.text.strip())


@dataclass(kw_only=True)
class State:
    """Everything that is stored about a visitor except the audio."""

    clips: list[DraftClip] = field(default_factory=list)
    step: int = 1
    """The step shown last, 1 to 5."""
    name: str = ""
    """Name of the voice."""
    person: str = ""
    """Name of the speaker, who agreed to the cloning."""
    agreed: bool = False
    base: str = ""
    """Base model; empty for the page's own."""
    epochs: int | None = None
    """Number of epochs; None for the default of the base."""
    seed: int = 0
    run: dict[str, Any] = field(default_factory=dict)
    """``name``, ``clips`` (a digest) and ``ended`` of the run that this visitor started, and the ``token`` with which
    the visitor's runs claim names."""


class Draft:
    """The folder of one visitor. Nothing is written before the first clip arrives."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.lock = folder, threading.RLock()
        self.state = _read_state(folder / _STATE)

    @property
    def token(self) -> str:
        """The random token that identifies the visitor's browser."""
        return self.folder.name

    @property
    def clips(self) -> list[DraftClip]:
        """The clips in order of arrival."""
        return self.state.clips

    def path_of(self, clip: DraftClip) -> Path:
        """Path of a clip's audio file."""
        return self.folder / "clips" / clip.file

    def usable(self) -> list[DraftClip]:
        """The clips that can be used for training."""
        return [clip for clip in self.clips if clip.usable]

    def save(self) -> None:
        """Write the state to disk."""
        with self.lock:
            write_json(self.folder / _STATE, asdict(self.state))

    def add(self, source: Path, label: str, text: str) -> DraftClip:
        """Copy an audio file into the folder and grade it. The caller has to call :meth:`save`.

        Args:
            source: the audio file.
            label: name to show for the clip.
            text: its transcript, or empty.

        Raises:
            UsageError: there are too many clips, or their total size is too large.
        """
        with self.lock:
            if len(self.clips) >= MAX_CLIPS:
                raise UsageError(f"{MAX_CLIPS} clips are the most that the page takes: use voiceclone clone for more")
            size = sum(self.path_of(clip).stat().st_size for clip in self.clips if self.path_of(clip).is_file())
            if size + source.stat().st_size > MAX_TOTAL_BYTES:
                raise UsageError(
                    f"the clips have more than {MAX_TOTAL_BYTES // 10**9} GB: use voiceclone clone for them"
                )
            taken = {clip.file for clip in self.clips}
            number = next(n for n in range(1, MAX_CLIPS + 2) if f"clip_{n:03d}" not in {Path(t).stem for t in taken})
            clip = DraftClip(
                file=f"clip_{number:03d}{source.suffix.lower()}", label=label[:80], text=" ".join(text.split())
            )
            with atomic_path(self.path_of(clip)) as temporary:
                shutil.copyfile(source, temporary)
            verdict = judge_clip(self.path_of(clip))
            clip.grade, clip.words, clip.seconds = verdict.grade, verdict.words, round(verdict.seconds, 2)
            self.clips.append(clip)
            return clip

    def remove(self, clip: DraftClip) -> None:
        """Remove a clip and its file."""
        with self.lock:
            self.state.clips = [other for other in self.clips if other is not clip]
            self.path_of(clip).unlink(missing_ok=True)
            self.save()

    def clear(self) -> None:
        """Delete the input. Finished voices are kept."""
        with self.lock:
            self.state = State()
            shutil.rmtree(self.folder, ignore_errors=True)


class Drafts:
    """The folders of all visitors in an output folder."""

    def __init__(self, out: Path) -> None:
        self.folder = Path(out) / DRAFTS
        self._open: dict[str, Draft] = {}
        self._lock = threading.Lock()

    def of(self, token: object) -> Draft:
        """The draft for a token. Without a valid one it is an empty draft with a new token.

        A valid token that is not known is that of a page which was opened before the server started and has stored
        nothing yet: it keeps it, since the browser does not ask for another.
        """
        with self._lock:
            name = token if isinstance(token, str) and _TOKEN.fullmatch(token) else None
            if name in self._open:
                return self._open[name]
            if name is None:
                name = secrets.token_urlsafe(18)
            self._open[name] = Draft(self.folder / name)
            return self._open[name]

    def sweep(self, now: float | None = None) -> None:
        """Delete drafts that were not changed for :data:`MAX_DAYS` days. ``now`` is in seconds since the epoch."""
        oldest = (time.time() if now is None else now) - MAX_DAYS * 86_400
        for folder in self.folder.glob("*"):
            state = folder / _STATE  # missing where the page was killed while the first clip arrived
            with contextlib.suppress(FileNotFoundError):
                if (state if state.exists() else folder).stat().st_mtime < oldest:
                    shutil.rmtree(folder, ignore_errors=True)
        with self._lock:
            self._open = {token: draft for token, draft in self._open.items() if draft.folder.exists()}


def _read_state(path: Path) -> State:
    """Read the state from disk; an empty one where the file is missing or damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        clips = [DraftClip(**clip) for clip in content.pop("clips", [])]
        known = {one.name for one in fields(State)}
        return State(clips=clips, **{key: value for key, value in content.items() if key in known})
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return State()
