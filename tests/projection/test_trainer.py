"""Schedule and state of a projection training."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support import write_base

from voiceclone.audio.features import LogMel
from voiceclone.audio.io import read_audio
from voiceclone.bases.base import load_base
from voiceclone.errors import VoicecloneError
from voiceclone.models.frozen_kokoro import FrozenKokoro
from voiceclone.projection.config import ProjectionConfig
from voiceclone.projection.likeness import measure_reference_levels
from voiceclone.projection.objective import Speaker
from voiceclone.projection.preparation import usable
from voiceclone.projection.state import FORMAT, TrainingState, load_checkpoint, save_checkpoint
from voiceclone.projection.student_training import student_trainer
from voiceclone.projection.targets import align_all, prepare_target
from voiceclone.projection.trainer import ProjectionTrainer
from voiceclone.voice.pack import VoicePack


class Silent:
    def step(self, step, values) -> None:
        pass

    def epoch(self, record, trainer) -> None:
        pass


def make(targets, kokoro, profile, voice, *, on_student: bool = False, **settings) -> ProjectionTrainer:
    state = TrainingState(anchor=voice)
    config = ProjectionConfig(**{"crop_frames": 24, **settings})
    return ProjectionTrainer(
        config, state, style=torch.zeros(1, 256), kokoro=kokoro, profile=profile, train=targets[:3],
        validation=targets[3:], on_student=on_student,
    )  # fmt: skip


def test_training_lowers_the_loss(targets, kokoro, profile, voice) -> None:
    trainer = make(targets, kokoro, profile, voice, epochs=6, lr=5e-3)
    before = trainer.validate(voice)["loss"]
    state = trainer.run(Silent(), lambda _: None)
    validated = {record["epoch"]: record["validation"]["loss"] for record in state.history if record["validation"]}
    assert list(validated) == [1, 4, 6]  # every third epoch, and the last
    assert validated[6] < before and validated[1] != pytest.approx(
        before, rel=1e-4
    )  # the trained voice's, not the first
    assert trainer.validate(trainer.base_vector())["loss"] == pytest.approx(validated[6])


def test_the_voice_is_that_of_the_last_epoch_whatever_the_held_out_loss(
    targets, kokoro, profile, voice, monkeypatch
) -> None:
    """A few held-out seconds have their lowest loss by chance: it neither selects an epoch nor ends the training."""
    plain = make(targets, kokoro, profile, voice, epochs=4, validate_every=1)
    torch.testing.assert_close(plain.base_vector(), voice)
    plain.run(Silent(), lambda _: None)
    rising = make(targets, kokoro, profile, voice, epochs=4, validate_every=1)
    losses = iter([1.0, 2.0, 3.0, float("nan")])
    monkeypatch.setattr(rising, "validate", lambda vector: {"loss": next(losses)})
    saved = []
    rising.run(Silent(), lambda state: saved.append(state.epoch))
    assert saved == [1, 2, 3, 4] and torch.equal(rising.base_vector(), plain.base_vector())
    assert (rising.base_vector() - voice).abs().max() > 1e-4


class Loudness(torch.nn.Module):
    """An encoder for which loud and soft are two speakers."""

    name = "loudness"

    def forward(self, audio: torch.Tensor) -> torch.Tensor:
        angle = audio.abs().mean(dim=-1) * 10
        return torch.stack([angle.cos(), angle.sin()], dim=-1)


def test_reference_levels_are_validation_measures(targets, kokoro, profile, voice) -> None:
    trainer = make(targets, kokoro, profile, voice, epochs=1)
    bare = measure_reference_levels(trainer, None)
    assert bare.measure == "loss" and bare.levels == {"initialization": pytest.approx(trainer.validate(voice)["loss"])}
    whole = torch.stack([target.audio[: 24 * 600] for target in targets])
    vector = torch.nn.functional.normalize(Loudness()(whole).mean(0), dim=0)
    trainer.speaker = trainer.validation.speaker = Speaker(encoder=Loudness(), vector=vector)
    stock = VoicePack(voice.expand(510, 1, 256) + 0.3, "stock")
    found = measure_reference_levels(trainer, stock)
    assert (found.measure, found.encoder, found.stock_name) == ("likeness", "loudness", "stock")
    assert found.levels["initialization"] == pytest.approx(1 - trainer.validate(voice)["speaker"])
    assert found.levels["best_stock"] == pytest.approx(1 - trainer.validate(voice + 0.3)["speaker"])
    (crop,) = trainer.validation.middle_crops()
    cut = targets[3].audio[crop.start * 600 : (crop.start + 24) * 600]
    assert found.levels["recordings"] == pytest.approx(float(Loudness()(cut[None])[0] @ vector), abs=1e-5)
    facts = found.as_json({"speaker": 0.25})
    assert facts["clone"] == 0.75 and set(facts) >= {"measure", "encoder", "best_stock", "recordings"}
    assert found.of({"speaker": float("nan")}) is None


@pytest.fixture(scope="module")
def short(dataset_folder, kokoro, voice):
    """A clip of 30 frames; the others have twice as many."""
    audio = read_audio(dataset_folder / "train" / "clip_0.wav")
    middle = len(audio) // 2
    raw = prepare_target("short", "hɛlˈO", audio[middle - 9_000 : middle + 9_000], kokoro)
    return align_all([raw], kokoro, lambda count: voice, LogMel(), seed=0)[0][0]


def test_one_short_clip_does_not_shorten_the_crops_of_all(targets, short, kokoro, profile, voice) -> None:
    trainer = make([targets[0], short, *targets[1:3]], kokoro, profile, voice, epochs=1, crop_frames=48)
    assert short.frames < 48
    assert trainer.crop_frames == trainer.validation_crop_frames == 48
    generator = np.random.default_rng(0)
    drawn = [crop for _ in range(8) for crop in trainer.objective.random_crops(4, generator)]
    assert {crop.clip for crop in drawn} == {0, 2}
    assert "1 of 3 training clips are shorter than a crop" in trainer.crop_notice()
    assert trainer.run(Silent(), lambda _: None).epoch == 1


def test_a_short_held_out_clip_shortens_only_its_own_crop(targets, short, kokoro, profile, voice) -> None:
    trainer = make([*targets[:3], short], kokoro, profile, voice, epochs=1, crop_frames=48)
    assert (trainer.crop_frames, trainer.validation_crop_frames) == (48, short.frames)
    assert trainer.crop_notice() == ""
    assert trainer.run(Silent(), lambda _: None).epoch == 1


def test_crops_are_shorter_where_most_clips_are_and_the_user_is_told(targets, short, kokoro, profile, voice) -> None:
    trainer = make([short, short, *targets[:2]], kokoro, profile, voice, epochs=1, crop_frames=48)
    assert trainer.crop_frames == short.frames
    assert "most of the 3 training clips are short" in trainer.crop_notice()


def test_the_plain_recipe_uses_whole_clips_however_short(targets, kokoro, profile, voice) -> None:
    trainer = make(targets, kokoro, profile, voice, epochs=1, crop_frames=1000, plain=True)
    assert {crop.clip for crop in trainer.objective.middle_crops()} == {0, 1, 2}
    assert trainer.crop_notice() == ""
    assert trainer.run(Silent(), lambda _: None).epoch == 1


def test_a_resumed_training_continues_exactly(targets, kokoro, profile, voice, tmp_path) -> None:
    whole = make(targets, kokoro, profile, voice, epochs=3)
    whole.run(Silent(), lambda state: save_checkpoint(state, {}, tmp_path / f"{state.epoch}.pt"))
    state, _ = load_checkpoint(tmp_path / "2.pt")
    resumed = ProjectionTrainer(
        whole.config, state, style=whole.style, kokoro=kokoro, profile=profile, train=targets[:3],
        validation=targets[3:],
    )  # fmt: skip
    resumed.run(Silent(), lambda _: None)
    assert torch.equal(resumed.base_vector(), whole.base_vector())


def test_the_base_begins_with_the_students_voice(targets, kokoro, profile, voice) -> None:
    first = make(targets, kokoro, profile, voice, epochs=4, finish=2, on_student=True)
    assert first.run(Silent(), lambda _: None).epoch == 2
    second = make(targets, kokoro, profile, voice, epochs=4, finish=2)
    second.begin_at(first.state)
    assert torch.equal(second.base_vector(), first.base_vector()) and second.run(Silent(), lambda _: None).epoch == 4


def test_the_student_trains_on_the_clips_crops_and_weights_of_the_base(
    targets, kokoro, profile, voice, tmp_path
) -> None:
    other = load_base(write_base(tmp_path / "student", seed=5))
    trainer = make(targets, kokoro, profile, voice, epochs=4, finish=2)
    trainer.student = FrozenKokoro(other.kmodel, kokoro.device)
    first = student_trainer(trainer)
    assert (first.last_epoch, trainer.last_epoch) == (2, 4)
    assert first.kokoro.kmodel is other.kmodel and first.state is trainer.state and first.weights == trainer.weights
    drawn = [each.objective.random_crops(4, np.random.default_rng(3)) for each in (first, trainer)]
    assert drawn[0] == drawn[1] and first.validation.middle_crops() == trainer.validation.middle_crops()
    for ours, theirs in zip(first.train_targets, trainer.train_targets, strict=True):
        assert ours.audio is theirs.audio and ours.alignment is theirs.alignment
        assert not torch.equal(ours.text.acoustic_text, theirs.text.acoustic_text)


def test_the_learning_rate_rises_then_falls() -> None:
    config = ProjectionConfig(epochs=100)
    factors = [config.lr_factor(epoch) for epoch in range(100)]
    assert factors[0] < factors[4] == pytest.approx(1.0) and factors[-1] < 0.15
    assert all(a >= b for a, b in zip(factors[4:], factors[5:]))
    assert max(ProjectionConfig(epochs=30).lr_factor(epoch) for epoch in range(30)) == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize(
    "bad",
    [
        {"epochs": -1},
        {"finish": -1},
        {"epochs": 3, "finish": 4},
        {"lr": 0.0},
        {"lr": 2.0},
        {"batch": 0},
        {"validate_every": 0},
    ],
)
def test_invalid_settings_are_refused(bad) -> None:
    with pytest.raises(ValueError):
        ProjectionConfig(**bad)


def test_a_checkpoint_comes_back_as_it_was(tmp_path, targets, kokoro, profile, voice) -> None:
    trainer = make(targets, kokoro, profile, voice, epochs=1)
    state = trainer.run(Silent(), lambda _: None)
    save_checkpoint(state, {"dataset": "x"}, tmp_path / "last.pt")
    found, identity = load_checkpoint(tmp_path / "last.pt")
    assert identity == {"dataset": "x"} and found.epoch == 1
    torch.testing.assert_close(found.anchor, state.anchor)
    for name, value in state.projection.items():
        assert torch.equal(found.projection[name], value)


@pytest.mark.parametrize("content", [b"", b"junk"])
def test_other_files_are_refused_as_checkpoints(tmp_path, content) -> None:
    (tmp_path / "last.pt").write_bytes(content)
    with pytest.raises(VoicecloneError, match="not a checkpoint"):
        load_checkpoint(tmp_path / "last.pt")


def test_a_checkpoint_of_an_earlier_version_is_called_so(tmp_path) -> None:
    torch.save({"format": FORMAT - 1, "identity": {}, "state": {}}, tmp_path / "last.pt")
    with pytest.raises(VoicecloneError, match="earlier version.*overwrite=True"):
        load_checkpoint(tmp_path / "last.pt")


def test_a_state_aligns_its_own_clips_and_no_others(targets, voice) -> None:
    own = {f"train/{target.name}": target.alignment for target in targets[:2]}
    state = TrainingState(anchor=voice, alignments=own, gain=2.0, dropped={f"train/{targets[2].name}": "why"})
    found = usable(targets[:3], "train", state)
    assert [target.alignment for target in found] == list(own.values())
    torch.testing.assert_close(found[0].audio, 2.0 * targets[0].audio)
    assert len(found) == 2 and float((found[0].log_mel - targets[0].log_mel).mean()) > 0
    for split, wrong in (("validation", own), ("train", {f"train/{t.name}": targets[3].alignment for t in targets})):
        with pytest.raises(VoicecloneError, match="does not fit the clip"):
            usable(targets[:1], split, TrainingState(anchor=voice, alignments=wrong))
