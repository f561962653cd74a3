"""A base that is loaded: its model, its style encoders and its stock voices."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voiceclone.bases.kokoro_weights import FULL_PRECISION
from voiceclone.bases.stock_voices import PipelineVoices
from voiceclone.style.encoders import StyleEncoders
from voiceclone.style.voice_regression import VoiceRegression
from voiceclone.voice.pack import VoicePack
from voiceclone.voice.space import space_of

if TYPE_CHECKING:
    from kokoro import KModel, KPipeline

    from voiceclone.models.styletts2.diffusion import StyleDiffusion

STOCK_KOKORO = "kokoro"  # ``Base.kind`` of a base whose voices stock Kokoro can speak with
NANO = "nano"
CUSTOM = "custom"


@dataclass(frozen=True, kw_only=True, eq=False)
class Base:
    """A loaded base. ``kmodel`` is frozen, in eval mode, float32, on the CPU, with weight norm folded."""

    name: str
    kind: str  # "kokoro", "nano" or "custom"
    kmodel: KModel = field(repr=False)
    load_encoders: Callable[[], StyleEncoders] = field(repr=False)
    load_own_encoders: Callable[[], StyleEncoders] | None = field(default=None, repr=False)
    load_regression: Callable[[], VoiceRegression] | None = field(default=None, repr=False)
    load_style_sampler: Callable[[], StyleDiffusion] | None = field(default=None, repr=False)
    stock_voices: Mapping[str, VoicePack] = field(default_factory=dict, repr=False)
    config: Mapping[str, Any] = field(default_factory=dict, repr=False)
    info: Mapping[str, Any] = field(default_factory=dict, repr=False)
    sha256: str = ""  # of the weight file, or of the published file it was converted from
    weights: str = FULL_PRECISION  # description of the weights
    folder: Path | None = None  # None for the real Kokoro

    @property
    def voice_space(self) -> str:
        """The voice space of the base, a name or this base's hash: its voices sound alike on all bases of the space."""
        return space_of(self.kind, self.sha256, self.info.get("voice_space"))

    @property
    def styles_are_voices(self) -> bool:
        """Whether the style encoders predict the base's own voice vectors, so that a style is a voice."""
        return bool(self.info.get("styles_are_voices"))

    @cached_property
    def style_encoders(self) -> StyleEncoders:
        """The pair that stage 1 uses.

        Raises:
            VoicecloneError: it is not available.
        """
        return self.load_encoders()

    @cached_property
    def own_encoders(self) -> StyleEncoders | None:
        """The pair the base was trained with, for the oracle voice; None if unknown."""
        return None if self.load_own_encoders is None else self.load_own_encoders()

    @cached_property
    def voice_regression(self) -> VoiceRegression | None:
        """The regression that improves the voice estimated by ``style_encoders``; None where they have none.

        Raises:
            VoicecloneError: its file is missing or damaged.
        """
        return None if self.load_regression is None else self.load_regression()

    @cached_property
    def style_sampler(self) -> StyleDiffusion | None:
        """The style sampler trained with the base; None where it has none.

        Raises:
            VoicecloneError: its file does not fit.
        """
        return None if self.load_style_sampler is None else self.load_style_sampler()

    @property
    def title(self) -> str:
        """The base's name, with the weights unless they have full precision."""
        return self.name if self.weights == FULL_PRECISION else f"{self.name}, {self.weights}"

    def pipeline(self, lang: str = "a") -> KPipeline:
        """A real ``kokoro.KPipeline`` on this model that knows the stock voices by name."""
        from voiceclone.text.g2p import build_pipeline

        pipeline = build_pipeline(lang, self.kmodel)
        pipeline.voices = PipelineVoices(self.stock_voices)
        return pipeline
