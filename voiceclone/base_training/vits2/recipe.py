"""The VITS2 recipe: train, measure on held-out utterances, write the base's folder."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from voiceclone.base_training.config import TrainConfig
from voiceclone.base_training.corpus import Corpus
from voiceclone.base_training.facts import BaseFacts, card_end, card_head
from voiceclone.base_training.following import Following
from voiceclone.base_training.measures import resemblyzer_embed, spoken_measures
from voiceclone.base_training.packed_folder import repacked
from voiceclone.base_training.run_folder import BASE
from voiceclone.base_training.systems import Recipe
from voiceclone.base_training.trainer import read_checkpoint
from voiceclone.base_training.training_run import TrainingRun
from voiceclone.base_training.vits2.batches import Vits2Batches
from voiceclone.base_training.vits2.settings import TRAIN_DEFAULTS, Vits2Settings, run_model
from voiceclone.base_training.vits2.system import Vits2System
from voiceclone.errors import UsageError
from voiceclone.files import sha256_of, write_bytes, write_json, write_text
from voiceclone.models.checkpoint import fold_weight_norm, save_state
from voiceclone.models.presets import full_config
from voiceclone.models.vits2.speaking import Vits2KModel, build_synthesizer, voice_rows
from voiceclone.models.vits2.synthesizer import Synthesizer
from voiceclone.nets.phone_recognizer import load_recognizer
from voiceclone.tracking.progress import Reporter
from voiceclone.voice.compact import VOICES

logger = logging.getLogger(__name__)
MEASURED_UTTERANCES = 60


def train_and_pack(run: TrainingRun) -> Path:
    """Train a VITS2 and pack it; the base's folder.

    Raises:
        UsageError: there is no checkpoint to resume from, it belongs to other data or settings, or the settings are
            wrong.
        VoicecloneError: training diverged, a file cannot be written, or another process of the group is gone.
    """
    if run.config.compile:
        raise UsageError("--compile: cannot be used with --system vits2: leave it out")
    if run.train:
        system = Vits2System(run.corpus, run.config, speaker_boost=run.boost, process_group=run.group)
        run.trainer(system).run(Following(utterances=min(len(system.batches.validation), MEASURED_UTTERANCES)))
    if run.group.is_main:
        pack_vits2(run.corpus, run.out, run.facts, run.tracker.reporter)
    return run.base


def averaged_model(checkpoint: dict[str, Any], corpus: Corpus) -> tuple[Synthesizer, TrainConfig]:
    """The model with the averaged weights of a checkpoint, in eval mode, and the run's config."""
    config = TrainConfig.from_json(checkpoint["config"])
    model = build_synthesizer(run_model(corpus, config))
    model.load_state_dict(checkpoint["averaged"])
    fold_weight_norm(model)
    return model.eval().requires_grad_(False), config


def pack_vits2(corpus: Corpus, out: Path, facts: BaseFacts, reporter: Reporter) -> None:
    """Measure the averaged model of a run and write ``out/base``."""
    checkpoint = read_checkpoint(out)
    if checkpoint.get("speakers") != corpus.speakers:
        raise UsageError(f"{out}: the run was trained on other speakers: give its own --data")
    model, config = averaged_model(checkpoint, corpus)
    settings = config.system_settings
    assert isinstance(settings, Vits2Settings)
    measured = measure_vits2(model, corpus, Vits2Batches(corpus, config, model.config).validation, facts, reporter)
    trained = build_synthesizer(model.config)  # with weight norm, as required by --init
    trained.load_state_dict(checkpoint["averaged"])
    voices = {name: rows[-1:].clone() for name, rows in speaker_voices(model, corpus.speakers).items()}
    parameters = sum(parameter.numel() for parameter in model.parameters())
    origin = f"from {checkpoint['init']} on" if checkpoint.get("init") else "from random weights"
    training = (
        f"Trained {origin} for {checkpoint['step']} steps ({checkpoint['seconds'] / 60:.0f} minutes) on "
        f"{corpus.hours:.1f} hours of {len(corpus.speakers)} speakers, preset {config.preset}, flow {settings.flow}."
    )
    with repacked(Path(out) / BASE) as folder:
        save_state(trained, folder / "model.safetensors", half=True)
        write_bytes(folder / VOICES, save(voices))
        write_json(folder / "config.json", {"model": model.config.to_json(), "vocab": full_config()["vocab"]})
        info = {
            "name": facts.name, "version": facts.version, "system": "vits2", "preset": config.preset,
            "licence": facts.licence, "language": facts.language, "speakers": corpus.speakers, "measured": measured,
            "parameters": parameters, "sha256": sha256_of(folder / "model.safetensors"),
        }  # fmt: skip
        write_json(folder / "base.json", info)
        write_text(folder / "README.md", vits2_card(facts, training, measured, parameters, corpus.speakers))


def speaker_voices(model: Synthesizer, speakers: list[str]) -> dict[str, Tensor]:
    """The speakers' vectors as voices ``(510, 1, 256)``, by name."""
    vectors = [torch.zeros(0)] * len(speakers) if model.speakers is None else list(model.speakers.weight)
    return {name: voice_rows(vector) for name, vector in zip(speakers, vectors, strict=True)}


def measure_vits2(
    model: Synthesizer, corpus: Corpus, indices: list[int], facts: BaseFacts, reporter: Reporter
) -> dict[str, float]:
    """The card's metrics on held-out utterances, synthesised with predicted durations."""
    indices = indices[:MEASURED_UTTERANCES]
    if not indices:
        return {}
    voices = speaker_voices(model, corpus.speakers)
    recognizer = load_recognizer() if facts.language.split("-")[0] == "en" else None
    speaker = Vits2KModel(model, full_config()["vocab"])
    with reporter.task("Measuring", total=len(indices), unit="utterance") as task:
        measured = spoken_measures(
            speaker, corpus, voices, indices, embed=resemblyzer_embed(), recognizer=recognizer,
            advance=partial(task.advance, 1),
        )  # fmt: skip
    logger.info("measured: %s", measured)
    return measured


def vits2_card(
    facts: BaseFacts, training: str, measured: dict[str, float], parameters: int, speakers: list[str]
) -> str:
    """The model card as Markdown."""
    lines = [
        f"A VITS2 text-to-speech model ({parameters / 1e6:.1f}M parameters): text to waveform in one network, without "
        "Kokoro. `voiceclone say --base` speaks with it, `voiceclone export --to onnx` writes it for other programs.",
        "", training, "", "## Speakers", "", ", ".join(speakers), "", "## Data", "",
        *(f"- {line}" for line in facts.data), "", "## Measured", "",
        *(["On utterances held out from training, durations predicted:", "", "| | |", "|---|---|",
           *(f"| {name} | {value:.3g} |" for name, value in measured.items())]
          if measured else ["Nothing has been measured."]), "",
    ]  # fmt: skip
    return "\n".join([*card_head(facts), *lines, *card_end(facts)]) + "\n"


RECIPE = Recipe(
    train_and_pack=train_and_pack, settings=Vits2Settings, defaults=TRAIN_DEFAULTS, takes=frozenset(["boost"])
)
