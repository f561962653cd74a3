"""Transcripts by Whisper, where faster-whisper and one of its models are available."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from voiceclone.evaluation.metrics_words import WHISPER_LANGUAGES, packaged_model
from voiceclone.models import hub
from voiceclone.system.extras import install_command, is_installed
from voiceclone.ui.clip_words import UNFIT
from voiceclone.ui.draft import Draft

MODELS = ("small", "base", "tiny")  # the first that is cached is used; for English also its ".en" variant
FETCHED = "small"  # downloaded where no model is cached and the network may be used
FETCHED_MEGABYTES = 480

_lock = threading.Lock()


@dataclass(frozen=True, kw_only=True)
class WhisperChoice:
    """Whether transcription is available, and the message about it."""

    model: str | None
    """Name or folder of a model that can be used; None where there is none."""
    line: str
    """The message that the page shows."""


def find_whisper(lang: str, *, offline: bool) -> WhisperChoice:
    """Find a cached model for a language code of Kokoro's. Nothing is downloaded."""
    if not is_installed("transcribe"):
        line = f"Whisper can write the texts for you. To get it: `{install_command('transcribe')}`, then start again."
        return WhisperChoice(model=None, line=line)
    english = WHISPER_LANGUAGES[lang] == "en"
    for name in (*(f"{name}.en" for name in MODELS if english), *MODELS):
        if (folder := _cached(name)) is not None:
            return WhisperChoice(model=folder, line=f"Whisper {name} writes the texts.")
    if english and (packaged := packaged_model()) is not None:
        return WhisperChoice(model=str(packaged), line="Whisper tiny.en writes the texts.")
    if hub.is_offline(offline):
        line = "Whisper is installed, but none of its models is here, and the page is offline."
        if english:
            line += f" A small English one comes with `{install_command('judges')}`."
        return WhisperChoice(model=None, line=line)
    return WhisperChoice(model=FETCHED, line=f"Whisper fetches its model {FETCHED} ({FETCHED_MEGABYTES} MB) once.")


def fill_in(draft: Draft, model: str, lang: str) -> int:
    """Transcribe every usable clip that has no text.

    Returns:
        The number of clips that were transcribed.

    Raises:
        VoicecloneError: the model cannot be loaded, or a clip cannot be transcribed.
    """
    from voiceclone.prepare.recognition import recognise

    filled = 0
    with _lock:
        for clip in list(draft.clips):
            if clip.text.strip() or clip.grade == UNFIT:
                continue
            cues = recognise(_loaded(model), draft.path_of(clip), lang, lambda seconds: None)
            # the visitor may have removed the clip or entered its text in the meantime
            if clip in draft.clips and not clip.text:
                clip.text = " ".join(cue.text for cue in cues)
                filled += bool(clip.text)
                draft.save()
    return filled


@lru_cache(maxsize=1)
def _loaded(model: str) -> Any:
    from voiceclone.prepare.recognition import load_recogniser

    return load_recogniser(model)


def _cached(name: str) -> str | None:
    """Folder of a model in the Hub's cache; None where it is not cached."""
    from faster_whisper import download_model

    try:
        return download_model(name, local_files_only=True)
    except (OSError, ValueError, RuntimeError):  # the exception for a missing model differs between releases
        return None
