"""A student's activations approach those of the teacher's channels that it started from."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from support import speak_as_teacher, write_base

from voiceclone.base_training.config import TrainConfig
from voiceclone.base_training.distillation import Distillation, relative_error, taps, waveform_error
from voiceclone.base_training.narrowing import initialize_from_teacher
from voiceclone.base_training.source_fitting import fit_source_path
from voiceclone.base_training.student import StudentSystem
from voiceclone.base_training.teacher_corpus import prepare_teacher_corpus
from voiceclone.base_training.trainer import Trainer
from voiceclone.base_training.vector_batches import TeacherBatches
from voiceclone.bases.base import Base, load_base
from voiceclone.cli.main import main
from voiceclone.errors import UsageError
from voiceclone.models.batched_forward import decode_frames, hidden_frames, text_features
from voiceclone.models.frozen_kokoro import STYLE_DIM
from voiceclone.models.nano import NanoKModel
from voiceclone.models.presets import tiny_config

CONFIG = TrainConfig(
    preset="tiny", steps=30, warmup_steps=2, prosody_every=0, log_every=5, learning_rate=2e-3, adversarial_share=1.0,
    distillation_share=1.0,
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write_base(tmp_path_factory.mktemp("teacher") / "base", seed=3)


@pytest.fixture
def teacher(folder: Path) -> Base:
    """With random weights."""
    return load_base(folder)


@pytest.fixture(scope="module")
def speech(folder: Path, tmp_path_factory) -> Path:
    return speak_as_teacher(folder, tmp_path_factory.mktemp("speech"), 8)


@pytest.fixture(scope="module")
def corpus(speech: Path, tmp_path_factory):
    return prepare_teacher_corpus(speech, tmp_path_factory.mktemp("cache"))


def narrow() -> NanoKModel:
    """Half the width of the tiny preset."""
    config = tiny_config()
    config.update(hidden_dim=16, nano={"encode_dim": 16, "decode_dims": [16, 16], "asr_res_dim": 8})
    config["istftnet"]["upsample_initial_channel"] = 16
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return NanoKModel(config).eval()


def distance(student: NanoKModel, distillation: Distillation, batch) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The distance of the activations, the student's audio and the teacher's."""
    taught = distillation.taught(batch)
    features = text_features(student, batch.tokens, batch.lengths)
    style = batch.vectors[:, :STYLE_DIM]
    audio = decode_frames(student, features, batch.frame_tokens, batch.f0, batch.energy, style)
    return distillation.distance(), audio, taught.audio


def test_the_distance_is_zero_for_the_teachers_own_weights(corpus, teacher: Base) -> None:
    """At the teacher's width all channels are taken; source and noise are shared."""
    system = StudentSystem(corpus, dataclasses.replace(CONFIG, distillation_share=0.0), teacher=teacher)
    system.initialize_from_teacher(teacher)
    batch = TeacherBatches(corpus, CONFIG).fixed([0])
    student = system.averaged
    distillation = Distillation(student, teacher.kmodel, system.channels)
    assert set(system.channels) == set(taps(student)) - {"generator.spectrum"}
    found, ours, theirs = distance(student, distillation, batch)
    assert float(found) < 0.01 and torch.allclose(ours, theirs, atol=1e-4)
    assert not torch.allclose(theirs, distillation.taught(batch).audio, atol=1e-4)  # the noise is drawn anew
    distillation.close()
    assert not any(module._forward_hooks for module in student.modules())


def test_a_narrow_students_distance_has_a_gradient(corpus, teacher: Base) -> None:
    student, batch = narrow(), TeacherBatches(corpus, CONFIG).fixed([0])
    channels = initialize_from_teacher(student, teacher.kmodel, [batch])
    found, *_ = distance(student, Distillation(student, teacher.kmodel, channels), batch)
    found.backward()
    assert 0.2 < float(found.detach()) < 3.0
    generator = student.decoder.generator
    parts = (student.decoder.encode, generator.noise_res[1], generator.resblocks[-1], generator.conv_post)
    assert all(any(p.grad is not None and float(p.grad.abs().sum()) > 0 for p in part.parameters()) for part in parts)
    assert all(p.grad is None for p in teacher.kmodel.parameters())


def test_fitting_the_source_path_brings_it_nearer(corpus, teacher: Base) -> None:
    student, batch = narrow(), TeacherBatches(corpus, CONFIG).fixed([0])
    channels = initialize_from_teacher(student, teacher.kmodel, [batch])
    others = {name: value.clone() for name, value in student.state_dict().items() if "noise_" not in name}
    ours, theirs = student.decoder.generator, teacher.kmodel.decoder.generator
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        first = fit_source_path(ours, theirs, channels, corpus, [0, 1, 2, 3], seed=0, steps=1)
        last = fit_source_path(ours, theirs, channels, corpus, [0, 1, 2, 3], seed=0, steps=60)
    assert last < 0.7 * first
    assert all(torch.equal(student.state_dict()[name], value) for name, value in others.items())


def test_errors_are_relative_to_a_channels_variation() -> None:
    generator = torch.Generator().manual_seed(0)
    theirs = torch.randn(1, 4, 4000, generator=generator) * torch.tensor([1.0, 1.0, 3.0, 3.0])[:, None]
    mean = theirs.mean(dim=-1, keepdim=True).expand_as(theirs)
    assert 0.8 < float(relative_error(mean, theirs)) < 1.0 and float(relative_error(theirs, theirs)) < 1e-3
    assert abs(float(relative_error(3 * mean, 3 * theirs)) - float(relative_error(mean, theirs))) < 1e-3
    slow = torch.sin(torch.arange(4000) / 200.0).expand(1, 1, -1)
    whole = slow + 0.05 * torch.sin(torch.arange(4000.0)).expand(1, 1, -1)
    assert float(waveform_error(slow, whole)) > 5 * float(relative_error(slow, whole))


def test_a_run_distils_and_then_trains_on_the_stored_speech(corpus, teacher: Base, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("voiceclone.base_training.student.STEPS", 2)
    config = dataclasses.replace(CONFIG, distillation_share=0.5)
    system = StudentSystem(corpus, config, teacher=teacher)
    system.initialize_from_teacher(teacher)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for parameter in system.trained.decoder.parameters():  # something to learn, as it is as wide as its teacher
            parameter.add_(parameter.abs().mean() * torch.randn(parameter.shape))
    trainer = Trainer(system, tmp_path)
    trainer.run()
    with_features = [entry for entry in trainer.history if "features" in entry]
    assert len(with_features) == 3 and len(trainer.history) == 6 and system.distillation is None
    assert with_features[-1]["features"] < 0.9 * with_features[0]["features"]
    again = StudentSystem(corpus, config, teacher=teacher)
    Trainer(again, tmp_path).resume()
    assert all(torch.equal(again.channels[name], index) for name, index in system.channels.items())


def test_a_distillation_needs_its_teacher(speech: Path, folder: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.setattr("voiceclone.base_training.student.STEPS", 2)
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps({"distillation_share": 1.0}))
    train = ["train-base", "--teacher", str(speech), "--preset", "tiny", "--steps", "2", "--settings", str(settings)]
    assert main([*train, "--out", str(tmp_path / "one"), "--quiet"]) == 2
    assert "give --from-teacher, and no --init" in capsys.readouterr().err
    data = ["train-base", "--data", str(speech), "--preset", "tiny", "--steps", "2", "--settings", str(settings)]
    assert main([*data, "--out", str(tmp_path / "three"), "--quiet"]) == 2
    assert "distillation_share, front_share, generator_rate: can only be used with --teacher" in capsys.readouterr().err
    assert main([*train, "--out", str(tmp_path / "two"), "--from-teacher", str(folder), "--quiet"]) == 0
    assert (tmp_path / "two" / "base" / "model.safetensors").is_file()


def test_hidden_frames_are_what_the_generator_gets(corpus, teacher: Base) -> None:
    batch, got = TeacherBatches(corpus, CONFIG).fixed([0]), []
    model = teacher.kmodel
    hook = model.decoder.generator.register_forward_pre_hook(lambda _, given: got.append(given[0]))
    given = (text_features(model, batch.tokens, batch.lengths), batch.frame_tokens, batch.f0, batch.energy)
    with torch.no_grad():
        decode_frames(model, *given, batch.vectors[:, :STYLE_DIM])
        hook.remove()
        assert torch.equal(hidden_frames(model, *given, batch.vectors[:, :STYLE_DIM]), got[0])


def test_the_front_is_trained_alone_at_first(corpus, teacher: Base, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("voiceclone.base_training.student.STEPS", 2)
    config = dataclasses.replace(CONFIG, front_share=1.0, distillation_share=0.0, log_every=10)
    system = StudentSystem(corpus, config, teacher=teacher)
    system.initialize_from_teacher(teacher)
    decoder = system.trained.decoder
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for block in decoder.decode:
            for parameter in block.parameters():
                parameter.add_(parameter.abs().mean() * torch.randn(parameter.shape))
    generator = {name: value.clone() for name, value in decoder.generator.state_dict().items()}
    trainer = Trainer(system, tmp_path)
    trainer.run()
    assert all("mel" not in entry for entry in trainer.history)
    assert trainer.history[-1]["features"] < 0.8 * trainer.history[0]["features"]
    assert all(torch.equal(decoder.generator.state_dict()[name], value) for name, value in generator.items())
    done = dataclasses.replace(config, front_share=0.5)
    later = StudentSystem(corpus, done, teacher=teacher)
    later.channels = system.channels
    assert "mel" not in later.losses(0, 0.49).terms and "mel" in later.losses(0, 0.5).terms
    assert later.distillation is None


def test_the_generator_has_a_learning_rate_of_its_own(corpus, teacher: Base, tmp_path: Path) -> None:
    config = dataclasses.replace(CONFIG, distillation_share=0.0, generator_rate=0.25, steps=3)
    system = StudentSystem(corpus, config, teacher=teacher)
    trainer = Trainer(system, tmp_path)
    trainer.run()
    others, generator = trainer.optimizer.param_groups
    assert generator["lr"] == pytest.approx(0.25 * others["lr"]) and others["lr"] > 0
    inside = list(system.trained.decoder.generator.parameters())
    assert len(generator["params"]) == len(inside)
    assert len(others["params"]) + len(inside) == len(list(system.trained.parameters()))
    other = StudentSystem(corpus, dataclasses.replace(config, generator_rate=1.0), teacher=teacher)
    with pytest.raises(UsageError, match="such as another generator_rate"):
        Trainer(other, tmp_path).resume()
