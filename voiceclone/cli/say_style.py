"""Flags of ``say`` that sample a style for every piece of a text, on a base with a style sampler."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voiceclone.errors import UsageError

if TYPE_CHECKING:
    from kokoro import KPipeline
    from torch import Tensor

    from voiceclone.bases.base import Base
    from voiceclone.style.sampling import SampledVoice
    from voiceclone.voice.expressive import Deviations, ExpressiveVoice
    from voiceclone.voice.pack import VoicePack

FLAGS = {"alpha": "alpha", "beta": "beta", "diffusion_steps": "steps", "guidance": "guidance", "carry": "carry"}
"""Flags with a number, and the corresponding fields of :class:`voiceclone.style.sampling.SamplingSettings`."""
MOST_VARIANTS = 100


def add_style_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags.

    Without any of them the voice is used unchanged. All but the last two need a base with a style sampler.
    """
    parser.add_argument("--alpha", type=float, help="share of the drawn style in the timbre (default: 0.3)")
    parser.add_argument("--beta", type=float, help="share of the drawn style in melody and rhythm (default: 0.7)")
    parser.add_argument("--diffusion-steps", type=int, metavar="N", help="steps of the sampler (default: 10)")
    parser.add_argument("--guidance", type=float, help="how strongly the text decides (default: 1)")
    parser.add_argument("--carry", type=float, help="share of the last piece's style in the next (default: 0.7)")
    parser.add_argument("--style-from", type=Path, metavar="CLIP", help="take the style from a recording's")
    parser.add_argument("--style-text", metavar="TEXT", help="draw the style for this text instead")
    parser.add_argument(
        "--expressive",
        type=float,
        metavar="0..1",
        help="vary the delivery of a voice made with `clone --expressive`, on any base (default: 0)",
    )
    parser.add_argument("--variants", type=int, metavar="N", help="speak it N times, into FILE_1, FILE_2...")


def wants_sampling(options: argparse.Namespace) -> bool:
    """True where a flag of this group is given."""
    names = (*FLAGS, "style_from", "style_text", *(() if options.expressive is not None else ("variants",)))
    return any(getattr(options, name) is not None for name in names)


def check_style_flags(options: argparse.Namespace) -> None:
    """Check the values before a model is loaded.

    Raises:
        UsageError: a value is out of range, or the clip does not exist.
    """
    if options.expressive is not None and not 0.0 <= options.expressive <= 1.0:
        raise UsageError(f"--expressive {options.expressive}: use a number between 0 and 1")
    if options.expressive is not None and wants_sampling(options):
        raise UsageError("--expressive: goes with no flag of a base's own sampler (--alpha, --beta...): leave one out")
    if wants_sampling(options):
        _settings(options)
    if options.variants is not None and not 1 <= options.variants <= MOST_VARIANTS:
        raise UsageError(f"--variants {options.variants}: use a number from 1 to {MOST_VARIANTS}")
    if options.style_from is not None and not options.style_from.is_file():
        raise UsageError(f"--style-from {options.style_from}: no such file")


def variant_names(out: str, count: int | None) -> list[str]:
    """Output file of each variant: FILE itself for one, else FILE_1, FILE_2..."""
    path = Path(out)
    if count is None:
        return [out]
    return [str(path.with_name(f"{path.stem}_{number}{path.suffix}")) for number in range(1, count + 1)]


def sampled_voices(
    options: argparse.Namespace, base: Base, packs: dict[str, VoicePack], pipeline: KPipeline, *, variant: int
) -> dict[str, SampledVoice]:
    """The voices by name, each with a style sampled for every piece.

    Raises:
        UsageError: the base has no style sampler, or no encoders for the clip.
        VoicecloneError: the clip cannot be used.
    """
    from voiceclone.style.sampling import SampledVoice

    if base.style_sampler is None:
        raise UsageError(
            f"{base.title} has no sampler of styles: leave out --alpha, --beta, --style-from and the like, or use a "
            "base that was trained with --diffusion"
        )
    reference = None if options.style_from is None else _style_of(options.style_from, base)
    text = None if options.style_text is None else _phonemes(options.style_text, pipeline)
    return {
        name: SampledVoice(
            base.kmodel,
            base.style_sampler,
            pack.tensor,
            _settings(options),
            seed=options.seed + variant,
            reference=reference,
            text=text,
        )
        for name, pack in packs.items()
    }


def expressive_voices(
    options: argparse.Namespace, base: Base, packs: dict[str, VoicePack], *, variant: int
) -> dict[str, ExpressiveVoice]:
    """The voices by name, with varied prosody.

    Raises:
        UsageError: a voice has no deviations beside its file.
        VoicecloneError: its deviations are damaged.
    """
    import torch

    from voiceclone.models.frozen_kokoro import FrozenKokoro
    from voiceclone.voice.expressive import ExpressiveVoice

    kokoro = FrozenKokoro(base.kmodel, torch.device(base.kmodel.device))
    return {
        name: ExpressiveVoice(
            deviations_of(name),
            pack.tensor,
            strength=options.expressive,
            hear=kokoro.text_states,
            seed=options.seed + variant,
            carry=_settings(options).carry,
        )
        for name, pack in packs.items()
    }


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


def _settings(options: argparse.Namespace) -> Any:
    from voiceclone.style.sampling import SamplingSettings

    given = {field: getattr(options, flag) for flag, field in FLAGS.items()}
    return SamplingSettings(**{field: value for field, value in given.items() if value is not None})


def _style_of(clip: Path, base: Base) -> Tensor:
    """The style ``(1, 256)`` of a recording, by the encoders that the base was trained with."""
    import torch

    from voiceclone.audio.io import read_audio
    from voiceclone.style.extraction import extract_styles

    if base.own_encoders is None:
        raise UsageError(f"--style-from: {base.title} brings no encoders of its own to hear a clip with: leave it out")
    return extract_styles(
        [(clip.name, lambda: read_audio(clip))], base.own_encoders, device=torch.device("cpu")
    ).mean  # fmt: skip


def _phonemes(text: str, pipeline: KPipeline) -> str:
    from voiceclone.text.pieces import MAX_PHONEMES, LeftOut, pieces

    found = "".join(pieces(pipeline, text, pipeline.model.vocab, LeftOut()))[:MAX_PHONEMES]
    if not found:
        raise UsageError(
            f"--style-text {text[:40]!r}: no word of it can be spoken: give some in the language of --lang"
        )
    return found
