#!/usr/bin/env python3
"""Measure voices on a base by Whisper's word errors, predicted opinion scores, and two speaker encoders.

    python benchmarks/real_kokoro.py --base kokoro --run output/v --data SPEECH/librispeech_1688

Speaks sentences that are in no dataset with the clone of a finished run and with the voices it is compared with, and
prints them beside the held-out recordings. Likeness is the cosine to the mean of the training clips' vectors. Needs the
extras ``judges`` and Resemblyzer; CAM++, the strongest speaker encoder, is measured where its package is installed
(voiceclone/nets/campplus.py).
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
import torch

from voiceclone.audio.io import SAMPLE_RATE, read_audio, resample
from voiceclone.bases.base import Base, load_base
from voiceclone.data.dataset import Clip, Dataset, load_dataset
from voiceclone.errors import UsageError, VoicecloneError
from voiceclone.evaluation.api import run_facts
from voiceclone.evaluation.metrics import SpeakerEncoder, measure_pitch, spoken_seconds
from voiceclone.evaluation.metrics_words import load_word_recognizer
from voiceclone.files import write_json
from voiceclone.models.checkpoint import read_safetensors
from voiceclone.nets.campplus import load_campplus
from voiceclone.nets.resemblyzer import required_resemblyzer
from voiceclone.nets.xvector import load_speaker_net
from voiceclone.voice.pack import VoicePack
from voiceclone.voice.speaking import speak_whole

SENTENCES = (
    "The river was quiet, and only two of the boats had their lamps lit.",
    "Could you bring me the second volume, please, and close the window?",
    "He had never seen so many people waiting for a single train.",
    "A cold wind blew across the hills while we were looking for the path.",
    "Most of the money was spent on paper, thread, and a new pair of shoes.",
    "If it rains again tomorrow, we shall have to move the table indoors.",
)
ENCODERS = ("resemblyzer", "xvector", "campplus")
COLUMNS = (*ENCODERS, "WER %", "MOS", "chars/s", "F0 Hz")
DIGITS = dict(zip(COLUMNS, (3, 3, 3, 1, 2, 1, 0), strict=True))


def main() -> int:
    """Parse, speak, measure, print one row per voice."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--base", default="kokoro")
    parser.add_argument("--run", type=Path, required=True, help="output folder of a finished clone")
    parser.add_argument("--data", type=Path, required=True, help="the dataset it was made from")
    parser.add_argument(
        "--others", type=Path, nargs="*", default=[], help="datasets of other speakers: how near strangers come"
    )
    parser.add_argument(
        "--also", type=Path, nargs="*", default=[], help="further voices, such as that of random_walk.py"
    )
    parser.add_argument("--results", type=Path, help="folder for RUN.json, which real_kokoro_table.py reads")
    parser.add_argument("--wavs", type=Path, help="folder to leave the speech in")
    options = parser.parse_args()
    try:
        base = load_base(options.base, offline=True)
        dataset = dataset_of(options.run, options.data, base)
        judges = Judges(dataset)
        voices = {**_voices(options.run), **{path.stem: VoicePack.load(path) for path in options.also}}
        print(
            f"| {options.run.name} on {base.title} | {' | '.join(COLUMNS)} |\n|---|{'---|' * len(COLUMNS)}", flush=True
        )
        held_out = [(read_audio(clip.path), clip.text) for clip in dataset.validation]
        found = {"held-out recordings": judges.measure(held_out)}
        print(row_of("held-out recordings", found["held-out recordings"]), flush=True)
        if options.others:
            others = [data for data in options.others if data.resolve() != options.data.resolve()]
            strangers = [read_audio(clip.path) for data in others for clip in _load(data, base).validation]
            found["recordings of other speakers"] = judges.likeness(strangers)
            print(row_of("recordings of other speakers", found["recordings of other speakers"]), flush=True)
        for name, pack in voices.items():
            spoken = speak(base, pack)
            found[name] = judges.measure(spoken)
            print(row_of(name, found[name]), flush=True)
            if options.wavs is not None:
                _keep(options.wavs, f"{options.run.name}_{name}", spoken)
        if options.results is not None:
            report = json.loads((options.run / "report.json").read_text(encoding="utf-8"))
            about = {name: report[name] for name in ("seed", "seconds", "epochs", "without")}
            errors = {**report["metrics"]["after"], **delivery_errors(dataset)}
            result = {"speaker": options.data.name, **about, **errors, "voices": found}
            write_json(options.results / f"{options.run.name}.json", result)
    except VoicecloneError as error:
        parser.error(str(error))
    return 0


class Judges:
    """The models that measure speech; the speaker's mean vectors are those of the training clips."""

    def __init__(self, dataset: Dataset) -> None:
        import distillmos

        words, reason = load_word_recognizer("a")
        if words is None:
            raise VoicecloneError(reason)
        self.words = words
        self.encoders: dict[str, SpeakerEncoder] = {
            "resemblyzer": required_resemblyzer(),
            "xvector": load_speaker_net(),
        }
        if (strong := load_campplus()) is not None:
            self.encoders["campplus"] = strong
        self.opinion = distillmos.ConvTransformerSQAModel().eval()
        self.centres = {name: _centre(net, dataset.train) for name, net in self.encoders.items()}

    def row(self, name: str, spoken: list[tuple[np.ndarray, str]]) -> str:
        """A row of the table for pieces of speech ``(T,)`` at 24 kHz and what they say."""
        return row_of(name, self.measure(spoken))

    @torch.no_grad()
    def measure(self, spoken: list[tuple[np.ndarray, str]]) -> dict[str, float]:
        """The value of each of :data:`COLUMNS` for pieces of speech ``(T,)`` at 24 kHz and what they say."""
        wrong, count = np.sum([self.words.error_rate(a, text) for a, text in spoken], axis=0)
        opinions = [float(self.opinion(torch.from_numpy(resample(a, SAMPLE_RATE, 16_000))[None])) for a, _ in spoken]
        rate = sum(len(text) for _, text in spoken) / sum(spoken_seconds(a) for a, _ in spoken)
        pitches = [pitch.mean for pitch in (measure_pitch(a) for a, _ in spoken) if pitch is not None]
        return {
            **self.likeness([audio for audio, _ in spoken]),
            "WER %": float(100 * wrong / count),
            "MOS": float(np.mean(opinions)),
            "chars/s": rate,
            "F0 Hz": 2 ** (float(np.median(pitches)) / 12) if pitches else math.nan,
        }

    def likeness(self, audios: list[np.ndarray]) -> dict[str, float]:
        """Mean cosine of pieces of speech ``(T,)`` at 24 kHz to the speaker, by each encoder; NaN without CAM++."""
        near = {n: float(np.mean([net.embed(a) @ self.centres[n] for a in audios])) for n, net in self.encoders.items()}
        return {name: near.get(name, math.nan) for name in ENCODERS}


def delivery_errors(dataset: Dataset) -> dict[str, float]:
    """How far the held-out clips are from the training clips: the errors of a voice with the latter's pitch and rate.

    Returns:
        ``f0_of_clips_semitones``: mean |pitch of a held-out clip - median over the training clips|;
        ``rate_of_clips_percent``: the same for characters per second without pauses, relative.
    """
    train, held_out = (np.array([_delivery(clip) for clip in clips]) for clips in (dataset.train, dataset.validation))
    pitch, rate = np.nanmean(np.abs(held_out - np.nanmedian(train, axis=0)), axis=0)
    return {"f0_of_clips_semitones": float(pitch), "rate_of_clips_percent": 100.0 * float(np.expm1(rate))}


def _delivery(clip: Clip) -> tuple[float, float]:
    """Mean pitch of a clip in semitones (NaN where nothing is voiced), and the logarithm of its characters a second."""
    audio = read_audio(clip.path)
    pitch = measure_pitch(audio)
    return math.nan if pitch is None else pitch.mean, math.log(len(clip.text) / spoken_seconds(audio))


def row_of(name: str, values: dict[str, float]) -> str:
    """A row of a table; columns without a value have a dash."""
    cells = (f"{values[c]:.{DIGITS[c]}f}" if c in values else "-" for c in COLUMNS)
    return f"| {name} | {' | '.join(cells)} |"


def dataset_of(run: Path, data: Path, base: Base) -> Dataset:
    """The dataset of a run, split as in it.

    Raises:
        UsageError: the clips, or their split, are not those that the voice was made from.
    """
    facts = run_facts(run / f"{run.name}.pt")
    found = load_dataset(data, lang="a", seed=facts.get("seed", 0), vocab=base.kmodel.vocab)
    if facts.get("fingerprint", found.fingerprint) != found.fingerprint:
        raise UsageError(f"{data}: is not the dataset that {run} was made from, or has changed since")
    return found


def _load(data: Path, base: Base) -> Dataset:
    return load_dataset(data, lang="a", seed=0, vocab=base.kmodel.vocab)


def _centre(net: SpeakerEncoder, clips: Sequence[Clip]) -> np.ndarray:
    mean = np.mean([net.embed(read_audio(clip.path)) for clip in clips], axis=0)
    return mean / np.linalg.norm(mean)


def _voices(run: Path) -> dict[str, VoicePack]:
    found = read_safetensors(run / "artifacts" / "candidates.safetensors")
    voices = {name: VoicePack(tensor, name) for name, tensor in sorted(found.items())}
    return {**voices, "clone": VoicePack.load(run / f"{run.name}.pt")}


def speak(base: Base, pack: VoicePack) -> list[tuple[np.ndarray, str]]:
    """Each of :data:`SENTENCES` spoken with a voice: audio ``(T,)`` at 24 kHz, and the text."""
    pipeline = base.pipeline("a")
    return [(np.asarray(speak_whole(pipeline, text, pack.tensor)), text) for text in SENTENCES]


def _keep(folder: Path, stem: str, spoken: list[tuple[np.ndarray, str]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as aside:
        for number, (audio, _) in enumerate(spoken):
            path = Path(aside) / f"{stem}_{number}.wav"
            soundfile.write(path, audio, SAMPLE_RATE)
            path.replace(folder / path.name)


if __name__ == "__main__":
    sys.exit(main())
