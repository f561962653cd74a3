"""The four commands of main_runner.py on one minute of speech with its JSON, with the tiny preset."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import soundfile
import torch
from synthesized import crude_f0
from talks import SENTENCES, speak_talk, timed_characters

from voiceclone.base_training import corpus as corpus_module
from voiceclone.base_training.mamba_conv.system import MambaConvSystem
from voiceclone.bases.base import load_base
from voiceclone.cli.main import main
from voiceclone.data.demo import SENTENCES as MORE

STEPS = 3
SETTINGS = {
    "warmup_steps": 1, "crop_frames": 16, "crop_batch": 2, "prosody_batch": 2, "prosody_frames": 40, "log_every": 1,
    "checkpoint_minutes": 0.0, "adversarial_share": 1.0,
}  # fmt: skip
SOUNDS = {f"enhanced_test_{number}_{rounds}iter.wav" for number in (1, 2, 3) for rounds in (6, 12, 20)}
TRAINED = {
    "best_model.pt", "checkpoint.pt", "train_config.json", "enhanced_tts_system.log", "dataset", "cache", "base",
    "codec_training", *(f"checkpoint_{step}.pt" for step in (2, 3)),
    *(f"enhanced_training_plots_{step}.png" for step in (2, 3)),
}  # fmt: skip


def runner(*words: object) -> int:
    return main(["mamba-conv", *map(str, words)], program="main_runner.py")


@pytest.fixture(scope="module", autouse=True)
def quick():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpus_module, "track_f0", crude_f0)
        patch.setattr("voiceclone.base_training.measures.track_f0", crude_f0)
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
    (folder / "speech_transcription.json").write_text(json.dumps({"character_alignments": timed_characters(talk)}))
    return ["--audio", talk.path, "--transcription", folder / "speech_transcription.json"]


def training(recording: list[object], out: Path) -> list[object]:
    out.mkdir(exist_ok=True)
    settings = out.parent / "settings.json"
    settings.write_text(json.dumps(SETTINGS))
    return [
        *recording, "--out", out, "--steps", STEPS, "--vocab-size", 32, "--preset", "tiny", "--cpu-only",
        "--learning-rate", "2e-3", "--settings", settings, "--log-level", "WARNING", "--offline",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def piped(recording, tmp_path_factory) -> Path:
    """Output of ``pipeline``."""
    out = tmp_path_factory.mktemp("runs") / "piped"
    assert runner("pipeline", *training(recording, out)) == 0
    return out


def test_pipeline_leaves_exactly_its_files(piped: Path) -> None:
    assert {path.name for path in piped.iterdir()} == TRAINED | SOUNDS | {"enhanced_test_results.json"}
    found = json.loads((piped / "enhanced_test_results.json").read_text())["tests"]
    assert {test["file"] for test in found} == SOUNDS
    assert found[0]["text"] == SENTENCES[0]
    for test, most in zip(found, (6, 12, 20) * 3, strict=True):
        assert 6 <= test["iterations"] <= most and {"confidence", "updates", "history"} <= set(test)
    assert all(soundfile.info(piped / name).samplerate == 24_000 for name in SOUNDS)
    assert "minutes of speech" in (piped / "enhanced_tts_system.log").read_text()


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


def test_analyze_tells_what_there_is(piped: Path, capsys) -> None:
    assert runner("analyze", "--model", piped / "best_model.pt", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["last_step"] == STEPS and found["parameters"]["total"] > 10_000
    assert {"tokens", "duration"} <= set(found["trends"]) and {"accuracy_0", "accuracy_3"} <= set(found["validation"])
    assert len(found["calibration"]["codebook_use"]) == 4 and found["cost"]["memory_mb"] > 0
    assert (piped / "enhanced_analysis.png").is_file()
    assert runner("analyze", "--out", piped) == 0
    text = capsys.readouterr().out
    assert "codebook use a level" in text and "rounds saved" in text and "step_seconds" in text
    (piped / "enhanced_analysis.png").unlink()


def test_an_interrupted_training_continues_to_the_same_model(piped: Path, recording, tmp_path, monkeypatch) -> None:
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
    assert runner("train", *training(recording, out), "--resume") == 0
    assert {path.name for path in out.iterdir()} == TRAINED
    ours, theirs = (torch.load(folder / "best_model.pt", weights_only=True) for folder in (out, piped))
    assert ours["facts"]["step"] == theirs["facts"]["step"]
    for part in ("model", "codec", "voices"):
        assert all(torch.equal(ours[part][name], value) for name, value in theirs[part].items())


def test_the_base_speaks_and_is_evaluated(piped: Path, tmp_path: Path, capsys) -> None:
    base = load_base(piped / "base")
    assert list(base.stock_voices) and base.info["system"] == "mamba-conv" and base.styles_are_voices
    assert base.info["measured"]["codec"]["mel_l1"] > 0 and base.info["measured"]["spoken"]["utterances"] == 1
    wav = tmp_path / "said.wav"
    assert main(["say", "Good morning.", "--base", str(piped / "base"), "--out", str(wav), "--offline"]) == 0
    assert soundfile.info(wav).duration > 0.2
    text = (piped / "base" / "README.md").read_text()
    assert "4 levels of 32 tokens" in text and "1 speaker." in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "--audio", "none.mp3", "--transcription", "none.json"], "--audio none.mp3: no such file"),
        (["train", "--audio", "SOUND", "--transcription", "none.json"], "--transcription none.json: no such file"),
        (["train", "--audio", "SHORT", "--transcription", "JSON"], "are too little: give at least 60 s"),
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
