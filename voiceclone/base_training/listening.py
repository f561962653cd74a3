"""What a base's training shows while it runs: loss terms, and at every checkpoint a sentence it never saw."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from voiceclone.audio.features import LogMel
from voiceclone.base_training.measures import speak
from voiceclone.plotting.plots import figure_to_rgb, mel_figure
from voiceclone.voice.pack import ROWS

if TYPE_CHECKING:
    from voiceclone.base_training.trainer import Trainer
    from voiceclone.tracking.trackers import Trackers


class Listener:
    """Hands a training's numbers, sounds and mels to trackers."""

    def __init__(self, trackers: Trackers) -> None:
        self.trackers = trackers

    def scalars(self, step: int, values: dict[str, float]) -> None:
        """Log loss terms and learning rate."""
        self.trackers.scalars({f"train/{name}": value for name, value in values.items()}, step)

    def checkpoint(self, trainer: Trainer) -> None:
        """Log one validation utterance as the averaged model speaks it, all prosody predicted, beside the recording."""
        if not len(self.trackers) or not trainer.batches.validation:
            return
        index = trainer.batches.validation[0]
        utterance, recording = trainer.corpus.utterances[index], trainer.corpus.audio(index)
        mel = torch.from_numpy(np.ascontiguousarray(trainer.corpus.mel(index)))[None].to(trainer.device)
        averaged = trainer.averaged
        with torch.no_grad():
            style = averaged.encoders(mel)
        spoken, _ = speak(averaged.model, utterance.phonemes, style.expand(ROWS, 256)[:, None])
        self.trackers.audio("audio/recording", recording, trainer.step)
        self.trackers.audio("audio/spoken", spoken, trainer.step)
        mels = [LogMel()(torch.from_numpy(audio)[None])[0].numpy() for audio in (recording, spoken)]
        self.trackers.image("mel/recording_and_spoken", figure_to_rgb(mel_figure(*mels)), trainer.step)
