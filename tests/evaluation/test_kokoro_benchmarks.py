"""The table over several clones on Kokoro, and the random walk they are compared with."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import soundfile
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
    rows = {line.split("|")[1].strip(): line for line in lines if line.startswith("|") and line.count("|") == 11}
    assert lines[0].startswith("| 2 speakers, 3 clones |")
    assert "| clone | 0.650 | 0.650 | 0.650 | 1.0 | 4.00 | 15.0 | 120 |" in lines  # (0.5 + 0.8) / 2
    assert rows["anna"] == "| anna | 2 | 0.50 | 0.50 | 0.50 | 1.50 | 0.50 | 2.00 | 3.00 | 600.00 |"
    assert rows["ben"].startswith("| ben | 1 | 0.88 |") and rows["mean"].startswith("| mean |  | 0.69 |")
    assert "| anna | clone | 0.500 | 0.500 | 0.500 | 1.0 | 4.00 | 15.0 | 120 |" in lines
    wins = "nearer than best_stock: 1 of 2 by all encoders (resemblyzer 1, xvector 1, campplus 1)"
    assert lines[-1] == wins


def test_what_older_results_lack_is_a_dash_in_the_table() -> None:
    benchmark("real_kokoro")
    older = result("anna", 0, 0.4, 0.3)
    del older["f0_of_clips_semitones"], older["rate_of_clips_percent"]
    lines = benchmark("real_kokoro_table").tables([older, result("ben", 0, 0.8, 0.5)])
    assert "| anna | 1 | 0.38 | 0.38 | 0.38 | 1.00 | - | 2.00 | - | 600.00 |" in lines


@pytest.fixture
def clone_time():
    for name in ("random_walk", "timed_clone"):
        benchmark(name)
    return benchmark("clone_time")


def test_the_earlier_recipes_time_is_projected_from_its_epochs(clone_time) -> None:
    tasks = {"Measuring clips": 10.0, "Projection": 12.0}
    found = clone_time.TimedClone(seconds=100.0, peak_gib=2.0, tasks=tasks)
    assert clone_time.projected(found, 6, 100) == pytest.approx(100.0 + 94 * 2.0)


def test_copies_of_a_dataset_have_other_levels_and_the_given_number(clone_time, tmp_path: Path) -> None:
    for split, names in (("train", ("a", "b", "c")), ("validation", ("d",))):
        (tmp_path / "few" / split).mkdir(parents=True)
        rows = [{"file_name": f"{name}.wav", "text": f"Sentence {name}."} for name in names]
        (tmp_path / "few" / split / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
        for name in names:
            soundfile.write(tmp_path / "few" / split / f"{name}.wav", np.sin(np.arange(4800.0) * 0.1), 24_000)
    many = clone_time._many(tmp_path / "few", tmp_path)
    rows = [json.loads(line) for line in (many / "train" / "metadata.jsonl").read_text().splitlines()]
    peaks = {np.abs(soundfile.read(many / "train" / row["file_name"])[0]).max() for row in rows}
    assert len(rows) == len({row["file_name"] for row in rows}) == clone_time.MANY
    assert len(peaks) == 34 and max(peaks) < 0.91
    assert len((many / "validation" / "metadata.jsonl").read_text().splitlines()) == 1


def test_a_walk_with_time_for_the_ranking_alone_has_no_time_a_voice() -> None:
    walking = benchmark("random_walk")
    stock = [VoicePack(torch.full((510, 1, 256), float(number)), f"a{number}") for number in range(3)]
    walk = walking.random_walk(lambda pack, least: walking.Scored(score=0.5, target=0.5), stock, seconds=0.0)
    assert walk.count == 4 and math.isnan(walk.each)


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
    assert 0.0 < walk.each * (len(scores) - len(stock) - 1) <= 0.6  # seconds, 0.5 of them asked for
    assert max(scores[: len(stock)]) < start < walk.score == max(scores)
    assert -float(walk.voice.tensor[0].square().mean()) == pytest.approx(walk.score)


def test_f0_trackers_are_compared_with_the_known_f0_and_hum_has_its_level() -> None:
    benchmark("student")
    tracker = benchmark("f0_tracker")
    times = np.arange(24_000) / 24_000
    audio = np.where(times < 0.5, np.sin(2 * np.pi * 150 * times), 0.0).astype(np.float32)
    f0 = np.where(np.arange(81) < 40, 150.0, 0.0)
    assert tracker.compared(f0, audio, f0) == [0.0, 0.0, 100.0, 100.0]
    assert tracker.compared(2 * f0, audio, f0) == pytest.approx([12.0, 100.0, 100.0, 100.0])
    hum = tracker.degraded(audio, 20.0, None, seed=0) - audio
    assert 20 * np.log10(np.sqrt(np.mean(audio**2)) / np.sqrt(np.mean(hum**2))) == pytest.approx(20.0, abs=0.01)
    assert set(np.abs(np.fft.rfft(hum)).argsort()[-3:].tolist()) == {60, 120, 180}
    assert np.array_equal(tracker.degraded(audio, None, 20.0, seed=1), tracker.degraded(audio, None, 20.0, seed=1))
