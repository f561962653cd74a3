"""The base that a voice was made for, from the report beside it or the header of its file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from voiceclone.errors import UsageError
from voiceclone.voice.lookup import file_of, names_in
from voiceclone.voice.provenance import BASE_FACTS, Provenance, facts_of, provenance_of_name
from voiceclone.voice.space import KOKORO_SPACE, named_space, space_of

if TYPE_CHECKING:
    from voiceclone.bases.base import Base

AUTO = "auto"
NAMED = ("kokoro", "nano")  # kinds of bases that --base takes by name


@dataclass(frozen=True, kw_only=True)
class Origin:
    """The base of the voice in one file, as far as it is known."""

    voice: str
    """Name on the command line."""
    base: str
    """The base's name, for messages."""
    kind: str
    """``kokoro``, ``nano`` or ``custom``."""
    sha256: str
    """SHA-256 of the base's weights; empty if unknown."""
    space: str = ""
    """The base's voice space; empty if unknown."""
    folder: str | None = None
    """Folder of a custom base, as given to the clone run."""

    @property
    def as_flag(self) -> str | None:
        """The value for ``--base``; None for a folder that does not exist any more.

        A voice of Kokoro's space is spoken on Kokoro if its weights are available, whichever base it was made on.
        """
        if self.kind == "nano" and self.space == KOKORO_SPACE:
            return AUTO
        if self.kind in NAMED:
            return self.kind
        return self.folder if self.folder is not None and Path(self.folder).is_dir() else None

    def fits(self, other: Origin) -> bool:
        """Whether both voices are in one voice space. All precisions of Kokoro share one."""
        return self.space == other.space or (self.kind == other.kind and "" in (self.space, other.space))


def origins_of(voice: str) -> list[Origin]:
    """The origin of each file that a voice or a mix names, as far as it is known."""
    names = dict.fromkeys(names_in(voice))
    return [origin for name in names if (origin := _origin(name)) is not None]


def known_base(voice: str) -> str | None:
    """The base that a voice was made for, as ``--base`` takes it; None if it is unknown or missing."""
    return next((origin.as_flag for origin in origins_of(voice)), None)


def base_for(voice: str, base: str) -> str:
    """What ``--base`` means for a voice: with ``auto`` the base it was made for, if known.

    Raises:
        UsageError: it mixes voices of two bases, or its base does not exist any more.
    """
    return common_base(names_in(voice), base)


def common_base(names: Sequence[str], base: str) -> str:
    """What ``--base`` means for the voices of a mix, by their names; see :func:`base_for`."""
    origins = [origin for name in dict.fromkeys(names) if (origin := _origin(name)) is not None]
    first = next(iter(origins), None)
    for other in origins[1:]:
        if first is not None and not first.fits(other):
            raise UsageError(
                f"{first.voice} was made for the base {first.base} and {other.voice} for {other.base}: voices of two "
                "bases cannot be mixed"
            )
    if base != AUTO or first is None:
        return base
    if first.as_flag is not None:
        return first.as_flag
    where = f", which is not at {first.folder}" if first.folder else ""
    raise UsageError(f"{first.voice} was made for the base {first.base}{where}: give its folder with --base")


def provenance_of_mix(names: Sequence[str], source: str) -> Provenance:
    """Provenance of a mix: its expression, and the base and consents of the voices in it, as far as they are known.

    Args:
        names: of the voices, on the command line.
        source: the mix as it was asked for.
    """
    found = [facts_of(*located) for name in dict.fromkeys(names) if (located := file_of(name)) is not None]
    base = next((facts for facts in found if facts.get("base_kind")), {})
    consents = dict.fromkeys(str(facts["consent"]) for facts in found if facts.get("consent"))
    kept = {key: str(base[key]) for key in BASE_FACTS if base.get(key)}
    return provenance_of_name(source) | kept | ({"consent": "; ".join(consents)} if consents else {})


def misfits(voice: str, base: Base | str) -> list[str]:
    """A line for each file of a voice or mix that was made for another base than the one it is used with.

    Args:
        base: loaded, or the value of ``--base``; a folder is not checked before it is loaded.
    """
    if not isinstance(base, str):
        used = Origin(voice="", base=base.title, kind=base.kind, sha256=base.sha256, space=base.voice_space)
    elif base in NAMED:
        used = Origin(voice="", base=base, kind=base, sha256="", space=_named_space(base))
    else:
        return []
    return [
        f"{origin.voice} was made for the base {origin.base}, not for {used.base}: it will not sound like its speaker"
        for origin in origins_of(voice)
        if not origin.fits(used)
    ]


def _origin(voice: str) -> Origin | None:
    located = file_of(voice)
    if located is None:
        return None
    path, name = located
    facts = facts_of(path, name)
    kind = facts.get("base_kind")
    if kind not in (*NAMED, "custom"):
        return None
    return Origin(
        voice=voice,
        base=str(facts.get("base", kind)),
        kind=kind,
        sha256=str(facts.get("base_sha256", "")),
        space=space_of(kind, str(facts.get("base_sha256", "")), facts.get("voice_space")),
        folder=_folder_of_base(path) if kind == "custom" else None,
    )


def _named_space(base: str) -> str:
    from voiceclone.models import presets

    return space_of(base, None, named_space(presets.NANO_FOLDER) if base == "nano" else None)


def _folder_of_base(voice: Path) -> str | None:
    try:
        folder = json.loads((voice.parent / "config.json").read_text(encoding="utf-8"))["base"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return folder if isinstance(folder, str) else None
