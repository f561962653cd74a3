"""``prepare`` from the command line: all sources of transcripts, interruptions, bad input, and dropped clips."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from talks import SENTENCES, Talk, plain_words, speak_talk

from voiceclone.cli.main import main
from voiceclone.data.metadata import read_dataset
from voiceclone.prepare.clips import integrated_loudness

LENGTHS = ["--min-seconds", "1.5", "--max-seconds", "5"]


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Talk:
    return speak_talk(tmp_path_factory.mktemp("talk") / "talk.flac", SENTENCES[:5])


@pytest.fixture(scope="module")
def cut_clips(talk: Talk, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sentences as clips, ``0.wav`` and on."""
    folder = tmp_path_factory.mktemp("clips")
    sound, rate = soundfile.read(talk.path)
    for number, (start, end, _) in enumerate(talk.spans):
        soundfile.write(folder / f"{number}.wav", sound[int((start - 0.2) * rate) : int((end + 0.2) * rate)], rate)
    return folder


@pytest.fixture(scope="module")
def made(talk: Talk, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The dataset of the talk and its text."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "text.txt").write_text(talk.text)
    assert prepare(talk.path, folder / "ds", "--text", folder / "text.txt") == 0
    return folder / "ds"


def prepare(source: Path, out: Path, *more: object) -> int:
    return main(["prepare", str(source), "--out", str(out), *LENGTHS, *map(str, more)])


def report_of(out: Path) -> dict:
    return json.loads((out / "prepare_report.json").read_text())


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def check_dataset(out: Path, talk: Talk) -> None:
    """Requirements for every dataset: all sentences are present, each in the clip with its audio."""
    entries = read_dataset(out)
    report = report_of(out)
    rows = {row["name"]: row for row in report["clips"]}
    assert len(entries["train"]) == report["summary"]["kept_clips"]["train"] > 0
    assert len(entries["validation"]) == report["summary"]["kept_clips"]["validation"] == 1
    found = sorted([*entries["train"], *entries["validation"]], key=lambda entry: rows[entry.name]["start"])
    assert [word for entry in found for word in plain_words(entry.text)] == plain_words(talk.text)
    for entry in found:
        row = rows[entry.name]
        assert entry.text == row["text"] and row["split"] == entry.split and row["status"] == "kept"
        inside = [(a, b) for a, b, text in talk.spans if text in entry.text]
        assert row["start"] <= inside[0][0] + 0.02 and row["end"] >= inside[-1][1] - 0.05
        assert not [a for a, b, text in talk.spans if text not in entry.text and min(b, row["end"]) > a > row["start"]]
        audio, rate = soundfile.read(entry.path, dtype="float32")
        assert rate == 24_000 and audio.ndim == 1 and soundfile.info(entry.path).subtype == "PCM_16"
        assert len(audio) / rate == pytest.approx(row["seconds"], abs=2e-3)
        assert 1.5 <= row["seconds"] <= 5.0
        assert integrated_loudness(audio) == pytest.approx(-23.0, abs=0.2)


def test_a_text_file(made: Path, talk: Talk) -> None:
    check_dataset(made, talk)
    assert {path.name for path in made.iterdir()} == {"train", "validation", "prepare_report.json"}
    assert report_of(made)["summary"]["words_not_found"] == 0


@pytest.mark.parametrize("suffix", ["srt", "vtt"])
def test_subtitles_whose_times_are_out(suffix: str, talk: Talk, tmp_path: Path) -> None:
    (tmp_path / f"talk.{suffix}").write_text(talk.subtitles("," if suffix == "srt" else ".", late=0.2))
    source = tmp_path / f"talk.{suffix}" if suffix == "srt" else tmp_path  # a file, or a folder of NAME.vtt
    assert prepare(talk.path, tmp_path / "ds", "--subtitles", source, "--speaker", "anna") == 0
    check_dataset(tmp_path / "ds", talk)
    assert {entry.speaker for split in read_dataset(tmp_path / "ds").values() for entry in split} == {"anna"}


def test_subtitles_in_a_language_that_cannot_be_aligned(talk: Talk, tmp_path: Path, capsys) -> None:
    (tmp_path / "talk.srt").write_text(talk.subtitles())
    assert prepare(talk.path, tmp_path / "ds", "--subtitles", tmp_path / "talk.srt", "--lang", "j") == 0
    check_dataset(tmp_path / "ds", talk)
    assert "is not checked against the sound" in capsys.readouterr().err


def test_ljspeech_metadata_and_one_line_for_each_file(talk: Talk, cut_clips: Path, tmp_path: Path) -> None:
    shutil.copytree(cut_clips, tmp_path / "lj" / "wavs")
    texts = [text for _, _, text in talk.spans]
    rows = "".join(f"{number}|{text.upper()}|{text}\n" for number, text in enumerate(texts))
    (tmp_path / "lj" / "metadata.csv").write_text(rows)
    (tmp_path / "lines.txt").write_text("\n".join(texts))
    assert prepare(tmp_path / "lj", tmp_path / "csv", "--metadata", tmp_path / "lj" / "metadata.csv") == 0
    assert prepare(tmp_path / "lj" / "wavs", tmp_path / "lines", "--text", tmp_path / "lines.txt") == 0
    for out in (tmp_path / "csv", tmp_path / "lines"):
        entries = [entry for split in read_dataset(out).values() for entry in split]
        assert {(entry.name, entry.text) for entry in entries} == {(f"{n}.wav", text) for n, text in enumerate(texts)}


def test_a_transcript_of_another_clip_is_dropped(talk: Talk, cut_clips: Path, tmp_path: Path, capsys) -> None:
    texts = [text for _, _, text in talk.spans]
    texts[1], texts[3] = texts[3], texts[1]
    (tmp_path / "lines.txt").write_text("\n".join(texts))
    assert prepare(cut_clips, tmp_path / "ds", "--text", tmp_path / "lines.txt", "--json", "--force") == 0
    reasons = {row["source"]: row["reason"] for row in report_of(tmp_path / "ds")["clips"]}
    assert {name for name, reason in reasons.items() if reason} == {"1.wav", "3.wav"}
    assert all("text and sound differ" in reasons[name] for name in ("1.wav", "3.wav"))
    summary = json.loads(capsys.readouterr().out)
    assert summary["dropped_reasons"] == {"text and sound differ": 2} and summary["kept_clips"]["train"] == 2


def test_speech_recognition(talk: Talk, tmp_path: Path, recogniser, capsys) -> None:
    heard = recogniser([(start, end, f" {text}") for start, end, text in talk.spans])
    assert prepare(talk.path, tmp_path / "ds", "--transcribe", "tiny") == 0
    check_dataset(tmp_path / "ds", talk)
    assert heard == [("tiny", str(talk.path), "en")]


@pytest.fixture
def recogniser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable:
    """Puts a stand-in with faster-whisper's interface in its place; returns what it is asked."""

    def install(segments: list[tuple[float, float, str]]) -> list[tuple]:
        (tmp_path / "site" / "faster_whisper").mkdir(parents=True)
        (tmp_path / "site" / "faster_whisper" / "__init__.py").write_text(
            "from types import SimpleNamespace\n"
            f"SEGMENTS, ASKED = {segments!r}, []\n"
            "class WhisperModel:\n"
            "    def __init__(self, model, device, compute_type):\n"
            "        self.model = model\n"
            "    def transcribe(self, path, *, language, vad_filter, condition_on_previous_text):\n"
            "        ASKED.append((self.model, path, language))\n"
            "        return (SimpleNamespace(start=a, end=b, text=t) for a, b, t in SEGMENTS), None\n"
        )
        monkeypatch.syspath_prepend(str(tmp_path / "site"))
        monkeypatch.delitem(__import__("sys").modules, "faster_whisper", raising=False)
        import faster_whisper

        return faster_whisper.ASKED

    yield install
    __import__("sys").modules.pop("faster_whisper", None)


def test_an_interrupted_run_continues_to_the_same_files(
    talk: Talk, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    text = ["--text", made.parent / "text.txt"]

    def stopped_in(place: str, after: int, *more: str) -> None:
        """Ctrl-C in the call of ``place`` that follows on ``after`` others."""
        module, name = place.rsplit(".", 1)
        true = getattr(__import__(module, fromlist=["_"]), name)
        calls = []

        def call(*arguments, **named):
            calls.append(1)
            if len(calls) > after:
                raise KeyboardInterrupt
            return true(*arguments, **named)

        with monkeypatch.context() as patch:
            patch.setattr(place, call)
            assert prepare(talk.path, tmp_path / "ds", *text, *more) == 130
        assert "continue with --resume" in capsys.readouterr().err

    stopped_in("voiceclone.prepare.steps.plan_recording", 0)
    assert prepare(talk.path, tmp_path / "ds", *text) == 2
    assert "holds an unfinished run" in capsys.readouterr().err
    stopped_in("voiceclone.prepare.clips.write_wav", 2, "--resume")
    stopped_in("voiceclone.prepare.folder.write_text", 1, "--resume")
    with monkeypatch.context() as patch:
        patch.setattr("voiceclone.prepare.steps.learn", None)  # nothing is done twice
        patch.setattr("voiceclone.prepare.steps.plan_recording", None)
        assert prepare(talk.path, tmp_path / "ds", *text, "--resume") == 0
    assert tree(tmp_path / "ds") == tree(made)


def test_a_finished_dataset_is_kept(talk: Talk, made: Path, tmp_path: Path, capsys) -> None:
    text = ["--text", made.parent / "text.txt"]
    before = tree(made)
    assert prepare(talk.path, made, *text) == 2
    assert "is finished" in capsys.readouterr().err
    assert prepare(talk.path, made, *text, "--resume") == 0
    assert prepare(talk.path, made, *text, "--resume", "--loudness", "-20") == 2
    assert "was made with other settings" in capsys.readouterr().err
    assert tree(made) == before


def test_overwrite_replaces_what_it_made_and_nothing_else(made: Path, talk: Talk, tmp_path: Path) -> None:
    out = tmp_path / "ds"
    shutil.copytree(made, out)
    (out / "train" / "mine.txt").write_text("mine")
    (tmp_path / "talk.srt").write_text(talk.subtitles())
    assert prepare(talk.path, out, "--subtitles", tmp_path / "talk.srt", "--overwrite", "--validation", "0") == 0
    assert (out / "train" / "mine.txt").read_text() == "mine" and not (out / "validation").exists()
    names = {row["name"] for row in report_of(out)["clips"]}
    assert {path.name for path in (out / "train").glob("*.wav")} == names


def test_the_source_is_never_changed(talk: Talk, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    shutil.copy(talk.path, source)
    (source / "talk.srt").write_text(talk.subtitles())
    (source / "broken.wav").write_bytes(b"no sound")
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in source.iterdir()}
    assert prepare(source, tmp_path / "ds", "--subtitles", source) == 0
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in source.iterdir()} == before
    assert [row["where"] for row in report_of(tmp_path / "ds")["passed_over"]] == ["broken.wav"]


def test_what_is_dropped_says_why(talk: Talk, cut_clips: Path, tmp_path: Path, capsys) -> None:
    """Clips with one fault each, in a language without comparison of text and audio."""
    source = tmp_path / "spoilt"
    source.mkdir()
    sound, rate = soundfile.read(cut_clips / "0.wav")
    noise = np.random.default_rng(0).standard_normal(len(sound))
    spoilt = {
        "clipped": np.clip(sound * (8 / np.abs(sound).max()), -1, 1),
        "noisy": sound + 0.6 * np.std(sound) * noise,
        "too quiet": sound * 0.01,
        "silent": np.zeros(len(sound)),
        "mostly silent": np.concatenate([sound[: rate // 2], 1e-3 * noise[: 2 * rate], sound[-rate // 2 :]]),
        "too short": sound[: int(0.9 * rate)],
        "too long": np.tile(sound, 3),
        "good": sound,
        "good too": soundfile.read(cut_clips / "1.wav")[0],
    }
    rows = []
    for name, samples in spoilt.items():
        soundfile.write(source / f"{name}.wav", samples, rate, subtype="FLOAT")
        rows.append(json.dumps({"file_name": f"{name}.wav", "text": talk.spans[0][2]}))
    (source / "metadata.jsonl").write_text("\n".join(rows))
    assert prepare(source, tmp_path / "ds", "--metadata", source / "metadata.jsonl", "--lang", "j") == 1
    for row in report_of(tmp_path / "ds")["clips"]:
        kind = Path(row["source"]).stem
        assert (row["reason"] or kind).split(":")[0] == kind, row
        assert (row["status"] == "kept") == kind.startswith("good")
    err = capsys.readouterr().err
    assert "dropped: 7" in err and "1 clipped" in err


def test_a_second_speaker_is_dropped(tmp_path: Path) -> None:
    pytest.importorskip("resemblyzer")
    voices = ["en-us+m7"] * 4 + ["en-us+f4"]
    talk = speak_talk(tmp_path / "two.wav", SENTENCES, voices=voices)
    (tmp_path / "two.srt").write_text(talk.subtitles())
    assert prepare(tmp_path / "two.wav", tmp_path / "ds", "--subtitles", tmp_path / "two.srt", "--lang", "j") == 0
    other = talk.spans[4]
    for row in report_of(tmp_path / "ds")["clips"]:
        with_other = min(row["end"], other[1]) - max(row["start"], other[0]) > 0.5
        assert (row["reason"] or "").startswith("another speaker") == with_other, row


def test_nothing_usable_is_an_error_that_names_the_report(tmp_path: Path, capsys) -> None:
    soundfile.write(tmp_path / "mute.wav", np.zeros(48_000), 24_000)
    (tmp_path / "mute.srt").write_text("1\n00:00:00,200 --> 00:00:01,900\nHello there.\n")
    out = tmp_path / "ds"
    assert prepare(tmp_path / "mute.wav", out, "--subtitles", tmp_path / "mute.srt", "--lang", "j") == 1
    last = capsys.readouterr().err.strip().splitlines()[-1]
    reason = report_of(out)["clips"][0]["reason"]
    assert last.startswith(f"error: no usable clip (first: mute.wav: {reason}): {out / 'prepare_report.json'} lists")
    assert list(out.rglob("*.wav")) == []


def test_a_wrong_text_is_no_dataset_without_force(cut_clips: Path, tmp_path: Path, capsys) -> None:
    """Two of the five sentences of the text are spoken."""
    sounds = [soundfile.read(cut_clips / f"{number}.wav") for number in range(2)]
    soundfile.write(tmp_path / "t.wav", np.concatenate([sound for sound, _ in sounds]), sounds[0][1])
    (tmp_path / "t.txt").write_text(" ".join(SENTENCES[:5]))
    out = tmp_path / "ds"
    assert prepare(tmp_path / "t.wav", out, "--text", tmp_path / "t.txt") == 1
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("error: ONLY ") and "% OF THE WORDS" in last and "--force" in last
    assert report_of(out)["summary"]["words_not_found"] >= 25
    assert prepare(tmp_path / "t.wav", out, "--text", tmp_path / "t.txt", "--resume", "--force") == 0
    assert "warning: ONLY" in capsys.readouterr().err


def nothing(place: Path) -> None:
    pass


def wrote(name: str, content: str | bytes) -> Callable[[Path], None]:
    return lambda place: (place / name).write_bytes(content if isinstance(content, bytes) else content.encode())


TEXT = ["--text", "{tmp}/t.txt"]
SOME = wrote("t.txt", "Some words.")
TALK = ["{talk}", "--out", "{tmp}/ds"]
BAD: list[tuple[list[str], Callable, int, str]] = [
    (TALK, nothing, 2, "by one of --text, --subtitles, --metadata and --transcribe: none is given"),
    ([*TALK, *TEXT, "--transcribe"], SOME, 2, "--text and --transcribe are given"),
    (["{tmp}/none.wav", *TALK[1:], *TEXT], SOME, 2, "none.wav: no such file or folder"),
    (["{tmp}", *TALK[1:], *TEXT], SOME, 2, "holds no audio that can be read"),
    (["{tmp}/b.wav", *TALK[1:], *TEXT], wrote("b.wav", "no sound"), 2, "holds no audio that can be read"),
    ([*TALK, *TEXT], nothing, 2, "t.txt: no such text file"),
    ([*TALK, *TEXT], wrote("t.txt", "\n \n"), 2, "holds no text"),
    ([*TALK, *TEXT], wrote("t.txt", b"ab\n\xff\xfe\x80"), 1, "t.txt line 2: is not UTF-8"),
    ([*TALK, *TEXT], wrote("t.txt", "… — !"), 1, "nothing that can be spoken"),
    ([*TALK, *TEXT, "--lang", "j"], SOME, 2, "cannot be aligned with a long recording"),
    ([*TALK, *TEXT, "--lang", "xx"], SOME, 2, "unknown language"),
    ([*TALK, "--text", "{tmp}"], nothing, 2, "holds no NAME.txt"),
    ([*TALK, "--subtitles", "{tmp}/s.srt"], nothing, 2, "no such text file"),
    ([*TALK, "--subtitles", "{tmp}/s.srt"], wrote("s.srt", "1\nHello\n"), 1, "holds no subtitle that can be used"),
    ([*TALK, "--subtitles", "{tmp}/s.srt"], wrote("s.srt", "00:02 --> 00:01\nHi\n"), 1, "ends before it starts"),
    ([*TALK, "--metadata", "{tmp}/m.csv"], nothing, 2, "is not a folder"),
    (["{tmp}", *TALK[1:], "--metadata", "{tmp}/m.csv"], nothing, 2, "m.csv: no such file"),
    (["{tmp}", *TALK[1:], "--metadata", "{tmp}/m.csv"], wrote("m.csv", "no bar\n"), 1, "line 1"),
    (["{tmp}", "--out", "{out}", "--metadata", "{tmp}/m.csv"], wrote("m.csv", "a|b\n"), 2, "no such file"),
    (
        [*TALK, "--transcribe", "tiny"],
        nothing,
        1,
        "--transcribe needs faster-whisper, which is not installed: pip install",
    ),
    ([*TALK, *TEXT, "--min-seconds", "nan"], SOME, 2, "--min-seconds nan: use a finite number"),
    ([*TALK, *TEXT, "--max-seconds", "3.5"], SOME, 2, "--max-seconds 3.5 must be at least"),
    ([*TALK, *TEXT, "--validation", "0.9"], SOME, 2, "--validation 0.9"),
    ([*TALK, *TEXT, "--loudness", "5"], SOME, 2, "--loudness 5"),
    ([*TALK, *TEXT, "--seed", "-1"], SOME, 2, "--seed -1"),
    ([*TALK, *TEXT, "--speaker", " "], SOME, 2, "--speaker: give a name"),
    ([*TALK, *TEXT, "--resume", "--overwrite"], SOME, 2, "choose one"),
    (["{talk}", "--out", "{talk}", *TEXT], SOME, 2, "choose a folder apart from it"),
    (["{talk}", "--out", "{tmp}", *TEXT], SOME, 2, "holds other files"),
    (["{talk}", "--out", "{tmp}/t.txt", *TEXT], SOME, 2, "is a file"),
]


@pytest.mark.parametrize(("arguments", "before", "code", "says"), BAD, ids=[says for *_, says in BAD])
def test_one_clear_line(
    arguments: list[str], before, code: int, says: str, talk: Talk, tmp_path: Path, capsys, monkeypatch
) -> None:
    monkeypatch.setitem(sys.modules, "faster_whisper", None)
    monkeypatch.setattr("voiceclone.prepare.run.load_embedder", lambda: None)
    before(tmp_path)
    known = tree(tmp_path)
    places = {"{talk}": talk.path, "{tmp}": tmp_path, "{out}": tmp_path.parent / f"{tmp_path.name}-out"}
    filled = [re.sub(r"\{\w+\}", lambda mark: str(places[mark.group()]), argument) for argument in arguments]
    found = main(["prepare", *filled])
    err = capsys.readouterr().err
    last = err.strip().splitlines()[-1]
    assert found == code and last.startswith("error: ") and says in last and "Traceback" not in err, err
    assert {name: content for name, content in tree(tmp_path).items() if ".prepare" not in name} == known


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse a name that is not UTF-8")
def test_a_name_that_is_not_utf8_is_prepared(cut_clips: Path, tmp_path: Path, capsys) -> None:
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9")
    os.mkdir(odd)
    for number in range(3):
        shutil.copy(cut_clips / f"{number}.wav", os.path.join(odd, os.fsdecode(b"caf\xe9 %d.wav" % number)))
    (tmp_path / "text.txt").write_text("\n".join(SENTENCES[:3]))
    assert prepare(Path(odd), tmp_path / "ds", "--text", tmp_path / "text.txt", "--json", "--verbose") == 0
    assert json.loads(capsys.readouterr().out)["kept_clips"]
    assert len(report_of(tmp_path / "ds")["clips"]) == 3
