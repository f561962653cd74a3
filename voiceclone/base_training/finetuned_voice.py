"""Fine-tuning of a base with Kokoro's voice space: the speakers' voices are fixed vectors, as in synthesis.

Compared with styles from crops of recordings, model and voice are then trained exactly as they are used later. The
voice may be a clone, which is near to the speaker before the model is changed at all.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from voiceclone.audio.features import LogMel, log_energy
from voiceclone.base_training.batches import split_utterances
from voiceclone.base_training.config import TrainConfig
from voiceclone.base_training.corpus import Corpus
from voiceclone.base_training.discriminators import build_discriminators
from voiceclone.base_training.finetuned_base import FinetunedBase
from voiceclone.base_training.rehearsal import recorded_speakers
from voiceclone.base_training.stock_voices import stock_voice
from voiceclone.base_training.styletts2_settings import StyleTTS2Settings
from voiceclone.base_training.teacher_corpus import TEACHER
from voiceclone.base_training.trainer import read_checkpoint
from voiceclone.base_training.vector_batches import VoiceBatches
from voiceclone.base_training.vector_system import VectorSystem
from voiceclone.distributed import ProcessGroup
from voiceclone.errors import UsageError
from voiceclone.models.checkpoint import load_strictly
from voiceclone.models.nano import NanoKModel
from voiceclone.voice.pack import VoicePack

ENERGY_UTTERANCES = 20


class VoiceFinetuning(VectorSystem):
    """A base, trained on recordings with a fixed voice for each speaker, and on its own speech.

    Args:
        corpus: recordings, and the base's own speech (:mod:`voiceclone.base_training.teacher_corpus`).
        config: settings.
        base: what is fine-tuned.
        voices: voice packs ``(510, 1, 256)`` of the recorded speakers.
        boost: relative frequency of each speaker.
        process_group: the processes that train together; None for a single process.
    """

    batches: VoiceBatches

    def __init__(
        self,
        corpus: Corpus,
        config: TrainConfig,
        base: FinetunedBase,
        voices: dict[str, Tensor],
        *,
        boost: dict[str, float] | None = None,
        process_group: ProcessGroup | None = None,
    ) -> None:
        process_group = process_group or ProcessGroup(device=torch.device(config.device))
        batches = VoiceBatches(
            corpus, config, voices, energy_offset=energy_offset(corpus), boost=boost, process_group=process_group
        )  # fmt: skip
        kind, wide = config.styletts2.discriminators, config.preset == "full"
        super().__init__(
            batches, config, lambda: NanoKModel(base.config), lambda: build_discriminators(kind, wide=wide)
        )  # fmt: skip
        self.base = base

    def initialize(self) -> str:
        """Load the weights of the base; returns its name.

        Raises:
            VoicecloneError: they are not available, or are damaged.
        """
        state, source = self.base.weights()
        for model in (self.trained, self.averaged):
            load_strictly(model, state, source)
        return self.base.name

    def initialize_from(self, base: Path) -> str:
        """Not supported: the start is the base that is fine-tuned."""
        raise UsageError("--init: cannot be used with --finetune: leave it out")

    def state(self) -> dict[str, Any]:
        """The voices, which a resumed run and packing need."""
        return {"voices": self.batches.voices}

    def identity(self) -> dict[str, Any]:
        """The speakers, the preset and the base."""
        return {
            "speakers": self.corpus.speakers,
            "preset": self.config.preset,
            "finetune": self.config.styletts2.finetune,
        }


def check_fixed_voices(settings: StyleTTS2Settings) -> None:
    """Refuse the parts of StyleTTS2's training that need style encoders.

    Raises:
        UsageError: one of them is enabled.
    """
    plain = StyleTTS2Settings()
    for name in ("diffusion", "slm", "schedule", "aligner", "decoder"):
        if getattr(settings, name) != getattr(plain, name):
            raise UsageError(f"{name}: is not available in fine-tuning a base with Kokoro's voices: leave it out")


@torch.no_grad()
def energy_offset(corpus: Corpus) -> float:
    """By how much the energy that a base predicts exceeds the one measured in its speech; 0 without such speech."""
    log_mel, offsets = LogMel(), []
    for index in corpus.by_speaker.get(TEACHER, [])[:ENERGY_UTTERANCES]:
        mel = log_mel(torch.from_numpy(corpus.audio(index))[None])[:, :, : 2 * int(corpus.frames[index])]
        offsets.append(float(np.median(corpus.energy(index) - log_energy(mel)[0].numpy())))
    return float(np.mean(offsets)) if offsets else 0.0


def voices_of_speakers(
    corpus: Corpus, base: FinetunedBase, *, seed: int, given: Path | None = None
) -> dict[str, Tensor]:
    """The voice pack ``(510, 1, 256)`` of each recorded speaker.

    Args:
        corpus: recordings and the base's own speech.
        base: what is fine-tuned.
        seed: of the run, which determines the validation part.
        given: a voice file, for a corpus of one speaker; None: the mean styles of the training recordings.

    Raises:
        UsageError: a voice is given for several speakers, or the file is no voice.
    """
    speakers = recorded_speakers(corpus.speakers)
    if given is not None:
        if len(speakers) != 1:
            raise UsageError(f"--voice {given}: is one voice, but the data has {len(speakers)} speakers: leave it out")
        return {speakers[0]: VoicePack.load(given).tensor}
    (training, _), encoders = split_utterances(corpus, seed), base.encoders().eval()
    return {speaker: stock_voice(corpus, encoders, speaker, indices=training[speaker]) for speaker in speakers}


def voices_of_run(out: Path, given: Path | None = None) -> dict[str, Tensor]:
    """The voices that the run in ``out`` is trained with, by speaker.

    Raises:
        UsageError: there is no checkpoint, it has no voices, or ``given`` is another voice.
    """
    voices: dict[str, Tensor] | None = read_checkpoint(out).get("voices")
    if voices is None:
        raise UsageError(f"{out}: the run is not one of fixed voices: train again with --overwrite")
    if given is not None and not all(torch.equal(VoicePack.load(given).tensor, voice) for voice in voices.values()):
        raise UsageError(f"--voice {given}: the run in {out} has another voice: leave it out, or use --overwrite")
    return voices
