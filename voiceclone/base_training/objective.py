"""The modules that are trained together, and the loss terms of one step."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from kokoro.model import KModel
from torch import Tensor, nn
from torch.nn import functional as F

from voiceclone.audio.features import FRAME_SAMPLES, limit_bandwidth
from voiceclone.base_training.batch import Batch, StyledBatch
from voiceclone.base_training.batches import ATTRIBUTES
from voiceclone.base_training.config import TrainConfig
from voiceclone.base_training.discriminators import Discriminators
from voiceclone.base_training.finetuned_base import find_finetuned_base
from voiceclone.base_training.losses import (
    SpectralLoss,
    adversarial_loss,
    discriminator_loss,
    duration_losses,
    feature_match_loss,
    prosody_losses,
    relative_loss,
    style_range,
)
from voiceclone.distributed import ProcessGroup
from voiceclone.models.batched_forward import (
    curves,
    decode_frames,
    duration_logits,
    prosody_features,
    text_features,
)
from voiceclone.models.nano import NanoKModel, init_for_speech
from voiceclone.models.presets import preset
from voiceclone.models.styletts2.text_aligner import TextAligner
from voiceclone.style.encoders import StyleEncoderConfig, StyleEncoders, build_style_encoders


class Trainee(nn.Module):
    """The model, its pair of style encoders, and auxiliary heads that are used in training only.

    The heads predict speaking rate and F0 statistics from the prosodic style, and the speaker from the acoustic style.
    Without them the style hardly encodes the speaking rate, because short crops contain little information about it.
    """

    def __init__(
        self, config: dict[str, Any], encoders: Callable[[], StyleEncoders], speakers: int, *, aligner: bool = False
    ) -> None:
        super().__init__()
        self.model = NanoKModel(config)
        init_for_speech(self.model)
        self.encoders = encoders()
        self.attribute_head = nn.Linear(128, len(ATTRIBUTES))
        self.speaker_head = nn.Linear(128, speakers)
        self.aligner = TextAligner(config["n_token"]) if aligner else None


def build_trainee(config: TrainConfig, speakers: int) -> Trainee:
    """The modules with random weights, by a run's settings."""
    settings = config.styletts2
    if settings.finetune:
        base = find_finetuned_base(settings.finetune)
        return Trainee(base.config, base.encoders, speakers, aligner=settings.aligner)
    model_config, widths = preset(config.preset, decoder=settings.decoder)
    return Trainee(
        model_config, lambda: build_style_encoders(StyleEncoderConfig(**widths)), speakers, aligner=settings.aligner
    )


class SpeechObjective:
    """Unweighted loss terms of a model for given styles, each a mean over the rows of the batch.

    Args:
        model: what is trained.
        config: the settings.
        process_group: the processes that share every batch; None for a single process.
    """

    def __init__(
        self,
        model: KModel,
        discriminators: Discriminators,
        config: TrainConfig,
        process_group: ProcessGroup | None = None,
    ) -> None:
        self.model, self.discriminators, self.config, self.process_group = model, discriminators, config, process_group
        self.spectral = SpectralLoss().to(next(model.parameters()).device)

    def decoded(
        self,
        batch: Batch,
        style: Tensor,
        *,
        adversarial: bool,
        alignment: Tensor | None = None,
        bandwidth: Tensor | None = None,
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Terms of the decoder with true durations, F0 and energy, and the generated audio ``(B, 600 C)``.

        Args:
            batch: crops.
            style: acoustic styles ``(B, 128)``.
            adversarial: include the adversarial terms.
            alignment: soft alignment of tokens and frames ``(B, N, C)``, which replaces the batch's hard one.
            bandwidth: of the recordings, Hz ``(B,)``. The audio is limited to it before it is compared: otherwise a
                model would learn from recordings at 16 kHz to speak without high frequencies.
        """
        features = text_features(self.model, batch.tokens, batch.lengths)
        f0 = smoothed(batch.f0, batch.smoothing[0], keep_zeros=True)
        energy = smoothed(batch.energy, batch.smoothing[1])
        if alignment is None:
            audio = decode_frames(self.model, features, batch.frame_tokens, f0, energy, style)
        else:
            audio = self.model.decoder(features @ alignment, f0, energy, style).squeeze(1)
        if bandwidth is not None:
            audio = limit_bandwidth(audio, bandwidth)
        terms = self.spectral(audio, batch.audio)
        if adversarial:
            made, true = self._stretch(audio, batch.audio)
            with torch.no_grad():
                true_scores, real = self._discriminator_outputs(true)
            scores, fake = self._discriminator_outputs(made)
            terms["adversarial"] = adversarial_loss(scores)
            if self.config.styletts2.tprls:
                terms["adversarial"] = terms["adversarial"] + relative_loss(scores, true_scores)
            terms["feature_match"] = feature_match_loss(real, fake, partial(self._over_all, batch=batch))
        return terms, audio

    def predicted(self, batch: Batch, style: Tensor) -> dict[str, Tensor]:
        """Terms of the prosody predictor.

        Args:
            batch: utterances.
            style: prosodic styles ``(B, 128)``.
        """
        features = prosody_features(self.model, batch.tokens, batch.lengths, style)
        logits = duration_logits(self.model, features, batch.lengths)
        f0, energy = curves(self.model, features, batch.frame_tokens, style)
        return {
            **duration_losses(logits, batch.durations, batch.mask),
            **prosody_losses(f0, energy, batch.f0, batch.energy),
        }

    def discriminate(self, batch: Batch, audio: Tensor) -> Tensor:
        """Loss of the discriminators on the batch's audio and on ``audio`` ``(B, T)``, a scalar."""
        made, true = self._stretch(audio.detach(), batch.audio)
        real = self._discriminator_outputs(true)[0]
        fake = self._discriminator_outputs(made)[0]
        loss = discriminator_loss(real, fake)
        return loss + relative_loss(real, fake) if self.config.styletts2.tprls else loss

    def total(self, terms: dict[str, Tensor]) -> Tensor:
        """The weighted sum of the terms, a scalar."""
        weight = self.config.weight
        return sum(weight[name] * value for name, value in terms.items())

    def _stretch(self, *audios: Tensor) -> list[Tensor]:
        """The same random stretch of each ``(B, T)``, of the length that the discriminators get at most."""
        length, longest = audios[0].shape[-1], self.config.discriminator_frames * FRAME_SAMPLES
        if length <= longest:
            return list(audios)
        start = int(torch.randint(length - longest + 1, ()))
        return [audio[..., start : start + longest] for audio in audios]

    def _discriminator_outputs(self, audio: Tensor) -> tuple[list[Tensor], list[list[Tensor]]]:
        with torch.autocast(audio.device.type, dtype=torch.bfloat16, enabled=self.config.bfloat16):
            return self.discriminators(audio)

    def _over_all(self, means: Tensor, batch: Batch) -> Tensor:
        """All-reduce means over the rows of this process to means over all rows."""
        return means if self.process_group is None else self.process_group.all_reduce(means * batch.share.rows)


class RecordedObjective(SpeechObjective):
    """Loss terms of a :class:`Trainee`, whose styles are computed by its own encoders."""

    def __init__(
        self,
        trainee: Trainee,
        discriminators: Discriminators,
        config: TrainConfig,
        process_group: ProcessGroup | None = None,
    ) -> None:
        super().__init__(trainee.model, discriminators, config, process_group)
        self.trainee = trainee

    def acoustic(
        self, batch: StyledBatch, *, adversarial: bool, alignment: Tensor | None = None
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Terms of the acoustic half with true durations, F0 and energy; and the generated audio ``(B, 600 C)``."""
        style = self.trainee.encoders.acoustic(batch.style_mel.unsqueeze(1))
        terms, audio = self.decoded(
            batch, self._noisy(style, batch), adversarial=adversarial, alignment=alignment
        )  # fmt: skip
        terms["style_range"] = style_range(style)
        terms["speaker"] = F.cross_entropy(self.trainee.speaker_head(style), batch.speakers)
        return terms, audio

    def prosody(self, batch: StyledBatch) -> dict[str, Tensor]:
        """Terms of the prosodic half."""
        style = self.trainee.encoders.prosodic(batch.style_mel.unsqueeze(1))
        return {
            **self.predicted(batch, self._noisy(style, batch)),
            "attributes": F.smooth_l1_loss(self.trainee.attribute_head(style), batch.attributes),
            "style_range": style_range(style),
        }

    def through_decoder(self, batch: StyledBatch, *, to_reconstruction: bool) -> dict[str, Tensor]:
        """Terms of the decoder's audio with predicted F0 and energy.

        Args:
            batch: crops.
            to_reconstruction: compare with the decoder's own audio from true F0 and energy, so that errors of the
                decoder do not
                affect the predictor; else with the recording.
        """
        mel, encoders = batch.style_mel.unsqueeze(1), self.trainee.encoders
        acoustic, prosodic = encoders.acoustic(mel), encoders.prosodic(mel)
        states = prosody_features(self.model, batch.tokens, batch.lengths, prosodic)
        f0, energy = curves(self.model, states, batch.frame_tokens, prosodic)
        features = text_features(self.model, batch.tokens, batch.lengths)
        audio = decode_frames(self.model, features, batch.frame_tokens, f0, energy, acoustic)
        target = batch.audio
        if to_reconstruction:
            with torch.no_grad():
                target = decode_frames(self.model, features, batch.frame_tokens, batch.f0, batch.energy, acoustic)
        return {"joint_mel": self.spectral(audio, target)["mel"]}

    def _noisy(self, style: Tensor, batch: StyledBatch) -> Tensor:
        return style + self.config.style_noise * batch.style_noise


def smoothed(curve: Tensor, width: int, *, keep_zeros: bool = False) -> Tensor:
    """Smooth ``(B, T)`` over ``width`` frames (odd) as in StyleTTS2, because predicted curves are smooth."""
    if width == 1:
        return curve
    padded = F.pad(curve.unsqueeze(1), (width // 2, width // 2), mode="replicate")
    mean = F.avg_pool1d(padded, width, stride=1).squeeze(1)
    if not keep_zeros:
        return mean
    voiced = (curve > 0).float()
    weight = F.avg_pool1d(F.pad(voiced.unsqueeze(1), (width // 2, width // 2)), width, stride=1).squeeze(1)
    total = F.avg_pool1d(F.pad(curve.unsqueeze(1), (width // 2, width // 2)), width, stride=1).squeeze(1)
    # Unvoiced frames stay unvoiced and are left out of their neighbours' means.
    return torch.where(curve > 0, total / weight.clamp(min=1e-6), curve)
