"""The settings of ``say``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from voiceclone.errors import UsageError
from voiceclone.ranges import range_of
from voiceclone.system.settings import setting


@dataclass(frozen=True, kw_only=True)
class SayConfig:
    """Settings of ``say``.

    The fields from ``alpha`` to ``style_text`` need a base with a style sampler; if all are None, the voice is used
    unchanged. Their defaults are those of :class:`voiceclone.style.sampling.SamplingSettings`.

    Raises:
        UsageError: a value is out of range, settings cannot be combined, or a clip does not exist.
    """

    voice: str | None = setting(
        None,
        "a file of a voice (FILE:NAME for one of several), a stock voice's name, or a mix: "
        '"0.7*v.pt + 0.3*af_heart", "af_bella(2)+af_sky(1)"',
    )
    out: str | None = setting(None, "file in .wav, .flac, .ogg, .opus or .mp3; - is WAV on standard output")
    file: Path | None = setting(None, "read the text from this UTF-8 file")
    base: str = setting(
        "auto",
        "auto, kokoro, nano, the folder of a base, or a Kokoro ONNX file; auto is the base the voice was made for, if "
        "the report beside it or its header names one, else as for clone",
    )
    lang: str = setting("a", "Kokoro's language code")
    speed: float = setting(1.0, "factor on the voice's own speaking rate, 0.25 to 4")
    seed: int = setting(0, "seed of the noise in the vocoder's source: the same seed gives the same audio")
    device: str = setting("auto", "auto, cuda, mps or cpu")
    alpha: float | None = setting(None, "share of a sampled style in the acoustic half, 0 to 1")
    beta: float | None = setting(None, "share of a sampled style in the prosodic half, 0 to 1")
    diffusion_steps: int | None = setting(None, "steps of the sampler")
    guidance: float | None = setting(None, "classifier-free guidance: how strongly the text determines the style")
    carry: float | None = setting(None, "share of the previous piece's style in the next one, 0 to 1")
    style_from: Path | None = setting(None, "a recording whose style replaces the voice's")
    style_text: str | None = setting(None, "sample the style for this text instead")
    expressive: float | None = setting(
        None, "how much the delivery of a voice made with clone --expressive varies, 0 to 1"
    )
    variants: int | None = setting(None, "number of versions of the text, each with other styles: FILE_1, FILE_2...")
    noise_scale: float | None = setting(None, "noise in the sound of a VITS2, relative to what it learnt, 0 to 2")
    noise_scale_w: float | None = setting(None, "noise in the durations of a VITS2, 0 to 2")
    json: bool = setting(False, "print one JSON object (to standard error with --out -)")
    overwrite: bool = setting(False, "replace an existing file")
    offline: bool = setting(False, "never use the network")

    def __post_init__(self) -> None:
        if self.expressive is not None and not 0.0 <= self.expressive <= 1.0:
            raise UsageError(f"--expressive {self.expressive}: use a number between 0 and 1")
        if self.expressive is not None and self.samples_styles:
            raise UsageError(
                "--expressive: cannot be combined with flags of a base's style sampler (--alpha...): leave one out"
            )
        lowest, highest = range_of("variants")
        if self.variants is not None and not lowest <= self.variants <= highest:
            raise UsageError(f"--variants {self.variants}: use a number from {lowest} to {highest}")
        if self.style_from is not None and not self.style_from.is_file():
            raise UsageError(f"--style-from {self.style_from}: no such file")

    @property
    def samples_styles(self) -> bool:
        """Whether a setting needs the base's style sampler."""
        asked = (self.alpha, self.beta, self.diffusion_steps, self.guidance, self.carry, self.style_from,
                 self.style_text, None if self.expressive is not None else self.variants)  # fmt: skip
        return any(value is not None for value in asked)
