"""A small corpus of two eSpeak-NG speakers (of tests/base_training), and a codec trained for a few steps on it."""

import dataclasses

import pytest
import torch

from voiceclone.base_training.config import DEFAULT_WEIGHTS, TrainConfig
from voiceclone.base_training.corpus import prepare_corpus
from voiceclone.base_training.mamba_conv.codec_system import CodecSystem
from voiceclone.base_training.mamba_conv.settings import CODEC_WEIGHTS, WEIGHTS, CodecTraining
from voiceclone.base_training.trainer import Trainer
from voiceclone.data.rows import read_rows
from voiceclone.models.mamba_conv.config import presets
from voiceclone.models.presets import full_config

CONFIG = TrainConfig(
    preset="tiny", steps=8, warmup_steps=2, crop_frames=16, crop_batch=3, prosody_batch=4, prosody_frames=40,
    log_every=4, adversarial_share=0.5, learning_rate=3e-3,
    weights=tuple({**DEFAULT_WEIGHTS, **WEIGHTS, **CODEC_WEIGHTS}.items()),
)  # fmt: skip


@pytest.fixture(scope="session")
def config():
    return CONFIG


@pytest.fixture(scope="session")
def corpus(spoken, tmp_path_factory):
    """With the whole vocabulary."""
    return prepare_corpus(read_rows([spoken / "train"]), tmp_path_factory.mktemp("cache"), full_config()["vocab"])


@pytest.fixture(scope="session")
def codec(corpus, tmp_path_factory):
    """Frozen."""
    settings = dataclasses.replace(CONFIG, steps=30, adversarial_share=1.0)
    system = CodecSystem(corpus, settings, codec=presets("tiny")[0], training=CodecTraining(kmeans_batches=6))
    Trainer(system, tmp_path_factory.mktemp("codec")).run()
    with torch.no_grad():
        return system.averaged.eval().requires_grad_(False)
