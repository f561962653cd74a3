"""Rehearsal: speech of a base with its stock voices, mixed into the batches of fine-tuning to avoid forgetting."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
import torch

from voiceclone.audio.features import SAMPLE_RATE
from voiceclone.base_training.corpus import Corpus, prepare_corpus
from voiceclone.base_training.finetuned_base import FinetunedBase
from voiceclone.base_training.teacher import TeacherConfig, VoiceSampler, speak_teacher_utterance, utterance_numbers
from voiceclone.base_training.teacher_corpus import TEACHER, prepare_teacher_corpus
from voiceclone.bases.base import Base
from voiceclone.bases.folder import weight_file
from voiceclone.data.rows import read_rows
from voiceclone.errors import UsageError
from voiceclone.files import write_json, write_text
from voiceclone.models.frozen_kokoro import FrozenKokoro
from voiceclone.models.presets import full_config
from voiceclone.models.store import stamped_sha256
from voiceclone.tracking.progress import QUIET, Progress, Reporter

logger = logging.getLogger(__name__)
SPEAKER = "rehearsed_"
"""Prefix of the names of the synthesised speakers."""
PEAK = 0.99
KEY = "made_from.json"
NO_VOICES = "%s has no stock voices for rehearsal: other voices will sound worse after fine-tuning"


def rehearse(
    corpus: Corpus, base: FinetunedBase, out: Path, *, count: int, seed: int = 0, reporter: Reporter | None = None
) -> Path | None:
    """The cache of a base's speech with the corpus' own texts; None without stock voices.

    Speech of an earlier run is used again if base, its weights, texts, number and seed are the same. For a base with
    Kokoro's voice space the cache contains the base's own F0 and energy, and the vector that each utterance was spoken
    with.

    Args:
        corpus: gives the texts.
        base: what is fine-tuned.
        out: folder of the run.
        count: number of utterances.
        seed: random seed.
        reporter: shows the progress; None for no output.

    Raises:
        UsageError: a speaker has a name that is reserved for the base's own speech.
    """
    if reserved := sorted(set(corpus.speakers) - set(recorded_speakers(corpus.speakers))):
        raise UsageError(f"speaker {reserved[0]!r}: the name is reserved: rename the dataset's folder or the speaker")
    folder, cache = out / "rehearsal", out / "cache" / "rehearsal"
    texts = [utterance.phonemes for utterance in corpus.utterances]
    digest = hashlib.sha256("\n".join(texts).encode()).hexdigest()
    # A base that is trained again into the same folder speaks differently.
    weights = "" if base.folder is None else stamped_sha256(weight_file(base.folder))
    key = {"base": [base.which, base.name, weights], "utterances": count, "seed": seed, "texts": digest}
    if not (folder / KEY).is_file() or json.loads((folder / KEY).read_text(encoding="utf-8")) != key:
        for old in (folder, cache):
            shutil.rmtree(old, ignore_errors=True)
        write_json(folder / KEY, key)
    speak = _speak_with_vectors if base.shares_kokoro_space else _speak_for_encoders
    return cache if speak(base, texts, folder, cache, count, seed, reporter) else None


def _speak_for_encoders(
    base: FinetunedBase, texts: list[str], folder: Path, cache: Path, count: int, seed: int, reporter: Reporter | None
) -> bool:
    """Speak what is missing and compute the features that encoders need; False without stock voices."""
    if not (folder / "train" / "metadata.jsonl").is_file():
        loaded = _load(base, count, voices=1)
        if loaded is None:
            return False
        speak_rehearsal(
            loaded, texts, folder, count=count, seed=seed, convolutions=base.convolutions("cpu"), reporter=reporter
        )  # fmt: skip
    prepare_corpus(read_rows([folder]), cache, full_config()["vocab"], reporter=reporter)
    return True


def _speak_with_vectors(
    base: FinetunedBase, texts: list[str], folder: Path, cache: Path, count: int, seed: int, reporter: Reporter | None
) -> bool:
    """Speak what is missing, with the vectors beside the speech; False without two stock voices."""
    if len(utterance_numbers(folder)) < count:
        loaded = _load(base, count, voices=2)
        if loaded is None:
            return False
        kokoro = FrozenKokoro(loaded.kmodel, torch.device("cpu"), convolutions=base.convolutions("cpu"))
        sampler = VoiceSampler(loaded.stock_voices, TeacherConfig(stock_share=1.0, other_row=0.0, seed=seed))
        with _task(reporter, count) as task:
            for number in range(count):
                speak_teacher_utterance(number, kokoro, sampler, texts, folder)
                task.advance(1)
    prepare_teacher_corpus(folder, cache, least=1, reporter=reporter)
    return True


def _load(base: FinetunedBase, count: int, *, voices: int) -> Base | None:
    """The base for synthesis; None where it has fewer stock voices than ``voices``."""
    loaded = base.load()
    if len(loaded.stock_voices) < voices:
        logger.warning(NO_VOICES, loaded.name)
        return None
    logger.info("%s speaks %d sentences, which are mixed into the batches", loaded.name, count)
    return loaded


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
