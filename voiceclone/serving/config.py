"""The settings of ``serve``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from voiceclone.system.settings import setting


@dataclass(frozen=True, kw_only=True)
class ServeConfig:
    """Settings of ``serve``."""

    out: Path = setting(Path("output"), "folder of the voices")
    base: str = setting("auto", "auto, kokoro, nano, the folder of a base, or a Kokoro ONNX file")
    lang: str = setting("a", "Kokoro's language code of requests that name none")
    device: str = setting("auto", "auto, cuda, mps or cpu")
    host: str = setting("127.0.0.1", "address to listen on; the default is this machine only")
    port: int = setting(8880, "port; 0 takes a free one")
    max_characters: int = setting(10_000, "longest text, in characters")
    queue: int = setting(16, "requests that wait while one is spoken; more get 503")
    seed: int = setting(0, "seed of the sound source's noise")
    offline: bool = setting(False, "never use the network")
