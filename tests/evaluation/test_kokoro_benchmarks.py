"""The table over several clones on Kokoro, and the random walk they are compared with."""

from __future__ import annotations

import pytest
import torch
from support import benchmark

from voiceclone.voice.pack import VoicePack

ENCODERS = ("resemblyzer", "xvector", "campplus")


def result(speaker: str, seed: int, clone: float, rival: float) -> dict:
    def likeness(value: float) -> dict[str, float]:
        return dict.fromkeys(ENCODERS, value)

    spoken = {"WER %": 1.0, "MOS": 4.0, "chars/s": 15.0, "F0 Hz": 120.0}
    voices = {
        "clone": likeness(clone) | spoken,
        "best_stock": likeness(rival) | spoken,
        "held-out recordings": likeness(0.9) | spoken,
        "recordings of other speakers": likeness(0.1),
    }
    errors = {"f0_error_semitones": 1.0 + seed, "f0_of_clips_semitones": 0.5, "rate_error_percent": 2.0}
    return {"speaker": speaker, "seed": seed, "seconds": 600.0, "rate_of_clips_percent": 3.0, "voices": voices} | errors


def test_seeds_are_averaged_before_speakers_and_likeness_is_scaled_from_strangers_to_recordings() -> None:
    benchmark("real_kokoro")
    lines = benchmark("real_kokoro_table").tables(
        [result("anna", 0, 0.4, 0.3), result("anna", 1, 0.6, 0.3), result("ben", 0, 0.8, 0.85)]
    )
    rows = {line.split("|")[1].strip(): line for line in lines if line.startswith("|")}
    assert lines[0].startswith("| 2 speakers, 3 clones |")
    assert "| clone | 0.650 | 0.650 | 0.650 | 1.0 | 4.00 | 15.0 | 120 |" in lines  # (0.5 + 0.8) / 2
    assert rows["anna"] == "| anna | 2 | 0.50 | 0.50 | 0.50 | 1.50 | 0.50 | 2.00 | 3.00 | 600.00 |"
    assert rows["ben"].startswith("| ben | 1 | 0.88 |") and rows["mean"].startswith("| mean |  | 0.69 |")
    wins = "nearer than best_stock: 1 of 2 by all encoders (resemblyzer 1, xvector 1, campplus 1)"
    assert lines[-1] == wins


@pytest.mark.parametrize("seed", [0, 1])
def test_the_walk_starts_at_the_best_stock_voices_and_keeps_only_what_scores_better(seed: int) -> None:
    walking = benchmark("random_walk")
    generator = torch.Generator().manual_seed(seed)
    stock = [VoicePack(torch.randn(1, 1, 256, generator=generator).expand(510, 1, 256), f"a{n}") for n in range(14)]
    foreign = VoicePack(torch.zeros(510, 1, 256), "zf_zero")
    scores = []

    def score(pack: VoicePack, least: float):
        value = -float(pack.tensor[0].square().mean())  # the zero voice is the best one, and is not English
        scores.append(value)
        return walking.Scored(score=value, target=0.5)

    walk = walking.random_walk(score, [*stock, foreign], seconds=0.5, seed=seed)
    start = scores[len(stock)]
    assert walk.count == len(scores) and len(scores) > len(stock) + 10
    assert max(scores[: len(stock)]) < start < walk.score == max(scores)
    assert -float(walk.voice.tensor[0].square().mean()) == pytest.approx(walk.score)
