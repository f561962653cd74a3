"""What can go wrong for a user, and the exit code the command line gives for it.

Every message is one line that says what is wrong, where, and how to mend it.
"""

LONGEST_LINE = 1200  # characters; paths of the longest kind still fit


class VoicecloneError(Exception):
    """The work failed: exit code 1."""

    exit_code = 1


class UsageError(VoicecloneError, ValueError):
    """The command was called wrongly (unknown flag value, bad path, bad config): exit code 2."""

    exit_code = 2


class MissingPackageError(VoicecloneError):
    """A package that only some of the work needs is not installed; the message says how to get it."""


def shown(error: object) -> str:
    """The one line for the terminal.

    What could steer it (control characters in names of files) is escaped, and the middle of a line that would fill the
    screen (a name of five thousand letters) is left out.
    """
    line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in str(error))
    if len(line) <= LONGEST_LINE:
        return line
    return f"{line[: LONGEST_LINE // 2]} [...] {line[-LONGEST_LINE // 2 :]}"


def one_line(error: BaseException) -> str:
    """The first line of an error's message, or its type when it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
