"""From a teacher's speech to a base folder: train the student, measure it on held-out utterances, export it.

The base has neither stock voices nor style encoders of its own: it shares its teacher's voice space, stock voices and
encoders.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from voiceclone.audio.features import track_f0
from voiceclone.base_training.config import TrainConfig
from voiceclone.base_training.corpus import Corpus
from voiceclone.base_training.facts import BaseFacts
from voiceclone.base_training.following import Following
from voiceclone.base_training.losses import SpectralLoss
from voiceclone.base_training.measures import speak_phonemes
from voiceclone.base_training.packed_folder import repacked
from voiceclone.base_training.run_folder import BASE
from voiceclone.base_training.student import StudentSystem, build_student
from voiceclone.base_training.trainer import read_checkpoint
from voiceclone.base_training.training_run import TrainingRun
from voiceclone.base_training.vector_batches import TeacherBatches, VectorBatches
from voiceclone.files import sha256_of, write_json, write_text
from voiceclone.models.batched_forward import decode_frames, text_features
from voiceclone.models.checkpoint import save_state
from voiceclone.models.frozen_kokoro import STYLE_DIM
from voiceclone.models.nano import NanoKModel, count_parameters
from voiceclone.models.presets import preset
from voiceclone.tracking.progress import Reporter
from voiceclone.voice.card import NOT_STATED, licence_matter
from voiceclone.voice.pack import ROWS, VOICE_DIM
from voiceclone.voice.space import KOKORO_SPACE

MEASURED_UTTERANCES = 40


def train_student(run: TrainingRun) -> Path:
    """Train a student on a teacher's speech and pack it; the base's folder.

    Raises:
        UsageError: there is no checkpoint to resume from, or it is of another preset.
        VoicecloneError: training diverged, a file cannot be written, or another process of the group is gone.
    """
    if run.train:
        teacher = run.teacher
        system = StudentSystem(run.corpus, run.config, teacher=teacher, process_group=run.group)
        initialize = None if teacher is None else lambda: system.initialize_from_teacher(teacher, run.tracker.reporter)
        measured = min(len(system.batches.validation), MEASURED_UTTERANCES)
        run.trainer(system, initialize=initialize).run(Following(utterances=measured))
    if run.group.is_main:
        pack_student(run.corpus, run.out, run.facts, run.tracker.reporter)
    return run.base


def pack_student(corpus: Corpus, out: Path, facts: BaseFacts, reporter: Reporter) -> None:
    """Measure the averaged model of a run and write ``out/base``, with weights as float16."""
    checkpoint = read_checkpoint(out)
    config = TrainConfig.from_json(checkpoint["config"])
    with torch.random.fork_rng(devices=[]):
        model = build_student(config.preset)
    model.load_state_dict(checkpoint["averaged"])
    model.eval().requires_grad_(False)
    batches = TeacherBatches(corpus, config)
    indices = batches.validation[:MEASURED_UTTERANCES]
    with reporter.task("Measuring", total=len(indices), unit="utterance") as task:
        measured = measure_student(model, batches, indices, advance=lambda: task.advance(1))
    reporter.info("measured: " + ", ".join(f"{name} {value:g}" for name, value in measured.items()))
    origin = f"from {checkpoint['init']} on" if checkpoint.get("init") else "from random weights"
    training = (
        f"Trained {origin} for {checkpoint['step']} steps ({checkpoint['seconds'] / 60:.0f} minutes) on "
        f"{corpus.hours:.1f} hours ({len(corpus.utterances)} utterances) of its teacher's speech."
    )
    parameters = count_parameters(model)["total"]
    with repacked(Path(out) / BASE) as folder:
        save_state(model, folder / "model.safetensors", half=True)
        write_json(folder / "config.json", preset(config.preset)[0])
        info = {
            "name": facts.name, "version": facts.version, "preset": config.preset, "licence": facts.licence,
            "language": facts.language, "voice_space": KOKORO_SPACE, "measured": measured,
            "parameters": parameters, "sha256": sha256_of(folder / "model.safetensors"),
        }  # fmt: skip
        write_json(folder / "base.json", info)
        write_text(folder / "README.md", student_card(facts, training, measured, parameters))


@torch.no_grad()
def measure_student(
    model: NanoKModel, batches: VectorBatches, indices: Sequence[int], *, advance: Callable[[], None] = lambda: None
) -> dict[str, float]:
    """Differences of a student to its teacher on held-out utterances, with the same vectors.

    Returns:
        ``mel_l1_true_prosody`` (multi-resolution log-mel L1 with the teacher's durations, F0 and energy; not for a
        corpus of prosody alone),
        ``duration_frames`` (mean absolute error of a token, frames of 25 ms), ``rate_percent`` (mean absolute error of
        an utterance's length) and ``f0_semitones`` (mean absolute difference of the median F0, as tracked).
    """
    corpus, loss = batches.corpus, SpectralLoss()
    mel, duration, rate, pitch = [], [], [], []
    for index in indices:
        utterance = corpus.utterances[index]
        if corpus.has_audio:
            batch = batches.fixed([index])
            features = text_features(model, batch.tokens, batch.lengths)
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                audio = decode_frames(
                    model, features, batch.frame_tokens, batch.f0, batch.energy, batch.vectors[:, :STYLE_DIM]
                )  # fmt: skip
            mel.append(float(loss(audio, batch.audio)["mel"]))
        voice = torch.from_numpy(corpus.vector(index)).expand(ROWS, VOICE_DIM)[:, None]
        spoken, frames = speak_phonemes(model, utterance.phonemes, voice)
        truth = np.array(utterance.durations)
        duration.append(np.abs(frames - truth)[1:-1].mean())
        rate.append(abs(frames[1:-1].sum() / truth[1:-1].sum() - 1.0))
        ours, theirs = track_f0(spoken), corpus.f0(index)
        if (ours > 0).sum() > 5 and (theirs > 50).sum() > 5:
            pitch.append(12 * abs(np.log2(np.median(ours[ours > 0]) / np.median(theirs[theirs > 50]))))
        advance()
    found = {
        "utterances": len(indices),
        **({"mel_l1_true_prosody": np.mean(mel)} if mel else {}),
        "duration_frames": np.mean(duration),
        "rate_percent": 100 * np.mean(rate),
        **({"f0_semitones": np.mean(pitch)} if pitch else {}),
    }
    return {name: round(float(value), 4) for name, value in found.items()}


def student_card(facts: BaseFacts, training: str, measured: dict[str, float], parameters: int) -> str:
    """The model card as Markdown."""
    lines = [
        "---", *licence_matter(facts.licence), f"language: {facts.language}", "library_name: kokoro",
        "pipeline_tag: text-to-speech", "---", "", f"# {facts.name} {facts.version}", "",
        f"A small Kokoro-format text-to-speech model ({parameters / 1e6:.1f}M parameters), trained on the speech of "
        "Kokoro-82M to speak with the same voice vectors. Voices made for Kokoro-82M speak on it, and voices made on "
        "it speak on Kokoro-82M.", "", training, "", "## Data", "",
        *(f"- {line}" for line in facts.data), "", "## Measured", "",
        "On utterances held out from training, against the teacher. Their texts and stock voices may occur in others "
        "that were trained on:", "",
        "| | |", "|---|---|", *(f"| {name} | {value:.3g} |" for name, value in measured.items()), "",
    ]  # fmt: skip
    for title, entries in (("Not measured", facts.not_measured), ("Notes", facts.notes), ("Limits", facts.limits)):
        lines += [f"## {title}", "", *(f"- {line}" for line in entries), ""] if entries else []
    lines += ["## Licence", "", f"{facts.licence or NOT_STATED}. Kokoro-82M and its vocabulary are Apache-2.0."]
    return "\n".join(lines) + "\n"
