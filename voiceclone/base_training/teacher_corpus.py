"""A teacher's speech as a training corpus: its files are read once into memory-mapped arrays."""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import asdict
from pathlib import Path

import numpy as np

from voiceclone.alignment.material import file_stamp
from voiceclone.audio.features import FRAME_SAMPLES
from voiceclone.base_training.arrays import growing_arrays
from voiceclone.base_training.corpus import VECTORS, Corpus, Utterance
from voiceclone.base_training.teacher import read_utterance, utterance_numbers, utterance_paths
from voiceclone.errors import UsageError
from voiceclone.files import write_json
from voiceclone.tracking.progress import QUIET, Reporter

logger = logging.getLogger(__name__)
TEACHER = "teacher"
_ARRAYS: dict[str, type[np.generic]] = {"audio": np.int16, "f0": np.float32, "energy": np.float32, VECTORS: np.float32}
_VERSION = 2


def prepare_teacher_corpus(folder: Path, cache: Path, *, least: int = 2, reporter: Reporter | None = None) -> Corpus:
    """Read the output of :mod:`voiceclone.base_training.teacher` into ``cache``, or reuse a cache of the same files.

    F0 and energy are the teacher's own predictions; nothing is tracked. If the folder contains no audio at all, the
    corpus is of prosody alone.

    Args:
        folder: of the speech.
        cache: folder.
        least: minimum number of utterances. A student needs a second one for validation.
        reporter: shows the progress; None for no output.

    Raises:
        UsageError: the folder contains less of such speech.
    """
    numbers = utterance_numbers(folder)
    arrays_kept = dict(_ARRAYS)
    if not numbers:
        numbers = utterance_numbers(folder, with_audio=False)
        del arrays_kept["audio"]
    if len(numbers) < least:
        raise UsageError(
            f"--teacher {folder}: holds no speech of a teacher: make it with scripts/speak_with_teacher.py"
        )
    stored, key = cache / "index.json", _key(folder, numbers)
    if stored.is_file() and json.loads(stored.read_text(encoding="utf-8"))["key"] == key:
        return Corpus([cache])
    utterances: list[Utterance] = []
    start = 0
    task = (reporter or Reporter(verbosity=QUIET)).task("Reading speech", total=len(numbers), unit="utterance")
    with growing_arrays(cache, arrays_kept) as arrays, task:
        for number in numbers:
            task.advance(1)
            one = read_utterance(folder, number)
            frames = int(one.durations.sum())
            samples = FRAME_SAMPLES * frames if "audio" in arrays else 0
            if len(one.audio) != samples or len(one.f0) != 2 * frames or not np.isfinite(one.audio).all():
                logger.warning("%s, utterance %d: audio and durations do not fit: left out", folder, number)
                continue
            if "audio" in arrays:
                arrays["audio"].append(np.round(np.clip(one.audio, -1, 1) * 32767))
            arrays["f0"].append(one.f0.numpy())
            arrays["energy"].append(one.energy.numpy())
            arrays[VECTORS].append(one.vector.numpy()[None])
            tokens, durations = (tuple(int(v) for v in values) for values in (one.tokens, one.durations))
            utterances.append(
                Utterance(name=f"{number:06d}", speaker=TEACHER, phonemes=one.phonemes, tokens=tokens,
                          durations=durations, start=start)
            )  # fmt: skip
            start += frames
        stored.unlink(missing_ok=True)  # deleted before the first array is replaced
    if "audio" not in arrays_kept:
        (cache / "audio.npy").unlink(missing_ok=True)  # of other speech
    write_json(stored, {"key": key, "utterances": [asdict(u) for u in utterances]})
    return Corpus([cache])


def _key(folder: Path, numbers: list[int]) -> str:
    """SHA-256 of names, sizes and modification times of the files, as 64 hex digits."""
    stamps = [[number, *(file_stamp(path) for path in utterance_paths(folder, number))] for number in numbers]
    return hashlib.sha256(json.dumps([_VERSION, str(Path(folder).resolve()), stamps]).encode()).hexdigest()
