"""State that the stages of one clone run share: base, dataset, folder and reporter."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from voiceclone.bases.base import NANO, STOCK_KOKORO, Base, load_base
from voiceclone.bases.kokoro_weights import FULL_PRECISION
from voiceclone.cloning.config import CloneConfig
from voiceclone.cloning.folder import RunFolder
from voiceclone.data.dataset import Dataset, TooLittleData, load_dataset
from voiceclone.data.metadata import read_dataset
from voiceclone.errors import UsageError
from voiceclone.files import write_json
from voiceclone.models.frozen_kokoro import check_trainable
from voiceclone.nets.resemblyzer import INSTALL, resemblyzer_is_installed
from voiceclone.projection.parts import PLAIN, parse_parts
from voiceclone.tracking.progress import Reporter
from voiceclone.voice.profile import LengthProfile
from voiceclone.voice.space import KOKORO_SPACE


@dataclass(frozen=True, kw_only=True, eq=False)
class Run:
    """State that the stages of one run share. ``config`` has the number of epochs for the base."""

    config: CloneConfig
    folder: RunFolder
    reporter: Reporter
    base: Base
    device: torch.device
    dataset: Dataset
    profile: LengthProfile
    identity: dict[str, str]
    notices: tuple[str, ...]


def _base_notices(base: Base) -> Iterator[str]:
    """Notices about what the choice of the base means for the voice."""
    if base.voice_space != KOKORO_SPACE:
        yield f"the voice belongs to {base.title}: stock Kokoro-82M cannot speak with it"
    elif base.kind != STOCK_KOKORO:
        yield (
            f"made on {base.title}, a small model that shares Kokoro-82M's voices: stock Kokoro-82M speaks with the "
            "voice too, but how near it comes to the speaker there was not measured"
        )
    elif base.weights != FULL_PRECISION:
        yield f"made with {base.title}; stock Kokoro of any precision speaks with the voice"


def open_run(config: CloneConfig, folder: RunFolder, device: torch.device, reporter: Reporter) -> Run:
    """Load the base and read the dataset.

    Raises:
        VoicecloneError: one of them cannot be used.
    """
    reporter.detail(f"device: {device}")
    read_dataset(config.data)  # first, so that a wrong folder is reported before a base is loaded or downloaded
    base = load_base(config.base, offline=config.offline, style_encoders=config.style_encoders, notice=reporter.info)
    _ = base.style_encoders  # raises before the clips are read where the base has none
    check_trainable(base.kmodel)
    if config.finish and not has_student(base):
        raise no_student(config.finish, base.title)
    config = config.for_base(base.kind)
    notices: list[str] = []
    notices.extend(_base_notices(base))
    if uses_speaker(config) and not resemblyzer_is_installed():
        notices.append(
            "Resemblyzer is not installed: the voice is trained without a speaker encoder and will be much less like "
            f"the speaker ({INSTALL})"
        )
    reporter.info(f"base: {base.title} ({len(base.stock_voices)} stock voices)")
    if not config.consent.strip():
        reporter.info("consent: not stated; --consent TEXT records with the voice who agreed to the cloning, and how")
    dataset = _read_dataset(config, folder, base, reporter)
    notices.extend(dataset.notices)
    for notice in notices:
        reporter.warn(notice)
    decisive = {**config.decisive(), "speaker": uses_speaker(config) and resemblyzer_is_installed()}
    identity = {
        "dataset": dataset.fingerprint,
        "base": base.sha256,
        "settings": hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest(),
    }
    return Run(
        config=config,
        folder=folder,
        reporter=reporter,
        base=base,
        device=device,
        dataset=dataset,
        profile=LengthProfile.of(base.stock_voices.values()),
        identity=identity,
        notices=tuple(notices),
    )


def _read_dataset(config: CloneConfig, folder: RunFolder, base: Base, reporter: Reporter) -> Dataset:
    """Read and check the clips. The list of rejected clips is written even where too few are usable."""
    with reporter.task("Checking clips", unit="clip") as task:
        try:
            return load_dataset(
                Path(config.data),
                lang=config.lang,
                seed=config.seed,
                vocab=base.kmodel.vocab,
                progress=lambda done, total: task.advance(1),
            )
        except TooLittleData as error:
            write_json(folder.path / "dataset_report.json", error.report)
            raise


def uses_speaker(config: CloneConfig) -> bool:
    """True where the recipe has the speaker encoder's term."""
    return config.recipe != PLAIN and "speaker" not in parse_parts(config.without)


def has_student(base: Base) -> bool:
    """True where nano shares the base's voice space, so that a voice vector of one is a voice of the other."""
    return base.kind != NANO and base.voice_space == KOKORO_SPACE


def uses_student(config: CloneConfig, base: Base) -> bool:
    """True where alignment and initialization run on the student, and with ``finish`` the first epochs too."""
    return config.recipe != PLAIN and "student" not in parse_parts(config.without) and has_student(base)


def no_student(finish: int, base: str) -> UsageError:
    """The error for ``--finish`` on a base without a student; ``base`` is its title."""
    return UsageError(f"--finish {finish}: {base} has no student: use `--base kokoro`, or leave out --finish")
