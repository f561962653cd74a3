"""Making a dataset folder from recordings: cut, check, normalise, split; see docs/prepare.md."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from voiceclone import __version__
from voiceclone.alignment.reading import ESPEAK_VOICES
from voiceclone.alignment.rough_aligner import RoughAligner
from voiceclone.data.recordings import Recording, Script
from voiceclone.errors import UsageError, VoicecloneError
from voiceclone.files import sha256_of
from voiceclone.prepare.config import PrepareConfig
from voiceclone.prepare.folder import PrepareFolder
from voiceclone.prepare.recognition import require_recognition
from voiceclone.prepare.report import assign_splits, full_report, little_used
from voiceclone.prepare.sources import check_apart, find_recordings, recordings_of_metadata
from voiceclone.prepare.speakers import load_embedder
from voiceclone.prepare.steps import Steps
from voiceclone.prepare.subtitles import script_of_subtitles
from voiceclone.prepare.transcripts import script_of_text
from voiceclone.text.g2p import language_code
from voiceclone.tracking.progress import QUIET, Reporter


class LittleUsed(VoicecloneError):
    """Much of the text or the audio is in no clip; ``report`` is that of the dataset, which is kept."""

    def __init__(self, message: str, report: dict[str, Any]) -> None:
        super().__init__(message)
        self.report = report


def prepare_dataset(
    sources: Sequence[Path | str], out: Path | str, config: PrepareConfig, reporter: Reporter | None = None
) -> dict[str, Any]:
    """Make a dataset folder from recordings; returns the report, which is also in ``OUT/prepare_report.json``.

    The same sources and settings give the same files, byte for byte, however often the run was interrupted.

    Raises:
        UsageError: a path or setting is wrong, or ``out`` holds other work.
        VoicecloneError: nothing usable was found (the report says why), or a file cannot be read or written.
        LittleUsed: less than 70 % of text or audio became clips, without ``force``.
    """
    reporter = reporter or Reporter(verbosity=QUIET)
    lang = language_code(config.lang)
    if config.transcribe is not None:
        require_recognition()
    paths = [Path(source) for source in sources]
    folder = PrepareFolder(Path(out))
    recordings, script, problems = _read_sources(paths, config)
    check_apart(folder.path, paths)
    if script.running is not None and lang not in ESPEAK_VOICES:
        raise UsageError(
            f"--text: text in this language ({lang}) cannot be aligned with a long recording: give --subtitles,"
            " --transcribe, or one line for each file"
        )
    steps = Steps(
        recordings=recordings,
        config=config,
        lang=lang,
        folder=folder,
        embed=load_embedder(),
        reporter=reporter,
        problems=problems,
    )
    identity = _identity(steps, script)
    with folder.locked():
        report = folder.open(identity, resume=config.resume, overwrite=config.overwrite)
        if report is None:
            report = _make(steps, script, identity)
        else:
            reporter.info(f"{folder.path} is finished")
    if not report["summary"]["kept_clips"]:
        dropped = [row for row in report["clips"] if row["reason"]]
        first = f" (first: {dropped[0]['source']}: {dropped[0]['reason']})" if dropped else ""
        raise VoicecloneError(f"no usable clip{first}: {folder.report} lists every clip with its reason")
    if (line := little_used(report["summary"])) is not None:
        if not config.force:
            raise LittleUsed(
                f"{line}: do text and recording belong together? If not, what was kept is wrong, too. {folder.report} "
                "lists what was left out; where it is right all the same, keep the dataset by --resume --force",
                report,
            )
        reporter.warn(line)
    return report


def _make(steps: Steps, script: Script, identity: dict[str, Any]) -> dict[str, Any]:
    """Run all steps; returns the report."""
    config = steps.config
    if config.transcribe is not None:
        script = steps.transcribe(config.transcribe)
    aligner = RoughAligner(steps.recordings, script, steps.lang if steps.lang in ESPEAK_VOICES else None)
    if aligner.lang is None:
        steps.notice(f"text in this language ({steps.lang}) is not checked against the sound")
    else:
        steps.warn_of_little()
    steps.tell_doubts()
    planned = steps.plan(aligner)
    rows = steps.cut([clip for one in planned for clip in one.clips])
    splits = assign_splits(rows, config)
    report = full_report(
        identity, config, steps.lang, steps.recordings, planned, rows, steps.problems, steps.notices, words=script.words
    )
    steps.folder.finish(splits, report)
    return report


def _read_sources(
    paths: Sequence[Path], config: PrepareConfig
) -> tuple[list[Recording], Script, list[tuple[str, str]]]:
    """The recordings, their script, and the files that were skipped."""
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


def _identity(steps: Steps, script: Script) -> dict[str, Any]:
    """The values that must be equal in a resumed run."""
    content = hashlib.sha256()
    with steps.reporter.task("Reading sources", total=len(steps.recordings), unit="file") as task:
        for recording in steps.recordings:
            try:
                content.update(f"{recording.name}\0{sha256_of(recording.path)}\0".encode("utf-8", "surrogateescape"))
            except OSError as error:
                raise VoicecloneError(f"{recording.path}: cannot be read ({error}): check its permissions") from error
            task.advance()
    paths = ("resume", "overwrite", "force", "text", "subtitles", "metadata")
    settings = {name: value for name, value in asdict(steps.config).items() if name not in paths}
    words = json.dumps([script.running, [asdict(part) for part in script.parts], script.ready_cut])
    return {
        "recordings": content.hexdigest(),
        "transcript": hashlib.sha256(words.encode("utf-8", "surrogatepass")).hexdigest(),
        "settings": json.loads(json.dumps({**settings, "lang": steps.lang})),
        "speaker_check": steps.embed is not None,
        "version": __version__,
    }
