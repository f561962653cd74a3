"""A voice without training, estimated from a few clips.

This works for bases whose style encoders' space is the voice space (Kokoro-82M and its students). The mean style of the
clips is such a voice; with the speaker encoder's vector and F0, a regression makes a better one. No transcript is
needed. The similarity to the speaker is well below that of a trained clone.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from voiceclone.audio.features import SAMPLE_RATE
from voiceclone.audio.io import read_audio, write_wav
from voiceclone.audio.silence import trim
from voiceclone.bases.base import Base, load_base
from voiceclone.bases.stock_names import placed_base
from voiceclone.cloning.config import check_name
from voiceclone.cloning.folder import RunFolder
from voiceclone.cloning.zero_shot_config import ZeroShotConfig
from voiceclone.data.metadata import read_train
from voiceclone.data.quality import QualityLimits, loud_level, measure_samples
from voiceclone.errors import UsageError, VoicecloneError
from voiceclone.files import sha256_of, write_json
from voiceclone.nets.resemblyzer import INSTALL, load_resemblyzer, resemblyzer_is_installed
from voiceclone.style.extraction import TRIM_DB, StyleVectors, extract_styles, largest_style
from voiceclone.style.voice_regression import f0_of
from voiceclone.system.versions import package_versions
from voiceclone.text.g2p import language_code
from voiceclone.tracking.progress import Reporter
from voiceclone.voice.card import NOT_STATED
from voiceclone.voice.health import HealthRange, examine
from voiceclone.voice.pack import VoicePack
from voiceclone.voice.profile import REFERENCE_ROW, LengthProfile
from voiceclone.voice.space import KOKORO_SPACE
from voiceclone.voice.speaking import speak_whole

RECIPE = "zero-shot"
PIECE_SECONDS = 6.0
"""Length of the pieces that longer recordings are cut into: the encoders were trained on sentences."""
SHORTEST_SECONDS = 1.0
"""Minimum total length of the speech in seconds."""
MOST_SECONDS = 600.0
"""Maximum length in seconds used of one recording, from its start."""
SILENT_DB = 20.0
"""A piece whose loud frames are further below those of its file holds no speech, dB: pieces of eight recorded speakers
are at most 7 dB below, and pauses of any recording that ``prepare`` does not call noisy at least 20 dB."""
F0_SECONDS = 20.0
"""Maximum length in seconds of the speech whose F0 is tracked."""
LIMITS = QualityLimits(min_seconds=0.3, max_seconds=MOST_SECONDS)
TEST_SENTENCE = "Hello, this voice was made from a few seconds of speech, without any training."


def zero_shot(config: ZeroShotConfig, reporter: Reporter) -> Path:
    """Estimate the voice and synthesise a test sentence.

    Returns:
        The voice's file.

    Raises:
        UsageError: there is no input, the name is taken, the language is unknown, or the base's styles are not voices.
        VoicecloneError: a clip cannot be read or contains no speech.
    """
    started = time.perf_counter()
    check_name(config.name)
    config = replace(config, lang=language_code(config.lang))
    folder = RunFolder(Path(config.out) / config.name)
    folder.check_free(resume=None, overwrite=config.overwrite)
    files = list(_files(config.clips))
    base = load_base(config.base, offline=config.offline, notice=reporter.info)
    if not base.styles_are_voices:
        raise UsageError(
            f"--base {config.base}: its style encoders have a space of their own, so that a voice needs training: "
            "use `voiceclone clone`, or a base that shares Kokoro-82M's voices"
        )
    notices = []
    if base.voice_regression is not None and not resemblyzer_is_installed():
        notices.append(f"Resemblyzer is not installed: the voice is less near to the speaker ({INSTALL})")
        reporter.warn(notices[0])
    with folder.locked():
        pieces = [piece for file in files for piece in pieces_of(file)]
        seconds = sum(len(audio) for _, audio in pieces) / SAMPLE_RATE
        if seconds < SHORTEST_SECONDS:
            raise VoicecloneError(f"{files[0]}: {seconds:.1f} s of speech are too little: give at least 5 s")
        with reporter.task("Style extraction", total=len(pieces), unit="clip") as task:
            pack, styles = untrained_voice(base, pieces, config.name, advance=lambda: task.advance(1))
        health = examine(pack, HealthRange.of(base.stock_voices.values()))
        for reason in health.reasons:
            reporter.warn(f"the voice looks unusual: {reason}")
        folder.put_voice(pack)
        folder.clear()
        write_json(folder.config, _settings(config, base))
        _speak(base, pack, config, folder)
        report = {**_facts(config, base, folder), "health": asdict(health), "notices": notices,
                  "dataset": {"train_clips": len(files), "train_minutes": round(seconds / 60, 2)},
                  "style": {"spread": styles.spread, "outliers": list(styles.outliers), "clips": len(styles.names)},
                  "seconds": round(time.perf_counter() - started, 1)}  # fmt: skip
        write_json(folder.report, report)
    reporter.info(f"voice: {folder.voice}, from {seconds:.0f} s of speech, without training")
    return folder.voice


def _files(clips: Sequence[str | os.PathLike[str]]) -> Iterator[Path]:
    if not clips:
        raise UsageError("give at least one sound file with the speaker's voice")
    for clip in map(Path, clips):
        if clip.is_dir():
            yield from (entry.path for entry in read_train(clip))
        else:
            yield clip


def pieces_of(file: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Split a file into named pieces ``(T,)`` at 24 kHz of equal length, without the silent ones.

    At most ``MOST_SECONDS`` are read, because hours of audio would not fit into memory.

    Raises:
        VoicecloneError: the file cannot be read, or contains no speech.
    """
    audio = read_audio(file, MOST_SECONDS)[: int(MOST_SECONDS * SAMPLE_RATE)]
    if problem := measure_samples(audio, SAMPLE_RATE, LIMITS).problem:
        raise VoicecloneError(f"{file}: {problem}: give another recording")
    audio = trim(audio, top_db=TRIM_DB)
    lowest = loud_level(audio, SAMPLE_RATE) - SILENT_DB
    count = max(round(len(audio) / (PIECE_SECONDS * SAMPLE_RATE)), 1)
    for number, piece in enumerate(np.array_split(audio, count)):
        # A pause has a style and a speaker vector, too, but not the speaker's.
        if len(piece) and loud_level(piece, SAMPLE_RATE) >= lowest:
            yield f"{file.name}:{number}" if count > 1 else file.name, piece


def untrained_voice(
    base: Base,
    pieces: Sequence[tuple[str, np.ndarray]],
    name: str,
    *,
    advance: Callable[[], None] = lambda: None,
) -> tuple[VoicePack, StyleVectors]:
    """The voice estimated from named pieces ``(T,)`` at 24 kHz, and their styles. The base's styles must be voices.

    The mean style is the voice where the base has no regression, or Resemblyzer is not installed.
    """
    norms = [float(pack.tensor[REFERENCE_ROW].norm()) for pack in base.stock_voices.values()]
    styles = extract_styles(
        [(piece, partial(np.asarray, audio)) for piece, audio in pieces],
        base.style_encoders,
        device=torch.device("cpu"),
        largest=largest_style(norms),
        advance=advance,
    )
    encoder = None if base.voice_regression is None else load_resemblyzer()
    vector = styles.mean
    if base.voice_regression is not None and encoder is not None:
        audio = [samples for _, samples in pieces]
        speaker = torch.from_numpy(np.mean([encoder.embed(samples) for samples in audio], axis=0))
        tracks = f0_of(audio, int(F0_SECONDS * SAMPLE_RATE))
        vector = base.voice_regression.voice(styles.mean, torch.nn.functional.normalize(speaker, dim=0), tracks)
    return LengthProfile.of(base.stock_voices.values()).expand(vector, name), styles


def _speak(base: Base, pack: VoicePack, config: ZeroShotConfig, folder: RunFolder) -> None:
    if config.lang in ("a", "b"):
        pipeline = base.pipeline(config.lang)
        write_wav(folder.test_wav(1), speak_whole(pipeline, TEST_SENTENCE, pack.tensor, seed=config.seed), SAMPLE_RATE)


def _settings(config: ZeroShotConfig, base: Base) -> dict[str, Any]:
    """The settings as JSON; their paths are absolute, since other commands read them from any working directory."""
    return {
        **asdict(config),
        "clips": [os.path.abspath(clip) for clip in config.clips],
        "out": os.path.abspath(config.out),
        "base": placed_base(config.base),
        "base_name": base.name,
        "base_sha256": base.sha256,
        "versions": package_versions(),
    }


def _facts(config: ZeroShotConfig, base: Base, folder: RunFolder) -> dict[str, Any]:
    return {
        "name": config.name,
        "base": {"name": base.name, "kind": base.kind, "sha256": base.sha256, "weights": base.weights,
                 "voice_space": base.voice_space},
        "stock_kokoro": base.voice_space == KOKORO_SPACE,
        "voice_sha256": sha256_of(folder.voice),
        "consent": config.consent.strip() or NOT_STATED,
        "recipe": RECIPE,
        "verdict": "made without training: its likeness to the speaker was not measured",
        "seed": config.seed,
        "versions": package_versions(),
    }  # fmt: skip
