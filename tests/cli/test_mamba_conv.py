"""The four commands of main_runner.py on one minute of speech with its JSON, with the tiny preset.

They run as their documents have it: in the folder of ``speech.mp3`` and ``speech_transcription.json``.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
import soundfile
import torch
from documents import lines
from stand_in_judges import Bright, Phones
from support import REPOSITORY
from talks import SENTENCES, speak_talk

from voiceclone.base_training.mamba_conv.system import MambaConvSystem
from voiceclone.bases.base import load_base
from voiceclone.cli.main import _parser, main
from voiceclone.data.demo import SENTENCES as MORE
from voiceclone.evaluation import report_judges, sentences
from voiceclone.evaluation.report_judges import Panel
from voiceclone.ui.first_sound import first_voice
from voiceclone.ui.studio import Studio

STEPS = 3
SETTINGS = {
    "warmup_steps": 1, "crop_frames": 16, "crop_batch": 2, "prosody_batch": 2, "prosody_frames": 40, "log_every": 1,
    "checkpoint_minutes": 0.0, "adversarial_share": 1.0,
}  # fmt: skip
SOUNDS = {f"enhanced_test_{number}_{rounds}iter.wav" for number in (1, 2, 3) for rounds in (6, 12, 20)}
GIVEN = {"speech.mp3", "speech_transcription.json"}
TRAINED = {
    "best_model.pt", "checkpoint.pt", "train_config.json", "enhanced_tts_system.log", "dataset", "cache", "base",
    "codec_training", *(f"checkpoint_{step}.pt" for step in (2, 3)),
    *(f"enhanced_training_plots_{step}.png" for step in (2, 3)),
}  # fmt: skip


FILES = "--audio speech.mp3 --transcription speech_transcription.json"
# The commands of the original's README.
COMMANDS = (
    f"train {FILES}",
    f"train {FILES} --steps 25000 --learning-rate 2e-4 --test-after-training",
    f"test --model best_model.pt {FILES}",
    f"pipeline {FILES} --steps 20000",
    "analyze --model best_model.pt",
    f"train {FILES} --steps 30000 --learning-rate 1e-4 --vocab-size 1024 --test-after-training --log-level DEBUG",
    f"train {FILES} --cpu-only",
    f"train --cpu-only {FILES}",
)


def parsed(*words: str) -> argparse.Namespace:
    return _parser(["mamba-conv"], "main_runner.py").parse_args(words)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_originals_commands_parse(command: str) -> None:
    options = parsed(*shlex.split(command))
    assert options.task == command.split()[0]
    if options.task in ("train", "pipeline"):
        assert (options.vocab_size, options.out, options.preset) == (1024, Path("."), "nano")
        assert options.steps == int(re.search(r"--steps (\d+)|$", command)[1] or 20_000)
        assert options.learning_rate == float(re.search(r"--learning-rate (\S+)|$", command)[1] or 2e-4)
        assert options.test_after_training == ("--test-after-training" in command)
        assert options.cpu_only == ("--cpu-only" in command)
    if "--model" in command:
        assert options.model == Path("best_model.pt")
    assert options.log_level == ("DEBUG" if "DEBUG" in command else "INFO")


def test_the_page_says_what_the_flags_are() -> None:
    page = (REPOSITORY / "docs" / "mamba_conv.md").read_text()
    block = next(code for code in re.findall(r"```bash\n(.*?)```", page, re.S) if "main_runner.py" in code)
    for line in lines(block):
        assert line.startswith("python scripts/mamba_conv/main_runner.py ")
        assert parsed(*shlex.split(line)[2:]).task
    commands = next(a for a in _parser(["mamba-conv"], "main_runner.py")._actions if a.dest == "task").choices
    assert list(commands) == ["train", "test", "pipeline", "analyze"]
    flags = {
        flag: a for one in commands.values() for a in one._actions for flag in a.option_strings if a.dest != "help"
    }
    rows = dict(re.findall(r"^\| `(--[a-z-]+)` \| (?:`([^`]*)`)? ?\|", page, re.M))
    together = re.search(r"^\| (`--init`, [^|]*) \| \|", page, re.M)[1]
    documented = {*rows, *re.findall(r"--[a-z-]+", together)}
    assert set(flags) == documented | {"--audio", "--transcription", "--json"}
    for flag, default in rows.items():
        actual = flags[flag].default
        assert default == ("best_model.pt" if flag == "--model" else "" if actual is False else default), flag
        assert actual in (None, False) or type(actual)(default) == actual, flag


def runner(*words: object) -> int:
    return main(["mamba-conv", *map(str, words)], program="main_runner.py")


@pytest.fixture(scope="module", autouse=True)
def quick():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("voiceclone.base_training.mamba_conv.recipe.resemblyzer_embed", lambda: None)
        patch.setattr("voiceclone.base_training.mamba_conv.recipe.SPOKEN", 1)
        patch.setattr("voiceclone.base_training.mamba_conv.run_files.KEPT", 2)
        yield


@pytest.fixture(scope="module")
def recording(tmp_path_factory) -> list[object]:
    """The flags of a minute's recording, its JSON and the tiny settings."""
    folder = tmp_path_factory.mktemp("recording")
    talk = speak_talk(folder / "speech.wav", [*SENTENCES, *MORE[:14]])
    assert 60 < soundfile.info(talk.path).duration < 100
    characters = {"character_alignments": talk.made.timed_characters()}
    (folder / "speech_transcription.json").write_text(json.dumps(characters))
    sound, rate = soundfile.read(talk.path)
    soundfile.write(folder / "speech.mp3", sound, rate)
    return ["--audio", folder / "speech.mp3", "--transcription", folder / "speech_transcription.json"]


def training(recording: list[object], out: Path) -> list[object]:
    out.mkdir(exist_ok=True)
    settings = out.parent / "settings.json"
    settings.write_text(json.dumps(SETTINGS))
    return [
        *recording, "--out", out, "--steps", STEPS, "--vocab-size", 32, "--preset", "tiny", "--cpu-only",
        "--learning-rate", "2e-3", "--settings", settings, "--offline",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def piped(recording, tmp_path_factory) -> Path:
    """Output of ``pipeline`` in the recording's folder."""
    out = tmp_path_factory.mktemp("runs") / "piped"
    words = training(recording, out)
    for path in (recording[1], recording[3]):
        shutil.copy(path, out)
    words[1], words[3] = "speech.mp3", "speech_transcription.json"
    words[words.index("--out") : words.index("--steps")] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(out)
        assert runner("pipeline", *words) == 0
    return out


def test_pipeline_leaves_exactly_its_files(piped: Path) -> None:
    assert {path.name for path in piped.iterdir()} == TRAINED | SOUNDS | GIVEN | {"enhanced_test_results.json"}
    found = json.loads((piped / "enhanced_test_results.json").read_text())["tests"]
    assert {test["file"] for test in found} == SOUNDS
    assert found[0]["text"] == SENTENCES[0]
    for test, most in zip(found, (6, 12, 20) * 3, strict=True):
        assert 6 <= test["iterations"] <= most and {"confidence", "updates", "history"} <= set(test)
    assert all(soundfile.info(piped / name).samplerate == 24_000 for name in SOUNDS)


def test_the_log_is_complete(piped: Path) -> None:
    """Every progress line of both trainings with its figures, warnings, measurements and tests."""
    log = (piped / "enhanced_tts_system.log").read_text()
    assert log.count("WARNING only 1.2 minutes of speech") == 1
    steps = re.findall(r"INFO step (\d): (.*)", log)
    assert [step for step, _ in steps] == ["1", "2", "1", "2", "3"]  # of the codec, and of the synthesizer
    assert all("learning_rate " in line and "step_seconds " in line for _, line in steps)
    assert "mel " in steps[0][1] and "use_0 " in steps[1][1] and "duration " in steps[4][1]
    assert log.count("INFO codec: {") == log.count("INFO measured: {") == 1
    assert "enhanced_test_3_20iter.wav: " in log


def test_the_model_is_tensors_and_plain_values(piped: Path) -> None:
    content = torch.load(piped / "best_model.pt", weights_only=True)
    assert content["config"]["system"] == "mamba-conv" and content["facts"]["validation"]["tokens"] > 0
    assert torch.load(piped / "checkpoint_3.pt", weights_only=True)["step"] == STEPS


def test_test_speaks_with_a_model_given(piped: Path, recording, tmp_path: Path) -> None:
    words = ["--model", piped / "best_model.pt", "--out", tmp_path, "--mode", "refine", "--cpu-only", "--offline"]
    assert runner("test", *recording, *words) == 0
    assert {path.name for path in tmp_path.iterdir()} == SOUNDS | {
        "enhanced_test_results.json", "enhanced_tts_system.log"
    }  # fmt: skip
    assert json.loads((tmp_path / "enhanced_test_results.json").read_text())["tests"][0]["mode"] == "refine"


def test_analyze_tells_what_there_is(piped: Path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(piped)
    assert runner("analyze", "--model", "best_model.pt", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["last_step"] == STEPS and found["parameters"]["total"] > 10_000
    assert {"tokens", "duration"} <= set(found["trends"]) and {"accuracy_0", "accuracy_3"} <= set(found["validation"])
    assert len(found["calibration"]["codebook_use"]) == 4 and found["cost"]["memory_mb"] > 0
    assert (piped / "enhanced_analysis.png").is_file()
    assert runner("analyze", "--out", piped) == 0
    text = capsys.readouterr().out
    assert "codebook use a level" in text and "rounds saved" in text and "step_seconds" in text
    (piped / "enhanced_analysis.png").unlink()


def test_an_interrupted_training_continues_to_the_same_model(
    piped: Path, recording, tmp_path, monkeypatch, capsys
) -> None:
    out = tmp_path / "run"
    out.mkdir()
    for made in ("dataset", "codec_training"):  # prepared and trained as the first time, which takes long
        shutil.copytree(piped / made, out / made)
    losses = MambaConvSystem.losses

    def interrupted(self, step, progress):
        if step == 2:
            raise KeyboardInterrupt
        return losses(self, step, progress)

    with monkeypatch.context() as patch:
        patch.setattr(MambaConvSystem, "losses", interrupted)
        assert runner("train", *training(recording, out)) == 130
    assert runner("train", *training(recording, out)) == 2  # there is a run
    assert "ERROR" in (out / "enhanced_tts_system.log").read_text().splitlines()[-1]
    capsys.readouterr()
    assert runner("train", *training(recording, out), "--resume") == 0
    assert capsys.readouterr().err.count("only 1.2 minutes of speech") == 1
    assert {path.name for path in out.iterdir()} == TRAINED
    ours, theirs = (torch.load(folder / "best_model.pt", weights_only=True) for folder in (out, piped))
    assert ours["facts"]["step"] == theirs["facts"]["step"]
    for part in ("model", "codec", "voices"):
        assert all(torch.equal(ours[part][name], value) for name, value in theirs[part].items())


def test_the_base_speaks(piped: Path, tmp_path: Path, capsys) -> None:
    base = load_base(piped / "base")
    assert list(base.stock_voices) and base.info["system"] == "mamba-conv" and base.styles_are_voices
    assert base.info["measured"]["codec"]["mel_l1"] > 0 and base.info["measured"]["spoken"]["utterances"] == 1
    wav = tmp_path / "said.wav"
    assert main(["say", "Good morning.", "--base", str(piped / "base"), "--out", str(wav), "--offline"]) == 0
    assert soundfile.info(wav).duration > 0.2
    text = (piped / "base" / "README.md").read_text()
    assert "4 levels of 32 tokens" in text and "1 speaker." in text


def test_evaluate_measures_the_bases_voice(piped: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    panel = Panel(encoders=(Bright(),), recognizer=Phones(), words=None, left_out=("words: none",))
    monkeypatch.setattr(report_judges, "load_panel", lambda lang: panel)
    monkeypatch.setattr(sentences, "HELD_OUT", sentences.HELD_OUT[:1])
    base = piped / "base"
    voice = next(iter(load_base(base).stock_voices))
    words = ["--voice", voice, "--base", base, "--data", piped / "dataset", "--out", tmp_path, "--clips", "1", "--json"]
    assert main(["evaluate", *map(str, words), "--offline", "--device", "cpu"]) == 0
    assert {"clone", "recordings"} <= set(json.loads(capsys.readouterr().out)["voices"])
    assert (tmp_path / "evaluation.html").is_file()


def test_the_page_speaks_with_the_base_it_is_started_with(piped: Path, tmp_path: Path) -> None:
    """``ui --base FOLDER``: its voices are offered, and clips give a first voice, which needs no training."""
    studio = Studio(tmp_path, base=str(piped / "base"), offline=True)
    (voice,) = studio.all_voices()
    assert len(studio.audio("Good morning.", voice)) > 5_000
    clip = next((piped / "dataset" / "train").glob("**/*.wav"))
    first = first_voice(studio.load_base(studio.base), [clip])
    assert len(studio.audio("Good morning.", first, base=studio.base)) > 5_000


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "--audio", "none.mp3", "--transcription", "none.json"], "--audio none.mp3: no such file"),
        (["train", "--audio", "SOUND", "--transcription", "none.json"], "--transcription none.json: no such file"),
        (["train", "--audio", "SHORT", "--transcription", "JSON"], "are too little: give at least 60 s"),
        (["train", "--audio", "SOUND", "--transcription", "JSON", "--steps", "0"], "--steps 0: use a whole number"),
        (["train", "--audio", "SOUND", "--transcription", "JSON", "--vocab-size", "0"], "--vocab-size 0: use a whole"),
        (["train", "--audio", "SOUND", "--transcription", "JSON", "--mixer", "lstm"], "--mixer lstm: use one of"),
        (["train", "--audio", "SOUND", "--transcription", "JSON", "--preset", "full"], "no preset 'full'"),
        (["train", "--audio", "SOUND", "--transcription", "JSON", "--codec", "none"], "--codec none: holds no codec"),
        (["train", "--audio", "SOUND", "--transcription", "JSON", "--learning-rate", "-1"], "--learning-rate -1: must"),
        (["analyze", "--model", "none.pt"], "--model none.pt: no such file"),
        (["analyze", "--model", "JSON"], "cannot be read"),
        (["analyze", "--log-level", "LOUD"], "--log-level LOUD: use one of"),
        (["test", "--audio", "SOUND", "--transcription", "JSON", "--mode", "beam"], "--mode beam: use one of"),
    ],
)
def test_wrong_calls_are_one_line(recording, piped, tmp_path, monkeypatch, capsys, words, message) -> None:
    monkeypatch.chdir(tmp_path)
    short = tmp_path / "short.wav"
    soundfile.write(short, torch.zeros(24_000).numpy(), 24_000)
    places = {"SOUND": recording[1], "JSON": recording[3], "SHORT": short}
    words = [places.get(word, word) for word in words]
    if "beam" in words:
        words += ["--model", piped / "best_model.pt"]
    assert runner(*words) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert message in error
    assert not (tmp_path / "dataset").exists()  # the recording is not cut in vain


def test_a_wrong_entry_of_the_json_is_named(recording, tmp_path, capsys) -> None:
    content = json.loads(Path(recording[3]).read_text())
    wrong = tmp_path / "wrong.json"
    for time in ("soon", 10**400, -1, None):
        content["character_alignments"][99]["start"] = time
        wrong.write_text(json.dumps(content))
        assert runner("train", "--audio", recording[1], "--transcription", wrong, "--out", tmp_path / "run") == 1
        error = capsys.readouterr().err.strip().splitlines()[-1]
        assert error.startswith("error: ") and "wrong.json: entry 100: start '" in error
        assert error.count("is not a time in seconds") == 1
