"""The Mamba-Conv recipe: codec, tokens, synthesizer, measurements, base folder."""

from __future__ import annotations

import dataclasses
import logging
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from voiceclone.base_training.config import TrainConfig
from voiceclone.base_training.corpus import Corpus
from voiceclone.base_training.facts import BaseFacts, card_end, card_head
from voiceclone.base_training.following import Following
from voiceclone.base_training.mamba_conv.batches import held_out
from voiceclone.base_training.mamba_conv.codec_files import load_codec
from voiceclone.base_training.mamba_conv.codec_recipe import codec_config_of, codec_measures, own_codec
from voiceclone.base_training.mamba_conv.codes import codec_key
from voiceclone.base_training.mamba_conv.run_files import RunFiles
from voiceclone.base_training.mamba_conv.settings import WEIGHTS, MambaConvTraining
from voiceclone.base_training.mamba_conv.system import MambaConvSystem
from voiceclone.base_training.measures import resemblyzer_embed, spoken_measures
from voiceclone.base_training.packed_folder import repacked
from voiceclone.base_training.run_folder import BASE, BEST, CODEC, CODEC_TRAINING
from voiceclone.base_training.systems import Recipe
from voiceclone.base_training.trainer import CHECKPOINT, read_checkpoint
from voiceclone.base_training.training_run import TrainingRun
from voiceclone.bases.folder import system_of
from voiceclone.bases.mamba_conv import read_mamba_conv, write_mamba_conv
from voiceclone.errors import UsageError
from voiceclone.files import write_text
from voiceclone.models.mamba_conv.bundle import Bundle, load_bundle
from voiceclone.models.mamba_conv.config import PRESETS, SYSTEM, MambaConvConfig
from voiceclone.models.mamba_conv.encodec import load_encodec
from voiceclone.models.presets import full_config
from voiceclone.nets.phone_recognizer import load_recognizer
from voiceclone.tracking.progress import Reporter

logger = logging.getLogger(__name__)
SPOKEN = 24  # maximum number of utterances that are synthesised and measured
# minimum total length of the clips in seconds, and length below which a warning is given
LEAST_SECONDS, FEW_SECONDS = 30.0, 600.0


def train_and_pack(run: TrainingRun) -> Path:
    """Train a Mamba-Conv synthesizer and pack the best model; the base's folder.

    Raises:
        UsageError: there is no checkpoint to resume from, it belongs to other data, or there is too little speech.
    """
    run = run.settled()
    check_amount(run.corpus)
    if run.train:
        settings = model_settings(run.config, run.init)
        codec = given_codec(settings) or trained_codec(settings, run)
        sizes = fitted(model_sizes(settings, run), codec)
        system = MambaConvSystem(
            run.corpus, run.config, model=sizes, codec=codec, cache=Path(run.out) / "cache",
            vocab=full_config()["vocab"], training=settings, speaker_boost=run.boost, process_group=run.group,
        )  # fmt: skip
        run.trainer(system, tracker=RunFiles(Path(run.out), inner=run.tracker)).run(_following(run))
    if run.group.is_main:
        pack_mamba_conv(run.corpus, run.config, run.out, run.facts, run.tracker.reporter)
    return run.base


def _following(run: TrainingRun) -> Following:
    """What comes after the training: measurements of the codec and of the synthesizer."""
    return Following(utterances=2 * len(measured_utterances(held_out(run.corpus, run.config.seed))))


def model_settings(config: TrainConfig, init: Path | None) -> MambaConvTraining:
    """The settings of a run that starts from the base in folder ``init``, if any, and then takes its codec."""
    settings = config.system_settings or MambaConvTraining()
    assert isinstance(settings, MambaConvTraining)
    if init is not None and settings.codec == "own":  # tokens of another codec would mean nothing
        return dataclasses.replace(settings, codec=str(init))
    return settings


def check_model_settings(config: TrainConfig, init: Path | None) -> None:
    """Check what can be checked before there are data.

    Raises:
        UsageError: a setting has no such value, or there is no such codec.
        VoicecloneError: ``init`` is not the folder of a base.
    """
    settings = model_settings(config, init)
    settings.model_config(config.preset, config.prosody_batch)
    _ = settings.generation  # checks the rounds
    if init is not None:
        read_mamba_conv(init)
    given_codec(settings)


def given_codec(settings: MambaConvTraining) -> nn.Module | None:
    """The codec that the settings name, frozen; None where it is to be trained."""
    if settings.codec == "own":
        return None
    if settings.codec == "encodec":
        return load_encodec()
    folder = Path(settings.codec)
    return read_mamba_conv(folder).codec if system_of(folder) == SYSTEM else load_codec(folder)


def trained_codec(settings: MambaConvTraining, run: TrainingRun) -> nn.Module:
    """The codec of the run's own, trained where it is not there.

    A run that is resumed takes its own whatever its settings are now, which may have another length.

    Raises:
        UsageError: the codec of a run that is resumed is not there any more.
    """
    folder = Path(run.out) / CODEC_TRAINING / CODEC
    if run.resume and (Path(run.out) / CHECKPOINT).is_file():
        codec = load_codec(folder) if folder.is_dir() else None
        if codec is None or codec_key(codec) != read_checkpoint(run.out).get("codec"):
            raise UsageError(f"{folder}: is not the codec that the run was trained with: start again with --overwrite")
        return codec
    part = codec_config_of(run.config, settings.codebook_size, settings.codec_share)
    then = dataclasses.replace(_following(run), training_share=1.0 / settings.codec_share)
    return own_codec(dataclasses.replace(run, config=part, out=Path(run.out) / CODEC_TRAINING, init=None, then=then))


def model_sizes(settings: MambaConvTraining, run: TrainingRun) -> MambaConvConfig:
    """The synthesizer's sizes, for the smallest batch of a process.

    A run that is resumed, or starts from a base, keeps its normalisation, as its number of processes may be another.
    """
    config = run.config
    rows = min(config.prosody_batch, len(run.corpus.utterances) - len(held_out(run.corpus, config.seed)))
    sizes = settings.model_config(config.preset, rows // run.group.world_size)
    if run.resume:
        known = read_checkpoint(run.out).get("model", {}).get("style_norm")
    else:
        known = None if run.init is None else read_mamba_conv(run.init).model.config.style_norm
    return sizes if known is None else dataclasses.replace(sizes, style_norm=known)


def fitted(sizes: MambaConvConfig, codec: nn.Module) -> MambaConvConfig:
    """The sizes, with those of the codec filled in."""
    own = {"levels": codec.levels, "codebook_size": codec.codebook_size, "hop": codec.hop}
    return dataclasses.replace(sizes, **own)


def check_amount(corpus: Corpus) -> None:
    """Check the total length of the speech, and warn where there is little.

    Raises:
        UsageError: there is less than half a minute.
    """
    seconds = 3600 * corpus.hours
    if seconds < LEAST_SECONDS:
        raise UsageError(f"--data: {seconds:.0f} s of speech are too little: give at least {LEAST_SECONDS:g} s")
    if seconds < FEW_SECONDS:
        logger.warning("only %.1f minutes of speech: new sentences will be hard to understand", seconds / 60)


def pack_mamba_conv(corpus: Corpus, config: TrainConfig, out: Path, facts: BaseFacts, reporter: Reporter) -> None:
    """Measure ``best_model.pt`` on held-out utterances and write ``out/base``."""
    bundle = load_bundle(Path(out) / BEST)
    english, indices = facts.language.split("-")[0] == "en", held_out(corpus, config.seed)
    measured = measure_mamba_conv(bundle, corpus, indices, english=english, reporter=reporter)
    logger.info("measured: %s", measured)
    info = {
        "name": facts.name, "version": facts.version, "licence": facts.licence, "language": facts.language,
        "preset": config.preset, "measured": measured,
    }  # fmt: skip
    with repacked(Path(out) / BASE) as folder:
        write_mamba_conv(folder, bundle, info)
        write_text(folder / "README.md", mamba_conv_card(facts, bundle, corpus, measured))


def measured_utterances(indices: list[int]) -> list[int]:
    """At most :data:`SPOKEN` of the held-out utterances, from all over them."""
    return indices[:: max(len(indices) // SPOKEN, 1)][:SPOKEN]


def measure_mamba_conv(
    bundle: Bundle, corpus: Corpus, indices: list[int], *, english: bool, reporter: Reporter
) -> dict[str, Any]:
    """Metrics of the codec and of the synthesizer on held-out utterances."""
    indices = measured_utterances(indices)
    if not indices:
        return {}
    recognizer = load_recognizer() if english else None
    with reporter.task("Measuring", total=2 * len(indices), unit="utterance") as task:
        advance = partial(task.advance, 1)
        spoken = spoken_measures(
            bundle.kmodel(), corpus, dict(bundle.voices), indices, embed=resemblyzer_embed(), recognizer=recognizer,
            advance=advance,
        )  # fmt: skip
        codec = codec_measures(bundle.codec, corpus, indices, recognizer, advance=advance)
    return {"codec": codec, "spoken": spoken}


def mamba_conv_card(facts: BaseFacts, bundle: Bundle, corpus: Corpus, measured: dict[str, Any]) -> str:
    """The model card as Markdown."""
    config = bundle.model.config
    rows = [
        f"| {group} | {name} | {value} |" for group, values in measured.items() for name, value in values.items()
    ]  # fmt: skip
    lines = [
        f"A Mamba-Conv synthesizer ({config.mixer}, {config.branch} convolutions) on the tokens of a neural codec: "
        f"{config.levels} levels of {config.codebook_size} tokens, {config.hertz:g} frames a second.", "",
        f"Trained for {bundle.facts.get('step', 0)} steps on {corpus.hours:.2f} hours of {len(corpus.speakers)} "
        f"speaker{'s' if len(corpus.speakers) != 1 else ''}.", "", "## Data", "",
        *(f"- {line}" for line in facts.data), "", "## Measured", "",
        "On utterances that no training saw, all prosody predicted:", "", "| | | |", "|---|---|---|", *rows, "",
    ]  # fmt: skip
    return "\n".join([*card_head(facts), *lines, *card_end(facts)]) + "\n"


RECIPE = Recipe(
    train_and_pack=train_and_pack, settings=MambaConvTraining, defaults={"weights": WEIGHTS}, presets=PRESETS,
    check=check_model_settings, takes=frozenset(["boost"]),
)  # fmt: skip
