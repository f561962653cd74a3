"""The loss of a voice on clips: decoder crops of one shape for the timbre half, whole clips for the prosodic half."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from voiceclone.audio.features import FRAME_SAMPLES, LogMel
from voiceclone.listener.net import Listener, frame_labels, phone_loss
from voiceclone.projection import losses
from voiceclone.projection.forward import FrozenKokoro, alignment_matrix
from voiceclone.projection.losses import LossWeights
from voiceclone.projection.targets import Target, aligned_text
from voiceclone.voice.pack import STYLE_DIM
from voiceclone.voice.profile import LengthProfile


@dataclass(frozen=True, kw_only=True)
class Crop:
    """A stretch of a clip: ``start`` in frames of 25 ms."""

    clip: int
    start: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Speaker:
    """Whom the clone has to sound like, as a speaker encoder hears it."""

    encoder: nn.Module  # audio (B, T) at 24 kHz to unit vectors (B, D)
    vector: Tensor  # (D,): mean of the training clips, unit length


class Objective:
    """Named loss terms of a base vector ``(1, 256)`` on a set of aligned clips.

    What does not depend on the voice (text features laid out by the alignment, targets) is kept; the audio terms see
    crops of one constant shape, since changing shapes cost three times as much on a CPU; the prosody terms see whole
    clips, since durations, F0 and energy are predicted through recurrent layers that must never see padding.
    """

    def __init__(
        self,
        targets: Sequence[Target],
        kokoro: FrozenKokoro,
        profile: LengthProfile,
        *,
        crop_frames: int,
        anchor: Tensor,
        whitening: Tensor,
        speaker: Speaker | None = None,
        listener: Listener | None = None,
    ) -> None:
        self.targets = list(targets)
        self.kokoro = kokoro
        self.profile = profile
        self.crop_frames = crop_frames
        self.anchor, self.whitening, self.speaker, self.listener = anchor, whitening, speaker, listener
        self.log_mel = LogMel().to(kokoro.device)
        self.multi_mel = losses.MultiMel().to(kokoro.device)
        self._texts = [aligned_text(target) for target in self.targets]
        self._labels = [self._phones(target) for target in self.targets] if listener is not None else []

    def random_crops(self, count: int, generator: np.random.Generator) -> list[Crop]:
        """``count`` crops, each of another clip as far as there are clips."""
        order = generator.permutation(len(self.targets))
        crops = []
        for index in range(count):
            clip = int(order[index % len(order)])
            start = int(generator.integers(0, self.targets[clip].frames - self.crop_frames + 1))
            crops.append(Crop(clip=clip, start=start))
        return crops

    def middle_crops(self) -> list[Crop]:
        """The middle of every clip: the same stretches every time, for validation."""
        return [Crop(clip=i, start=(t.frames - self.crop_frames) // 2) for i, t in enumerate(self.targets)]

    def terms(self, base_vector: Tensor, crops: Sequence[Crop]) -> dict[str, Tensor]:
        """Every named term, averaged over the crops; differentiable in ``base_vector`` ``(1, 256)``."""
        rows = self.rows(base_vector, crops)
        drift = losses.drift_term(base_vector, self.anchor, self.whitening)
        return {**self.timbre_terms(rows, crops), **self.prosody_terms(rows, crops), "drift": drift}

    def rows(self, base_vector: Tensor, crops: Sequence[Crop]) -> list[Tensor]:
        """The row ``(1, 256)`` of the voice that each crop's clip would be spoken with."""
        return [self.profile.row(base_vector, self.targets[crop.clip].text.phoneme_count) for crop in crops]

    def total(self, terms: dict[str, Tensor], weights: LossWeights) -> Tensor:
        """The weighted sum."""
        return losses.total(terms, weights)

    def timbre_terms(self, rows: Sequence[Tensor], crops: Sequence[Crop]) -> dict[str, Tensor]:
        """Distances with the clip's own durations, F0 and energy in the decoder: only the timbre is at stake."""
        spoken = self.speak_crops(rows, crops)
        true = torch.stack([self._cut(self.targets[c.clip].audio, c.start, FRAME_SAMPLES) for c in crops])
        terms = {"mel_mse": losses.mel_mse(spoken, true, self.log_mel), "mel": self.multi_mel(spoken, true)}
        if self.speaker is not None:
            terms["speaker"] = losses.speaker_term(self.speaker.encoder(spoken), self.speaker.vector)
        if self.listener is not None:
            heard = self.listener(self.log_mel(spoken)[..., : 2 * self.crop_frames])
            labels = torch.stack([self._cut(self._labels[c.clip], c.start, 1) for c in crops])
            terms["phones"] = phone_loss(heard, labels)
        return terms

    def prosody_terms(self, rows: Sequence[Tensor], crops: Sequence[Crop]) -> dict[str, Tensor]:
        """Duration, F0 and energy errors of the predictor on the crops' whole clips."""
        each = [self._prosody(row, self.targets[crop.clip]) for row, crop in zip(rows, crops)]
        return {name: torch.stack([terms[name] for terms in each]).mean() for name in each[0]}

    def speak_crops(self, rows: Sequence[Tensor], crops: Sequence[Crop]) -> Tensor:
        """Teacher-forced audio of crops, ``(B, 600 * crop_frames)``; one voice row ``(1, 256)`` a crop."""
        text = torch.cat([self._cut(self._texts[c.clip], c.start, 1) for c in crops])
        f0 = torch.stack([self._cut(self.targets[c.clip].f0, c.start, 2) for c in crops])
        energy = torch.stack([self._cut(self.targets[c.clip].energy, c.start, 2) for c in crops])
        return self.kokoro.decode(text, f0, energy, torch.cat(list(rows))[:, :STYLE_DIM])

    def _prosody(self, row: Tensor, target: Target) -> dict[str, Tensor]:
        prosodic = row[:, STYLE_DIM:]
        durations = target.alignment.durations.to(row.device)
        soft, states = self.kokoro.durations(target.text, prosodic)
        f0, energy = self.kokoro.prosody(states, alignment_matrix(durations), prosodic)
        return {
            **losses.duration_terms(soft, durations),
            **losses.f0_terms(f0[0], target.f0),
            "energy": losses.energy_term(energy[0], target.energy),
        }

    def _phones(self, target: Target) -> Tensor:
        """The label of each frame of a clip, ``(F,)``."""
        return frame_labels(target.text.symbols, target.alignment.durations.to(target.audio.device))

    def _cut(self, values: Tensor, start: int, per_frame: int) -> Tensor:
        return values[..., start * per_frame : (start + self.crop_frames) * per_frame]
