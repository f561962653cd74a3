"""The system ``codec``: an autoencoder of waveforms with residual vector quantization."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from voiceclone.audio.features import crop_length
from voiceclone.base_training.config import TrainConfig
from voiceclone.base_training.corpus import Corpus, Utterance
from voiceclone.base_training.discriminators import Discriminators
from voiceclone.base_training.losses import SpectralLoss, adversarial_loss, discriminator_loss, feature_match_loss
from voiceclone.base_training.mamba_conv.batches import held_out, training_groups
from voiceclone.base_training.mamba_conv.codec_files import load_codec
from voiceclone.base_training.mamba_conv.settings import CodecTraining
from voiceclone.base_training.system import StepLosses, System
from voiceclone.distributed import ProcessGroup
from voiceclone.errors import UsageError
from voiceclone.models.mamba_conv.codec import Codec
from voiceclone.models.mamba_conv.config import CodecConfig, config_json
from voiceclone.models.mamba_conv.quantizer import codebook_use

KMEANS_ROUNDS = 10
USE_BATCHES = 20  # last batches of each level over which the tracked codebook use is computed


class AudioCrops:
    """Crops of equal length. Those of a step depend only on the seed and the step."""

    def __init__(self, corpus: Corpus, config: TrainConfig, process_group: ProcessGroup) -> None:
        self.corpus, self.config, self.process_group = corpus, config, process_group
        self.validation = held_out(corpus, config.seed)
        self.groups = list(training_groups(corpus, self.validation).values())
        self.crop = crop_length(config.crop_frames, [int(corpus.frames[i]) for own in self.groups for i in own])

    def draw(self, step: int, *, whole: bool = False) -> tuple[Tensor, float]:
        """Waveforms ``(B, 600 crop)`` of this process, and their fraction of the batch.

        Args:
            step: number of the step.
            whole: return all rows in every process.
        """
        rng = np.random.default_rng([self.config.seed, step, 2])
        cut: list[tuple[int, int]] = []
        while len(cut) < self.config.crop_batch:
            index = int(rng.choice(self.groups[int(rng.integers(len(self.groups)))]))
            if (room := int(self.corpus.frames[index]) - self.crop) >= 0:
                cut.append((index, int(rng.integers(0, room + 1))))
        rows, part = (range(len(cut)), 1.0) if whole else self.process_group.rows(len(cut))
        audio = np.stack([self.corpus.audio(*cut[row], self.crop) for row in rows])
        return torch.from_numpy(audio).to(self.process_group.device), part

    def levels(self, step: int, most: int, all_levels: float) -> int:
        """Number of quantizer levels used in a step."""
        rng = np.random.default_rng([self.config.seed, step, 3])
        return most if rng.random() < all_levels else int(rng.integers(1, most + 1))


class CodecSystem(System):
    """The codec with its discriminators."""

    trained: Codec
    averaged: Codec

    def __init__(
        self,
        corpus: Corpus,
        config: TrainConfig,
        *,
        codec: CodecConfig | None = None,
        training: CodecTraining | None = None,
        process_group: ProcessGroup | None = None,
    ) -> None:
        super().__init__(corpus, config, process_group)
        self.codec, self.training = codec or CodecConfig(), training or CodecTraining()
        if 600 % self.codec.hop:
            raise ValueError(f"a hop of {self.codec.hop} samples does not divide a frame of 600")
        self.batches = AudioCrops(corpus, config, self.process_group)
        self._build(lambda: Codec(self.codec), Discriminators)
        self.spectral = SpectralLoss().to(self.process_group.device)
        self.weight = config.weight
        self.started = False
        self.last_codes: list[deque[Tensor]] = [deque(maxlen=USE_BATCHES) for _ in range(self.codec.levels)]

    def losses(self, step: int, progress: float) -> StepLosses:
        """Spectral distances and commitment loss; adversarial terms from ``adversarial_share`` of the run on.

        ``use_LEVEL``, which is no loss, is the codebook use over the last batches that used the level.
        """
        quantized = self._quantizing(step)
        audio, part = self.batches.draw(step)
        latent = self.trained.latents(audio)
        terms: dict[str, Tensor] = {}
        if quantized:
            used = self.batches.levels(step, self.codec.levels, self.training.all_levels)
            group = self.process_group
            found = self.trained.quantizer(
                latent, used=used, reduce=group.all_reduce, process=(group.rank, group.world_size)
            )  # fmt: skip
            latent, terms["commit"] = found.vectors, found.commitment
            terms.update(self._use(found.codes))
        made = self.trained.resynthesize(latent)
        terms.update(self.spectral(made, audio))
        adversarial = self.takes_discriminators(step, progress)
        if adversarial:
            with torch.no_grad():
                _, real = self._discriminator_outputs(audio)
            scores, fake = self._discriminator_outputs(made)
            terms["adversarial"] = adversarial_loss(scores)
            terms["feature_match"] = feature_match_loss(real, fake, lambda means: self._over_all(means, part))
        terms = {name: value * part for name, value in terms.items()}
        total = sum(self.weight[name] * value for name, value in terms.items() if not name.startswith("use_"))

        def discriminate() -> Tensor:
            outputs = [self._discriminator_outputs(one)[0] for one in (audio, made.detach())]
            return discriminator_loss(*outputs) * part

        return StepLosses(terms=terms, total=total, discriminate=discriminate if adversarial else None)

    def initialize_from(self, base: Path) -> str:
        """Load the weights of a trained codec in folder ``base``."""
        known = load_codec(base)
        if known.config != self.codec:
            raise UsageError(
                f"--init {base}: is a codec of other sizes: train it with the same --vocab-size and preset"
            )
        for codec in (self.trained, self.averaged):
            codec.load_state_dict(known.state_dict())
        self.started = True
        return base.name

    def speed_up(self) -> None:
        """No effect: nothing is compiled here. With --bfloat16 the discriminators run in it."""

    def identity(self) -> dict[str, Any]:
        """Speakers, preset and sizes."""
        return {"speakers": self.corpus.speakers, "preset": self.config.preset, "codec": config_json(self.codec)}

    def state(self) -> dict[str, Any]:
        """Whether the codebooks have been initialized."""
        return {"codebooks_started": self.started}

    def load_state(self, state: dict[str, Any]) -> None:
        """The inverse of :meth:`state`."""
        self.started = state["codebooks_started"]

    @torch.no_grad()
    def preview(self) -> tuple[Utterance, np.ndarray, np.ndarray] | None:
        """The first validation utterance, and its reconstruction by the codec."""
        if not self.batches.validation:
            return None
        index = self.batches.validation[0]
        audio = self.corpus.audio(index)
        made = self.averaged.decode(self.averaged.encode(torch.from_numpy(audio)[None].to(self.process_group.device)))
        return self.corpus.utterances[index], audio, made[0].cpu().numpy()

    def _use(self, codes: Tensor) -> dict[str, Tensor]:
        """The tracked codebook use of the levels in ``codes`` ``(B, levels, T)``."""
        found = {}
        for level, own in enumerate(codes.cpu().unbind(1)):
            self.last_codes[level].append(own.flatten())
            recent = torch.cat(tuple(self.last_codes[level]))
            found[f"use_{level}"] = codebook_use(recent[None, None], self.codec.codebook_size)[0].to(codes.device)
        return found

    def _discriminator_outputs(self, audio: Tensor) -> tuple[list[Tensor], list[list[Tensor]]]:
        with torch.autocast(audio.device.type, dtype=torch.bfloat16, enabled=self.config.bfloat16):
            return self.discriminators(audio)

    def _over_all(self, means: Tensor, part: float) -> Tensor:
        return self.process_group.all_reduce(means * part)

    def _quantizing(self, step: int) -> bool:
        """True where this step quantizes. The first such step initializes the codebooks."""
        wait = self.training.kmeans_batches
        if self.config.steps is not None:
            wait = min(wait, self.config.steps // 2)  # at most half of a short test run
        if not self.started and step >= wait:
            self.start_codebooks(range(max(step - max(wait, 1), 0), max(step, 1)))
            self.started = True
        return self.started

    @torch.no_grad()
    def start_codebooks(self, steps: range) -> None:
        """Initialize every level by k-means on its residuals over the batches of some steps.

        The batches are drawn again, whole and identical in all processes, so that they need not be stored.
        """
        from sklearn.cluster import KMeans

        quantizer = self.trained.quantizer
        latents = [self.trained.latents(self.batches.draw(step, whole=True)[0]) for step in steps]
        residual = torch.cat([latent.mT.flatten(0, 1) for latent in latents])
        for level in range(self.codec.levels):
            points = residual.cpu().numpy().astype(np.float64)
            if len(points) < quantizer.size:
                points = np.tile(points, (-(-quantizer.size // len(points)), 1))
            points = points + 1e-4 * np.random.default_rng(self.config.seed).standard_normal(points.shape)
            found = KMeans(
                quantizer.size, init="random", n_init=1, max_iter=KMEANS_ROUNDS, random_state=self.config.seed
            )
            centres = torch.from_numpy(found.fit(points).cluster_centers_).to(residual)
            for module in (quantizer, self.averaged.quantizer):
                module.set_codebook(level, centres)
            residual = residual - centres[quantizer.nearest(residual, level)]
