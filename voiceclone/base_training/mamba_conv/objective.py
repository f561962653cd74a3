"""Loss terms of the synthesizer; unweighted means over the rows of this process."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from voiceclone.base_training.batches import ATTRIBUTES
from voiceclone.base_training.config import TrainConfig
from voiceclone.base_training.losses import style_range
from voiceclone.base_training.mamba_conv.batches import CodeBatch
from voiceclone.base_training.mamba_conv.settings import MambaConvTraining
from voiceclone.models.mamba_conv.config import MambaConvConfig
from voiceclone.models.mamba_conv.durations import laplace_nll
from voiceclone.models.mamba_conv.generation import Conditions, Round, coarse_rounds
from voiceclone.models.mamba_conv.length import expand_tokens
from voiceclone.models.mamba_conv.model import MambaConvTTS
from voiceclone.models.mamba_conv.token_decoder import TokenDecoder
from voiceclone.models.mamba_conv.variance import Prosody

TOKEN_TERMS = ("duration", "pitch", "voiced", "energy")
"""Terms that are means over text tokens, of which the number differs between rows."""


class MambaConvTrainee(nn.Module):
    """The synthesizer, and auxiliary heads that are used in training only.

    The heads predict speaker, rate and pitch from the style, so that the style encodes them.
    """

    def __init__(self, config: MambaConvConfig, speakers: int) -> None:
        super().__init__()
        self.model = MambaConvTTS(config)
        self.attribute_head = nn.Linear(config.style_dim, len(ATTRIBUTES))
        self.speaker_head = nn.Linear(config.style_dim, speakers)


@dataclass(frozen=True, kw_only=True, eq=False)
class Prepared:
    """Inputs of the token decoder for a batch."""

    given: Conditions
    codes: Tensor = field(repr=False)
    """int64 ``(B, levels, T)``."""


class MambaConvObjective:
    """Computes the loss terms of a step."""

    def __init__(self, trainee: MambaConvTrainee, config: TrainConfig, training: MambaConvTraining) -> None:
        self.trainee, self.config, self.training = trainee, config, training

    def terms(self, batch: CodeBatch, step: int, progress: float) -> dict[str, Tensor]:
        """All terms of a step, and the accuracy of the predicted tokens."""
        style = self.trainee.model.style(batch.style_mel)
        terms = {
            "style_range": style_range(style),
            "speaker": F.cross_entropy(self.trainee.speaker_head(style), batch.speakers),
            "attributes": F.smooth_l1_loss(self.trainee.attribute_head(style), batch.attributes),
        }
        style = style + self.config.style_noise * batch.style_noise
        kept = torch.rand(len(style), 1, device=style.device) >= self.training.style_dropout
        prepared, prosody_terms = prepare(self.trainee.model, batch, style, style * kept)
        terms.update(prosody_terms)
        terms.update(self._tokens(prepared, step, progress))
        due = step % self.training.stopping_every == 0
        if due and progress >= self.training.stopping_share:
            terms["stopping"] = self._stopping(prepared)
        return terms

    def _tokens(self, prepared: Prepared, step: int, progress: float) -> dict[str, Tensor]:
        """Cross-entropy of the masked tokens. All processes train the same level in a step."""
        decoder = self.trainee.model.decoder
        rng = np.random.default_rng([self.config.seed, step, 4])
        with_confidence = progress >= self.training.confidence_share
        if rng.random() < self.training.corrupted:
            return self._refined(decoder, prepared, with_confidence)
        level = int(rng.integers(decoder.levels))
        hidden = draw_hidden(prepared.codes[:, level].shape, prepared.codes.device)
        features, scores = predict_level(decoder, prepared, level, hidden)
        truth, scores = prepared.codes[:, level][hidden], scores[hidden]
        right = scores.argmax(-1) == truth
        terms = {
            "tokens": F.cross_entropy(scores, truth, label_smoothing=self.training.label_smoothing),
            f"accuracy_{level}": right.float().mean(),
        }
        if with_confidence:
            trust = decoder.confidences(features)[:, level][hidden]
            terms["confidence"] = F.binary_cross_entropy_with_logits(trust, right.float())
        return terms

    def _refined(self, decoder: TokenDecoder, prepared: Prepared, with_confidence: bool) -> dict[str, Tensor]:
        """Two rounds of refinement: from random tokens, then from the decoder's own predictions."""
        codes, given = prepared.codes, prepared.given
        wrong = draw_hidden(codes.shape, codes.device)
        share = wrong.float().flatten(1).mean(1)
        shown = torch.where(wrong, torch.randint_like(codes, decoder.mask_id), codes)
        losses, trusts = [], []
        for _ in range(2):
            features = decoder(
                shown, given.text, given.style, given.mask, level=decoder.all_levels, share_masked=share
            )  # fmt: skip
            scores = decoder.all_logits(features)
            losses.append(F.cross_entropy(scores[wrong], codes[wrong], label_smoothing=self.training.label_smoothing))
            best = scores.argmax(-1)
            trusts.append((decoder.confidences(features)[wrong], (best == codes)[wrong].float()))
            shown = torch.where(wrong, best, codes)
        terms = {"tokens": torch.stack(losses).mean(), "accuracy_refined": trusts[-1][1].mean()}
        if with_confidence:
            terms["confidence"] = torch.stack(
                [F.binary_cross_entropy_with_logits(trust, right) for trust, right in trusts]
            ).mean()
        return terms

    def _stopping(self, prepared: Prepared) -> Tensor:
        """Loss of the controller, which predicts whether the remaining rounds increase the accuracy."""
        model, rows = self.trainee.model, self.training.stopping_rows
        whole = prepared.given
        given = Conditions(
            text=whole.text[:rows].detach(), context=whole.context[:rows], style=whole.style[:rows].detach(),
            mask=whole.mask[:rows],
        )  # fmt: skip
        was_training = model.training
        model.eval()
        with torch.no_grad():
            rounds = list(coarse_rounds(model.decoder, given, self.training.generation))
        model.train(was_training)
        gains = should_continue(rounds, prepared.codes[:rows], given.spoken, self.training.stopping_gain)
        logits = torch.stack(
            [model.controller(r.features, given.mask, given.context, r.figures) for r in rounds[:-1]]
        )  # fmt: skip
        # Not balanced: is_enough compares a probability, which must become low where rounds hardly ever help.
        return F.binary_cross_entropy_with_logits(logits, gains)


def prepare(
    model: MambaConvTTS, batch: CodeBatch, prosodic: Tensor, acoustic: Tensor
) -> tuple[Prepared, dict[str, Tensor]]:
    """The decoder's inputs with true durations and prosody, and the loss terms of the predicted ones.

    Args:
        model: the synthesizer.
        batch: B utterances.
        prosodic: style ``(B, dim)`` of the prosody predictors.
        acoustic: style ``(B, dim)`` of text encoder and decoder.
    """
    mask = batch.mask.unsqueeze(-1).float()
    features = model.text(batch.tokens, acoustic, mask)
    truth = Prosody(pitch=batch.token_pitch, voiced=batch.token_voiced, energy=batch.token_energy)
    log_duration, log_scale = model.durations(features, prosodic, mask)
    terms = {
        **duration_nll_terms(log_duration, log_scale, batch.durations, batch.mask),
        **prosody_terms(model.variance.predict(features, prosodic, mask), truth, batch.mask),
    }
    text = expand_tokens(model.variance.add(features, truth, mask), batch.code_tokens)
    given = Conditions(
        text=text, context=model.text.pooled(features, mask), style=acoustic, mask=torch.ones_like(text[..., :1])
    )
    return Prepared(given=given, codes=batch.codes), terms


def duration_nll_terms(log_duration: Tensor, log_scale: Tensor, durations: Tensor, mask: Tensor) -> dict[str, Tensor]:
    """Negative log-likelihood (Laplace) of the durations, and the relative error of the total length.

    All inputs are ``(B, N)``.
    """
    predicted = (log_duration.exp() * mask).sum(1)
    true = (durations * mask).sum(1)
    return {
        "duration": laplace_nll(log_duration, log_scale, durations)[mask].mean(),
        "duration_total": ((predicted - true).abs() / true).mean(),
    }


def prosody_terms(predicted: Prosody, truth: Prosody, mask: Tensor) -> dict[str, Tensor]:
    """Losses of pitch (voiced tokens only), voicing, and energy, all ``(B, N)``; ``mask`` is True for tokens."""
    voiced = truth.voiced[mask]
    pitch = F.smooth_l1_loss(predicted.pitch[mask], truth.pitch[mask], reduction="none")
    return {
        "pitch": (pitch * voiced).sum() / voiced.sum().clamp(min=1),
        "voiced": F.binary_cross_entropy_with_logits(predicted.voiced[mask], voiced),
        "energy": F.smooth_l1_loss(predicted.energy[mask], truth.energy[mask]),
    }


def draw_hidden(shape: torch.Size, device: torch.device) -> Tensor:
    """Draw the mask, bool of ``shape`` ``(B, ...)``: a random share of each row, at least one token (cosine)."""
    ratio = torch.cos(0.5 * math.pi * torch.rand(shape[0], *(1,) * (len(shape) - 1), device=device))
    draws = torch.rand(shape, device=device)
    lowest = draws.flatten(1).amin(1).view(-1, *(1,) * (len(shape) - 1))
    return draws <= torch.maximum(ratio, lowest)


def predict_level(decoder: TokenDecoder, prepared: Prepared, level: int, hidden: Tensor) -> tuple[Tensor, Tensor]:
    """Features and logits of one level, with the ``hidden`` tokens ``(B, T)`` and all finer levels masked."""
    codes, given = prepared.codes.clone(), prepared.given
    codes[:, level][hidden] = decoder.mask_id
    codes[:, level + 1 :] = decoder.mask_id
    features = decoder(
        codes, given.text, given.style, given.mask, level=level, share_masked=hidden.float().mean(1)
    )  # fmt: skip
    return features, decoder.logits(features, level)


def should_continue(rounds: list[Round], codes: Tensor, spoken: Tensor, gain: float) -> Tensor:
    """1 where the last round's tokens of level 0 are better by more than ``gain``, ``(rounds - 1, B)``.

    Compared with the next round alone, the difference is mostly the chance of the drawn tokens.

    Args:
        rounds: results of all rounds.
        codes: the true tokens ``(B, levels, T)``.
        spoken: bool ``(B, T)``, False in the padding.
        gain: difference in accuracy, 0-1.
    """
    right = torch.stack([(r.codes[:, 0] == codes[:, 0]) & spoken for r in rounds])
    accuracy = right.sum(-1) / spoken.sum(-1)
    return (accuracy[-1:] - accuracy[:-1] > gain).float()
