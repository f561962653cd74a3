"""What can go wrong for a user, and the exit code the command line gives for it.

Every message is one line that says what is wrong, where, and how to mend it.
"""


class VoicecloneError(Exception):
    """The work failed: exit code 1."""

    exit_code = 1


class UsageError(VoicecloneError, ValueError):
    """The command was called wrongly (unknown flag value, bad path, bad config): exit code 2."""

    exit_code = 2
