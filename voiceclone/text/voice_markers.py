"""Several voices in one text: ``[voice:af_heart] Hello. [voice:am_adam] And hello from me.``"""

from __future__ import annotations

import re

from voiceclone.errors import UsageError

_MARKER = re.compile(r"\[voice:([^\[\]\n]*)\]")


def parts_by_voice(text: str) -> list[tuple[str | None, str]]:
    """The parts of a text in their order, each with the voice its marker names; None before the first marker.

    Parts of nothing but white space are left out; a text without markers is one part, unchanged.

    Raises:
        UsageError: a marker names no voice.
    """
    pieces = _MARKER.split(text)  # text, name, text, name, text...
    parts: list[tuple[str | None, str]] = [(None, pieces[0])]
    for name, part in zip(pieces[1::2], pieces[2::2]):
        if not name.strip():
            raise UsageError("a marker [voice:] in the text names no voice: write for example [voice:af_heart]")
        parts.append((name.strip(), part))
    return [(name, part) for name, part in parts if part.strip()] if len(parts) > 1 else parts
