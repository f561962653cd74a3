"""The library: list, rename, delete and export the voices of the output folder."""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voiceclone.cloning.folder import RunFolder, is_card
from voiceclone.errors import UsageError, VoicecloneError
from voiceclone.files import LOCK, held, write_failure, write_json, write_text
from voiceclone.ui.comparison import read_findings, tenths_of
from voiceclone.ui.names import CLAIM, DATASETS, check_new_name, new_folder, place_aside
from voiceclone.voice.card import renamed_card
from voiceclone.voice.formats import write_voices
from voiceclone.voice.library import CLONE, OwnVoice, own_voices
from voiceclone.voice.space import KOKORO_SPACE

if TYPE_CHECKING:
    from voiceclone.ui.studio import Studio

# The label in the list, the format's name, and the file suffix.
DOWNLOADS = {
    "Kokoro (.pt)": ("pt", ".pt"),
    "safetensors": ("safetensors", ".safetensors"),
    "kokoro-onnx (.bin)": ("bin", ".bin"),
    "kokoro.js (.bin)": ("kokoro-js", ".js.bin"),
}
STOCK_ONLY = ("bin", "kokoro-js")  # formats of programs that support Kokoro-82M only


def list_title(voice: OwnVoice) -> str:
    """One line for lists: name, kind, date, similarity to the speaker."""
    likeness = tenths_of(read_findings(Path(voice.file)))
    parts = [voice.name, "clone" if voice.kind == CLONE else "mix or copy", voice.date]
    return " · ".join([*parts, *([f"likeness {likeness}"] if likeness else [])])


def titles(out: Path) -> list[tuple[str, str]]:
    """``(line, file)`` of every own voice, newest first."""
    return [(list_title(voice), voice.file) for voice in own_voices(out)]


def own_voice(out: Path, file: str) -> OwnVoice:
    """The voice of a file in the output folder.

    Raises:
        UsageError: the file is not a voice of the library (any more).
    """
    found = next((voice for voice in own_voices(out) if voice.file == file), None)
    if found is None:
        raise UsageError("this voice is not in the library any more: choose another")
    return found


def card_of(voice: OwnVoice) -> str:
    """The voice's model card without its YAML header; empty where there is none."""
    try:
        text = (Path(voice.file).parent / "README.md").read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""
    if text.startswith("---\n") and "\n---\n" in text[4:]:
        text = text[4:].split("\n---\n", 1)[1]
    return text.strip()


def rename(studio: Studio, file: str, name: str) -> Path:
    """Rename a voice: its folder, its files, the name inside its report and card, and the folder of its recordings.

    The new folder is complete before the recordings are moved, and these are moved before the old folder is deleted. An
    interruption leaves the voice under both names, one of them with the recordings; the other one can be deleted.

    Args:
        studio: of the library.
        file: the voice.
        name: the new name.

    Returns:
        The voice's new file.

    Raises:
        UsageError: the name is not valid or taken, or the voice is being written.
        VoicecloneError: the folder cannot be written.
    """
    voice, name = _changeable(studio, file), name.strip()
    check_new_name(studio.out, name)
    target, source = studio.out / name, Path(voice.file).parent
    with held(source, instead="voice"):
        recordings = _recordings_of(studio, source)
        data = None if recordings is None else studio.out / DATASETS / name
        with new_folder(studio.out, name) as aside:
            # Without the claim: the renamed voice is no longer that of the visitor's run.
            shutil.copytree(source, aside, dirs_exist_ok=True, ignore=shutil.ignore_patterns(LOCK, CLAIM))
            for path in list(aside.iterdir()):
                if path.name.startswith((f"{voice.name}.", f"{voice.name}_")):
                    path.rename(aside / (name + path.name.removeprefix(voice.name)))
            _renamed_in(aside, voice.name, name, data)
        if recordings is not None and data is not None:
            _move_recordings(recordings, data, of=target)
        with contextlib.suppress(OSError):  # renamed first, so that no half-deleted voice is left in the library
            source = source.rename(place_aside(studio.out, "renamed"))
        shutil.rmtree(source, ignore_errors=True)
    return target / f"{name}.pt"


def delete(studio: Studio, file: str, *, recordings: bool) -> None:
    """Delete a voice and, with ``recordings``, the recordings that were uploaded to the page for it.

    Recordings of another voice, too, are kept.

    Raises:
        UsageError: the voice is being written, or does not exist any more.
        VoicecloneError: it cannot be deleted.
    """
    folder = Path(_changeable(studio, file).file).parent
    data = _recordings_of(studio, folder)
    try:
        with held(folder, instead="voice"):
            for place in [folder, *([data] if recordings and data else [])]:
                gone = place_aside(studio.out, "deleted")
                place.rename(gone)  # renamed first, so that an interruption leaves no half-deleted voice in the library
                shutil.rmtree(gone, ignore_errors=True)
    except OSError as error:
        raise VoicecloneError(write_failure(folder, error)) from error


def has_recordings(studio: Studio, file: str) -> bool:
    """True where recordings of this voice alone lie in the output folder."""
    return _recordings_of(studio, Path(file).parent) is not None


def export(studio: Studio, voice: str, form: str, folder: Path) -> Path:
    """Write a voice in a format of :data:`DOWNLOADS` into ``folder``.

    Args:
        studio: of the library.
        voice: its name or file.
        form: name of the format.
        folder: an existing folder.

    Returns:
        The file.

    Raises:
        VoicecloneError: the voice cannot be read, or the file cannot be written.
    """
    from voiceclone.voice.provenance import facts_of, provenance_of_name

    pack = studio.find(voice)
    name = Path(voice).stem if voice.endswith(".pt") else pack.name
    facts = facts_of(Path(voice)) if voice.endswith(".pt") else provenance_of_name(voice)
    ending = next(ending for known, ending in DOWNLOADS.values() if known == form)
    path = folder / f"{name}{ending}"
    write_voices(path, {name: pack}, form, provenance={name: facts})
    return path


def python_lines(studio: Studio, voice: OwnVoice) -> str:
    """Python code that speaks with a voice."""
    if voice.fits(KOKORO_SPACE):
        return "\n".join(
            (
                "import soundfile",
                "from kokoro import KPipeline",
                "",
                f'pipeline = KPipeline(lang_code="{studio.lang}")',
                f'for number, result in enumerate(pipeline("Hello!", voice="{voice.name}.pt")):',
                '    soundfile.write(f"hello_{number}.wav", result.audio, 24000)',
            )
        )
    return "\n".join(
        (
            "import soundfile",
            "from voiceclone import load_base",
            "",
            f'pipeline = load_base("{studio.base_of(voice.file)}").pipeline("{studio.lang}")',
            f'for number, result in enumerate(pipeline("Hello!", voice="{voice.name}.pt")):',
            '    soundfile.write(f"hello_{number}.wav", result.audio, 24000)',
        )
    )


def _changeable(studio: Studio, file: str) -> OwnVoice:
    """The voice of a file, which may be renamed and deleted with its folder.

    Raises:
        UsageError: the file is not a voice of the library, or lies in the folder of the recordings of all voices.
    """
    voice = own_voice(studio.out, file)
    if voice.name.casefold() == DATASETS:  # earlier versions let a mix have this name
        raise UsageError(f"the folder of {voice.name} holds the recordings of all voices: move {voice.file} by hand")
    return voice


def _recordings_of(studio: Studio, folder: Path) -> Path | None:
    """The dataset that the page made for a voice, or None.

    Recordings elsewhere belong to the user, and those of two voices (earlier versions did not move them with a renamed
    voice) to both: they are neither moved nor deleted.
    """
    data = _data_of(folder)
    if data is None or data.parent != (studio.out / DATASETS).resolve() or not data.is_dir():
        return None
    others = (path.parent for path in studio.out.glob("*/config.json") if not path.parent.name.startswith("."))
    return None if any(other.name != folder.name and _data_of(other) == data for other in others) else data


def _data_of(folder: Path) -> Path | None:
    """The absolute path of the dataset that a voice's config names; None where it names none."""
    try:
        return Path(json.loads((folder / "config.json").read_text(encoding="utf-8"))["data"]).resolve()
    except (OSError, ValueError, KeyError, TypeError, RuntimeError):  # RuntimeError: nested too deeply, a loop of links
        return None


def _move_recordings(recordings: Path, data: Path, *, of: Path) -> None:
    """Move the recordings of a renamed voice to ``data``; where that fails, remove ``of``, the voice's new folder.

    Raises:
        VoicecloneError: they cannot be moved.
    """
    try:
        recordings.rename(data)
    except OSError as error:
        shutil.rmtree(of, ignore_errors=True)
        raise VoicecloneError(write_failure(data, error)) from error


def _renamed_in(folder: Path, old: str, name: str, data: Path | None) -> None:
    """Replace the old name by the new one in the files that contain it, and the dataset, unless None, by ``data``."""
    for path in (RunFolder(folder).report, folder / "config.json"):
        try:
            content: Any = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            continue
        if isinstance(content, dict):
            changed = {"name": name} if "name" in content else {}
            changed |= {"data": str(data)} if data is not None and "data" in content else {}
            write_json(path, content | changed)
    card = RunFolder(folder).card
    if is_card(card):
        write_text(card, renamed_card(card.read_text(encoding="utf-8"), old, name))
