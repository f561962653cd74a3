"""Where a clip lies that a table names: inside the dataset folder, however its path is written."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from pathlib import Path, PureWindowsPath

from voiceclone.audio.io import AUDIO_SUFFIXES
from voiceclone.errors import VoicecloneError

CLIP_FOLDERS = ("wavs", "wav", "clips", "audio")  # where clips lie that are listed by their names alone


class Places:
    """Finds the files that one metadata file names; folders are listed once, and none outside ``root``.

    A name is taken as it is written where there is such a file. Otherwise it is tried with ``/`` for ``\\``, with an
    audio suffix where it has none, in a folder of clips, with letters composed another way (NFC, NFD), and in another
    case, in this order.
    """

    def __init__(self, metadata: Path, root: Path, names: Iterable[str] = ()) -> None:
        """``names``: all that the file lists. What one row names is not taken for another's in another case."""
        self.metadata, self.root = metadata, root
        self._named = {_stem(unicodedata.normalize("NFC", name)) for name in names}
        self._resolved = root.resolve()
        self._listed: dict[Path, dict[str, list[str]]] = {}
        beside = metadata.parent
        # A list may lie apart from the clips: then it counts from their folder.
        self._folder = beside if self._is_inside(beside) else root

    def find(self, name: str, line: int, *, bare: bool = False) -> tuple[str, Path]:
        """The name relative to the metadata file, and the resolved file, which may not exist.

        Args:
            bare: an id as in LJSpeech, whose clips lie in ``wavs/``.

        Raises:
            VoicecloneError: it names no file, or one outside the dataset folder, through symbolic links too.
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
        """The file of that name as the file system spells it; None where there is none."""
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
        """The file that ``name`` means; refused where it leaves ``root``."""
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
    except (OSError, ValueError):  # a name longer than any may be
        return False


def _with_suffixes(name: str) -> list[str]:
    """The names an id may mean: dots in it are no suffix unless an audio file's follows."""
    return [name] if name.lower().endswith(AUDIO_SUFFIXES) else [name + suffix for suffix in AUDIO_SUFFIXES]


def _stem(name: str) -> str:
    """The name without folders and audio suffix."""
    last = PureWindowsPath(name.strip()).name
    return next((last[: -len(suffix)] for suffix in AUDIO_SUFFIXES if last.lower().endswith(suffix)), last)


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
