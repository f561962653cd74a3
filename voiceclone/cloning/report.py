"""Types of the entries of ``report.json``, which is the same dictionary as :attr:`CloneResult.report`."""

from __future__ import annotations

from typing import Any, TypedDict


class CloneMetrics(TypedDict):
    """Errors on the held-out clips, of the initialization and of the finished voice.

    By name: ``validation_loss`` (as trained), ``mel_mse`` (log-mel), ``f0_error_semitones`` (mean absolute),
    ``rate_error_percent`` (of the length of an utterance).
    """

    before: dict[str, float]
    after: dict[str, float]


class CloneReport(TypedDict):
    """A finished clone, JSON-able."""

    name: str
    verdict: str
    """One line: whether the voice is better than its initialization on the held-out clips."""
    likeness: dict[str, Any]
    """Of ``clone``, ``best_stock`` (called ``stock_name``), ``initialization`` and ``recordings`` on held-out clips;
    ``measure`` is ``likeness`` (cosine by ``encoder``, which the training itself uses) or, without one, ``loss``."""
    base: dict[str, str]
    """``name``, ``kind``, ``sha256`` of the weights, ``weights`` (their precision), ``voice_space``."""
    stock_kokoro: bool
    """Whether the voice can be used with stock Kokoro-82M."""
    voice_sha256: str
    notices: list[str]
    consent: str
    dataset: dict[str, Any]
    """``fingerprint``; number of clips and minutes of each split."""
    recipe: str
    without: list[str]
    speaker_encoder: str
    """Empty where none was used."""
    initialization: dict[str, str]
    """Initial voice of the training: ``timbre``, ``prosody``, and the ``best_stock`` voice."""
    phone_classifier: dict[str, Any]
    dropped_clips: dict[str, str]
    """Clips that do not match their transcripts, as ``split/name``, with the reason."""
    fidelity: float
    """0: the initialization, 1: the trained voice."""
    epochs: int
    """Number of finished epochs on all models."""
    epochs_on: dict[str, int]
    """The same by model: on the ``student`` (nano; only with ``--finish``), and on the ``base``."""
    skipped_steps: int
    metrics: CloneMetrics
    alignment: dict[str, float]
    """Score of each clip's alignment, 0 to 1."""
    misfit: dict[str, float]
    """How far each clip's phones are from those of its transcript, nats: see ``projection.misfits``."""
    style: dict[str, Any]
    length_profile: str
    health: dict[str, Any]
    test_sentences: list[str]
    expressive: dict[str, Any]
    """With ``--expressive``: ``clips``, ``split_half_correlation`` by part, and ``spread`` by part, ``kind`` and
    ``energy_scores`` of what was written or the ``reason`` why nothing was; else empty."""
    seed: int
    convolutions: str
    """Precision of the decoder's convolutions in training."""
    seconds: float
    """Wall-clock time of the run; of a resumed one, since it was resumed."""
    task_seconds: dict[str, float]
    """The part of ``seconds`` that each task with progress took, and the checking of the clips before it."""
    versions: dict[str, str]
