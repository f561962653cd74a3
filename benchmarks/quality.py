"""Clone held-out and real speakers, compare each clone with stock voices and random walk, and print the table.

    python benchmarks/quality.py --work WORK --speakers DIR... [--seeds 0 1 2] [--without PART...] [--walk 10]

DIR is a dataset of one speaker, or one with a speaker column (each speaker is then a dataset, 60 % training). Results
are in WORK/results, one JSON file each; existing ones are not made again, so that several processes can share the work
(--part 1/2). ``--table`` prints the existing results.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from quality_table import UNTRAINED, table
from random_walk import HarmonicScore, random_walk, target_and_other

from voiceclone.bases.base import Base, load_base
from voiceclone.cloning.api import clone
from voiceclone.data.dataset import Dataset, load_dataset
from voiceclone.evaluation.report import evaluate_voices
from voiceclone.evaluation.report_results import Evaluation
from voiceclone.evaluation.voices import oracle_voice, read_candidates
from voiceclone.files import write_json
from voiceclone.models.frozen_kokoro import FrozenKokoro
from voiceclone.nets.phone_recognizer import load_recognizer
from voiceclone.nets.resemblyzer import required_resemblyzer
from voiceclone.nets.xvector import load_speaker_net
from voiceclone.voice.pack import VoicePack

STOCK_SENTENCES = 3  # training sentences for the search for the best stock voice by Resemblyzer


def main() -> int:
    """Parse, run what is missing, print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--speakers", type=Path, nargs="*", default=[])
    parser.add_argument("--only", nargs="*", help="names of speakers")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0])
    parser.add_argument("--without", nargs="*", default=[""], help="'' is the whole recipe")
    parser.add_argument("--epochs", type=int, help="of the training (default: as clone)")
    parser.add_argument("--plain-recipe", type=int, default=0, metavar="EPOCHS", help="clone by the plain recipe, too")
    parser.add_argument("--walk", type=float, default=0.0, help="random walk of so many times the clone's seconds")
    parser.add_argument("--base", default="nano")
    parser.add_argument("--part", default="1/1", help="this process's share of the speakers")
    parser.add_argument("--clone-only", action="store_true", help="make the voices, measure them another time")
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    if not options.table:
        number, of = map(int, options.part.split("/"))
        datasets = [
            d for d in find_speakers(options.speakers, options.work) if not options.only or d.name in options.only
        ]
        bench = Bench(options)
        for folder in datasets[number - 1 :: of]:
            for seed in options.seeds:
                for without in options.without:
                    bench.run(folder, seed, without)
    print(table(options.work / "results"))
    return 0


class Bench:
    """One base and its evaluation models."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.base: Base = load_base(options.base, offline=True)
        self.trained, self.untrained = required_resemblyzer(), load_speaker_net()
        self.recognizer = load_recognizer()
        self.centres: dict[str, np.ndarray] = {}

    def run(self, folder: Path, seed: int, without: str) -> None:
        """Clone, evaluate, write the result of one speaker, seed and recipe."""
        other = without.replace(",", "+")
        name = "-".join(filter(None, [folder.name, str(seed), other]))
        path = self.options.work / "results" / f"{name}.json"
        if path.is_file():
            return
        made = clone(
            folder, name, out=str(self.options.work / "voices"), base=self.options.base, seed=seed, offline=True,
            without=without, epochs_projection=self.options.epochs, resume="auto",
        )  # fmt: skip
        seconds = made.report["seconds"]
        if self.options.clone_only:
            return
        dataset = load_dataset(folder, lang="a", seed=seed, vocab=self.base.kmodel.vocab)
        voices = {"clone": made.voice}
        if not other:
            voices.update(read_candidates(made.folder / f"{name}.pt"))
            voices["best_stock"] = self.best_stock(dataset)
            if (oracle := oracle_voice(self.base, dataset.train, device=torch.device("cpu"))) is not None:
                voices["oracle"] = oracle
            if self.options.plain_recipe:
                voices["plain_recipe"] = self._plain(folder, name, seed)
            if self.options.walk:
                voices["random_walk"] = self.random_walk(dataset, self.options.walk * seconds)
        found = evaluate_voices(
            voices, dataset, self.base, encoders=[self.trained, self.untrained], recognizer=self.recognizer, seed=seed,
        )  # fmt: skip
        result = {
            "speaker": folder.name, "seed": seed, "without": other, "seconds": round(seconds, 1),
            "rank": self.rank(folder.name, found), "epochs": made.report["epochs"],
            "initialization": made.report["initialization"], **found.as_json(),
        }  # fmt: skip
        write_json(path, result)
        print(name, f"{seconds:.0f} s", {k: v["similarity"][UNTRAINED]["mean"] for k, v in result["voices"].items()})
        sys.stdout.flush()

    def _plain(self, folder: Path, name: str, seed: int) -> VoicePack:
        return clone(
            folder, f"{name}-plain", out=str(self.options.work / "voices"), base=self.options.base, seed=seed,
            offline=True, recipe="plain", epochs_projection=self.options.plain_recipe, resume="auto",
        ).voice  # fmt: skip

    def best_stock(self, dataset: Dataset) -> VoicePack:
        """The stock voice most similar to the training clips by Resemblyzer; all are tried."""
        scorer = self._scorer(dataset)
        return max(self.base.stock_voices.values(), key=lambda pack: scorer(pack))

    def random_walk(self, dataset: Dataset, seconds: float) -> VoicePack:
        """The voice of a random walk with kvoicewalk's score."""
        score = HarmonicScore(self.base, *target_and_other(dataset.train))
        return random_walk(score, self.base.stock_voices.values(), seconds=seconds).voice

    def _scorer(self, dataset: Dataset) -> Callable[[VoicePack], float]:
        from voiceclone.audio.io import read_audio

        clips = dataset.train[:8]
        target = np.mean([self.trained.embed(read_audio(clip.path)) for clip in clips], axis=0)
        kokoro = FrozenKokoro(self.base.kmodel, torch.device("cpu"))
        texts = [kokoro.text(clip.phonemes) for clip in sorted(clips, key=lambda c: len(c.phonemes))[:STOCK_SENTENCES]]

        def score(pack: VoicePack) -> float:
            spoken = [kokoro.speak(text, pack.row(text.phoneme_count))[0].numpy() for text in texts]
            return float(np.mean([self.trained.embed(audio) @ target for audio in spoken]))

        return score

    def rank(self, speaker: str, found: Evaluation) -> dict[str, int]:
        """Place of the true speaker among all, by the untrained encoder's mean over each voice's samples."""
        centres = self._all_centres()
        own = f"{speaker}"
        ranks = {}
        for voice in found.samples[0].audio:
            vector = np.mean([self.untrained.embed(sample.audio[voice]) for sample in found.samples], axis=0)
            order = sorted(centres, key=lambda name: -float(vector @ centres[name]))
            ranks[voice] = order.index(own) + 1
        return ranks

    def _all_centres(self) -> dict[str, np.ndarray]:
        """Mean vectors of every speaker under --speakers and, where there is one, of WORK/among."""
        from voiceclone.audio.io import read_audio

        if not self.centres:
            places = find_speakers(
                [*self.options.speakers, *sorted((self.options.work / "among").glob("*"))], self.options.work
            )
            for folder in places:
                audio = [p for p in sorted((folder / "train").iterdir()) if p.suffix in (".wav", ".flac")][:4]
                vector = np.mean([self.untrained.embed(read_audio(path)) for path in audio], axis=0)
                self.centres[folder.name] = vector / np.linalg.norm(vector)
        return self.centres


def find_speakers(folders: list[Path], work: Path) -> list[Path]:
    """Datasets of one speaker each; one with a speaker column is split up under ``work/speakers``."""
    found = []
    for folder in folders:
        metadata = folder / "metadata.jsonl"
        rows = [json.loads(line) for line in metadata.read_text().splitlines()] if metadata.is_file() else []
        if not rows or "speaker" not in rows[0]:
            found.append(folder)
            continue
        by_speaker = defaultdict(list)
        for row in rows:
            by_speaker[row["speaker"]].append(row)
        found += [_one_speaker(folder, work / "speakers" / name, own) for name, own in sorted(by_speaker.items())]
    return found


def _one_speaker(source: Path, target: Path, rows: list[dict[str, Any]]) -> Path:
    if not target.is_dir():
        temporary = target.with_name(f".{target.name}.making")
        shutil.rmtree(temporary, ignore_errors=True)
        for split, part in (("train", rows[: int(0.6 * len(rows))]), ("validation", rows[int(0.6 * len(rows)) :])):
            (temporary / split).mkdir(parents=True)
            lines = []
            for row in part:
                name = Path(row["file_name"]).name
                shutil.copyfile(source / row["file_name"], temporary / split / name)
                lines.append(json.dumps({"file_name": name, "text": row["text"]}, ensure_ascii=False))
            (temporary / split / "metadata.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        temporary.rename(target)
    return target


if __name__ == "__main__":
    sys.exit(main())
