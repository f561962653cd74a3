"""Rehearsal: speech of a base with its stock voices, mixed into the batches of fine-tuning to avoid forgetting."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import soundfile
import torch

from voiceclone.audio.features import SAMPLE_RATE, track_f0
from voiceclone.base_training.corpus import Corpus, prepare_corpus
from voiceclone.base_training.teacher import TeacherConfig, VoiceSampler, speak_teacher_utterance, utterance_numbers
from voiceclone.base_training.teacher_corpus import TEACHER, prepare_teacher_corpus
from voiceclone.bases.base import Base
from voiceclone.data.rows import read_rows
from voiceclone.files import write_text
from voiceclone.models.frozen_kokoro import FrozenKokoro
from voiceclone.models.presets import full_config
from voiceclone.tracking.progress import QUIET, Progress, Reporter

logger = logging.getLogger(__name__)
SPEAKER = "rehearsed_"
"""Prefix of the names of the synthesised speakers."""
PEAK = 0.99
NO_VOICES = "%s has no stock voices for rehearsal: other voices will sound worse after fine-tuning"


def rehearse(
    corpus: Corpus,
    load: Callable[[], Base],
    out: Path,
    *,
    count: int,
    seed: int = 0,
    convolutions: torch.dtype | None = None,
    reporter: Reporter | None = None,
) -> Path | None:
    """The cache of a base's speech with the corpus' own texts, synthesised where missing; None without stock voices.

    Args:
        corpus: gives the texts.
        load: loads the base.
        out: folder of the cache.
        count: number of utterances.
        seed: random seed.
        convolutions: dtype of the decoder's convolutions; None for float32.
        reporter: shows the progress; None for no output.
    """
    folder, cache = out / "rehearsal", out / "cache" / "rehearsal"
    if not (folder / "train" / "metadata.jsonl").is_file():
        base = load()
        if not base.stock_voices:
            logger.warning(NO_VOICES, base.name)
            return None
        logger.info("%s speaks %d sentences, which are mixed into the batches", base.name, count)
        speak_rehearsal(
            base, [u.phonemes for u in corpus.utterances], folder, count=count, seed=seed, convolutions=convolutions,
            reporter=reporter,
        )  # fmt: skip
    f0 = partial(track_f0, quick=True)
    prepare_corpus(read_rows([folder]), cache, full_config()["vocab"], f0=f0, reporter=reporter)
    return cache


def speak_rehearsal(
    base: Base,
    texts: Sequence[str],
    folder: Path,
    *,
    count: int,
    seed: int = 0,
    convolutions: torch.dtype | None = None,
    reporter: Reporter | None = None,
) -> Path:
    """Write a dataset of ``count`` utterances with phonemes and durations; returns ``folder``.

    Args:
        base: synthesises.
        texts: phoneme strings to draw from.
        folder: of the dataset.
        count: number of utterances.
        seed: random seed.
        convolutions: dtype of the decoder's convolutions; None for float32.
        reporter: shows the progress; None for no output.
    """
    lines = folder / "train" / "metadata.jsonl"
    lines.parent.mkdir(parents=True, exist_ok=True)
    kokoro = FrozenKokoro(base.kmodel, torch.device("cpu"), convolutions=convolutions)
    rng = np.random.default_rng([seed, 41])
    names = sorted(base.stock_voices)
    rows = []
    with _task(reporter, count) as task:
        for number in range(count):
            name, phonemes = names[int(rng.integers(len(names)))], texts[int(rng.integers(len(texts)))]
            text = kokoro.text(phonemes)
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed * 1_000_003 + number)
                spoken = kokoro.utter(text, base.stock_voices[name].row(text.phoneme_count))
            audio = spoken.audio.numpy()
            audio = audio * min(1.0, PEAK / max(float(np.abs(audio).max()), 1e-9))
            file_name = f"{number:04d}.flac"
            soundfile.write(lines.parent / file_name, audio, SAMPLE_RATE, subtype="PCM_16")
            rows.append(
                {"file_name": file_name, "speaker": f"{SPEAKER}{name}", "text": phonemes, "phonemes": text.symbols,
                 "durations": spoken.durations.tolist()}
            )  # fmt: skip
            task.advance(1)
    # The metadata is written last: it marks the folder as complete.
    write_text(lines, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return folder


def rehearse_with_vectors(
    corpus: Corpus,
    load: Callable[[], Base],
    out: Path,
    *,
    count: int,
    seed: int = 0,
    convolutions: torch.dtype | None = None,
    reporter: Reporter | None = None,
) -> Path | None:
    """As :func:`rehearse`, with the base's own F0 and energy and the vector that each utterance was spoken with."""
    folder, cache = out / "rehearsal", out / "cache" / "rehearsal"
    if len(utterance_numbers(folder)) < count:
        base = load()
        if len(base.stock_voices) < 2:
            logger.warning(NO_VOICES, base.name)
            return None
        logger.info("%s speaks %d sentences, which are mixed into the batches", base.name, count)
        kokoro = FrozenKokoro(base.kmodel, torch.device("cpu"), convolutions=convolutions)
        sampler = VoiceSampler(base.stock_voices, TeacherConfig(stock_share=1.0, other_row=0.0, seed=seed))
        texts = [utterance.phonemes for utterance in corpus.utterances]
        with _task(reporter, count) as task:
            for number in range(count):
                speak_teacher_utterance(number, kokoro, sampler, texts, folder)
                task.advance(1)
    prepare_teacher_corpus(folder, cache, reporter=reporter)
    return cache


def speaker_weights(speakers: Sequence[str], share: float) -> dict[str, float]:
    """Relative frequency of each speaker such that synthesised ones make up ``share`` of the rows."""
    new = recorded_speakers(speakers)
    rehearsed = [speaker for speaker in speakers if speaker not in new]
    if not rehearsed or not new:
        return {}
    return {**dict.fromkeys(rehearsed, share / len(rehearsed)), **dict.fromkeys(new, (1.0 - share) / len(new))}


def recorded_speakers(speakers: Sequence[str]) -> list[str]:
    """The recorded speakers, without those that the base itself speaks for."""
    return [speaker for speaker in speakers if speaker != TEACHER and not speaker.startswith(SPEAKER)]


def _task(reporter: Reporter | None, count: int) -> Progress:
    return (reporter or Reporter(verbosity=QUIET)).task("Synthesising stock voices", total=count, unit="utterance")
