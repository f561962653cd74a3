"""The phone alphabet of the recognisers: misaki's American English phonemes without marks that are not sounds.

Stress and length marks, spaces and punctuation are left out. Symbols for the same reduced vowel are merged (``ɐ``,
``ᵊ`` to ``ə``; ``ᵻ`` to ``ɪ``), and British symbols are mapped to the nearest American ones.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Container

ALPHABET = tuple("AIOTWYbdfhijklmnpstuvwzæðŋɑɔəɛɜɡɪɹʃʊʌʒʤʧθ")
FOLDED = {"ɐ": "ə", "ᵊ": "ə", "ᵻ": "ɪ", "ɾ": "T", "ʔ": "t", "a": "æ", "ɒ": "ɑ", "Q": "O", "g": "ɡ", "r": "ɹ"}
DROPPED = frozenset("ˈˌːʰʲ")
"""Stress, length and other marks that are not phones."""
SILENT_SYMBOLS = frozenset(' ;:,.!?—…"()“”̃ˈˌːʰʲ↓→↗↘')
"""Symbols of Kokoro's vocabulary that are written but not spoken."""


def to_alphabet(phonemes: str) -> list[str]:
    """Misaki phonemes to :data:`ALPHABET`: marks, spaces and punctuation dropped, variants merged.

    A letter that is not an English phoneme is kept: it can never be recognised and so counts as an error.
    """
    letters = (s for s in phonemes if s not in DROPPED and unicodedata.category(s).startswith("L"))
    return [FOLDED.get(letter, letter) for letter in letters]


def count_spoken(phonemes: str, vocab: Container[str]) -> int:
    """Phonemes of the model's vocabulary, without punctuation, spaces, stress, length and tone marks."""
    return sum(symbol in vocab and symbol not in SILENT_SYMBOLS for symbol in phonemes)
