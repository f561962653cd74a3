"""The level and the silences at both ends that speech of a training corpus has, before it is aligned or measured."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from voiceclone.audio.features import FRAME_SAMPLES, SAMPLE_RATE
from voiceclone.system.compiled import load_librosa
from voiceclone.text.espeak import PhonemeEvent

LEVEL_RMS = 0.06  # full scale 1.0, over the whole utterance
LEAD_FRAMES, TAIL_FRAMES = 4, 6  # silence before and after, frames of 25 ms: BOS and EOS own it


def condition(audio: np.ndarray) -> np.ndarray:
    """Bring recorded speech ``(T,)`` to the level and silences: trimmed at 35 dB, 0.1 s before, 0.15 s after."""
    librosa = load_librosa()
    _, (first, last) = librosa.effects.trim(audio, top_db=35)
    lead, tail = LEAD_FRAMES * FRAME_SAMPLES, TAIL_FRAMES * FRAME_SAMPLES
    first, last = max(first - lead, 0), min(last + tail, len(audio))
    body = audio[first:last]
    body = body * (LEVEL_RMS / max(float(np.sqrt(np.mean(body**2))), 1e-6))
    return np.pad(body, (0, -len(body) % FRAME_SAMPLES)).astype(np.float32)


def trim_and_level(audio: np.ndarray, events: Sequence[PhonemeEvent]) -> tuple[np.ndarray, list[PhonemeEvent]]:
    """Give 24 kHz speech ``(T,)`` its fixed silences and level; T becomes a multiple of 600; events move along."""
    loud = np.flatnonzero(np.abs(audio) > 1e-3)
    first, last = (int(loud[0]), int(loud[-1]) + 1) if len(loud) else (0, len(audio))
    body = audio[first:last]
    frames = LEAD_FRAMES + -(-len(body) // FRAME_SAMPLES) + TAIL_FRAMES
    padded = np.zeros(frames * FRAME_SAMPLES, dtype=np.float32)
    lead = LEAD_FRAMES * FRAME_SAMPLES
    padded[lead : lead + len(body)] = body
    # Digital silence has a log-mel far below anything else: a breath of noise keeps the features in range.
    noise = np.random.default_rng(len(body)).standard_normal(len(padded)).astype(np.float32)
    padded = padded * (LEVEL_RMS / max(float(np.sqrt(np.mean(body**2))), 1e-6)) + 3e-4 * noise
    shift = (lead - first) / SAMPLE_RATE
    moved = [PhonemeEvent(ipa=e.ipa, start=max(e.start + shift, 0.0)) for e in events]
    return np.clip(padded, -0.99, 0.99), moved
