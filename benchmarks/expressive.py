#!/usr/bin/env python3
"""Prosody deviations of a speaker's clips, and the delivery of an expressive voice beside the speaker's own.

    python benchmarks/expressive.py fits --run output/v --data SPEECH/ljspeech_lj
    python benchmarks/expressive.py speech --run output/v --data SPEECH/ljspeech_lj
    python benchmarks/expressive.py control --text sentences.txt --out control --amount 1

``fits`` prints how far the deviations of the halves of a clip agree. ``speech`` speaks the sentences of ``record`` with
the plain voice and with the deviations that ``clone --expressive`` left beside it. Spreads are standard deviations of
the difference to the plain voice in the same sentence, which takes the text's own effect away; the speaker's clips are
measured in the same way. Judges and columns are those of real_kokoro.py. ``control`` writes a dataset that the base
speaks with a stock voice, with known deviations of its prosodic half in each sentence.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from gradient_angles import aligned_targets
from real_kokoro import COLUMNS, Judges
from torch import Tensor

from voiceclone.alignment.base_warp import Alignment
from voiceclone.audio.features import track_f0
from voiceclone.audio.io import read_audio, write_wav
from voiceclone.bases.base import Base, load_base
from voiceclone.data.dataset import Dataset, load_dataset
from voiceclone.errors import VoicecloneError
from voiceclone.evaluation.metrics import slower_percent
from voiceclone.files import write_text
from voiceclone.models.frozen_kokoro import STYLE_DIM, FrozenKokoro
from voiceclone.projection.deviations import (
    PARTS,
    differences,
    fit_deviations,
    prosodic_directions,
    split_half_correlation,
    unsupported,
)
from voiceclone.projection.objective import Crop, Objective
from voiceclone.projection.targets import AlignedTarget
from voiceclone.recording.sentences import SENTENCES
from voiceclone.text.g2p import Phonemizer
from voiceclone.voice.expressive import Deviations, ExpressiveVoice, deviations_beside
from voiceclone.voice.pack import VoicePack
from voiceclone.voice.profile import REFERENCE_ROW, LengthProfile
from voiceclone.voice.speaking import speak_whole

VOICE = "af_heart"
"""Stock voice that speaks the control."""
AMOUNTS = (0.08, 0.08)
"""Standard deviations of the parts in the control with amount 1, about those of the recorded speakers."""
LETTERS = (45, 110)
"""Length of the control's sentences."""
SHARES = (0.5, 1.0)
"""Of the deviation of one half of a clip, by which the other is moved."""
Speech = list[tuple[np.ndarray, str]]


def main() -> int:
    """Parse, measure, print tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", choices=("fits", "speech", "control"))
    parser.add_argument("--base", default="nano")
    parser.add_argument("--run", type=Path, help="output folder of a finished clone")
    parser.add_argument("--data", type=Path, help="the dataset it was made from")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--strengths", type=float, nargs="+", default=[0.5, 1.0])
    parser.add_argument("--sentences", type=int, default=12)
    parser.add_argument("--text", type=Path, help="sentences of the control, one a line")
    parser.add_argument("--out", type=Path, help="dataset to write")
    parser.add_argument("--amount", type=float, default=1.0, help="of the control's deviations, relative to AMOUNTS")
    parser.add_argument("--clips", type=int, default=24)
    options = parser.parse_args()
    needed = ("text", "out") if options.what == "control" else ("run", "data")
    if any(getattr(options, name) is None for name in needed):
        parser.error(f"{options.what} needs --{needed[0]} and --{needed[1]}")
    torch.set_num_threads(1)
    try:
        base = load_base(options.base, offline=True)
        if options.what == "control":
            lines = [line.strip() for line in options.text.read_text(encoding="utf-8").splitlines()]
            fit = [line for line in lines if LETTERS[0] <= len(line) <= LETTERS[1]]
            write_control(base, fit[-options.clips :], options.amount, options.out)
            return 0
        pack = VoicePack.load(options.run / f"{options.run.name}.pt")
        dataset = load_dataset(options.data, lang="a", seed=0, vocab=base.kmodel.vocab)
        if options.what == "fits":
            measure_fits(base, pack, dataset)
            return 0
        path = deviations_beside(options.run / f"{options.run.name}.pt")
        found = Deviations.load(path) if path.is_file() else None
        said = Speaking(base, pack, found)
        measure_speech(said, dataset, SENTENCES[: options.sentences], options.strengths, options.seeds)
    except VoicecloneError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def write_control(base: Base, sentences: list[str], amount: float, out: Path) -> None:
    """Write a dataset of sentences, spoken with known deviations, and print their spread."""
    kokoro, phonemizer, pack = FrozenKokoro(base.kmodel, torch.device("cpu")), Phonemizer("a"), base.stock_voices[VOICE]
    profile, texts = LengthProfile.of(base.stock_voices.values()), [phonemizer.phonemes(line) for line in sentences]
    vector = pack.tensor[REFERENCE_ROW]
    torch.manual_seed(0)
    plain = []
    for phonemes in texts:
        text = kokoro.text(phonemes)
        made = kokoro.utter(text, profile.row(vector, len(phonemes)))
        plain.append(
            AlignedTarget(
                name="plain", phonemes=phonemes, text=text, audio=made.audio, log_mel=torch.zeros(80, 1), f0=made.f0,
                energy=made.energy, alignment=Alignment(durations=made.durations, score=1.0),
            )
        )  # fmt: skip
    directions = prosodic_directions(
        Objective(plain, kokoro, profile, crop_frames=1), vector, base.stock_voices.values()
    )
    true = amount * torch.tensor(AMOUNTS) * torch.randn(len(texts), len(PARTS))
    rows = []
    for number, (target, own, line) in enumerate(zip(plain, true, sentences, strict=True)):
        row = profile.row(vector, len(target.phonemes)).clone()
        row[:, STYLE_DIM:] += own @ directions
        write_wav(out / "train" / f"{number:02d}.wav", kokoro.speak(target.text, row)[0].numpy())
        rows.append({"file_name": f"{number:02d}.wav", "text": line, "deviation": own.tolist()})
    write_text(out / "train" / "metadata.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    print(", ".join(f"{part} {spread:.3f}" for part, spread in zip(PARTS, true.std(0).tolist(), strict=True)))


def measure_fits(base: Base, pack: VoicePack, dataset: Dataset) -> None:
    """Print how far the halves of the clips agree, what the test says, and how well a half predicts the other."""
    vector = pack.tensor[REFERENCE_ROW]
    clips = [(c.name, c.phonemes, read_audio(c.path)) for c in [*dataset.train, *dataset.validation]]
    kokoro, profile = FrozenKokoro(base.kmodel, torch.device("cpu")), LengthProfile.of(base.stock_voices.values())
    print_fits(Objective(aligned_targets(base, clips, vector), kokoro, profile, crop_frames=1), base, pack)


def print_fits(objective: Objective, base: Base, pack: VoicePack) -> None:
    """The tables of :func:`measure_fits` for aligned clips."""
    vector = pack.tensor[REFERENCE_ROW]
    directions = prosodic_directions(objective, vector, base.stock_voices.values())
    whole, halves = fit_deviations(objective, vector, directions)
    tokens = torch.tensor([target.text.tokens for target in objective.targets])
    correlations = split_half_correlation(halves, tokens)
    reason = unsupported(len(whole), dict(zip(PARTS, correlations.tolist(), strict=True)))
    print(f"{pack.name} on {base.title}: {len(whole)} clips; {reason or 'supported'}\n")
    print("| part | correlation of the halves | reliability of whole clips | spread of the fits |\n|---|---|---|---|")
    for part, r, spread in zip(PARTS, correlations.tolist(), whole.std(0).tolist(), strict=True):
        print(f"| {part} | {r:.2f} | {max(2 * r / (1 + r), 0.0):.2f} | {spread:.3f} |")
    print(f"\n| nearer with the deviation of the other half | {' | '.join(PARTS)} |\n|---|---|---|")
    for share in SHARES:
        cells = _transferred(objective, vector, directions, halves, share)
        print(f"| {share:g} of it | {' | '.join(cells)} |", flush=True)


def _transferred(objective: Objective, vector: Tensor, directions: Tensor, halves: Tensor, share: float) -> list[str]:
    """Cells: of how many clips pitch and length are nearer with the deviation of the other half; sign test."""
    centred, mean = share * (halves - halves.mean(1, keepdim=True)), halves.mean(1)
    nearer = torch.zeros(len(objective.targets), len(PARTS))
    for clip, target in enumerate(objective.targets):
        row = objective.rows(vector, [Crop(clip=clip, start=0)])[0]
        for half in (0, 1):
            left = []
            for coefficients in (torch.zeros(len(PARTS)), centred[1 - half, clip]):
                moved = row.clone()
                moved[:, STYLE_DIM:] += (mean[half] + coefficients) @ directions
                with torch.no_grad():
                    left.append(differences(objective.predict(moved, target), target, half).abs())
            nearer[clip] += left[0] - left[1]
    count = len(nearer)
    return [f"{n} of {count}, p {_sign_test(n, count):.3f}" for n in (nearer > 0).sum(0).tolist()]


class Speaking:
    """A voice, plain or with deviations, spoken by ``KPipeline``."""

    def __init__(self, base: Base, pack: VoicePack, deviations: Deviations | None) -> None:
        self.title, self.pack, self.deviations = f"{pack.name} on {base.title}", pack, deviations
        self._pipeline, self._kokoro = base.pipeline("a"), FrozenKokoro(base.kmodel, torch.device("cpu"))

    def __call__(self, texts: Sequence[str], *, strength: float = 0.0, seed: int = 0) -> Speech:
        """Every text, ``(T,)`` at 24 kHz, each with a deviation of its own and with the same noise of the source."""
        spoken = []
        for number, text in enumerate(texts):
            voice = self.pack.tensor
            if strength and self.deviations is not None:
                voice = ExpressiveVoice(
                    self.deviations, voice, strength=strength, text_features=self._kokoro.text_states,
                    seed=1000 * seed + number,
                )  # fmt: skip
            torch.manual_seed(number)
            spoken.append((np.asarray(speak_whole(self._pipeline, text, voice)), text))
        return spoken


def measure_speech(
    said: Speaking, dataset: Dataset, sentences: Sequence[str], strengths: Sequence[float], seeds: int
) -> None:
    """Print spread, word errors and likeness of clips, plain voice and expressive voice."""
    judges = Judges(dataset)
    print(f"| {said.title} | spread of F0, % | of length, % | {' | '.join(COLUMNS)} |")
    print(f"|---|---|---|{'---|' * len(COLUMNS)}")
    clips = [(read_audio(c.path), c.text) for c in [*dataset.train, *dataset.validation]]
    own = _spreads(clips, said([text for _, text in clips]))
    print(judges.row(f"the speaker's clips | {own[0]:.1f} | {own[1]:.1f}", clips), flush=True)
    plain = said(sentences)
    print(judges.row("plain | 0 | 0", plain), flush=True)
    for strength in strengths if said.deviations is not None else []:
        spoken = [said(sentences, strength=strength, seed=seed) for seed in range(seeds)]
        spreads = zip(*(_spreads(one, plain) for one in spoken), strict=True)
        cells = [" and ".join(f"{value:.1f}" for value in values) for values in spreads]
        print(judges.row(f"expressive {strength:g} | {' | '.join(cells)}", sum(spoken, [])), flush=True)


def _spreads(speech: Speech, plain: Speech) -> tuple[float, float]:
    """Standard deviations, in percent, of median F0 and of length without pauses, against the plain voice's."""
    pairs = [(ours, theirs) for (ours, _), (theirs, _) in zip(speech, plain, strict=True)]
    pitch = [math.log(_median_f0(ours) / _median_f0(theirs)) for ours, theirs in pairs]
    length = [math.log1p(slower_percent(ours, theirs) / 100.0) for ours, theirs in pairs]
    return 100.0 * float(np.std(pitch, ddof=1)), 100.0 * float(np.std(length, ddof=1))


def _median_f0(audio: np.ndarray) -> float:
    f0 = track_f0(audio)
    return float(np.median(f0[f0 > 0]))


def _sign_test(successes: int, count: int) -> float:
    """Probability of at least that many successes by chance."""
    return sum(math.comb(count, n) for n in range(successes, count + 1)) / 2**count


if __name__ == "__main__":
    sys.exit(main())
