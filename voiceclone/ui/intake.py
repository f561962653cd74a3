"""Add clips to a draft: sentences read aloud, files, one long recording, or a dataset folder."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from voiceclone.audio.cleaning import mono
from voiceclone.audio.io import AUDIO_SUFFIXES, decode_audio, write_wav
from voiceclone.data.metadata import read_dataset
from voiceclone.errors import UsageError, VoicecloneError
from voiceclone.files import write_text
from voiceclone.recording.microphone import Take
from voiceclone.recording.sentences import SENTENCES
from voiceclone.recording.session import trimmed_take
from voiceclone.ui.clip_words import UNFIT
from voiceclone.ui.clips import transcripts_of
from voiceclone.ui.draft import MAX_CLIPS, Draft, DraftClip

if TYPE_CHECKING:
    from voiceclone.prepare.config import PrepareConfig

SUBTITLES = (".srt", ".vtt", ".json")
MAX_SCRIPT = 500_000  # characters of the text of one long recording: about ten hours of speech


def add_reading(draft: Draft, number: int, recording: Path) -> DraftClip:
    """Add the recording of sentence ``number``. It replaces an earlier recording of that sentence.

    Returns:
        The clip. An unfit one is not added to the draft; ``words`` gives the reason.
    """
    text = SENTENCES[number]
    audio, rate = decode_audio(recording)
    samples, _ = mono(audio)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "reading.wav")
        write_wav(path, trimmed_take(Take(audio=samples, rate=rate, lost=False)), rate)
        earlier = [clip for clip in draft.clips if clip.label == reading_label(number)]
        clip = draft.add(path, reading_label(number), text)
    for other in [clip] if clip.grade == UNFIT else earlier:
        draft.remove(other)
    draft.save()
    return clip


def reading_label(number: int) -> str:
    """The label of the clip of sentence ``number``."""
    return f"Sentence {number + 1}"


def readings_done(draft: Draft) -> set[int]:
    """Indices of the sentences that were recorded."""
    labels = {clip.label for clip in draft.clips}
    return {number for number in range(len(SENTENCES)) if reading_label(number) in labels}


def next_sentence(draft: Draft, after: int = -1) -> int:
    """Index of the first unrecorded sentence after ``after``; else the first unrecorded one; else the last sentence."""
    missing = [number for number in range(len(SENTENCES)) if number not in readings_done(draft)]
    behind = [number for number in missing if number > after]
    return next(iter([*behind, *missing]), len(SENTENCES) - 1)


def add_files(draft: Draft, files: Sequence[Path]) -> list[DraftClip]:
    """Add audio files, with transcripts from files among them (``metadata.jsonl`` and others, or ``NAME.txt``).

    Raises:
        UsageError: there is no audio file, a name occurs twice, or there are too many files.
    """
    if len(files) > 2 * MAX_CLIPS:
        raise UsageError(f"{len(files)} files at once are too many: give {MAX_CLIPS} clips at most")
    texts = transcripts_of(files)
    if not texts:
        raise UsageError(f"no sound among the files: give {', '.join(AUDIO_SUFFIXES[:6])} files")
    _check_room(draft, len(texts))
    by_name = {Path(file).name: Path(file) for file in files}
    try:
        return [draft.add(by_name[name], name, text) for name, text in texts]
    finally:
        draft.save()


def add_folder(draft: Draft, folder: Path) -> list[DraftClip]:
    """Add the clips of a dataset folder on this machine.

    Raises:
        UsageError: it holds too many clips.
        VoicecloneError: the folder is not a dataset.
    """
    entries = [entry for split in read_dataset(folder).values() for entry in split if entry.path.is_file()]
    _check_room(draft, len(entries))
    try:
        return [draft.add(entry.path, entry.name, entry.text) for entry in entries]
    finally:
        draft.save()


def add_long(
    draft: Draft, recording: Path, script: str | Path, *, model: str | None, lang: str, say: Callable[[str], None]
) -> list[DraftClip]:
    """Cut one long recording into clips with ``prepare`` and add them.

    Args:
        draft: of the visitor.
        recording: the audio file.
        script: its text, or a file with text or subtitles. If empty, the Whisper model ``model`` transcribes it.
        model: name or folder of a Whisper model; None where there is none.
        lang: Kokoro's language code.
        say: called with each message for the visitor.

    Raises:
        UsageError: there is neither a text nor a Whisper model, or no clip was found.
        VoicecloneError: the recording cannot be read.
    """
    from voiceclone.prepare.run import LittleUsed, prepare_dataset

    if isinstance(script, str) and len(script) > MAX_SCRIPT:
        raise UsageError(f"the text has more than {MAX_SCRIPT} characters: cut recording and text into parts")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        source = place / f"recording{recording.suffix.lower()}"
        shutil.copyfile(recording, source)
        config = _settings(script, place, model, lang)
        try:
            prepare_dataset([source], place / "made", config)
        except LittleUsed:
            say("Much of the text or of the sound was left out. Check that the text belongs to this recording.")
        except UsageError:
            raise
        except VoicecloneError as error:  # without the report, which is removed with the folder
            raise VoicecloneError(str(error).partition(f": {place}")[0]) from error
        rows = read_dataset(place / "made")["train"]
        if len(rows) > (room := MAX_CLIPS - len(draft.clips)):
            say(f"Only the first {room} of {len(rows)} clips were taken: the page takes {MAX_CLIPS} at most.")
            rows = rows[:room]
        try:
            return [draft.add(row.path, f"{recording.stem[:40]} {at}", row.text) for at, row in enumerate(rows, 1)]
        finally:
            draft.save()


def _check_room(draft: Draft, count: int) -> None:
    """Refuse clips that do not all fit, before any of them is copied.

    Raises:
        UsageError: with them the draft would have too many.
    """
    if len(draft.clips) + count > MAX_CLIPS:
        raise UsageError(
            f"{len(draft.clips)} clips and {count} more are too many: {MAX_CLIPS} are the most that the page takes, "
            "use voiceclone clone for more"
        )


def _settings(script: str | Path, place: Path, model: str | None, lang: str) -> PrepareConfig:
    """The settings of ``prepare`` with the transcript; nothing is held out."""
    from voiceclone.prepare.config import PrepareConfig

    text = subtitles = transcribe = None
    if isinstance(script, Path) and script.suffix.lower() in SUBTITLES:
        subtitles = script
    elif isinstance(script, Path):
        text = script
    elif script.strip():
        text = place / "said.txt"
        write_text(text, script)
    elif model is not None:
        transcribe = model
    else:
        raise UsageError("what is said in the recording is missing: paste its text")
    return PrepareConfig(text=text, subtitles=subtitles, transcribe=transcribe, lang=lang, validation=0.0)
