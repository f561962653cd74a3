"""Flags of ``say`` that sample a style for every piece of a text, on a base with a style sampler."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voiceclone.cli.say_config import SayConfig
from voiceclone.errors import UsageError
from voiceclone.ranges import range_of
from voiceclone.system.settings import add_flags, words_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from kokoro import KPipeline
    from torch import Tensor

    from voiceclone.bases.base import Base
    from voiceclone.style.sampling import SampledVoice, SamplingSettings
    from voiceclone.voice.expressive import Deviations, ExpressiveVoice
    from voiceclone.voice.pack import VoicePack

FLAGS = {"alpha": "alpha", "beta": "beta", "diffusion_steps": "steps", "guidance": "guidance", "carry": "carry"}
"""Flags with a number, and the fields of :class:`voiceclone.style.sampling.SamplingSettings`."""
MOST_VARIANTS = range_of("variants")[1]


def add_style_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags. The defaults in the help are those of the sampler, which is used only if one of them is given."""
    number, numbers = {"type": float}, {"type": int, "metavar": "N"}

    def with_default(name: str, default: str, **more: Any) -> dict[str, Any]:
        return {**more, "help": f"{words_of(SayConfig, name)} (default: {default})"}

    add_flags(
        parser, SayConfig, alpha=with_default("alpha", "0.3", **number), beta=with_default("beta", "0.7", **number),
        diffusion_steps=with_default("diffusion_steps", "10", **numbers),
        guidance=with_default("guidance", "1", **number), carry=with_default("carry", "0.7", **number),
        style_from={"type": Path, "metavar": "CLIP"}, style_text={"metavar": "TEXT"},
        expressive=with_default("expressive", "0", **number, metavar="0..1"), variants=numbers,
    )  # fmt: skip


def sampling_settings(config: SayConfig) -> SamplingSettings:
    """How styles are sampled: what is given, and the sampler's own defaults for the rest.

    Raises:
        UsageError: a value is out of range.
    """
    from voiceclone.style.sampling import SamplingSettings

    values = {field: getattr(config, flag) for flag, field in FLAGS.items()}
    return SamplingSettings(**{field: value for field, value in values.items() if value is not None})


def variant_names(out: str, count: int | None) -> list[str]:
    """Output file of each variant: FILE itself for one, else FILE_1, FILE_2..."""
    path = Path(out)
    if count is None:
        return [out]
    return [str(path.with_name(f"{path.stem}_{number}{path.suffix}")) for number in range(1, count + 1)]


def sampled_voices(
    config: SayConfig, base: Base, packs: dict[str, VoicePack], pipeline: KPipeline, *, variant: int
) -> dict[str, SampledVoice]:
    """The voices by name, each with a style sampled for every piece.

    Raises:
        UsageError: the base has no style sampler, or no encoders for the clip.
        VoicecloneError: the clip cannot be used.
    """
    from voiceclone.style.sampling import SampledVoice

    if base.style_sampler is None:
        raise UsageError(
            f"{base.title} has no style sampler: leave out --alpha, --beta, --style-from and the like, or use a "
            "base that was trained with --diffusion"
        )
    reference = None if config.style_from is None else _style_of(config.style_from, base)
    text = None if config.style_text is None else _phonemes(config.style_text, pipeline)
    return {
        name: SampledVoice(
            base.kmodel,
            base.style_sampler,
            pack.tensor,
            sampling_settings(config),
            seed=config.seed + variant,
            reference=reference,
            text=text,
        )
        for name, pack in packs.items()
    }


def expressive_voices(
    config: SayConfig, base: Base, packs: dict[str, VoicePack], *, variant: int
) -> dict[str, ExpressiveVoice]:
    """The voices by name, each with its delivery varied as strongly as ``config.expressive`` says.

    Raises:
        UsageError: a voice has no deviations beside its file.
        VoicecloneError: its deviations are damaged.
    """
    from voiceclone.voice.expressive import ExpressiveVoice

    deviations = {name: deviations_of(name) for name in packs}
    return {
        name: ExpressiveVoice(
            deviations[name],
            pack.tensor,
            strength=config.expressive or 0.0,
            text_features=_text_features(name, deviations[name], base),
            seed=config.seed + variant,
            carry=sampling_settings(config).carry,
        )
        for name, pack in packs.items()
    }


def _text_features(voice: str, deviations: Deviations, base: Base) -> Callable[[str], Tensor]:
    """Text features as the deviations were fitted with, whichever base speaks: nano's and Kokoro's have other widths.

    Raises:
        UsageError: the deviations depend on the features of a base that is not at hand.
    """
    import torch

    from voiceclone.bases.base import load_base
    from voiceclone.bases.loaded import NANO
    from voiceclone.models.frozen_kokoro import FrozenKokoro

    def reads(base: Base) -> bool:
        return not deviations.uses_text or base.kmodel.bert.config.hidden_size == deviations.text_width

    reader = base
    if not reads(reader):
        reader = load_base(NANO)
        if not reads(reader):
            raise UsageError(
                f"{voice}: its deliveries depend on the text as another base than {base.title} reads it: give the base "
                "it was made on with --base, or leave out --expressive"
            )
    return FrozenKokoro(reader.kmodel, torch.device(reader.kmodel.device)).text_states


def deviations_of(voice: str) -> Deviations:
    """The deviations beside a voice's file.

    Raises:
        UsageError: there are none.
        VoicecloneError: the file is damaged.
    """
    from voiceclone.voice.expressive import Deviations, deviations_beside
    from voiceclone.voice.lookup import file_of

    located = file_of(voice)
    path = deviations_beside(located[0]) if located else None
    if path is None or not path.is_file():
        raise UsageError(
            f"{voice} has no .style.safetensors beside it: make the voice with `clone --expressive`, or leave this out"
        )
    return Deviations.load(path)


def _style_of(clip: Path, base: Base) -> Tensor:
    """The style ``(1, 256)`` of a recording, by the encoders that the base was trained with."""
    import torch

    from voiceclone.audio.io import read_audio
    from voiceclone.style.extraction import extract_styles

    if base.own_encoders is None:
        raise UsageError(f"--style-from: {base.title} has no style encoders of its own to encode a clip: leave it out")
    return extract_styles(
        [(clip.name, lambda: read_audio(clip))], base.own_encoders, device=torch.device("cpu")
    ).mean  # fmt: skip


def _phonemes(text: str, pipeline: KPipeline) -> str:
    from voiceclone.text.pieces import MAX_PHONEMES, LeftOut, phoneme_pieces

    found = "".join(phoneme_pieces(pipeline, text, pipeline.model.vocab, LeftOut()))[:MAX_PHONEMES]
    if not found:
        raise UsageError(
            f"--style-text {text[:40]!r}: no word of it can be spoken: give some in the language of --lang"
        )
    return found
