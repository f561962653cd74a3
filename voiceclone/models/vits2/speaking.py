"""A VITS2 with the interface of Kokoro's model, for KPipeline and all commands.

A voice is a speaker vector, stored in the format of Kokoro's voices, ``(510, 1, 256)``: all rows are equal and padded
with zeros.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
import torchaudio
from kokoro.model import KModel
from torch import Tensor, nn

from voiceclone.audio.features import FRAME_SAMPLES, SAMPLE_RATE
from voiceclone.errors import UsageError
from voiceclone.models.checkpoint import fold_weight_norm, load_strictly, read_state
from voiceclone.models.vits2.config import MOST_NOISE, NOISE_SCALE, NOISE_SCALE_W, Vits2Config, read_vits2_config
from voiceclone.models.vits2.synthesizer import Synthesizer

ROWS, VALUES = 510, 256  # shape of a voice file
LONGEST = 512  # maximum number of tokens, as in Kokoro


@dataclass(frozen=True, kw_only=True)
class SpeechNoise:
    """Standard deviations of the noise in synthesis.

    Raises:
        UsageError: a value is out of range.
    """

    noise_scale: float = NOISE_SCALE
    """Of the latent frames, relative to the prior's."""
    noise_scale_w: float = NOISE_SCALE_W
    """Of the input of the duration predictor."""

    def __post_init__(self) -> None:
        for name in ("noise_scale", "noise_scale_w"):
            if not 0 <= (value := getattr(self, name)) <= MOST_NOISE:
                raise UsageError(f"--{name.replace('_', '-')} {value}: use a number between 0 and {MOST_NOISE:g}")


class Vits2KModel(KModel):
    """Synthesises phonemes with a voice, through the methods of ``kokoro.KModel``.

    Args:
        model: the synthesizer.
        vocab: symbols to token ids.
    """

    def __init__(self, model: Synthesizer, vocab: dict[str, int]) -> None:
        nn.Module.__init__(self)  # KModel's initialiser would build Kokoro's networks
        self.model, self.vocab, self.context_length = model, vocab, LONGEST
        self.noise = SpeechNoise()

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return next(self.model.parameters()).device

    @torch.no_grad()
    def forward_with_tokens(self, input_ids: Tensor, ref_s: Tensor, speed: float = 1) -> tuple[Tensor, Tensor]:
        """Tokens ``(1, N)`` and a voice's row ``(1, 256)`` to audio ``(T,)`` at 24 kHz and frames of 25 ms ``(N,)``.

        The frames may be multiples of 0.5.
        """
        config = self.model.config
        tokens = with_blanks(input_ids) if config.add_blank else input_ids
        voice = ref_s[:, : config.voice_size].unsqueeze(-1) if config.voice_size else None
        audio, frames = self.model.infer(
            tokens, torch.tensor([tokens.shape[1]], device=tokens.device), voice,
            noise_scale=self.noise.noise_scale, length_scale=1.0 / speed, noise_scale_w=self.noise.noise_scale_w,
        )  # fmt: skip
        front = config.front_end
        if front.sample_rate != SAMPLE_RATE:
            audio = torchaudio.functional.resample(audio, front.sample_rate, SAMPLE_RATE)
        durations = frames[0] * (front.hop / front.sample_rate * SAMPLE_RATE / FRAME_SAMPLES)
        if config.add_blank:  # the frames of a blank are added to the token before it
            durations = torch.cat([durations, durations.new_zeros(1)]).view(-1, 2).sum(1)
        return audio.flatten(), durations


@contextmanager
def speech_noise(kmodel: KModel, noise: SpeechNoise | None) -> Iterator[None]:
    """Synthesise with other noise within the block; None keeps the model's own.

    Raises:
        UsageError: noise is given, and the model is not a VITS2.
    """
    if noise is None:
        yield
        return
    if not isinstance(kmodel, Vits2KModel):
        raise UsageError("--noise-scale, --noise-scale-w: the base is not a VITS2: leave them out")
    before, kmodel.noise = kmodel.noise, noise
    try:
        yield
    finally:
        kmodel.noise = before


def with_blanks(tokens: Tensor) -> Tensor:
    """Insert a pad token between all of ``(..., N)``: ``(..., 2 N - 1)``. BOS and EOS are pad tokens too."""
    parts = torch.stack([tokens, torch.zeros_like(tokens)], dim=-1)
    return parts.flatten(-2)[..., :-1]


def voice_rows(vector: Tensor) -> Tensor:
    """A speaker vector ``(voice_size,)`` as a voice ``(510, 1, 256)``."""
    rows = torch.zeros(ROWS, 1, VALUES)
    rows[:, 0, : len(vector)] = vector.detach().float().cpu()
    return rows


def load_vits2(folder: Path, weights: Path) -> tuple[Synthesizer, dict[str, int]]:
    """The network of a base folder with its weights, frozen, in eval mode; and its vocabulary.

    Raises:
        VoicecloneError: a file is missing, damaged or belongs to another config.
    """
    config, vocab = read_vits2_config(folder / "config.json")
    model = build_synthesizer(config)
    load_strictly(model, read_state(weights), weights)
    fold_weight_norm(model)
    return model.eval().requires_grad_(False), vocab


def build_synthesizer(config: Vits2Config) -> Synthesizer:
    """A model with random weights. The caller's random state is restored."""
    with torch.random.fork_rng(devices=[]):
        return Synthesizer(config)
