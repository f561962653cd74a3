#!/usr/bin/env python3
"""Make the package's file of official voices from a folder of the published ones.

    python scripts/pack_official_voices.py voices

``voices`` holds ``NAME.pt`` of hexgrad/Kokoro-82M, all 54 of v1.0; each must have its published SHA-256.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from voiceclone.errors import VoicecloneError

if TYPE_CHECKING:
    from torch import Tensor


def pack(folder: Path, out: Path) -> tuple[float, str]:
    """Write the file; return the largest absolute difference to a published value, and that voice's name."""
    from safetensors.torch import save

    from voiceclone.files import write_bytes
    from voiceclone.models import hub
    from voiceclone.voice.compact import RANK, compact_keys, compress, expand_compact
    from voiceclone.voice.official import ACCURACY
    from voiceclone.voice.pack import VoicePack

    tensors: dict[str, Tensor] = {}
    errors: dict[str, float] = {}
    for name in hub.KOKORO_VOICES:
        path = folder / f"{name}.pt"
        voice = VoicePack.load(path)
        hub.check_hash(path, hub.voice_file(name).sha256)
        parts = compress(voice, tolerance=ACCURACY)
        errors[name] = float((expand_compact(parts, name).tensor - voice.tensor).abs().max())
        tensors |= compact_keys(parts, name)
    about = (  # one entry: safetensors writes several in any order
        f"The voices of {hub.KOKORO_REPO} at {hub.KOKORO_REVISION}, Apache-2.0. Changed: each voice less its mean row "
        f"is stored as a product of rank {RANK}, every value within {ACCURACY:g} of the published one."
    )
    write_bytes(out, save(tensors, metadata={"about": about}))
    worst = max(errors, key=errors.__getitem__)
    return errors[worst], worst


def main() -> int:
    """Check, factorise, write, report; the exit code."""
    from voiceclone.voice.official import ASSET

    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="folder with the 54 published .pt files")
    parser.add_argument("--out", type=Path, default=ASSET, help="default: the package's own file")
    options = parser.parse_args()
    try:
        error, worst = pack(options.folder, options.out)
    except VoicecloneError as failure:
        print(f"error: {failure}", file=sys.stderr)
        return failure.exit_code
    size = options.out.stat().st_size
    print(f"{options.out}: {size:,} bytes, largest difference {error:.3g} in {worst}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
