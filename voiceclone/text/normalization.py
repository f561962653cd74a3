"""Normalisation of text before the G2P: characters for every language, tables of rules for English.

The rules apply to text that is spoken and to the transcripts of clips alike. A rule applies only where its reading is
almost certain; everything else is left to misaki.
"""

from __future__ import annotations

import re
import unicodedata

from voiceclone.text import abbreviations, numerals

ENGLISH = frozenset("ab")
LINK = re.compile(r"\[[^\]]+\]\(/[^)]*/\)")
"""An inline pronunciation, ``[Kokoro](/kˈOkəɹO/)``, as misaki's English reads it."""

RULES = tuple((re.compile(pattern), replacement) for pattern, replacement in (*abbreviations.RULES, *numerals.RULES))
"""Applied in this order: addresses first, because every other rule would match parts of them."""

# Marks of other scripts, which only the Japanese and Chinese G2P know: unchanged, they would give no pause.
_MARKS = str.maketrans("。｡．、､，،！？؟；؛：।॥۔‐‑―", "...,,,,!??;;:...--—")
_OWN_MARKS = frozenset("jz")
_JOINERS = "\u200c\u200d"  # they select forms of a letter in Indic scripts
# Full width, ligatures, mathematical letters, Roman numerals, °C and units as one character.
_PRESENTATION = re.compile("[\uff01-\uff5e\ufb00-\ufb06\U0001d400-\U0001d7ff\u2160-\u217f\u2103\u2109\u3371-\u33df]+")

# eSpeak-NG drops everything after some 160 letters of a word, 800 characters without a space, or 90 digits.
_LONGEST = 60
_LONG = re.compile(rf"\d{{25,}}|\S{{{_LONGEST + 1},}}")


def normalize(text: str, lang: str) -> str:
    """The text that is handed to the G2P of ``lang`` (a code of Kokoro's), inline pronunciations untouched."""
    if lang not in ENGLISH:
        text = _characters(text, lang)
        return text if lang in _OWN_MARKS else _LONG.sub(_broken, text)
    parts, place = [], 0
    for link in LINK.finditer(text):
        parts += [_english(_characters(text[place : link.start()], lang)), link[0]]
        place = link.end()
    return "".join([*parts, _english(_characters(text[place:], lang))])


def _characters(text: str, lang: str) -> str:
    """Composed letters, plain spaces, no invisible characters, and marks and letters of full width as plain ones."""
    if text.isascii():
        return text
    text = unicodedata.normalize("NFC", text)
    kinds = ((c, unicodedata.category(c)) for c in text)
    kept = (" " if kind == "Zs" else c for c, kind in kinds if kind != "Cf" or (c in _JOINERS and lang == "h"))
    text = "".join(kept)
    if lang in _OWN_MARKS:
        return text
    return _PRESENTATION.sub(lambda m: unicodedata.normalize("NFKC", m[0]), text.translate(_MARKS))


def _english(text: str) -> str:
    for pattern, replacement in RULES:
        text = pattern.sub(replacement, text)
    return _LONG.sub(_broken, text)


def _broken(match: re.Match[str]) -> str:
    """Split a run without spaces into parts that eSpeak-NG can read, after punctuation if there is any."""
    run, parts = match[0], []
    if run.isdigit():
        return " ".join(run)
    while len(run) > _LONGEST:
        place = next((i for i in range(_LONGEST, _LONGEST // 2, -1) if not run[i - 1].isalnum()), _LONGEST)
        while place > 1 and unicodedata.category(run[place])[0] == "M":
            place -= 1
        parts.append(run[:place])
        run = run[place:]
    return " ".join([*parts, run])
