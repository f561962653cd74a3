"""Recordings for the tests of ``prepare``, with known words and times."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from voiceclone.base_training.recording_synthesis import SynthesizedRecording

RATE = 22_050  # Hz
SPEAKER = "en-us+m7"
SENTENCES = (
    "A pleasant breeze moved slowly through the open window.",
    "She measured the length of the garden with a piece of string.",
    "They chose a quiet beach, far away from the noisy harbour.",
    "Nobody knows why the old clock stopped that night.",
    "George usually takes the longer way home to enjoy the view.",
    "Fresh bread, butter and honey were waiting on the kitchen table.",
    "My brother repaired both of the broken chairs in the yard.",
    "It is a pleasure to hear such joyful music again.",
)


@dataclass(frozen=True, kw_only=True)
class Talk:
    """A recording."""

    path: Path
    made: SynthesizedRecording

    @property
    def spans(self) -> tuple[tuple[float, float, str], ...]:
        """Start and end in seconds, and text of each sentence."""
        return self.made.spans

    @property
    def words(self) -> tuple[tuple[int, float], ...]:
        """Index of a word's first character in the text, and where it starts, seconds; words read as one come once."""
        return self.made.words

    @property
    def text(self) -> str:
        """The whole text."""
        return self.made.text

    def subtitles(self, comma: str = ",", late: float = 0.0) -> str:
        """The spans as SRT (WebVTT with ``comma='.'``), their times out by up to ``late`` seconds."""
        blocks = [] if comma == "," else ["WEBVTT\n"]
        for number, (start, end, text) in enumerate(self.spans):
            shift = late if number % 2 else -late
            times = f"{stamp(max(start + shift, 0.0), comma)} --> {stamp(end + shift, comma)}"
            blocks.append(f"{number + 1}\n{times}\n{text}\n")
        return "\n".join(blocks)


def stamp(seconds: float, comma: str = ",") -> str:
    """``HH:MM:SS,mmm``."""
    ms = round(1000 * seconds)
    return f"{ms // 3_600_000:02d}:{ms // 60_000 % 60:02d}:{ms // 1000 % 60:02d}{comma}{ms % 1000:03d}"


def plain_words(text: str) -> list[str]:
    """Its words without marks, in small letters."""
    return re.findall(r"[a-z0-9']+", text.lower())


def spoken(text: str, voice: str = SPEAKER) -> tuple[np.ndarray, list[tuple[int, float]]]:
    """A sentence at :data:`RATE`, its silences at both ends cut off; index and start (seconds) of its words."""
    from voiceclone.base_training.recording_synthesis import synthesize_sentence
    from voiceclone.text.espeak import EspeakSynthesizer

    audio, words, rate = synthesize_sentence(EspeakSynthesizer(), text, voice)
    assert rate == RATE
    return audio, words


def speak_talk(
    path: Path,
    sentences: Sequence[str],
    *,
    voices: Sequence[str] = (SPEAKER,),
    noise_db: float = -60.0,
    gain: float = 1.0,
    subtype: str | None = None,
) -> Talk:
    """Write a recording of ``sentences``, spoken by ``voices`` in turn, a pause of half a second after each.

    Args:
        noise_db: white noise, dB re full scale.
        gain: of the sum; above 1 the file may be clipped.
    """
    from voiceclone.base_training.recording_synthesis import synthesize_recording

    made = synthesize_recording(sentences, voices)
    assert made.sample_rate == RATE
    noise = 10 ** (noise_db / 20) * np.random.default_rng(0).standard_normal(len(made.audio))
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.clip(gain * (made.audio + noise), -1.0, 1.0), RATE, subtype=subtype)
    return Talk(path=path, made=made)
