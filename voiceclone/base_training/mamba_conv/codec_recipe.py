"""Train a codec, measure its reconstruction of speech, write its folder."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from voiceclone.base_training.config import DEFAULT_WEIGHTS, TrainConfig
from voiceclone.base_training.corpus import Corpus
from voiceclone.base_training.losses import SpectralLoss
from voiceclone.base_training.mamba_conv.codec_files import load_codec, read_codec_facts, save_codec
from voiceclone.base_training.mamba_conv.codec_system import CodecSystem
from voiceclone.base_training.mamba_conv.settings import CODEC_WEIGHTS, CodecTraining
from voiceclone.base_training.run_folder import CODEC
from voiceclone.base_training.systems import Recipe
from voiceclone.base_training.trainer import CHECKPOINT, read_checkpoint
from voiceclone.base_training.training_run import TrainingRun
from voiceclone.errors import UsageError
from voiceclone.models.mamba_conv.codec import Codec
from voiceclone.models.mamba_conv.config import PRESETS
from voiceclone.models.mamba_conv.quantizer import LOW_USE, codebook_use
from voiceclone.nets.phone_recognizer import PhoneRecognizer, load_recognizer

logger = logging.getLogger(__name__)
MEASURED = 40  # maximum number of utterances for measurements
FRAMES_PER_CODE = 20  # minimum for the codebook use: of fewer frames, the perplexity is too low
ADVERSARIAL_SHARE = 0.4


def train_and_pack(run: TrainingRun) -> Path:
    """Train a codec into ``out`` and write ``out/codec``; that folder."""
    run = run.settled()
    settings = run.config.system_settings or CodecTraining()
    assert isinstance(settings, CodecTraining)
    system = CodecSystem(
        run.corpus, run.config, codec=settings.codec_config(run.config.preset), training=settings,
        process_group=run.group,
    )  # fmt: skip
    trainer = run.trainer(system)
    if run.train:
        measured = min(len(system.batches.validation), MEASURED)
        trainer.run(dataclasses.replace(run.then, utterances=run.then.utterances + measured))
    folder = Path(run.out) / CODEC
    if run.group.is_main:
        codec = system.averaged.cpu()
        recognizer = load_recognizer() if run.facts.language.split("-")[0] == "en" else None
        indices = system.batches.validation[:MEASURED]
        with run.tracker.reporter.task("Measuring", total=len(indices), unit="utterance") as task:
            measured = codec_measures(codec, run.corpus, indices, recognizer, advance=partial(task.advance, 1))
        logger.info("codec: %s", measured)
        warn_of_low_use(measured.get("codebook_use", []))
        save_codec(codec, folder, {"key": run_key(run.corpus, run.config), "steps": trainer.step, "measured": measured})
    run.group.barrier()
    return folder


def check_codec_settings(config: TrainConfig, init: Path | None) -> None:
    """Check what can be checked before there are data.

    Raises:
        UsageError: a setting has no such value, or ``init`` is not the folder of a codec.
        VoicecloneError: its files are damaged.
    """
    settings = config.system_settings or CodecTraining()
    assert isinstance(settings, CodecTraining)
    settings.codec_config(config.preset)
    if init is not None:
        load_codec(init)


def own_codec(run: TrainingRun) -> Codec:
    """The codec of a run: the one that an earlier run with these data and settings left in ``out``, or a new one.

    An interrupted training of it is resumed.
    """
    folder, key = Path(run.out) / CODEC, run_key(run.corpus, run.config)
    if read_codec_facts(folder).get("key") == key:
        logger.info("%s: taken from an earlier run", folder)
        return load_codec(folder)
    resume = False
    if (Path(run.out) / CHECKPOINT).is_file():
        try:
            found = read_checkpoint(run.out)["config"]
            resume = json.dumps(found, sort_keys=True) == json.dumps(run.config.to_json(), sort_keys=True)
        except (UsageError, KeyError):  # of another version: it is replaced
            resume = False
    train_and_pack(dataclasses.replace(run, resume=resume))
    return load_codec(folder)


def codec_config_of(config: TrainConfig, codebook_size: int, share: float) -> TrainConfig:
    """Settings for training a codec as part of another run."""
    length = (
        {"steps": max(round(config.steps * share), 1)} if config.steps else {"minutes": (config.minutes or 0.0) * share}
    )
    defaults = TrainConfig(steps=1)
    return dataclasses.replace(
        config,
        system="codec",
        system_settings=CodecTraining(codebook_size=codebook_size),
        learning_rate=defaults.learning_rate,
        adversarial_share=ADVERSARIAL_SHARE,
        weights=tuple({**DEFAULT_WEIGHTS, **CODEC_WEIGHTS}.items()),
        **length,
    )


def run_key(corpus: Corpus, config: TrainConfig) -> str:
    """Hash of the data and the settings that determine a codec."""
    content = [corpus.audio_sha256, [[u.name, u.speaker, u.frames] for u in corpus.utterances]]
    settings = {name: value for name, value in config.to_json().items() if name not in ("device", "log_every")}
    return hashlib.sha256(json.dumps([content, settings], sort_keys=True).encode()).hexdigest()


@torch.no_grad()
def codec_measures(
    codec: nn.Module,
    corpus: Corpus,
    indices: list[int],
    recognizer: PhoneRecognizer | None = None,
    *,
    advance: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Reconstruction metrics of a codec on utterances; empty without utterances. ``advance`` is called after each.

    Returns:
        ``mel_l1`` (multi-resolution log-mel distance), ``codebook_use`` (see :func:`measured_use`), and with
        ``recognizer`` ``phone_error_percent`` of its output and ``true_phone_error_percent`` of the recordings. The
        former is a lower bound for a synthesizer on its tokens.
    """
    loss, mel, heard, truly = SpectralLoss(), [], [], []
    for index in indices:
        audio = corpus.audio(index)
        found = codec.encode(torch.from_numpy(audio)[None])
        made = codec.decode(found)[..., : len(audio)]
        mel.append(float(loss(made, torch.from_numpy(audio)[None, : made.shape[1]])["mel"]))
        if recognizer is not None:
            phonemes = corpus.utterances[index].phonemes
            heard.append(recognizer.error_rate(made[0].numpy(), phonemes))
            truly.append(recognizer.error_rate(audio, phonemes))
        advance()
    if not mel:
        return {}
    result: dict[str, Any] = {
        "utterances": len(indices),
        "mel_l1": round(float(np.mean(mel)), 4),
        "codebook_use": measured_use(codec, corpus, indices),
    }
    for name, counts in (("phone_error_percent", heard), ("true_phone_error_percent", truly)):
        if counts:
            errors, phones = np.sum(counts, axis=0)
            result[name] = round(100 * float(errors) / max(float(phones), 1.0), 2)
    return result


def warn_of_low_use(use: Sequence[float]) -> None:
    """Log a warning for each level whose codebook use is below :data:`LOW_USE`."""
    for level, value in enumerate(use):
        if value < LOW_USE:
            logger.warning("codec: level %d uses %.0f %% of its codes: train longer", level, 100 * value)


@torch.no_grad()
def measured_use(codec: nn.Module, corpus: Corpus, indices: list[int]) -> list[float]:
    """Codebook use of each level: perplexity of the codes / size, 0-1; 1 where all codes are equally frequent.

    It is measured on ``indices`` and, until there are :data:`FRAMES_PER_CODE` frames per code, on further utterances
    from all over the corpus: the perplexity of N codes is at most N, so that a few utterances would give a large
    codebook a low value.
    """
    order = np.random.default_rng(0).permutation(len(corpus.utterances)).tolist()
    codes, frames = [], 0
    for number, index in enumerate(dict.fromkeys([*indices, *order])):
        if number >= len(indices) and frames >= FRAMES_PER_CODE * codec.codebook_size:
            break
        codes.append(codec.encode(torch.from_numpy(corpus.audio(index))[None])[0].T)
        frames += len(codes[-1])
    use = codebook_use(torch.cat(codes).T[None], codec.codebook_size)
    return [round(float(value), 4) for value in use]


RECIPE = Recipe(
    train_and_pack=train_and_pack, settings=CodecTraining, presets=PRESETS, check=check_codec_settings,
    defaults={"adversarial_share": ADVERSARIAL_SHARE, "weights": CODEC_WEIGHTS},
)  # fmt: skip
