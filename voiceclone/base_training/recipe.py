"""The StyleTTS2 recipe: train the base and the surrogate encoders, measure, export."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from voiceclone.base_training.batches import BatchMaker
from voiceclone.base_training.config import TrainConfig
from voiceclone.base_training.corpus import MAX_TOKENS, Corpus
from voiceclone.base_training.export import CardFacts, averaged_trainee, export_base
from voiceclone.base_training.following import NOTHING, Following
from voiceclone.base_training.measures import resemblyzer_embed, spoken_measures, teacher_forced_mel
from voiceclone.base_training.objective import Trainee
from voiceclone.base_training.packed_folder import repacked
from voiceclone.base_training.recorded import RecordedSystem
from voiceclone.base_training.run_folder import SURROGATE_ENCODERS
from voiceclone.base_training.stock_voices import speaker_styles, stock_voice, varied_speakers
from voiceclone.base_training.styletts2.style_diffusion import averaged_diffusion
from voiceclone.base_training.styletts2_settings import StyleTTS2Settings
from voiceclone.base_training.surrogate_encoders import train_surrogate_encoders
from voiceclone.base_training.systems import Recipe
from voiceclone.base_training.trainer import read_checkpoint
from voiceclone.base_training.training_run import TrainingRun
from voiceclone.models.checkpoint import save_state
from voiceclone.models.presets import preset
from voiceclone.models.styletts2.diffusion import StyleDiffusion
from voiceclone.nets.phone_recognizer import PhoneRecognizer, load_recognizer
from voiceclone.style.encoders import StyleEncoderConfig, StyleEncoders, load_style_encoders
from voiceclone.tracking.progress import Reporter, format_seconds

MEASURED_UTTERANCES = 100
CALIBRATION_UTTERANCES = 400
"""Number of utterances whose styles define the limits of the style sampler."""
KEPT_OUT_UTTERANCES = 4  # for each speaker


def train_and_pack(run: TrainingRun) -> Path:
    """Train a Kokoro-format base and its surrogate encoders, and pack them; the base's folder.

    Raises:
        UsageError: there is no checkpoint to resume from, or it belongs to other data.
        VoicecloneError: training diverged, a file cannot be written, or another process of the group is gone.
    """
    run, following = run.settled(), NOTHING
    if run.train:
        run.tracker.reporter.info(stages_line(run.config, run.surrogate_share))
        system = RecordedSystem(run.corpus, run.config, speaker_boost=run.boost, process_group=run.group)
        following = _following(run, system.batches.validation)
        run.trainer(system).run(following)
        system.report_unused()
    surrogate = _surrogate_encoders(run, following)
    return pack_kokoro(run, surrogate) if run.group.is_main else run.base


def stages_line(config: TrainConfig, surrogate_share: float) -> str:
    """A line about what follows the training."""
    if config.minutes is not None:
        length = format_seconds(60.0 * config.minutes * surrogate_share)
    else:
        length = f"{max(round((config.steps or 0) * surrogate_share), 1)} steps"
    return f"stages: training, surrogate encoders ({length}), voices, measurement; the time left counts them"


def _following(run: TrainingRun, validation: Sequence[int]) -> Following:
    """What comes after the training: surrogate encoders, voices, measurements."""
    groups = len(_groups("speakers", run.facts.recorded_speakers))
    kept_out = 0 if run.kept_out is None else len(run.kept_out.speakers)
    return Following(
        training_share=run.surrogate_share,
        voices=len(run.corpus.speakers) + kept_out,
        utterances=min(len(validation), groups * MEASURED_UTTERANCES) + kept_out * KEPT_OUT_UTTERANCES,
    )


def pack_kokoro(run: TrainingRun, surrogate: StyleEncoders) -> Path:
    """Make the stock voices, measure, and write ``out/base``; that folder."""
    corpus, facts, reporter = run.corpus, run.facts, run.tracker.reporter
    checkpoint = read_checkpoint(run.out)
    config = TrainConfig.from_json(checkpoint["config"])
    trainee = averaged_trainee(checkpoint)
    batches = BatchMaker(corpus, config)
    packs = _stock_voices(corpus, trainee, batches.training, reporter)
    recognizer = load_recognizer() if facts.language.split("-")[0] == "en" else None
    measured = measure_base(corpus, trainee, packs, batches, facts.recorded_speakers, recognizer, reporter=reporter)
    if run.kept_out is not None:
        measured.update(
            measure_kept_out(run.kept_out, trainee, config, facts.recorded_speakers, recognizer, reporter=reporter)
        )
    origin = f"from {checkpoint['init']} on" if checkpoint.get("init") else "from scratch"
    chosen = varied_speakers(packs, run.voices, [s for s in run.voice_first if s in packs])
    card = CardFacts(
        name=facts.name,
        version=facts.version,
        language=facts.language,
        licence=facts.licence,
        data=facts.data,
        kept_out=() if run.kept_out is None else run.kept_out.speakers,
        not_measured=facts.not_measured,
        limits=facts.limits,
        notes=facts.notes,
        measured=measured,
        training=(
            f"Trained {origin} for {checkpoint['step']} steps ({checkpoint['seconds'] / 60:.0f} minutes) on "
            f"{corpus.hours:.1f} hours of {len(corpus.speakers)} speakers, preset {config.preset}."
        ),
    )
    sampler = _style_sampler(checkpoint, trainee, batches)
    voices = {name: packs[name] for name in chosen}
    with repacked(run.base) as folder:
        export_base(folder, trainee, surrogate, voices, config.preset, card, style_sampler=sampler)
    return run.base


def _style_sampler(checkpoint: dict[str, Any], trainee: Trainee, batches: BatchMaker) -> StyleDiffusion | None:
    """The style sampler of a run that trained one, with the limits of its data's styles; else None."""
    state = checkpoint.get("diffusion")
    if not state or not state["steps"]:
        return None
    sampler = averaged_diffusion(state, trainee)
    most = max(CALIBRATION_UTTERANCES // len(batches.training), 1)
    picked = [index for indices in batches.training.values() for index in indices[:most]]
    sampler.calibrate(speaker_styles(batches.corpus, trainee.encoders, picked, MAX_TOKENS))
    return sampler


def measure_base(
    corpus: Corpus,
    trainee: Trainee,
    packs: dict[str, Tensor],
    batches: BatchMaker,
    recorded: Sequence[str] = (),
    recognizer: PhoneRecognizer | None = None,
    *,
    reporter: Reporter,
) -> dict[str, dict[str, float]]:
    """The card's metrics on held-out utterances, by group of speakers."""
    groups = {
        name: [i for i in batches.validation if (corpus.utterances[i].speaker in recorded) == wanted]
        for name, wanted in _groups("speakers", recorded)
    }
    groups = {name: indices[:MEASURED_UTTERANCES] for name, indices in groups.items()}
    return _measured(corpus, trainee, packs, batches, groups, recognizer, reporter)


def _measured(
    corpus: Corpus,
    trainee: Trainee,
    packs: dict[str, Tensor],
    batches: BatchMaker,
    groups: dict[str, list[int]],
    recognizer: PhoneRecognizer | None,
    reporter: Reporter,
) -> dict[str, dict[str, float]]:
    """Metrics of each group of utterances that is not empty."""
    embed, results = resemblyzer_embed(), {}
    for name, indices in groups.items():
        if not indices:
            continue
        with reporter.task(f"Measuring {name}", total=len(indices), unit="utterance") as task:
            results[name] = spoken_measures(
                trainee.model, corpus, packs, indices, embed=embed, recognizer=recognizer,
                advance=partial(task.advance, 1),
            )  # fmt: skip
            mel = teacher_forced_mel(trainee.model, trainee.encoders, batches, indices)
            results[name]["mel_l1_true_prosody"] = round(mel, 4)
        reporter.info(f"{name}: " + ", ".join(f"{key} {value:g}" for key, value in results[name].items()))
    return results


def _stock_voices(
    corpus: Corpus, trainee: Trainee, indices: dict[str, list[int]], reporter: Reporter
) -> dict[str, Tensor]:
    """The voice pack of every speaker, from the utterances ``indices``."""
    with reporter.task("Making voices", total=len(indices), unit="voice") as task:
        packs = {}
        for speaker, own in indices.items():
            packs[speaker] = stock_voice(corpus, trainee.encoders, speaker, indices=own)
            task.advance(1)
        return packs


def _groups(name: str, recorded: Sequence[str]) -> list[tuple[str, bool]]:
    """Names of the groups of speakers measured separately, and whether each contains the recorded speakers.

    Where the facts name no recorded speakers, there is one group without a statement about the origin of the speech.
    """
    return [(f"synthesised {name}", False), (f"recorded {name}", True)] if recorded else [(name, False)]


def measure_kept_out(
    corpus: Corpus,
    trainee: Trainee,
    config: TrainConfig,
    recorded: Sequence[str] = (),
    recognizer: PhoneRecognizer | None = None,
    *,
    reporter: Reporter,
) -> dict[str, dict[str, float]]:
    """Measure voices of unseen speakers made by the base's own encoders: the upper bound of cloning.

    The voices are made from half of each speaker's recordings. The other half is synthesised and compared.
    """
    reference = {speaker: indices[::2] for speaker, indices in corpus.by_speaker.items()}
    groups = {
        name: [
            index
            for speaker, indices in corpus.by_speaker.items()
            for index in indices[1::2][:KEPT_OUT_UTTERANCES]
            if (speaker in recorded) == wanted
        ]
        for name, wanted in _groups("kept-out speakers, oracle voice", recorded)
    }
    packs = _stock_voices(corpus, trainee, reference, reporter)
    return _measured(corpus, trainee, packs, BatchMaker(corpus, config), groups, recognizer, reporter)


def _surrogate_encoders(run: TrainingRun, following: Following) -> StyleEncoders:
    """Train the surrogate encoders, or take those that an earlier call trained; ``following`` includes them."""
    config, share, path = run.config, run.surrogate_share, Path(run.out) / SURROGATE_ENCODERS
    if path.is_file() and (run.resume or not run.train):
        return load_style_encoders(path, StyleEncoderConfig(**preset(config.preset)[1]))
    surrogate = train_surrogate_encoders(
        run.corpus, config.preset, seed=config.seed, speaker_boost=run.boost, process_group=run.group,
        reporter=run.tracker.reporter,
        steps=None if config.steps is None else max(round(config.steps * share), 1),
        minutes=None if config.minutes is None else config.minutes * share,
        following=replace(following, training_share=0.0),
    )  # fmt: skip
    if run.group.is_main:
        save_state(surrogate, path)
    return surrogate


RECIPE = Recipe(
    train_and_pack=train_and_pack,
    settings=StyleTTS2Settings,
    takes=frozenset(["boost", "kept_out", "surrogate_share", "voices", "voice_first"]),
)
