"""Commands, config files and filelists of the public implementation, with this package's trainer."""

from __future__ import annotations

import copy
import json
import runpy
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from support import REPOSITORY

from voiceclone.base_training.vits2.reference import even_durations, train_config
from voiceclone.base_training.vits2.reference_config import read_reference_config
from voiceclone.base_training.vits2.settings import run_model
from voiceclone.data.rows import read_rows
from voiceclone.errors import UsageError
from voiceclone.models.vits2 import SynthesizerTrn

SCRIPTS = REPOSITORY / "scripts" / "vits2"
Script = Callable[..., int]
SMALL = {
    "train": {"batch_size": 2, "segment_size": 4096, "epochs": 1, "seed": 1, "log_interval": 1},
    "model": {
        "inter_channels": 16, "hidden_channels": 16, "filter_channels": 32, "n_layers": 3, "gin_channels": 8,
        "resblock_kernel_sizes": [3], "resblock_dilation_sizes": [[1, 3, 5]], "upsample_initial_channel": 32,
    },
}  # fmt: skip


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Script:
    """Runs a script of the folder with arguments, in an empty folder; its exit code."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(SCRIPTS))
    monkeypatch.setattr("voiceclone.base_training.vits2.recipe.resemblyzer_embed", lambda: None)

    def call(name: str, *arguments: object) -> int:
        monkeypatch.setattr("sys.argv", [name, *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(SCRIPTS / name), run_name="__main__")
        return int(ended.value.code or 0)

    return call


def config(folder: Path, kind: str, filelist: Path, **changes: dict[str, Any]) -> Path:
    """A config file of the public implementation with the widths of a test."""
    values = json.loads((SCRIPTS / "configs" / f"vits2_{kind}.json").read_text())
    for part in (SMALL, {"data": {"training_files": str(filelist)}}, changes):
        for name, more in part.items():
            values[name].update(more)
    path = folder / "config.json"
    path.write_text(json.dumps(values))
    return path


@pytest.fixture
def filelist(spoken: Path, tmp_path: Path) -> Callable[..., Path]:
    """Writes a filelist of the spoken corpus."""

    def write(*, several: bool, count: int = 6) -> Path:
        rows = read_rows([spoken / "train"])
        speakers = sorted({row.speaker for row in rows})
        chosen = [row for name in speakers for row in [r for r in rows if r.speaker == name][:count]]
        lines = [
            f"{row.path}|{speakers.index(row.speaker)}|{row.phonemes}" if several else f"{row.path}|{row.phonemes}"
            for row in (chosen if several else chosen[:count])
        ]
        path = tmp_path / "filelist.txt"
        path.write_text("\n".join(lines) + "\n")
        return path

    return write


def test_the_readmes_commands_run(script: Script, filelist, tmp_path: Path, capsys) -> None:
    pytest.importorskip("onnxruntime")
    path = config(tmp_path, "vctk_base", filelist(several=True), model={"use_sdp": False})
    assert script("train_ms.py", "-c", path, "-m", "vctk_base", "--steps", 2, "--device", "cpu") == 0
    base = tmp_path / "logs" / "vctk_base" / "base"
    packed = json.loads((base / "config.json").read_text())["model"]
    assert packed["speakers"] == 2 and packed["front_end"]["sample_rate"] == 22050 and packed["flow"] == "pre_conv"
    assert packed["crop_frames"] == 16 and packed["upsample_rates"] == [8, 8, 2, 2]
    assert script("train_ms.py", "-c", path, "-m", "vctk_base", "--steps", 3, "--device", "cpu") == 0  # resumed
    other = config(tmp_path, "vctk_base", filelist(several=True), model={"transformer_flow_type": "fft"})
    capsys.readouterr()
    assert script("train_ms.py", "-c", other, "-m", "vctk_base", "--steps", 4, "--device", "cpu") == 2
    assert "another preset, system or settings" in capsys.readouterr().err
    files = [f"--model-path={base / 'model.safetensors'}", f"--config-path={base / 'config.json'}"]
    assert script("export_onnx.py", *files, "--output=vits2.onnx") == 0
    say = ["--model=vits2.onnx", f"--config-path={base / 'config.json'}", "--output-wav-path=output.wav"]
    assert script("infer_onnx.py", *say, "--text=hello world, how are you?", "--sid=1") == 0
    audio, rate = soundfile.read("output.wav")
    assert rate == 22050 and len(audio) > 4000
    (tmp_path / "damaged.onnx").write_bytes(b"no")
    for flags, message in (
        (["--sid=2"], "use a number from 0 to 1"), (["--text=..."], "nothing that can be spoken"),
        (["--length-scale=0"], "use a number between 0.25 and 4"), (["--noise-scale=-1"], "between 0 and 2"),
        (["--model=damaged.onnx"], "is not a file of export_onnx.py"), (["--model=none.onnx"], "no such file"),
    ):  # fmt: skip
        assert script("infer_onnx.py", *say, "--text=hello", *flags) == 2
        assert message in capsys.readouterr().err
    (tmp_path / "G_64000.pth").write_bytes(b"no")
    wrong = ["--model-path=G_64000.pth", files[1], "--output=other.onnx"]
    assert script("export_onnx.py", *wrong) == 2 and "other checkpoints are not read" in capsys.readouterr().err


def test_one_speaker_trains(script: Script, filelist, tmp_path: Path) -> None:
    path = config(tmp_path, "ljs_nosdp", filelist(several=False))
    assert script("train.py", "-c", path, "-m", "ljs_base", "--steps", 1, "--device", "cpu") == 0
    base = tmp_path / "logs" / "ljs_base" / "base"
    assert json.loads((base / "config.json").read_text())["model"]["speakers"] == 0


def test_wrong_files_are_refused_in_one_line(script: Script, filelist, tmp_path: Path, capsys) -> None:
    several = filelist(several=True)
    text = several.read_text()
    good, first = copy.deepcopy(text), text.splitlines()[0]
    cases: list[tuple[str, str, dict[str, Any], str]] = [
        ("train_ms.py", good, {"model": {"flow_share": 1}}, "unknown keys model.flow_share"),
        ("train_ms.py", good, {"model": {"transformer_flow_type": "glow"}}, "transformer_flow_type is 'glow'"),
        ("train_ms.py", good, {"model": {"upsample_rates": [8, 8, 2, 4]}}, "512 samples of a frame of 256"),
        ("train_ms.py", good, {"data": {"n_speakers": 1}}, "n_speakers is 1, where several are expected"),
        ("train_ms.py", "none.wav|0|a\n" + good, {}, "files are missing (first: none.wav)"),
        ("train_ms.py", first + "\n" + first, {}, "holds one speaker where several are expected"),
        ("train_ms.py", good.replace("|0|", "|777|"), {}, "speaker 777, but n_speakers is 109"),
        ("train_ms.py", good.replace("|0|", "|p225|"), {}, "the speaker 'p225' is not a number"),
        ("train_ms.py", "a.wav|b", {}, "is not wav|speaker|text"),
        ("train_ms.py", "", {}, "holds no rows"),
        ("train.py", good, {}, "is not wav|text"),
        ("train.py", good, {"data": {"text_cleaners": ["korean"], "cleaned_text": False}}, "must be cleaned before"),
    ]
    for name, content, changes, message in cases:
        several.write_text(content)
        path = config(tmp_path, "vctk_base", several, **changes)
        assert script(name, "-c", path, "-m", "wrong", "--steps", 1) == 2, message
        line = [one for one in capsys.readouterr().err.splitlines() if one.startswith("error:")]
        assert len(line) == 1 and message in line[0], line
    path.write_text(json.dumps({"version": "2.0", "train": {}, "data": {}}))
    assert script("train.py", "-c", path, "-m", "wrong") == 2
    assert "is not a config of a VITS2 with train, data and model" in capsys.readouterr().err
    path.write_text(json.dumps({"train": {}, "data": {}, "model": {}}))
    assert script("train.py", "-c", path, "-m", "wrong") == 2 and "lacks train.batch_size" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("train.batch_size", 0, "a whole number from 1 on"), ("train.epochs", "ten", "a whole number from 1 on"),
        ("train.segment_size", 8192.0, "a whole number from 1 on"), ("train.seed", -1, "a whole number from 0 on"),
        ("train.learning_rate", 0, "a positive number"), ("train.c_kl", "1", "a positive number"),
        ("train.betas", [0.8], "two numbers"), ("train.betas", [0.8, 1.0], "two numbers"),
        ("data.hop_length", 0, "a whole number from 1 on"), ("data.n_speakers", None, "a whole number from 0 on"),
        ("data.training_files", None, "a text"), ("data.text_cleaners", "english", "a list of texts"),
        ("data.mel_fmin", None, "a number"), ("data.mel_fmax", "8000", "a number or null"),
        ("data.add_blank", "no", "true or false"), ("model.use_sdp", 1, "true or false"),
        ("model.transformer_flow_type", ["fft"], "a text"), ("model.gin_channels", "256", "a whole number from 0 on"),
    ],
)  # fmt: skip
def test_values_of_a_wrong_kind_are_refused(tmp_path: Path, place: str, value: Any, message: str) -> None:
    section, key = place.split(".")
    path = config(tmp_path, "vctk_base", tmp_path / "none", **{section: {key: value}})
    with pytest.raises(UsageError, match=f"{place} is .*: use {message}"):
        read_reference_config(path)


@pytest.mark.parametrize(
    ("section", "values", "message"),
    [
        ("model", {"n_heads": 0}, "heads is 0"), ("model", {"p_dropout": "x"}, "wrong kind"),
        ("model", {"upsample_rates": 8}, "wrong kind"), ("train", {"segment_size": 1024}, "a crop needs 1025 samples"),
        ("data", {"win_length": 4096}, "n_fft is 1024"), ("model", {"resblock": 1}, "resblock is 1"),
    ],
)  # fmt: skip
def test_sizes_that_do_not_fit_are_refused(tmp_path: Path, section: str, values: Any, message: str) -> None:
    path = config(tmp_path, "vctk_base", tmp_path / "none", **{section: values})
    run = train_config(read_reference_config(path), 10, 1)
    with pytest.raises(UsageError, match=message):
        run_model(SimpleNamespace(speakers=["000", "001"]), run)


def test_a_config_that_is_no_text_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    for content in (b"\xff\xfe{", b"[]", b'{"train": 5, "data": {}, "model": {}}', b"{"):
        path.write_bytes(content)
        with pytest.raises(UsageError, match="is not a config of a VITS2 with train, data and model"):
            read_reference_config(path)
    with pytest.raises(UsageError, match="check the path"):
        read_reference_config(tmp_path / "none.json")


def test_its_keys_become_settings() -> None:
    run = train_config(read_reference_config(SCRIPTS / "configs" / "vits2_vctk_base.json"), 128, None)
    settings = run.system_settings
    assert run.steps == 2 * 10_000 and run.crop_batch == 64 and run.seed == 1234 and run.learning_rate == 2e-4
    assert settings.sdp and settings.mas_from_start and settings.speaker_encoder and settings.mas_noise == 0.01
    assert settings.duration_discriminator == "conv" and settings.model["speaker_channels"] == 256
    assert run.weight["mel"] == 30 and run.weight["kl"] == 1


def test_even_durations_fill_the_clip() -> None:
    durations = even_durations(np.zeros(600 * 10), "", "abcd")
    assert durations.sum() == 10 and durations.min() >= 1 and durations.max() <= 2 and len(durations) == 6


def test_the_readmes_import(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    assert runpy.run_path(str(SCRIPTS / "models.py"))["SynthesizerTrn"] is SynthesizerTrn


def test_the_readmes_dry_run() -> None:
    """The block of the public README with smaller sizes in the same places."""
    net_g = SynthesizerTrn(
        n_vocab=256,
        spec_channels=80,
        segment_size=8192,
        inter_channels=16,
        hidden_channels=16,
        filter_channels=32,
        n_heads=2,
        n_layers=6,
        kernel_size=3,
        p_dropout=0.1,
        resblock="1",
        resblock_kernel_sizes=[3, 7, 11],
        resblock_dilation_sizes=[[1, 3, 5], [1, 3, 5], [1, 3, 5]],
        upsample_rates=[8, 8, 2, 2],
        upsample_initial_channel=32,
        upsample_kernel_sizes=[16, 16, 4, 4],
        n_speakers=0,
        gin_channels=0,
        use_sdp=True,
        use_transformer_flows=True,
        transformer_flow_type="fft",
        use_spk_conditioned_encoder=True,
        use_noise_scaled_mas=True,
        use_duration_discriminator=True,
    )
    x = torch.LongTensor([[1, 2, 3], [4, 5, 6]])
    x_lengths = torch.LongTensor([3, 2])
    y = torch.randn(2, 80, 100)
    y_lengths = torch.Tensor([100, 80])
    outputs = net_g(
        x=x,
        x_lengths=x_lengths,
        y=y,
        y_lengths=y_lengths,
    )
    audio, loss, attention, starts, x_mask, y_mask, latent, durations = outputs
    assert audio.shape == (2, 1, 80 * 256) and loss.shape == (2,) and attention.shape == (2, 1, 100, 3)
    assert torch.equal(attention.sum((1, 3)), y_mask[:, 0]) and not attention[1, 0, :, 2].any()
    assert [len(latent), len(durations)] == [6, 3] and x_mask.shape == (2, 1, 3) and starts.tolist()[1] == 0
    (audio.sum() + loss.sum()).backward()
    assert all(torch.isfinite(p.grad).all() for p in net_g.parameters() if p.grad is not None)
    assert np.isclose(net_g.current_mas_noise_scale, 0.01)
