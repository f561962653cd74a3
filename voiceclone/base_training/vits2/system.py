"""The system ``vits2``: encoders, flow, durations and decoder, trained jointly in one or two phases."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from voiceclone.base_training.config import TrainConfig
from voiceclone.base_training.corpus import Corpus, Utterance
from voiceclone.base_training.discriminators import Discriminators
from voiceclone.base_training.losses import (
    SpectralLoss,
    adversarial_loss,
    discriminator_loss,
    feature_match_loss,
)
from voiceclone.base_training.speed import run_in_bfloat16
from voiceclone.base_training.system import StepLosses, System
from voiceclone.base_training.vits2.batches import Vits2Batch, Vits2Batches
from voiceclone.base_training.vits2.duration_discriminator import (
    DurationDiscriminator,
    NoDurationDiscriminator,
    duration_discriminator_loss,
    duration_generator_loss,
)
from voiceclone.base_training.vits2.losses import boundary_agreement, divergence, log_duration_error
from voiceclone.base_training.vits2.settings import Vits2Settings, run_model
from voiceclone.bases.folder import read_info
from voiceclone.distributed import ProcessGroup
from voiceclone.errors import UsageError
from voiceclone.models.checkpoint import load_strictly, read_state
from voiceclone.models.vits2.config import read_vits2_config
from voiceclone.models.vits2.decoder import ResidualBlock
from voiceclone.models.vits2.durations import expansion
from voiceclone.models.vits2.layers import WaveNet
from voiceclone.models.vits2.speaking import Vits2KModel
from voiceclone.models.vits2.stochastic_durations import StochasticDurationPredictor
from voiceclone.models.vits2.synthesizer import Posterior, Prior, Synthesizer, crop_starts, cut_frames, search_alignment

NEAR = (0.025, 0.05)  # tolerances in seconds for a correct boundary


class Vits2System(System):
    """VITS2 trained on recordings of one or more speakers.

    Args:
        corpus: the training data.
        config: settings.
        speaker_boost: relative frequency of each speaker.
        process_group: the processes that train together; None for a single process.

    Raises:
        UsageError: the settings are not consistent, or no utterance can be used for training.
    """

    trained: Synthesizer
    averaged: Synthesizer
    discriminators: nn.ModuleDict

    def __init__(
        self,
        corpus: Corpus,
        config: TrainConfig,
        *,
        speaker_boost: dict[str, float] | None = None,
        process_group: ProcessGroup | None = None,
    ) -> None:
        super().__init__(corpus, config, process_group)
        assert isinstance(config.system_settings, Vits2Settings)
        self.settings: Vits2Settings = config.system_settings
        self.model = run_model(corpus, config)
        self.batches = Vits2Batches(
            corpus, config, self.model, speaker_boost=speaker_boost, process_group=self.process_group
        )
        self._build(lambda: Synthesizer(self.model), self._make_discriminators)
        self.spectral = SpectralLoss().to(self.process_group.device)

    def _make_discriminators(self) -> nn.Module:
        kind = self.settings.duration_discriminator
        durations = (
            DurationDiscriminator(self.model.hidden, recurrent=kind == "lstm")
            if self.settings.trains_durations_apart
            else NoDurationDiscriminator()
        )
        return nn.ModuleDict({"audio": Discriminators(), "durations": durations})

    def begin_step(self, progress: float) -> None:
        """In the last phase everything but the duration predictor is frozen."""
        apart = self.settings.phase(progress) == "durations"
        self.trained.requires_grad_(not apart).train(not apart)
        self.trained.durations.requires_grad_(True).train(True)

    def losses(self, step: int, progress: float) -> StepLosses:
        """All parts jointly, or in the last phase the durations only."""
        batch = self.batches.whole(step).to(self.process_group.device)
        if self.settings.phase(progress) == "durations":
            return self._durations_apart(batch)
        return self._joint(batch, step, progress)

    def _joint(self, batch: Vits2Batch, step: int, progress: float) -> StepLosses:
        model, adversarial = self.trained, self.takes_discriminators(step, progress)
        voice = model.voices(batch.speakers)
        prior = model.read(batch.tokens, batch.lengths, voice)
        posterior = model.encode_posterior(batch.spectrogram, batch.frames, voice)
        searched = self._path(batch, posterior, prior, self.settings.noise_at(progress))
        given = self.settings.phase(progress) == "given"
        path = expansion(batch.durations, posterior.mask.shape[2]) if given else searched
        kl = divergence(
            posterior, prior.mean @ path, prior.log_scale @ path, model.flow.log_determinant(posterior.mask)
        )
        audio, real = self._crop(batch, posterior, voice)
        terms = {
            "kl": kl,
            "duration": self._duration_loss(prior, voice, path.sum(2).unsqueeze(1)),
            **self.spectral(audio, real),
            **self._adversarial_audio(batch, audio, real, adversarial=adversarial),
        }
        terms = batch.share.of(terms)
        weight = self.config.weight
        factors = {"kl": self.settings.divergence_weight(progress)}
        total = sum(weight[name] * factors.get(name, 1.0) * value for name, value in terms.items())
        terms.update(batch.share.of(self._agreement(searched, batch)))
        discriminate = partial(self._discriminate_audio, batch, audio, real) if adversarial else None
        return StepLosses(terms=terms, total=total, discriminate=discriminate)

    def _durations_apart(self, batch: Vits2Batch) -> StepLosses:
        """The duration predictor with noise against its discriminator. All else is frozen; alignment without noise."""
        model, discriminator = self.trained, self.discriminators["durations"]
        with torch.no_grad():
            voice = model.voices(batch.speakers)
            prior = model.read(batch.tokens, batch.lengths, voice)
            posterior = model.encode_posterior(batch.spectrogram, batch.frames, voice)
            path = self._path(batch, posterior, prior, 0.0)
            frames = path.sum(2).unsqueeze(1)
            # Real durations are integers, by which the discriminator could tell them apart: noise is added.
            real = torch.log(frames + torch.rand_like(frames) - 0.5 + (1 - prior.mask)) * prior.mask
        fake = model.durations(prior.features, prior.mask, voice, self._duration_noise(prior))
        terms = {
            "duration": log_duration_error(fake, frames, prior.mask),
            "duration_adversarial": duration_generator_loss(
                fake=discriminator(prior.features, fake, prior.mask), mask=prior.mask
            ),
        }
        terms = batch.share.of(terms)
        weight = self.config.weight
        total = sum(weight[name] * value for name, value in terms.items())
        terms.update(batch.share.of(self._agreement(path, batch)))

        def discriminate() -> Tensor:
            scores = [discriminator(prior.features, one, prior.mask) for one in (real, fake.detach())]
            return duration_discriminator_loss(real=scores[0], fake=scores[1], mask=prior.mask) * batch.share.tokens

        return StepLosses(terms=terms, total=total, discriminate=discriminate)

    def _path(self, batch: Vits2Batch, posterior: Posterior, prior: Prior, noise: float) -> Tensor:
        return search_alignment(posterior, prior, noise=noise)

    def _duration_noise(self, prior: Prior) -> Tensor:
        return torch.randn_like(prior.mask) * prior.mask

    def _duration_loss(self, prior: Prior, voice: Tensor | None, frames: Tensor) -> Tensor:
        predictor = self.trained.durations
        if isinstance(predictor, StochasticDurationPredictor):
            nll = predictor.negative_log_likelihood(prior.features, prior.mask, voice, frames)
            return nll.sum() / prior.mask.sum()
        return log_duration_error(
            predictor(prior.features, prior.mask, voice, self._duration_noise(prior)), frames, prior.mask
        )

    def _crop(self, batch: Vits2Batch, posterior: Posterior, voice: Tensor | None) -> tuple[Tensor, Tensor]:
        """Decoded audio of a crop of the latent frames, and the recording at the same position: ``(B, hop S)``."""
        starts, count = crop_starts(batch.frames, batch.crop_frames, batch.draw)
        hop = self.model.front_end.hop
        audio = self.trained.decoder(cut_frames(posterior.z, starts, count), voice)
        return audio.squeeze(1), cut_frames(batch.audio, starts * hop, count * hop).squeeze(1)

    def _adversarial_audio(
        self, batch: Vits2Batch, audio: Tensor, real: Tensor, *, adversarial: bool
    ) -> dict[str, Tensor]:
        if not adversarial:
            return {}
        with torch.no_grad():
            _, real_features = self._discriminator_outputs(real)
        scores, features = self._discriminator_outputs(audio)
        over_all = partial(self._over_all, batch=batch)
        return {
            "adversarial": adversarial_loss(scores),
            "feature_match": feature_match_loss(real_features, features, over_all),
        }

    def _over_all(self, means: Tensor, batch: Vits2Batch) -> Tensor:
        """All-reduce means over the rows of this process to means over all rows."""
        return self.process_group.all_reduce(means * batch.share.rows)

    def _discriminate_audio(self, batch: Vits2Batch, audio: Tensor, real: Tensor) -> Tensor:
        outputs = [self._discriminator_outputs(one)[0] for one in (real, audio.detach())]
        return discriminator_loss(*outputs) * batch.share.rows

    def _discriminator_outputs(self, audio: Tensor) -> tuple[list[Tensor], list[list[Tensor]]]:
        with torch.autocast(audio.device.type, dtype=torch.bfloat16, enabled=self.config.bfloat16):
            return self.discriminators["audio"](audio)

    def _agreement(self, path: Tensor, batch: Vits2Batch) -> dict[str, Tensor]:
        """Fractions of boundaries of the alignment search near the corpus' own; logged only."""
        return {f"mas_within_{1000 * s:.0f}ms": boundary_agreement(path, batch, s) for s in NEAR}

    def initialize_from(self, base: Path) -> str:
        """Load the weights of the VITS2 in folder ``base``.

        Discriminators and new speakers' vectors keep their initialization.
        """
        weights = base / "model.safetensors"
        if not weights.is_file() or read_info(base).get("system") != "vits2":
            raise UsageError(f"--init {base}: is not a trained VITS2: give the folder of one")
        config, _ = read_vits2_config(base / "config.json")
        if bool(config.speakers) != bool(self.model.speakers):
            of, data = ("several speakers", "one") if config.speakers else ("one speaker", "several")
            raise UsageError(f"--init {base}: is a VITS2 of {of}, and the data have {data}: give one of as many")
        if {**config.to_json(), "speakers": 0} != {**self.model.to_json(), "speakers": 0}:
            raise UsageError(f"--init {base}: is a VITS2 of another preset or other settings: give the same")
        state = read_state(weights)
        same = read_info(base).get("speakers") == self.corpus.speakers
        if not same and self.trained.speakers is not None:
            state["speakers.weight"] = self.trained.speakers.weight.detach().clone()
        for model in (self.trained, self.averaged):
            load_strictly(model, state, weights)
        return str(read_info(base).get("name", base.name))

    def speed_up(self) -> None:
        """Run the WaveNets and the decoder's residual blocks in bfloat16, as configured; --compile is refused earlier.

        The layers around them stay float32: means and scales with 8 bits of precision would limit the divergence, and a
        waveform with 8 bits would be audible.
        """
        for module in self.trained.modules() if self.config.bfloat16 else ():
            if isinstance(module, WaveNet | ResidualBlock):
                run_in_bfloat16(module)

    def identity(self) -> dict[str, Any]:
        """Speakers, preset, model sizes and discriminator, which must not change when a run is resumed."""
        return {"speakers": self.corpus.speakers, "preset": self.config.preset, **self.state()}

    def state(self) -> dict[str, Any]:
        """The settings that :meth:`identity` compares."""
        discriminator = self.settings.duration_discriminator if self.settings.trains_durations_apart else "none"
        return {"model": _plain(self.model.to_json()), "duration_discriminator": discriminator}

    @torch.no_grad()
    def preview(self) -> tuple[Utterance, np.ndarray, np.ndarray] | None:
        """The first validation utterance, synthesised by the averaged model with predicted durations."""
        if not self.batches.validation:
            return None
        index = self.batches.validation[0]
        batch = self.batches.fixed([index]).to(self.process_group.device)
        speaker = Vits2KModel(self.averaged, {})
        voice = self.averaged.voices(batch.speakers)
        row = torch.zeros(1, 256, device=speaker.device) if voice is None else voice[:, :, 0]
        utterance = self.corpus.utterances[index]
        tokens = torch.tensor([utterance.tokens], device=speaker.device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            spoken, _ = speaker.forward_with_tokens(tokens, row)
        return utterance, self.corpus.audio(index), spoken.cpu().numpy()

    @torch.no_grad()
    def pictures(self) -> dict[str, np.ndarray]:
        """Alignments ``(N, T)`` of the first validation utterance by the averaged model and by the corpus."""
        if not self.batches.validation:
            return {}
        model = self.averaged
        batch = self.batches.fixed(self.batches.validation[:1]).to(self.process_group.device)
        voice = model.voices(batch.speakers)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            prior = model.read(batch.tokens, batch.lengths, voice)
            posterior = model.encode_posterior(batch.spectrogram, batch.frames, voice)
            path = search_alignment(posterior, prior)
        given = expansion(batch.durations, path.shape[2])
        count, frames = int(batch.lengths[0]), int(batch.frames[0])
        return {"alignment/searched_and_given": (path + given)[0, :count, :frames].cpu().numpy()}


def _plain(value: Any) -> Any:
    """Convert tuples to lists, because the content of a checkpoint is compared by value."""
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value
