"""The system that ``train-base --data`` trains: StyleTTS2's text-to-speech part with its pair of style encoders."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from voiceclone.base_training.batches import BatchMaker
from voiceclone.base_training.config import TrainConfig
from voiceclone.base_training.corpus import Corpus, Utterance
from voiceclone.base_training.discriminators import build_discriminators
from voiceclone.base_training.measures import speak_phonemes
from voiceclone.base_training.objective import RecordedObjective, Trainee, build_trainee
from voiceclone.base_training.speed import speed_up_vocoder
from voiceclone.base_training.styletts2.style_diffusion import DiffusionTraining
from voiceclone.base_training.styletts2_settings import StyleTTS2Settings
from voiceclone.base_training.system import StepLosses, System
from voiceclone.bases.folder import read_config, read_info
from voiceclone.distributed import ProcessGroup
from voiceclone.errors import UsageError
from voiceclone.models.checkpoint import load_strictly, read_state
from voiceclone.models.presets import preset
from voiceclone.style.encoders import StyleEncoderConfig, load_style_encoders
from voiceclone.voice.pack import ROWS, VOICE_DIM


KINDS = ("decoder", "discriminators", "aligner")
"""Settings that decide which modules there are."""


class RecordedSystem(System):
    """Model and style encoders, trained together on recordings of many speakers.

    Args:
        speaker_boost: how often a speaker is drawn, relative to the others.
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
        super().__init__(
            corpus, config, ProcessGroup(device=torch.device(config.device)) if process_group is None else process_group
        )
        self.batches = BatchMaker(corpus, config, speaker_boost=speaker_boost, process_group=self.process_group)
        settings = config.styletts2
        self._build(
            lambda: build_trainee(config, len(corpus.speakers)),
            lambda: build_discriminators(settings.discriminators, wide=config.preset == "full"),
        )
        self.objective = RecordedObjective(self.trained, self.discriminators, config, self.process_group)
        self.prosodic_started = False
        self.diffusion = (
            DiffusionTraining(self.batches, self.averaged, config, self.process_group)
            if settings.diffusion
            else None
        )

    @property
    def side_modules(self) -> list[nn.Module]:
        """The sampler of styles, where one is trained."""
        return [] if self.diffusion is None else self.diffusion.modules

    def begin_step(self, progress: float) -> None:
        """The paper's second stage: the prosodic encoder starts as a copy of the acoustic one."""
        if not self.prosodic_started and progress >= self.config.acoustic_share:
            for model in (self.trained, self.averaged):
                model.encoders.prosodic.load_state_dict(model.encoders.acoustic.state_dict())
            self.prosodic_started = True

    def losses(self, step: int, progress: float) -> StepLosses:
        """The acoustic half in every step, the prosody half in every ``prosody_every``-th."""
        adversarial = self.takes_discriminators(step, progress)
        batch = self.batches.acoustic(step).to(self.process_group.device)
        terms, audio = self.objective.acoustic(batch, adversarial=adversarial)
        terms = batch.share.of(terms)
        total = self.objective.total(terms)
        if self.prosodic_started and step % self.config.prosody_every == 0:
            spoken = self.batches.prosody(step).to(self.process_group.device)
            prosody = spoken.share.of(self.objective.prosody(spoken))
            total = total + self.objective.total(prosody)
            terms = {**prosody, **terms}
        discriminate = (lambda: self.objective.discriminate(batch, audio) * batch.share.rows) if adversarial else None
        return StepLosses(terms=terms, total=total, discriminate=discriminate)

    def train_beside(self, step: int, progress: float, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
        """The sampler of styles, in its phase."""
        if self.diffusion is None or not self.diffusion.takes_part(step, progress):
            return {}
        return self.diffusion.step(step)

    def initialize_from(self, base: Path) -> str:
        """Take the weights of the base in folder ``base``; heads and discriminators start anew.

        The encoders are those the base was trained with, or where it lacks them the ones it is cloned with.
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

    def speed_up(self) -> None:
        """Compile the vocoder, run it in bfloat16."""
        speed_up_vocoder(self.trained.model, compiled=self.config.compile, bfloat16=self.config.bfloat16)

    def identity(self) -> dict[str, Any]:
        """Speakers, preset, and what decides which modules there are."""
        settings = self.config.styletts2
        kinds = [getattr(settings, name) for name in KINDS]
        return {"speakers": self.corpus.speakers, "preset": self.config.preset, "kinds": kinds}

    def state(self) -> dict[str, Any]:
        """Whether the prosody half has begun, and the sampler of styles."""
        beside = {} if self.diffusion is None else {"diffusion": self.diffusion.state()}
        return {"prosodic_started": self.prosodic_started, **beside}

    def load_state(self, state: dict[str, Any]) -> None:
        """The inverse of :meth:`state`."""
        self.prosodic_started = state["prosodic_started"]
        if self.diffusion is not None and "diffusion" in state:
            self.diffusion.load_state(state["diffusion"])

    @torch.no_grad()
    def preview(self) -> tuple[Utterance, np.ndarray, np.ndarray] | None:
        """The first validation utterance, spoken with the style of its own recording, all prosody predicted."""
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
        UsageError: no base of this preset lies there.
        VoicecloneError: its file is damaged.
    """
    weights = base / "model.safetensors"
    if not weights.is_file() or read_config(base / "config.json") != preset(preset_name, decoder=decoder)[0]:
        raise UsageError(f"--init {base}: is no trained base of preset {preset_name}: give its folder")
    return read_state(weights)
