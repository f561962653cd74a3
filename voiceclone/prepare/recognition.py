"""Transcripts by speech recognition with faster-whisper (extra ``transcribe``)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from voiceclone.errors import VoicecloneError
from voiceclone.prepare.subtitles import Cue, spoken_text
from voiceclone.system.extras import require

# Kokoro's language codes to Whisper's.
_LANGUAGES = {"a": "en", "b": "en", "e": "es", "f": "fr", "h": "hi", "i": "it", "p": "pt", "j": "ja", "z": "zh"}


def require_recognition() -> None:
    """Raise an error if faster-whisper is missing.

    Raises:
        MissingPackageError: it is not installed.
    """
    require("transcribe", what="--transcribe", otherwise=" (or give --text, --subtitles or --metadata)")


def load_recogniser(model: str) -> Any:
    """A faster-whisper model by its name, or from a folder.

    Raises:
        MissingPackageError: faster-whisper is not installed.
        VoicecloneError: the model cannot be loaded or downloaded.
    """
    require_recognition()
    try:
        from faster_whisper import WhisperModel

        return WhisperModel(model, device="auto", compute_type="default")
    except Exception as error:  # various exceptions: missing network, wrong name, damaged folder
        reason = " ".join(str(error).split())[:200]
        raise VoicecloneError(
            f"--transcribe {model}: the model cannot be loaded ({reason}): give the name of a model or its folder"
        ) from error


def recognise(recogniser: Any, path: Path, lang: str, advance: Callable[[float], None]) -> list[Cue]:
    """The transcript of a recording, sentence by sentence, with times.

    Args:
        lang: Kokoro's language code.
        advance: called with the seconds of audio that are done.

    Raises:
        VoicecloneError: the recording cannot be recognised.
    """
    cues: list[Cue] = []
    done = 0.0
    try:
        segments, _ = recogniser.transcribe(
            str(path), language=_LANGUAGES[lang], vad_filter=True, condition_on_previous_text=False
        )
        for segment in segments:
            start, end, text = float(segment.start), float(segment.end), spoken_text([segment.text])
            if end > start >= 0.0 and any(character.isalnum() for character in text):
                cues.append(Cue(start=max(start, cues[-1].end if cues else 0.0), end=end, text=text))
                if cues[-1].end <= cues[-1].start:
                    cues.pop()
            advance(max(0.0, end - done))
            done = max(done, end)
    except Exception as error:  # the decoder and the model raise various exceptions
        reason = " ".join(str(error).split())[:200]
        raise VoicecloneError(f"{path}: cannot be transcribed ({reason}): convert it to WAV") from error
    return cues
