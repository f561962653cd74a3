"""JSON with a time for every character: both formats, error messages, and a dataset made from one."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from voiceclone.errors import UsageError, VoicecloneError
from voiceclone.prepare.character_json import LONGEST, TimedCharacter, read_characters, timed_lines
from voiceclone.prepare.subtitles import read_subtitles, script_of_subtitles

WORDS = "Good day. How are you?"


def entries(text: str = WORDS, step: float = 0.1) -> list[dict]:
    return [{"char": c, "start": round(i * step, 3), "end": round((i + 1) * step, 3)} for i, c in enumerate(text)]


def written(path: Path, content: object) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_both_forms_give_the_same_lines(tmp_path: Path) -> None:
    listed = written(tmp_path / "a.json", {"metadata": {"duration_seconds": 2.3}, "character_alignments": entries()})
    columns = {
        "characters": [e["char"] for e in entries()],
        "character_start_times_seconds": [e["start"] for e in entries()],
        "character_end_times_seconds": [e["end"] for e in entries()],
    }
    bare = written(tmp_path / "b.json", columns)
    nested = written(tmp_path / "c.json", {"audio_base64": "", "alignment": columns, "normalized_alignment": columns})
    expected = [(0.0, 0.9, "Good day."), (1.0, 2.2, "How are you?")]
    for path in (listed, bare, nested):
        found = timed_lines(read_characters(path, 2.3))
        assert [(round(a, 2), round(b, 2), text) for a, b, text in found] == expected


def test_a_missing_end_is_the_next_start(tmp_path: Path) -> None:
    without = [{"char": e["char"], "start": e["start"]} for e in entries("Hi you")]
    found = read_characters(written(tmp_path / "a.json", {"character_alignments": without}))
    assert [one.end for one in found] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.5])


def test_pauses_and_length_split_lines() -> None:
    def lines(text: str, step: float = 0.1, gap_at: int = -1) -> list[str]:
        late = [2.0 if gap_at >= 0 and i >= gap_at else 0.0 for i in range(len(text))]
        given = [
            TimedCharacter(char=c, start=i * step + late[i], end=(i + 1) * step + late[i]) for i, c in enumerate(text)
        ]
        return [line for _, _, line in timed_lines(given)]

    assert lines("one two three") == ["one two three"]
    assert lines("one two three", gap_at=8) == ["one two", "three"]
    assert lines('He said "no." Then he went.') == ['He said "no."', "Then he went."]
    assert len(lines("word " * 20, step=0.4)) == 3  # 40 s without a mark
    assert lines("3.5 is half of 7") == ["3.5 is half of 7"]


def timed(text: str, step: float = 0.1, *, gap_before: str = "") -> list[TimedCharacter]:
    """Characters of ``step`` seconds, with a second of silence before each that is in ``gap_before``."""
    found, at = [], 0.0
    for char in text:
        at += 1.0 if char in gap_before else 0.0
        found.append(TimedCharacter(char=char, start=at, end=at + step))
        at += step
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("今日は。元気ですか？はい！", ["今日は。", "元気ですか？", "はい！"]),
        ("「はい！」と言った、そう。『ね。』」終", ["「はい！」", "と言った、そう。", "『ね。』」", "終"]),
        ("你好吗?很好!“是的。”他说。", ["你好吗?", "很好!“是的。”", "他说。"]),
        ("本当!?そうだ。。。え！？ OK。Yes", ["本当!?", "そうだ。。。", "え！？", "OK。", "Yes"]),
        ("Tokyo (東京) is 3.5 times", ["Tokyo (東京) is 3.5 times"]),
        ('Yahoo!Inc or what?No, "Stop!" he said', ['Yahoo!Inc or what?No, "Stop!"', "he said"]),
    ],
)
def test_text_without_blanks_is_split_behind_its_sentence_ends(text: str, expected: list[str]) -> None:
    assert [line for _, _, line in timed_lines(timed(text))] == expected


def test_text_without_blanks_is_split_at_pauses_and_where_it_is_long() -> None:
    def lines(text: str, step: float = 0.1, gap_before: str = "") -> list[str]:
        return [line for _, _, line in timed_lines(timed(text, step, gap_before=gap_before))]

    assert lines("今日は元気です", gap_before="元") == ["今日は", "元気です"]
    assert lines("今日は、元気です", step=0.7) == ["今日は、", "元気です"]  # the pause is in the comma's own time
    assert lines("unbroken", gap_before="b") == ["unbroken"]
    assert lines("あ" * 40 + "、" + "い" * 40, step=0.2) == ["あ" * 40 + "、", "い" * 40]
    spans = [(start, end) for start, end, _ in timed_lines(timed("キャー" * 100, step=0.2))]
    assert len(spans) == 4 and max(end - start for start, end in spans) < LONGEST + 3 * 0.2
    assert all(line.startswith("キ") for line in lines("キャー" * 100, step=0.2))


def test_japanese_becomes_subtitles(tmp_path: Path) -> None:
    path = written(tmp_path / "a.json", {"character_alignments": entries("今日は。" * 40, step=0.5)})
    cues, problems = read_subtitles(path)
    assert [cue.text for cue in cues] == ["今日は。"] * 40 and not problems


@pytest.mark.parametrize("text", ["あ", "word "])
def test_the_time_is_linear_in_the_number_of_characters(text: str) -> None:
    def seconds(count: int) -> float:
        characters = timed(text * (count // len(text)), step=1e-4)
        taken = []
        for _ in range(3):
            start = time.process_time()
            timed_lines(characters)
            taken.append(time.process_time() - start)
        return min(taken)

    assert seconds(16_000) < 30 * seconds(2_000)  # 8 times, or 64 where it is quadratic


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ([1], "must hold a JSON object"),
        ({"text": "hello"}, "holds no characters with times"),
        ({"character_alignments": []}, "holds no characters with times"),
        ({"character_alignments": "abc"}, "is not a list"),
        ({"character_alignments": [{"char": 3, "start": 0}]}, "entry 1 of character_alignments has no char"),
        ({"character_alignments": [{"char": "a", "start": 0}, {"char": "b", "start": "x"}]}, "entry 2: start 'x'"),
        ({"character_alignments": [{"char": "a", "start": -1}]}, "entry 1: start '-1'"),
        ({"character_alignments": [{"char": "a", "start": 1}, {"char": "b", "start": 0.2}]}, "before the previous one"),
        ({"character_alignments": [{"char": "a", "start": 1, "end": 0.2}]}, "before it starts"),
        (
            {"character_alignments": [{"char": "a", "start": 0}, {"char": "b", "start": 9}]},
            "entry 2 ('b') starts at 9.00 s, after the end of the recording (2.00 s)",
        ),
        (
            {"character_alignments": [{"char": "a", "start": 0, "end": 1}, {"char": "b", "start": 1, "end": 2.05}]},
            "entry 2 ('b') ends at 2.05 s, after the end of the recording (2.00 s)",
        ),
        ({"character_alignments": [{"char": "a", "start": 0, "end": None}, {"char": "b"}]}, "entry 2: start 'None'"),
        ({"character_alignments": [{"char": "a", "start": True}]}, "entry 1: start 'True'"),
        ({"characters": ["a"], "character_start_times_seconds": [0]}, "lists of one length"),
        (
            {
                "characters": ["a", "b"],
                "character_start_times_seconds": [0, 1],
                "character_end_times_seconds": [1, "end"],
            },
            "entry 2: end 'end'",
        ),
        (
            {
                "alignment": {
                    "characters": ["a", 5],
                    "character_start_times_seconds": [0, 1],
                    "character_end_times_seconds": [1, 2],
                }
            },
            "entry 2 of characters has no char",
        ),
    ],
)
def test_what_does_not_fit_is_refused_by_its_entry(tmp_path: Path, content: object, message: str) -> None:
    with pytest.raises(VoicecloneError) as error:
        read_characters(written(tmp_path / "a.json", content), 2.0)
    assert message in str(error.value) and "a.json" in str(error.value)


def test_times_may_exceed_the_end_by_a_fiftieth(tmp_path: Path) -> None:
    late = [{"char": "a", "start": 0.0, "end": 1.0}, {"char": "b", "start": 1.0, "end": 2.03}]
    assert len(read_characters(written(tmp_path / "a.json", {"character_alignments": late}), 2.0)) == 2


def test_a_missing_file_is_a_wrong_call(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        read_characters(tmp_path / "none.json")


def test_they_are_read_as_subtitles(tmp_path: Path) -> None:
    from talks import SENTENCES, speak_talk

    talk = speak_talk(tmp_path / "talk.wav", SENTENCES[:3])
    path = written(tmp_path / "talk.json", {"character_alignments": talk.made.timed_characters()})
    cues, problems = read_subtitles(path)
    assert [cue.text for cue in cues] == list(SENTENCES[:3]) and not problems
    assert all(abs(cue.start - start) < 0.2 for cue, (start, _, _) in zip(cues, talk.spans))
    for given in (path, tmp_path):
        script = script_of_subtitles(given, [talk.path])
        assert " ".join(part.text.replace("\n", " ") for part in script.parts) == talk.text
    late = written(tmp_path / "late.json", {"character_alignments": entries(step=5.0)})
    with pytest.raises(VoicecloneError, match="do they belong together"):
        script_of_subtitles(late, [talk.path])
