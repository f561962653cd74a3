"""Find the voice a command line names: a file, a stock voice of a base, or a mix of them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from voiceclone.errors import UsageError, VoicecloneError
from voiceclone.models.voice_hashes import VOICE_SHA256

if TYPE_CHECKING:
    from voiceclone.voice.mixing import Mix
    from voiceclone.voice.pack import VoicePack

    StockVoices = Mapping[str, VoicePack]

SUFFIXES = (".pt", ".npz", ".bin", ".safetensors")  # suffixes of voice files


class VoiceFinder:
    """Finds voices by name; stock voices are only loaded if a name is not a file.

    Args:
        stock: returns the stock voices by name; called at most once.
        where: the base of the stock voices, for the error message.
        official: if the first name is that of an official voice, Kokoro's voices, which are in the package, are used,
            and ``stock`` is not called.
    """

    def __init__(self, stock: Callable[[], StockVoices], *, where: str = "the base", official: bool = False) -> None:
        self._fetch, self._where, self._official = stock, where, official
        self._stock: StockVoices | None = None

    @property
    def stock(self) -> StockVoices:
        """The stock voices, loaded on first use."""
        if self._stock is None:
            self._stock = self._fetch()
        return self._stock

    @property
    def used(self) -> StockVoices:
        """The stock voices if they were needed so far, else empty."""
        return self._stock or {}

    def single(self, name: str) -> VoicePack:
        """One voice: a file (``.pt`` may be left out), ``FILE:NAME`` for one in a file of several, or a stock voice.

        Raises:
            UsageError: there is no such voice.
            VoicecloneError: the file is not a voice.
        """
        if located := file_of(name):
            from voiceclone.voice.formats import read_voice

            return read_voice(*located)
        if file := missing_file(name):
            raise UsageError(f"no voice file at {file}: check the path")
        if self._stock is None and self._official and name in VOICE_SHA256:
            from voiceclone.voice.official import official_voices

            self._stock, self._where = official_voices(), "Kokoro-82M"
        if name in self.stock:
            return self.stock[name]
        raise unknown_voice(name, self.stock, self._where)

    def find(self, voice: str | os.PathLike[str]) -> VoicePack:
        """A single voice, or a mix such as ``0.7*v.pt + 0.3*af_heart``; the name of a file is never read as a mix.

        Raises:
            UsageError: it is neither.
            VoicecloneError: a file is not a voice.
        """
        voice = os.fspath(voice)
        if names_a_file(voice) or not is_expression(voice):
            return self.single(voice)
        from voiceclone.voice.mixing import blend, parse_mix

        try:
            mix = parse_mix(voice, names_a_file)
        except UsageError as error:
            if voice.endswith(SUFFIXES):  # perhaps meant as a file, not as a mix
                raise UsageError(f"{error}; nor is there a file '{voice}'") from error
            raise
        return blend(mix, self.single, _mix_name(mix))


def unknown_voice(name: str, known: Collection[str], where: str) -> UsageError:
    """The error for a name that is neither a file nor one of the voices of ``where``."""
    if name in VOICE_SHA256:
        return UsageError(f"no voice '{name}' in {where}: it is an official voice of Kokoro-82M: use --base kokoro")
    names = ", ".join(sorted(known)) or "none"
    return UsageError(f"no voice '{name}': give a voice file or a stock voice of {where} ({names})")


def check_names(voice: str, known: Collection[str], *, where: str) -> None:
    """Refuse unknown names in ``voice`` before anything heavy is loaded; files are not opened, weights not summed.

    Args:
        known: names of the stock voices.
        where: their base, for the error message.

    Raises:
        UsageError: a name is neither a file nor a stock voice, or a list of voices is malformed.
    """
    for name in names_in(voice):
        if name in known or file_of(name):
            continue
        if file := missing_file(name):
            raise UsageError(f"no voice file at {file}: check the path")
        raise unknown_voice(name, known, where)


def names_in(voice: str) -> list[str]:
    """The names of a voice, or of the voices of a mix; empty if it cannot be read (``find`` reports why)."""
    from voiceclone.voice.mix_lists import is_list, parse_list
    from voiceclone.voice.mix_tokens import HALVES, NAMES, tokens

    if file_of(voice) or not is_expression(voice):
        return [voice]
    try:
        found = tokens(voice, lambda name: file_of(name) is not None)
    except UsageError:
        return []
    named = [text for kind, text in found if kind in NAMES and text not in HALVES]
    if voice.endswith(SUFFIXES) and not all(map(file_of, named)):  # perhaps meant as one file
        return []
    return list(parse_list(found)) if is_list(found) else named


def file_of(voice: str) -> tuple[Path, str | None] | None:
    """The file that ``voice`` names and which of its voices, None if there is no such file.

    ``FILE``, ``FILE`` without its ``.pt``, or ``FILE:NAME``; whether the file holds a NAME is not checked.
    """
    whole, (before, sign, which) = voice, voice.rpartition(":")
    for text, name in ((whole, None), (before, which)):
        # Not with_suffix: it would replace the ".2" of "v1.2".
        for candidate in (text, f"{text}.pt"):
            # Other than Path's, these never raise, whatever the name.
            if text and os.path.isfile(os.path.expanduser(candidate)):
                return Path(os.path.expanduser(candidate)), name
        if not (sign and which):
            break
    return None


def names_a_file(voice: str) -> bool:
    """True if ``voice`` is a file, or ``FILE:NAME`` with a voice of that name in it."""
    located = file_of(voice)
    if located is None or located[1] is None:
        return located is not None
    from voiceclone.voice.formats import read_voices

    try:
        return located[1] in read_voices(located[0])
    except VoicecloneError:
        return False


def missing_file(voice: str) -> str | None:
    """The path in ``voice`` if it looks like a voice file, with or without ``:NAME``."""
    return next((text for text in (voice, voice.rpartition(":")[0]) if text.endswith(SUFFIXES)), None)


def path_of(voice: str) -> Path:
    """The path of a voice's file, whether it exists or not; files beside it are searched there."""
    located = file_of(voice)
    return located[0] if located else Path(os.path.expanduser(voice))


def is_expression(voice: str) -> bool:
    """True if ``voice`` is written as a mix."""
    return any(sign in voice for sign in ("*", "+", "(", '"', ",", " - ")) or bool(re.search(r":[\d.]+\s*$", voice))


def _mix_name(mix: Mix) -> str:
    """``a+b`` from the voices' plain names (or names within a file), in the order of the mix."""
    names = []
    for voice in dict.fromkeys((*mix.timbre, *mix.prosody)):
        path, which = file_of(voice) or (Path(voice), None)
        name = which or path.name
        names.append(next((name.removesuffix(suffix) for suffix in SUFFIXES if name.endswith(suffix)), name))
    return re.sub(r"[/\\:]", "_", "+".join(names))[:80].lstrip(".") or "mix"
