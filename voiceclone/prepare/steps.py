"""The steps of a run, each of which writes a file to the work folder that a resumed run reuses."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voiceclone.alignment.learning import Learned, learn
from voiceclone.alignment.rough_aligner import RoughAligner
from voiceclone.data.recordings import Part, Recording, Script
from voiceclone.files import write_bytes, write_json
from voiceclone.prepare.clips import PlannedClip, write_clips
from voiceclone.prepare.config import PrepareConfig
from voiceclone.prepare.folder import PrepareFolder
from voiceclone.prepare.plan import Planned, plan_recording
from voiceclone.prepare.recognition import load_recogniser, recognise
from voiceclone.prepare.report import clip_row
from voiceclone.prepare.speakers import wrong_speakers
from voiceclone.prepare.subtitles import Cue, parts_of_cues
from voiceclone.prepare.words import CutRules
from voiceclone.tracking.progress import Reporter

if TYPE_CHECKING:
    from voiceclone.nets.resemblyzer import Embed

LITTLE_SECONDS = 60.0
_BATCH_SECONDS = 300.0  # of recordings that are planned between two writes to the work folder


@dataclass(kw_only=True)
class Steps:
    """The steps for one set of recordings, and their notices."""

    recordings: Sequence[Recording]
    config: PrepareConfig
    lang: str
    """Kokoro's language code."""
    folder: PrepareFolder
    embed: Embed | None
    """Speaker embedding of audio; None if the speakers are not checked."""
    reporter: Reporter
    problems: list[tuple[str, str]] = field(default_factory=list)
    """What was skipped: (where, why)."""
    notices: list[str] = field(default_factory=list)

    def notice(self, line: str) -> None:
        """Show a notice, and add it to the report."""
        self.notices.append(line)
        self.reporter.info(line)

    def transcribe(self, model: str) -> Script:
        """The transcripts of the recordings by a faster-whisper model."""
        recogniser = None
        parts: list[Part] = []
        with self._seconds_task("Transcribing") as task:
            for index, recording in enumerate(self.recordings):
                path = self.folder.work / f"transcript-{index:05d}.json"
                cues = _read_json(path)
                if cues is None:
                    recogniser = recogniser or load_recogniser(model)
                    found = recognise(recogniser, recording.path, self.lang, _whole_seconds(task.advance))
                    cues = [[cue.start, cue.end, cue.text] for cue in found]
                    write_json(path, cues)
                spoken = [Cue(start=start, end=end, text=text) for start, end, text in cues]
                if not spoken:
                    self.problems.append((recording.name, "no speech was recognised"))
                parts += parts_of_cues(spoken, index, recording.name)
        return Script(parts=tuple(parts))

    def plan(self, aligner: RoughAligner) -> list[Planned]:
        """The clips of each recording, in the order of the recordings."""
        learned: Learned | None = None
        rules = CutRules(
            min_seconds=self.config.shortest,
            max_seconds=self.config.max_seconds,
            min_ready_seconds=self.config.shortest_ready,
            min_score=self.config.limits.min_score,
            min_weakest=self.config.limits.min_weakest,
        )
        planned: list[Planned] = []
        with self._seconds_task("Aligning") as task:
            advance = _whole_seconds(task.advance)
            for number, batch in enumerate(_batches(self.recordings)):
                path = self.folder.work / f"plan-{number:05d}.json"
                known = _read_json(path)
                if known is not None:
                    planned += [_planned_from(one) for one in known]
                    advance(sum(self.recordings[index].seconds for index in batch))
                    continue
                learned = learned or self._learn(aligner)
                for index in batch:
                    first_word = planned[-1].next_word if planned else 0
                    planned.append(plan_recording(aligner, index, first_word, learned, rules, advance))
                write_json(path, [asdict(one) for one in planned[-len(batch) :]])
        return planned

    def _learn(self, aligner: RoughAligner) -> Learned | None:
        if aligner.lang is None or not (aligner.script.parts or aligner.script.running):
            return None
        path = self.folder.work / "learned.npz"
        if path.is_file():
            return Learned.from_bytes(path.read_bytes())
        self.reporter.info("fitting the phone models to the speaker")
        learned = learn(aligner)
        write_bytes(path, learned.to_bytes())
        return learned

    def warn_of_little(self) -> None:
        """Warn if there is too little speech to detect a wrong text."""
        seconds = sum(recording.seconds for recording in self.recordings)
        if seconds < LITTLE_SECONDS:
            self.notice(f"only {seconds:.0f} s of sound: a wrong text may go unnoticed, so listen to the clips")

    def tell_doubts(self) -> None:
        """Report faults in the audio of the recordings, each kind once."""
        found: dict[str, list[str]] = {}
        for recording in self.recordings:
            for doubt in recording.doubts:
                found.setdefault(doubt.split(": ")[0], []).append(f"{recording.name[:80]}: {doubt.split(': ', 1)[1]}")
        for reason, where in found.items():
            self.notice(f"{len(where)} of {len(self.recordings)} recordings: {reason} ({where[0]})")

    def cut(self, clips: Sequence[PlannedClip]) -> list[dict[str, Any]]:
        """Write the clips that are to be cut into the work folder; a row of the report for every planned clip."""
        figures: dict[str, dict[str, Any]] = {}
        named = [clip for clip in clips if clip.name is not None]
        with self.reporter.task("Cutting", total=len(named), unit="clip") as task:
            for index, recording in enumerate(self.recordings):
                own = [clip for clip in named if clip.recording == index]
                if not own:
                    continue
                for clip, record in write_clips(
                    recording.path, own, self.folder.clips, loudness=self.config.loudness,
                    limits=self.config.limits, embed=self.embed,
                ):  # fmt: skip
                    figures[str(clip.name)] = record
                    task.advance()
        vectors = {name: record.pop("speaker_vector", None) for name, record in figures.items()}
        usable = {name: vectors[name] for name, record in figures.items() if record["problem"] is None}
        if self.embed is None:
            self.notice(
                "the speaker of each clip was not checked: `pip install --no-deps resemblyzer`, to have it done"
            )
        likeness = wrong_speakers(usable)
        return [
            clip_row(
                clip,
                self.recordings[clip.recording].name,
                figures.get(clip.name or "", {}),
                likeness.get(clip.name or ""),
            )
            for clip in clips
        ]

    def _seconds_task(self, label: str) -> Any:
        return self.reporter.task(label, total=math.ceil(sum(r.seconds for r in self.recordings)), unit="second")


def _batches(recordings: Sequence[Recording]) -> list[list[int]]:
    """Indices of recordings in order, in groups of some minutes."""
    batches: list[list[int]] = []
    seconds = math.inf
    for index, recording in enumerate(recordings):
        if seconds >= _BATCH_SECONDS:
            batches.append([])
            seconds = 0.0
        batches[-1].append(index)
        seconds += recording.seconds
    return batches


def _whole_seconds(advance: Callable[[int], None]) -> Callable[[float], None]:
    """Accumulate seconds, and report whole ones."""
    total = told = 0.0

    def count(seconds: float) -> None:
        nonlocal total, told
        total += seconds
        if int(total) > told:
            advance(int(total) - int(told))
            told = int(total)

    return count


def _planned_from(known: dict[str, Any]) -> Planned:
    clips = tuple(PlannedClip(**clip) for clip in known["clips"])
    return Planned(**{**known, "clips": clips, "unread": tuple(known["unread"])})


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
