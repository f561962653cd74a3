"""A student learns to reproduce a teacher's speech with the teacher's voice vectors."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from support import check_packing_again, speak_as_teacher, write_base

from voiceclone.base_training.config import TrainConfig
from voiceclone.base_training.losses import SpectralLoss, complex_distance
from voiceclone.base_training.narrowing import initialize_from_teacher
from voiceclone.base_training.student import StudentSystem, build_student
from voiceclone.base_training.teacher import read_utterance
from voiceclone.base_training.teacher_corpus import prepare_teacher_corpus
from voiceclone.base_training.trainer import Trainer
from voiceclone.base_training.vector_batches import TeacherBatches
from voiceclone.bases.base import load_base
from voiceclone.cli.main import main
from voiceclone.errors import UsageError
from voiceclone.models.batched_forward import decode_frames, text_features
from voiceclone.models.nano import NanoKModel
from voiceclone.models.presets import tiny_config

CONFIG = TrainConfig(
    preset="tiny", steps=8, warmup_steps=2, crop_frames=16, crop_batch=3, long_batch=2, prosody_batch=3,
    prosody_frames=40, log_every=4, adversarial_share=0.5, learning_rate=3e-3,
)  # fmt: skip
COUNT = 8


@pytest.fixture(scope="module")
def speech(tmp_path_factory) -> Path:
    """Speech of a teacher with random weights."""
    base = write_base(tmp_path_factory.mktemp("teacher") / "base", seed=3)
    return speak_as_teacher(base, tmp_path_factory.mktemp("speech"), COUNT)


@pytest.fixture(scope="module")
def corpus(speech: Path, tmp_path_factory):
    return prepare_teacher_corpus(speech, tmp_path_factory.mktemp("cache"))


def test_the_corpus_holds_what_the_teacher_wrote(speech: Path, corpus) -> None:
    assert len(corpus.utterances) == COUNT
    for index, utterance in enumerate(corpus.utterances):
        one = read_utterance(speech, int(utterance.name))
        assert np.allclose(corpus.audio(index), one.audio, atol=1e-4)
        assert np.array_equal(corpus.f0(index), one.f0.numpy()) and np.array_equal(corpus.vector(index), one.vector)
        assert utterance.durations == tuple(one.durations.tolist()) and utterance.phonemes == one.phonemes


def test_the_corpus_is_read_again_only_where_there_is_more_speech(speech: Path, tmp_path: Path) -> None:
    prepare_teacher_corpus(speech, tmp_path)
    written = (tmp_path / "audio.npy").stat().st_mtime_ns
    prepare_teacher_corpus(speech, tmp_path)
    assert (tmp_path / "audio.npy").stat().st_mtime_ns == written
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(UsageError, match="holds no speech of a teacher"):
        prepare_teacher_corpus(empty, tmp_path / "other")


def test_speech_that_was_made_again_is_read_again(speech: Path, tmp_path: Path) -> None:
    """Another teacher or other voices: the same numbers, other files."""
    again = shutil.copytree(speech, tmp_path / "speech")
    before = prepare_teacher_corpus(again, tmp_path / "cache").vector(0)
    for suffix in ("flac", "safetensors"):
        shutil.copy(speech / f"000001.{suffix}", again / f"000000.{suffix}")
    found = prepare_teacher_corpus(again, tmp_path / "cache")
    assert not np.array_equal(found.vector(0), before) and np.array_equal(found.vector(0), found.vector(1))


def test_the_decoder_gets_whole_utterances_with_the_vector_that_made_each(corpus) -> None:
    batches = TeacherBatches(corpus, CONFIG)
    assert batches.validation == [COUNT - 1]
    drawn = set()
    for step in range(12):
        batch = batches.acoustic(step)
        (index,) = [i for i in range(COUNT) if np.array_equal(corpus.vector(i), batch.vectors[0].numpy())]
        assert np.array_equal(batch.audio[0].numpy(), corpus.audio(index))  # whole
        drawn.add(index)
    assert len(drawn) > 3 and not drawn & set(batches.validation)
    spoken = batches.prosody(0)
    assert spoken.vectors.shape == (3, 256) and len({tuple(v.tolist()) for v in spoken.vectors}) == 3


def test_synthesised_speech_is_decoded_from_the_f0_it_was_made_with(corpus) -> None:
    """A smoothed F0 has other phases; tests/base_training/styletts2/test_losses.py covers recordings."""
    batches = TeacherBatches(corpus, CONFIG)
    for step in range(20):
        batch = batches.acoustic(step)
        assert batch.smoothing == (1, 1)
        (index,) = [i for i in range(COUNT) if np.array_equal(corpus.vector(i), batch.vectors[0].numpy())]
        assert np.array_equal(corpus.f0(index), batch.f0[0].numpy())


@pytest.fixture(scope="module")
def prosody(tmp_path_factory) -> Path:
    """The prosody of the same utterances and of more, without audio."""
    base = write_base(tmp_path_factory.mktemp("teacher") / "base", seed=3)
    return speak_as_teacher(base, tmp_path_factory.mktemp("prosody"), COUNT + 2, with_audio=False)


def test_prosody_alone_is_that_of_the_speech(speech: Path, prosody: Path, tmp_path: Path) -> None:
    assert not list(prosody.glob("*.flac"))
    for number in range(COUNT):
        ours, theirs = read_utterance(prosody, number), read_utterance(speech, number)
        assert len(ours.audio) == 0 and ours.phonemes == theirs.phonemes
        assert all(torch.equal(getattr(ours, n), getattr(theirs, n)) for n in ("durations", "f0", "energy", "vector"))
    corpus = prepare_teacher_corpus(prosody, tmp_path)
    assert len(corpus.utterances) == COUNT + 2 and not corpus.has_audio
    assert prepare_teacher_corpus(speech, tmp_path).has_audio
    assert not prepare_teacher_corpus(prosody, tmp_path).has_audio


def test_a_corpus_of_prosody_alone_trains_the_predictor_alone(speech: Path, prosody: Path, tmp_path: Path) -> None:
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps({"warmup_steps": 2, "prosody_batch": 3, "prosody_frames": 40, "prosody_every": 0}))
    train = ["train-base", "--preset", "tiny", "--settings", str(settings), "--device", "cpu", "--quiet"]
    predicted, decoded = tmp_path / "predicted", tmp_path / "decoded"
    assert main([*train, "--teacher", str(prosody), "--steps", "3", "--out", str(predicted)]) == 0
    further = ["--teacher", str(speech), "--steps", "2", "--init", str(predicted / "base"), "--out", str(decoded)]
    assert main([*train, *further]) == 0
    first, second = (load_base(folder / "base") for folder in (predicted, decoded))
    assert "mel_l1_true_prosody" not in first.info["measured"] and "mel_l1_true_prosody" in second.info["measured"]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(CONFIG.seed)
        start = build_student("tiny").state_dict()
    first, second = (load_file(folder / "base" / "model.safetensors") for folder in (predicted, decoded))
    for name, ours in first.items():
        of_decoder = name.startswith(("decoder.", "text_encoder."))
        assert torch.equal(ours, start[name].to(ours.dtype) if of_decoder else second[name]), name
    for moved, part in ((first, "predictor."), (second, "decoder.")):
        assert any(not torch.equal(moved[n], start[n].to(moved[n].dtype)) for n in moved if n.startswith(part))


def test_the_predictor_can_be_trained_first_with_a_decoder_from_the_teacher(prosody: Path, tmp_path: Path) -> None:
    teacher = write_base(tmp_path / "teacher", seed=3)
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps({"prosody_batch": 3, "prosody_frames": 40, "distillation_share": 0.5}))
    train = ["train-base", "--teacher", str(prosody), "--preset", "tiny", "--steps", "1", "--quiet"]
    assert (
        main([*train, "--settings", str(settings), "--from-teacher", str(teacher), "--out", str(tmp_path / "o")]) == 0
    )
    ours, theirs = (load_file(folder / "model.safetensors") for folder in (tmp_path / "o" / "base", teacher))
    name = "decoder.generator.m_source.l_linear.weight"
    assert torch.allclose(ours[name].float(), theirs[name].float(), atol=1e-3)


def test_the_distance_to_the_teacher_falls(corpus, tmp_path: Path) -> None:
    trainer = Trainer(StudentSystem(corpus, dataclasses.replace(CONFIG, steps=40, adversarial_share=1.0)), tmp_path)
    trainer.run()
    first, last = trainer.history[0], trainer.history[-1]
    assert last["mel"] < 0.85 * first["mel"] and last["duration"] < first["duration"]


def test_it_can_start_from_its_teachers_channels(corpus, tmp_path_factory) -> None:
    """At the teacher's width the decoder equals the teacher's; a narrower one gets finite weights."""
    base = load_base(write_base(tmp_path_factory.mktemp("teacher") / "base", seed=3))
    teacher = base.kmodel
    system = StudentSystem(corpus, CONFIG)
    batch = TeacherBatches(corpus, CONFIG).fixed([0])
    style, audio = batch.vectors[:, :128], []
    assert system.initialize_from_teacher(base) == f"weights of {base.name}"
    for model in (teacher, system.averaged):
        with torch.random.fork_rng(), torch.no_grad():
            torch.manual_seed(0)
            features = text_features(model, batch.tokens, batch.lengths)
            audio.append(decode_frames(model, features, batch.frame_tokens, batch.f0, batch.energy, style))
    assert torch.allclose(*audio, atol=1e-4)
    narrow = build_narrow()
    initialize_from_teacher(narrow, teacher, [batch])
    assert all(torch.isfinite(value).all() for value in narrow.state_dict().values())
    config = tiny_config()
    config["istftnet"].update(resblock_kernel_sizes=[7], resblock_dilation_sizes=[[1, 3, 5]])
    with pytest.raises(UsageError, match="no residual blocks of kernel size 7"):
        initialize_from_teacher(NanoKModel(config), teacher, [batch])
    with pytest.raises(UsageError, match="cannot be taken from blocks of widths"):
        initialize_from_teacher(system.trained, narrow, [batch])


def build_narrow() -> NanoKModel:
    """Half the width of the tiny preset."""
    config = tiny_config()
    config.update(hidden_dim=16, nano={"encode_dim": 16, "decode_dims": [16, 16], "asr_res_dim": 8})
    config["istftnet"]["upsample_initial_channel"] = 16
    return NanoKModel(config)


def test_phases_count_in_the_complex_distance() -> None:
    audio = torch.sin(torch.arange(4800) * 0.1)[None]
    assert float(complex_distance(audio, audio)) < 1e-2
    turned = torch.sin(torch.arange(4800) * 0.1 + 1.5)[None]
    magnitudes = float(SpectralLoss()(turned, audio)["convergence"])  # does not depend on them, except at the ends
    assert float(complex_distance(turned, audio)) > 1.0 > 4 * magnitudes


def test_a_resumed_run_is_the_same_run(corpus, tmp_path: Path) -> None:
    config = dataclasses.replace(CONFIG, steps=4)
    whole = Trainer(StudentSystem(corpus, config), tmp_path / "whole")
    whole.run()
    part = Trainer(StudentSystem(corpus, dataclasses.replace(CONFIG, steps=100)), tmp_path / "part")
    part.config = part.system.config = config
    part.system.trained.train()
    part.system.discriminators.train()
    for _ in range(3):
        with part.process_group.seeded(CONFIG.seed * 1_000_003 + part.step):
            part.train_step()
        part.step += 1
    part.save()
    resumed = Trainer(StudentSystem(corpus, config), tmp_path / "part")
    resumed.resume()
    resumed.run()
    ours, theirs = (trainer.system.averaged.state_dict() for trainer in (resumed, whole))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_the_command_trains_a_base_that_speaks_with_kokoros_voices(speech: Path, tmp_path: Path, monkeypatch) -> None:
    settings = tmp_path / "settings.json"
    changed = ("warmup_steps", "crop_frames", "crop_batch", "long_batch", "prosody_batch", "prosody_frames")
    settings.write_text(json.dumps({name: getattr(CONFIG, name) for name in changed}))
    out = tmp_path / "run"
    train = ["train-base", "--teacher", str(speech), "--preset", "tiny", "--steps", "3", "--out", str(out), "--quiet"]
    assert main([*train, "--settings", str(settings), "--device", "cpu"]) == 0
    base = load_base(out / "base")
    assert base.voice_space == "kokoro-82m" and base.info["measured"]["utterances"] == 1
    assert "Voices made for Kokoro-82M speak on it" in (out / "base" / "README.md").read_text()
    wav = tmp_path / "said.wav"
    say = ["say", "Good morning.", "--base", str(out / "base"), "--voice", "af_heart", "--out", str(wav), "--offline"]
    assert main(say) == 0 and wav.stat().st_size > 10_000
    assert main([*train[:-1], "--init", str(out / "base"), "--out", str(tmp_path / "second"), "--quiet"]) == 0
    assert "from base on" in (tmp_path / "second" / "base" / "README.md").read_text()
    pack = ["train-base", "--teacher", str(speech), "--pack-only", "--out", str(out), "--quiet"]
    check_packing_again(out, pack, "voiceclone.base_training.student_base.student_card", monkeypatch)


def test_flags_that_a_student_does_not_use_are_refused(speech: Path, tmp_path: Path, capsys) -> None:
    train = ["train-base", "--teacher", str(speech), "--preset", "tiny", "--steps", "1", "--out", str(tmp_path / "o")]
    assert main([*train, "--boost", "lj=3"]) == 2
    assert "--boost: cannot be used with --teacher" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main([*train, "--data", str(tmp_path)])
    assert main(["train-base", "--teacher", str(tmp_path), "--steps", "1", "--out", str(tmp_path / "o")]) == 2
    assert "holds no speech of a teacher" in capsys.readouterr().err


def test_settings_name_the_weights_they_change_alone() -> None:
    config = TrainConfig.from_json({**CONFIG.to_json(), "weights": {"mel": 3.0}})
    assert config.weight == {**CONFIG.weight, "mel": 3.0}


def test_saving_memory_leaves_the_gradients_as_they_are(corpus) -> None:
    gradients = []
    for save_memory in (False, True):
        system = StudentSystem(corpus, dataclasses.replace(CONFIG, save_memory=save_memory, adversarial_share=1.0))
        system.speed_up()
        system.trained.eval()  # no dropout
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            system.losses(1, 0.0).total.backward()
        gradients.append({name: p.grad for name, p in system.trained.named_parameters() if p.grad is not None})
    kept, computed_again = gradients
    assert kept.keys() == computed_again.keys() and any(name.startswith("decoder.generator.resblocks") for name in kept)
    assert all(torch.allclose(kept[name], computed_again[name], rtol=1e-4, atol=1e-6) for name in kept)
