"""Resolving the paths of clips in a metadata file, inside the dataset folder."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from pathlib import Path, PureWindowsPath

from voiceclone.audio.io import AUDIO_SUFFIXES
from voiceclone.errors import VoicecloneError

CLIP_FOLDERS = ("wavs", "wav", "clips", "audio")  # searched for clips that are listed by name only


class Places:
    """Finds the files that a metadata file names; folders are listed once, none outside of ``root``.

    A name is used as written if there is such a file. Otherwise it is tried with ``/`` for ``\\``, with an audio suffix
    where it has none, in a folder of clips, in another Unicode normal form (NFC, NFD), and in another case, in this
    order.
    """

    def __init__(self, metadata: Path, root: Path, names: Iterable[str] = ()) -> None:
        """``names``: all names in the file. A file that one row names is not used for another in a different case."""
        self.metadata, self.root = metadata, root
        self._named = {_stem(unicodedata.normalize("NFC", name)) for name in names}
        self._resolved = root.resolve()
        self._listed: dict[Path, dict[str, list[str]]] = {}
        beside = metadata.parent
        # The list may be outside of the clips' folder: then paths are relative to that folder.
        self._folder = beside if self._is_inside(beside) else root

    def find(self, name: str, line: int, *, bare: bool = False) -> tuple[str, Path]:
        """The name relative to the metadata file, and the resolved file, which may not exist.

        Args:
            bare: an id as in LJSpeech, whose clips are in ``wavs/``.

        Raises:
            VoicecloneError: it names no file, or one outside of the dataset folder, also through symbolic links.
        """
        where = f"{self.metadata} line {line}: file_name {name[:80]!r}"
        if not name.strip() or "\0" in name:
            raise VoicecloneError(f"{where} names no file: give a path relative to the metadata file")
        if PureWindowsPath(name).drive or name.startswith("\\"):
            raise VoicecloneError(f"{where} is absolute: give a path relative to the metadata file")
        if Path(name).is_absolute():
            if not Path(name).is_relative_to(self._resolved) and not Path(name).is_relative_to(self.root):
                raise VoicecloneError(
                    f"{where} is absolute and not in {self.root}: give a path relative to the metadata file"
                )
            return name, self._target(name, where)
        for spelling in dict.fromkeys((name, name.replace("\\", "/"))):
            self._target(spelling, where)
        found = self._search(name, bare)
        if found is None:
            found = f"{CLIP_FOLDERS[0]}/{_with_suffixes(name)[0]}" if bare else name
        return found, self._target(found, where)

    def _search(self, name: str, bare: bool) -> str | None:
        if not bare and _is_file(self._folder / name):
            return name
        spellings = list(dict.fromkeys((name, name.strip(), name.strip().replace("\\", "/"))))
        spellings += [other for other in _with_suffixes(spellings[-1]) if other not in spellings]
        folders = [f"{folder}/" for folder in CLIP_FOLDERS]
        for folder in (*folders[:1], "", *folders[1:]) if bare else ("", *folders):
            for spelling in spellings:
                if (found := self._existing(folder + spelling)) is not None:
                    return found
        return None

    def _existing(self, name: str) -> str | None:
        """The file of that name as spelled in the file system; None if there is none."""
        place, spelt = self._folder, list[str]()
        real: str | None
        for part in name.split("/"):
            if part in ("", "."):
                continue
            if part == "..":
                place, real = place.parent, part
            else:
                real = self._entry(place, part)
                if real is None:
                    return None
                place = place / real
            spelt.append(real)
        return "/".join(spelt) if spelt and _is_file(place) else None

    def _entry(self, folder: Path, name: str) -> str | None:
        entries = self._listing(folder).get(_folded(name), [])
        composed = unicodedata.normalize("NFC", name)
        same = [entry for entry in entries if unicodedata.normalize("NFC", entry) == composed]
        if name in entries:
            return name
        if len(same) == 1 or len(entries) != 1:
            return same[0] if len(same) == 1 else None
        other = _stem(unicodedata.normalize("NFC", entries[0]))
        return None if other in self._named and other != _stem(composed) else entries[0]

    def _listing(self, folder: Path) -> dict[str, list[str]]:
        if folder not in self._listed:
            names: dict[str, list[str]] = {}
            try:
                for path in folder.iterdir() if self._is_inside(folder) else ():
                    names.setdefault(_folded(path.name), []).append(path.name)
            except (OSError, ValueError):
                names = {}
            self._listed[folder] = names
        return self._listed[folder]

    def _is_inside(self, folder: Path) -> bool:
        try:
            return folder.resolve().is_relative_to(self._resolved)
        except (OSError, RuntimeError, ValueError):
            return False

    def _target(self, name: str, where: str) -> Path:
        """The file that ``name`` refers to; refused if it is outside of ``root``."""
        try:
            target = (self._folder / name).resolve()
            inside = target.is_relative_to(self._resolved)
        except (OSError, RuntimeError, ValueError) as error:
            raise VoicecloneError(f"{where} cannot be resolved ({type(error).__name__}): correct the path") from error
        if not inside:
            raise VoicecloneError(f"{where} leaves the dataset folder {self.root}: copy the file into it")
        return target


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that is too long
        return False


def _with_suffixes(name: str) -> list[str]:
    """The possible file names of an id; the part after a dot is only a suffix if it is an audio suffix."""
    return [name] if name.lower().endswith(AUDIO_SUFFIXES) else [name + suffix for suffix in AUDIO_SUFFIXES]


def _stem(name: str) -> str:
    """The name without folders and audio suffix."""
    last = PureWindowsPath(name.strip()).name
    return next((last[: -len(suffix)] for suffix in AUDIO_SUFFIXES if last.lower().endswith(suffix)), last)


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
