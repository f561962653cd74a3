"""Fixed sentences that no voice is trained on, from one word to a paragraph: a voice has a row for each length."""

from __future__ import annotations

from dataclasses import dataclass

from voiceclone.text.normalization import ENGLISH


@dataclass(frozen=True, kw_only=True)
class Sentence:
    """A text of about ``phonemes`` phonemes, counted as in Kokoro: characters of the phoneme string."""

    phonemes: int
    text: str


HELD_OUT = (
    Sentence(phonemes=5, text="Yes."),
    Sentence(phonemes=20, text="The kettle is warm."),
    Sentence(phonemes=60, text="Nobody had watered the garden since the middle of the month."),
    Sentence(
        phonemes=150,
        text=(
            "When the bridge was closed for repairs, the baker began to cross the river in a small green boat, "
            "and the whole village came down to the bank to buy bread."
        ),
    ),
    Sentence(
        phonemes=400,
        text=(
            "Long before the sun had climbed above the roofs, a woman in a yellow coat was pushing a cart of oranges "
            "up the steep street; at every corner she stopped, wiped her face, and called out her price in a voice "
            "that carried over chimneys and courtyards. Children heard it in their dreams. By eight o'clock the cart "
            "was empty, so she would turn around, sit down like a queen, and let the hill take her home."
        ),
    ),
)


def held_out_sentences(lang: str) -> tuple[Sentence, ...]:
    """The sentences for a language code of Kokoro's; empty for languages other than English."""
    return HELD_OUT if lang in ENGLISH else ()
