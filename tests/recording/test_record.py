"""``record`` with a simulated sound library."""

from __future__ import annotations

import io
import json
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from voiceclone.audio.io import write_wav
from voiceclone.cli.main import main
from voiceclone.data.metadata import read_dataset
from voiceclone.recording.sentences import SENTENCES
from voiceclone.recording.session import Session
from voiceclone.text.g2p import Phonemizer

RATE = 44_100
THREE = "One fine day.\nTwo good friends.\n\nThree old houses.\nTwo good friends.\n"


def speech(seconds: float = 2.0, level: float = 0.2, silence: float = 1.0) -> np.ndarray:
    """Something like speech between two silences, float32 ``(T, 1)``."""
    time = np.arange(int(seconds * RATE)) / RATE
    tone = level * np.sin(2 * np.pi * 180 * time) * (0.6 + 0.4 * np.sin(2 * np.pi * 3 * time)) * np.hanning(len(time))
    quiet = np.zeros(int(silence * RATE))
    return np.concatenate([quiet, tone, quiet]).astype(np.float32)[:, None]


GOOD = speech()
CLIPPED = np.clip(40 * GOOD, -1, 1)


class FakeLibrary(types.ModuleType):
    """Replaces sounddevice: each recording returns the next of ``takes``."""

    class PortAudioError(Exception):
        pass

    def __init__(self, takes: list[np.ndarray], overflows: set[int] = frozenset()) -> None:
        super().__init__("sounddevice")
        self.__spec__ = types.SimpleNamespace(name="sounddevice", loader=None)  # find_spec asks for it
        self.takes, self.opened, self.overflows = takes, [], overflows

    def query_devices(self, device: Any = None, kind: str | None = None) -> Any:
        found = [
            {"name": "Speakers", "max_input_channels": 0, "default_samplerate": 48000.0},
            {"name": "Desk microphone", "max_input_channels": 2, "default_samplerate": float(RATE)},
        ]
        if kind is None:
            return found
        if device not in (None, 1, "Desk"):
            raise ValueError(f"No input device matching {device!r}")
        return found[1]

    def InputStream(self, *, samplerate: int, channels: int, dtype: str, device: Any, callback: Any) -> Any:
        library = self

        class Stream:
            def __enter__(self) -> None:
                assert (samplerate, channels, dtype) == (RATE, 1, "float32")
                library.opened.append(device)
                number = len(library.opened) - 1
                take = library.takes[number]
                for at in range(0, len(take), 1024):
                    block = take[at : at + 1024].copy()
                    status = types.SimpleNamespace(input_overflow=number in library.overflows and at == 1024)
                    callback(block, len(block), None, status)
                    block[:] = np.nan  # the library uses its buffer again

            def __exit__(self, *_: object) -> None:
                pass

        return Stream()


@pytest.fixture
def record(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Call ``record`` with given keys and audio; returns the exit code. ``record.library`` is the library."""
    (tmp_path / "three.txt").write_text(THREE)

    def call(keys: str, takes: list[np.ndarray], *more: str, overflows: set[int] = frozenset()) -> int:
        call.library = FakeLibrary(takes, overflows)
        monkeypatch.setitem(sys.modules, "sounddevice", call.library)
        monkeypatch.setattr("sys.stdin", io.StringIO(keys))
        return main(["record", "--out", str(tmp_path / "ds"), "--sentences", str(tmp_path / "three.txt"), *more])

    return call


def rows(folder: Path) -> list[tuple[str, str]]:
    return [(entry.name, entry.text) for entry in read_dataset(folder)["train"]]


def test_every_sentence_becomes_a_trimmed_clip(record, tmp_path: Path, capsys) -> None:
    assert record("\n" * 6, [GOOD] * 3) == 0
    found = rows(tmp_path / "ds")
    assert found == [
        ("clip_001.wav", "One fine day."),
        ("clip_002.wav", "Two good friends."),
        ("clip_003.wav", "Three old houses."),
    ]
    for name, _ in found:
        info = soundfile.info(tmp_path / "ds" / "train" / name)
        assert info.samplerate == RATE and 1.6 < info.duration < 2.5 and info.subtype == "PCM_16"
    heard = soundfile.read(tmp_path / "ds" / "train" / "clip_001.wav")[0]
    assert np.abs(heard).max() == pytest.approx(0.2, abs=0.01)
    printed, told = capsys.readouterr()
    assert "1/3  One fine day." in printed and "kept: clip_003.wav, 2." in printed
    assert "microphone: Desk microphone, 44100 Hz" in told and "3 of 3 sentences" in told
    assert f"voiceclone clone --data {tmp_path / 'ds'}" in told
    assert not list((tmp_path / "ds").glob(".*"))


@pytest.mark.parametrize(
    ("take", "says"),
    [
        (CLIPPED, "not kept: clipped: "),
        (0.01 * GOOD, "not kept: too quiet: "),
        (0 * GOOD, "not kept: "),
        (GOOD[:0], "not kept: empty"),
        (speech(0.2), "not kept: too short: "),
        (speech(40.0), "not kept: too long: "),
    ],
)
def test_what_is_unfit_is_not_kept_and_comes_again(record, tmp_path: Path, take, says: str, capsys) -> None:
    assert record("\n\n\n\nq\n", [take, GOOD]) == 0
    printed = capsys.readouterr().out
    assert says in printed and printed.count("1/3  One fine day.") == 2
    assert rows(tmp_path / "ds") == [("clip_001.wav", "One fine day.")]


def test_lost_sound_is_not_kept(record, tmp_path: Path, capsys) -> None:
    assert record("\n\n\n\nq\n", [GOOD, GOOD], overflows={0}) == 0
    assert "not kept: interrupted: " in capsys.readouterr().out and len(rows(tmp_path / "ds")) == 1


def test_skip_repeat_stop_and_continue(record, tmp_path: Path, capsys) -> None:
    assert record("\n\ns\nr\n\nq\n", [GOOD, speech(1.5)]) == 0
    assert [text for _, text in rows(tmp_path / "ds")] == ["One fine day."]
    assert soundfile.info(tmp_path / "ds" / "train" / "clip_001.wav").duration < 2.0  # the second time
    assert "1 of 3 sentences" in capsys.readouterr().err
    assert record("\n\n", [GOOD]) == 0  # the input ends: what was recorded is kept
    assert [text for _, text in rows(tmp_path / "ds")] == ["One fine day.", "Two good friends."]
    printed, told = capsys.readouterr()
    assert "1/3" not in printed and "2/3  Two good friends." in printed and "continue with the same command" in told


def test_ctrl_c_keeps_what_is_recorded(record, tmp_path: Path, monkeypatch, capsys) -> None:
    class Keys(io.StringIO):
        def readline(self, *_: Any) -> str:
            if not (line := super().readline()):
                raise KeyboardInterrupt
            return line

    monkeypatch.setattr("io.StringIO", Keys)
    assert record("\n\n\n", [GOOD, GOOD]) == 130
    assert "finished clips are kept; continue with the same command" in capsys.readouterr().err
    assert [text for _, text in rows(tmp_path / "ds")] == ["One fine day."]
    assert not list(tmp_path.rglob(".lock")) and not list(tmp_path.rglob(".partial-*"))


def test_a_recording_that_was_killed_at_its_first_clip_continues(record, tmp_path: Path, monkeypatch) -> None:
    """The clip is written before its row."""

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("voiceclone.recording.session.write_text", killed)
        assert record("\n\nq\n", [GOOD]) == 130
    train = tmp_path / "ds" / "train"
    assert [path.name for path in train.iterdir()] == ["clip_001.wav"]
    for name in ("clip_001.wav", "metadata.jsonl"):
        (train / f".partial-1a2b3c4d-{name}").write_bytes(b"RI")  # a process that is killed leaves these, too
    assert record("q\n", []) == 0
    assert record("\n\nq\n", [GOOD]) == 0
    assert rows(tmp_path / "ds") == [("clip_001.wav", "One fine day.")]
    assert sorted(path.name for path in train.iterdir()) == ["clip_001.wav", "metadata.jsonl"]


def test_a_dataset_of_ones_own_is_added_to(record, tmp_path: Path) -> None:
    assert record("\n\nq\n", [GOOD]) == 0
    metadata = tmp_path / "ds" / "train" / "metadata.jsonl"
    row = {"file_name": "clip_001.wav", "text": "One fine day.", "speaker": "ann"}
    metadata.write_text(json.dumps(row))
    assert record("\n\nq\n", [GOOD]) == 0
    lines = metadata.read_text().splitlines()
    assert json.loads(lines[0]) == row and json.loads(lines[1])["file_name"] == "clip_002.wav" and len(lines) == 2


def test_clips_that_are_not_listed_are_kept(tmp_path: Path) -> None:
    train = tmp_path / "train"
    write_wav(train / "Clip_001.WAV", np.full(24_000, 0.1, np.float32), 24_000)
    (train / "metadata.jsonl").write_text('{"file_name": "Clip_001.WAV", "text": "One."}\n')
    (train / "clip_002.wav").write_bytes(b"its row was removed by hand")
    assert Session(tmp_path).add("Two.", GOOD[:, 0], RATE).name == "clip_003.wav"
    assert (train / "clip_002.wav").read_bytes() == b"its row was removed by hand"


def test_rows_of_an_editor_that_writes_utf16_are_kept(tmp_path: Path) -> None:
    train = tmp_path / "train"
    write_wav(train / "a.wav", np.full(24_000, 0.1, np.float32), 24_000)
    (train / "metadata.jsonl").write_bytes('{"file_name": "a.wav", "text": "Grüße."}\r\n'.encode("utf-16"))
    Session(tmp_path).add("Two.", GOOD[:, 0], RATE)
    assert [entry.text for entry in read_dataset(tmp_path)["train"]] == ["Grüße.", "Two."]


def test_a_recording_is_bounded(record, monkeypatch, capsys) -> None:
    monkeypatch.setattr("voiceclone.recording.microphone.LONGEST", 0.5)
    assert record("\n\nq\n", [GOOD]) == 0
    assert "not kept" in capsys.readouterr().out


def test_microphones_are_listed_and_chosen(record, capsys) -> None:
    assert record("", [], "--list-mics") == 0
    assert capsys.readouterr().out == "1: Desk microphone\n"
    for name, device in (("1", 1), ("Desk", "Desk")):
        assert record("\n\nq\n", [GOOD], "--mic", name) == 0
        assert record.library.opened == [device] or record.library.opened == []
    assert record("", [], "--mic", "Cellar") == 2
    assert "error: --mic Cellar: No input device matching 'Cellar': --list-mics" in capsys.readouterr().err


def test_a_sound_system_that_fails_is_one_line(record, monkeypatch, tmp_path: Path, capsys) -> None:
    def broken(self: Any, *_: Any, **__: Any) -> Any:
        raise FakeLibrary.PortAudioError("Error opening InputStream:\nDevice unavailable [-9985]")

    monkeypatch.setattr(FakeLibrary, "InputStream", broken)
    assert record("\n\n", []) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("error: the microphone cannot be used (Error opening InputStream: Device unavailable")
    monkeypatch.setattr(FakeLibrary, "query_devices", broken)
    assert record("\n\n", []) == 1
    assert "error: there is no microphone (" in capsys.readouterr().err
    assert not (tmp_path / "ds").exists()


def test_without_portaudio_one_line_says_what_to_install(record, tmp_path: Path, monkeypatch, capsys) -> None:
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    assert main(["record", "--out", str(tmp_path / "ds")]) == 1
    assert "(PortAudio library not found): install PortAudio" in capsys.readouterr().err


def test_without_the_extra_one_line_says_what_to_install(monkeypatch, tmp_path: Path, capsys) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    assert main(["record", "--out", str(tmp_path / "ds")]) == 1
    line = "error: recording needs sounddevice, which is not installed: pip install '.[record]' in a checkout"
    assert capsys.readouterr().err.startswith(line)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("three.txt", b"caf\xe9", "is not UTF-8"),
        ("three.txt", b" \n\n", "holds no sentence"),
        ("three.txt", b"a" * 1_000_001, "more than 1 MB"),
        ("three.txt", None, "check the path"),
        ("ds", b"mine", "is a file"),
        ("ds/notes.txt", b"mine", "holds other files"),
        ("ds/train", b"mine", "holds other files"),
        ("ds/train/clip_002.wav", b"mine", "holds other files"),
        ("ds/train/clip_001.wav/mine.wav", b"mine", "holds other files"),
        ("ds/train/metadata.jsonl", b"{broken", "line 1"),
    ],
)
def test_bad_files_are_one_line(record, tmp_path: Path, name: str, content: bytes | None, says: str, capsys) -> None:
    target = tmp_path / name
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    if content is not None:
        target.write_bytes(content)
    assert record("\n\n", [GOOD]) in (1, 2)
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("error: ") and says in line
    assert content is None or target.read_bytes() == content


def test_the_packaged_sentences_cover_every_phoneme() -> None:
    phonemizer = Phonemizer("a")
    heard = "".join(phonemizer.phonemes(sentence) for sentence in SENTENCES)
    assert len(SENTENCES) == len(set(SENTENCES)) == 20
    for sound in "AIOWYbdfhijklmnpstuvwzæðŋɑɔəɛɜɡɪɹʃʊʌʒʤʧθT":
        assert heard.count(sound) >= 4, sound
    assert all(8 <= len(sentence.split()) <= 16 for sentence in SENTENCES) and "?" in heard
