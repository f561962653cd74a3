"""Stage 3: expand the base vector to a voice pack, synthesise test sentences, and write report, card and figures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import save

from voiceclone.audio.features import SAMPLE_RATE
from voiceclone.audio.io import write_wav
from voiceclone.bases.base import NANO, STOCK_KOKORO
from voiceclone.cloning.expressive import write_expressive
from voiceclone.cloning.fidelity import between
from voiceclone.cloning.folder import TEST_WAVS
from voiceclone.cloning.report import CloneMetrics, CloneReport
from voiceclone.cloning.verdict import likeness_line, verdict_line
from voiceclone.errors import VoicecloneError
from voiceclone.evaluation.quick import prosody_errors
from voiceclone.files import sha256_of, write_bytes, write_json, write_text, write_torch
from voiceclone.plotting.plots import save_figure, training_figure
from voiceclone.system.versions import package_versions
from voiceclone.voice.card import NOT_STATED, CardInfo, render_card
from voiceclone.voice.health import HealthRange, examine
from voiceclone.voice.pack import VoicePack
from voiceclone.voice.space import KOKORO_SPACE
from voiceclone.voice.speaking import speak_whole

if TYPE_CHECKING:
    from voiceclone.cloning.context import Run
    from voiceclone.projection.likeness import ReferenceLevels
    from voiceclone.projection.losses import LossWeights
    from voiceclone.projection.trainer import ProjectionTrainer
    from voiceclone.style.extraction import StyleVectors

TEST_SENTENCES = (
    "Hello, this is my own voice, and I am glad that you can hear it.",
    "The quick brown fox jumps over the lazy dog, while seven wizards quietly mix a bowl of purple soup.",
    "Would you like some tea?",
)


def finish_voice(
    run: Run, trainer: ProjectionTrainer, styles: StyleVectors, reference_levels: ReferenceLevels, *, seconds: float
) -> CloneReport:
    """Write all outputs. The report is written last, because it marks the voice as finished."""
    state = trainer.state
    # Without an epoch the initialization itself: the projection reproduces it only up to rounding.
    trained = trainer.base_vector() if state.epoch else state.anchor
    base_vector = between(state.anchor, trained, run.config.fidelity)
    voice = run.profile.expand(base_vector, run.config.name)
    initialization = run.profile.expand(state.anchor, "initialization")
    # Both with the final alignment, because losses with different alignments are not comparable.
    terms = trainer.validate(base_vector)
    metrics: CloneMetrics = {
        "before": _metrics(trainer, initialization, trainer.validate(state.anchor)),
        "after": _metrics(trainer, voice, terms),
    }
    likeness = reference_levels.as_json(terms)
    verdict = verdict_line(metrics, state.timbre_from, len(trainer.validation.middle_crops()), likeness)
    if not verdict.startswith("better"):
        run.reporter.warn(verdict)
    if line := likeness_line(likeness):
        run.reporter.info(line)
    health = examine(voice, HealthRange.of(run.base.stock_voices.values()))
    for reason in health.reasons:
        run.reporter.warn(f"the voice looks unusual: {reason}")
    run.folder.put_voice(voice)
    _save_artifacts(run, trainer, styles, trained, metrics)
    expressive = write_expressive(run, trainer, base_vector)
    spoken = _speak_tests(run)
    _draw_training(run, trainer, base_vector, reference_levels)
    report: CloneReport = {
        "name": run.config.name,
        "verdict": verdict,
        "likeness": likeness,
        "base": _base_facts(run),
        "stock_kokoro": run.base.voice_space == KOKORO_SPACE,
        "voice_sha256": sha256_of(run.folder.voice),
        "notices": list(run.notices),
        "consent": _consent(run),
        "dataset": {"fingerprint": run.dataset.fingerprint, **_minutes(run)},
        "recipe": run.config.recipe,
        "without": sorted(trainer.config.without),
        "speaker_encoder": "" if trainer.speaker is None else trainer.speaker.encoder.name,
        "initialization": {"timbre": state.timbre_from, "prosody": state.prosody_from, "best_stock": state.best_stock},
        "phone_classifier": _phone_classifier(trainer),
        "dropped_clips": state.dropped,
        "fidelity": run.config.fidelity,
        "epochs": state.epoch,
        "epochs_on": _epochs_on(trainer),
        "skipped_steps": state.skipped_steps,
        "metrics": metrics,
        "alignment": _alignment_scores(trainer),
        "misfit": _misfits(trainer),
        "style": {"spread": styles.spread, "outliers": list(styles.outliers), "clips": len(styles.names)},
        "length_profile": run.profile.source,
        "health": asdict(health),
        "test_sentences": spoken,
        "expressive": expressive,
        "seed": run.config.seed,
        "convolutions": "bfloat16" if trainer.kokoro.convolutions is torch.bfloat16 else "float32",
        "seconds": round(seconds, 1),
        "task_seconds": {task: round(spent, 1) for task, spent in run.reporter.elapsed.items()},
        "versions": package_versions(),
    }
    write_text(run.folder.card, _card(run, report))
    write_json(run.folder.report, report)
    return report


def _draw_training(
    run: Run, trainer: ProjectionTrainer, base_vector: torch.Tensor, reference_levels: ReferenceLevels
) -> None:
    """Write ``training.png``."""
    figure = training_figure(
        _curves(trainer.state.history, trainer.weights),
        *_mel_pair(trainer, base_vector),
        run.config.name,
        student_epochs=trainer.config.student_epochs,
        reference_levels=reference_levels,
    )
    save_figure(figure, run.folder.figure)


def _epochs_on(trainer: ProjectionTrainer) -> dict[str, int]:
    """Number of finished epochs by the model that they ran on."""
    first = trainer.config.student_epochs
    return {"student": first, "base": trainer.state.epoch - first}


def _base_facts(run: Run) -> dict[str, str]:
    base = run.base
    return {"name": base.name, "kind": base.kind, "sha256": base.sha256, "weights": base.weights,
            "voice_space": base.voice_space}  # fmt: skip


def _metrics(trainer: ProjectionTrainer, pack: VoicePack, terms: Mapping[str, float]) -> dict[str, float]:
    targets = trainer.validation.targets
    metrics = {
        "validation_loss": terms["loss"],
        "mel_mse": terms["mel_mse"],
        **prosody_errors(pack, targets, trainer.kokoro),
    }
    if wrong := [name for name, value in metrics.items() if not math.isfinite(value)]:
        raise VoicecloneError(f"{wrong[0]} of the voice is not finite: lower --lr-projection, or check the base")
    return metrics


def _phone_classifier(trainer: ProjectionTrainer) -> dict[str, Any]:
    """Accuracy of the phone classifier on this base, and the resulting weight of its term."""
    state, used = trainer.state, trainer.phone_classifier is not None
    return {
        "accuracy": round(state.phone_accuracy, 3),
        "used": used,
        "phones_stock": round(state.phones_stock, 3),
        "weight": round(trainer.weights.phones, 3) if used else 0.0,
    }


def _consent(run: Run) -> str:
    return run.config.consent.strip() or NOT_STATED


def _save_artifacts(
    run: Run, trainer: ProjectionTrainer, styles: StyleVectors, trained: torch.Tensor, metrics: CloneMetrics
) -> None:
    """Write tensors and plain values only, so that the file loads with ``weights_only=True``."""
    content = {
        "projection": {name: value.detach().cpu() for name, value in trainer.projection.state_dict().items()},
        "style_names": list(styles.names),
        "style_vectors": styles.vectors,
        "style_mean": styles.mean,
        "style_spread": styles.spread,
        "style_outliers": list(styles.outliers),
        "anchor": trainer.state.anchor,
        "base_vector": trained,
        "length_scale": run.profile.scale,
        "length_delta": run.profile.delta,
        "config": run.config.as_dict(),
        "identity": dict(run.identity),
        "consent": _consent(run),
        "versions": package_versions(),
        "metrics": metrics,
    }
    write_torch(run.folder.artifacts, content)
    # The reference voices for `evaluate`.
    packs = {name: run.profile.expand(vector, name).tensor for name, vector in trainer.state.candidates.items()}
    if trainer.state.best_stock:
        packs["best_stock"] = run.base.stock_voices[trainer.state.best_stock].tensor
    write_bytes(run.folder.candidates, save(packs, metadata={"best_stock": trainer.state.best_stock}))


def _speak_tests(run: Run) -> list[str]:
    """Synthesise three sentences with a KPipeline and the saved file. Other languages use texts of the dataset."""
    own = [clip.text for clip in (*run.dataset.validation, *run.dataset.train)]
    sentences = list(TEST_SENTENCES) if run.config.lang in ("a", "b") else (own * TEST_WAVS)[:TEST_WAVS]
    run.base.kmodel.to(run.device)
    pipeline = run.base.pipeline(run.config.lang)
    path = str(run.folder.voice)
    # KPipeline splits its voice argument at commas, so for a path with a comma the tensor is passed instead.
    voice = VoicePack.load(path).tensor if "," in path else path
    with run.reporter.task("Speaking", total=len(sentences), unit="sentence") as task:
        for number, sentence in enumerate(sentences, 1):
            audio = speak_whole(pipeline, sentence, voice, seed=run.config.seed)
            write_wav(run.folder.test_wav(number), audio, SAMPLE_RATE)
            task.advance(1)
    return sentences


def _curves(history: list[dict[str, Any]], weights: LossWeights) -> list[dict[str, float]]:
    """The history with one key for each curve, ``train/TERM`` and ``val/TERM``, without terms of weight 0.

    Epochs without validation have no ``val/TERM``.
    """
    return [
        {"epoch": record["epoch"]}
        | {
            f"{prefix}/{name}": value
            for prefix, split in (("train", "train"), ("val", "validation"))
            for name, value in record[split].items()
            if getattr(weights, name, 1.0) > 0.0
        }
        for record in history
    ]


def _mel_pair(trainer: ProjectionTrainer, base_vector: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Log-mels ``(80, T)`` of the longest validation clip and of the clone with the clip's timing."""
    target, spoken = trainer.mels(*(audio.cpu().numpy() for audio in trainer.speak_validation(base_vector)))
    return target, spoken


def _minutes(run: Run) -> dict[str, Any]:
    clips = {"train": run.dataset.train, "validation": run.dataset.validation}
    return {
        **{f"{split}_clips": len(members) for split, members in clips.items()},
        **{f"{split}_minutes": round(sum(c.seconds for c in members) / 60, 2) for split, members in clips.items()},
    }


def _alignment_scores(trainer: ProjectionTrainer) -> dict[str, float]:
    return {name: round(alignment.score, 4) for name, alignment in sorted(trainer.state.alignments.items())}


def _misfits(trainer: ProjectionTrainer) -> dict[str, float]:
    alignments = sorted(trainer.state.alignments.items())
    return {name: round(one.phone_gap, 4) for name, one in alignments if one.phone_gap is not None}


def _card(run: Run, report: CloneReport) -> str:
    epochs = report["epochs_on"]
    first = epochs["student"]
    return render_card(
        CardInfo(
            name=run.config.name,
            base_name=run.base.name,
            base_kind=run.base.kind,
            voice_space=run.base.voice_space,
            base_weights=run.base.weights if run.base.kind == STOCK_KOKORO else "",
            base=run.config.base,
            base_sha256=run.base.sha256,
            base_licence=str(run.base.info.get("licence", "")),
            dataset_fingerprint=run.dataset.fingerprint,
            language=run.config.lang,
            clips=report["dataset"]["train_clips"],
            minutes=report["dataset"]["train_minutes"],
            seed=run.config.seed,
            consent=report["consent"],
            metrics_before=report["metrics"]["before"],
            metrics_after=report["metrics"]["after"],
            versions=report["versions"],
            notices=tuple(run.notices),
            verdict=(report["verdict"], likeness_line(report["likeness"])),
            extra={
                "on held-out clips": report["verdict"],
                "epochs": f"{f'{first} on {NANO}, then ' if first else ''}{epochs['base']} on {run.base.name}",
                "health": "; ".join(report["health"]["reasons"]) or "within the range of real voices",
            },
        )
    )
