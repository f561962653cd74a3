"""Training of a model on utterances with known voice vectors: without style encoders."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from voiceclone.base_training.batch import VectorBatch
from voiceclone.base_training.config import TrainConfig
from voiceclone.base_training.corpus import Utterance
from voiceclone.base_training.measures import speak_phonemes
from voiceclone.base_training.objective import SpeechObjective
from voiceclone.base_training.speed import save_vocoder_memory, speed_up_vocoder
from voiceclone.base_training.system import StepLosses, System
from voiceclone.base_training.vector_batches import VectorBatches
from voiceclone.models.frozen_kokoro import STYLE_DIM
from voiceclone.models.nano import NanoKModel
from voiceclone.voice.pack import ROWS, VOICE_DIM


class VectorSystem(System):
    """The decoder is trained on the audio given durations, F0, energy and the acoustic half of the voice vector.

    The predictor is trained on durations, F0 and energy given the prosodic half.

    Args:
        batches: of the corpus.
        config: settings.
        make: builds the model.
        make_discriminators: builds the discriminators.
    """

    trained: NanoKModel
    averaged: NanoKModel

    def __init__(
        self,
        batches: VectorBatches,
        config: TrainConfig,
        make: Callable[[], NanoKModel],
        make_discriminators: Callable[[], nn.Module],
    ) -> None:
        super().__init__(batches.corpus, config, batches.process_group)
        self.batches = batches
        self._build(make, make_discriminators)
        self.objective = SpeechObjective(self.trained, self.discriminators, config, self.process_group)

    def losses(self, step: int, progress: float) -> StepLosses:
        """The decoder in every step, the predictor in every ``prosody_every``-th.

        With a corpus of prosody alone, only the predictor, in every step.
        """
        if not self.corpus.has_audio:
            terms = self._predicted(step)
            return StepLosses(terms=terms, total=self.objective.total(terms))
        adversarial = self.takes_discriminators(step, progress)
        batch = self.acoustic_batch(step, progress)
        terms, audio = self.objective.decoded(
            batch, batch.vectors[:, :STYLE_DIM], adversarial=adversarial, bandwidth=batch.bandwidth
        )
        terms = batch.share.of({**terms, **self.further_terms(audio, batch)})
        if self.config.trains_prosody(step):
            terms.update(self._predicted(step))
        discriminate = (lambda: self.objective.discriminate(batch, audio) * batch.share.rows) if adversarial else None
        return StepLosses(terms=terms, total=self.objective.total(terms), discriminate=discriminate)

    def acoustic_batch(self, step: int, progress: float) -> VectorBatch:
        """The decoder's batch of a step."""
        return self.batches.acoustic(step).to(self.process_group.device)

    def _predicted(self, step: int) -> dict[str, Tensor]:
        batch = self.batches.prosody(step).to(self.process_group.device)
        return batch.share.of(self.objective.predicted(batch, batch.vectors[:, STYLE_DIM:]))

    def further_terms(self, audio: Tensor, batch: VectorBatch) -> dict[str, Tensor]:
        """Further terms of the generated audio ``(B, T)``."""
        return {}

    def speed_up(self) -> None:
        """Compile the vocoder, run it in bfloat16 and save its memory, as configured."""
        speed_up_vocoder(self.trained, compiled=self.config.compile, bfloat16=self.config.bfloat16, lengths_vary=True)
        if self.config.save_memory:
            save_vocoder_memory(self.trained)

    @torch.no_grad()
    def preview(self) -> tuple[Utterance, np.ndarray, np.ndarray] | None:
        """The first validation utterance, synthesised with its vector and predicted prosody."""
        if not self.batches.validation or not self.corpus.has_audio:
            return None
        index = self.batches.validation[0]
        utterance, vector = self.corpus.utterances[index], torch.from_numpy(self.batches.vector(index))
        voice = vector.expand(ROWS, VOICE_DIM)[:, None]
        return utterance, self.corpus.audio(index), speak_phonemes(self.averaged, utterance.phonemes, voice)[0]
