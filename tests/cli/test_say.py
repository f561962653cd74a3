"""``say`` from the command line: sources of text, kinds of voices, output formats, and failures."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from support import REPOSITORY

from voiceclone import load_base
from voiceclone.audio.io import write_wav
from voiceclone.audio.stream import encoded, sound_file, sound_stream
from voiceclone.bases.stock_names import default_voice, stock_names
from voiceclone.cli.main import main
from voiceclone.errors import VoicecloneError
from voiceclone.text.voice_markers import parts_by_voice
from voiceclone.voice import speaking
from voiceclone.voice.speaking import deliver, speak


@pytest.fixture(scope="module")
def pipeline(base_folder: Path):
    return load_base(base_folder).pipeline("a")


@pytest.fixture
def common(base_folder: Path) -> list[str]:
    return ["--base", str(base_folder), "--offline"]


def test_stock_voice_file_and_mix_of_one_sound_the_same(tmp_path: Path, base_folder: Path, common, capsys) -> None:
    load_base(base_folder).stock_voices["stock_2"].save(tmp_path / "mine.pt")
    voices = ["stock_2", str(tmp_path / "mine.pt"), str(tmp_path / "mine"), f"1.0*{tmp_path / 'mine.pt'}"]
    for number, voice in enumerate(voices):
        out = str(tmp_path / f"{number}.wav")
        assert main(["say", "Good morning.", "--voice", voice, "--out", out, *common]) == 0
    said = {(tmp_path / f"{number}.wav").read_bytes() for number in range(len(voices))}
    assert len(said) == 1
    assert "real-time factor" in capsys.readouterr().err
    out = str(tmp_path / "mix.wav")
    assert main(["say", "Good morning.", "--voice", "0.5*stock_0 + 0.5*stock_2", "--out", out, *common]) == 0
    assert (tmp_path / "mix.wav").read_bytes() not in said


def test_speed_and_seed_change_the_sound(tmp_path: Path, common) -> None:
    def say(name: str, *more: str) -> bytes:
        out = tmp_path / f"{name}.wav"
        assert main(["say", "Good morning.", "--voice", "stock_1", "--out", str(out), *more, *common]) == 0
        return out.read_bytes()

    plain = say("plain")
    assert say("again") == plain and say("seed", "--seed", "1") != plain
    say("slow", "--speed", "0.5")
    lengths = [soundfile.info(tmp_path / f"{name}.wav").frames for name in ("plain", "slow")]
    assert lengths[1] > 1.5 * lengths[0]


def test_text_from_argument_file_and_standard_input_is_the_same(tmp_path: Path, common, monkeypatch) -> None:
    voice = ["--voice", "stock_0", *common]
    (tmp_path / "text.txt").write_bytes("\ufeffHello there.\r\n".encode())
    assert main(["say", "Hello there.", "--out", str(tmp_path / "a.wav"), *voice]) == 0
    assert main(["say", "--file", str(tmp_path / "text.txt"), "--out", str(tmp_path / "b.wav"), *voice]) == 0
    monkeypatch.setattr("sys.stdin", io.StringIO("Hello there."))
    assert main(["say", "-", "--out", str(tmp_path / "c.wav"), *voice]) == 0
    assert len({(tmp_path / f"{name}.wav").read_bytes() for name in "abc"}) == 1


def test_json_tells_how_quickly(tmp_path: Path, common, capsys) -> None:
    out = str(tmp_path / "a.wav")
    text = "Hello there.\nAnd a second line.\n\nAnd a third."
    assert main(["say", text, "--voice", "stock_0", "--out", out, "--json", *common]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["pieces"] == 3 and facts["out"] == out and facts["base"] == "tiny"
    assert facts["seconds"] == pytest.approx(soundfile.info(out).duration, abs=1e-3)
    assert 0 < facts["first_audio_seconds"] < facts["real_time_factor"] * facts["seconds"] + 1e-3


def test_json_tells_what_was_not_spoken(tmp_path: Path, common, capsys) -> None:
    text = "Hello 日本語, my friend.\n.\n…\n[Roe](/ɹˈO§/) speaks. И так."
    say = ["say", text, "--voice", "stock_0", "--out", str(tmp_path / "a.wav"), *common]
    assert main([*say, "--json"]) == 0
    out, err = capsys.readouterr()
    facts = json.loads(out)
    assert facts["pieces"] == 2 and facts["unspoken"] == ["日本語", "И так"] and facts["unknown_symbols"] == ["§"]
    assert "warning: not spoken, in a script that American English cannot read: '日本語', 'И так'" in err
    assert "warning: left out, since the model does not know these phoneme symbols: '§'" in err
    assert main([*say, "--overwrite"]) == 0
    assert "s of speech in 2 pieces, real-time" in capsys.readouterr().err
    assert main(["say", "Hello.", *say[2:], "--overwrite", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["unspoken"] == [] and facts["unknown_symbols"] == []


def test_a_long_spanish_sentence_is_spoken_whole(base_folder: Path, tmp_path: Path, common, capsys) -> None:
    clause = "y el viejo molino quedó vacío durante años sin que nadie supiera quién lo había construido"
    (tmp_path / "long.txt").write_text(" ".join([clause] * 12))
    out = str(tmp_path / "a.wav")
    command = ["say", "--file", str(tmp_path / "long.txt"), "--lang", "e", "--voice", "stock_0", "--out", out, "--json"]
    assert main([*command, *common]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["pieces"] == 3 and facts["unspoken"] == []
    spanish = load_base(base_folder).pipeline("e")
    short = sum(len(audio) for audio in speak(spanish, clause, spanish.voices["stock_0"])) / 24000
    assert facts["seconds"] > 8 * short


def test_without_a_record_what_is_left_out_is_logged(pipeline, monkeypatch) -> None:
    logged: list[str] = []
    monkeypatch.setattr(speaking.logger, "warning", lambda form, *values: logged.append(form % values))
    assert len(list(speak(pipeline, "Hello Привет, friend.", pipeline.voices["stock_0"]))) == 1
    assert logged == ["not spoken, in a script that American English cannot read: 'Привет'"]


def test_standard_output_is_nothing_but_the_wav(tmp_path: Path, common, capsysbinary) -> None:
    say = ["say", "Good morning.", "--voice", "stock_1", *common, "--out"]
    assert main([*say, "-", "--json"]) == 0
    out, err = capsysbinary.readouterr()
    facts = json.loads(err[err.index(b"{") :])
    heard, rate = soundfile.read(io.BytesIO(out), dtype="int16")
    assert rate == 24000 and len(heard) == round(facts["seconds"] * rate)
    assert main([*say, str(tmp_path / "a.wav")]) == 0
    in_file, _ = soundfile.read(tmp_path / "a.wav", dtype="int16")
    assert np.array_equal(heard, in_file)


def test_long_text_is_split_as_kpipeline_does(pipeline) -> None:
    text = " ".join(["The weather was fine, and we went on until the evening came."] * 24)
    pack = pipeline.voices["stock_0"]
    with torch.random.fork_rng():
        torch.manual_seed(3)
        expected = [result.audio.numpy() for result in pipeline(text, voice=pack)]
    pieces = list(speak(pipeline, text, pack, seed=3))
    assert len(pieces) > 1
    for ours, theirs in zip(pieces, expected, strict=True):
        assert np.array_equal(ours, theirs)


def test_streaming_keeps_the_callers_random_state(pipeline) -> None:
    text = " ".join(["The weather was fine, and we went on until the evening came."] * 24)
    pack = pipeline.voices["stock_0"]
    undisturbed = list(speak(pipeline, text, pack, seed=3))
    torch.manual_seed(11)
    expected = [float(torch.rand(())) for _ in range(len(undisturbed) + 1)]
    torch.manual_seed(11)
    drawn = []
    for piece, alone in zip(speak(pipeline, text, pack, seed=3), undisturbed, strict=True):
        drawn.append(float(torch.rand(())))
        assert np.array_equal(piece, alone)
    drawn.append(float(torch.rand(())))
    assert drawn == expected


def test_the_file_grows_while_it_is_spoken_and_appears_at_the_end(tmp_path: Path) -> None:
    target = tmp_path / "a.wav"
    sizes = []
    piece = np.full(24000, 0.25, np.float32)
    with sound_file(target) as write:
        for _ in range(3):
            write(piece)
            assert not target.exists()
            sizes.append(sum(path.stat().st_size for path in tmp_path.iterdir()))
    assert sizes == sorted(set(sizes)) and sizes[0] >= 2 * len(piece)
    write_wav(tmp_path / "whole.wav", np.tile(piece, 3))
    assert target.read_bytes() == (tmp_path / "whole.wav").read_bytes()


def test_a_failure_on_the_way_leaves_what_was_there(tmp_path: Path, common, monkeypatch, capsys) -> None:
    target = tmp_path / "a.wav"
    target.write_bytes(b"an older file")
    whole = speaking._results

    def breaks(*arguments):
        yield from whole(*arguments)
        raise VoicecloneError("the second half fails")

    monkeypatch.setattr(speaking, "_results", breaks)
    arguments = ["say", "Hello.", "--voice", "stock_0", "--out", str(target), "--overwrite", *common]
    assert main(arguments) == 1
    assert "second half" in capsys.readouterr().err
    assert target.read_bytes() == b"an older file" and list(tmp_path.iterdir()) == [target]


@pytest.mark.slow
def test_a_killed_run_leaves_no_target(tmp_path: Path, base_folder: Path) -> None:
    text = "\n".join(["The weather was fine, and we went on until the evening came."] * 4000)
    (tmp_path / "long.txt").write_text(text)
    command = [sys.executable, "-m", "voiceclone", "say", "--file", str(tmp_path / "long.txt"), "--voice", "stock_0",
               "--offline", "--base", str(base_folder), "--out", str(tmp_path / "out.wav")]  # fmt: skip
    process = subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 120
        while not any(path.stat().st_size > 100_000 for path in tmp_path.glob(".partial-*")):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.1)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert not (tmp_path / "out.wav").exists()


def test_a_text_that_fails_in_the_libraries_is_one_line(pipeline, monkeypatch) -> None:
    def choke(text):
        raise RecursionError("too\ndeep")

    monkeypatch.setattr(pipeline, "g2p", choke)
    with pytest.raises(VoicecloneError, match=r"'hello' cannot be spoken \(RecursionError: too deep\)"):
        list(speak(pipeline, "hello", pipeline.voices["stock_0"]))


def test_times_are_those_of_the_pieces() -> None:
    def pieces():
        for _ in range(3):
            time.sleep(0.02)
            yield np.zeros(2400, np.float32)

    written = []
    delivery = deliver(pieces(), written.append)
    assert len(written) == delivery.pieces == 3 and delivery.seconds == pytest.approx(0.3)
    assert 0.02 <= delivery.first_audio_seconds < delivery.elapsed_seconds
    assert delivery.elapsed_seconds >= 0.06
    assert delivery.real_time_factor == pytest.approx(delivery.elapsed_seconds / 0.3)


def test_a_stream_begins_with_its_first_piece() -> None:
    target = io.BytesIO()
    with sound_stream(target) as write:
        assert target.getvalue() == b""
        write(np.array([0.0, 0.5, -2.0], np.float32))
    assert target.getvalue()[:4] == b"RIFF" and len(target.getvalue()) == 44 + 6
    assert list(np.frombuffer(target.getvalue()[44:], "<i2")) == [0, 16384, -32768]


@pytest.mark.parametrize(
    ("ending", "kind", "lossy"),
    [
        ("flac", ("FLAC", "PCM_16"), False),
        ("ogg", ("OGG", "VORBIS"), True),
        ("opus", ("OGG", "OPUS"), True),
        ("MP3", ("MP3", "MPEG_LAYER_III"), True),
    ],
)
def test_the_ending_says_the_format(ending: str, kind: tuple[str, str], lossy: bool, tmp_path: Path, common):
    say = ["say", "Good morning, my friend.", "--voice", "stock_1", *common, "--out"]
    assert main([*say, str(tmp_path / "a.wav")]) == 0
    assert main([*say, str(tmp_path / f"a.{ending}")]) == 0
    info = soundfile.info(tmp_path / f"a.{ending}")
    assert (info.format, info.subtype, info.samplerate, info.channels) == (*kind, 24000, 1)
    expected, heard = (soundfile.read(tmp_path / f"a.{end}")[0] for end in ("wav", ending))
    assert abs(len(heard) - len(expected)) <= (2400 if lossy else 0)
    if lossy:
        assert _envelopes_correlate(expected, heard)
    else:
        assert np.abs(heard - expected).max() < 1e-4


def _envelopes_correlate(expected: np.ndarray, heard: np.ndarray) -> bool:
    """True where two signals have the same envelope, which lossy formats preserve even for noise."""
    frames = min(len(expected), len(heard)) // 1200
    envelopes = [np.abs(x[: frames * 1200]).reshape(-1, 1200).mean(1) for x in (expected, heard)]
    return float(np.corrcoef(*envelopes)[0, 1]) > 0.9


@pytest.mark.parametrize("form", ["wav", "pcm", "mp3", "opus"])
def test_a_stream_comes_piece_by_piece(form: str) -> None:
    target = io.BytesIO()
    tone = (0.3 * np.sin(2 * np.pi * 220 * np.arange(48000) / 24000)).astype(np.float32)
    sizes = []
    with sound_stream(target, form) as write:
        for _ in range(3):
            write(tone)
            sizes.append(len(target.getvalue()))
    assert 0 < sizes[0] < sizes[1] < sizes[2] <= len(target.getvalue())
    if form == "pcm":
        assert target.getvalue() == encoded([tone] * 3, "pcm") and len(target.getvalue()) == 2 * 3 * len(tone)
        return
    heard = soundfile.read(io.BytesIO(target.getvalue()))[0]
    assert abs(len(heard) - 3 * len(tone)) < 2400
    whole = soundfile.read(io.BytesIO(encoded([tone] * 3, form)))[0]
    assert abs(len(whole) - 3 * len(tone)) < 10 and np.abs(whole[5000:-5000]).max() == pytest.approx(0.3, abs=0.02)


def test_markers_change_the_voice(tmp_path: Path, base_folder: Path, common, capsys) -> None:
    def say(name: str, text: str, *more: str) -> np.ndarray:
        assert main(["say", text, "--out", str(tmp_path / name), *more, *common]) == 0
        return soundfile.read(tmp_path / name)[0]

    load_base(base_folder).stock_voices["stock_2"].save(tmp_path / "mine.pt")
    alone = say("alone.wav", "Good morning.", "--voice", "stock_1")
    two = say("two.wav", f"Good morning. [voice:{tmp_path}/mine.pt] Good morning.\n", "--voice", "stock_1", "--json")
    assert json.loads(capsys.readouterr().out)["voices"] == ["stock_1", str(tmp_path / "mine.pt")]
    assert np.array_equal(two[: len(alone)], alone) and len(two) > 1.3 * len(alone)
    three = say("three.wav", "[voice:stock_1]Good morning.\n[voice:0.5*stock_0+0.5*stock_2] ...[voice:stock_2] Yes.")
    assert np.array_equal(three[: len(alone)], alone) and len(three) > len(alone)


def test_a_text_without_markers_is_unchanged() -> None:
    for text in ("", " a\n", "[voice af_heart] x", "[Kokoro](/kˈOkəɹO/)", "[voices:x]", "[voice:a\nb]", "[voice:[x]]"):
        assert parts_by_voice(text) == [(None, text)]
    assert parts_by_voice(" \n[voice: a ] x [voice:b]\n") == [("a", " x ")]


def test_without_a_voice_and_a_file_the_first_line_says_which(tmp_path: Path, common, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("speech.wav", "speech_2.wav"):
        assert main(["say", "Good morning.", *common]) == 0
        assert capsys.readouterr().err.splitlines()[0] == f"speaking with stock_0 into {name}"
        assert (tmp_path / name).is_file()
    before = (tmp_path / "speech.wav").read_bytes()
    assert main(["say", "Good evening, my friend.", "--overwrite", "--voice", "stock_1", *common]) == 0
    assert capsys.readouterr().err.splitlines()[0] == "speaking into speech.wav"
    assert (tmp_path / "speech.wav").read_bytes() != before
    assert main(["say", "[voice:stock_1] Hello.", "--out", "a.wav", *common]) == 0
    assert not capsys.readouterr().err.startswith("speaking")


def test_the_default_voice_is_the_best_known_of_its_base() -> None:
    assert default_voice(stock_names("kokoro")) == "af_heart" and default_voice(stock_names("nano")) == "af_heart"
    assert default_voice(["b", "a"]) == "a" and default_voice([]) is None


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ([], "either as TEXT"),
        (["hi", "--file", "x.txt"], "either as TEXT"),
        (["--file", "{tmp}/none.txt"], "none.txt"),
        (["--file", "{tmp}/latin.txt"], "not UTF-8"),
        (["hi", "--out", "{tmp}/a.m4a"], "give a name that ends in one of .wav, .flac, .ogg, .opus, .mp3"),
        (["... — !\n.\n* * *"], "nothing to say"),
        (
            ["こんにちは、世界 hello"],
            "(--lang a) cannot read the script of 58 % of the text's letters ('こんにちは、世界')",
        ),
        (["[a](/§/)"], "nothing to say"),
        (["hi", "--speed", "nan"], "--speed"),
        (["hi", "--device", "tpu"], "--device tpu"),
        (["hi", "--voice", "0.5*stock_0"], "sum to 0.5"),
        (["hi", "--voice", "0.5*stock_0 + 0.5*nobody"], "no voice 'nobody'"),
    ],
)
def test_wrong_calls(more: list[str], says: str, tmp_path: Path, common, capsys) -> None:
    (tmp_path / "latin.txt").write_bytes("déjà vu".encode("latin-1"))
    filled = [part.replace("{tmp}", str(tmp_path)) for part in more]
    assert main(["say", "--voice", "stock_0", "--out", str(tmp_path / "a.wav"), *common, *filled]) == 2
    error = capsys.readouterr().err
    assert says in error and "Traceback" not in error
    assert [path.name for path in tmp_path.iterdir()] == ["latin.txt"]
