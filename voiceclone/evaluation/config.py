"""The settings of ``evaluate``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from voiceclone.errors import UsageError
from voiceclone.ranges import check_range
from voiceclone.system.settings import required, setting

VALIDATION_CLIPS = 10  # spoken, at most


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """Settings of ``evaluate``.

    Raises:
        UsageError: a value is out of range.
    """

    voice: str = required("a file of a voice, a stock voice's name, or a mix")
    data: str = required("dataset of the speaker, with validation clips")
    base: str = setting(
        "auto", "auto (the base the voice was made for), kokoro, nano, the folder of a base, or a Kokoro ONNX file"
    )
    also: tuple[str, ...] = setting((), "NAME=VOICE: a further voice, a file or a stock voice; may be given repeatedly")
    clips: int = setting(VALIDATION_CLIPS, "validation clips used at most, chosen by the seed")
    lang: str | None = setting(
        None,
        "Kokoro's language code, a where no run is known; the fixed sentences and the phone recogniser are English",
    )
    seed: int | None = setting(None, "seed of the split, of the sound source's noise and of the intervals")
    device: str = setting("auto", "auto, cuda, mps or cpu")
    out: Path | None = setting(None, "folder of the report and the page; an earlier report is replaced")
    json: bool = setting(False, "print one JSON object")
    keep_best: Path | None = setting(None, "also write the better voice to this .pt file")
    overwrite: bool = setting(False, "replace an existing --keep-best file")
    offline: bool = setting(False, "never use the network")

    def __post_init__(self) -> None:
        check_range("clips", self.clips, "evaluate")
        if self.seed is not None:
            check_range("seed", self.seed)
        if self.keep_best is not None and self.keep_best.suffix != ".pt":
            raise UsageError(f"--keep-best {self.keep_best}: the file of a voice ends in .pt")
