"""Well-formed and malformed subtitles."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from talks import stamp

from voiceclone.errors import UsageError, VoicecloneError
from voiceclone.prepare.subtitles import Cue, parse_subtitles, parts_of_cues, read_subtitles, script_of_subtitles

FUZZ = settings(max_examples=100, deadline=None)


def cues_of(text: str) -> list[tuple[float, float, str]]:
    return [(cue.start, cue.end, cue.text) for cue in parse_subtitles(text, "a.srt")[0]]


def test_subrip() -> None:
    text = "1\n00:00:01,000 --> 00:00:02,500\nHello\nthere.\n\n2\n00:01:03,250 --> 00:01:04,000\nBye.\n"
    assert cues_of(text) == [(1.0, 2.5, "Hello there."), (63.25, 64.0, "Bye.")]


def test_webvtt() -> None:
    text = (
        "WEBVTT Kind: captions\n\nNOTE\nnobody says this\n\nSTYLE\n::cue { color: red }\n\n"
        "intro\n00:01.000 --> 00:02.500 align:start position:0%\n<v Bob>Tom &amp; <i>Jerry</i></v>\n\n"
        "01:00:03.000 --> 01:00:04.000\nBye.\n"
    )
    assert cues_of(text) == [(1.0, 2.5, "Tom & Jerry"), (3603.0, 3604.0, "Bye.")]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("[door slams]", None),
        ("♪ La la la ♪", None),
        ("(SIGHS)", None),
        ("- Hello.", "Hello."),
        (">> BOB SMITH: Hello.", "Hello."),
        ("{\\an8}Up here.", "Up here."),
        ("He said (quietly) yes.", "He said (quietly) yes."),
        ("Good   morning [laughs] all.", "Good morning all."),
    ],
)
def test_only_what_is_spoken_is_kept(line: str, said: str | None) -> None:
    assert [text for _, _, text in cues_of(f"00:01 --> 00:02\n{line}\n")] == ([said] if said else [])


@pytest.mark.parametrize(
    ("times", "reason"),
    [
        ("00:00:0x --> 00:00:02,000", "no time"),
        ("00:00:03,000 --> 00:00:02,000", "ends before it starts"),
        ("-00:00:03,000 --> 00:00:02,000", "negative time"),
        ("00:00:03,000 --> 00:09:02,000", "too long"),
    ],
)
def test_a_broken_cue_is_passed_over_with_its_line(times: str, reason: str) -> None:
    cues, problems = parse_subtitles(f"1\n{times}\nLost.\n\n2\n00:20:00,000 --> 00:20:01,000\nKept.\n", "a.srt")
    assert [cue.text for cue in cues] == ["Kept."]
    assert len(problems) == 1 and problems[0][0] == "a.srt line 2" and problems[0][1].startswith(reason)


def test_a_missing_blank_line_does_not_put_the_number_into_the_text() -> None:
    assert cues_of("00:01 --> 00:02\nOne.\n2\n00:02 --> 00:03\nTwo.\n") == [(1.0, 2.0, "One."), (2.0, 3.0, "Two.")]


def test_cues_that_overlap() -> None:
    rolled = "00:01 --> 00:03\nOne.\n\n00:02.8 --> 00:05\nTwo.\n\n00:02.9 --> 00:05\nTwo.\n\n00:03 --> 00:04\nIn.\n"
    cues, problems = parse_subtitles(rolled, "a.vtt")
    assert [(cue.start, cue.end, cue.text) for cue in cues] == [(1.0, 2.9, "One."), (2.9, 5.0, "Two.")]
    assert [why for _, why in problems] == ["overlaps the cue before it"] * 2


TEXTS = st.lists(st.sampled_from(["Hello", "there,", "one", "more.", "Ünïcode", "25", "voilà!"]), min_size=1).map(
    " ".join
)
SPANS = st.lists(st.tuples(st.integers(0, 3000), st.integers(1, 30_000), TEXTS), max_size=8)


@FUZZ
@given(spans=SPANS, vtt=st.booleans(), crlf=st.booleans(), numbered=st.booleans())
def test_what_is_written_is_read(spans: list, vtt: bool, crlf: bool, numbered: bool) -> None:
    lines, wanted, at = ["WEBVTT", ""] if vtt else [], [], 0
    for number, (pause, length, text) in enumerate(spans):
        start, at = at + pause, at + pause + length
        times = (stamp(t / 1000, "." if vtt else ",") for t in (start, at))
        lines += [*([str(number)] if numbered else []), " --> ".join(times), *text.split(" ", 1), ""]
        wanted.append(Cue(start=start / 1000, end=at / 1000, text=text))
    content = ("\r\n" if crlf else "\n").join(lines)
    cues, problems = parse_subtitles(content.replace("\r\n", "\n"), "a")
    assert problems == [] and [cue.text for cue in cues] == [cue.text for cue in wanted]
    for cue, want in zip(cues, wanted, strict=True):
        assert (cue.start, cue.end) == pytest.approx((want.start, want.end), abs=1e-6)


PIECES = st.sampled_from(
    [
        "00:01 --> 00:02",
        "-->",
        "--> 00:01",
        "00:00:01,5 --> 99:99:99,999",
        "1",
        "",
        "<",
        "&#x0;",
        "{\\",
        "WEBVTT",
        "♪",
        "٣",
    ]
)


@FUZZ
@given(lines=st.lists(PIECES | st.text(max_size=12), max_size=20))
def test_any_text_gives_cues_in_order(lines: list[str]) -> None:
    cues, problems = parse_subtitles("\n".join(lines), "a")
    at = 0.0
    for cue in cues:
        assert at <= cue.start < cue.end and any(c.isalnum() for c in cue.text) and "\n" not in cue.text
        at = cue.end
    assert all(where.startswith("a ") and why for where, why in problems)


@FUZZ
@given(spans=SPANS)
def test_parts_hold_every_cue_once_and_apart_from_each_other(spans: list) -> None:
    cues, at = [], 0.0
    for pause, length, text in spans:
        cues.append(Cue(start=at + pause / 1000, end=at + (pause + length) / 1000, text=text))
        at = cues[-1].end
    parts = parts_of_cues(cues, 3, "a.srt")
    assert [cue for part in parts for cue in part.cues] == [(cue.start, cue.end, cue.text) for cue in cues]
    for before, part in zip([None, *parts], parts, strict=False):
        assert part.recording == 3 and part.start <= part.cues[0][0] and part.end >= part.cues[-1][1]
        assert before is None or before.end <= part.start + 1e-9


def test_a_folder_goes_by_the_names_of_the_recordings(tmp_path: Path) -> None:
    (tmp_path / "a.srt").write_text("00:01 --> 00:02\nOne.\n")
    (tmp_path / "b.vtt").write_text("WEBVTT\n\n00:03 --> 00:04\nTwo.\n")
    recordings = [Path("x/a.wav"), Path("x/b.mp3"), Path("x/c.wav")]
    script = script_of_subtitles(tmp_path, recordings)
    assert [(part.recording, part.text) for part in script.parts] == [(0, "One."), (1, "Two.")]
    assert len(script.problems) == 1 and script.problems[0][0] == "c.wav"
    with pytest.raises(UsageError, match="one file for 3 recordings"):
        script_of_subtitles(tmp_path / "a.srt", recordings)
    (tmp_path / "a.srt").write_text("nothing")
    with pytest.raises(VoicecloneError, match="holds no subtitle that can be used"):
        script_of_subtitles(tmp_path / "a.srt", recordings[:1])
    with pytest.raises(UsageError, match="no such text file"):
        read_subtitles(tmp_path / "none.srt")
