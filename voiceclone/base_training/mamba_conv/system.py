"""The system ``mamba-conv``: text and style to the tokens of a frozen codec."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from voiceclone.base_training.config import TrainConfig
from voiceclone.base_training.corpus import Corpus, Utterance
from voiceclone.base_training.mamba_conv.batches import CodeBatches
from voiceclone.base_training.mamba_conv.codes import CodeCache, codec_key
from voiceclone.base_training.mamba_conv.objective import TOKEN_TERMS, MambaConvObjective, MambaConvTrainee
from voiceclone.base_training.mamba_conv.settings import WEIGHTS, MambaConvTraining
from voiceclone.base_training.measures import speak_phonemes
from voiceclone.base_training.system import StepLosses, System
from voiceclone.bases.mamba_conv import read_mamba_conv
from voiceclone.distributed import ProcessGroup
from voiceclone.errors import UsageError
from voiceclone.models.mamba_conv.bundle import Bundle
from voiceclone.models.mamba_conv.config import MambaConvConfig, config_json
from voiceclone.models.mamba_conv.mixers import MambaBlock
from voiceclone.voice.pack import ROWS


class MambaConvSystem(System):
    """The synthesizer on the tokens of a codec, without discriminators.

    Args:
        corpus: the training data.
        config: settings.
        model: sizes; hop, levels and codebook size are replaced by the codec's.
        codec: frozen.
        cache: folder for the codec's tokens.
    """

    trained: MambaConvTrainee
    averaged: MambaConvTrainee

    def __init__(
        self,
        corpus: Corpus,
        config: TrainConfig,
        *,
        model: MambaConvConfig,
        codec: nn.Module,
        cache: Path,
        vocab: dict[str, int],
        training: MambaConvTraining | None = None,
        speaker_boost: dict[str, float] | None = None,
        process_group: ProcessGroup | None = None,
    ) -> None:
        super().__init__(corpus, config, process_group)
        self.model, self.vocab, self.training = model, vocab, training or MambaConvTraining()
        if (codec.levels, codec.codebook_size, codec.hop) != (model.levels, model.codebook_size, model.hop):
            raise UsageError("--codec: has other levels, codes or frames than the model: choose another --vocab-size")
        self.codec = codec.to(self.process_group.device).eval().requires_grad_(False)
        self.process_group.broadcast_result(lambda: CodeCache(cache, corpus, self.codec) and None)
        self.codes = CodeCache(cache, corpus, self.codec)
        self.batches = CodeBatches(
            corpus, config, self.codes, speaker_boost=speaker_boost, process_group=self.process_group
        )
        self._build(lambda: MambaConvTrainee(model, len(corpus.speakers)), nn.Module)
        # an optimizer needs at least one parameter
        self.discriminators = nn.ParameterList([nn.Parameter(torch.zeros(0))]).to(self.process_group.device)
        self.objective = MambaConvObjective(self.trained, config, self.training)
        self.weight = config.weight

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Weight decay applies to all parameters except the rates of the state space models."""
        blocks = [module for module in self.trained.modules() if isinstance(module, MambaBlock)]
        free = [parameter for block in blocks for parameter in block.undecayed()]
        known = {id(parameter) for parameter in free}
        rest = [parameter for parameter in self.trained.parameters() if id(parameter) not in known]
        return [{"params": rest}, *([{"params": free, "weight_decay": 0.0}] if free else [])]

    def losses(self, step: int, progress: float) -> StepLosses:
        """All terms of one batch of crops."""
        batch = self.batches.prosody(step).to(self.process_group.device)
        found = self.objective.terms(batch, step, progress)
        share = batch.share
        terms = {name: value * (share.tokens if name in TOKEN_TERMS else share.rows) for name, value in found.items()}
        total = sum(self.weight[name] * value for name, value in terms.items() if name in WEIGHTS)
        return StepLosses(terms=terms, total=total)

    def takes_discriminators(self, step: int, progress: float) -> bool:
        """Always False: there are none."""
        return False

    def initialize_from(self, base: Path) -> str:
        """Load the weights of the base in folder ``base``, which must have the same codec.

        The heads keep their initialization.
        """
        known = read_mamba_conv(base)
        if known.model.config != self.model or codec_key(known.codec) != codec_key(self.codec):
            raise UsageError(
                f"--init {base}: has another codec or other sizes: give --codec {base} and its preset and --mixer"
            )
        for trainee in (self.trained, self.averaged):
            trainee.model.load_state_dict(known.model.state_dict())
        return str(known.facts.get("name", base.name))

    def speed_up(self) -> None:
        """No effect: nothing is compiled here. mamba-ssm's kernel is used where it is installed."""

    def identity(self) -> dict[str, Any]:
        """Speakers, preset, sizes and codec."""
        return {
            "speakers": self.corpus.speakers,
            "preset": self.config.preset,
            "model": config_json(self.model),
            "codec": codec_key(self.codec),
        }

    def bundle(self, facts: dict[str, Any] | None = None) -> Bundle:
        """The averaged model with its codec and a voice for each speaker."""
        voices = {
            speaker: speaker_voice(self.averaged.model, self.corpus, self.batches.training.get(speaker, own))
            for speaker, own in self.corpus.by_speaker.items()
        }
        return Bundle(model=self.averaged.model, codec=self.codec, vocab=self.vocab, voices=voices, facts=facts or {})

    @torch.no_grad()
    def preview(self) -> tuple[Utterance, np.ndarray, np.ndarray] | None:
        """The first validation utterance in its speaker's voice, with predicted prosody."""
        if not self.batches.validation:
            return None
        index = self.batches.validation[0]
        utterance, bundle = self.corpus.utterances[index], self.bundle()
        spoken = speak_phonemes(bundle.kmodel(), utterance.phonemes, bundle.voices[utterance.speaker])[0]
        return utterance, self.corpus.audio(index), spoken


@torch.no_grad()
def speaker_voice(model: Any, corpus: Corpus, indices: list[int], most: int = 40) -> torch.Tensor:
    """A voice pack ``(510, 1, 256)``: the mean style of a speaker's utterances in both halves, the same in all rows."""
    device = next(model.parameters()).device
    styles = []
    for index in indices[:most]:
        mel = torch.from_numpy(np.ascontiguousarray(corpus.mel(index)))[None].to(device)
        styles.append(model.style(mel)[0].cpu())
    style = torch.stack(styles).mean(0)
    return torch.cat([style, style]).expand(ROWS, 1, 2 * len(style)).contiguous()
