"""The two-stage schedule: which parts are frozen, the predictor's target, and the start of the second stage."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from support import settle

from voiceclone.base_training.config import TrainConfig
from voiceclone.base_training.recorded import RecordedSystem
from voiceclone.base_training.styletts2_settings import StyleTTS2Settings
from voiceclone.errors import VoicecloneError

SETTINGS = StyleTTS2Settings(schedule="two_stage", joint_share=0.7)
CONFIG = TrainConfig(
    preset="tiny", steps=10, crop_frames=16, crop_batch=2, prosody_batch=2, prosody_frames=40, acoustic_share=0.3,
    adversarial_share=1.0, long_every=1000, system_settings=SETTINGS,
)  # fmt: skip


def begun(corpus, progress: float, *, learned: bool = True, **settings) -> RecordedSystem:
    config = dataclasses.replace(CONFIG, system_settings=dataclasses.replace(SETTINGS, **settings))
    system = RecordedSystem(corpus, config)
    settle(system.trained.encoders)
    system.trained.train()
    if learned:
        for mel in (4.0, *[1.0] * 40):
            system.stages.observe(torch.tensor(mel))
    system.begin_step(progress)
    return system


def learning(system: RecordedSystem, progress: float) -> set[str]:
    """Parts that get a gradient in a step."""
    system.losses(2, progress).total.backward()
    return {
        ".".join(name.split(".")[:2])
        for name, parameter in system.trained.named_parameters()
        if parameter.grad is not None and parameter.grad.abs().sum() > 0
    }


def test_the_decoder_is_frozen_in_the_second_stage_and_trained_in_the_third(corpus):
    acoustic = {"model.decoder", "encoders.acoustic", "speaker_head.weight"}
    first = learning(begun(corpus, 0.1), 0.1)
    assert acoustic | {"model.text_encoder"} <= first and "model.predictor" not in first
    second = learning(begun(corpus, 0.5), 0.5)
    assert {"model.predictor", "model.bert", "encoders.prosodic"} <= second
    assert not second & (acoustic | {"model.text_encoder"})
    third = learning(begun(corpus, 0.8), 0.8)
    assert acoustic | {"model.predictor", "encoders.prosodic"} <= third and "model.text_encoder" not in third


def test_before_joint_the_target_is_the_reconstruction(corpus, monkeypatch):
    for progress, reconstructed in ((0.5, True), (0.8, False)):
        system = begun(corpus, progress)
        targets = []
        spectral = system.objective.spectral.forward

        def spy(audio, target, spectral=spectral, targets=targets):
            targets.append(target)
            return spectral(audio, target)

        monkeypatch.setattr(system.objective.spectral, "forward", spy)
        system.losses(2, progress)
        recording = system.batches.acoustic(2).audio
        assert torch.equal(targets[-1], recording) != reconstructed
        assert targets[-1].shape == recording.shape and not targets[-1].requires_grad


def test_the_second_stage_refuses_an_untrained_first_stage(corpus):
    with pytest.raises(VoicecloneError, match="it had no step"):
        begun(corpus, 0.5, learned=False)
    system = begun(corpus, 0.1, learned=False)
    for _ in range(30):
        system.stages.observe(torch.tensor(3.9))
    with pytest.raises(VoicecloneError, match="has not learned to speak .mel distance 3.90, 3.90 at its first step"):
        system.begin_step(0.5)


def test_frozen_parts_do_not_change_in_eval_mode(corpus):
    system = begun(corpus, 0.5)
    before = {name: value.clone() for name, value in system.trained.encoders.acoustic.state_dict().items()}
    system.losses(2, 0.5)
    after = system.trained.encoders.acoustic.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    system.begin_step(0.8)
    assert system.trained.encoders.acoustic.training
    assert all(p.requires_grad for p in system.trained.model.decoder.parameters())
