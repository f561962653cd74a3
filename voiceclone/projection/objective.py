"""Loss of a voice on clips: fixed-length decoder crops for the timbre half, whole clips for the prosodic half."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from voiceclone.audio.features import FRAME_SAMPLES, SAMPLE_RATE, LogMel, limit_bandwidth
from voiceclone.models.frozen_kokoro import STYLE_DIM, FrozenKokoro, alignment_matrix, whole_durations
from voiceclone.nets.phone_classifier import PhoneClassifier, frame_labels, phone_loss
from voiceclone.nets.resemblyzer import ResemblyzerEncoder
from voiceclone.projection import losses
from voiceclone.projection.losses import LossWeights
from voiceclone.projection.targets import AlignedTarget, aligned_text
from voiceclone.voice.profile import LengthProfile

SPEAKER_BAND = 7500.0  # Hz; what lies above hardly changes the speaker encoder's vector, whose mels end at 8 kHz


@dataclass(frozen=True, kw_only=True)
class Crop:
    """A segment of a clip. ``start`` is in frames of 25 ms.

    A free-running crop is synthesised with the voice's own durations, F0 and energy; a teacher-forced one with those of
    the recording. A free-running crop has no recording of the same timing, so the mel losses leave it out.
    ``mel_weight`` compensates for that in the other crops.
    """

    clip: int
    start: int
    free_running: bool = False
    mel_weight: float = 1.0


def as_free_running(crops: Sequence[Crop]) -> list[Crop]:
    """The same crops, all free-running."""
    return [replace(crop, free_running=True, mel_weight=0.0) for crop in crops]


@dataclass(frozen=True, kw_only=True, eq=False)
class Prediction:
    """Output of the predictor for a clip's text and a voice. ``T`` tokens, ``F`` frames of the clip's alignment."""

    prosodic: Tensor  # (1, 128)
    soft: Tensor  # (T,) soft durations in frames
    states: Tensor  # (1, T, hidden + 128)
    f0: Tensor  # (2F,) Hz
    energy: Tensor  # (2F,)


@dataclass(frozen=True, kw_only=True, eq=False)
class DecoderInput:
    """Inputs of the decoder for a crop of ``C`` frames, except for the voice."""

    text: Tensor  # (1, hidden, C)
    f0: Tensor  # (2C,) Hz
    energy: Tensor  # (2C,)
    labels: Tensor | None  # (C,): phone label of each frame, for the phone classifier's term


@dataclass(frozen=True, kw_only=True, eq=False)
class Speaker:
    """Target of the speaker term: an encoder and the mean vector of the training clips."""

    encoder: ResemblyzerEncoder  # audio (B, T) at 24 kHz to unit vectors (B, D)
    vector: Tensor  # (D,): mean over the training clips, unit length


class Objective:
    """Named loss terms of a base vector ``(1, 256)`` on a set of aligned clips.

    What does not depend on the voice (aligned text features, targets) is cached. The audio terms use crops of one
    constant length, since varying shapes took three times as long on a CPU. The prosody terms use whole clips without
    padding, since durations, F0 and energy are predicted by bidirectional recurrent layers. Clips shorter than a crop
    are never drawn.
    """

    whole_clips = False
    """True where whole clips are used, however short, and the position of a crop is ignored."""

    def __init__(
        self,
        targets: Sequence[AlignedTarget],
        kokoro: FrozenKokoro,
        profile: LengthProfile,
        *,
        crop_frames: int,
        speaker: Speaker | None = None,
        phone_classifier: PhoneClassifier | None = None,
        free_running: bool = False,
    ) -> None:
        """``free_running``: every second random crop is free-running, if there is an encoder or phone classifier."""
        self.targets = list(targets)
        self.kokoro = kokoro
        self.profile = profile
        self.crop_frames = crop_frames
        self.speaker, self.phone_classifier = speaker, phone_classifier
        self.free_running = free_running and not (speaker is None and phone_classifier is None)
        self.log_mel = LogMel().to(kokoro.device)
        self.multi_mel = losses.MultiMel().to(kokoro.device)
        self._drawn = [i for i, t in enumerate(self.targets) if self.whole_clips or t.frames >= crop_frames]
        self._texts = [aligned_text(target) for target in self.targets]
        self._labels = [self._phones(target) for target in self.targets] if phone_classifier is not None else []

    def random_crops(self, count: int, generator: np.random.Generator) -> list[Crop]:
        """Draw ``count`` crops from clips that are long enough, from different clips as far as possible."""
        order = generator.permutation(self._drawn)
        forced = (count + 1) // 2 if self.free_running else count
        crops = []
        for index in range(count):
            clip = int(order[index % len(order)])
            start = int(generator.integers(0, self._room(clip) + 1))
            free_running = self.free_running and index % 2 == 1
            crops.append(
                Crop(
                    clip=clip,
                    start=start,
                    free_running=free_running,
                    mel_weight=0.0 if free_running else count / forced,
                )
            )
        return crops

    def middle_crops(self) -> list[Crop]:
        """The middle of every clip that is long enough. Always the same segments, for validation."""
        return [Crop(clip=clip, start=self._room(clip) // 2) for clip in self._drawn]

    def terms(self, base_vector: Tensor, crops: Sequence[Crop]) -> dict[str, Tensor]:
        """Every named term, averaged over the crops; differentiable in ``base_vector`` ``(1, 256)``."""
        rows = self.rows(base_vector, crops)
        predictions = [self.predict(row, self.targets[crop.clip]) for row, crop in zip(rows, crops)]
        inputs = [
            self._free_running_input(crop, prediction) if crop.free_running else self._decoder_input(crop)
            for crop, prediction in zip(crops, predictions)
        ]
        return {**self._timbre_terms(rows, crops, inputs), **self._prosody_terms(predictions, crops)}

    def rows(self, base_vector: Tensor, crops: Sequence[Crop]) -> list[Tensor]:
        """The row ``(1, 256)`` of the voice for each crop's clip, by its phoneme count."""
        return [self.profile.row(base_vector, self.targets[crop.clip].text.phoneme_count) for crop in crops]

    def total(self, terms: dict[str, Tensor], weights: LossWeights) -> Tensor:
        """The weighted sum of the terms, a scalar."""
        return losses.total(terms, weights)

    def timbre_terms(self, rows: Sequence[Tensor], crops: Sequence[Crop]) -> dict[str, Tensor]:
        """Terms of audio with the clip's own durations, F0 and energy, which depend on the timbre half only.

        Args:
            rows: the row ``(1, 256)`` of the voice for each crop's text.
            crops: parts of the clips.
        """
        return self._timbre_terms(rows, crops, [self._decoder_input(crop) for crop in crops])

    def prosody_terms(self, rows: Sequence[Tensor], crops: Sequence[Crop]) -> dict[str, Tensor]:
        """Duration, F0 and energy errors of the predictor on the crops' whole clips.

        Args:
            rows: the row ``(1, 256)`` of the voice for each crop's text.
            crops: parts of the clips.
        """
        return self._prosody_terms([self.predict(r, self.targets[c.clip]) for r, c in zip(rows, crops)], crops)

    def speak_crops(self, rows: Sequence[Tensor], crops: Sequence[Crop]) -> Tensor:
        """Teacher-forced audio of crops, ``(B, 600 * crop_frames)``, with one voice row ``(1, 256)`` for each crop."""
        return self._speak(rows, [self._decoder_input(crop) for crop in crops])

    def _speak(self, rows: Sequence[Tensor], inputs: Sequence[DecoderInput]) -> Tensor:
        text = torch.cat([decoder_input.text for decoder_input in inputs])
        f0, energy = (
            torch.stack([getattr(decoder_input, name) for decoder_input in inputs]) for name in ("f0", "energy")
        )
        return self.kokoro.decode(text, f0, energy, torch.cat(list(rows))[:, :STYLE_DIM])

    def _timbre_terms(
        self, rows: Sequence[Tensor], crops: Sequence[Crop], inputs: Sequence[DecoderInput]
    ) -> dict[str, Tensor]:
        spoken = self._speak(rows, inputs)
        terms = self._mel_terms(spoken, crops)
        if self.speaker is not None:
            heard = self._within_bandwidth(spoken, crops)
            terms["speaker"] = losses.speaker_term(self.speaker.encoder(heard), self.speaker.vector)
        if self.phone_classifier is not None:
            phone_scores = self.phone_classifier(self.log_mel(spoken)[..., : 2 * self.crop_frames])
            terms["phones"] = phone_loss(phone_scores, torch.stack([decoder_input.labels for decoder_input in inputs]))
        return terms

    def _mel_terms(self, spoken: Tensor, crops: Sequence[Crop]) -> dict[str, Tensor]:
        """Mel losses of audio ``(B, T)`` against the recordings, weighted so that micro-batches sum to the batch."""
        forced = [index for index, crop in enumerate(crops) if not crop.free_running]
        if not forced:
            zero = spoken.sum() * 0.0
            return {"mel_mse": zero, "mel": zero}
        ours = spoken[forced]
        true = torch.stack(
            [self._cut(self.targets[crops[i].clip].audio, crops[i].start, FRAME_SAMPLES) for i in forced]
        )
        weight = sum(crops[i].mel_weight for i in forced) / len(crops)
        bandwidths = [self.targets[crops[i].clip].bandwidth for i in forced]
        # None where all recordings have full bandwidth, which saves the time for masks.
        narrow = torch.tensor(bandwidths, device=ours.device) if min(bandwidths) < SAMPLE_RATE / 2 else None
        return {
            "mel_mse": losses.mel_mse(ours, true, self.log_mel, narrow) * weight,
            "mel": self.multi_mel(ours, true, narrow) * weight,
        }

    def _within_bandwidth(self, spoken: Tensor, crops: Sequence[Crop]) -> Tensor:
        """Audio ``(B, T)`` without what lies above the bandwidth of its clips.

        The speaker vector is that of the clips. Without their high frequencies a voice would otherwise be nearer to it.
        """
        bandwidths = [self.targets[crop.clip].bandwidth for crop in crops]
        narrow = [bandwidth if bandwidth < SPEAKER_BAND else math.inf for bandwidth in bandwidths]
        return limit_bandwidth(spoken, torch.tensor(narrow, device=spoken.device))

    def predict(self, row: Tensor, target: AlignedTarget) -> Prediction:
        """The predictor's output for a clip in a row of the voice ``(1, 256)``."""
        prosodic = row[:, STYLE_DIM:]
        soft, states = self.kokoro.durations(target.text, prosodic)
        matrix = alignment_matrix(target.alignment.durations.to(row.device))
        f0, energy = self.kokoro.prosody(states, matrix, prosodic)
        return Prediction(prosodic=prosodic, soft=soft, states=states, f0=f0[0], energy=energy[0])

    def _prosody_terms(self, predictions: Sequence[Prediction], crops: Sequence[Crop]) -> dict[str, Tensor]:
        each = []
        for prediction, crop in zip(predictions, crops):
            target = self.targets[crop.clip]
            each.append(
                {
                    **losses.duration_terms(prediction.soft, target.alignment.durations.to(prediction.soft.device)),
                    **losses.f0_terms(prediction.f0, target.f0),
                    "energy": losses.energy_term(prediction.energy, target.energy),
                }
            )
        return {name: torch.stack([terms[name] for terms in each]).mean() for name in each[0]}

    def _decoder_input(self, crop: Crop) -> DecoderInput:
        """Decoder inputs with the clip's own durations, F0 and energy."""
        target = self.targets[crop.clip]
        return DecoderInput(
            text=self._cut(self._texts[crop.clip], crop.start, 1),
            f0=self._cut(target.f0, crop.start, 2),
            energy=self._cut(target.energy, crop.start, 2),
            labels=self._cut(self._labels[crop.clip], crop.start, 1) if self._labels else None,
        )

    def _free_running_input(self, crop: Crop, prediction: Prediction) -> DecoderInput:
        """Decoder inputs at the same position of the text with the voice's durations, F0 and energy.

        No gradient reaches the durations. Where the voice reaches the end of the text before the end of the crop, the
        clip's own durations are used.
        """
        target = self.targets[crop.clip]
        durations = whole_durations(prediction.soft)
        if int(durations.sum()) < self.crop_frames:
            durations = target.alignment.durations.to(durations.device)
        frames = int(durations.sum())
        start = min(crop.start * frames // target.frames, frames - self.crop_frames)
        matrix = alignment_matrix(durations)
        f0, energy = self.kokoro.prosody(prediction.states, matrix, prediction.prosodic)
        labels = None if self.phone_classifier is None else frame_labels(target.text.symbols, durations)
        return DecoderInput(
            text=self._cut(target.text.acoustic_text @ matrix, start, 1),
            f0=self._cut(f0[0], start, 2),
            energy=self._cut(energy[0], start, 2),
            labels=None if labels is None else self._cut(labels, start, 1),
        )

    def _room(self, clip: int) -> int:
        """Number of frames by which a clip is longer than a crop."""
        return max(0, self.targets[clip].frames - self.crop_frames)

    def _phones(self, target: AlignedTarget) -> Tensor:
        """Phone label of each frame of a clip, ``(F,)``."""
        return frame_labels(target.text.symbols, target.alignment.durations.to(target.audio.device))

    def _cut(self, values: Tensor, start: int, per_frame: int) -> Tensor:
        return values[..., start * per_frame : (start + self.crop_frames) * per_frame]
