"""The settings of ``record``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from voiceclone.system.settings import setting


@dataclass(frozen=True, kw_only=True)
class RecordConfig:
    """Settings of ``record``."""

    out: Path = setting(Path("my_dataset"), "dataset folder")
    sentences: Path | None = setting(None, "read these aloud: a UTF-8 file with one sentence a line")
    mic: str | None = setting(None, "number of a microphone, or part of its name")
    list_mics: bool = setting(False, "only list the microphones")
