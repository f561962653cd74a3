"""What one visitor has given so far: clips, texts, consent, settings. It lies on disk, so that a reload loses nothing.

A visitor is known by a random token that only this browser keeps; nobody else can name the visitor's folder.
"""

from __future__ import annotations

import json
import re
import secrets
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from voiceclone.errors import UsageError
from voiceclone.files import atomic_path, write_json
from voiceclone.ui.clip_words import UNFIT, judge_clip

DRAFTS = ".drafts"  # in the output folder
MAX_CLIPS = 300  # of one visitor
MAX_TOTAL_BYTES = 2_000_000_000  # of one visitor's clips
MAX_FILE_BYTES = 500_000_000  # of one upload
MAX_DAYS = 30  # after which a visitor's clips are removed
MAX_TEXT = 2_000  # characters of one transcript
_TOKEN = re.compile(r"[A-Za-z0-9_-]{24}")
_STATE = "draft.json"


@dataclass(kw_only=True)
class Clip:
    """A clip and what is said in it."""

    file: str
    """Name within the visitor's folder of clips."""
    label: str
    """What the visitor called it."""
    text: str = ""
    grade: str = ""
    words: str = ""
    """The verdict on its quality."""
    seconds: float = 0.0

    @property
    def usable(self) -> bool:
        """Whether it can be trained on: its sound is fit, and its text is known."""
        return self.grade != UNFIT and bool(self.text.strip())


@dataclass(kw_only=True)
class State:
    """Everything but the sound."""

    clips: list[Clip] = field(default_factory=list)
    step: int = 1
    """The step last shown, 1 to 5."""
    name: str = ""
    """Of the voice."""
    person: str = ""
    """Who agreed to the cloning."""
    agreed: bool = False
    base: str = ""
    """Empty: that of the page."""
    epochs: int | None = None
    """None: the default."""
    seed: int = 0
    run: dict[str, Any] = field(default_factory=dict)
    """``name``, ``clips`` (a digest) and ``ended`` of the run that this visitor started."""


class Draft:
    """One visitor's folder; nothing is written before the first clip is there."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.lock = folder, threading.RLock()
        self.state = _read_state(folder / _STATE)

    @property
    def token(self) -> str:
        """What the visitor's browser knows it by."""
        return self.folder.name

    @property
    def clips(self) -> list[Clip]:
        """In the order in which they came."""
        return self.state.clips

    def path_of(self, clip: Clip) -> Path:
        """The file of a clip."""
        return self.folder / "clips" / clip.file

    def usable(self) -> list[Clip]:
        """The clips that can be trained on."""
        return [clip for clip in self.clips if clip.usable]

    def save(self) -> None:
        """Write the state down."""
        with self.lock:
            write_json(self.folder / _STATE, asdict(self.state))

    def add(self, source: Path, label: str, text: str) -> Clip:
        """Copy a sound file in and judge it; :meth:`save` is left to the caller.

        Raises:
            UsageError: there are too many clips, or they are too large.
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
            clip = Clip(file=f"clip_{number:03d}{source.suffix.lower()}", label=label[:80], text=" ".join(text.split()))
            with atomic_path(self.path_of(clip)) as temporary:
                shutil.copyfile(source, temporary)
            verdict = judge_clip(self.path_of(clip))
            clip.grade, clip.words, clip.seconds = verdict.grade, verdict.words, round(verdict.seconds, 2)
            self.clips.append(clip)
            return clip

    def remove(self, clip: Clip) -> None:
        """Take a clip out, its file too."""
        with self.lock:
            self.state.clips = [other for other in self.clips if other is not clip]
            self.path_of(clip).unlink(missing_ok=True)
            self.save()

    def clear(self) -> None:
        """Begin anew; the voices that were made stay."""
        with self.lock:
            self.state = State()
            shutil.rmtree(self.folder, ignore_errors=True)


class Drafts:
    """The visitors of an output folder."""

    def __init__(self, out: Path) -> None:
        self.folder = Path(out) / DRAFTS
        self._open: dict[str, Draft] = {}
        self._lock = threading.Lock()

    def of(self, token: object) -> Draft:
        """The draft of a visitor; an unknown visitor gets an empty one, and with it a new token."""
        with self._lock:
            known = isinstance(token, str) and _TOKEN.fullmatch(token)
            if known and token in self._open:
                return self._open[token]
            if not (known and (self.folder / str(token) / _STATE).is_file()):
                token = secrets.token_urlsafe(18)
            self._open[token] = Draft(self.folder / token)
            return self._open[token]

    def sweep(self, now: float | None = None) -> None:
        """Remove what visitors left more than :data:`MAX_DAYS` days ago."""
        oldest = (time.time() if now is None else now) - MAX_DAYS * 86_400
        for path in self._on_disk():
            if path.stat().st_mtime < oldest:
                shutil.rmtree(path.parent, ignore_errors=True)

    def _on_disk(self) -> Iterator[Path]:
        yield from self.folder.glob(f"*/{_STATE}")


def _read_state(path: Path) -> State:
    """The state on disk; an empty one where there is none or it is damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        clips = [Clip(**clip) for clip in content.pop("clips", [])]
        known = {one.name for one in fields(State)}
        return State(clips=clips, **{key: value for key, value in content.items() if key in known})
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return State()
