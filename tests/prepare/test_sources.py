"""Selection of files, and names of their clips."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceclone.errors import UsageError, VoicecloneError
from voiceclone.prepare.sources import _stem, check_apart, find_recordings, recordings_of_metadata

TONE = 0.1 * np.sin(np.arange(4000) / 10).astype(np.float32)


def wav(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, TONE, 8000)
    return path


def test_a_folder_gives_its_audio_in_order_and_what_was_passed_over(tmp_path: Path) -> None:
    for name in ("b.wav", "a.flac", "sub/c.ogg", ".hidden.wav"):
        wav(tmp_path / "in" / name)
    (tmp_path / "in" / "notes.txt").write_text("x")
    (tmp_path / "in" / "broken.mp3").write_bytes(b"x")
    (tmp_path / "in" / "link.wav").symlink_to(wav(tmp_path / "outside.wav"))
    recordings, problems = find_recordings([tmp_path / "in"])
    assert [recording.name for recording in recordings] == ["a.flac", "b.wav", "sub/c.ogg"]
    assert [recording.seconds for recording in recordings] == pytest.approx([0.5] * 3, abs=0.01)
    assert {where: why.split(":")[0] for where, why in problems} == {
        "broken.mp3": "unreadable",
        "link.wav": "leaves the source folder",
    }


def test_a_file_that_is_named_twice_counts_once(tmp_path: Path) -> None:
    path = wav(tmp_path / "a.wav")
    recordings, _ = find_recordings([path, tmp_path, path])
    assert [recording.stem for recording in recordings] == ["a"]


def test_no_two_recordings_share_a_name_for_their_clips(tmp_path: Path) -> None:
    for name in ("x/a.wav", "y/A.wav", "ä ö.wav", "a_0001.wav"):
        wav(tmp_path / name)
    recordings, _ = find_recordings([tmp_path])
    assert {recording.name: recording.stem for recording in recordings} == {
        "a_0001.wav": "a_0001_whole",  # the first clip cut from a.wav is called a_0001
        "x/a.wav": "a",
        "y/A.wav": "A_2",
        "ä ö.wav": "clip",
    }


@settings(max_examples=200, deadline=None)
@given(names=st.lists(st.text(max_size=8) | st.sampled_from(["a", "A", "a_0001", "a b", "../a", "a_2"]), max_size=8))
def test_names_of_clips_are_plain_and_unique(names: list[str]) -> None:
    taken: set[str] = set()
    stems = [_stem(name, taken, {name.lower() for name in names}) for name in names]
    assert len({stem.lower() for stem in stems}) == len(stems)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]+", stem) for stem in stems)


def test_clips_of_ljspeech_with_what_is_wrong_in_the_list(tmp_path: Path) -> None:
    for name in ("wavs/a.wav", "wavs/b.wav", "wavs/c.wav"):
        wav(tmp_path / name)
    (tmp_path / "metadata.csv").write_text("a|One.|One\nnone|Two.\nb|\na|Three.\nc|Four.|\n")
    recordings, script, problems = recordings_of_metadata(tmp_path / "metadata.csv", tmp_path)
    assert [(recording.name, part.text) for recording, part in zip(recordings, script.parts, strict=True)] == [
        ("wavs/a.wav", "One"),
        ("wavs/c.wav", "Four."),
    ]
    assert script.ready_cut
    assert [why.split(":")[0] for _, why in problems] == ["no such file", "no transcript", "duplicate"]


def test_a_list_cannot_name_files_elsewhere(tmp_path: Path) -> None:
    wav(tmp_path / "outside.wav")
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "metadata.jsonl"
    path.write_text('{"file_name": "../outside.wav", "text": "x"}\n')
    with pytest.raises(VoicecloneError, match="leaves the dataset folder"):
        recordings_of_metadata(path, tmp_path / "in")


OUTS = [("in", "in"), ("in/ds", "in"), (".", "in"), ("link/ds", "in"), ("in", "in/a.wav")]


@pytest.mark.parametrize(("out", "source"), OUTS)
def test_the_output_may_not_lie_in_a_source_nor_around_it(tmp_path: Path, out: str, source: str) -> None:
    wav(tmp_path / "in" / "a.wav")
    os.symlink(tmp_path / "in", tmp_path / "link")
    with pytest.raises(UsageError, match="choose a folder apart from it"):
        check_apart(tmp_path / out, [tmp_path / source])
    check_apart(tmp_path / "ds", [tmp_path / source])


def test_what_is_wrong_with_the_sound_of_a_recording_is_known(tmp_path: Path) -> None:
    sound = 0.1 * np.random.default_rng(0).standard_normal(24_000)
    soundfile.write(tmp_path / "a.wav", np.stack([sound, -sound], axis=1), 24_000)
    soundfile.write(tmp_path / "b.wav", np.stack([sound, sound], axis=1), 24_000)
    soundfile.write(tmp_path / "c.wav", sound, 24_000)
    (tmp_path / "c.wav").write_bytes((tmp_path / "c.wav").read_bytes()[:-24_000])
    recordings, problems = find_recordings([tmp_path])
    assert [[doubt.split(": ")[0] for doubt in r.doubts] for r in recordings] == [
        ["channels cancel"],
        [],
        ["cut short"],
    ]
    assert problems == []
    # A clip that is cut already must be whole: its text is that of the whole.
    (tmp_path / "metadata.csv").write_text("a.wav|Hello you.\nb.wav|Bye you.\nc.wav|And you.\n")
    recordings, _, problems = recordings_of_metadata(tmp_path / "metadata.csv", tmp_path)
    assert [recording.name for recording in recordings] == ["a.wav", "b.wav"]
    assert problems == [("c.wav", "cut short: the header says 1.00 s, the file holds 0.50 s")]
