"""Synthesise one utterance with one voice and compare it with the speaker's recordings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from voiceclone.audio.features import SAMPLE_RATE
from voiceclone.errors import VoicecloneError
from voiceclone.evaluation import metrics
from voiceclone.voice.pack import VoicePack

if TYPE_CHECKING:
    from kokoro.model import KModel

    from voiceclone.data.dataset import Clip
    from voiceclone.evaluation.metrics_opinion import OpinionJudge
    from voiceclone.evaluation.metrics_words import WordRecognizer


@dataclass(frozen=True, kw_only=True, eq=False)
class ReportUtterance:
    """An utterance that every voice synthesises."""

    name: str
    text: str
    phonemes: str
    length: int | None = None
    """Nominal number of phonemes of a held-out sentence; None for a validation clip."""
    recording: np.ndarray | None = field(default=None, repr=False)
    """The speaker's recording of it: audio ``(T,)`` at 24 kHz."""
    bandwidth_hz: float = math.inf
    """Bandwidth of that recording in Hz."""


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Metrics of one voice on one utterance; None where not measured."""

    utterance: str
    phonemes: int
    length: int | None
    seconds: float
    similarity: Mapping[str, float] = field(default_factory=dict)
    """Cosine similarity to the speaker's recordings, by encoder."""
    phone_errors: float | None = None
    phones: float | None = None
    word_errors: float | None = None
    words: float | None = None
    f0_error_semitones: float | None = None
    f0_spread_error_semitones: float | None = None
    slower_percent: float | None = None
    mcd_db: float | None = None
    opinion_score: float | None = None
    """Predicted mean opinion score, 1 to 5."""

    def as_json(self) -> dict[str, Any]:
        """The metrics that were measured, rounded."""
        found = {name: getattr(self, name) for name in self.__dataclass_fields__}
        found["similarity"] = {name: round(value, 4) for name, value in self.similarity.items()}
        return {k: round(v, 4) if isinstance(v, float) else v for k, v in found.items() if v is not None}


class References:
    """The speaker's embeddings by encoder. An utterance is never compared with the recording of the same text.

    Args:
        recordings: audio ``(T,)`` at 24 kHz by the clip's name; at least one.
    """

    def __init__(
        self, recordings: Mapping[str, np.ndarray], encoders: Sequence[metrics.SpeakerEncoder], advance: Any
    ) -> None:
        self.names = tuple(recordings)
        self.encoders = tuple(encoders)
        embedded: dict[str, list[np.ndarray]] = {encoder.name: [] for encoder in encoders}
        for audio in recordings.values():
            for encoder in encoders:
                embedded[encoder.name].append(encoder.embed(audio))
            advance()
        self.vectors = {name: np.stack(rows).astype(np.float64) for name, rows in embedded.items()}

    def similarity(self, audio: np.ndarray, name: str) -> dict[str, float]:
        """Cosine of ``audio`` ``(T,)`` at 24 kHz to the mean of all recordings but ``name``, by encoder."""
        found = {encoder.name: encoder.embed(audio) for encoder in self.encoders}
        return {who: self._cosine(who, vector, name) for who, vector in found.items() if self._others(name)}

    def of_recording(self, name: str) -> dict[str, float]:
        """The same for the recording ``name`` itself."""
        at = self.names.index(name)
        return {who: self._cosine(who, rows[at], name) for who, rows in self.vectors.items() if self._others(name)}

    def _others(self, name: str) -> list[int]:
        return [index for index, other in enumerate(self.names) if other != name]

    def _cosine(self, encoder: str, vector: np.ndarray, name: str) -> float:
        mean = self.vectors[encoder][self._others(name)].mean(axis=0)
        return float(vector @ mean / (np.linalg.norm(vector) * np.linalg.norm(mean) + 1e-12))


@dataclass(frozen=True, kw_only=True, eq=False)
class Judges:
    """The models that measure utterances: speaker encoders, phone and word recognisers, opinion score."""

    references: References
    phones: metrics.PhoneScorer | None = None
    words: WordRecognizer | None = None
    opinion: OpinionJudge | None = None
    notes: dict[str, None] = field(default_factory=dict)
    """Metrics that could not be computed, in order, without duplicates."""

    def errors(self, utterance: ReportUtterance, audio: np.ndarray) -> dict[str, float]:
        """Phone errors, word errors and opinion score of audio ``(T,)`` at 24 kHz."""
        found: dict[str, float] = {}
        if self.phones is not None:
            try:
                errors, phones = self.phones.error_rate(audio, utterance.phonemes)
                found.update(phone_errors=float(errors), phones=float(phones))
            except VoicecloneError as error:
                self.notes.setdefault(f"phone error rate of {utterance.name}: {error}")
        if self.words is not None:
            errors, words = self.words.error_rate(audio, utterance.text)
            found.update(word_errors=float(errors), words=float(words))
        if self.opinion is not None:
            found["opinion_score"] = self.opinion.score(audio)
        return found


@dataclass(frozen=True, kw_only=True, eq=False)
class Recorded:
    """Features of a validation clip, computed once."""

    audio: np.ndarray = field(repr=False)
    pitch: metrics.Pitch | None
    cepstra: np.ndarray = field(repr=False)
    bandwidth_hz: float = math.inf

    @classmethod
    def of(cls, audio: np.ndarray, bandwidth_hz: float = math.inf) -> Recorded:
        """Measure audio ``(T,)`` at 24 kHz. Spectra are compared up to ``bandwidth_hz``."""
        return cls(
            audio=audio,
            pitch=metrics.measure_pitch(audio),
            cepstra=metrics.cepstra(metrics.trimmed(audio), bandwidth_hz),
            bandwidth_hz=bandwidth_hz,
        )

    def compare(self, audio: np.ndarray) -> dict[str, float]:
        """Prosody and spectrum of the sentence spoken by a voice, ``(T,)`` at 24 kHz, relative to the recording."""
        cepstra = metrics.cepstra(metrics.trimmed(audio), self.bandwidth_hz)
        found = {
            "slower_percent": metrics.slower_percent(audio, self.audio),
            "mcd_db": metrics.mel_cepstral_distortion(cepstra, self.cepstra),
        }
        pitch = metrics.measure_pitch(audio)
        if pitch is not None and self.pitch is not None:
            found["f0_error_semitones"] = abs(pitch.mean - self.pitch.mean)
            found["f0_spread_error_semitones"] = abs(pitch.spread - self.pitch.spread)
        return found


def speak_utterance(kmodel: KModel, phonemes: str, pack: VoicePack, *, seed: int) -> np.ndarray:
    """Synthesise as KPipeline does: float32 ``(T,)`` at 24 kHz. The caller's RNG state is restored.

    Raises:
        VoicecloneError: the model gave no finite audio.
    """
    from kokoro import KPipeline

    device = kmodel.device
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        audio = KPipeline.infer(kmodel, phonemes, pack.tensor).audio
    audio = np.atleast_1d(audio.numpy().astype(np.float32))
    if not np.isfinite(audio).all():
        raise VoicecloneError(f"the model gave no finite sound with the voice '{pack.name}': is the voice sound?")
    return audio


def score(utterance: ReportUtterance, audio: np.ndarray, recorded: Recorded | None, judges: Judges) -> Scores:
    """All metrics of one utterance of a voice.

    Args:
        utterance: its text and phonemes.
        audio: synthesised speech ``(T,)`` at 24 kHz.
        recorded: the speaker's recording of it; None if there is none.
        judges: the models that measure.
    """
    return Scores(
        utterance=utterance.name,
        phonemes=len(utterance.phonemes),
        length=utterance.length,
        seconds=len(audio) / SAMPLE_RATE,
        similarity=judges.references.similarity(audio, utterance.name),
        **judges.errors(utterance, audio),
        **(recorded.compare(audio) if recorded is not None else {}),
    )


def score_recording(clip: Clip, audio: np.ndarray, judges: Judges) -> Scores:
    """The same metrics for a recording ``(T,)`` at 24 kHz, compared with the speaker's other recordings."""
    name = clip_key(clip)
    utterance = ReportUtterance(name=name, text=clip.text, phonemes=clip.phonemes)
    return Scores(
        utterance=name,
        phonemes=len(clip.phonemes),
        length=None,
        seconds=len(audio) / SAMPLE_RATE,
        similarity=judges.references.of_recording(name),
        **judges.errors(utterance, audio),
    )


def clip_key(clip: Clip) -> str:
    """A unique name of a clip."""
    return f"{clip.split}/{clip.name}"
