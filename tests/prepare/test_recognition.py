"""Transcripts by a recogniser with faster-whisper's interface."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from voiceclone.errors import VoicecloneError
from voiceclone.prepare.recognition import load_recogniser, recognise


def heard(*segments: tuple[float, float, str], fails: bool = False) -> SimpleNamespace:
    def answers():
        for start, end, text in segments:
            yield SimpleNamespace(start=start, end=end, text=text)
        if fails:
            raise RuntimeError("decoder\nbroke")

    return SimpleNamespace(transcribe=lambda path, **named: (answers(), None))


def test_segments_become_cues_in_order() -> None:
    told: list[float] = []
    answers = heard(
        (0.0, 2.0, " Hello."), (1.5, 3.0, " Overlaps."), (3.0, 3.0, "empty"), (3.0, 4.0, " ♪ "), (4, 6, "Bye")
    )
    cues = recognise(answers, Path("a.wav"), "a", told.append)
    assert [(cue.start, cue.end, cue.text) for cue in cues] == [
        (0.0, 2.0, "Hello."),
        (2.0, 3.0, "Overlaps."),
        (4.0, 6.0, "Bye"),
    ]
    assert sum(told) == 6.0


def test_a_failure_is_one_line_that_names_the_file() -> None:
    with pytest.raises(VoicecloneError, match=r"a\.wav: cannot be transcribed \(decoder broke\)"):
        recognise(heard((0.0, 1.0, "x"), fails=True), Path("a.wav"), "a", lambda seconds: None)


def test_a_missing_package_and_a_missing_model_are_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with monkeypatch.context() as absent:
        absent.setitem(sys.modules, "faster_whisper", None)
        with pytest.raises(VoicecloneError, match=r"needs faster-whisper, which is not installed: pip install '\.\["):
            load_recogniser("small")
    (tmp_path / "faster_whisper.py").write_text(
        "class WhisperModel:\n    def __init__(self, *a, **k):\n        raise ValueError('no model\\nhere')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "faster_whisper", raising=False)
    with pytest.raises(VoicecloneError, match=r"transcribe odd: the model cannot be loaded \(no model here\)"):
        load_recogniser("odd")
    sys.modules.pop("faster_whisper", None)
