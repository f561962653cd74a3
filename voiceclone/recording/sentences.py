"""Sentences to read aloud: together they contain every phone of English, with questions, lists and numbers."""

from __future__ import annotations

from pathlib import Path

from voiceclone.data.tables import read_text
from voiceclone.errors import UsageError, VoicecloneError

MAX_BYTES = 1_000_000
SENTENCES = (
    "When the sunlight reaches the kitchen, she opens the window and hums an old tune.",
    "Joyce and Roy boiled eight brown eggs for the boys, and nobody made a noise.",
    "Did you measure the garage twice, or was that just a casual guess?",
    "Three thin feathers floated through the north door and settled on the cloth.",
    "My uncle chose cherry jam, fresh butter, and a huge slice of orange cake.",
    "The judge usually reads the whole page before she gives a fair answer.",
    "How about a short walk down to the harbour, now that the clouds are gone?",
    "Put your wool coat and your good boots by the wooden bookcase, would you?",
    "We watched the young fox jump over the wall and vanish in the tall grass.",
    "Nineteen ships were waiting in the bay on Thursday the twenty-fifth of August.",
    "He asked for paper, pencils, a pair of scissors, and some glue.",
    "The thought of losing her father's ring in the river gave her a real shock.",
    "I am sure that the tourists enjoyed the view more than the long journey home.",
    "Why does this old engine cough, rattle, and stop whenever it rains?",
    "Please keep the key beneath the green flowerpot, as you did last week.",
    "A cold wind blew snow across the road, so we drove slowly and hardly spoke.",
    "That evening the singer's calm voice filled every corner of the theatre.",
    "Bring the zebra picture along; the children love its strange black stripes!",
    "Her third cousin earned thirty-one dollars by selling purple turnips at work.",
    "Thank you, that was a pleasure, and I hope we shall see each other again soon.",
)


def read_sentences(path: Path) -> tuple[str, ...]:
    """One sentence per line, without empty lines and repetitions.

    Raises:
        UsageError: the file cannot be read, is too large, or contains none.
    """
    try:
        size = path.stat().st_size
    except OSError as error:
        raise UsageError(f"--sentences {path}: {error.strerror or error}: check the path") from error
    if size > MAX_BYTES:
        raise UsageError(f"--sentences {path}: more than {MAX_BYTES // 1_000_000} MB: give fewer sentences")
    try:
        text = read_text(path, table=False)
    except VoicecloneError as error:
        raise UsageError(f"--sentences {error}") from error
    lines = [" ".join(line.split()) for line in text.splitlines()]
    found = tuple(dict.fromkeys(line for line in lines if line))
    if not found:
        raise UsageError(f"--sentences {path}: holds no sentence: write one a line")
    return found
