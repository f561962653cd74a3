"""The writing systems that each language's G2P reads, and detection of other scripts in a text.

A G2P does not fail on a foreign script: it spells it ("Chinese letter"), passes the letters on as phonemes (Latin in
misaki's Japanese and Chinese), or returns nothing. Therefore such parts are detected before the G2P.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

from voiceclone.text.normalization import ENGLISH, LINK

_LATIN = frozenset({"LATIN"})
READ_BY = {
    **dict.fromkeys("abefip", _LATIN),
    "h": _LATIN | {"DEVANAGARI"},
    "j": frozenset({"HIRAGANA", "KATAKANA", "CJK"}),
    "z": frozenset({"CJK"}),
}
"""Scripts by language code, named as :func:`script_of` names them."""

_COMMON = "COMMON"  # modifier letters and the like, which belong to no script
_FOLDED = {"IDEOGRAPHIC": "CJK", "KANGXI": "CJK", "VERTICAL": "CJK", "MODIFIER": _COMMON, "": _COMMON}
_READ, _FOREIGN, _BREAK, _OTHER = "rfb "
_EMPTY_BRACKETS = re.compile(r"[(\[{（「『《〈【“\"][\s]*[)\]}）」』》〉】”\"]")


@dataclass(frozen=True, kw_only=True)
class Readable:
    """A text without the parts in scripts that a language cannot read."""

    text: str
    unread: tuple[str, ...]
    """The parts left out, in order."""
    share_unread: float
    """Letters left out, of all letters of the text, 0-1."""


def readable(text: str, lang: str) -> Readable:
    """Take the parts out of ``text`` that are in a script which ``lang`` (a code of Kokoro's) cannot read.

    A part includes spaces and marks between foreign words of a line. A Greek letter that stands alone (pi, alpha)
    is read by name in the languages with Latin script.
    """
    if text.isascii() and "LATIN" in READ_BY[lang]:
        return Readable(text=text, unread=(), share_unread=0.0)
    kinds = "".join(_kinds(text, READ_BY[lang]))
    if lang in ENGLISH:  # a word with an inline pronunciation may be in any script
        for link in LINK.finditer(text):
            kinds = kinds[: link.start()] + _READ * len(link[0]) + kinds[link.end() :]
    foreign, read = kinds.count(_FOREIGN), kinds.count(_READ)
    if not foreign:
        return Readable(text=text, unread=(), share_unread=0.0)
    kept: list[str] = []
    unread: list[str] = []
    place = 0
    for match in re.finditer(f"{_FOREIGN}(?:[{_FOREIGN} ]*{_FOREIGN})?", kinds):
        kept.append(text[place : match.start()])
        unread.append(text[match.start() : match.end()])
        place = match.end()
    kept.append(text[place:])
    left = _EMPTY_BRACKETS.sub(" ", " ".join(kept))
    return Readable(text=left, unread=tuple(unread), share_unread=foreign / (foreign + read))


@lru_cache(maxsize=4096)
def script_of(letter: str) -> str:
    """The script of a letter, the first word of its Unicode name (LATIN, CYRILLIC, CJK)."""
    plain = unicodedata.normalize("NFKC", letter)[0]
    word = re.split(r"[ -]", unicodedata.name(plain, ""))[0]
    return _FOLDED.get(word, word)


def _kinds(text: str, scripts: frozenset[str]) -> list[str]:
    """For each character: in a readable script, in a foreign one, a character that ends a part, or neither."""
    kinds: list[str] = []
    for index, character in enumerate(text):
        category = unicodedata.category(character)
        if category[0] == "M":
            kinds.append(kinds[-1] if kinds else _OTHER)
        elif category[0] == "L":
            script = script_of(character)
            if script == _COMMON:
                kinds.append(_OTHER)
            elif script in scripts or (script == "GREEK" and "LATIN" in scripts and _stands_alone(text, index)):
                kinds.append(_READ)
            else:
                kinds.append(_FOREIGN)
        else:
            kinds.append(_BREAK if category[0] == "N" or character == "\n" else _OTHER)
    return kinds


def _stands_alone(text: str, index: int) -> bool:
    around = text[max(index - 1, 0) : index] + text[index + 1 : index + 2]
    return not any(unicodedata.category(c)[0] == "M" or (c.isalpha() and script_of(c) == "GREEK") for c in around)
