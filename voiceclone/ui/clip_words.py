"""Quality verdict of a clip, in words for the person who recorded it: what is wrong and how it affects the voice."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from voiceclone.alignment.recording_features import read_features
from voiceclone.data.quality import Measurement, QualityLimits, measure_audio
from voiceclone.errors import VoicecloneError
from voiceclone.prepare.clips import ClipLimits, noise_and_silence

DULL_HZ = 9_000.0  # Hz; a clip without speech above it was recorded at 16 kHz or band-limited by a codec
MUFFLED_HZ = 5_000.0  # Hz; a clip without speech above it has telephone bandwidth
GOOD, FAIR, UNFIT = "good", "fair", "unfit"

_PROBLEMS = {
    "silent": "No speech is heard in it. Check that the right microphone is on.",
    "too quiet": "Too quiet: the hiss of the room would be cloned with the voice. Speak nearer to the microphone.",
    "clipped": "Distorted: it is louder than a recording can hold, and the voice would sound harsh. Turn the "
    "microphone down and record it again.",
    "scaled wrongly": "Its samples lie far beyond full scale. Save it again as 16-bit WAV.",
    "too short": "Too short: a clip needs about a second of speech.",
    "too long": "Too long for one clip. Give it as one long recording, which is then cut.",
    "cut short": "The file ends before its header says so. Copy it again.",
    "empty": "The file holds no sound.",
    "not finite": "The file is damaged. Save it again.",
    "unreadable": "The file cannot be read as sound. Save it as WAV or FLAC.",
    "interrupted": "The computer was too busy to take all sound. Record it again.",
}


@dataclass(frozen=True, kw_only=True)
class ClipVerdict:
    """The quality grade of a clip and the text that explains it."""

    grade: str
    """``good``, ``fair`` (used, but lowers the quality of the voice) or ``unfit`` (left out of the training)."""
    words: str
    """The explanation shown to the visitor: one or two sentences."""
    seconds: float
    """Length in seconds; 0 where the file cannot be read."""


def judge_clip(path: Path) -> ClipVerdict:
    """Measure a sound file and grade it. Raises nothing for faults of the file: they become the verdict ``unfit``."""
    measured = measure_audio(path, QualityLimits())
    snr_db = None
    if measured.problem is None:
        try:
            heard = read_features(path)
            snr_db, _ = noise_and_silence(heard, heard.energy < heard.silence_db, 0.0, heard.seconds)
        except VoicecloneError:
            snr_db = None
    return in_words(measured, snr_db)


def in_words(measured: Measurement, snr_db: float | None, limits: ClipLimits | None = None) -> ClipVerdict:
    """Turn a clip's measurement into a verdict.

    Args:
        measured: level, clipping, bandwidth and length of the clip.
        snr_db: signal-to-noise ratio of the speech in dB; None where it could not be measured.
        limits: thresholds; the defaults of ``voiceclone prepare`` when None.
    """
    limits = limits or ClipLimits()
    seconds = measured.seconds or 0.0
    if measured.problem is not None:
        kind, _, detail = measured.problem.partition(":")
        return ClipVerdict(grade=UNFIT, words=_PROBLEMS.get(kind, f"{kind.capitalize()}:{detail}."), seconds=seconds)
    found = []
    if snr_db is not None and snr_db < limits.min_snr_db:
        found.append("Noisy: the noise would be cloned with the voice. Record in a quieter place.")
    if measured.clipped is not None and measured.clipped > limits.max_clipped:
        found.append("Its loudest moments are distorted, which may make the voice a little harsh.")
    if measured.bandwidth_hz is not None and measured.bandwidth_hz < DULL_HZ:
        found.append(_dull(measured.bandwidth_hz))
    if any(warning.startswith("may end within a word") for warning in measured.warnings):
        found.append("The last word may be cut off. Leave a moment of silence at the end.")
    if any(warning.startswith("channels cancel") for warning in measured.warnings):
        found.append("Its two channels cancel each other, so only the louder one is used.")
    return ClipVerdict(grade=FAIR if found else GOOD, words=" ".join(found) or "Good recording.", seconds=seconds)


def _dull(bandwidth_hz: float) -> str:
    up_to = f"It holds sound up to {bandwidth_hz / 1000:.0f} kHz only"
    if bandwidth_hz < MUFFLED_HZ:
        return f"{up_to}, as over a telephone: the voice will sound muffled."
    return f"{up_to}, as a 16 kHz recording does: the voice will sound a little dull."
