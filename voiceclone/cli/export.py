"""``voiceclone export``: a voice in the file another Kokoro program reads, and back."""

from __future__ import annotations

import argparse
from pathlib import Path

from voiceclone.cli.clone import add_verbosity, verbosity
from voiceclone.errors import UsageError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``export``."""
    parser.add_argument("voice", metavar="VOICE", type=Path, help="a voice file: .pt, .npz, .bin or .safetensors")
    parser.add_argument("--to", required=True, metavar="FORMAT", help="pt, npz, bin, kokoro-js or safetensors")
    parser.add_argument("--out", required=True, type=Path, metavar="FILE", help="where it goes")
    parser.add_argument("--name", help="which voice of a file that holds several; or the name it gets")
    parser.add_argument("--add", action="store_true", help="add to an existing npz, bin or safetensors file")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file or a voice in it")
    add_verbosity(parser)


def run(options: argparse.Namespace) -> int:
    """Read, choose, write."""
    from voiceclone.tracking.progress import Reporter
    from voiceclone.voice.formats import FORMATS, SEVERAL, read_voices, write_voices

    if options.to not in FORMATS:
        raise UsageError(f"--to {options.to!r}: use one of {', '.join(FORMATS)}")
    packs = _chosen(read_voices(options.voice), options.name)
    existing = {}
    if options.out.exists():
        if options.add and options.to in SEVERAL:
            existing = read_voices(options.out)
        elif not options.overwrite:
            raise UsageError(f"{options.out} exists: choose another --out, or replace it with --overwrite")
    if (both := sorted(set(packs) & set(existing))) and not options.overwrite:
        raise UsageError(
            f"{options.out} holds a voice '{both[0]}': give another --name, or replace it with --overwrite"
        )
    provenance = {"source": options.voice.name, "made_with": _made_with()}
    write_voices(options.out, {**existing, **packs}, options.to, provenance=provenance)
    Reporter(verbosity=verbosity(options)).info(f"{options.out}: {', '.join(packs)} as {options.to}")
    return 0


def _chosen(packs: dict, name: str | None) -> dict:
    if name is None:
        return packs
    if name in packs:
        return {name: packs[name]}
    if len(packs) == 1:
        return {name: next(iter(packs.values()))}
    raise UsageError(f"--name {name!r}: the file holds {', '.join(sorted(packs))}")


def _made_with() -> str:
    from voiceclone import __version__

    return f"voiceclone {__version__}"
