"""The codec learns, its codebooks are initialized from its latents, and a resumed run is identical."""

from __future__ import annotations

import copy
import dataclasses
import logging

import numpy as np
import pytest
import torch

from voiceclone.base_training.mamba_conv.codec_files import load_codec, save_codec
from voiceclone.base_training.mamba_conv.codec_recipe import (
    codec_config_of,
    codec_measures,
    measured_use,
    own_codec,
    run_key,
    warn_of_low_use,
)
from voiceclone.base_training.mamba_conv.codec_system import CodecSystem
from voiceclone.base_training.mamba_conv.codes import CodeCache, codec_key
from voiceclone.base_training.mamba_conv.settings import CodecTraining
from voiceclone.base_training.trainer import Trainer
from voiceclone.base_training.training_run import TrainingRun
from voiceclone.distributed import ProcessGroup
from voiceclone.errors import UsageError, VoicecloneError
from voiceclone.models.mamba_conv.config import CodecConfig, presets
from voiceclone.models.mamba_conv.quantizer import codebook_use

TINY = presets("tiny")[0]
TRAINING = CodecTraining(kmeans_batches=3)


def system_of(corpus, config, **changes) -> CodecSystem:
    return CodecSystem(corpus, dataclasses.replace(config, **changes), codec=TINY, training=TRAINING)


def test_the_loss_falls_and_codebooks_start_after_their_batches(corpus, config, tmp_path) -> None:
    trainer = Trainer(system_of(corpus, config, steps=24, adversarial_share=1.0, log_every=8), tmp_path)
    assert not trainer.system.started
    trainer.run()
    first, last = trainer.history[0], trainer.history[-1]
    assert trainer.system.started and last["mel"] < 0.9 * first["mel"] and last["commit"] > 0
    assert {"gradient_norm", "memory_mb", "step_seconds", "learning_rate"} <= set(last)
    use = codec_measures(trainer.system.averaged, corpus, [0, 1])["codebook_use"]
    assert len(use) == TINY.levels and min(use) >= 1 / TINY.codebook_size
    tracked = {f"use_{level}" for level in range(TINY.levels)}
    assert tracked <= set(last) and all(1 / TINY.codebook_size <= last[name] <= 1 for name in tracked)
    ours, theirs = trainer.system.averaged.quantizer, trainer.system.trained.quantizer
    assert torch.equal(ours.codebooks, theirs.codebooks)  # copied, because averaged codebooks are not valid
    _, recording, spoken = trainer.system.preview() if trainer.system.batches.validation else (0, np.zeros(600), None)
    assert spoken is None or len(spoken) >= len(recording)


def test_a_resumed_run_is_the_same_run(corpus, config, tmp_path) -> None:
    config = dataclasses.replace(config, steps=6)
    whole = Trainer(system_of(corpus, config), tmp_path / "whole")
    whole.run()
    assert "adversarial" in whole.history[-1]
    for at in (2, 4):  # before and after the codebooks started
        part = Trainer(system_of(corpus, config), tmp_path / str(at))
        part.system.trained.train()
        part.system.discriminators.train()
        for _ in range(at):
            with part.process_group.seeded(config.seed * 1_000_003 + part.step):
                part.train_step()
            part.step += 1
        part.save()
        resumed = Trainer(system_of(corpus, config), tmp_path / str(at))
        resumed.resume()
        resumed.run()
        ours, theirs = resumed.system.averaged.state_dict(), whole.system.averaged.state_dict()
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_levels_are_dropped_half_of_the_time(corpus, config) -> None:
    batches = system_of(corpus, config).batches
    drawn = [batches.levels(step, 4, 0.5) for step in range(400)]
    assert set(drawn) == {1, 2, 3, 4} and 0.55 < np.mean(np.array(drawn) == 4) < 0.7


def test_processes_share_a_batch(corpus, config) -> None:
    whole, _ = system_of(corpus, config).batches.draw(3)
    parts = []
    for rank in range(2):
        system = system_of(corpus, config)
        system.batches.process_group = ProcessGroup(rank=rank, world_size=2)
        parts.append(system.batches.draw(3))
    assert torch.equal(torch.cat([rows for rows, _ in parts]), whole) and sum(part for _, part in parts) == 1.0


def test_tracked_use_is_that_of_the_last_batches_of_a_level(corpus, config) -> None:
    system = system_of(corpus, config)
    first = system._use(torch.zeros(2, 4, 30, dtype=torch.long))
    assert all(float(value) == pytest.approx(1 / 32) for value in first.values()) and len(first) == 4
    second = system._use(torch.full((2, 1, 30), 7))  # one level only
    assert set(second) == {"use_0"} and float(second["use_0"]) == pytest.approx(2 / 32)
    for _ in range(20):
        last = system._use(torch.full((2, 4, 30), 7))
    assert [float(value) for value in last.values()] == pytest.approx([1 / 32] * 4)


class Cycling(torch.nn.Module):
    """A codec of which every code is equally frequent at level 0, and a tenth at level 1."""

    hop, levels = 300, 2

    def __init__(self, size: int) -> None:
        super().__init__()
        self.codebook_size, self.seen = size, 0

    def encode(self, audio):
        frames = audio.shape[1] // self.hop
        codes = self.seen + torch.arange(frames)
        self.seen += frames
        return torch.stack([codes % self.codebook_size, codes % (self.codebook_size // 10)])[None]

    def decode(self, codes):
        return torch.zeros(1, self.hop * codes.shape[2])


def test_the_measured_use_has_enough_frames(corpus) -> None:
    """A few utterances have fewer frames than a large codebook has codes."""
    frames, size = 2 * corpus.frames, 400
    assert frames[0] < 0.5 * size < size < frames.sum() < 20 * size
    codec = Cycling(size)
    found = codec_measures(codec, corpus, [0])
    assert found["utterances"] == 1 and found["codebook_use"] == pytest.approx([1.0, 0.1], abs=0.02)
    assert codec.seen == frames[0] + frames.sum()  # all there are, besides the utterance that is measured
    small = Cycling(50)
    measured_use(small, corpus, [3])
    assert 1000 <= small.seen < 1000 + frames.max()
    many = Cycling(50)
    measured_use(many, corpus, list(range(10)))
    assert many.seen == frames[:10].sum()


@pytest.mark.parametrize(("use", "warned"), [([0.29, 0.31], [0]), ([0.3, 1.0], [])])
def test_a_codebook_that_is_hardly_used_is_a_warning(use, warned, caplog) -> None:
    with caplog.at_level(logging.WARNING):
        warn_of_low_use(use)
    assert [f"level {level} uses 29 % of its codes" in caplog.text for level in warned] == [True] * len(warned)
    assert len(caplog.records) == len(warned)


def test_cached_codes_are_fresh_ones_and_follow_the_codec(corpus, codec, tmp_path) -> None:
    cache = CodeCache(tmp_path, corpus, codec)
    for index in (0, 5):
        fresh = fresh_codes(codec, corpus, index)
        assert np.array_equal(cache.codes(index), fresh) and fresh.shape[1] == 2 * corpus.frames[index]
        assert np.array_equal(cache.codes(index, 4, 10), fresh[:, 4:14])
    stamp = (tmp_path / "codes.npy").stat().st_mtime_ns
    CodeCache(tmp_path, corpus, codec)
    assert (tmp_path / "codes.npy").stat().st_mtime_ns == stamp
    other = system_of(corpus, config_of(codec)).trained.eval()
    assert codec_key(other) != codec_key(codec)
    replaced = CodeCache(tmp_path, corpus, other)
    assert not np.array_equal(replaced.codes(0), fresh_codes(codec, corpus, 0))
    codes = np.concatenate([replaced.codes(i) for i in range(len(corpus.utterances))], axis=1)
    assert replaced.use == pytest.approx(codebook_use(torch.from_numpy(codes)[None], 32).tolist(), abs=1e-4)


def test_other_audio_of_the_same_durations_gets_other_codes_and_another_codec(corpus, config, codec, tmp_path) -> None:
    other = copy.copy(corpus)
    other.audio = lambda index: corpus.audio(index)[::-1].copy()
    other.audio_sha256 = "that of the other audio"
    before = CodeCache(tmp_path, corpus, codec).codes(0)
    assert not np.array_equal(CodeCache(tmp_path, other, codec).codes(0), before)
    assert run_key(other, config) != run_key(corpus, config)


def fresh_codes(codec, corpus, index: int) -> np.ndarray:
    return codec.encode(torch.from_numpy(corpus.audio(index))[None])[0].numpy()


def config_of(codec):
    from voiceclone.base_training.config import TrainConfig

    return TrainConfig(preset="tiny", steps=1, seed=7)


def test_a_codecs_folder_is_read_strictly(codec, tmp_path) -> None:
    save_codec(codec, tmp_path, {"steps": 3})
    assert codec_key(load_codec(tmp_path)) == codec_key(codec)
    with pytest.raises(UsageError, match="holds no codec"):
        load_codec(tmp_path / "none")
    (tmp_path / "codec.json").write_text('{"config": {"chanels": 3}}')
    with pytest.raises(VoicecloneError, match="unknown keys chanels"):
        load_codec(tmp_path)
    (tmp_path / "codec.json").write_text("{")
    with pytest.raises(VoicecloneError, match="is not a JSON file"):
        load_codec(tmp_path)


def test_an_own_codec_is_trained_once(corpus, config, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("voiceclone.base_training.mamba_conv.codec_recipe.load_recognizer", lambda: None)
    part = codec_config_of(config, 16, 0.5)
    assert part.steps == 4 and part.system == "codec"
    run = TrainingRun(corpus=corpus, config=part, out=tmp_path)
    first = own_codec(run)
    assert first.codebook_size == 16 and first.quantizer.codebooks.shape == (4, 16, TINY.latent)
    stamp = (tmp_path / "codec" / "codec.safetensors").stat().st_mtime_ns
    assert codec_key(own_codec(run)) == codec_key(first)
    assert (tmp_path / "codec" / "codec.safetensors").stat().st_mtime_ns == stamp
    other = dataclasses.replace(part, seed=3)
    assert run_key(corpus, other) != run_key(corpus, part)
    assert codec_key(own_codec(dataclasses.replace(run, config=other))) != codec_key(first)


def test_a_hop_that_does_not_fit_is_refused(corpus, config) -> None:
    with pytest.raises(ValueError, match="does not divide"):
        CodecSystem(corpus, config, codec=CodecConfig(hop=350, window=1400))
