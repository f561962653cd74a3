"""Splitting a text of any length and language into pieces of at most 510 phonemes.

KPipeline truncates to 510 phonemes, in every language but English without splitting the text first. Here a text is
split at punctuation in its phonemes (every G2P keeps it), then between words, so that all of it is spoken in order and
each word gets the phonemes that it has in its sentence. English is split by KPipeline's tokens, which tell the full
stop of an abbreviation from that of a sentence.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from voiceclone.text.alphabet import count_spoken
from voiceclone.text.g2p import phonemes_beyond_english
from voiceclone.text.normalization import ENGLISH, LINK, normalize

if TYPE_CHECKING:
    from kokoro import KPipeline

MAX_PHONEMES = 510  # the rows of a voice pack
MAX_LINE = 4000  # characters per call of a G2P: a whole book in one line would delay the first audio
_SHORT = MAX_PHONEMES // 4  # a piece should be longer than that: Kokoro speaks very short ones badly
_MARKS = tuple(re.compile(p) for p in (r"[.!?…]+[”\")]*(?=\s)", r"[:;](?=\s)", r"—|,[”\"]?(?=\s)"))
_LINE_MARKS = tuple(re.compile(p) for p in (r"[.!?…][”\"’)»]*(?=\s)|[。！？।॥]", r"[;:,—](?=\s)|[、，；：]", r"\s"))
_TAILS = "ːʰʲ↓→↗↘"  # modifiers of the phoneme before them
_SHOWN = 5


@dataclass(kw_only=True)
class LeftOut:
    """The parts of a text that were not spoken; filled in during synthesis."""

    foreign: list[str] = field(default_factory=list)
    """Parts in a script that the language cannot read."""
    silent: list[str] = field(default_factory=list)
    """Words or lines for which there are no phonemes."""
    symbols: set[str] = field(default_factory=set)
    """Phoneme symbols that the model does not know."""

    @property
    def texts(self) -> list[str]:
        """The omitted parts of the text."""
        return [*self.foreign, *self.silent]

    def warnings(self, language: str) -> list[str]:
        """One line for each kind of loss; empty if everything was spoken."""
        found = []
        if self.foreign:
            found.append(f"not spoken, in a script that {language} cannot read: {_some(self.foreign)}")
        if self.silent:
            found.append(f"not spoken, since there are no phonemes for it: {_some(self.silent)}")
        if self.symbols:
            found.append(
                f"left out, since the model does not know these phoneme symbols: {_some(sorted(self.symbols))}"
            )
        return found


def phoneme_pieces(pipeline: KPipeline, text: str, vocab: Container[str], left_out: LeftOut) -> Iterator[str]:
    """Phonemes of the pieces of ``text``, each at most ``MAX_PHONEMES`` long and with at least one sound.

    Every line is spoken on its own, as KPipeline does it; lines and pieces of punctuation alone are skipped.

    Args:
        text: without parts in foreign scripts (:func:`voiceclone.text.scripts.readable`).
        vocab: the phoneme symbols that the model knows.
        left_out: collects the parts that cannot be spoken.
    """
    for line in text.splitlines():
        if not any(unicodedata.category(c)[0] in "LN" or unicodedata.category(c) in ("So", "Sc") for c in line):
            continue  # a dot, a row of asterisks
        for part in _parts(line.strip()):
            yield from _line(pipeline, normalize(part, pipeline.lang_code), vocab, left_out)


def cut_phonemes(phonemes: str, limit: int = MAX_PHONEMES) -> Iterator[str]:
    """``phonemes`` in pieces of at most ``limit``: at the ends of sentences, else of clauses, else between words."""
    while len(phonemes) > limit:
        place = _place(phonemes, limit)
        yield phonemes[:place].strip()
        phonemes = phonemes[place:].strip()
    if phonemes:
        yield phonemes


def _line(pipeline: KPipeline, line: str, vocab: Container[str], left_out: LeftOut) -> Iterator[str]:
    written = LINK.sub(" ", line) if pipeline.lang_code in ENGLISH else line
    spoken = False
    for whole in _phonemes(pipeline, line, left_out):
        left_out.symbols |= {c for c in whole if c not in vocab and not c.isspace() and not _is_mark_of(c, written)}
        for piece in cut_phonemes(whole):
            if count_spoken(piece, vocab):
                spoken = True
                yield piece
    if not spoken and pipeline.lang_code not in ENGLISH and any(c.isalnum() for c in line):
        left_out.silent.append(line)


def _phonemes(pipeline: KPipeline, line: str, left_out: LeftOut) -> Iterator[str]:
    if pipeline.lang_code not in ENGLISH:
        yield phonemes_beyond_english(pipeline, line)
        return
    tokens = pipeline.g2p(line)[1]
    left_out.silent += [t.text for t in tokens if not t.phonemes and any(c.isalnum() for c in t.text)]
    for _, phonemes, _ in pipeline.en_tokenize(tokens):
        yield phonemes


def _is_mark_of(symbol: str, written: str) -> bool:
    """Punctuation of the text that the G2P passes on, such as the Spanish ¿."""
    return unicodedata.category(symbol)[0] == "P" and symbol in written


def _place(phonemes: str, limit: int) -> int:
    """Where to cut phonemes longer than ``limit``, 1 to ``limit``."""
    window = phonemes[: limit + 1]
    for mark in _MARKS:
        ends = [match.end() for match in mark.finditer(window) if _SHORT <= match.end() <= limit]
        if ends:
            return ends[-1]
    # Two halves of similar length rather than a full piece and a single word.
    room = limit if len(phonemes) >= 2 * limit else (len(phonemes) + 1) // 2
    space = phonemes.rfind(" ", 1, room + 1)
    if space > 0:
        return space
    place = limit
    while place > 1 and (phonemes[place] in _TAILS or unicodedata.category(phonemes[place])[0] == "M"):
        place -= 1
    return place - 1 if place > 1 and phonemes[place - 1] in "ˈˌ" else place


def _parts(line: str) -> Iterator[str]:
    """A line in parts of at most ``MAX_LINE`` characters, cut as late and as well as can be."""
    while len(line) > MAX_LINE:
        window = line[: MAX_LINE + 1]
        links = [link.span() for link in LINK.finditer(line, 0, 2 * MAX_LINE)]
        place = MAX_LINE
        for mark in _LINE_MARKS:
            ends = [m.end() for m in mark.finditer(window) if 1 <= m.end() <= MAX_LINE]
            ends = [end for end in ends if not any(start < end < stop for start, stop in links)]
            if ends:
                place = ends[-1]
                break
        yield line[:place].strip()
        line = line[place:].strip()
    if line:
        yield line


def _some(parts: list[str]) -> str:
    shown = ", ".join(repr(part if len(part) <= 40 else part[:39] + "…") for part in parts[:_SHOWN])
    return shown if len(parts) <= _SHOWN else f"{shown} and {len(parts) - _SHOWN} more"
