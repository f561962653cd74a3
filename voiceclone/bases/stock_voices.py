"""The stock voices of a base, each read on first use."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from torch import Tensor

from voiceclone.voice.pack import VoicePack


class StockVoices(Mapping[str, VoicePack]):
    """Voices by name, each read on first use.

    Args:
        names: names of all voices.
        read: function that reads one voice.
    """

    def __init__(self, names: tuple[str, ...], read: Callable[[str], VoicePack]) -> None:
        self._names, self._read, self._had = tuple(sorted(names)), read, dict[str, VoicePack]()

    def __getitem__(self, name: str) -> VoicePack:
        if name not in self._names:
            raise KeyError(name)
        if name not in self._had:
            self._had[name] = self._read(name)
        return self._had[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class PipelineVoices(dict[str, Tensor]):
    """``KPipeline.voices`` that also finds stock voices, each read on first use."""

    def __init__(self, stock: Mapping[str, VoicePack]) -> None:
        super().__init__()
        self._stock = stock

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or name in self._stock

    def __missing__(self, name: str) -> Tensor:
        self[name] = self._stock[name].tensor
        return self[name]
