"""The settings of ``zero-shot``."""

from __future__ import annotations

import os
from dataclasses import dataclass

from voiceclone.system.settings import required, setting


@dataclass(frozen=True, kw_only=True)
class ZeroShotConfig:
    """Settings of ``zero-shot``."""

    clips: tuple[str | os.PathLike[str], ...] = required(
        "sound files of one speaker, 5 s or more in all, or a dataset's folder"
    )
    name: str = setting("my_voice", "name of the voice")
    out: str | os.PathLike[str] = setting("output", "output folder; the voice is written to OUT/NAME")
    base: str = setting("auto", "auto, kokoro, nano, or a base that shares Kokoro's voices")
    lang: str = setting("a", "Kokoro's language code; a test sentence is synthesised for English only")
    seed: int = setting(0, "seed of the test sentence")
    consent: str = setting("", "who agreed to the cloning, and how; recorded with the voice")
    overwrite: bool = setting(False, "replace a voice of this name")
    offline: bool = setting(False, "never use the network")
