"""The voices of a server: those of the output folder, looked up at each request, and the stock voices."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from voiceclone.bases.stock_names import default_voice
from voiceclone.errors import UsageError, VoicecloneError
from voiceclone.serving.requests import ApiError
from voiceclone.voice.formats import read_voice
from voiceclone.voice.library import OwnVoice, own_voices
from voiceclone.voice.lookup import is_expression
from voiceclone.voice.mixing import blend, parse_mix

if TYPE_CHECKING:
    from voiceclone.bases.base import Base
    from voiceclone.voice.pack import VoicePack

# OpenAI's voices that have the name of one of Kokoro's.
NAMESAKES = {"alloy": "af_alloy", "echo": "am_echo", "fable": "bm_fable", "nova": "af_nova", "onyx": "am_onyx"}
STOCK = "stock"


class Shelf:
    """Finds voices by name; unlike on the command line, a name is never read as a path.

    Args:
        out: the output folder of ``clone``.
        base: the base that is served; voices made for another base are left out.
    """

    def __init__(self, out: Path, base: Base) -> None:
        self._out, self._base = Path(out), base

    def listed(self) -> list[dict[str, str]]:
        """``id``, ``name`` and ``kind`` of each voice: own ones, newest first, then stock voices."""
        own = {voice.name: voice.kind for voice in own_voices(self._out) if self._fits(voice)}
        kinds = own | {name: STOCK for name in self._base.stock_voices if name not in own}
        return [{"id": name, "name": name, "kind": kind} for name, kind in kinds.items()]

    def find(self, voices: Iterable[str | None]) -> dict[str | None, VoicePack]:
        """Voices by name; the output folder is read once for all of them.

        Args:
            voices: names, or mixes such as ``af_bella(2)+af_sky(1)``; None is the base's default voice.

        Raises:
            ApiError: there is no such voice, or it is another base's (404), the mix is malformed (400), or the
                file is damaged (422).
        """
        own = {found.name: found for found in own_voices(self._out)}
        return {voice: self._found(voice, own) for voice in dict.fromkeys(voices)}

    def _found(self, voice: str | None, own: dict[str, OwnVoice]) -> VoicePack:
        try:
            if voice is None:
                voice = default_voice(self._base.stock_voices) or next((n for n in own if self._fits(own[n])), "")
            if voice in own or not is_expression(voice):
                return self._single(voice, own)
            mix = parse_mix(voice, lambda name: name in own or name in self._base.stock_voices)
            return blend(mix, lambda name: self._single(name, own), "mix")
        except UsageError as error:
            raise ApiError(400, str(error), param="voice", code="invalid_value") from error
        except VoicecloneError as error:
            raise ApiError(422, str(error), param="voice", code="voice_unusable") from error

    def _single(self, name: str, own: dict[str, OwnVoice]) -> VoicePack:
        stock = self._base.stock_voices
        if name in own and self._fits(own[name]):
            return read_voice(Path(own[name].file))
        known = name if name in stock else NAMESAKES.get(name)
        if known is not None and known in stock:
            return stock[known]
        reason = "GET /v1/audio/voices lists them"
        if name in own:
            reason = (
                f"it was made for another base ({own[name].base}) than {self._base.name}, which this server speaks with"
            )
        raise ApiError(404, f"no voice {name[:80]!r}: {reason}", param="voice", code="voice_not_found")

    def _fits(self, voice: OwnVoice) -> bool:
        return voice.fits(self._base.voice_space)
