"""From recordings to a dataset folder: cut, checked, levelled, split; see docs/prepare.md."""

from __future__ import annotations

import hashlib
import json
import logging
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from voiceclone import __version__
from voiceclone.data.dataset import VALIDATION_SHARE, hold_out
from voiceclone.data.metadata import SPLITS
from voiceclone.data.prepare_clips import ClipLimits, Embed, PlannedClip, write_clips
from voiceclone.data.prepare_ear import Ear
from voiceclone.data.prepare_folder import PrepareFolder
from voiceclone.data.prepare_learning import Learned, learn
from voiceclone.data.prepare_plan import Planned, plan_recording
from voiceclone.data.prepare_reading import ESPEAK_VOICES
from voiceclone.data.prepare_recognition import load_recogniser, recognise, require_recognition
from voiceclone.data.prepare_sources import Recording, check_apart, find_recordings, recordings_of_metadata
from voiceclone.data.prepare_speakers import load_embedder, wrong_speakers
from voiceclone.data.prepare_words import CutRules
from voiceclone.data.subtitles import Cue, parts_of_cues, script_of_subtitles
from voiceclone.data.transcripts import Part, Script, script_of_text
from voiceclone.errors import UsageError, VoicecloneError
from voiceclone.files import sha256_of, write_bytes, write_json
from voiceclone.text.g2p import language_code
from voiceclone.tracking.progress import Reporter

logger = logging.getLogger(__name__)

_BATCH_SECONDS = 300.0  # of recordings planned between two files of the work folder
TRANSCRIPTS = ("text", "subtitles", "metadata", "transcribe")


@dataclass(frozen=True, kw_only=True)
class PrepareConfig:
    """Settings of ``prepare``; exactly one of the first four is given."""

    text: Path | None = None
    """Text file, or a folder of ``NAME.txt``."""
    subtitles: Path | None = None
    """SRT or WebVTT file, or a folder of them."""
    metadata: Path | None = None
    """``metadata.csv`` or ``metadata.jsonl`` of clips that are cut already."""
    transcribe: str | None = None
    """Name or folder of a faster-whisper model."""
    lang: str = "a"
    """Kokoro's language code."""
    speaker: str | None = None
    """Written into every row of the metadata."""
    validation: float = VALIDATION_SHARE
    """Share of the clips, 0 to 0.5."""
    seed: int = 0
    """Chooses the clips for validation."""
    min_seconds: float = 3.0
    """Shortest clip that is cut."""
    max_seconds: float = 12.0
    min_ready_seconds: float = 1.0
    """Shortest of the clips that come cut."""
    loudness: float = -23.0
    """Integrated loudness of every clip, LUFS (ITU-R BS.1770-4)."""
    resume: bool = False
    overwrite: bool = False
    limits: ClipLimits = field(default_factory=ClipLimits)

    def __post_init__(self) -> None:
        given = [f"--{name}" for name in TRANSCRIPTS if getattr(self, name) is not None]
        if len(given) != 1:
            found = "none is given" if not given else f"{' and '.join(given)} are given"
            raise UsageError(
                f"say what is spoken by one of --text, --subtitles, --metadata and --transcribe: {found}"
            )  # fmt: skip
        for name, low, high in (
            ("min_seconds", 0.8, 30.0),
            ("max_seconds", 1.0, 30.0),
            ("min_ready_seconds", 0.8, 30.0),
            ("validation", 0.0, 0.5),
            ("loudness", -40.0, -10.0),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise UsageError(f"--{name.replace('_', '-')} {value:g}: give a number from {low:g} to {high:g}")
        if self.max_seconds < 1.5 * self.min_seconds:
            raise UsageError(
                f"--max-seconds {self.max_seconds:g} must be at least one and a half times --min-seconds"
                f" {self.min_seconds:g}: pauses do not come where they are wanted"
            )
        if not 0 <= self.seed < 2**32:
            raise UsageError(f"--seed {self.seed}: give a number from 0 to {2**32 - 1}")
        if self.resume and self.overwrite:
            raise UsageError("--resume and --overwrite: choose one")
        if self.speaker is not None and not self.speaker.strip():
            raise UsageError("--speaker: give a name")


def prepare_dataset(
    sources: Sequence[Path | str], out: Path | str, config: PrepareConfig, reporter: Reporter | None = None
) -> dict[str, Any]:
    """Make a dataset folder of recordings; the report, which lies in ``OUT/prepare_report.json``, is returned.

    The same sources and settings give the same files, byte for byte, however often the run was interrupted.

    Raises:
        UsageError: a path or setting is wrong, or ``out`` holds other work.
        VoicecloneError: nothing usable was found (the report says why), or a file cannot be read or written.
    """
    reporter = reporter or Reporter(verbosity=-1)
    lang = language_code(config.lang)
    if config.transcribe is not None:
        require_recognition()
    paths = [Path(source) for source in sources]
    recordings, script, problems = _read_sources(paths, config)
    folder = PrepareFolder(Path(out))
    check_apart(folder.path, paths)
    embedder = load_embedder()
    identity = _identity(recordings, script, config, lang, embedder is not None, reporter)
    with folder.locked():
        done = folder.open(identity, resume=config.resume, overwrite=config.overwrite)
        if done is None:
            run = _Run(recordings, script, config, lang, folder, embedder, reporter, problems)
            done = run.work(identity)
        else:
            reporter.info(f"{folder.path} is finished")
    if not done["summary"]["kept_clips"]:
        dropped = [row for row in done["clips"] if row["reason"]]
        first = f" (first: {dropped[0]['source']}: {dropped[0]['reason']})" if dropped else ""
        raise VoicecloneError(f"no usable clip{first}: {folder.report} lists every clip with its reason")
    return done


def _read_sources(paths: Sequence[Path], config: PrepareConfig) -> tuple[list[Recording], Script, list]:
    if not paths:
        raise UsageError("SOURCE: name at least one recording or folder")
    if config.metadata is not None:
        if len(paths) != 1:
            raise UsageError(f"--metadata goes with one folder of clips, not {len(paths)} sources")
        return recordings_of_metadata(config.metadata, paths[0])
    recordings, problems = find_recordings(paths)
    files = [recording.path for recording in recordings]
    script = Script()
    if config.text is not None:
        script = script_of_text(config.text, files)
    elif config.subtitles is not None:
        script = script_of_subtitles(config.subtitles, files)
    return recordings, script, [*problems, *script.problems]


def _identity(
    recordings: Sequence[Recording],
    script: Script,
    config: PrepareConfig,
    lang: str,
    speakers: bool,
    reporter: Reporter,
) -> dict[str, Any]:
    """What a resumed run must have in common with the one it goes on with."""
    content = hashlib.sha256()
    with reporter.task("Reading sources", total=len(recordings), unit="file") as task:
        for recording in recordings:
            try:
                content.update(f"{recording.name}\0{sha256_of(recording.path)}\0".encode("utf-8", "surrogateescape"))
            except OSError as error:
                raise VoicecloneError(f"{recording.path}: cannot be read ({error}): check its permissions") from error
            task.advance()
    settings = {
        name: value
        for name, value in asdict(config).items()
        if name not in ("resume", "overwrite", "text", "subtitles", "metadata")
    }
    words = json.dumps([script.running, [asdict(part) for part in script.parts], script.ready_cut])
    return {
        "recordings": content.hexdigest(),
        "transcript": hashlib.sha256(words.encode("utf-8", "surrogatepass")).hexdigest(),
        "settings": json.loads(json.dumps({**settings, "lang": lang})),
        "speaker_check": speakers,
        "version": __version__,
    }


class _Run:
    """One run: learn, plan, cut, split; every step leaves a file in the work folder that a resumed run takes over."""

    def __init__(
        self,
        recordings: Sequence[Recording],
        script: Script,
        config: PrepareConfig,
        lang: str,
        folder: PrepareFolder,
        embed: Embed | None,
        reporter: Reporter,
        problems: Sequence[tuple[str, str]],
    ) -> None:
        self.recordings, self.script, self.config, self.lang = recordings, script, config, lang
        self.folder, self.embed, self.reporter = folder, embed, reporter
        self.problems = list(problems)
        self.notices: list[str] = []

    def work(self, identity: dict[str, Any]) -> dict[str, Any]:
        """All of it; the report."""
        if self.config.transcribe is not None:
            self._transcribe(self.config.transcribe)
        ear = Ear(self.recordings, self.script, self.lang if self.lang in ESPEAK_VOICES else None)
        if ear.lang is None:
            if self.script.running is not None:
                raise UsageError(
                    f"--text: text in this language ({self.lang}) cannot be aligned with a long recording:"
                    " give --subtitles, --transcribe, or one line for each file"
                )
            self._notice(f"text in this language ({self.lang}) is not checked against the sound")
        planned = self._plan(ear)
        rows = self._cut([clip for one in planned for clip in one.clips])
        return self._finish(identity, planned, rows)

    def _notice(self, line: str) -> None:
        self.notices.append(line)
        self.reporter.info(line)

    def _transcribe(self, model: str) -> None:
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
        self.script = Script(parts=tuple(parts))

    def _plan(self, ear: Ear) -> list[Planned]:
        learned: Learned | None = None
        rules = CutRules(
            min_seconds=self.config.min_seconds,
            max_seconds=self.config.max_seconds,
            min_ready_seconds=self.config.min_ready_seconds,
            min_score=self.config.limits.min_score,
            min_weakest=self.config.limits.min_weakest,
        )
        planned: list[Planned] = []
        with self._seconds_task("Aligning") as task:
            advance = _whole_seconds(task.advance)
            for number, batch in enumerate(_batches(self.recordings)):
                path = self.folder.work / f"plan-{number:05d}.json"
                known = _read_json(path)
                if known is None:
                    learned = learned or self._learn(ear)
                    made = []
                    for index in batch:
                        first_word = (made or planned or [Planned(clips=(), next_word=0)])[-1].next_word
                        made.append(plan_recording(ear, index, first_word, learned, rules, advance))
                    write_json(path, [asdict(one) for one in made])
                else:
                    made = [_planned_from(one) for one in known]
                    advance(sum(self.recordings[index].seconds for index in batch))
                planned += made
        return planned

    def _learn(self, ear: Ear) -> Learned | None:
        if ear.lang is None or not (self.script.parts or self.script.running):
            return None
        path = self.folder.work / "learned.npz"
        if path.is_file():
            return Learned.from_bytes(path.read_bytes())
        learned = learn(ear)
        write_bytes(path, learned.to_bytes())
        return learned

    def _cut(self, clips: list[PlannedClip]) -> list[dict[str, Any]]:
        """A row of the report for every planned clip."""
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
                    figures[clip.name] = record
                    task.advance()
        vectors = {name: record.pop("speaker_vector", None) for name, record in figures.items()}
        usable = {name: vectors[name] for name, record in figures.items() if record["problem"] is None}
        if self.embed is None:
            self._notice("the speaker of each clip was not checked: pip install --no-deps resemblyzer, to have it done")
        likeness = wrong_speakers(usable) if self.embed is not None else {}
        return [self._row(clip, figures.get(clip.name or "", {}), likeness.get(clip.name)) for clip in clips]

    def _row(
        self, clip: PlannedClip, record: dict[str, Any], speaker: tuple[float, str | None] | None
    ) -> dict[str, Any]:
        reason = clip.problem or record.get("problem") or (speaker[1] if speaker else None)
        return {
            "name": None if clip.name is None else f"{clip.name}.wav",
            "source": self.recordings[clip.recording].name,
            "start": clip.start,
            "end": clip.end,
            "seconds": round(clip.end - clip.start, 3),
            "split": None,
            "status": "dropped" if reason else "kept",
            "reason": reason,
            "text": clip.text,
            "fit": clip.score,
            "fit_of_worst_second": clip.weakest,
            "snr_db": clip.snr_db,
            "silence": clip.silence,
            "speaker_likeness": speaker[0] if speaker else None,
            **{name: record.get(name) for name in ("level_dbfs", "peak", "clipped", "loudness_before", "gain_db")},
        }

    def _finish(self, identity: dict[str, Any], planned: list[Planned], rows: list[dict[str, Any]]) -> dict[str, Any]:
        kept = [row for row in rows if row["status"] == "kept"]
        share = self.config.validation
        held_out = hold_out([row["name"] for row in kept], self.config.seed, share) if share > 0 else frozenset()
        splits: dict[str, list[dict[str, Any]]] = {split: [] for split in SPLITS}
        for row in kept:
            row["split"] = SPLITS[row["name"] in held_out]
            entry = {"file_name": row["name"], "text": row["text"]}
            splits[row["split"]].append(entry | ({"speaker": self.config.speaker} if self.config.speaker else {}))
        report = {
            "version": __version__,
            "identity": identity,
            "language": self.lang,
            "summary": _summary(rows, planned, self.problems),
            "notices": self.notices,
            "limits": {**asdict(self.config.limits), "min_seconds": self.config.min_seconds,
                       "max_seconds": self.config.max_seconds, "loudness_lufs": self.config.loudness},
            "passed_over": [{"where": where, "reason": reason} for where, reason in self.problems],
            "text_not_found": [
                {"source": self.recordings[index].name, "text": text}
                for index, one in self._with_index(planned)
                for text in one.unread
            ],
            "text_after_the_end": planned[-1].rest if planned else "",
            "clips": rows,
        }  # fmt: skip
        self.folder.finish(splits, report)
        return report

    def _with_index(self, planned: list[Planned]) -> Iterator[tuple[int, Planned]]:
        return zip((index for batch in _batches(self.recordings) for index in batch), planned, strict=True)

    def _seconds_task(self, label: str) -> Any:
        return self.reporter.task(label, total=math.ceil(sum(r.seconds for r in self.recordings)), unit="second")


def _batches(recordings: Sequence[Recording]) -> list[list[int]]:
    """Recordings in order, some minutes of them together."""
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
    """Count seconds as they come, tell whole ones."""
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
    return Planned(clips=clips, next_word=known["next_word"], unread=tuple(known["unread"]), rest=known["rest"])


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _summary(rows: list[dict[str, Any]], planned: list[Planned], problems: list[tuple[str, str]]) -> dict[str, Any]:
    kept = [row for row in rows if row["status"] == "kept"]
    reasons = Counter(row["reason"].split(": ")[0] for row in rows if row["reason"])
    return {
        "clips": len(rows),
        "kept_clips": {split: n for split in SPLITS if (n := sum(row["split"] == split for row in kept))},
        "kept_seconds": round(sum(row["seconds"] for row in kept), 1),
        "dropped": len(rows) - len(kept),
        "dropped_seconds": round(sum(row["seconds"] for row in rows) - sum(row["seconds"] for row in kept), 1),
        "dropped_reasons": dict(reasons.most_common()),
        "passed_over": len(problems),
        "words_not_found": sum(len(text.split()) for one in planned for text in one.unread),
    }
