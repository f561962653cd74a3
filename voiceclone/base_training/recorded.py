"""The system of ``train-base --data``: StyleTTS2's text-to-speech model with its pair of style encoders."""

from __future__ import annotations

import logging
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from voiceclone.base_training.batch import StyledBatch
from voiceclone.base_training.batches import BatchMaker
from voiceclone.base_training.config import TrainConfig
from voiceclone.base_training.corpus import Corpus, Utterance
from voiceclone.base_training.discriminators import build_discriminators
from voiceclone.base_training.finetuned_base import FinetunedBase
from voiceclone.base_training.measures import speak_phonemes
from voiceclone.base_training.objective import RecordedObjective, Trainee, build_trainee
from voiceclone.base_training.speed import save_vocoder_memory, speed_up_vocoder
from voiceclone.base_training.styletts2.alignment_training import AlignerTraining
from voiceclone.base_training.styletts2.slm_adversary import SlmAdversary
from voiceclone.base_training.styletts2.speech_models import load_speech_model
from voiceclone.base_training.styletts2.stages import ACOUSTIC, JOINT, PROSODIC, TwoStages
from voiceclone.base_training.styletts2.style_diffusion import DiffusionTraining
from voiceclone.base_training.styletts2_settings import StyleTTS2Settings
from voiceclone.base_training.system import StepLosses, System
from voiceclone.bases.folder import read_config, read_info
from voiceclone.distributed import ProcessGroup
from voiceclone.errors import UsageError
from voiceclone.models.checkpoint import load_strictly, read_state
from voiceclone.models.presets import preset
from voiceclone.style.encoders import StyleEncoderConfig, load_style_encoders
from voiceclone.system.extras import require
from voiceclone.voice.pack import ROWS, VOICE_DIM

logger = logging.getLogger(__name__)
KINDS = ("decoder", "discriminators", "aligner", "finetune")
"""Settings that determine which modules exist."""
SOFT_SHARE = 0.5
"""Fraction of the steps with a trained aligner that use its soft alignment instead of the best path."""


class RecordedSystem(System):
    """Model and style encoders, trained together on recordings of many speakers.

    Args:
        corpus: the training data.
        config: settings.
        speaker_boost: relative frequency of each speaker.
        process_group: the processes that train together; None for a single process.
    """

    trained: Trainee
    averaged: Trainee
    older_identity = MappingProxyType({"kinds": [getattr(StyleTTS2Settings(), name) for name in KINDS]})

    def __init__(
        self,
        corpus: Corpus,
        config: TrainConfig,
        *,
        speaker_boost: dict[str, float] | None = None,
        process_group: ProcessGroup | None = None,
    ) -> None:
        super().__init__(corpus, config, process_group)
        self.batches = BatchMaker(corpus, config, speaker_boost=speaker_boost, process_group=self.process_group)
        settings = config.styletts2
        self._build(
            lambda: build_trainee(config, len(corpus.speakers)),
            lambda: build_discriminators(settings.discriminators, wide=config.preset == "full"),
        )
        self.objective = RecordedObjective(self.trained, self.discriminators, config, self.process_group)
        self.prosodic_started = bool(settings.finetune)
        self.stages = (
            TwoStages(self.trained, config, self.process_group) if settings.schedule == "two_stage" else None
        )  # fmt: skip
        self.alignment = None
        if self.trained.aligner is not None:
            require("align", what="training a text aligner")
            self.alignment = AlignerTraining(self.batches, self.trained.aligner, self.process_group)
        self.aligner_ready = False
        self.diffusion = (
            DiffusionTraining(self.batches, self.averaged, config, self.process_group) if settings.diffusion else None
        )
        self.slm = None
        if settings.slm != "none":
            features = load_speech_model(settings.slm)
            self.slm = SlmAdversary(
                self.batches,
                self.trained,
                self.averaged,
                features,
                config,
                self.process_group,
                diffusion=self.diffusion,
            )

    @property
    def side_modules(self) -> list[nn.Module]:
        """The style sampler and the adversary's head, where they are trained."""
        return [module for part in (self.diffusion, self.slm) if part is not None for module in part.modules]

    def begin_step(self, progress: float) -> None:
        """At the start of the paper's second stage, copy the acoustic encoder to the prosodic one.

        Raises:
            VoicecloneError: in the two-stage schedule, the first stage did not reduce the loss.
        """
        settings = self.config.styletts2
        if self.alignment is not None and not self.aligner_ready:
            self.alignment.pretrain(settings.aligner_pretraining, self.config.seed)
            assert self.averaged.aligner is not None and self.trained.aligner is not None
            self.averaged.aligner.load_state_dict(self.trained.aligner.state_dict())
            self.aligner_ready = True
        if not self.prosodic_started and progress >= self.config.acoustic_share:
            if self.stages is not None:
                self.stages.check()
            for model in (self.trained, self.averaged):
                model.encoders.prosodic.load_state_dict(model.encoders.acoustic.state_dict())
            self.prosodic_started = True
        if self.stages is not None:
            self.stages.apply(progress)

    def losses(self, step: int, progress: float) -> StepLosses:
        """The acoustic half in every step, the prosodic half in every ``prosody_every``-th.

        In the second of two stages the acoustic half is frozen, and the prosodic half is trained in every step.
        """
        stage = None if self.stages is None else self.stages.stage(progress)
        if stage == PROSODIC:
            terms = self._prosody(step, progress)
            with torch.no_grad():  # the decoder was trained on the aligner's durations
                batch, _, _ = self._aligned(self._crops(step), progress)
            terms.update(self._through_decoder(batch, to_reconstruction=True))
            return StepLosses(terms=terms, total=self.objective.total(terms))
        adversarial = self.takes_discriminators(step, progress)
        batch, alignment, aligned = self._aligned(self._crops(step), progress)
        terms, audio = self.objective.acoustic(batch, adversarial=adversarial, alignment=alignment)
        terms.update(aligned)
        if self.slm is not None and self.slm.is_active(step, progress):
            terms["slm_features"] = self.slm.match(audio, batch.audio)
        terms = batch.share.of(terms)
        if self.stages is not None and stage == ACOUSTIC:
            self.stages.observe(terms["mel"])
        total = self.objective.total(terms)
        if self.prosodic_started and self.config.trains_prosody(step):
            prosody = self._prosody(step, progress)
            if stage == JOINT:
                prosody.update(self._through_decoder(batch, to_reconstruction=False))
            total = total + self.objective.total(prosody)
            terms = {**prosody, **terms}
        discriminate = (lambda: self.objective.discriminate(batch, audio) * batch.share.rows) if adversarial else None
        return StepLosses(terms=terms, total=total, discriminate=discriminate)

    def _crops(self, step: int) -> StyledBatch:
        return self.batches.acoustic(step).to(self.process_group.device)

    def _prosody(self, step: int, progress: float) -> dict[str, Tensor]:
        """Terms of the prosodic half, scaled to this process' part of the batch."""
        spoken = self.batches.prosody(step).to(self.process_group.device)
        with torch.no_grad():
            spoken, _, _ = self._aligned(spoken, progress)
        terms = spoken.share.of(self.objective.prosody(spoken))
        if self.slm is not None:
            self.slm.observe(terms["duration_total"])
        return terms

    def _through_decoder(self, batch: StyledBatch, *, to_reconstruction: bool) -> dict[str, Tensor]:
        return batch.share.of(self.objective.through_decoder(batch, to_reconstruction=to_reconstruction))

    def _aligned(self, batch: StyledBatch, progress: float) -> tuple[StyledBatch, Tensor | None, dict[str, Tensor]]:
        """The batch aligned by the trained aligner, in half of the steps softly, and the aligner's terms.

        The batch is unchanged before the aligner's training starts, and without an aligner.
        """
        if self.alignment is None or progress < self.config.styletts2.aligner_share:
            return batch, None, {}
        found = self.alignment.align(batch)
        soft = found.soft if float(torch.rand(())) < SOFT_SHARE else None
        return found.batch, soft, found.terms

    def train_beside(self, step: int, progress: float, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
        """Train the style sampler and the speech-model adversary, each in its phase."""
        terms: dict[str, Tensor] = {}
        if self.diffusion is not None and self.diffusion.is_active(step, progress):
            terms.update(self.diffusion.step(step))
        if self.slm is not None and self.slm.is_active(step, progress):
            terms.update(self.slm.step(step, optimizer))
        return terms

    def initialize_from(self, base: Path) -> str:
        """Load the weights of the base in folder ``base``. Heads and discriminators keep their initialization.

        The encoders are those that the base was trained with or, where it lacks them, those it is cloned with.
        """
        decoder = self.config.styletts2.decoder
        state, weights = read_weights(base, self.config.preset, decoder=decoder), base / "model.safetensors"
        pairs = [base / name for name in ("own_encoders.safetensors", "style_encoders.safetensors")]
        widths = StyleEncoderConfig(**preset(self.config.preset)[1])
        pair = load_style_encoders(next((p for p in pairs if p.is_file()), pairs[0]), widths)
        for trainee in (self.trained, self.averaged):
            load_strictly(trainee.model, state, weights)
            trainee.encoders.load_state_dict(pair.state_dict())
        self.prosodic_started = True
        return read_info(base).get("name", base.name)

    def initialize_from_base(self, base: FinetunedBase) -> str:
        """Load the weights of the base to be fine-tuned; returns its name. Its encoders are already loaded.

        Raises:
            VoicecloneError: they are not available, or are damaged.
        """
        state, source = base.weights()
        for trainee in (self.trained, self.averaged):
            load_strictly(trainee.model, state, source)
        return base.name

    def speed_up(self) -> None:
        """Compile the vocoder, run it in bfloat16 and save its memory, as configured."""
        speed_up_vocoder(self.trained.model, compiled=self.config.compile, bfloat16=self.config.bfloat16)
        if self.config.save_memory:
            save_vocoder_memory(self.trained.model)

    def identity(self) -> dict[str, Any]:
        """Speakers, preset, and the settings that determine which modules exist."""
        settings = self.config.styletts2
        kinds = [getattr(settings, name) for name in KINDS]
        return {"speakers": self.corpus.speakers, "preset": self.config.preset, "kinds": kinds}

    def report_unused(self) -> None:
        """Warn of parts that were enabled but never trained."""
        for name, part in self._beside().items():
            if name != "stages" and not part.runs:
                logger.warning("%s is enabled but never ran: increase the number of steps", name)

    def state(self) -> dict[str, Any]:
        """Whether training of the prosodic half has started, and the state of side modules."""
        beside = {name: part.state() for name, part in self._beside().items()}
        return {"prosodic_started": self.prosodic_started, "aligner_ready": self.aligner_ready, **beside}

    def load_state(self, state: dict[str, Any]) -> None:
        """The inverse of :meth:`state`."""
        self.prosodic_started = state["prosodic_started"]
        self.aligner_ready = state.get("aligner_ready", False)
        for name, part in self._beside().items():
            if name in state:  # else it was enabled after the checkpoint
                part.load_state(state[name])

    def _beside(self) -> dict[str, Any]:
        parts = {"stages": self.stages, "diffusion": self.diffusion, "slm": self.slm}
        return {name: part for name, part in parts.items() if part is not None}

    @torch.no_grad()
    def preview(self) -> tuple[Utterance, np.ndarray, np.ndarray] | None:
        """The first validation utterance, synthesised with the style of its own recording and predicted prosody."""
        if not self.batches.validation:
            return None
        index = self.batches.validation[0]
        utterance, recording = self.corpus.utterances[index], self.corpus.audio(index)
        mel = torch.from_numpy(np.ascontiguousarray(self.corpus.mel(index)))[None].to(self.process_group.device)
        voice = self.averaged.encoders(mel).expand(ROWS, VOICE_DIM)[:, None]
        return utterance, recording, speak_phonemes(self.averaged.model, utterance.phonemes, voice)[0]


def read_weights(base: Path, preset_name: str, *, decoder: str = "istftnet") -> dict[str, Any]:
    """The model's weights of the base in a folder.

    Raises:
        UsageError: there is no base of this preset.
        VoicecloneError: its file is damaged.
    """
    weights = base / "model.safetensors"
    if not weights.is_file() or read_config(base / "config.json") != preset(preset_name, decoder=decoder)[0]:
        raise UsageError(f"--init {base}: is not a trained base of preset {preset_name}: give its folder")
    return read_state(weights)
