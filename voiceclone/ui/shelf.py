"""The library: list, rename, delete and export the voices of the output folder."""

from __future__ import annotations

import json
import secrets
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voiceclone.cloning.config import CloneConfig
from voiceclone.cloning.folder import RunFolder
from voiceclone.errors import UsageError, VoicecloneError
from voiceclone.files import TEMPORARY_PREFIX, held, write_failure, write_json
from voiceclone.ui.comparison import read_findings, tenths_of
from voiceclone.ui.jobs import DATASETS
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
    """Rename a voice: its folder, its files, and the name inside its report and card.

    The new folder is complete before the old one is deleted, so that an interruption cannot lose the voice.

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
    voice, name = own_voice(studio.out, file), name.strip()
    CloneConfig(data="", name=name)
    target, source = studio.out / name, Path(voice.file).parent
    if target.exists() or name == DATASETS:
        raise UsageError(f"there is a voice {name} already: choose another name")
    aside = studio.out / f"{TEMPORARY_PREFIX}{secrets.token_hex(4)}-{name}"
    with held(source, instead="voice"):
        try:
            shutil.copytree(source, aside, ignore=shutil.ignore_patterns(".lock"))
            for path in list(aside.iterdir()):
                if path.name.startswith((f"{voice.name}.", f"{voice.name}_")):
                    path.rename(aside / (name + path.name.removeprefix(voice.name)))
            _renamed_in(aside, name)
            aside.rename(target)
        except OSError as error:
            raise VoicecloneError(write_failure(target, error)) from error
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        shutil.rmtree(source, ignore_errors=True)
    return target / f"{name}.pt"


def delete(studio: Studio, file: str, *, recordings: bool) -> None:
    """Delete a voice and, with ``recordings``, the recordings that were uploaded to the page for it.

    Raises:
        UsageError: the voice is being written, or does not exist any more.
        VoicecloneError: it cannot be deleted.
    """
    folder = Path(own_voice(studio.out, file).file).parent
    data = _recordings_of(studio, folder)
    try:
        with held(folder, instead="voice"):
            for place in [folder, *([data] if recordings and data else [])]:
                gone = studio.out / f"{TEMPORARY_PREFIX}{secrets.token_hex(4)}-deleted"
                place.rename(gone)  # renamed first, so that an interruption leaves no half-deleted voice in the library
                shutil.rmtree(gone, ignore_errors=True)
    except OSError as error:
        raise VoicecloneError(write_failure(folder, error)) from error


def has_recordings(studio: Studio, file: str) -> bool:
    """True where recordings of the voice lie in the output folder."""
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


def _recordings_of(studio: Studio, folder: Path) -> Path | None:
    """The dataset that the page made for a voice, or None.

    Recordings elsewhere belong to the user and are never deleted.
    """
    try:
        data = Path(json.loads((folder / "config.json").read_text(encoding="utf-8"))["data"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    inside = data.parent.resolve() == (studio.out / DATASETS).resolve()
    return data if inside and data.is_dir() else None


def _renamed_in(folder: Path, name: str) -> None:
    """Replace the old name by the new one in the files that contain it."""
    for path in (RunFolder(folder).report, folder / "config.json"):
        try:
            content: Any = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            continue
        if isinstance(content, dict) and "name" in content:
            write_json(path, content | {"name": name})
