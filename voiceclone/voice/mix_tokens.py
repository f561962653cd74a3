"""Tokens of a mix expression. The name of an existing file is one token, whatever characters it contains."""

from __future__ import annotations

import re
from collections.abc import Callable

from voiceclone.errors import UsageError

HALVES = ("timbre", "prosody")
NAMES = ("name", "quoted")  # kinds of token that are voices
_NUMBER = r"(?:\d+(?:\.\d*)?|\.\d+)"
_TOKEN = re.compile(
    rf"""(?P<number>{_NUMBER})(?=\s*[*+),]|\s+-|\s*$)
        |"(?P<quoted>[^"]+)"
        |(?P<name>[\w./~\\:][\w./~\\:-]*)
        |(?P<sign>[-+*(),])""",
    re.VERBOSE,
)
_WEIGHTED = re.compile(rf"(.+):({_NUMBER})")
_SUFFIX = re.compile(rf":(?:(?P<weight>{_NUMBER})(?![\w.])|[\w.-]+)")
_BOUNDARY = re.compile(r"[\s+*(),:]|$")  # where the name of a file may end
_BOUNDARIES = 40  # number of candidates that are tried, the farthest first

Token = tuple[str, str]  # kind (number, quoted, name, sign) and text


def tokens(expression: str, is_voice: Callable[[str], bool]) -> list[Token]:
    """Split an expression.

    Args:
        is_voice: True for the name of an existing file (or ``FILE:NAME`` of a voice in one).

    Raises:
        UsageError: a part is none of these.
    """
    found: list[Token] = []
    at, text = 0, expression.rstrip()
    while at < len(text):
        if text[at].isspace():
            at += 1
        elif match := _after_name(text, at, found):
            if match["weight"]:
                found += [("sign", ":"), ("number", match["weight"])]
            else:  # a voice that the file does not hold; reading the file reports it
                found[-1] = ("name", found[-1][1] + match[0])
            at = match.end()
        elif file := _file_at(text, at, is_voice):
            found.append(("name", file))
            at += len(file)
        elif match := _TOKEN.match(text, at):
            kind = match.lastgroup or ""  # every token is a named group
            found += _split_weight(kind, match.group(kind))
            at = match.end()
        else:
            raise UsageError(f"mix expression: cannot read {text[at : at + 20]!r}: put unusual names in double quotes")
    return found


def _file_at(text: str, at: int, is_voice: Callable[[str], bool]) -> str | None:
    """The longest text from ``at`` on that names a file; numbers and ``timbre``, ``prosody`` do not."""
    ends = []
    for match in _BOUNDARY.finditer(text, at + 1):
        ends.append(match.start())
        if len(ends) == _BOUNDARIES:
            break
    for end in reversed(ends):
        piece = text[at:end].rstrip()
        plain = re.fullmatch(_NUMBER, piece) or (piece in HALVES and text[end:].lstrip().startswith("("))
        if piece and not plain and is_voice(piece):
            return piece
    return None


def _after_name(text: str, at: int, found: list[Token]) -> re.Match[str] | None:
    """``:60`` or ``:NAME`` directly after a file or a quoted name; other names include their colon."""
    follows = found and found[-1][0] in NAMES and not text[at - 1].isspace()
    return _SUFFIX.match(text, at) if follows else None


def _split_weight(kind: str, text: str) -> list[Token]:
    """``af_heart:60`` is a voice, a colon and a number."""
    if kind == "name" and (match := _WEIGHTED.fullmatch(text)):
        return [("name", match[1]), ("sign", ":"), ("number", match[2])]
    return [(kind, text)]
