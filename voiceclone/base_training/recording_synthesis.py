"""A long recording spoken by eSpeak-NG, with a time for every character."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from voiceclone.text.espeak import EspeakSynthesizer

LEAD, PAUSE = 0.25, 0.5  # seconds of silence at the start, and after every sentence
SILENCE = 1e-3  # largest sample of what is cut off at both ends of a sentence


@dataclass(frozen=True, kw_only=True)
class SynthesizedRecording:
    """Sentences spoken one after another."""

    audio: np.ndarray = field(repr=False)
    """float32 ``(samples,)``."""
    sample_rate: int
    """Hz."""
    spans: tuple[tuple[float, float, str], ...] = field(repr=False)
    """Start and end in seconds, and text of each sentence."""
    words: tuple[tuple[int, float], ...] = field(repr=False)
    """Index of a word's first character in :attr:`text`, and its start in seconds. Words spoken as one come once."""

    @property
    def text(self) -> str:
        """The sentences, one space between two."""
        return " ".join(text for _, _, text in self.spans)

    def timed_characters(self) -> list[dict[str, object]]:
        """``char``, ``start`` and ``end`` (seconds) of every character of :attr:`text`, evenly spread over its word."""
        ends = [(start, end) for start, end, text in self.spans for _ in range(len(text) + 1)]
        starts, places = dict(self.words), [place for place, _ in self.words]
        found: list[dict[str, object]] = []
        number = -1  # of the present word
        for place, character in enumerate(self.text):
            while number + 1 < len(places) and places[number + 1] <= place:
                number += 1
            word = places[number] if number >= 0 else 0
            following = places[number + 1] if number + 1 < len(places) else len(self.text)
            begin = starts.get(word, ends[place][0])
            end = starts[following] if following in starts and ends[following] == ends[place] else ends[place][1]
            share = (end - begin) / max(following - word, 1)
            first = min(begin + (place - word) * share, ends[place][1])
            found.append({"char": character, "start": round(first, 3), "end": round(max(first, first + share), 3)})
        return found


def synthesize_sentence(
    engine: EspeakSynthesizer, text: str, voice: str, *, rate_wpm: int = 170, pitch: int = 40
) -> tuple[np.ndarray, list[tuple[int, float]], int]:
    """A sentence without the silences at its ends.

    Returns:
        float32 samples; index in the text and start (seconds) of each word; sample rate in Hz.
    """
    speech = engine.speak(text, voice, rate_wpm=rate_wpm, pitch=pitch)
    loud = np.flatnonzero(np.abs(speech.audio) > SILENCE)
    first, last = (int(loud[0]), int(loud[-1]) + 1) if len(loud) else (0, len(speech.audio))
    rate = speech.sample_rate
    words = [(word.position, max(word.start - first / rate, 0.0)) for word in speech.words]
    return speech.audio[first:last], words, rate


def synthesize_recording(
    sentences: Sequence[str],
    voices: Sequence[str],
    *,
    seconds: float = float("inf"),
    rate_wpm: int = 170,
    pitch: int = 40,
) -> SynthesizedRecording:
    """Sentences, spoken by ``voices`` in turn.

    Args:
        sentences: texts.
        voices: eSpeak-NG's names.
        seconds: the recording ends with the sentence that reaches this length.
        rate_wpm: speaking rate in words per minute.
        pitch: 0-100.

    Raises:
        VoicecloneError: eSpeak-NG does not know the voice, or failed.
    """
    engine = EspeakSynthesizer()
    parts: list[np.ndarray] = []
    spans: list[tuple[float, float, str]] = []
    words: list[tuple[int, float]] = []
    at, place, rate = LEAD, 0, 0
    for number, text in enumerate(sentences):
        if at >= seconds:
            break
        audio, starts, rate = synthesize_sentence(
            engine, text, voices[number % len(voices)], rate_wpm=rate_wpm, pitch=pitch
        )
        if not parts:
            parts, at = [np.zeros(round(LEAD * rate), np.float32)], round(LEAD * rate) / rate
        words += [(place + index, at + start) for index, start in starts]
        place += len(text) + 1
        spans.append((at, at + len(audio) / rate, text))
        parts += [audio, np.zeros(round(PAUSE * rate), np.float32)]
        at += (len(audio) + len(parts[-1])) / rate
    audio = np.concatenate(parts).astype(np.float32, copy=False)
    return SynthesizedRecording(audio=audio, sample_rate=rate, spans=tuple(spans), words=tuple(sorted(words)))
