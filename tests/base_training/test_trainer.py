"""Training end to end with the tiny preset: the loss falls, a resumed run is identical, the exported base speaks."""

import copy
import dataclasses
import json
import re

import numpy as np
import pytest
import torch
from support import check_packing_again

from voiceclone.base_training.batches import BatchMaker
from voiceclone.base_training.config import TrainConfig
from voiceclone.base_training.export import FILES
from voiceclone.base_training.facts import BaseFacts, read_facts
from voiceclone.base_training.following import UTTERANCE_SECONDS, VOICE_SECONDS, Following
from voiceclone.base_training.recipe import stages_line, train_and_pack
from voiceclone.base_training.recorded import RecordedSystem
from voiceclone.base_training.trainer import CHECKPOINT, Trainer, read_checkpoint
from voiceclone.base_training.training_run import TrainingRun
from voiceclone.base_training.training_tracker import TrainingTracker
from voiceclone.bases.base import load_base
from voiceclone.cli import main as command_line
from voiceclone.errors import UsageError
from voiceclone.files import write_json
from voiceclone.models.checkpoint import save_state
from voiceclone.models.presets import preset
from voiceclone.tracking.trackers import Trackers

CONFIG = TrainConfig(
    preset="tiny", steps=8, warmup_steps=2, crop_frames=16, crop_batch=3, long_batch=2, prosody_batch=3,
    prosody_frames=40, log_every=4, acoustic_share=0.25, adversarial_share=0.5, learning_rate=3e-3,
)  # fmt: skip


def trained(corpus, out, **changes):
    trainer = Trainer(RecordedSystem(corpus, dataclasses.replace(CONFIG, **changes)), out)
    trainer.run()
    return trainer


def test_loss_falls(corpus, tmp_path):
    history = trained(corpus, tmp_path, steps=30, adversarial_share=1.0, log_every=5).history
    assert history[-1]["mel"] < 0.7 * history[0]["mel"]
    assert history[-1]["duration_bins"] < history[1]["duration_bins"]


def test_stages_add_their_terms_in_order(corpus, tmp_path):
    first, last = trained(corpus, tmp_path, log_every=2).history[::3]
    assert "duration" not in first
    assert "adversarial" not in first
    assert {"duration", "f0", "energy", "attributes", "adversarial", "discriminator", "feature_match"} <= set(last)


def test_resumed_run_is_equal_bit_for_bit(corpus, tmp_path):
    config = dataclasses.replace(CONFIG, steps=4)
    whole = trained(corpus, tmp_path / "whole", steps=4)
    part = Trainer(RecordedSystem(corpus, config), tmp_path / "part")
    part.system.trained.train()
    for _ in range(3):
        with torch.random.fork_rng():
            torch.manual_seed(CONFIG.seed * 1_000_003 + part.step)
            part.train_step()
        part.step += 1
    part.save()
    torch.manual_seed(99)  # the result must not depend on the caller's random state
    resumed = Trainer(RecordedSystem(corpus, config), tmp_path / "part")
    resumed.resume()
    resumed.run()
    ours, theirs = resumed.system.averaged.state_dict(), whole.system.averaged.state_dict()
    assert resumed.step == whole.step == 4
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)


def test_one_short_utterance_does_not_shorten_the_crops_of_others(corpus):
    shortened = copy.copy(corpus)
    shortened.frames = corpus.frames.copy()
    for indices in corpus.by_speaker.values():
        shortened.frames[indices[:2]] = 5  # at least one of them is trained on
    batches = BatchMaker(shortened, CONFIG)
    assert any(shortened.frames[i] == 5 for indices in batches.training.values() for i in indices)
    longest = int(np.median(shortened.frames[batches._by_length]))
    assert longest >= 16
    assert all(batches.acoustic(step).f0.shape[1] >= 2 * 16 for step in range(40))


def test_callers_random_state_is_kept(corpus, tmp_path):
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    trained(corpus, tmp_path, steps=2)
    assert torch.equal(torch.rand(3), expected)


def test_a_non_finite_gradient_leaves_the_weights_unchanged(corpus, tmp_path):
    trainer = Trainer(RecordedSystem(corpus, CONFIG), tmp_path)
    before = {key: value.clone() for key, value in trainer.system.trained.named_parameters()}
    for parameter in trainer.system.trained.parameters():
        parameter.grad = torch.full_like(parameter, float("nan"))
    assert not trainer._update(trainer.system.trained, trainer.optimizer)
    assert all(torch.equal(value, before[key]) for key, value in trainer.system.trained.named_parameters())


def test_averaged_encoders_keep_the_scale_of_spectral_norm(corpus, tmp_path):
    trainer = trained(corpus, tmp_path, steps=4)
    vectors = [v for k, v in trainer.system.averaged.encoders.named_buffers() if k.endswith(("weight_u", "weight_v"))]
    assert vectors
    assert all(abs(float(vector.norm()) - 1) < 1e-3 for vector in vectors)
    mel = torch.from_numpy(corpus.mel(0, 0, 60)[None].copy())
    with torch.no_grad():
        ours, theirs = (t.encoders.eval()(mel).norm() for t in (trainer.system.averaged, trainer.system.trained))
    assert 0.7 < float(ours / theirs) < 1.4


@pytest.mark.parametrize("seed", range(6))
def test_the_style_of_a_held_out_utterance_is_that_of_others(corpus, seed):
    batches = BatchMaker(corpus, dataclasses.replace(CONFIG, seed=seed))
    sources = []
    batches.style_mel = lambda source, start, wanted: sources.append(source) or np.zeros((80, 2 * wanted), np.float32)
    for index in batches.validation:
        batches.fixed([index], frames=40)
    assert len(sources) == len(batches.validation) and not set(sources) & set(batches.validation)
    again = list(sources)
    for index in batches.validation:
        batches.fixed([index], frames=40)
    assert sources == 2 * again


def test_the_style_samplers_reference_is_another_utterance(corpus):
    batches = BatchMaker(corpus, CONFIG)
    index = next(iter(batches.training.values()))[0]
    assert all(batches.style_cut(index, np.random.default_rng(seed))[0] != index for seed in range(100))


def test_a_boosted_speaker_is_in_more_of_the_predictors_batches(corpus):
    def share(boost: dict[str, float] | None) -> float:
        batches = BatchMaker(corpus, dataclasses.replace(CONFIG, prosody_batch=1), speaker_boost=boost)
        picked = [batches.prosody(step).picked[0] for step in range(150)]
        return float(np.mean([corpus.utterances[index].speaker == corpus.speakers[0] for index in picked]))

    assert share({corpus.speakers[0]: 9.0}) > 0.75 > share(None)


def test_a_run_is_not_resumed_with_what_it_held_out(corpus, tmp_path):
    Trainer(RecordedSystem(corpus, dataclasses.replace(CONFIG, steps=1)), tmp_path).run()
    kept = BatchMaker(corpus, CONFIG).validation
    other = next(s for s in range(1, 50) if BatchMaker(corpus, dataclasses.replace(CONFIG, seed=s)).validation != kept)
    with pytest.raises(UsageError, match="other utterances held out: give the data and the seed"):
        Trainer(RecordedSystem(corpus, dataclasses.replace(CONFIG, seed=other)), tmp_path).resume()
    Trainer(RecordedSystem(corpus, dataclasses.replace(CONFIG, steps=2)), tmp_path).resume()


def test_validation_utterances_are_in_no_batch(corpus):
    batches = BatchMaker(corpus, CONFIG)
    assert len(batches.validation) == 2
    used = {index for indices in batches.training.values() for index in indices} | set(batches._by_length.tolist())
    assert used.isdisjoint(batches.validation)


def test_packed_base_loads_and_speaks_in_kpipeline(corpus, unseen, tmp_path, monkeypatch):
    monkeypatch.setattr("voiceclone.base_training.recipe.resemblyzer_embed", lambda: None)
    facts = BaseFacts(name="test", data=("eSpeak-NG speech",))
    run = TrainingRun(
        corpus=corpus, config=dataclasses.replace(CONFIG, steps=3), out=tmp_path, facts=facts, surrogate_share=0.7,
        voices=2, kept_out=unseen,
    )  # fmt: skip
    folder = train_and_pack(run)
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    card = (folder / "README.md").read_text()
    assert unseen.speakers[0] in card
    assert "oracle" in card
    assert "duration_frames" in card
    # The card states only what was given: no licence, and nothing about whether the speech is recorded.
    assert "license: unknown" in card and "\nnot stated. The vocabulary" in card
    assert "| speakers |" in card and "synthesised" not in card and "recorded speakers" not in card
    base = load_base(folder)
    assert sorted(base.stock_voices) == corpus.speakers
    own, second = base.own_encoders.state_dict(), base.style_encoders.state_dict()
    assert not any(torch.equal(own[key], second[key]) for key in own if key.endswith("unshared.weight"))
    name = corpus.speakers[0]
    pack = base.stock_voices[name].tensor
    assert pack.shape == (510, 1, 256)
    assert not torch.equal(pack[5], pack[150])
    result = next(iter(base.pipeline("a")("Hello there.", voice=name)))
    assert result.audio.shape[0] > 2400
    assert torch.isfinite(result.audio).all()


def test_command_line_trains_resumes_and_refuses_to_overwrite(spoken, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("voiceclone.base_training.recipe.resemblyzer_embed", lambda: None)
    command = ["train-base", "--data", str(spoken / "train"), "--preset", "tiny", "--out", str(tmp_path)]
    assert command_line.main([*command, "--steps", "2", "--surrogate-share", "0.5", "--voices", "2"]) == 0
    assert read_checkpoint(tmp_path)["step"] == 2
    said = capsys.readouterr().err
    for stage in ("Computing features: ", "Training: 2/2 steps", "Surrogate encoders: 1/1 step",
                  "Making voices: ", "Measuring speakers: "):  # fmt: skip
        assert re.search(f"^{stage}.* in .*/", said, re.M), stage
    command.append("--quiet")
    assert command_line.main([*command, "--steps", "3"]) == 2
    assert "--resume" in capsys.readouterr().err
    assert command_line.main([*command, "--steps", "3", "--resume", "--voices", "2"]) == 0
    assert read_checkpoint(tmp_path)["step"] == 3
    assert json.loads((tmp_path / "train_config.json").read_text())["steps"] == 3
    (tmp_path / "base" / "README.md").unlink()
    assert command_line.main([*command, "--pack-only", "--voices", "1"]) == 0
    assert read_checkpoint(tmp_path)["step"] == 3
    assert len(load_base(tmp_path / "base").stock_voices) == 1
    check_packing_again(tmp_path, [*command, "--pack-only"], "voiceclone.base_training.export.kokoro_card", monkeypatch)
    state = read_checkpoint(tmp_path)
    for older in ({**state, "format": 1}, {name: value for name, value in state.items() if name != "format"}, [state]):
        torch.save(older, tmp_path / CHECKPOINT)
        for flags in (["--steps", "4", "--resume"], ["--pack-only"]):
            assert command_line.main([*command, *flags]) == 2
            assert "is not a checkpoint of this version: train again with --overwrite" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ([], "--steps or --minutes"),
        (["--steps", "2", "--minutes", "1"], "exactly one"),
        (["--steps", "0"], "from 1 to"),
        (["--steps", "2", "--preset", "huge"], "nano, full, tiny"),
        (["--steps", "2", "--boost", "lj"], "SPEAKER=WEIGHT"),
        (["--steps", "2", "--device", "tpu"], "auto, cpu or cuda"),
        (["--steps", "2", "--settings", "none.json"], "not a JSON object"),
        (["--steps", "2", "--resume"], "no such file"),
        (["--steps", "2", "--kept-out", "DATA"], "in the training data too"),
    ],
)
def test_wrong_calls_exit_2_with_one_line(spoken, corpus, tmp_path, capsys, monkeypatch, extra, message):
    extra = [str(spoken / "train") if word == "DATA" else word for word in extra]
    code = command_line.main(["train-base", "--data", str(spoken / "train"), "--out", str(tmp_path), "--quiet", *extra])
    error = capsys.readouterr().err.strip()
    assert code == 2
    assert message in error
    assert len(error.splitlines()) == 1


def test_config_survives_json_and_refuses_unknown_keys():
    assert TrainConfig.from_json(json.loads(json.dumps(CONFIG.to_json()))) == CONFIG
    with pytest.raises(ValueError, match="stpes"):
        TrainConfig.from_json({**CONFIG.to_json(), "stpes": 1})


def test_facts_refuse_unknown_keys(tmp_path):
    (tmp_path / "facts.json").write_text('{"name": "x", "licens": "y"}')
    with pytest.raises(UsageError, match="licens"):
        read_facts(tmp_path / "facts.json")


@pytest.mark.slow
def test_full_preset_trains_two_steps(corpus, tmp_path):
    trainer = trained(corpus, tmp_path, preset="full", steps=2, acoustic_share=0.0, adversarial_share=1.0, crop_batch=1,
                      prosody_batch=2)  # fmt: skip
    assert trainer.step == 2
    assert all(torch.isfinite(value).all() for value in trainer.system.trained.state_dict().values())


class Kept:
    """A tracker that stores the tags it was given."""

    name = notice = "kept"

    def __init__(self) -> None:
        self.tags: list[str] = []

    def scalars(self, values, step) -> None:
        self.tags += values

    def audio(self, tag, samples, step, sample_rate=24_000) -> None:
        assert samples.ndim == 1 and len(samples) > 600
        self.tags.append(tag)

    def image(self, tag, rgb, step) -> None:
        assert rgb.ndim == 3 and rgb.dtype == np.uint8
        self.tags.append(tag)

    def close(self, *, failed=False) -> None:
        pass


def test_trackers_get_numbers_sounds_and_mels(corpus, tmp_path):
    kept = Kept()
    with Trackers([kept]) as trackers:
        trainer = Trainer(RecordedSystem(corpus, CONFIG), tmp_path, tracker=TrainingTracker(trackers))
        trainer.run()
        assert len(trackers) == 1  # it never failed
    assert {"train/mel", "train/learning_rate", "audio/recording", "audio/spoken"} <= set(kept.tags)
    assert kept.tags.count("mel/recording_and_spoken") == 1


def test_a_start_from_a_trained_base_takes_its_weights(corpus, tmp_path):
    trainer = trained(corpus, tmp_path / "first", steps=3)
    save_state(trainer.system.averaged.model, tmp_path / "base" / "model.safetensors")
    save_state(trainer.system.averaged.encoders, tmp_path / "base" / "own_encoders.safetensors")
    write_json(tmp_path / "base" / "config.json", preset("tiny")[0])
    second = Trainer(RecordedSystem(corpus, CONFIG), tmp_path / "second")
    second.initialize_from(tmp_path / "base")
    for ours, theirs in zip(second.system.trained.model.parameters(), trainer.system.averaged.model.parameters()):
        assert torch.equal(ours, theirs)
    assert second.system.prosodic_started and second.init == "base"
    second.run()
    assert read_checkpoint(tmp_path / "second")["init"] == "base"
    with pytest.raises(UsageError, match="not a trained base of preset tiny"):
        Trainer(RecordedSystem(corpus, CONFIG), tmp_path / "third").initialize_from(tmp_path)


def test_what_follows_the_training_is_announced() -> None:
    """And the time left that the training shows includes it."""
    assert "surrogate encoders (18 s), voices, measurement" in stages_line(TrainConfig(minutes=1.0), 0.3)
    assert "surrogate encoders (30 steps), voices" in stages_line(TrainConfig(steps=100), 0.3)
    following = Following(training_share=0.3, voices=4, utterances=10)
    rest = 4 * VOICE_SECONDS + 10 * UTTERANCE_SECONDS
    assert following.after(TrainConfig(minutes=1.0))(0.5) == pytest.approx(18.0 + rest)
    assert following.after(TrainConfig(steps=100))(0.5) == pytest.approx(15.0 + rest)


def test_the_time_left_of_a_recipe_counts_its_own_later_work(corpus, tmp_path, monkeypatch):
    """Surrogate encoders, a voice for every speaker, and the held-out utterances."""
    told = []
    monkeypatch.setattr(Trainer, "run", lambda trainer, following: told.append(following))
    monkeypatch.setattr(
        "voiceclone.base_training.recipe._surrogate_encoders", lambda run, following: told[0] is following
    )
    monkeypatch.setattr("voiceclone.base_training.recipe.pack_kokoro", lambda run, surrogate: run.base)
    train_and_pack(TrainingRun(corpus=corpus, config=CONFIG, out=tmp_path, surrogate_share=0.5))
    held_out = len(RecordedSystem(corpus, CONFIG).batches.validation)
    assert told == [Following(training_share=0.5, voices=len(corpus.speakers), utterances=held_out)] and held_out
