"""Find the voice a command line names: a file, a stock voice of a base, or a mix of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from voiceclone.errors import UsageError
from voiceclone.voice.mixing import Mix, blend, parse
from voiceclone.voice.pack import VoicePack

StockVoices = Mapping[str, VoicePack]


class VoiceFinder:
    """Finds voices by name; the stock voices are only fetched when a name is no file.

    Args:
        stock: gives the stock voices by name; called at most once.
        where: what the stock voices belong to, for the error message.
    """

    def __init__(self, stock: Callable[[], StockVoices], *, where: str = "the base") -> None:
        self._fetch, self._where = stock, where
        self._stock: StockVoices | None = None

    @property
    def stock(self) -> StockVoices:
        """The stock voices, fetched on first use."""
        if self._stock is None:
            self._stock = self._fetch()
        return self._stock

    @property
    def used(self) -> StockVoices:
        """The stock voices if they were needed so far, nothing otherwise."""
        return self._stock or {}

    def single(self, name: str) -> VoicePack:
        """One voice: ``NAME.pt`` (the suffix may be left out), any other file of a voice, or a stock voice.

        Raises:
            UsageError: there is no such voice.
            VoicecloneError: the file is no voice.
        """
        path = Path(name).expanduser()
        if path.suffix == ".pt" or path.is_file():
            return VoicePack.load(path)
        # No with_suffix here: in "v1.2" it would take ".2" for one.
        if (with_suffix := path.with_name(path.name + ".pt")).is_file():
            return VoicePack.load(with_suffix)
        if name in self.stock:
            return self.stock[name]
        known = ", ".join(sorted(self.stock)) or "none"
        raise UsageError(f"no voice '{name}': give a .pt file or a stock voice of {self._where} ({known})")

    def find(self, voice: str) -> VoicePack:
        """A single voice, or a mix expression such as ``0.7*v.pt + 0.3*af_heart``.

        Raises:
            UsageError: it is neither.
            VoicecloneError: a file is no voice.
        """
        if not is_expression(voice):
            return self.single(voice)
        mix = parse(voice)
        return blend(mix, self.single, _mix_name(mix))


def is_expression(voice: str) -> bool:
    """True where ``voice`` is written as a mix, and no file has that name."""
    if Path(voice).expanduser().is_file():
        return False
    return any(sign in voice for sign in ("*", "+", "(", '"', " - "))


def base_in_report(voice: Path) -> str | None:
    """The base that the files beside a cloned voice name, as ``--base`` takes it."""
    try:
        kind = json.loads((voice.parent / "report.json").read_text(encoding="utf-8"))["base"]["kind"]
        if kind in ("nano", "kokoro"):
            return kind
        folder = json.loads((voice.parent / "config.json").read_text(encoding="utf-8"))["base"]
        return folder if kind == "custom" and Path(folder).is_dir() else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _mix_name(mix: Mix) -> str:
    """``a+b`` out of the voices' file names without suffix, in the order they were named."""
    voices = dict.fromkeys((*mix.timbre, *mix.prosody))
    return "+".join(Path(voice).name.removesuffix(".pt") for voice in voices)[:80]
