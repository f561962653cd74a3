"""The consent that a visitor confirms before a voice is cloned. It is stored with the voice (``clone --consent``)."""

from __future__ import annotations

from datetime import date

from voiceclone.errors import UsageError

SENTENCE = "This is my own voice, or the speaker has agreed that I clone it and knows what I will use it for."
MAX_NAME = 100  # characters


def consent_text(person: str, agreed: bool, today: date) -> str:
    """The consent line for the voice's report and model card.

    Raises:
        UsageError: the box is not ticked, or the speaker's name is missing or too long.
    """
    person = " ".join(person.split())
    if not agreed:
        raise UsageError("without consent no voice is cloned: tick the sentence if it is true")
    if not person:
        raise UsageError("a name is missing: write down who the speaker is")
    if len(person) > MAX_NAME:
        raise UsageError(f"the speaker's name has {len(person)} characters: use {MAX_NAME} at most")
    return f'{person}: "{SENTENCE}" (confirmed on the voiceclone page, {today.isoformat()})'
