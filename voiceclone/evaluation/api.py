"""Evaluate one voice of a speaker: load the voices to compare it with, the clips and the models that measure it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from voiceclone.bases.base import NANO, Base, load_base
from voiceclone.data.dataset import Dataset, load_dataset
from voiceclone.distributed import choose_device
from voiceclone.evaluation import report_judges
from voiceclone.evaluation.config import VALIDATION_CLIPS
from voiceclone.evaluation.report import evaluate_voices
from voiceclone.evaluation.report_results import Evaluation
from voiceclone.evaluation.voices import (
    CANDIDATES,
    CLONE,
    ORACLE,
    ORACLE_CLIPS,
    STRANGER,
    candidates_file,
    find_voice,
    oracle_voice,
    parse_also,
    read_candidates,
    stranger_to,
)
from voiceclone.ranges import check_range
from voiceclone.text.g2p import language_code
from voiceclone.tracking.progress import QUIET, Reporter
from voiceclone.voice.card import NOT_STATED
from voiceclone.voice.lookup import path_of
from voiceclone.voice.origin import base_for
from voiceclone.voice.pack import VoicePack


@dataclass(frozen=True, kw_only=True, eq=False)
class EvaluationInputs:
    """The loaded inputs of one evaluation."""

    voices: Mapping[str, VoicePack]
    base: Base
    dataset: Dataset
    panel: report_judges.Panel
    device: torch.device
    lang: str
    seed: int
    doubts: tuple[str, ...]
    """Reasons why the metrics may be misleading, one line each."""
    left_out: tuple[str, ...]
    """Voices and metrics that are not available, one line each."""
    consent: str
    """The consent recorded by the run that made the voice; ``not stated`` where none is recorded."""


def evaluate(
    voice: str | os.PathLike[str],
    data: str | os.PathLike[str],
    *,
    base: str | os.PathLike[str] = "auto",
    also: Mapping[str, str | os.PathLike[str]] | None = None,
    clips: int = VALIDATION_CLIPS,
    lang: str | None = None,
    seed: int | None = None,
    device: str = "auto",
    offline: bool = False,
    reporter: Reporter | None = None,
) -> Evaluation:
    """Compare a voice with other voices of its speaker. Same as ``voiceclone evaluate``, but writes no files.

    Args:
        voice: a file of a voice, a stock voice's name, or a mix.
        data: dataset of the speaker, with validation clips.
        base: ``auto`` (the base the voice was made for), ``kokoro``, ``nano``, a base folder, or a Kokoro ONNX file.
        also: further voices to compare with, by name.
        clips: maximum number of validation clips.
        lang: Kokoro's language code; None takes that of the run that made the voice, or ``a``.
        seed: of the split, the synthesis noise and the bootstrap; None takes that of the run that made the voice, or 0.
        device: ``auto``, ``cuda``, ``mps`` or ``cpu``.
        offline: never use the network.
        reporter: receives messages and progress; by default only warnings are written, to standard error.

    Returns:
        The results by voice, and the verdict.

    Raises:
        UsageError: an argument is wrong.
        VoicecloneError: a file cannot be read, or the model gives no finite audio.
    """
    reporter = reporter or Reporter(verbosity=QUIET)
    check_range("clips", clips, "evaluate")
    inputs = load_inputs(
        os.fspath(voice),
        data,
        base=os.fspath(base),
        also=[f"{name}={os.fspath(which)}" for name, which in (also or {}).items()],
        lang=lang,
        seed=seed,
        device=device,
        offline=offline,
        reporter=reporter,
    )
    return measure_voices(inputs, clips=clips, reporter=reporter)


def load_inputs(
    voice: str,
    data: str | os.PathLike[str],
    *,
    base: str,
    also: Sequence[str],
    lang: str | None,
    seed: int | None,
    device: str,
    offline: bool,
    reporter: Reporter,
) -> EvaluationInputs:
    """Load base, voices, clips and judges; ``also`` holds ``NAME=VOICE``, the rest is as in :func:`evaluate`."""
    facts, where = run_facts(path_of(voice)), choose_device(device)
    lang = language_code(facts.get("lang", "a") if lang is None else lang)
    chosen = base_for(voice, base)
    loaded = load_base(chosen, offline=offline, notice=reporter.info)
    if loaded.kind == NANO and chosen == "auto":
        reporter.warn("Kokoro-82M is not cached and no source can be reached: evaluating on the nano base")
    voices = _given_voices(voice, also, loaded)
    seed = facts.get("seed", 0) if seed is None else seed
    check_range("seed", seed)
    with reporter.task("Reading clips", unit="clip") as task:
        dataset = load_dataset(
            Path(data),
            lang=lang,
            seed=seed,
            vocab=loaded.kmodel.vocab,
            progress=lambda done, total: task.advance(1),
        )
    doubts = _doubts(facts, loaded, dataset, lang)
    for line in (*dataset.notices, *doubts):
        reporter.warn(line)
    if (stranger := stranger_to(voices[CLONE], loaded)) is not None:
        voices[STRANGER] = stranger
    missing = _add_oracle(voices, path_of(voice), loaded, dataset, where, reporter)
    panel = report_judges.load_panel(lang)
    return EvaluationInputs(
        voices=voices,
        base=loaded,
        dataset=dataset,
        panel=panel,
        device=where,
        lang=lang,
        seed=seed,
        doubts=tuple(doubts),
        left_out=(*missing, *panel.left_out),
        consent=facts.get("consent", NOT_STATED),
    )


def measure_voices(inputs: EvaluationInputs, *, clips: int, reporter: Reporter) -> Evaluation:
    """Synthesise with every voice and measure the result."""
    inputs.base.kmodel.to(inputs.device)
    return evaluate_voices(
        inputs.voices,
        inputs.dataset,
        inputs.base,
        encoders=inputs.panel.encoders,
        recognizer=inputs.panel.recognizer,
        words=inputs.panel.words,
        opinion=inputs.panel.opinion,
        seed=inputs.seed,
        lang=inputs.lang,
        max_clips=clips,
        left_out=inputs.left_out,
        reporter=reporter,
    )


def _json_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file; empty where the file is missing or holds something else."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _given_voices(voice: str, also: Sequence[str], base: Base) -> dict[str, VoicePack]:
    """The voices to evaluate: the clone, the candidates stored beside it, and those given by ``also``."""
    file = path_of(voice)
    voices = {CLONE: find_voice(voice, base), **(read_candidates(file) if file.is_file() else {})}
    return {**voices, **{name: find_voice(which, base) for name, which in parse_also(also, voices).items()}}


def _add_oracle(
    voices: dict[str, VoicePack], file: Path, base: Base, dataset: Dataset, device: torch.device, reporter: Reporter
) -> list[str]:
    """Add the oracle voice to ``voices``. Returns one line for each voice that is missing."""
    missing = []
    if absent := [name for name in CANDIDATES if name not in voices]:
        missing.append(f"{', '.join(absent)}: not in {candidates_file(file)}, which a clone run leaves")
    if base.own_encoders is None:
        missing.append(f"{ORACLE}: the encoders that {base.name} was trained with are not known")
        return missing
    clips = dataset.train[:ORACLE_CLIPS]
    with reporter.task("Oracle", total=len(clips), unit="clip") as task:
        if oracle := oracle_voice(base, clips, device, advance=lambda: task.advance(1)):
            voices[ORACLE] = oracle
    return missing


def run_facts(voice: Path) -> dict[str, Any]:
    """What the clone run stored beside the voice: seed, fingerprint of its clips, base, consent, data, language."""
    if not voice.is_file():
        return {}
    config, report = (_json_object(voice.parent / name) for name in ("config.json", "report.json"))
    dataset, base = report.get("dataset"), report.get("base")
    found = {
        "seed": config.get("seed"),
        "fingerprint": dataset.get("fingerprint") if isinstance(dataset, dict) else None,
        "base": base.get("sha256") if isinstance(base, dict) else None,
        "consent": report.get("consent"),
        "data": config.get("data"),
        "lang": config.get("lang"),
    }
    kinds = {"seed": int, "fingerprint": str, "base": str, "consent": str, "data": str, "lang": str}
    return {name: value for name, value in found.items() if isinstance(value, kinds[name])}


def _doubts(facts: dict[str, Any], base: Base, dataset: Dataset, lang: str) -> list[str]:
    """Reasons why the metrics may be misleading: another language or base, or other clips than in training."""
    doubts = []
    if (made := facts.get("lang", lang)) != lang:
        doubts.append(f"the voice was made for the language '{made}', not for '{lang}'")
    if facts.get("base", base.sha256) != base.sha256:
        doubts.append(f"the voice was made on another base than {base.name}: these figures hold on {base.name} alone")
    if facts.get("fingerprint", dataset.fingerprint) != dataset.fingerprint:
        doubts.append(
            "these are not the clips, or not the split, that the voice was made with: validation clips may be among "
            "those it was trained on"
        )
    return doubts
