"""Training of the phone classifier on speech with frame-level phone labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from voiceclone.audio import augment
from voiceclone.audio.features import LOG_MEAN, LOG_STD
from voiceclone.base_training.fitting import FitConfig, fit_net
from voiceclone.base_training.phone_speech import Labelled
from voiceclone.files import sha256_of, write_json
from voiceclone.models.checkpoint import save_state
from voiceclone.nets.phone_classifier import UNLABELLED, PhoneClassifier, frame_accuracy
from voiceclone.text.alphabet import ALPHABET


@dataclass(frozen=True, kw_only=True)
class PhoneClassifierTraining(FitConfig):
    """Training settings of the phone classifier."""

    steps: int = 3000
    batch: int = 16  # crops
    crop_frames: tuple[int, int] = (40, 100)  # minimum and maximum, in frames of 25 ms
    recorded_share: float = 0.4  # fraction of the crops taken from recordings
    smoothing: float = 0.05  # label smoothing
    log_every: int = 100


class LabelledSpeech:
    """Synthesised and recorded utterances from which crops are drawn."""

    def __init__(self, synthesised: Sequence[Labelled], recorded: Sequence[Labelled] = ()) -> None:
        self.synthesised, self.recorded = list(synthesised), list(recorded)

    def crops(self, count: int, frames: int, recorded_share: float, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Random crops: normalised log-mels ``(count, 80, 2 frames)`` and labels ``(count, frames)``."""
        mels: list[Tensor] = []
        labels: list[Tensor] = []
        while len(mels) < count:
            others = self.recorded and (not self.synthesised or rng.random() < recorded_share)
            group = self.recorded if others else self.synthesised
            one = group[int(rng.integers(len(group)))]
            if len(one.labels) < frames:
                continue
            first = int(rng.integers(0, len(one.labels) - frames + 1))
            mels.append(one.mel[:, 2 * first : 2 * (first + frames)].astype(np.float32))
            labels.append(one.labels[first : first + frames])
        return torch.from_numpy(np.stack(mels)), torch.from_numpy(np.stack(labels))


def train_phone_classifier(speech: LabelledSpeech, config: PhoneClassifierTraining, net: PhoneClassifier) -> None:
    """Train ``net`` in place. The random state is restored afterwards.

    Raises:
        VoicecloneError: the loss is not finite.
    """
    rng = np.random.default_rng(config.seed)

    def step(generator: torch.Generator, _done: float) -> Tensor:
        frames = int(rng.integers(*config.crop_frames))
        mels, labels = speech.crops(config.batch, frames, config.recorded_share, rng)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            scores = net(_disturbed(mels, generator))
        return functional.cross_entropy(
            scores.float(), labels, ignore_index=UNLABELLED, label_smoothing=config.smoothing
        )

    fit_net(net, list(net.parameters()), step, config)


@torch.no_grad()
def frame_accuracy_percent(net: PhoneClassifier, speech: Sequence[Labelled]) -> dict[str, float]:
    """Frame accuracy in percent on the phone frames of whole utterances."""
    scores = [net(torch.from_numpy(one.mel.astype(np.float32))[None]) for one in speech]
    labels = [torch.from_numpy(one.labels)[None] for one in speech]
    share = frame_accuracy(torch.cat(scores, dim=2), torch.cat(labels, dim=1))
    return {"frame_accuracy_percent": round(100 * share, 1), "utterances": len(speech)}


def write_phone_classifier(
    net: PhoneClassifier, out: Path, config: PhoneClassifierTraining, measured: dict[str, Any]
) -> dict[str, Any]:
    """Write the weights (float16) and a JSON file with config, training and metrics; returns the latter's content."""
    path = Path(out) / "phone_classifier.safetensors"
    save_state(net, path, half=True)
    info = {
        "config": asdict(net.config),
        "parameters": sum(p.numel() for p in net.parameters()),
        "training": asdict(config),
        "measured": measured,
        "sha256": sha256_of(path),
        "alphabet": list(ALPHABET),
    }
    write_json(path.with_suffix(".json"), info)
    return info


def _disturbed(mels: Tensor, generator: torch.Generator) -> Tensor:
    """Augment normalised log-mels: filtering, smearing, noise and masking."""
    features = mels * LOG_STD + LOG_MEAN
    mean_power = torch.log(torch.exp(features).mean(dim=(1, 2), keepdim=True))
    features = augment.equalize(features - mean_power, generator, spread_db=2.0)
    features = augment.blur(features, generator, share=0.25)
    features = augment.add_noise(features, generator, share=0.4, snr_db=(8.0, 35.0))
    features = augment.mask(features, generator, bands=1, bins=8, stretches=2, frames=6)
    return (features + mean_power - LOG_MEAN) / LOG_STD
