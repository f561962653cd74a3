"""What can go wrong for a user, and the exit code the command line gives for it.

Every message is one line that says what is wrong, where, and how to mend it.
"""


class VoicecloneError(Exception):
    """The work failed: exit code 1."""

    exit_code = 1


class UsageError(VoicecloneError, ValueError):
    """The command was called wrongly (unknown flag value, bad path, bad config): exit code 2."""

    exit_code = 2


def shown(error: object) -> str:
    """The one line for the terminal; what could steer it (control characters in names of files) is escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in str(error))
