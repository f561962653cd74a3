"""The Mamba-Conv recipe: codec, tokens, synthesizer, measurements, base folder."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import Any

import torch
from torch import nn

from voiceclone.base_training.config import TrainConfig
from voiceclone.base_training.corpus import Corpus
from voiceclone.base_training.facts import BaseFacts
from voiceclone.base_training.mamba_conv.batches import held_out
from voiceclone.base_training.mamba_conv.codec_files import load_codec
from voiceclone.base_training.mamba_conv.codec_recipe import codec_config_of, codec_measures, own_codec
from voiceclone.base_training.mamba_conv.run_files import BEST, RunFiles
from voiceclone.base_training.mamba_conv.settings import MambaConvTraining
from voiceclone.base_training.mamba_conv.system import MambaConvSystem
from voiceclone.base_training.measures import resemblyzer_embed, spoken_measures
from voiceclone.base_training.systems import Recipe
from voiceclone.base_training.trainer import Trainer, read_checkpoint
from voiceclone.base_training.training_tracker import TrainingTracker
from voiceclone.bases.folder import system_of
from voiceclone.bases.mamba_conv import read_mamba_conv, write_mamba_conv
from voiceclone.distributed import ProcessGroup
from voiceclone.errors import UsageError
from voiceclone.files import write_text
from voiceclone.models.mamba_conv.bundle import Bundle, load_bundle
from voiceclone.models.mamba_conv.config import SYSTEM, MambaConvConfig
from voiceclone.models.mamba_conv.encodec import load_encodec
from voiceclone.models.presets import full_config
from voiceclone.nets.phone_recognizer import load_recognizer
from voiceclone.voice.card import NOT_STATED, licence_matter

logger = logging.getLogger(__name__)
SPOKEN = 24  # maximum number of utterances that are synthesised and measured
# minimum total length of the clips in seconds, and length below which a warning is given
LEAST_SECONDS, FEW_SECONDS = 30.0, 600.0


def train_and_pack(
    corpus: Corpus,
    config: TrainConfig,
    out: Path,
    facts: BaseFacts,
    *,
    resume: bool = False,
    train: bool = True,
    tracker: TrainingTracker | None = None,
    init: Path | None = None,
    boost: dict[str, float] | None = None,
    process_group: ProcessGroup | None = None,
) -> Path:
    """Train into ``out`` and export the best model to ``out/base``; returns that folder. Arguments as for every recipe.

    Raises:
        UsageError: there is no checkpoint to resume from, it belongs to other data, or there is too little speech.
    """
    group = ProcessGroup(device=torch.device(config.device)) if process_group is None else process_group
    if not train:
        config = TrainConfig.from_json(read_checkpoint(out)["config"])
    check_amount(corpus)
    settings = config.system_settings or MambaConvTraining()
    if init is not None and settings.codec == "own":
        # the weights are valid for the tokens of this codec only
        settings = dataclasses.replace(settings, codec=str(init))
    if train:
        codec = find_codec(settings, corpus, config, out, facts, group, tracker)
        sizes = fitted(settings.model_config(config.preset, config.prosody_batch), codec)
        system = MambaConvSystem(
            corpus, config, model=sizes, codec=codec, cache=Path(out) / "cache", vocab=full_config()["vocab"],
            training=settings, speaker_boost=boost, process_group=group,
        )  # fmt: skip
        trainer = Trainer(system, out, tracker=RunFiles(Path(out), inner=tracker))
        if resume:
            trainer.resume()
        elif init is not None:
            trainer.initialize_from(Path(init))
        trainer.run()
    if group.is_main:
        pack(corpus, config, out, facts)
    return Path(out) / "base"


def find_codec(
    settings: MambaConvTraining, corpus: Corpus, config: TrainConfig, out: Path, facts: BaseFacts,
    process_group: ProcessGroup, tracker: TrainingTracker | None = None,
) -> nn.Module:  # fmt: skip
    """The codec named by the settings, frozen. The own one is trained where it does not exist."""
    if settings.codec == "encodec":
        return load_encodec()
    if settings.codec != "own":
        return read_mamba_conv(Path(settings.codec)).codec if system_of(Path(settings.codec)) == SYSTEM else load_codec(
            Path(settings.codec)
        )  # fmt: skip
    part = codec_config_of(config, settings.codebook_size, settings.codec_share)
    return own_codec(corpus, part, Path(out) / "codec_training", facts, process_group, tracker)


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


def pack(corpus: Corpus, config: TrainConfig, out: Path, facts: BaseFacts) -> None:
    """Measure ``best_model.pt`` on held-out utterances and write ``out/base``."""
    bundle = load_bundle(Path(out) / BEST)
    measured = measure(bundle, corpus, held_out(corpus, config.seed), english=facts.language.split("-")[0] == "en")
    logger.info("measured: %s", measured)
    info = {
        "name": facts.name, "version": facts.version, "licence": facts.licence, "language": facts.language,
        "preset": config.preset, "measured": measured,
    }  # fmt: skip
    folder = Path(out) / "base"
    write_mamba_conv(folder, bundle, info)
    write_text(folder / "README.md", card(facts, bundle, corpus, measured))


def measure(bundle: Bundle, corpus: Corpus, indices: list[int], *, english: bool) -> dict[str, Any]:
    """Metrics of the codec and of the synthesizer on held-out utterances."""
    indices = indices[:: max(len(indices) // SPOKEN, 1)][:SPOKEN]
    if not indices:
        return {}
    recognizer = load_recognizer() if english else None
    spoken = spoken_measures(
        bundle.kmodel(), corpus, dict(bundle.voices), indices, embed=resemblyzer_embed(), recognizer=recognizer
    )
    return {"codec": codec_measures(bundle.codec, corpus, indices, recognizer), "spoken": spoken}


def card(facts: BaseFacts, bundle: Bundle, corpus: Corpus, measured: dict[str, Any]) -> str:
    """The model card as Markdown."""
    config = bundle.model.config
    rows = [
        f"| {group} | {name} | {value} |" for group, values in measured.items() for name, value in values.items()
    ]  # fmt: skip
    lines = [
        "---", *licence_matter(facts.licence), f"language: {facts.language}", "pipeline_tag: text-to-speech", "---", "",
        f"# {facts.name} {facts.version}", "",
        f"A Mamba-Conv synthesizer ({config.mixer}, {config.branch} convolutions) on the tokens of a neural codec: "
        f"{config.levels} levels of {config.codebook_size} tokens, {config.hertz:g} frames a second.", "",
        f"Trained for {bundle.facts.get('step', 0)} steps on {corpus.hours:.2f} hours of {len(corpus.speakers)} "
        f"speaker{'s' if len(corpus.speakers) != 1 else ''}.", "", "## Data", "",
        *(f"- {line}" for line in facts.data), "", "## Measured", "",
        "On utterances that no training saw, all prosody predicted:", "", "| | | |", "|---|---|---|", *rows, "",
    ]  # fmt: skip
    for title, entries in (("Not measured", facts.not_measured), ("Notes", facts.notes), ("Limits", facts.limits)):
        lines += [f"## {title}", "", *(f"- {line}" for line in entries), ""] if entries else []
    lines += ["## Licence", "", f"{facts.licence or NOT_STATED}. The vocabulary is Kokoro-82M's (Apache-2.0)."]
    return "\n".join(lines) + "\n"


RECIPE = Recipe(train_and_pack=train_and_pack, settings=MambaConvTraining, takes=frozenset(["boost"]))
