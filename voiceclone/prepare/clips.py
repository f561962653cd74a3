"""Cutting clips: a segment is measured at its own rate, normalised in loudness, and written as 24 kHz mono WAV."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from voiceclone.alignment.recording_features import CELL, RecordingFeatures, blocks
from voiceclone.audio.cleaning import without_rumble
from voiceclone.audio.io import SAMPLE_RATE, probe, resample, write_wav
from voiceclone.data.quality import QualityLimits, measure_samples
from voiceclone.files import write_json

if TYPE_CHECKING:
    from voiceclone.nets.resemblyzer import Embed

HIGHEST_PEAK = 0.97  # full scale 1.0
FADE_SECONDS = 0.01  # at both ends, so that a cut in room noise does not click
_CONTEXT = 1.0  # seconds
_MEASURABLE_DB = 80.0


@dataclass(frozen=True, kw_only=True)
class PlannedClip:
    """A segment of a recording and its text; if it has a problem it is listed but not cut."""

    name: str | None
    """File name without suffix; None if it is not cut."""
    recording: int
    start: float
    """Seconds in the recording."""
    end: float
    text: str
    score: float | None = None
    """Fit of text and audio, 0-1; None if they were not aligned."""
    weakest: float | None = None
    """The same for the worst second."""
    snr_db: float | None = None
    silence: float | None = None
    """Share of the clip that is silent, 0-1."""
    problem: str | None = None


@dataclass(frozen=True, kw_only=True)
class ClipLimits:
    """Limits for a clip in addition to :class:`~voiceclone.data.quality.QualityLimits`."""

    min_score: float = 0.5
    """Fit of text and audio. Clips of five recorded speakers with their texts have 0.55 to 0.74, of speech with another
    text 0.43 to 0.6 (most of that is too short or too patchy for a clip)."""
    min_weakest: float = 0.35
    """Fit of the worst second."""
    min_snr_db: float = 20.0
    """Signal-to-noise ratio, dB, see :func:`noise_and_silence`. Clean recordings have 40 to 50."""
    max_silence: float = 0.6
    """Share of the clip that is silent."""
    max_clipped: float = 0.001
    """Share of samples in runs of three or more at full scale, in the recording."""


def noise_and_silence(
    sound: RecordingFeatures, silent: np.ndarray, start: float, end: float
) -> tuple[float | None, float]:
    """Signal-to-noise ratio in dB (None without speech), and the share of silence (0 to 1).

    The noise is the quietest tenth of the clip and a second around it. Both are energies of mel bands, in which low
    frequencies count most: white noise is measured about 10 dB too low.

    Args:
        sound: the recording. silent: bool, one value per 10 ms of it.
        start: of the clip, seconds. end: of the clip.
    """
    first, last = int(start / CELL), max(int(end / CELL), int(start / CELL) + 1)
    around = sound.energy[max(0, first - int(_CONTEXT / CELL)) : last + int(_CONTEXT / CELL)]
    inside, energy = silent[first:last], sound.energy[first:last]
    if not len(inside) or inside.all():
        return None, 1.0
    speech = 10.0 * np.log10(np.mean(10.0 ** (energy[~inside] / 10.0)))
    noise = float(np.mean(np.sort(around)[: max(1, len(around) // 10)]))
    return float(min(speech - noise, _MEASURABLE_DB)), float(inside.mean())


def write_clips(
    path: Path,
    planned: Sequence[PlannedClip],
    folder: Path,
    *,
    loudness: float,
    limits: ClipLimits,
    embed: Embed | None = None,
) -> Iterator[tuple[PlannedClip, dict[str, Any]]]:
    """Cut clips that do not exist yet into ``folder/NAME.wav``; the measurements are in ``NAME.json`` beside it.

    Args:
        loudness: of the clips, LUFS.
        embed: audio ``(T,)`` at 24 kHz to a vector of its speaker.

    Yields:
        every clip in order of time with its measurements: those of :class:`~voiceclone.data.quality.Measurement`, the
        gain, and ``problem`` if it must not be used; then there is no WAV.

    Raises:
        VoicecloneError: the recording cannot be read, or the folder not written.
    """
    waiting = sorted(planned, key=lambda clip: (clip.start, clip.end))
    todo = [clip for clip in waiting if read_record(folder / f"{clip.name}.json") is None]
    stretches = _stretches(path, [(clip.start, clip.end) for clip in todo]) if todo else iter(())
    for clip in waiting:
        record = read_record(folder / f"{clip.name}.json")
        if record is None:
            samples, rate = next(stretches)
            record = _write_clip(samples, rate, clip, folder, loudness, limits, embed)
        yield clip, record


def read_record(path: Path) -> dict[str, Any] | None:
    """The measurements of a finished clip, else None."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) and "problem" in record else None


def _write_clip(
    samples: np.ndarray,
    rate: int,
    clip: PlannedClip,
    folder: Path,
    loudness: float,
    limits: ClipLimits,
    embed: Embed | None,
) -> dict[str, Any]:
    seconds = clip.end - clip.start
    quality = QualityLimits(min_seconds=0.5 * seconds, max_seconds=2.0 * seconds + 1.0, max_clipped=limits.max_clipped)
    measured = measure_samples(samples, rate, quality)
    record = asdict(measured) | {"warnings": list(measured.warnings)}
    record["problem"] = measured.problem or _problem(clip, limits)
    if record["problem"] is None:
        audio = resample(without_rumble(samples, rate), rate)
        before = integrated_loudness(audio)
        if before is None:
            record["problem"] = "silent: no loudness can be measured"
        else:
            gain = min(10.0 ** ((loudness - before) / 20.0), HIGHEST_PEAK / max(float(np.abs(audio).max()), 1e-9))
            record |= {"loudness_before": round(before, 2), "gain_db": round(float(20.0 * np.log10(gain)), 2)}
            audio = _faded(audio * np.float32(gain))
            write_wav(folder / f"{clip.name}.wav", audio)
            if embed is not None:
                record["speaker_vector"] = np.round(embed(audio), 5).tolist()
    for name in ("seconds", "level_dbfs", "peak", "clipped", "offset"):
        record[name] = None if record[name] is None else round(record[name], 4)
    # Written last: a clip with a record is complete.
    write_json(folder / f"{clip.name}.json", record)
    return record


def _problem(clip: PlannedClip, limits: ClipLimits) -> str | None:
    if clip.snr_db is not None and clip.snr_db < limits.min_snr_db:
        return f"noisy: speech is {clip.snr_db:.0f} dB over the noise, at least {limits.min_snr_db:g} dB"
    if clip.silence is not None and clip.silence > limits.max_silence:
        return f"mostly silent: {100 * clip.silence:.0f} % of it, at most {100 * limits.max_silence:g} %"
    return None


def integrated_loudness(audio: np.ndarray) -> float | None:
    """Loudness of 24 kHz mono ``(T,)`` in LUFS after ITU-R BS.1770-4; None if it is silent or shorter than 0.4 s."""
    import torch
    import torchaudio

    if len(audio) < 0.4 * SAMPLE_RATE:
        return None
    value = float(torchaudio.functional.loudness(torch.from_numpy(np.ascontiguousarray(audio))[None], SAMPLE_RATE))
    return value if np.isfinite(value) else None


def _faded(audio: np.ndarray) -> np.ndarray:
    length = min(int(FADE_SECONDS * SAMPLE_RATE), len(audio) // 2)
    ramp = np.linspace(0.0, 1.0, length, endpoint=False, dtype=np.float32)
    audio = audio.copy()
    audio[:length] *= ramp
    audio[len(audio) - length :] *= ramp[::-1]
    return audio


def _stretches(path: Path, spans: Sequence[tuple[float, float]]) -> Iterator[tuple[np.ndarray, int]]:
    """Samples of ascending segments (seconds) and their rate; reads from the start, as not every format can seek."""
    rate = probe(path).sample_rate
    stream = blocks(path)
    held, offset = np.zeros(0, dtype=np.float32), 0
    for start, end in spans:
        first, last = round(start * rate), round(end * rate)
        if first > offset:
            drop = min(first - offset, len(held))
            held, offset = held[drop:], offset + drop
        while offset + len(held) < last:
            block = next(stream, None)
            if block is None:
                break
            if offset + len(held) + len(block) <= first:
                # This block is not needed.
                held, offset = held[:0], offset + len(held) + len(block)
                continue
            held = np.concatenate([held, block])
            if first > offset:
                drop = min(first - offset, len(held))
                held, offset = held[drop:], offset + drop
        yield held[max(first - offset, 0) : max(last - offset, 0)], rate
