#!/usr/bin/env python3
"""Measure a student model against its teacher: the same voice vectors, on held-out sentences.

    python benchmarks/student.py --student work/run/base --text sentences.txt --json student.json

The last lines of the text are spoken, which scripts/speak_with_teacher.py leaves unused. Each of VOICES stock voices
speaks its share of the sentences on both models; each English stock voice speaks two further sentences for the ranking
of speakers. Needs the extra ``judges`` and Resemblyzer. None of these models is used in the training of the student.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from voiceclone.audio.features import MIN_VOICED_HZ, track_f0
from voiceclone.audio.io import SAMPLE_RATE, resample
from voiceclone.bases.base import Base, load_base
from voiceclone.distributed import convolution_dtype
from voiceclone.errors import VoicecloneError
from voiceclone.evaluation.metrics_words import load_word_recognizer
from voiceclone.files import write_json
from voiceclone.models.frozen_kokoro import FrozenKokoro, SynthesizedUtterance
from voiceclone.nets.resemblyzer import required_resemblyzer
from voiceclone.text.g2p import Phonemizer
from voiceclone.voice.pack import VoicePack

VOICES = (
    "af_heart", "af_bella", "af_nicole", "am_adam", "am_michael", "am_puck", "bf_emma", "bf_lily", "bm_george",
    "bm_lewis",
)  # fmt: skip
FOR_RANKING = 2  # further sentences that every stock voice speaks, others on each of the models


@dataclass(kw_only=True)
class Measured:
    """Measures of one model, one entry per utterance or voice."""

    errors: list[tuple[float, float]] = field(default_factory=list)  # wrong words, words
    opinions: list[float] = field(default_factory=list)
    pitches: list[float] = field(default_factory=list)  # median F0 of the audio, semitones
    predicted: list[float] = field(default_factory=list)  # median F0 that the predictor gave the decoder, semitones
    frames: list[float] = field(default_factory=list)  # length without BOS and EOS
    speakers: dict[str, np.ndarray] = field(default_factory=dict)  # mean vector over the further sentences

    def summary(self) -> dict[str, float]:
        """Means over the utterances."""
        wrong, words = np.sum(self.errors, axis=0)
        return {"word_errors_percent": 100 * float(wrong / words), "mos": float(np.mean(self.opinions))}


def main() -> int:
    """Parse, speak with both, print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--student", required=True, help="folder of a student's base")
    parser.add_argument("--teacher", default="kokoro")
    parser.add_argument("--text", type=Path, required=True, help="one sentence a line")
    parser.add_argument("--sentences", type=int, default=100)
    parser.add_argument("--json", type=Path, help="file for the figures")
    options = parser.parse_args()
    try:
        lines = [line.strip() for line in options.text.read_text(encoding="utf-8").splitlines()]
        lines = [line for line in lines if 30 < len(line) < 120][-(options.sentences + 2 * FOR_RANKING) :]
        student, teacher = (Speaking(load_base(which, offline=True)) for which in (options.student, options.teacher))
        judges = Judges()
        spoken, first, second = (
            lines[: -2 * FOR_RANKING],
            lines[-2 * FOR_RANKING : -FOR_RANKING],
            lines[-FOR_RANKING:],
        )
        found = {
            "student": measure(student, judges, spoken, first),
            "teacher": measure(teacher, judges, spoken, second),
        }
    except VoicecloneError as error:
        parser.error(str(error))
    figures = compare(**found)
    print("| figure | student | teacher |\n|---|---|---|")
    for name, (ours, theirs) in figures.items():
        print(f"| {name} | {ours:.3f} | {'' if theirs is None else f'{theirs:.3f}'} |")
    by_voice = pitch_by_voice(**found)
    print("\n| median F0, semitones | audio | as predicted |\n|---|---|---|")
    for voice, (audio, predicted) in by_voice.items():
        print(f"| {voice} | {audio:.2f} | {predicted:.2f} |")
    if options.json is not None:
        write_json(options.json, {**figures, "median F0 by voice": by_voice})
    return 0


class Speaking:
    """A model that speaks English sentences with its stock voices."""

    def __init__(self, base: Base) -> None:
        device = torch.device("cpu")
        if missing := sorted(set(VOICES) - set(base.stock_voices)):
            raise VoicecloneError(f"{base.title} has no voice {missing[0]}: it is not a student of Kokoro-82M")
        self.voices = {name: base.stock_voices[name] for name in base.stock_voices if name.startswith(("a", "b"))}
        self.kokoro = FrozenKokoro(base.kmodel, device, convolutions=convolution_dtype("auto", device))
        self.phonemizers = {lang: Phonemizer(lang) for lang in "ab"}

    @torch.no_grad()
    def speak(self, sentence: str, name: str, seed: int) -> SynthesizedUtterance:
        """A sentence by a stock voice, all prosody predicted."""
        pack: VoicePack = self.voices[name]
        text = self.kokoro.text(self.phonemizers[name[0]].phonemes(sentence))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self.kokoro.utter(text, pack.row(text.phoneme_count))


class Judges:
    """Whisper, DistilMOS and Resemblyzer."""

    def __init__(self) -> None:
        import distillmos

        words, reason = load_word_recognizer("a")
        if words is None:
            raise VoicecloneError(reason)
        self.words, self.speakers = words, required_resemblyzer()
        self.opinion = distillmos.ConvTransformerSQAModel().eval()

    @torch.no_grad()
    def mos(self, audio: np.ndarray) -> float:
        """Predicted mean opinion score of audio ``(T,)`` at 24 kHz."""
        return float(self.opinion(torch.from_numpy(resample(audio, SAMPLE_RATE, 16_000))[None]))


def measure(model: Speaking, judges: Judges, spoken: list[str], further: list[str]) -> Measured:
    """Everything that is measured of one model; every stock voice speaks the ``further`` sentences."""
    found = Measured()
    for number, sentence in enumerate(spoken):
        said = model.speak(sentence, VOICES[number % len(VOICES)], number)
        audio = said.audio.numpy()
        found.errors.append(judges.words.error_rate(audio, sentence))
        found.opinions.append(judges.mos(audio))
        found.pitches.append(median_semitones(track_f0(audio), 0.0))
        found.predicted.append(median_semitones(said.f0.numpy(), MIN_VOICED_HZ))
        found.frames.append(float(said.durations[1:-1].sum()))
    for voice in model.voices:
        heard = [judges.speakers.embed(model.speak(s, voice, n).audio.numpy()) for n, s in enumerate(further)]
        mean = np.mean(heard, axis=0)
        found.speakers[voice] = mean / np.linalg.norm(mean)
    return found


def median_semitones(f0: np.ndarray, unvoiced_hz: float) -> float:
    """The median of F0 above ``unvoiced_hz``, in semitones above 1 Hz; NaN with five voiced frames or fewer."""
    voiced = f0[f0 > unvoiced_hz]
    return 12 * float(np.log2(np.median(voiced))) if voiced.size > 5 else float("nan")


def differences(ours: list[float], theirs: list[float]) -> np.ndarray:
    """Absolute differences, one per utterance; NaN where one of the two is."""
    return np.abs(np.subtract(ours, theirs))


def pitch_by_voice(student: Measured, teacher: Measured) -> dict[str, tuple[float, float]]:
    """Mean absolute difference of the median F0 in semitones, for each voice: of the audio, and as predicted."""
    audio, predicted = differences(student.pitches, teacher.pitches), differences(student.predicted, teacher.predicted)
    turns = {voice: slice(number, None, len(VOICES)) for number, voice in enumerate(VOICES[: len(audio)])}
    return {voice: (float(np.nanmean(audio[t])), float(np.nanmean(predicted[t]))) for voice, t in turns.items()}


def compare(student: Measured, teacher: Measured) -> dict[str, tuple[float, float | None]]:
    """The table's rows: the student's figure and the teacher's, if it has one."""
    ours, theirs = student.summary(), teacher.summary()
    names = list(teacher.speakers)
    cosines = np.array([[student.speakers[a] @ teacher.speakers[b] for b in names] for a in names])
    among = np.array([[teacher.speakers[a] @ teacher.speakers[b] for b in names] for a in names])
    apart = among[~np.eye(len(names), dtype=bool)].mean()
    own = cosines.diagonal()
    return {
        "word errors, % (Whisper)": (ours["word_errors_percent"], theirs["word_errors_percent"]),
        "MOS (DistilMOS)": (ours["mos"], theirs["mos"]),
        "speaker cosine student-teacher, same vector, other sentences": (float(own.mean()), None),
        "speaker cosine between two stock voices of the teacher, the same sentences": (float(apart), None),
        "own teacher first among the stock voices, %": (
            100 * float(np.mean(cosines.argmax(axis=1) == np.arange(len(names)))),
            None,
        ),
        "median F0, mean absolute difference, semitones": (
            float(np.nanmean(differences(student.pitches, teacher.pitches))),
            None,
        ),
        "the same, as predicted": (
            float(np.nanmean(differences(student.predicted, teacher.predicted))),
            None,
        ),
        "length, mean absolute difference, %": (
            100 * float(np.mean(np.abs(np.divide(student.frames, teacher.frames) - 1))),
            None,
        ),
        "length, difference of the sums, %": (
            100 * float(np.sum(student.frames) / np.sum(teacher.frames) - 1),
            None,
        ),
    }


if __name__ == "__main__":
    sys.exit(main())
