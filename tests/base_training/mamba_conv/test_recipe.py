"""``train-base --system codec`` and ``--system mamba-conv``: from a corpus of two speakers to a base folder."""

from __future__ import annotations

import copy
import dataclasses
import json
import shutil
from pathlib import Path

import pytest
import torch
from support import check_packing_again

from voiceclone.base_training.config import TrainConfig
from voiceclone.base_training.mamba_conv import recipe
from voiceclone.base_training.mamba_conv.analysis import analysis_text, trends
from voiceclone.base_training.mamba_conv.codec_files import load_codec
from voiceclone.base_training.mamba_conv.codec_recipe import codec_config_of
from voiceclone.base_training.mamba_conv.codes import codec_key
from voiceclone.base_training.mamba_conv.settings import WEIGHTS, MambaConvTraining
from voiceclone.base_training.trainer import read_checkpoint
from voiceclone.base_training.training_run import TrainingRun
from voiceclone.bases.base import load_base
from voiceclone.bases.mamba_conv import read_mamba_conv
from voiceclone.cli.main import main
from voiceclone.distributed import ProcessGroup
from voiceclone.errors import UsageError, VoicecloneError
from voiceclone.models.frozen_kokoro import FrozenKokoro
from voiceclone.models.mamba_conv.bundle import load_bundle
from voiceclone.style.extraction import extract_styles

SETTINGS = {"warmup_steps": 1, "crop_frames": 16, "crop_batch": 2, "prosody_batch": 2, "prosody_frames": 40}


@pytest.fixture(scope="module")
def trained(spoken, tmp_path_factory) -> Path:
    """A codec in ``codec`` and a base in ``run/base``."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "settings.json").write_text(json.dumps(SETTINGS))
    with pytest.MonkeyPatch.context() as patch:
        prepared(patch)
        assert train(folder, spoken, "codec", "codec", "--steps", "2") == 0
        codec = folder / "codec" / "codec"
        assert train(folder, spoken, "run", "mamba-conv", "--steps", "2", "--set", f"codec={codec}", "mixer=gru") == 0
    return folder


def prepared(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(recipe, "resemblyzer_embed", lambda: None)
    patch.setattr(recipe, "load_recognizer", lambda: None)
    patch.setattr("voiceclone.base_training.mamba_conv.codec_recipe.load_recognizer", lambda: None)
    patch.setattr(recipe, "LEAST_SECONDS", 5.0)


def train(folder: Path, spoken: Path, out: str, system: str, *more: str) -> int:
    words = ["--system", system, "--data", str(spoken / "train"), "--out", str(folder / out), "--preset", "tiny"]
    settings = ["--settings", str(folder / "settings.json")]
    return main(["train-base", *words, *settings, "--quiet", "--device", "cpu", "--offline", *more])


def test_the_base_has_a_voice_a_speaker_and_the_codec_given(trained: Path, spoken) -> None:
    bundle = read_mamba_conv(trained / "run" / "base")
    assert bundle.model.config.mixer == "gru" and len(bundle.voices) == 2
    assert codec_key(bundle.codec) == codec_key(load_codec(trained / "codec" / "codec"))
    base = load_base(trained / "run" / "base")
    assert sorted(base.stock_voices) == sorted(bundle.voices) and base.voice_space == base.sha256
    name = next(iter(base.stock_voices))
    torch.manual_seed(0)
    audio = base.kmodel("hɛlˈO", base.stock_voices[name].row(6), return_output=True)
    assert abs(audio.audio.shape[0] - 600 * int(audio.pred_dur.sum())) <= 300 and torch.isfinite(audio.audio).all()
    torch.manual_seed(0)
    quick = base.kmodel("hɛlˈO", base.stock_voices[name].row(6), speed=3.0, return_output=True)
    assert quick.audio.shape[0] < audio.audio.shape[0]


def test_packing_again_replaces_the_base_as_a_whole(trained: Path, spoken: Path, monkeypatch) -> None:
    prepared(monkeypatch)
    run = trained / "run"
    pack = ["train-base", "--system", "mamba-conv", "--data", str(spoken / "train"), "--pack-only", "--out", str(run)]
    card = "voiceclone.base_training.mamba_conv.recipe.mamba_conv_card"
    check_packing_again(run, [*pack, "--device", "cpu", "--quiet"], card, monkeypatch)


def test_styles_are_voices_but_clone_refuses_the_base(trained: Path, corpus, capsys, tmp_path) -> None:
    base = load_base(trained / "run" / "base")
    styles = extract_styles(
        [("clip", lambda: corpus.audio(0))], base.own_encoders, device=torch.device("cpu")
    )  # fmt: skip
    assert styles.mean.shape == (1, 256) and torch.equal(styles.mean[:, :128], styles.mean[:, 128:])
    with pytest.raises(UsageError, match="only be trained on Kokoro-format bases"):
        FrozenKokoro(base.kmodel, torch.device("cpu"))


def test_a_start_from_a_base_takes_its_weights_and_codec(trained: Path, spoken, monkeypatch, capsys) -> None:
    prepared(monkeypatch)
    base = trained / "run" / "base"
    start = ("--init", str(base), "--set", "mixer=gru")
    assert train(trained, spoken, "second", "mamba-conv", "--steps", "1", *start) == 0
    known, second = read_mamba_conv(base), load_bundle(trained / "second" / "best_model.pt")
    assert codec_key(second.codec) == codec_key(known.codec) and second.facts["init"]
    near = [float((a - b).abs().max()) for a, b in zip(second.model.parameters(), known.model.parameters())]
    assert max(near) < 0.05
    assert train(trained, spoken, "third", "mamba-conv", "--steps", "1", "--init", str(base)) == 2
    assert "has another codec or other sizes" in capsys.readouterr().err
    assert train(trained, spoken, "fourth", "mamba-conv", "--steps", "1", "--set", "codec=encodec") in (0, 1)
    assert train(trained, spoken, "fifth", "mamba-conv", "--steps", "1", "--set", f"codec={trained}") == 2
    assert "holds no codec" in capsys.readouterr().err
    monkeypatch.setattr(recipe, "LEAST_SECONDS", 5000.0)
    assert train(trained, spoken, "sixth", "mamba-conv", "--steps", "1") == 2
    assert "s of speech are too little" in capsys.readouterr().err


def test_a_run_that_gets_longer_keeps_its_codec(spoken, tmp_path: Path, monkeypatch, capsys) -> None:
    prepared(monkeypatch)
    (tmp_path / "settings.json").write_text(json.dumps(SETTINGS))
    assert train(tmp_path, spoken, "run", "mamba-conv", "--steps", "2", "--set", "mixer=gru") == 0
    folder = tmp_path / "run" / "codec_training" / "codec"
    before = (folder / "codec.safetensors").read_bytes()
    assert train(tmp_path, spoken, "run", "mamba-conv", "--steps", "3", "--set", "mixer=gru", "--resume") == 0
    assert (folder / "codec.safetensors").read_bytes() == before
    assert read_checkpoint(tmp_path / "run")["step"] == 3
    shutil.rmtree(folder)
    capsys.readouterr()
    assert train(tmp_path, spoken, "run", "mamba-conv", "--steps", "4", "--set", "mixer=gru", "--resume") == 2
    assert "is not the codec that the run was trained with" in capsys.readouterr().err and not folder.exists()


def test_weights_are_used_as_they_are_given() -> None:
    given = {"system": "mamba-conv", "steps": 1, "weights": {"duration": 1.0}}
    weight = TrainConfig.from_json(given).weight
    assert weight["duration"] == 1.0 and weight["duration_total"] == WEIGHTS["duration_total"] == 0.5
    assert codec_config_of(TrainConfig.from_json(given), 0, 0.5).weight["mel"] == 2.0


@pytest.mark.parametrize(
    ("system", "words", "message"),
    [
        ("mamba-conv", ["--preset", "reference"], "features are computed"),
        ("codec", ["--preset", "reference"], "features are computed"),
        ("mamba-conv", ["--preset", "full"], "no preset 'full': choose one of tiny, nano, reference"),
        ("styletts2", ["--preset", "reference"], "no preset 'reference': choose one of nano, full, tiny"),
        ("mamba-conv", ["--set", "mixer=lstm"], "--mixer lstm: use one of"),
        ("mamba-conv", ["--set", "iterations=0"], "--iterations 0: give 1 or more"),
        ("mamba-conv", ["--set", "codebook_size=1"], "--vocab-size 1: give a number from"),
        ("mamba-conv", ["--set", "codec=none"], "--codec none: holds no codec"),
        ("mamba-conv", ["--init", "none"], "none/config.json: cannot be read"),
        ("codec", ["--set", "codebook_size=-3"], "--vocab-size -3: give a number from"),
        ("codec", ["--init", "none"], "none: holds no codec"),
        ("mamba-conv", ["--learning-rate", "0"], "--learning-rate 0: must be positive"),
    ],
)
def test_settings_are_checked_before_features_are_computed(
    system: str, words: list[str], message: str, tmp_path: Path, monkeypatch, capsys
) -> None:
    def reached(*_: object, **__: object) -> None:
        raise UsageError("features are computed")

    monkeypatch.setattr("voiceclone.base_training.caches.prepare_caches", reached)
    command = ["train-base", "--system", system, "--data", str(tmp_path), "--out", str(tmp_path / "out")]
    assert main([*command, "--steps", "1", "--quiet", "--device", "cpu", *words]) in (1, 2)
    assert message in capsys.readouterr().err


def test_small_batches_of_a_process_are_normalised_by_group(corpus, config, trained: Path, tmp_path: Path) -> None:
    def norm(processes: int = 1, batch: int = 8, **given: object) -> str:
        wanted = dataclasses.replace(config, prosody_batch=batch)
        group = ProcessGroup(world_size=processes)
        run = TrainingRun(corpus=corpus, config=wanted, out=tmp_path, process_group=group, **given)
        return recipe.model_sizes(MambaConvTraining(), run).style_norm

    assert [norm(), norm(2), norm(3)] == ["batch", "batch", "group"]
    assert norm(batch=3) == "group"
    few = copy.copy(corpus)
    few.utterances, few.speakers, few.by_speaker = corpus.utterances[:4], ["one"], {"one": [0, 1, 2, 3]}
    assert (
        norm() == "batch"
        and recipe.model_sizes(MambaConvTraining(), TrainingRun(corpus=few, config=config, out=tmp_path)).style_norm
        == "group"
    )
    # A start from a base, and a run with another number of processes, keep what the weights were trained with.
    assert read_mamba_conv(trained / "run" / "base").model.config.style_norm == "group"
    assert norm(init=trained / "run" / "base") == "group"
    shutil.copy(trained / "run" / "checkpoint.pt", tmp_path / "checkpoint.pt")
    assert norm(resume=True) == "group"


def test_damaged_files_are_one_clear_line(trained: Path, tmp_path) -> None:
    best = (trained / "run" / "best_model.pt").read_bytes()
    for content in (best[: len(best) // 2], b"no model"):
        (tmp_path / "best_model.pt").write_bytes(content)
        with pytest.raises(UsageError, match="cannot be read"):
            load_bundle(tmp_path / "best_model.pt")
    torch.save({"format": 9}, tmp_path / "best_model.pt")
    with pytest.raises(UsageError, match="is not a model of this program"):
        load_bundle(tmp_path / "best_model.pt")
    (tmp_path / "config.json").write_text('{"system": "mamba-conv"}')
    with pytest.raises(VoicecloneError):
        read_mamba_conv(tmp_path)


def test_the_analysis_marks_codebooks_that_are_hardly_used() -> None:
    def text(use: list[float]) -> str:
        calibration = {"codebook_use": use, "durations": [], "stopping": {"rounds_saved": 0.0, "accuracy_lost": 0.0}}
        return analysis_text(
            {"model": "m", "best_step": 1, "last_step": 1, "parameters": {}, "config": {"model": {}}, "validation": {},
             "calibration": calibration, "trends": {}, "cost": {}, "picture": "p"}
        )  # fmt: skip

    assert "codebook use a level: 0.80, 0.29 (below 0.3: many codes are unused)" in text([0.8, 0.29])
    assert "unused" not in text([0.8, 0.31])


def test_trends_are_those_of_the_last_quarter() -> None:
    history = [{"step": 100 * i, "tokens": 5.0 - 0.1 * i, "learning_rate": 1.0} for i in range(1, 21)]
    assert trends(history) == {"tokens": {"mean": pytest.approx(3.2), "per_1000_steps": pytest.approx(-1.0)}}
    assert trends([{"step": 1, "tokens": 2.0}])["tokens"] == {"mean": 2.0, "per_1000_steps": 0.0}
