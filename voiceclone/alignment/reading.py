"""eSpeak-NG's synthesis of a text: spectrum, words and phones with their times, without pauses.

Recordings without word times are aligned to it.
"""

from __future__ import annotations

import bisect
import re
from dataclasses import dataclass, field

import numpy as np

from voiceclone.alignment.recording_features import FRAME, features_of_samples
from voiceclone.errors import VoicecloneError
from voiceclone.text.espeak import EspeakSynthesizer, SynthesizedSpeech

# Kokoro's language codes to voices of eSpeak-NG. Japanese is missing, because eSpeak-NG cannot read kanji.
ESPEAK_VOICES = {
    "a": "en-us", "b": "en-gb", "e": "es", "f": "fr", "h": "hi", "i": "it", "p": "pt-br", "z": "cmn",
}  # fmt: skip
READERS = ("+f2", "+m3", "")
"""Variants of a voice; the one nearest to the speaker is used."""
RATE_WPM = 160
NO_BREAK, PHRASE, SENTENCE = 0, 1, 2
_PIECE = 300  # maximum number of characters synthesised at a time; a sentence where it is shorter
_CLOSING = "\"'”’)]»"
_SENTENCE_END = re.compile(r"[.!?;:…]+[\"'”’)\]»]*(?=\s)|[。！？；।]+[”’）」]*|\n+")
_TRAILING = re.compile(r"([ \t\u00a0]*[.,;:!?…—–»”]+(?=\s|$))*")  # punctuation after a space, as in French
_READ_SIGNS = set("&%+=@$€£")
# stress, length and tie marks are removed: variants share one model
_UNMARKED = {ord(mark): None for mark in "ˈˌːˑ^-~ʲ̃|"}


@dataclass(frozen=True, kw_only=True)
class Word:
    """One or more words of the text that are synthesised without a break."""

    start: int
    """Index of the first character in the text."""
    end: int
    """Index after the last character, without white space."""
    phones: tuple[str, ...]
    break_after: int
    """From the punctuation: NO_BREAK, PHRASE or SENTENCE."""

    @property
    def thirds(self) -> tuple[tuple[str, int], ...]:
        """Beginning, middle and end of every phone."""
        return tuple((phone, third) for phone in self.phones for third in range(3))


@dataclass(frozen=True, kw_only=True, eq=False)
class Reading:
    """A synthesised text."""

    text: str = field(repr=False)
    words: tuple[Word, ...] = field(repr=False)
    mel: np.ndarray = field(repr=False)
    """float32 ``(40, R)``, dB, one frame every 20 ms, without pauses."""
    word_of: np.ndarray = field(repr=False)
    """int ``(R,)``: the word of each frame, ascending. Every word has at least one frame."""
    unit_of: np.ndarray = field(repr=False)
    """int ``(R,)``: the phone third of each frame, an index into the word's ``thirds``."""

    @property
    def bounds(self) -> np.ndarray:
        """int ``(words + 1,)``: first frame of each word, then the number of frames."""
        return np.searchsorted(self.word_of, np.arange(len(self.words) + 1))

    def words_part(self, first: int, last: int) -> Reading:
        """The words from ``first`` to before ``last``."""
        low, high = np.searchsorted(self.word_of, [first, last])
        return Reading(
            text=self.text,
            words=self.words[first:last],
            mel=self.mel[:, low:high],
            word_of=self.word_of[low:high] - first,
            unit_of=self.unit_of[low:high],
        )


class Reader:
    """Synthesises texts of one language.

    Args:
        lang: one of :data:`ESPEAK_VOICES`.
        variant: one of :data:`READERS`.
    """

    def __init__(self, lang: str, variant: str, engine: EspeakSynthesizer | None = None) -> None:
        self.engine = engine or EspeakSynthesizer()
        self.voice = ESPEAK_VOICES[lang] + variant

    def read(self, text: str, start: int = 0, end: int | None = None) -> Reading:
        """Synthesise ``text[start:end]``. Word positions are relative to the beginning of ``text``.

        Raises:
            VoicecloneError: there is nothing in it that can be spoken.
        """
        words: list[Word] = []
        mels: list[np.ndarray] = []
        units: list[np.ndarray] = []
        for piece_start, piece_end in sentence_spans(text, start, len(text) if end is None else end):
            for word, mel, unit_of in self._read_piece(text, piece_start, piece_end):
                words.append(word)
                mels.append(mel)
                units.append(unit_of)
        if not words:
            raise VoicecloneError(f"the text {text[start:end][:40]!r} holds nothing that can be spoken")
        return Reading(
            text=text,
            words=tuple(words),
            mel=np.concatenate(mels, axis=1),
            word_of=np.repeat(np.arange(len(mels)), [mel.shape[1] for mel in mels]),
            unit_of=np.concatenate(units),
        )

    def _read_piece(self, text: str, start: int, end: int) -> list[tuple[Word, np.ndarray, np.ndarray]]:
        piece, tokens = _speakable(text[start:end])
        if not tokens:
            return []
        try:
            speech = self.engine.speak(piece, self.voice, rate_wpm=RATE_WPM)
        except VoicecloneError:
            return []  # eSpeak-NG produced no audio
        # Digital silence would be far below the level of any recording.
        noise = 1e-4 * np.random.default_rng(0).standard_normal(len(speech.audio))
        mel = features_of_samples(speech.audio + noise.astype(np.float32), speech.sample_rate).mel
        timed = _timed_tokens(tokens, speech)
        sounds = _sounds([time for _, time in timed], speech, mel.shape[1])
        read: list[tuple[Word, np.ndarray, np.ndarray]] = []
        for index, (token, _) in enumerate(timed):
            frames = [frame for _, inside in sounds[index] for frame in inside]
            if not frames:
                continue
            # Tokens without their own time (the second of "of the") are merged with the previous one.
            last = timed[index + 1][0] - 1 if index + 1 < len(timed) else len(tokens) - 1
            trailing = _TRAILING.match(text, start + tokens[last][1], end)
            word_end = trailing.end() if trailing else start + tokens[last][1]
            word = Word(
                start=start + tokens[token if read else 0][0],
                end=word_end,
                phones=tuple(phone for phone, _ in sounds[index]),
                break_after=break_after(text, word_end),
            )
            units = [
                3 * phone + 3 * k // len(inside)
                for phone, (_, inside) in enumerate(sounds[index])
                for k in range(len(inside))
            ]
            read.append((word, mel[:, frames], np.array(units)))
        return read


def sentence_spans(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """Sentences of ``text[start:end]`` as character spans; long ones are split at white space."""
    found, first = [], start
    for last in [*(match.end() for match in _SENTENCE_END.finditer(text, start, end)), end]:
        if last < end and _is_abbreviation(text[first:last]):
            continue
        while last - first > _PIECE:
            cut = max(text.rfind(", ", first, first + _PIECE) + 1, first)
            cut = cut if cut > first + _PIECE // 2 else text.rfind(" ", first, first + _PIECE) + 1
            cut = cut if cut > first else first + _PIECE
            found.append((first, cut))
            first = cut
        if last > first:
            found.append((first, last))
        first = last
    return found


def break_after(text: str, end: int) -> int:
    """The kind of break by the punctuation before ``text[end]`` and the white space after it."""
    before = text[max(0, end - 12) : end].rstrip(_CLOSING)
    rest = text[end:].lstrip()
    following = text[end : len(text) - len(rest)]
    if "\n" in following or not rest:
        return SENTENCE
    if before[-1:] in set(".!?…。！？।") and not _is_abbreviation(before):
        return SENTENCE
    return PHRASE if before[-1:] in set(".,;:—–-，；：、") else NO_BREAK


def _is_abbreviation(text: str) -> bool:
    """True where ``text`` ends with an abbreviation such as Dr., No. or J."""
    return re.search(r"(^|\s)[A-Z][a-z]{0,2}\.$", text.rstrip()) is not None


def _speakable(piece: str) -> tuple[str, list[tuple[int, int]]]:
    """The piece with characters that are not spoken (asterisks, emoji, dashes) blanked, and the spans of its tokens."""
    characters = list(piece.replace("\n", " "))
    tokens = []
    for match in re.finditer(r"\S+", piece):
        if any(character.isalnum() or character in _READ_SIGNS for character in match.group()):
            tokens.append(match.span())
        else:
            characters[match.start() : match.end()] = " " * len(match.group())
    return "".join(characters), tokens


def _timed_tokens(tokens: list[tuple[int, int]], speech: SynthesizedSpeech) -> list[tuple[int, float]]:
    """Index and start in seconds of the tokens for which eSpeak-NG reports a time, in order."""
    times: dict[int, float] = {}
    ends = np.array([end for _, end in tokens])
    for word in speech.words:
        token = int(np.searchsorted(ends, word.position, side="right"))
        if token < len(tokens):
            times.setdefault(token, word.start)
    kept: list[tuple[int, float]] = []
    for token, time in sorted(times.items()):
        if not kept or time > kept[-1][1]:
            kept.append((token, time))
    return kept


def _sounds(starts: list[float], speech: SynthesizedSpeech, frames: int) -> list[list[tuple[str, range]]]:
    """For each word its phones with their frames, without pauses."""
    sounds: list[list[tuple[str, range]]] = [[] for _ in starts]
    ends = [event.start for event in speech.events[1:]] + [frames * FRAME]
    for event, end in zip(speech.events, ends, strict=True):
        phone = event.ipa.strip().translate(_UNMARKED)
        inside = range(int(round(event.start / FRAME)), min(int(round(end / FRAME)), frames))
        if phone and starts:
            sounds[max(bisect.bisect_right(starts, event.start + 1e-3) - 1, 0)].append((phone, inside))
    return sounds
