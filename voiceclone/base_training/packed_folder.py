"""The folder of a packed base: which of its files a run wrote, how they are removed, how they are replaced."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from voiceclone.bases.folder import STYLE_SAMPLER
from voiceclone.errors import VoicecloneError
from voiceclone.files import write_failure

NAMES = frozenset(
    [
        "config.json",
        "model.safetensors",
        "style_encoders.safetensors",
        "own_encoders.safetensors",
        "voices.safetensors",
        "codec.safetensors",
        "codec.json",
        STYLE_SAMPLER,
        "base.json",
        "README.md",
    ]
)
"""Files of a base or a codec that have the same name in every folder."""


def packed_files(folder: Path) -> list[Path]:
    """The files in ``folder`` that packing writes; anything else was put there by somebody else."""
    found = [path for name in sorted(NAMES) if (path := folder / name).is_file()]
    # StyleTTS2's own checkpoint, which lends its style encoders, comes from elsewhere.
    weights = [path for path in sorted(folder.glob("*.pth")) if not path.name.startswith("epochs_2nd")]
    return [*found, *weights, *sorted((folder / "voices").glob("*.pt"))]


def remove_packed(folder: Path) -> None:
    """Remove what packing wrote into ``folder``, and the folder where nothing else is in it.

    Raises:
        OSError: a file cannot be removed.
    """
    for path in packed_files(folder):
        path.unlink(missing_ok=True)
    for emptied in (folder / "voices", folder):
        with contextlib.suppress(OSError):  # missing, or something else is in it
            emptied.rmdir()


@contextlib.contextmanager
def repacked(folder: Path) -> Iterator[Path]:
    """Yield an empty folder that takes the place of ``folder`` at the end; on failure ``folder`` stays as it is.

    Files of an earlier packing would otherwise be read with the new ones: a second weight file, other voices. Files
    that packing does not write are taken over.

    Raises:
        VoicecloneError: the folder cannot be written.
    """
    folder = Path(os.path.realpath(folder))  # a link to a folder stays a link
    fresh, former = folder.with_name(f".packing-{folder.name}"), folder.with_name(f".replaced-{folder.name}")
    try:
        if former.exists() and not folder.exists():  # a run was killed between the two renames below
            former.rename(folder)
        for left in (fresh, former):
            shutil.rmtree(left, ignore_errors=True)
        fresh.mkdir(parents=True)
        yield fresh
        _take_over_others(folder, fresh)
        if folder.exists():
            folder.rename(former)
        fresh.rename(folder)
    except OSError as error:
        raise VoicecloneError(write_failure(folder, error)) from error
    finally:
        if former.exists() and not folder.exists():  # the second rename failed
            former.rename(folder)
        for left in (fresh, former):
            shutil.rmtree(left, ignore_errors=True)


def _take_over_others(folder: Path, fresh: Path) -> None:
    """Copy the files in ``folder`` that packing does not write."""
    packed = set(packed_files(folder))
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path not in packed:
            target = fresh / path.relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target)
