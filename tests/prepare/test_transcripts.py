"""Text files in various encodings and layouts."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceclone.errors import UsageError, VoicecloneError
from voiceclone.prepare import transcripts
from voiceclone.prepare.transcripts import clean, read_transcript, running_text, script_of_text

WAVS = [Path("a.wav"), Path("b.wav"), Path("c.wav")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings_and_line_ends(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "t.txt").write_bytes("Voila\u0300,\r\nno\u200b more.\rEnd\tof\u00a0it".encode(encoding))
    assert read_transcript(tmp_path / "t.txt") == "Voilà,\nno more.\nEnd of it"


def test_what_is_no_text_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="no such text file"):
        read_transcript(tmp_path / "none.txt")
    (tmp_path / "t.txt").write_bytes(b"fine\nfine\n\xff broken")
    with pytest.raises(VoicecloneError, match="line 3: is not UTF-8"):
        read_transcript(tmp_path / "t.txt")
    monkeypatch.setattr(transcripts, "MAX_BYTES", 10)
    with pytest.raises(VoicecloneError, match="MB are not a transcript"):
        read_transcript(tmp_path / "t.txt")


@settings(max_examples=100, deadline=None)
@given(text=st.text(max_size=60))
def test_cleaning_is_done_once_and_for_all(text: str) -> None:
    cleaned = clean(text)
    assert clean(cleaned) == cleaned and unicodedata.is_normalized("NFC", cleaned)
    assert all(c == "\n" or unicodedata.category(c)[0] != "C" for c in cleaned) and "  " not in cleaned


def test_wrapped_lines_become_paragraphs_and_others_stay() -> None:
    words = ["the", "quick", "brown", "fox", "jumps", "over", "the", "lazy", "dog", "and", "runs", "away"]
    wrapped = "\n".join(" ".join(words) for _ in range(5)) + ".\n\nA new paragraph."
    joined = running_text(wrapped)
    assert joined.split("\n\n")[1] == "A new paragraph." and "\n" not in joined.split("\n\n")[0]
    assert joined.split() == wrapped.split()
    lines = "One sentence here.\nAnother one.\nAnd a third."
    assert running_text(lines) == lines


def test_one_line_for_each_file_or_one_running_text(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("One.\n\nTwo.\nThree.\n")
    script = script_of_text(tmp_path / "t.txt", WAVS)
    assert [(part.recording, part.text) for part in script.parts] == [(0, "One."), (1, "Two."), (2, "Three.")]
    assert script.ready_cut and script.running is None
    for recordings in (WAVS[:1], WAVS[:2]):
        script = script_of_text(tmp_path / "t.txt", recordings)
        assert script.parts == () and script.running.split() == ["One.", "Two.", "Three."] and not script.ready_cut


def test_a_folder_goes_by_the_names_of_the_recordings(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("One.")
    (tmp_path / "b.txt").write_text(" \n")
    script = script_of_text(tmp_path, WAVS)
    assert [(part.recording, part.text) for part in script.parts] == [(0, "One.")]
    assert [(where, why.split(":")[0]) for where, why in script.problems] == [
        ("b.wav", "no transcript"),
        ("c.wav", "no transcript"),
    ]
