"""Normalise the level and the leading and trailing silence of training speech before it is aligned or measured."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from voiceclone.audio.features import FRAME_SAMPLES, SAMPLE_RATE
from voiceclone.system.compiled import load_librosa
from voiceclone.text.espeak import PhonemeEvent

LEVEL_RMS = 0.06  # RMS over the whole utterance, relative to full scale 1.0
# leading and trailing silence in frames of 25 ms; these are the durations of BOS and EOS
LEAD_FRAMES, TAIL_FRAMES = 4, 6


def condition(audio: np.ndarray) -> np.ndarray:
    """Normalise recorded speech ``(T,)`` at 24 kHz: trimmed at 35 dB, with 0.1 s of silence before and 0.15 s after."""
    librosa = load_librosa()
    _, (first, last) = librosa.effects.trim(audio, top_db=35)
    lead, tail = LEAD_FRAMES * FRAME_SAMPLES, TAIL_FRAMES * FRAME_SAMPLES
    first, last = max(first - lead, 0), min(last + tail, len(audio))
    body = audio[first:last]
    body = body * (LEVEL_RMS / max(float(np.sqrt(np.mean(body**2))), 1e-6))
    return np.pad(body, (0, -len(body) % FRAME_SAMPLES)).astype(np.float32)


def trim_and_level(audio: np.ndarray, events: Sequence[PhonemeEvent]) -> tuple[np.ndarray, list[PhonemeEvent]]:
    """Normalise silence and level of 24 kHz speech ``(T,)``. T becomes a multiple of 600; event times are shifted."""
    loud = np.flatnonzero(np.abs(audio) > 1e-3)
    first, last = (int(loud[0]), int(loud[-1]) + 1) if len(loud) else (0, len(audio))
    body = audio[first:last]
    frames = LEAD_FRAMES + -(-len(body) // FRAME_SAMPLES) + TAIL_FRAMES
    padded = np.zeros(frames * FRAME_SAMPLES, dtype=np.float32)
    lead = LEAD_FRAMES * FRAME_SAMPLES
    padded[lead : lead + len(body)] = body
    # The log-mel of digital silence is far below that of any recording: a little noise keeps the features in range.
    noise = np.random.default_rng(len(body)).standard_normal(len(padded)).astype(np.float32)
    padded = padded * (LEVEL_RMS / max(float(np.sqrt(np.mean(body**2))), 1e-6)) + 3e-4 * noise
    shift = (lead - first) / SAMPLE_RATE
    moved = [PhonemeEvent(ipa=e.ipa, start=max(e.start + shift, 0.0)) for e in events]
    return np.clip(padded, -0.99, 0.99), moved
