"""Names of voices in the output folder: which of them are free, and which a run of the page has claimed.

A name stands for two folders: ``OUT/NAME`` with the voice, and ``OUT/datasets/NAME`` with the recordings that were
uploaded for it, often their only copy. A name is free where neither exists.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from voiceclone.cloning.config import check_name
from voiceclone.errors import UsageError, VoicecloneError
from voiceclone.files import TEMPORARY_PREFIX, write_failure, write_text

DATASETS = "datasets"  # subfolder of the output folder with the recordings of each voice, by name
CLAIM = ".claim"  # file in ``OUT/NAME`` with the token of the run that made the folder


def check_new_name(out: Path, name: str) -> None:
    """Check that a voice can get a name.

    Raises:
        UsageError: the name is not valid, or is that of a voice, of an unfinished run or of kept recordings.
    """
    check_name(name)
    if name.casefold() == DATASETS:  # some file systems do not tell capitals from small letters
        raise UsageError(f"a voice cannot be called {name}: choose another name")
    if os.path.lexists(out / name):
        raise UsageError(f"there is a voice {name} already, finished or not: choose another name")
    if os.path.lexists(out / DATASETS / name):
        raise UsageError(f"there are recordings of an earlier voice {name} already: choose another name")


@contextlib.contextmanager
def new_folder(out: Path, name: str) -> Iterator[Path]:
    """Yield a folder aside that becomes ``OUT/NAME`` in one step when the block ends; on failure it is removed.

    Raises:
        UsageError: the name is not free.
        VoicecloneError: the folder cannot be written.
    """
    aside = place_aside(out, name)
    try:
        aside.mkdir(parents=True)
        yield aside
        check_new_name(out, name)  # another visitor may have taken it since the caller asked
        aside.rename(out / name)
    except OSError as error:
        raise VoicecloneError(write_failure(out / name, error)) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def place_aside(out: Path, name: str) -> Path:
    """A path in the output folder that does not exist yet and is listed nowhere."""
    return out / f"{TEMPORARY_PREFIX}{secrets.token_hex(4)}-{name}"


def claim(out: Path, name: str, token: str) -> None:
    """Make ``OUT/NAME`` with the token of a run, so that nobody else takes the name before the run writes there.

    Raises:
        UsageError: the name is not free.
        VoicecloneError: the folder cannot be written.
    """
    with new_folder(out, name) as folder:
        write_text(folder / CLAIM, token)


def is_claimed(out: Path, name: str, token: str) -> bool:
    """Whether ``OUT/NAME`` was made for the run with this token, and was not renamed or deleted since."""
    try:
        return bool(token) and (out / name / CLAIM).read_text(encoding="utf-8") == token
    except (OSError, ValueError):
        return False
