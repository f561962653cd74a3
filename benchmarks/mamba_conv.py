#!/usr/bin/env python3
"""Train codec and Mamba-Conv synthesizer, measure both, and compare variants of the synthesizer.

    python benchmarks/mamba_conv.py --data corpus/train --out work/mamba_conv --json figures.json
    python benchmarks/mamba_conv.py --recording speech.mp3 --transcription speech.json --out work/one \\
        --init work/mamba_conv/main/base

The first trains on many speakers: the codec for --codec-minutes, the synthesizer for --minutes, then each variant of
--ablations for --ablation-minutes on the same tokens. The second trains on one recording, from scratch and, with
--init, from the many-speaker model; its last tenth is held out. Where the codec's own phone error rate lies above
--codec-limit the synthesizer is not trained: improve the codec first.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import sys
from functools import partial
from pathlib import Path
from typing import Any

from training_corpus import corpus_of

from voiceclone.base_training.config import TrainConfig
from voiceclone.base_training.corpus import Corpus
from voiceclone.base_training.facts import BaseFacts
from voiceclone.base_training.mamba_conv import codec_recipe, recipe
from voiceclone.base_training.mamba_conv.batches import held_out
from voiceclone.base_training.mamba_conv.codec_files import read_codec_facts
from voiceclone.base_training.mamba_conv.settings import CodecTraining, MambaConvTraining
from voiceclone.base_training.measures import spoken_measures
from voiceclone.base_training.training_run import TrainingRun
from voiceclone.cli.main import parse_arguments
from voiceclone.errors import VoicecloneError
from voiceclone.files import write_json
from voiceclone.models.mamba_conv.bundle import load_bundle
from voiceclone.models.mamba_conv.config import GenerationConfig
from voiceclone.nets.phone_recognizer import load_recognizer

VARIANTS: dict[str, dict[str, Any]] = {
    "gru": {"mixer": "gru"},
    "attention": {"mixer": "attention"},
    "symmetric": {"branch": "symmetric"},
    "no_branch": {"branch": "none"},
}
GENERATION = {
    "1 round": GenerationConfig(rounds=1, finer_rounds=(1,)),
    "6 rounds": GenerationConfig(rounds=6),
    "12 rounds": GenerationConfig(rounds=12, stop=False),
    "12 rounds, controller": GenerationConfig(rounds=12, min_rounds=2),
    "refine, 12 rounds": GenerationConfig(mode="refine", rounds=12, stop=False),
}
MEASURED = 24  # utterances per generation setting


def main() -> int:
    """Parse, train, measure, print."""
    options = arguments()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    try:
        figures = one_recording(options) if options.recording else many_speakers(options)
    except VoicecloneError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(json.dumps(figures, indent=2))
    write_json(options.json or options.out / "figures.json", figures)
    return 0


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--data", type=Path, nargs="+", help="datasets of many speakers")
    source.add_argument("--recording", type=Path, help="one recording of ten minutes, or a dataset of one speaker")
    parser.add_argument("--transcription", type=Path, help="JSON with a time for every character of the recording")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--init", type=Path, help="base of the many-speaker model, for a second run on the recording")
    parser.add_argument("--codec-minutes", type=float, default=25.0)
    parser.add_argument("--minutes", type=float, default=45.0)
    parser.add_argument("--ablation-minutes", type=float, default=15.0)
    parser.add_argument("--ablations", nargs="*", default=list(VARIANTS), choices=list(VARIANTS), metavar="VARIANT")
    parser.add_argument("--codec-limit", type=float, default=20.0, help="percent (default: 20)")
    parser.add_argument("--preset", default="nano")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--settings", type=Path, help="JSON with further settings of the runs")
    parser.add_argument("--json", type=Path, help="file for the figures (default: figures.json in --out)")
    return parser.parse_args()


def many_speakers(options: argparse.Namespace) -> dict[str, Any]:
    """Codec, synthesizer, ways of generating, variants."""
    corpus = corpus_of(options.data, options.out / "features")
    codec, measured = train_codec(corpus, options)
    figures: dict[str, Any] = {"codec": measured}
    error = measured.get("phone_error_percent", 0.0)
    if error > options.codec_limit:
        figures["stopped"] = f"the codec's phone error rate is {error:.1f} %: improve the codec first"
        return figures
    figures["main"] = train_model(corpus, options, "main", options.minutes, codec=str(codec))
    figures["generation"] = ways_of_generating(corpus, options, options.out / "main" / "best_model.pt")
    # The same length for all, the default among them.
    for name in ("mamba", *options.ablations) if options.ablations else ():
        figures[name] = train_model(
            corpus, options, name, options.ablation_minutes, codec=str(codec), **VARIANTS.get(name, {})
        )
    return figures


def one_recording(options: argparse.Namespace) -> dict[str, Any]:
    """From scratch with a codec of its own, and from a trained base with that one's."""
    data = options.recording if options.recording.is_dir() else prepared_dataset(options)
    corpus = corpus_of([data], options.out / "features")
    codec, measured = train_codec(corpus, options)
    figures = {"codec": measured, "scratch": train_model(corpus, options, "scratch", options.minutes, codec=str(codec))}
    if options.init is not None:
        figures["init"] = train_model(
            corpus, options, "init", options.minutes, init=options.init, codec=str(options.init)
        )
    return figures


def prepared_dataset(options: argparse.Namespace) -> Path:
    """The recording cut into a dataset in ``--out``."""
    dataset = options.out / "dataset"
    words = ["prepare", options.recording, "--subtitles", options.transcription, "--out", dataset, "--validation", 0]
    prepared = parse_arguments([str(word) for word in (*words, *(["--resume"] if dataset.exists() else []))])
    prepared.run(prepared)
    return dataset


def config_of(options: argparse.Namespace, minutes: float, **settings: Any) -> TrainConfig:
    """Settings of one run."""
    values = TrainConfig(minutes=minutes, preset=options.preset, device=options.device).to_json()
    if options.settings is not None:
        values.update(json.loads(options.settings.read_text(encoding="utf-8")))
    return dataclasses.replace(TrainConfig.from_json(values), **settings)


def train_codec(corpus: Corpus, options: argparse.Namespace) -> tuple[Path, dict[str, Any]]:
    """The codec's folder and what was measured; one that is there is taken."""
    out = options.out / "codec_training"
    if not read_codec_facts(out / "codec"):
        config = config_of(
            options, options.codec_minutes, system="codec", system_settings=CodecTraining(),
            adversarial_share=codec_recipe.ADVERSARIAL_SHARE,
        )  # fmt: skip
        codec_recipe.train_and_pack(TrainingRun(corpus=corpus, config=config, out=out))
    return out / "codec", read_codec_facts(out / "codec")["measured"]


def train_model(
    corpus: Corpus, options: argparse.Namespace, name: str, minutes: float, *, init: Path | None = None, **settings: Any
) -> dict[str, Any]:
    """What was measured of one synthesizer, with its accuracies, steps and time a step."""
    config = config_of(options, minutes, system="mamba-conv", system_settings=MambaConvTraining(**settings))
    run = TrainingRun(corpus=corpus, config=config, out=options.out / name, facts=BaseFacts(name=name), init=init)
    base = recipe.train_and_pack(run)
    facts = load_bundle(options.out / name / "best_model.pt").facts
    steps = [row["step_seconds"] for row in facts["history"]]
    return {
        **json.loads((base / "base.json").read_text(encoding="utf-8"))["measured"].get("spoken", {}),
        **facts["validation"],
        "step": facts["step"],
        "step_seconds": round(sorted(steps)[len(steps) // 2], 4) if steps else None,
    }


def ways_of_generating(corpus: Corpus, options: argparse.Namespace, model: Path) -> dict[str, Any]:
    """One model by number of rounds, with and without its controller."""
    bundle, recognizer = load_bundle(model), load_recognizer()
    indices = held_out(corpus, TrainConfig(steps=1).seed)[:MEASURED]
    figures = {}
    for name, settings in GENERATION.items() if indices else ():
        kmodel = bundle.kmodel()
        kmodel.settings = settings
        rounds: list[int] = []
        kmodel.register_forward_hook(partial(note_rounds, rounds))
        found = spoken_measures(kmodel, corpus, dict(bundle.voices), indices, recognizer=recognizer)
        figures[name] = {**found, "rounds": round(sum(rounds) / len(rounds), 2)}
    return figures


def note_rounds(rounds: list[int], module: Any, given: Any, made: Any) -> None:
    """A forward hook that keeps how many rounds a text took."""
    rounds.append(module.last.info["iterations"])


if __name__ == "__main__":
    sys.exit(main())
