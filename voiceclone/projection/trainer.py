"""Trainer of the projection through the frozen Kokoro."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from voiceclone.audio.features import FRAME_SAMPLES, SAMPLE_RATE, LogMel, crop_length
from voiceclone.errors import VoicecloneError
from voiceclone.models.frozen_kokoro import FrozenKokoro
from voiceclone.nets.phone_classifier import PhoneClassifier
from voiceclone.projection.config import ProjectionConfig
from voiceclone.projection.losses import weights_from
from voiceclone.projection.micro_batches import micro_batch_size, term_gradients
from voiceclone.projection.mlp import Projection, parameter_groups
from voiceclone.projection.objective import Crop, Objective, Speaker
from voiceclone.projection.plain import PlainObjective
from voiceclone.projection.state import TrainingState, copied_weights, restore_into
from voiceclone.projection.targets import AlignedTarget
from voiceclone.voice.profile import LengthProfile

MAX_PREVIEW_FRAMES = 400  # maximum length of logged mels and audio, in frames of 25 ms: 10 s
MAX_BAD_STEPS = 10  # consecutive non-finite steps after which the training stops with an error


class Observer(Protocol):
    """Callbacks of a training."""

    def step(self, step: int, values: dict[str, float]) -> None:
        """Called after each optimizer step with loss terms, learning rate, gradient norm, and seconds."""

    def epoch(self, record: dict[str, Any], trainer: ProjectionTrainer) -> None:
        """Called after each epoch, before its checkpoint is written."""


class ProjectionTrainer:
    """Trains from a state to the last epoch on one model.

    The voice is that of the last epoch. The held-out loss describes it and selects nothing: on a few seconds of speech
    it was lowest by chance where the learning rate was still high (docs/lab_notes/last_epoch.md).

    Args:
        config: settings of both parts, where there is one on the student.
        state: where to begin.
        style: mean style of the clips, ``(1, 256)``.
        kokoro: the model.
        profile: the voice's length profile.
        train: training clips.
        validation: held-out clips.
        speaker: target of the speaker term, or None.
        phone_classifier: of the term ``phones``, or None.
        student: the model that ``config.student_epochs`` run on before (:mod:`student_training`); None where there are
            none, or none left.
        on_student: ``kokoro`` is that model: the training ends after those epochs.
    """

    def __init__(
        self,
        config: ProjectionConfig,
        state: TrainingState,
        *,
        style: Tensor,
        kokoro: FrozenKokoro,
        profile: LengthProfile,
        train: Sequence[AlignedTarget],
        validation: Sequence[AlignedTarget],
        speaker: Speaker | None = None,
        phone_classifier: PhoneClassifier | None = None,
        student: FrozenKokoro | None = None,
        on_student: bool = False,
    ) -> None:
        self.config, self.state = config, state
        self.student, self.on_student = student, on_student
        self.weights = weights_from(config.weights, state.phones_stock)
        self.speaker, self.phone_classifier = speaker, phone_classifier
        self.kokoro, self.profile = kokoro, profile
        self.style = style.to(kokoro.device)
        self.train_targets, self.validation_targets = list(train), list(validation)
        # For each split separately: a short held-out clip must not shorten the training crops.
        self.crop_frames = crop_length(config.crop_frames, [target.frames for target in train])
        self.validation_crop_frames = crop_length(self.crop_frames, [target.frames for target in validation])
        self.micro_batch = micro_batch_size(kokoro, config.batch)
        self._build()
        self.objective = self._objective(self.train_targets, self.crop_frames)
        held_out = self.validation_targets[: config.max_validation_crops]
        self.validation = self._objective(held_out, self.validation_crop_frames)

    def _build(self) -> None:
        """Build projection and optimizer, with the weights of the state."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.config.seed)
            projection = Projection(self.config.mlp)
        if self.state.projection:
            restore_into(projection, self.state.projection)
        else:
            projection.initialize_at(self.state.anchor)
        projection.to(self.kokoro.device)
        groups = parameter_groups(projection, self.config.lr, even=self.config.plain)
        optimizer = torch.optim.AdamW(groups, weight_decay=self.config.weight_decay, betas=(0.9, 0.98))
        if self.state.optimizer:
            restore_into(optimizer, self.state.optimizer)
        self.projection, self.optimizer = projection, optimizer

    @property
    def last_epoch(self) -> int:
        """Number of finished epochs at which this training ends."""
        return self.config.student_epochs if self.on_student else self.config.epochs

    def begin_at(self, state: TrainingState) -> None:
        """Continue from the end of the training on the student.

        Epochs and optimizer steps are counted on, so that the learning rate has already fallen.
        """
        self.state = state
        self._build()

    def crop_notice(self) -> str:
        """A notice where short training clips shorten the crops or are left out; else empty."""
        if self.config.plain:
            return ""  # whole clips, no crops
        total, wanted = len(self.train_targets), self.config.crop_frames
        short = sum(target.frames < self.crop_frames for target in self.train_targets)
        used, asked = (frames * FRAME_SAMPLES / SAMPLE_RATE for frames in (self.crop_frames, wanted))
        if self.crop_frames < wanted:
            return (
                f"most of the {total} training clips are short: crops of {used:.2f} s instead of {asked:.2f} s; longer "
                "clips make a better voice"
            )
        return (
            f"{short} of {total} training clips are shorter than a crop ({asked:.2f} s): not trained on"
            if short
            else ""
        )

    @torch.no_grad()
    def base_vector(self) -> Tensor:
        """The current projection of the mean style, ``(1, 256)`` on the CPU."""
        return self.projection.eval()(self.style).float().cpu()

    def run(self, observer: Observer, save: Callable[[TrainingState], None]) -> TrainingState:
        """Train to the last epoch.

        Args:
            observer: receives the callbacks.
            save: called with the state after each epoch.

        Raises:
            VoicecloneError: the loss stays non-finite. The state saved last is valid.
        """
        while self.state.epoch < self.last_epoch:
            epoch = self.state.epoch
            started = time.perf_counter()
            train_terms = self._train_epoch(epoch, observer)
            if not all(torch.isfinite(weight).all() for weight in self.projection.parameters()):
                raise VoicecloneError(
                    f"the projection's weights are not finite (epoch {epoch + 1}): lower --lr-projection, or check the "
                    "base; the last checkpoint is good"
                )
            validation_terms = self.validate(self.base_vector()) if self._is_validated(epoch) else {}
            self.state.epoch = epoch + 1
            self._remember(train_terms, validation_terms, time.perf_counter() - started)
            observer.epoch(self.state.history[-1], self)
            save(self.state)
        return self.state

    def _is_validated(self, epoch: int) -> bool:
        """True for epoch 0, every ``validate_every``-th one from there, and the last one of this model."""
        return epoch % self.config.validate_every == 0 or epoch + 1 == self.last_epoch

    def _objective(self, targets: Sequence[AlignedTarget], crop_frames: int) -> Objective:
        return (PlainObjective if self.config.plain else Objective)(
            targets,
            self.kokoro,
            self.profile,
            crop_frames=crop_frames,
            speaker=self.speaker,
            phone_classifier=self.phone_classifier,
            free_running=self.config.free_running,
        )

    def _train_epoch(self, epoch: int, observer: Observer) -> dict[str, float]:
        generator = np.random.default_rng([self.config.seed, epoch])
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.lr * group["scale"] * self.config.lr_factor(epoch)
        count = min(self.config.max_crops_per_epoch, max(len(self.train_targets), self.config.batch))
        sums: dict[str, float] = {}
        done = bad = 0
        # an epoch may be a single step, so a non-finite step is repeated with other crops
        while done < math.ceil(count / self.config.batch):
            crops = self.objective.random_crops(self.config.batch, generator)
            values = self._step(crops, seed=int(generator.integers(2**31)))
            if values is None:
                bad += 1
                self.state.skipped_steps += 1
                if bad >= MAX_BAD_STEPS:
                    raise VoicecloneError(
                        f"the loss is not finite (epoch {epoch + 1}): lower --lr-projection, or check the base; "
                        "the last checkpoint is good"
                    )
                continue
            bad, done = 0, done + 1
            self.state.step += 1
            values["lr"] = self.config.lr * self.config.lr_factor(epoch)
            observer.step(self.state.step, values)
            for name, value in values.items():
                sums[name] = sums.get(name, 0.0) + value
        return {name: value / done for name, value in sums.items()}

    def _step(self, crops: Sequence[Crop], *, seed: int) -> dict[str, float] | None:
        """One optimizer step. Where loss or gradient is not finite, nothing is changed and None is returned."""
        started = time.perf_counter()
        device = self.kokoro.device
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(seed)
            self.projection.train()
            vector = self.projection(self.style)
            terms, gradient = term_gradients(self.objective.terms, vector, crops, self.weights, self.micro_batch)
            loss = self.objective.total(terms, self.weights)
            self.optimizer.zero_grad(set_to_none=True)
            values = dict(zip(["loss", *terms], torch.stack([loss, *terms.values()]).tolist()))
            if not math.isfinite(values["loss"]):
                return None
            vector.backward(gradient)
        norm = nn.utils.clip_grad_norm_(self.projection.parameters(), self.config.gradient_clip)
        if not torch.isfinite(norm):
            self.optimizer.zero_grad(set_to_none=True)
            return None
        self.optimizer.step()
        return {**values, "gradient_norm": float(norm), "step_seconds": time.perf_counter() - started}

    @torch.no_grad()
    def validate(self, base_vector: Tensor) -> dict[str, float]:
        """Every term of ``base_vector`` ``(1, 256)`` on the middle of the validation clips, with a fixed noise."""
        device = self.kokoro.device
        crops = self.validation.middle_crops()
        sums: dict[str, float] = {}
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(self.config.seed)
            size = min(self.config.batch, len(crops))
            for first in range(0, len(crops), size):
                # Always full batches, for constant shapes. The last one is filled up with the first crops.
                batch = [crops[(first + i) % len(crops)] for i in range(size)]
                terms = self.validation.terms(base_vector.to(device), batch)
                terms["loss"] = self.validation.total(terms, self.weights)
                for name, value in terms.items():
                    sums[name] = sums.get(name, 0.0) + float(value)
        batches = math.ceil(len(crops) / size)
        return {name: value / batches for name, value in sums.items()}

    @torch.no_grad()
    def speak_validation(self, base_vector: Tensor) -> tuple[Tensor, Tensor]:
        """The longest validation clip, and the voice with its timing, F0 and energy, each ``(T,)`` at 24 kHz."""
        index = max(range(len(self.validation.targets)), key=lambda i: self.validation.targets[i].frames)
        target = self.validation.targets[index]
        whole = self._objective([target], min(target.frames, MAX_PREVIEW_FRAMES))
        row = self.profile.row(base_vector.to(self.kokoro.device), target.text.phoneme_count)
        with torch.random.fork_rng(devices=[self.kokoro.device] if self.kokoro.device.type == "cuda" else []):
            torch.manual_seed(self.config.seed)
            spoken = whole.speak_crops([row], [Crop(clip=0, start=0)])[0]
        return target.audio[: len(spoken)], spoken

    def mels(self, *audio: np.ndarray) -> list[np.ndarray]:
        """Log-mels ``(80, frames)`` of signals ``(T,)``."""
        return [LogMel()(torch.from_numpy(signal).float().unsqueeze(0))[0].numpy() for signal in audio]

    def _remember(self, train: dict[str, float], validation: dict[str, float], seconds: float) -> None:
        state = self.state
        state.history.append(
            {"epoch": state.epoch, "step": state.step, "train": train, "validation": validation, "lr": train["lr"],
             "seconds": seconds}
        )  # fmt: skip
        state.projection = copied_weights(self.projection)
        state.optimizer = self.optimizer.state_dict()
