#!/usr/bin/env python3
"""Compare fine-tuning a base with a cloned voice on the unchanged base, for several lengths of one speaker's data.

    python benchmarks/finetuning.py --data SPEECH/ljspeech_lj --work WORK --data-minutes 1 2 3 --steps 200

For each length, the first clips of the dataset's training part make a voice with ``clone`` and a fine-tuned base with
``train-base --finetune --voice``, which starts from that voice. Both speak six sentences that are in no dataset and the
texts of the dataset's validation part, which trains nothing. Judges are those of real_kokoro.py; likeness is the cosine
to the mean of all training clips. Finished runs are not repeated.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import soundfile
from real_kokoro import COLUMNS, SENTENCES, Judges

from voiceclone.audio.io import read_audio
from voiceclone.base_training.finetune import STRENGTH
from voiceclone.bases.base import Base, load_base
from voiceclone.cli.main import main as voiceclone
from voiceclone.data.dataset import load_dataset
from voiceclone.errors import VoicecloneError
from voiceclone.files import write_text
from voiceclone.voice.pack import VoicePack
from voiceclone.voice.speaking import speak_whole


def main() -> int:
    """Parse, train what is missing, print one row per voice."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="dataset of one speaker, with a validation part")
    parser.add_argument("--work", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--base", default="nano")
    parser.add_argument("--data-minutes", nargs="+", type=float, default=[1, 3, 5])
    parser.add_argument("--steps", type=int, default=200, help="of each fine-tuning (default: 200)")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--strength", type=float, default=STRENGTH, help="of the packed base (default: the command's)")
    parser.add_argument("--mean-style", action="store_true", help="start from the mean style, not from the clone")
    parser.add_argument("--settings", type=Path, help="JSON with other settings of the fine-tuning")
    options = parser.parse_args()
    try:
        _compare(options)
    except VoicecloneError as error:
        parser.error(str(error))
    return 0


def _compare(options: argparse.Namespace) -> None:
    base = load_base(options.base)
    dataset = load_dataset(options.data, lang="a", seed=0, vocab=base.kmodel.vocab)
    judges = Judges(dataset)
    texts = [*SENTENCES, *(clip.text for clip in dataset.validation)]
    print(f"| voice | {' | '.join(COLUMNS)} |\n|---|{'---|' * len(COLUMNS)}")
    held_out = [(read_audio(clip.path), clip.text) for clip in dataset.validation]
    print(judges.row("held-out recordings", held_out), flush=True)
    for minutes in options.data_minutes:
        data = subset(options.data, options.work / f"data-{minutes:g}", minutes)
        for seed in options.seeds:
            run = f"{minutes:g}min-seed{seed}"
            voice = _cloned(data, options, run, seed)
            print(judges.row(f"{run}, clone", _speak(base, VoicePack.load(voice), texts)), flush=True)
            tuned = _finetuned(data, options, run, seed, voice)
            (voice,) = (tuned / "voices").glob("*.pt")
            spoken = _speak(load_base(tuned), VoicePack.load(voice), texts)
            print(judges.row(f"{run}, fine-tuned", spoken), flush=True)


def subset(data: Path, out: Path, minutes: float) -> Path:
    """A copy of a dataset whose training part ends with the clip that reaches ``minutes``, without its validation."""
    if not (out / "train" / "metadata.jsonl").is_file():
        (out / "train").mkdir(parents=True, exist_ok=True)
        kept, seconds = [], 0.0
        for line in (data / "train" / "metadata.jsonl").read_text(encoding="utf-8").splitlines():
            if seconds >= 60 * minutes:
                break
            clip = data / "train" / json.loads(line)["file_name"]
            shutil.copyfile(clip, out / "train" / clip.name)
            seconds += soundfile.info(clip).duration
            kept.append(line)
        if seconds < 54 * minutes:  # a tenth less is still called so
            raise VoicecloneError(f"{data}: {seconds / 60:.1f} minutes of training clips: ask for less")
        write_text(out / "train" / "metadata.jsonl", "\n".join(kept) + "\n")
    return out


def _cloned(data: Path, options: argparse.Namespace, run: str, seed: int) -> Path:
    name = f"clone-{run}"
    voice = options.work / name / f"{name}.pt"
    if not voice.is_file():
        words = ["clone", "--data", data, "--name", name, "--base", options.base, "--out", options.work]
        _run([*words, "--seed", seed])
    return voice


def _finetuned(data: Path, options: argparse.Namespace, run: str, seed: int, voice: Path) -> Path:
    out = options.work / f"tuned-{run}"
    if not (out / "base" / "base.json").is_file():
        words = ["train-base", "--finetune", options.base, "--data", data, "--out", out, "--steps", options.steps]
        words += ["--strength", options.strength, *([] if options.mean_style else ["--voice", voice])]
        settings = ["--settings", options.settings] if options.settings else []
        _run([*words, *settings, "--seed", seed, "--resume" if (out / "checkpoint.pt").is_file() else "--overwrite"])
    return out / "base"


def _run(words: list[object]) -> None:
    if code := voiceclone([str(word) for word in words]):
        raise VoicecloneError(f"voiceclone {words[0]} ended with {code}")


def _speak(base: Base, pack: VoicePack, texts: list[str]) -> list[tuple[np.ndarray, str]]:
    """Each text spoken with a voice: audio ``(T,)`` at 24 kHz, and the text."""
    pipeline = base.pipeline("a")
    return [(np.asarray(speak_whole(pipeline, text, pack.tensor)), text) for text in texts]


if __name__ == "__main__":
    sys.exit(main())
