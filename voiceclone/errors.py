"""Errors for users, and their exit codes on the command line.

Every message is one line that says what is wrong, where, and how to correct it. Messages are written with the flags of
the command line (``--lr-projection 2: use a number between 0 and 1``). Within :func:`speaking_of_flags`, which the
command line opens, they are shown like that; elsewhere ``str(error)`` names the arguments of the Python API instead
(``lr_projection=2: use ...``), and so do the lines of a reporter.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

LONGEST_LINE = 1200  # characters; paths of the longest kind still fit
# Code in backticks, or a flag that is not part of a path or of a quoted name, with the text after it.
_CODE_OR_FLAG = re.compile(
    r"`(?P<code>[^`]*)`|(?<![\w/.'\"-])--(?P<flag>[a-z][a-z0-9_-]*)(?P<value> (?=['\"\d/]|-\d|[A-Z]{2}))?"
)
_FLAG_IN_CODE = re.compile(r"--(?P<flag>[a-z][a-z-]*) (?P<value>[\w./-]+)$")
_WITHOUT_VALUE = {"overwrite": "overwrite=True", "resume": 'resume="auto"', "offline": "offline=True"}
_flags_are_shown = False  # of the process, not of the context: threads of a command show flags too


class VoicecloneError(Exception):
    """The work failed: exit code 1."""

    exit_code = 1

    def __str__(self) -> str:
        return as_called(super().__str__())


class UsageError(VoicecloneError, ValueError):
    """Wrong usage (unknown flag value, bad path, bad config): exit code 2."""

    exit_code = 2


class MissingPackageError(VoicecloneError):
    """An optional package is not installed; the message says how to install it."""


@contextlib.contextmanager
def speaking_of_flags() -> Iterator[None]:
    """Messages name the flags of the command line, not the arguments of the Python API, within the block."""
    global _flags_are_shown
    before, _flags_are_shown = _flags_are_shown, True
    try:
        yield
    finally:
        _flags_are_shown = before


def as_called(message: str) -> str:
    """A message with flags on the command line, with arguments in Python."""
    return message if _flags_are_shown else as_arguments(message)


def as_arguments(message: str) -> str:
    """A message with its flags written as the arguments of the Python API; commands in backticks stay as they are.

    ``--seed -1`` becomes ``seed=-1``, ```--base nano``` becomes ```base="nano"```, ``--overwrite`` becomes
    ``overwrite=True``, and any other ``--lr-projection`` the bare name ``lr_projection``.
    """

    def argument(match: re.Match[str]) -> str:
        if (code := match["code"]) is not None:
            alone = _FLAG_IN_CODE.match(code)
            return match[0] if alone is None else f'`{_name(alone["flag"])}="{alone["value"]}"`'
        if match["value"]:
            return f"{_name(match['flag'])}="
        follows = message[match.end() : match.end() + 1]
        return _name(match["flag"]) if follows == ":" else _WITHOUT_VALUE.get(match["flag"], _name(match["flag"]))

    return _CODE_OR_FLAG.sub(argument, message)


def _name(flag: str) -> str:
    return flag.replace("-", "_")


def shown(error: object) -> str:
    """The one line for the terminal.

    Control characters (in names of files) are escaped, because a terminal would execute them, and the middle of a line
    longer than ``LONGEST_LINE`` is left out.
    """
    line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in str(error))
    if len(line) <= LONGEST_LINE:
        return line
    return f"{line[: LONGEST_LINE // 2]} [...] {line[-LONGEST_LINE // 2 :]}"


def one_line(error: BaseException) -> str:
    """The first line of an error's message, or its type when it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
