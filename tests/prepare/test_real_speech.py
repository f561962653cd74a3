"""Joined real recordings: their boundaries are known, so that a word in the wrong clip is detected."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from support import needs_shared
from talks import plain_words

from voiceclone.cli.main import main

Truth = list[tuple[float, float, str]]
"""Start and end in seconds, and text of each of the joined recordings."""


def joined(speaker: str, path: Path, count: int) -> Truth:
    """Write the speaker's clips as one recording, 0.15 to 0.6 s of their room noise between them."""
    folder = needs_shared("data", "speech", speaker)
    rows = []
    for split in ("train", "validation"):
        for line in (folder / split / "metadata.jsonl").read_text().splitlines():
            row = json.loads(line)
            rows.append((folder / split / row["file_name"], row["text"]))
    chance = np.random.default_rng(0)
    parts, truth, at = [], [], 0
    for clip, text in sorted(rows)[:count]:
        sound, rate = soundfile.read(clip, dtype="float32")
        cell = rate // 10
        quietest = min(sound[k : k + cell].std() for k in range(0, len(sound) - cell, cell))
        pause = quietest * chance.standard_normal(int(chance.uniform(0.15, 0.6) * rate)).astype(np.float32)
        truth.append((at / rate, (at + len(sound)) / rate, text))
        parts += [sound, pause]
        at += len(sound) + len(pause)
    soundfile.write(path, np.concatenate(parts), rate)
    return truth


def check(out: Path, truth: Truth) -> None:
    """At least 90 % of the words are in a clip; of those, at most 1 % are in a wrong one."""
    report = json.loads((out / "prepare_report.json").read_text())
    kept = sorted((row for row in report["clips"] if row["status"] == "kept"), key=lambda row: row["start"])
    words = [(word, index) for index, (_, _, text) in enumerate(truth) for word in plain_words(text)]
    found = wrong = at = 0
    for row in kept:
        said = plain_words(row["text"])
        at = next(k for k in range(at, len(words)) if [word for word, _ in words[k : k + len(said)]] == said)
        owners = [owner for _, owner in words[at : at + len(said)]]
        at += len(said)
        found += len(said)
        for index, (start, end, text) in enumerate(truth):
            if min(end, row["end"]) - max(start, row["start"]) < 0.1:
                wrong += owners.count(index)
            elif row["start"] <= start and end <= row["end"]:
                wrong += len(plain_words(text)) - owners.count(index)
    assert found >= 0.9 * len(words)
    assert wrong <= 0.01 * len(words)


def prepared(speaker: str, tmp_path: Path, count: int) -> Truth:
    truth = joined(speaker, tmp_path / "long.flac", count)
    (tmp_path / "text.txt").write_text(" ".join(text for _, _, text in truth))
    arguments = [str(tmp_path / "long.flac"), "--text", str(tmp_path / "text.txt"), "--out", str(tmp_path / "ds")]
    assert main(["prepare", *arguments]) == 0
    return truth


def test_a_minute_of_a_real_speaker(tmp_path: Path) -> None:
    check(tmp_path / "ds", prepared("vctk_p226", tmp_path, 5))


@pytest.mark.slow
@pytest.mark.parametrize("speaker", ["ljspeech_lj", "librispeech_3080", "librispeech_1688", "vctk_p225"])
def test_minutes_of_a_real_speaker(speaker: str, tmp_path: Path) -> None:
    check(tmp_path / "ds", prepared(speaker, tmp_path, 99))
