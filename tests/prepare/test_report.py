"""The report for clips with known measurements."""

from __future__ import annotations

import pytest

from voiceclone.data.recordings import Recording
from voiceclone.prepare.clips import PlannedClip
from voiceclone.prepare.config import PrepareConfig
from voiceclone.prepare.plan import Planned
from voiceclone.prepare.report import assign_splits, clip_row, full_report, little_used, used_shares


def planned(number: int, *, problem: str | None = None, fit: float | None = 0.6) -> PlannedClip:
    name = None if problem else f"a_{number:04d}"
    return PlannedClip(
        name=name, recording=0, start=4.0 * number, end=4.0 * number + 3.0, text="Hi.", score=fit, problem=problem,
        silence=0.1,
    )  # fmt: skip


def rows_of(*clips: PlannedClip) -> list[dict]:
    return [clip_row(clip, "a.wav", {}, None) for clip in clips]


def test_the_first_reason_counts() -> None:
    record, other = {"problem": "clipped: much", "peak": 1.0}, (0.3, "another speaker: likeness 0.30")
    assert clip_row(planned(0, problem="no pause: x"), "a", record, other)["reason"] == "no pause: x"
    assert clip_row(planned(0), "a", record, other)["reason"] == "clipped: much"
    row = clip_row(planned(0), "a", {"problem": None, "peak": 0.5}, other)
    assert (row["reason"], row["speaker_likeness"], row["peak"]) == ("another speaker: likeness 0.30", 0.3, 0.5)
    row = clip_row(planned(0), "a", {"problem": None}, (0.9, None))
    assert (row["reason"], row["status"], row["name"]) == (None, "kept", "a_0000.wav")


@pytest.mark.parametrize(("share", "held_out"), [(0.0, 0), (0.1, 1), (0.3, 3), (0.5, 5)])
def test_the_split_holds_every_kept_clip_once(share: float, held_out: int) -> None:
    rows = rows_of(*(planned(number) for number in range(10)), planned(10, problem="too short: x"))
    config = PrepareConfig(text="t", validation=share, speaker="anna")
    splits = assign_splits(rows, config)
    assert len(splits["validation"]) == held_out
    names = [row["file_name"] for split in splits.values() for row in split]
    assert sorted(names) == [f"a_{number:04d}.wav" for number in range(10)]
    assert all(row["speaker"] == "anna" for split in splits.values() for row in split)
    assert {row["name"]: row["split"] for row in rows if row["name"]} == {
        row["file_name"]: split for split, found in splits.items() for row in found
    }
    assert assign_splits(rows_of(*(planned(number) for number in range(10))), config) == splits
    assert rows[-1]["split"] is None


def test_the_summary_counts() -> None:
    rows = rows_of(planned(0), planned(1), planned(2, problem="noisy: x"), planned(3, problem="noisy: y"))
    config = PrepareConfig(text="t")
    assign_splits(rows, config)
    one = Planned(clips=(), next_word=7, unread=("two words", "one"), rest="And then")
    recording = Recording(path="a.wav", name="a.wav", stem="a", seconds=16.0)
    report = full_report(
        {"version": "x"}, config, "a", [recording], [one], rows, [("b.wav", "unreadable: x")], ["n"], words=4
    )
    assert report["summary"] == {
        "clips": 4,
        "kept_clips": {"train": 1, "validation": 1},
        "kept_seconds": 6.0,
        "dropped": 2,
        "dropped_seconds": 6.0,
        "dropped_reasons": {"noisy": 2},
        "passed_over": 1,
        "words_not_found": 3,
        "used": {"words": 0.5, "sound": 1.0},
    }
    assert report["text_not_found"][0] == {"source": "a.wav", "text": "two words"}
    assert report["text_after_the_end"] == "And then" and report["notices"] == ["n"]


def test_words_behind_the_end_of_the_sound_are_not_found() -> None:
    one = Planned(clips=(), next_word=7, unread=("two words",), rest="And then", rest_words=34)
    recording = Recording(path="a.wav", name="a.wav", stem="a", seconds=16.0)
    report = full_report({}, PrepareConfig(text="t"), "a", [recording], [one], [], [], [], words=76)
    assert report["summary"]["words_not_found"] == 36


@pytest.mark.parametrize(
    ("words", "speech", "says"),
    [
        (4, 8.0, None),
        (5, 8.0, None),
        (6, 8.0, "ONLY 67 % OF THE WORDS BECAME CLIPS"),
        (4, 12.0, "ONLY 67 % OF THE SOUND BECAME CLIPS"),
        (8, 16.0, "ONLY 50 % OF THE WORDS AND 50 % OF THE SOUND BECAME CLIPS"),
    ],
)
def test_little_use_of_text_or_sound_is_said(words: int, speech: float, says: str | None) -> None:
    rows = rows_of(*(planned(number) for number in range(4)), planned(9, problem="text and sound differ"))
    for row in rows:
        row["silence"] = 1 / 3
    shares = used_shares(rows, [Planned(clips=(), next_word=0, speech_seconds=speech)], words)
    assert little_used({"used": shares}) == says
