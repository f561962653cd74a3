"""The phones that recognisers tell apart: misaki's English phonemes (American), without what is no sound of its own.

Stress and length marks, spaces and punctuation are left out. Reduced vowels that the same sound may be written with
(``ɐ``, ``ᵊ`` as ``ə``; ``ᵻ`` as ``ɪ``) count as one, and British symbols as their American neighbours.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Container

ALPHABET = tuple("AIOTWYbdfhijklmnpstuvwzæðŋɑɔəɛɜɡɪɹʃʊʌʒʤʧθ")
FOLDED = {"ɐ": "ə", "ᵊ": "ə", "ᵻ": "ɪ", "ɾ": "T", "ʔ": "t", "a": "æ", "ɒ": "ɑ", "Q": "O", "g": "ɡ", "r": "ɹ"}
DROPPED = frozenset("ˈˌːʰʲ")
"""Stress, length and other marks that are no phones."""
SILENT_SYMBOLS = frozenset(' ;:,.!?—…"()“”̃ˈˌːʰʲ↓→↗↘')
"""Symbols of Kokoro's vocabulary that are written but not spoken."""


def to_alphabet(phonemes: str) -> list[str]:
    """Misaki phonemes to :data:`ALPHABET`: marks, spaces and punctuation dropped, look-alikes folded.

    A letter that is no English phoneme stays as it is: it can never be heard and so counts as an error.
    """
    letters = (s for s in phonemes if s not in DROPPED and unicodedata.category(s).startswith("L"))
    return [FOLDED.get(letter, letter) for letter in letters]


def count_spoken(phonemes: str, vocab: Container[str]) -> int:
    """Phonemes of the model's vocabulary, without punctuation, spaces, stress, length and tone marks."""
    return sum(symbol in vocab and symbol not in SILENT_SYMBOLS for symbol in phonemes)
