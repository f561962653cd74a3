"""``train-base --system vits2`` trains and exports a base that the other commands accept."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from support import check_packing_again, write_vits2

from voiceclone.bases.base import load_base
from voiceclone.cli.main import main
from voiceclone.errors import VoicecloneError

SETTINGS = {"crop_batch": 3, "warmup_steps": 2}


@pytest.fixture(scope="module")
def run(spoken, tmp_path_factory) -> Path:
    """A run of a few steps."""
    out = tmp_path_factory.mktemp("run")
    settings = out / "settings.json"
    settings.write_text(json.dumps({**SETTINGS, "system_settings": {"durations_share": 0.3}}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("voiceclone.base_training.vits2.recipe.resemblyzer_embed", lambda: None)
        command = ["train-base", "--system", "vits2", "--data", str(spoken / "train"), "--preset", "tiny"]
        flags = ["--steps", "4", "--settings", str(settings), "--set", "flow=fft", "--device", "cpu", "--quiet"]
        assert main([*command, *flags, "--out", str(out)]) == 0
    return out


def test_the_packed_base_holds_what_was_asked_for(run: Path, corpus) -> None:
    base = load_base(run / "base")
    assert base.info["system"] == "vits2" and base.config["flow"] == "fft"
    assert sorted(base.stock_voices) == corpus.speakers
    model = base.kmodel.model
    for name, row in zip(corpus.speakers, model.speakers.weight, strict=True):
        pack = base.stock_voices[name].tensor
        assert torch.allclose(pack[7, 0, : len(row)], row, atol=1e-3) and not pack[:, :, len(row) :].any()
    assert "phone_error_percent" in base.info["measured"] and "flow fft" in (run / "base" / "README.md").read_text()
    with pytest.raises(VoicecloneError, match="is a VITS2, which has no style encoders"):
        _ = base.style_encoders
    config = json.loads((run / "train_config.json").read_text())
    assert config["system"] == "vits2" and config["system_settings"]["durations_share"] == 0.3
    assert config["weights"]["kl"] == 0.1 and config["betas"] == [0.8, 0.99]


def test_packing_again_replaces_the_base_as_a_whole(run: Path, spoken: Path, monkeypatch) -> None:
    monkeypatch.setattr("voiceclone.base_training.vits2.recipe.resemblyzer_embed", lambda: None)
    pack = ["train-base", "--system", "vits2", "--data", str(spoken / "train"), "--pack-only", "--out", str(run)]
    card = "voiceclone.base_training.vits2.recipe.vits2_card"
    check_packing_again(run, [*pack, "--device", "cpu", "--quiet"], card, monkeypatch)


def test_say_speaks_with_it(run: Path, corpus, tmp_path: Path) -> None:
    said = {}
    for number, (voice, more) in enumerate((
        (corpus.speakers[0], []), (corpus.speakers[1], []), (corpus.speakers[0], ["--speed", "0.5"]),
    )):  # fmt: skip
        wav = tmp_path / f"{number}.wav"
        say = ["say", "Good morning, my friend.", "--base", str(run / "base"), "--voice", voice, "--out", str(wav)]
        assert main([*say, "--offline", "--quiet", *more]) == 0
        said[number], rate = soundfile.read(wav)
        assert rate == 24_000
    quiet = ["say", "Good morning.", "--base", str(run / "base"), "--noise-scale", "0", "--noise-scale-w", "0"]
    for seed in ("0", "1"):  # without noise the seed has no effect
        assert main([*quiet, "--seed", seed, "--out", str(tmp_path / f"quiet{seed}.wav"), "--offline", "--quiet"]) == 0
    assert (tmp_path / "quiet0.wav").read_bytes() == (tmp_path / "quiet1.wav").read_bytes()
    assert said[0].shape != said[1].shape or not np.allclose(said[0], said[1])
    assert len(said[2]) > 1.5 * len(said[0])


def test_export_writes_a_file_that_speaks(run: Path, corpus, tmp_path: Path, capsys) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    out = tmp_path / "vits2.onnx"
    export = ["export", str(run / "base"), "--to", "onnx", "--out", str(out), "--offline"]
    assert main(export) == 0 and "tokens.txt: written" in capsys.readouterr().err
    session = onnxruntime.InferenceSession(str(out), providers=["CPUExecutionProvider"])
    feed = {"input": np.arange(1, 40)[None], "input_lengths": np.array([39]), "sid": np.array([1])}
    (audio,) = session.run(None, {**feed, "scales": np.array([0.667, 1.0, 0.8], dtype=np.float32)})
    assert audio.shape[:2] == (1, 1) and np.isfinite(audio).all()
    assert main(export) == 2 and "exists" in capsys.readouterr().err
    second = [*export[:-2], str(tmp_path / "second.onnx"), "--offline"]
    assert main(second) == 0, "models with one vocabulary share the file"
    (tmp_path / "tokens.txt").write_text("of another model")
    third = [*export[:-2], str(tmp_path / "third.onnx"), "--offline"]
    assert main(third) == 2 and "tokens.txt exists" in capsys.readouterr().err
    assert (tmp_path / "tokens.txt").read_text() == "of another model" and not (tmp_path / "third.onnx").exists()
    for folder, message in ((tmp_path / "none", "is not a folder"), (Path("nano"), "is not a folder")):
        assert main(["export", str(folder), "--to", "onnx", "--out", str(tmp_path / "x.onnx")]) == 2
        assert message in capsys.readouterr().err


def test_a_voice_is_fitted_and_evaluated(run: Path, corpus, spoken, tmp_path: Path, monkeypatch, capsys) -> None:
    """The model is unchanged; the voice has a lower loss on held-out clips than the nearest speaker of the table."""
    from voiceclone.base_training.vits2 import fitting

    short = functools.partial(fitting.VectorFitConfig, steps=6, check_every=3, clips_a_step=2)
    monkeypatch.setattr(fitting, "VectorFitConfig", short)
    base = (run / "base" / "model.safetensors").read_bytes()
    command = ["clone", "--data", str(spoken / "heldout"), "--name", "fitted", "--base", str(run / "base")]
    out = ["--out", str(tmp_path), "--offline", "--quiet"]
    assert main([*command, *out, "--consent", "asked"]) == 0
    voice = tmp_path / "fitted" / "fitted.pt"
    report = json.loads((tmp_path / "fitted" / "report.json").read_text())
    assert report["fit"]["after"] < report["fit"]["before"] and report["consent"] == "asked"
    assert (run / "base" / "model.safetensors").read_bytes() == base
    pack = torch.load(voice, weights_only=True)
    assert pack.shape == (510, 1, 256) and not pack[:, :, 8:].any() and torch.equal(pack[0], pack[400])
    wav = tmp_path / "fitted.wav"
    assert (
        main(["say", "Hello.", "--voice", str(voice), "--out", str(wav), "--offline", "--quiet"]) == 0
    )  # finds its base
    assert main([*command, *out]) == 2 and "is finished" in capsys.readouterr().err
    evaluate = ["evaluate", "--voice", str(voice), "--data", str(spoken / "heldout"), "--clips", "1", "--offline"]
    assert main([*evaluate, "--also", f"nearest={corpus.speakers[0]}", "--quiet"]) == 0
    assert "verdict" in json.loads((tmp_path / "fitted" / "evaluation.json").read_text())


def test_a_wrong_setting_is_one_line(spoken, tmp_path: Path, capsys) -> None:
    command = ["train-base", "--system", "vits2", "--data", str(spoken / "train"), "--preset", "tiny", "--steps", "1"]
    cases = (
        (["--set", "flow=glow"], "flow is 'glow': use one of pre_conv"),
        (["--set", "flov=fft"], "unknown settings of the system: flov"),
        (["--set", 'model={"width": 3}'], "unknown settings of the model: width"),
        (["--set", 'model={"layers": 2}'], "a speaker enters before the third layer"),
        (["--set", 'model={"layers": "many"}'], "wrong kind"),
        (["--set", "decoder=hifigan", 'model={"upsample_rates": [8, 8, 2]}'], "makes 128 samples of a frame of 300"),
        (["--set", 'model={"crop_frames": 3}'], "crop_frames is 3: a crop needs 1025 samples or more"),
        (["--set", 'model={"symbols": 60}'], "symbols is 60: the vocabulary needs more"),
        (["--set", 'model={"dropout": 2}'], "dropout is 2"),
        (["--set", "max_frames=3"], "raise max_frames, or cut the recordings"),
        (["--set", "sdp=1"], "sdp is 1"),
        (["--compile"], "cannot be used with --system vits2"),
        (["--kept-out", str(spoken / "heldout")], "--kept-out: cannot be used with --system vits2"),
        (["--voices", "3"], "--voices: cannot be used with --system vits2"),
        (["--init", str(tmp_path)], "is not a trained VITS2"),
    )
    for extra, message in cases:
        assert main([*command, "--out", str(tmp_path / "out"), "--quiet", *extra]) == 2, extra
        error = capsys.readouterr().err.strip().splitlines()
        assert message in error[-1] and "Traceback" not in " ".join(error), error


def test_a_run_starts_from_a_base(run: Path, spoken, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr("voiceclone.base_training.vits2.recipe.resemblyzer_embed", lambda: None)
    command = ["train-base", "--system", "vits2", "--data", str(spoken / "train"), "--preset", "tiny", "--steps", "1"]
    init = ["--init", str(run / "base"), "--quiet"]
    assert main([*command, *init, "--set", "flow=fft", "--out", str(tmp_path / "second")]) == 0
    assert "from base on" in (tmp_path / "second" / "base" / "README.md").read_text()
    assert main([*command, *init, "--out", str(tmp_path / "third")]) == 2
    assert "another preset or other settings" in capsys.readouterr().err
    single = write_vits2(tmp_path / "single", speakers=("only",), flow="fft")
    flow = ["--set", "flow=fft", "--out", str(tmp_path / "fourth")]
    assert main([*command, "--init", str(single), "--quiet", *flow]) == 2
    assert "is a VITS2 of one speaker, and the data have several" in capsys.readouterr().err


def test_noise_and_voices_that_a_base_does_not_have_are_one_line(base_folder, spoken, tmp_path: Path, capsys) -> None:
    out = str(tmp_path / "out.wav")
    say = ["say", "Hello.", "--voice", "stock_0", "--base", str(base_folder), "--out", out, "--offline", "--quiet"]
    for flags, code, message in (
        (["--noise-scale", "0.5"], 2, "--noise-scale, --noise-scale-w: the base is not a VITS2"),
        (["--noise-scale-w", "3"], 2, "--noise-scale-w 3.0: use a number between 0 and 2"),
    ):
        assert main([*say, *flags]) == code and not Path(out).exists()
        assert message in capsys.readouterr().err
    single = write_vits2(tmp_path / "single", speakers=("only",))
    clone = ["clone", "--data", str(spoken / "heldout"), "--name", "v", "--base", str(single), "--out", str(tmp_path)]
    assert main([*clone, "--offline", "--quiet"]) == 2
    assert "is a VITS2 of one speaker: a voice is fitted on one of several" in capsys.readouterr().err
    assert main([*say[:4], "--base", str(single), *say[6:-1], "--voice", "only"]) == 0 and Path(out).is_file()
