"""Kokoro, frozen and differentiable with respect to the voice.

``KModel.forward_with_tokens`` is wrapped in ``no_grad``: training through it silently gives no gradient. The same
computation is done here in the steps that training needs separately: text features (independent of the voice, computed
once), durations, prosody, decoder.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from voiceclone.errors import UsageError, VoicecloneError
from voiceclone.models.fused import fused

if TYPE_CHECKING:
    from kokoro import KModel

STYLE_DIM = 128  # width of each half of a voice: acoustic style, then prosodic style


@dataclass(frozen=True, kw_only=True, eq=False)
class TextFeatures:
    """Features of a phoneme string that do not depend on the voice. ``T`` tokens include BOS and EOS."""

    input_ids: Tensor = field(repr=False)  # (1, T) int64
    duration_text: Tensor = field(repr=False)  # (1, hidden, T): PL-BERT features for the prosody predictor
    acoustic_text: Tensor = field(repr=False)  # (1, hidden, T): text encoder's features for the decoder
    phoneme_count: int  # characters of the phoneme string: selects the row of the voice pack
    symbols: str = ""  # the characters the model knows, T - 2 of them

    @property
    def tokens(self) -> int:
        """Number of tokens, BOS and EOS included."""
        return self.input_ids.shape[1]


@dataclass(frozen=True, kw_only=True, eq=False)
class PredictedProsody:
    """The prosody of a text. ``T`` tokens, ``F`` frames of 25 ms."""

    durations: Tensor = field(repr=False)  # (T,) int64, frames
    f0: Tensor = field(repr=False)  # (2F,) Hz
    energy: Tensor = field(repr=False)  # (2F,)


@dataclass(frozen=True, kw_only=True, eq=False)
class SynthesizedUtterance(PredictedProsody):
    """A synthesised text."""

    audio: Tensor = field(repr=False)  # (600 F,) at 24 kHz


def token_ids(phonemes: str, vocab: Mapping[str, int]) -> list[int]:
    """Token ids with BOS and EOS; characters outside the vocabulary are dropped, as ``KModel.forward`` does."""
    return [0, *(vocab[p] for p in phonemes if p in vocab), 0]


def check_trainable(kmodel: KModel) -> None:
    """Check that voices can be trained for this model.

    Raises:
        UsageError: it is a model of another system, without Kokoro's parts.
    """
    if not hasattr(kmodel, "predictor"):
        raise UsageError("--base: voices can only be trained on Kokoro-format bases: use kokoro, nano or another one")


class FrozenKokoro:
    """A differentiable view of a frozen ``KModel``. Batches are of equal length: nothing is padded.

    Args:
        convolutions: dtype of the decoder's convolutions; None for the model's own.
    """

    def __init__(self, kmodel: KModel, device: torch.device, *, convolutions: torch.dtype | None = None) -> None:
        check_trainable(kmodel)
        self.kmodel = kmodel.to(device).eval().requires_grad_(False)
        self.device = device
        self.fused = True  # gradients through the decoder use the fused blocks
        self.convolutions = convolutions
        if device.type == "cuda":
            # cuDNN refuses the backward pass of an LSTM in eval mode; Kokoro's have one layer each, so that
            # their dropout has no effect and the outputs stay the same.
            for module in kmodel.modules():
                if isinstance(module, nn.LSTM):
                    module.train()

    @torch.no_grad()
    def text(self, phonemes: str) -> TextFeatures:
        """Features of a phoneme string.

        Raises:
            VoicecloneError: it is longer than the model's context.
        """
        ids = torch.tensor([token_ids(phonemes, self.kmodel.vocab)], device=self.device)
        if ids.shape[1] > self.kmodel.context_length:
            raise VoicecloneError(f"{ids.shape[1] - 2} phonemes are more than the model reads at once")
        lengths, mask = _lengths_and_mask(ids)
        hidden = self.kmodel.bert(ids, attention_mask=(~mask).int())
        return TextFeatures(
            input_ids=ids,
            duration_text=self.kmodel.bert_encoder(hidden).transpose(-1, -2),
            acoustic_text=self.kmodel.text_encoder(ids, lengths, mask),
            phoneme_count=len(phonemes),
            symbols="".join(p for p in phonemes if p in self.kmodel.vocab),
        )

    @torch.no_grad()
    def text_states(self, phonemes: str) -> Tensor:
        """PL-BERT's features of the tokens of a phoneme string, BOS and EOS included, ``(T, width)`` on the CPU."""
        ids = torch.tensor([token_ids(phonemes, self.kmodel.vocab)], device=self.device)[
            :, : self.kmodel.context_length
        ]
        return self.kmodel.bert(ids, attention_mask=torch.ones_like(ids).int())[0].cpu()

    def durations(self, text: TextFeatures, prosodic: Tensor) -> tuple[Tensor, Tensor]:
        """Soft durations in frames of 25 ms ``(T,)`` and the predictor's text states ``(1, T, hidden + 128)``.

        Kokoro's own ``DurationEncoder`` packs its sequences, and packed LSTMs have no fast path on a CPU. A single text
        has no padding, so its layers are called here without packing: the same values, up to rounding.
        """
        encoder = self.kmodel.predictor.text_encoder
        style = prosodic[:, None].expand(1, text.tokens, -1)
        states = torch.cat([text.duration_text.transpose(1, 2), style], dim=-1)
        for layer in encoder.lstms:
            states = layer(states)[0] if isinstance(layer, nn.LSTM) else torch.cat([layer(states, prosodic), style], -1)
        return self._soft_durations(states), states

    def prosody(self, states: Tensor, alignment: Tensor, prosodic: Tensor) -> tuple[Tensor, Tensor]:
        """F0 in Hz and energy, each ``(1, 2F)``, for text states expanded by ``alignment`` ``(T, F)``."""
        return self.kmodel.predictor.F0Ntrain(states.transpose(-1, -2) @ alignment, prosodic)

    def decode(self, acoustic_text: Tensor, f0: Tensor, energy: Tensor, acoustic: Tensor) -> Tensor:
        """Audio ``(B, 600 F)`` from aligned text ``(B, hidden, F)``, F0 and energy ``(B, 2F)``, style ``(B, 128)``.

        The harmonic source draws random phases and noise: set a seed around the call for reproducible output.
        """
        lean = self.convolutions is not None or (self.fused and torch.is_grad_enabled())
        with fused(self.kmodel.decoder, self.convolutions) if lean else nullcontext():
            return self.kmodel.decoder(acoustic_text, f0, energy, acoustic).squeeze(1)

    @torch.no_grad()
    def speak(self, text: TextFeatures, voice: Tensor) -> tuple[Tensor, Tensor]:
        """Free-running synthesis with a voice ``(1, 256)``: audio ``(600 F,)`` and durations ``(T,)`` int64."""
        spoken = self.utter(text, voice)
        return spoken.audio, spoken.durations

    @torch.no_grad()
    def utter(self, text: TextFeatures, voice: Tensor) -> SynthesizedUtterance:
        """Free-running synthesis that also returns the decoder's inputs; voice ``(1, 256)``."""
        said = self.predict(text, voice)
        aligned = text.acoustic_text @ alignment_matrix(said.durations)
        audio = self.decode(aligned, said.f0[None], said.energy[None], voice[:, :STYLE_DIM])
        return SynthesizedUtterance(audio=audio[0], durations=said.durations, f0=said.f0, energy=said.energy)

    @torch.no_grad()
    def predict(self, text: TextFeatures, voice: Tensor) -> PredictedProsody:
        """The prosody of free-running synthesis, which takes a small part of its time; voice ``(1, 256)``."""
        prosodic = voice[:, STYLE_DIM:]
        lengths, mask = _lengths_and_mask(text.input_ids)
        states = self.kmodel.predictor.text_encoder(text.duration_text, prosodic, lengths, mask)
        durations = whole_durations(self._soft_durations(states))
        f0, energy = self.prosody(states, alignment_matrix(durations), prosodic)
        return PredictedProsody(durations=durations, f0=f0[0], energy=energy[0])

    def _soft_durations(self, states: Tensor) -> Tensor:
        """Text states ``(1, T, hidden + 128)`` to frames ``(T,)``."""
        predictor = self.kmodel.predictor
        hidden, _ = predictor.lstm(states)
        return torch.sigmoid(predictor.duration_proj(hidden)).sum(dim=-1)[0]


def whole_durations(soft: Tensor) -> Tensor:
    """Soft durations ``(T,)`` in frames, rounded as KModel does: int64, at least 1."""
    return torch.round(soft.detach()).clamp(min=1).long()


def alignment_matrix(durations: Tensor) -> Tensor:
    """Durations ``(T,)`` int64 in frames to the 0/1 matrix ``(T, F)`` that repeats each token for its frames."""
    tokens = torch.arange(len(durations), device=durations.device)
    return torch.eye(len(durations), device=durations.device)[:, torch.repeat_interleave(tokens, durations)]


def _lengths_and_mask(input_ids: Tensor) -> tuple[Tensor, Tensor]:
    """Lengths (on the CPU, as packing requires) and an all-False padding mask for one utterance."""
    lengths = torch.full((1,), input_ids.shape[1], dtype=torch.long)
    return lengths, torch.zeros_like(input_ids, dtype=torch.bool)
