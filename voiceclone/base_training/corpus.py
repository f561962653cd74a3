"""A training corpus on disk: features of every utterance, computed once, then memory-mapped.

The input are dataset folders as read by :mod:`voiceclone.data.metadata`. The speaker is taken from the ``speaker``
column, or else from the folder's name; a dataset root with ``train/`` is read from there. Rows may have ``phonemes``
and ``durations`` (in frames of 25 ms, of BOS, each symbol, EOS). Otherwise the text is phonemised, and the durations
are computed by an aligner: :mod:`voiceclone.alignment.espeak_warp` or :mod:`voiceclone.alignment.learned`.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from voiceclone.alignment.conditioning import condition
from voiceclone.alignment.material import material_key
from voiceclone.audio.features import FRAME_SAMPLES, N_MELS, LogMel, log_energy, track_f0
from voiceclone.audio.io import probe, read_audio
from voiceclone.base_training.arrays import growing_arrays
from voiceclone.data.rows import Row
from voiceclone.errors import VoicecloneError
from voiceclone.files import write_json
from voiceclone.tracking.progress import QUIET, Reporter

logger = logging.getLogger(__name__)

MAX_TOKENS = 508
VECTORS = "vectors"  # array that exists only in caches of a teacher's speech
_ARRAYS: dict[str, type[np.generic]] = {"audio": np.int16, "mel": np.float16, "f0": np.float32, "energy": np.float32}
_VERSION = 4

Aligner = Callable[[np.ndarray, str, str], np.ndarray]
"""(audio ``(T,)`` at 24 kHz with T a multiple of 600, text, phonemes) to durations in frames, int64 ``(len(phonemes) +
2,)``."""


@dataclass(frozen=True, kw_only=True)
class Utterance:
    """One utterance of a cache."""

    name: str
    speaker: str
    phonemes: str
    tokens: tuple[int, ...]
    """Ids of BOS, the symbols, EOS."""
    durations: tuple[int, ...]
    """Frames of 25 ms of every token."""
    start: int
    """Index of its first frame in the cache's arrays."""

    @property
    def frames(self) -> int:
        """Length in frames of 25 ms."""
        return sum(self.durations)


class Corpus:
    """Utterances of one or more caches, with their features in memory-mapped arrays.

    A cache contains ``audio`` int16 ``(600 F,)``; ``mel`` float16 ``(2 F, 80)``, StyleTTS2's normalised log-mel; ``f0``
    float32 ``(2 F,)`` in Hz, 0 where unvoiced; ``energy`` float32 ``(2 F,)``. F is the number of frames of all
    utterances. A cache of a teacher's speech (:mod:`voiceclone.base_training.teacher_corpus`) has ``vectors`` float32
    ``(U, 256)``, one row for each utterance, instead of ``mel``; one of prosody alone has no ``audio``.

    Attributes:
        audio_sha256: of the caches' audio, for what is computed from it; the same wherever the recordings lie. It does
            not tell apart the speech of teachers.
    """

    def __init__(self, caches: Sequence[Path]) -> None:
        self.caches = tuple(caches)
        self.utterances: list[Utterance] = []
        self._part_of: list[int] = []
        self._row_in_part: list[int] = []
        self._arrays: list[dict[str, np.ndarray]] = []
        digest = hashlib.sha256()
        for part, folder in enumerate(caches):
            index = json.loads((Path(folder) / "index.json").read_text(encoding="utf-8"))
            digest.update(index.get("audio_sha256", "").encode())
            for row, u in enumerate(index["utterances"]):
                lists = {key: tuple(u[key]) for key in ("tokens", "durations")}
                self.utterances.append(Utterance(**{**u, **lists}))
                self._part_of.append(part)
                self._row_in_part.append(row)
            paths = {name: Path(folder) / f"{name}.npy" for name in (*_ARRAYS, VECTORS)}
            self._arrays.append({n: np.load(path, mmap_mode="r") for n, path in paths.items() if path.is_file()})
        self.audio_sha256 = digest.hexdigest()
        self.frames = np.array([sum(u.durations) for u in self.utterances])
        self.speakers = sorted({u.speaker for u in self.utterances})
        self.by_speaker: dict[str, list[int]] = {s: [] for s in self.speakers}
        for position, utterance in enumerate(self.utterances):
            self.by_speaker[utterance.speaker].append(position)

    @property
    def has_audio(self) -> bool:
        """False if a cache is of prosody alone."""
        return all("audio" in arrays for arrays in self._arrays)

    @property
    def hours(self) -> float:
        """Total length in hours."""
        return float(self.frames.sum()) * 0.025 / 3600

    def audio(self, index: int, first: int = 0, frames: int | None = None) -> np.ndarray:
        """Audio of ``frames`` frames from frame ``first`` on, float32 ``(600 frames,)``."""
        return self._part("audio", index, first, frames, FRAME_SAMPLES).astype(np.float32) / 32767.0

    def mel(self, index: int, first: int = 0, frames: int | None = None) -> np.ndarray:
        """Normalised log-mel, float32 ``(80, 2 frames)``."""
        return self._part("mel", index, first, frames, 2).astype(np.float32).T

    def f0(self, index: int, first: int = 0, frames: int | None = None) -> np.ndarray:
        """F0 in Hz, float32 ``(2 frames,)``."""
        return np.array(self._part("f0", index, first, frames, 2))

    def energy(self, index: int, first: int = 0, frames: int | None = None) -> np.ndarray:
        """Log energy, float32 ``(2 frames,)``."""
        return np.array(self._part("energy", index, first, frames, 2))

    def vector(self, index: int) -> np.ndarray:
        """The voice vector of an utterance of a teacher's speech, float32 ``(256,)``."""
        return np.array(self._arrays[self._part_of[index]][VECTORS][self._row_in_part[index]])

    def _part(self, name: str, index: int, first: int, frames: int | None, per_frame: int) -> np.ndarray:
        utterance = self.utterances[index]
        count = int(self.frames[index]) - first if frames is None else frames
        begin = (utterance.start + first) * per_frame
        return self._arrays[self._part_of[index]][name][begin : begin + count * per_frame]


def prepare_corpus(
    rows: Sequence[Row],
    cache: Path,
    vocab: dict[str, int],
    *,
    phonemize: Callable[[str], str] | None = None,
    align: Aligner | None = None,
    aligned_by: str = "",
    language: str = "",
    reporter: Reporter | None = None,
) -> Corpus:
    """Compute the features of ``rows`` into ``cache``, or reuse the cache if it was computed from exactly these rows.

    Recordings of another size or modification time count as others.

    Args:
        rows: of the datasets.
        cache: folder.
        vocab: symbol to id.
        phonemize: required for rows without phonemes.
        align: required for rows without durations.
        aligned_by: key of the aligner; features computed with another key are recomputed.
        language: which ``phonemize`` reads; features of phonemes of another language are recomputed.
        reporter: shows the progress; None for no output.

    Raises:
        VoicecloneError: no row is usable.
    """
    key = material_key(rows, _VERSION, vocab, aligned_by, language=language)
    stored = cache / "index.json"
    if stored.is_file() and json.loads(stored.read_text(encoding="utf-8"))["key"] == key:
        return Corpus([cache])
    utterances: list[Utterance] = []
    log_mel, start, digest = LogMel(), 0, hashlib.sha256()
    task = (reporter or Reporter(verbosity=QUIET)).task("Computing features", total=len(rows), unit="utterance")
    with growing_arrays(cache, _ARRAYS) as arrays, task:
        for row in rows:
            task.advance(1)
            try:
                utterance, features = _features(row, vocab, log_mel, phonemize, align, start)
            except (VoicecloneError, ValueError) as error:
                logger.warning("%s skipped: %s", row.path, error)
                continue
            utterances.append(utterance)
            for name, array in arrays.items():
                array.append(features[name])
            digest.update(np.ascontiguousarray(features["audio"], dtype=_ARRAYS["audio"]).data)
            start += utterance.frames
        if not utterances:
            raise VoicecloneError("no utterance of the datasets is usable: see the warnings above")
        stored.unlink(missing_ok=True)  # deleted before the first array is replaced
    # The index is written last: it marks the cache as complete.
    facts = {"key": key, "audio_sha256": digest.hexdigest(), "utterances": [asdict(u) for u in utterances]}
    write_json(stored, facts)
    return Corpus([cache])


def _features(
    row: Row,
    vocab: dict[str, int],
    log_mel: LogMel,
    phonemize: Callable[[str], str] | None,
    align: Aligner | None,
    start: int,
) -> tuple[Utterance, dict[str, np.ndarray]]:
    phonemes = row.phonemes
    if phonemes is None and phonemize is not None:
        phonemes = phonemize(row.text)
    if phonemes is None or (row.durations is None and align is None):
        raise VoicecloneError("the row has no phonemes or durations and none can be computed here")
    phonemes = "".join(c for c in phonemes if c in vocab)
    if not 1 <= len(phonemes) <= MAX_TOKENS:
        raise VoicecloneError(f"{len(phonemes)} phonemes: 1 to {MAX_TOKENS} are usable")
    if probe(row.path).lost_seconds > 0:
        raise VoicecloneError("the file is shorter than its header says: the end of its text is missing")
    audio = read_audio(row.path)
    if row.durations is None:
        assert align is not None
        audio = condition(audio)
        durations = align(audio, row.text, phonemes)
    else:
        durations = np.asarray(row.durations)
        audio = audio[: int(durations.sum()) * FRAME_SAMPLES]
    frames = int(durations.sum())
    if len(durations) != len(phonemes) + 2 or len(audio) != frames * FRAME_SAMPLES or durations.min() < 1:
        raise VoicecloneError("durations do not fit the phonemes and the audio")
    with torch.no_grad():
        mel = log_mel(torch.from_numpy(audio)[None])[:, :, : 2 * frames]
        energy = log_energy(mel)[0].numpy()
    features = {
        "audio": np.round(np.clip(audio, -1, 1) * 32767),
        "mel": mel[0].T.numpy(),
        "f0": track_f0(audio)[: 2 * frames],
        "energy": energy,
    }
    assert features["mel"].shape == (2 * frames, N_MELS)
    utterance = Utterance(
        name=row.path.name, speaker=row.speaker, phonemes=phonemes, start=start,
        tokens=(0, *(vocab[c] for c in phonemes), 0), durations=tuple(int(d) for d in durations),
    )  # fmt: skip
    return utterance, features
