"""Validation of requests, and errors in OpenAI's form."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from voiceclone.audio.stream import SOUNDS
from voiceclone.errors import UsageError
from voiceclone.text.g2p import language_code
from voiceclone.voice.speaking import SPEED_RANGE

MODELS = ("kokoro", "tts-1", "tts-1-hd", "gpt-4o-mini-tts")  # all select the base that is served
MAX_VOLUME = 4.0  # factor on the voice's own level; samples beyond full scale are clipped


class ApiError(Exception):
    """An error that is sent to the client.

    Args:
        status: HTTP status.
        message: one line for users.
        param: the key of the request that is wrong.
        code: identifier for programs.
    """

    def __init__(self, status: int, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.param, self.code = status, message, param, code

    def as_json(self) -> dict[str, Any]:
        """OpenAI's form."""
        kind = "server_error" if self.status >= 500 else "invalid_request_error"
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}


@dataclass(frozen=True, kw_only=True)
class SpeechRequest:
    """A checked body of ``POST /v1/audio/speech``."""

    text: str
    voice: str | None
    """A voice's name or a mix; None if none is given."""
    form: str
    """One of :data:`voiceclone.audio.stream.SOUNDS`."""
    speed: float
    """Factor on the voice's own rate."""
    volume: float
    """Factor on the voice's own level."""
    stream: bool
    """Send pieces as they are synthesised."""
    lang: str | None
    """Kokoro's language code; None for the server's default."""


def parse_json(body: bytes) -> dict[str, Any]:
    """The JSON object in a body.

    Raises:
        ApiError: it is not a JSON object.
    """
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        raise ApiError(400, "the body is not JSON in UTF-8", code="invalid_json") from None
    if not isinstance(content, dict):
        raise ApiError(400, "the body must be a JSON object", code="invalid_json")
    return content


def parse_speech(content: dict[str, Any], *, max_characters: int) -> SpeechRequest:
    """Check a request; unknown keys, such as ``instructions`` and ``normalization_options``, are ignored.

    Raises:
        ApiError: a value is missing, of the wrong kind or out of range.
    """
    model = _text(content, "model", default=MODELS[0])
    if model not in MODELS:
        raise ApiError(404, f"no model {model[:80]!r}: use {', '.join(MODELS)}", param="model", code="model_not_found")
    form = _text(content, "response_format", default="mp3")
    if form not in SOUNDS:
        raise _bad("response_format", f"use one of {', '.join(SOUNDS)}")
    if _text(content, "stream_format", default="audio") != "audio":
        raise _bad("stream_format", "only 'audio' is served")
    if content.get("return_download_link"):
        raise _bad("return_download_link", "links are not served: the sound is the answer")
    return SpeechRequest(
        text=_input(content, max_characters),
        voice=_voice(content),
        form=form,
        speed=_number(content, "speed", *SPEED_RANGE),
        volume=_number(content, "volume_multiplier", 0.0, MAX_VOLUME),
        stream=_flag(content, "stream", default=True),
        lang=_language(content),
    )


def _input(content: dict[str, Any], max_characters: int) -> str:
    text = _text(content, "input")
    if not text.strip():
        raise _bad("input", "the text is empty")
    if len(text) > max_characters:
        message = f"input: {len(text)} characters are more than the {max_characters} that this server speaks at once"
        raise ApiError(413, message, param="input", code="string_above_max_length")
    return text


def _voice(content: dict[str, Any]) -> str | None:
    value = content.get("voice")
    if isinstance(value, dict):  # the form in which OpenAI's client names a custom voice
        return _text(value, "id")
    return None if value is None else _text(content, "voice")


def _language(content: dict[str, Any]) -> str | None:
    if content.get("lang_code") is None:
        return None
    try:
        return language_code(_text(content, "lang_code"))
    except UsageError as error:
        raise _bad("lang_code", str(error)) from error


def _text(content: dict[str, Any], key: str, default: str | None = None) -> str:
    value = content.get(key)
    value = default if value is None else value
    if value is None:
        raise ApiError(400, f"{key} is missing", param=key, code="missing_required_parameter")
    if not isinstance(value, str):
        raise _bad(key, "a string is expected")
    if any(0xD800 <= ord(c) <= 0xDFFF or c == "\0" for c in value):
        raise _bad(key, "it holds half a surrogate pair or a zero byte")
    return value


def _number(content: dict[str, Any], key: str, low: float, high: float) -> float:
    value = content.get(key)
    value = 1.0 if value is None else value
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise _bad(key, f"a number from {low:g} to {high:g} is expected")
    return float(value)


def _flag(content: dict[str, Any], key: str, *, default: bool) -> bool:
    value = content.get(key)
    value = default if value is None else value
    if not isinstance(value, bool):
        raise _bad(key, "true or false is expected")
    return value


def _bad(key: str, reason: str) -> ApiError:
    return ApiError(400, f"{key}: {reason}", param=key, code="invalid_value")
