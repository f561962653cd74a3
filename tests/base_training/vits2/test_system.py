"""VITS2 training: phases, resume, frozen parts, and learning."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import soundfile
import torch
from torch import Tensor

from voiceclone.base_training.config import TrainConfig
from voiceclone.base_training.corpus import prepare_corpus
from voiceclone.base_training.trainer import Trainer
from voiceclone.base_training.vits2.reference import even_durations
from voiceclone.base_training.vits2.settings import TRAIN_DEFAULTS
from voiceclone.base_training.vits2.system import Vits2System
from voiceclone.data.rows import read_rows
from voiceclone.errors import UsageError
from voiceclone.models.presets import full_config
from voiceclone.models.vits2.config import FLOWS
from voiceclone.models.vits2.synthesizer import search_alignment

PHASES = {"given_share": 0.25, "durations_share": 0.25, "mas_noise_share": 0.5}


def step_by_step(trainer: Trainer, steps: int) -> None:
    """As ``run`` does it, without checkpoints."""
    trainer.system.trained.train()
    trainer.system.discriminators.train()
    for _ in range(steps):
        with trainer.process_group.seeded(trainer.config.seed * 1_000_003 + trainer.step):
            trainer.train_step()
        trainer.step += 1


def test_phases_add_their_terms_in_order(corpus, configured, tmp_path) -> None:
    trainer = Trainer(Vits2System(corpus, configured(PHASES, log_every=2, adversarial_share=0.5)), tmp_path)
    trainer.run()
    first, _, third, last = trainer.history
    assert {"kl", "mel", "duration", "mas_within_50ms"} <= set(first) and "adversarial" not in first
    assert {"adversarial", "feature_match", "discriminator", "kl"} <= set(third)
    assert {"duration", "duration_adversarial", "discriminator", "mas_within_25ms"} <= set(last)
    assert "kl" not in last and "mel" not in last
    settings = trainer.system.settings
    assert [settings.phase(p) for p in (0.0, 0.2, 0.25, 0.7, 0.75, 1.0)] == (
        ["given", "given", "joint", "joint", "durations", "durations"]
    )
    assert settings.noise_at(0.0) == 0.01 and settings.noise_at(0.25) == 0.005 and settings.noise_at(0.5) == 0.0


def test_the_last_phase_changes_the_durations_alone(corpus, configured, tmp_path) -> None:
    """The joint phase before leaves momenta in the optimizers, which must not move anything else either."""
    settings = {"durations_share": 0.625, "given_share": 0.0}
    trainer = Trainer(Vits2System(corpus, configured(settings, adversarial_share=0.0)), tmp_path)
    system = trainer.system
    step_by_step(trainer, 3)
    before = {name: value.clone() for name, value in system.trained.state_dict().items()}
    audio = {name: value.clone() for name, value in system.discriminators["audio"].state_dict().items()}
    discriminator = {name: value.clone() for name, value in system.discriminators["durations"].state_dict().items()}
    assert system.settings.phase(trainer.progress) == "durations"
    step_by_step(trainer, 5)
    changed = {name for name, value in system.trained.state_dict().items() if not torch.equal(value, before[name])}
    assert changed and all(name.startswith("durations.") for name in changed)
    assert all(torch.equal(value, audio[n]) for n, value in system.discriminators["audio"].state_dict().items())
    assert any(not torch.equal(v, discriminator[n]) for n, v in system.discriminators["durations"].state_dict().items())


def test_bfloat16_changes_the_losses_by_rounding_only(corpus, configured) -> None:
    found, kept = [], []
    for bfloat16 in (False, True):
        torch.manual_seed(0)
        system = Vits2System(corpus, configured(adversarial_share=0.0, discriminator_every=1, bfloat16=bfloat16))
        system.speed_up()
        torch.manual_seed(1)
        losses = system.losses(1, 0.5)
        losses.total.backward()
        assert losses.discriminate is not None
        found.append({**losses.terms, "discriminator": losses.discriminate()})
        kept.append(system.trained.decoder(torch.ones(1, system.model.channels, 4), torch.zeros(1, 8, 1)))
    assert found[0].keys() == found[1].keys()
    for name in set(found[0]) - {"mas_within_25ms", "mas_within_50ms"}:
        first, second = (float(terms[name].detach()) for terms in found)
        assert second == pytest.approx(first, rel=0.05, abs=0.02), name
    assert any(bool(found[0][name] != found[1][name]) for name in found[0])
    assert kept[1].dtype == torch.float32 and all(v.dtype == torch.float32 for v in system.trained.parameters())


@pytest.mark.parametrize("discriminator", ["conv", "lstm", "none"])
def test_a_resumed_run_is_equal_bit_for_bit(corpus, configured, tmp_path, discriminator: str) -> None:
    config = configured(
        {**PHASES, "duration_discriminator": discriminator}, adversarial_share=0.5 if discriminator == "conv" else 1.0
    )
    whole = Trainer(Vits2System(corpus, config), tmp_path / "whole")
    whole.run()
    part = Trainer(Vits2System(corpus, config), tmp_path / "part")
    step_by_step(part, 5 if discriminator != "lstm" else 7)  # within the joint and within the last phase
    part.save()
    torch.manual_seed(99)  # the result must not depend on the caller's random state
    resumed = Trainer(Vits2System(corpus, config), tmp_path / "part")
    resumed.resume()
    resumed.run()
    ours, theirs = resumed.system.averaged.state_dict(), whole.system.averaged.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_another_config_is_not_resumed(corpus, configured, tmp_path) -> None:
    trainer = Trainer(Vits2System(corpus, configured()), tmp_path)
    trainer.save()
    for settings, values in (({"flow": "fft"}, {}), ({"duration_discriminator": "conv"}, {}), ({"sdp": True}, {})):
        other = Trainer(Vits2System(corpus, configured(settings, **values)), tmp_path)
        with pytest.raises(UsageError, match="another preset, system or settings"):
            other.resume()
    longer = Trainer(Vits2System(corpus, configured(steps=20)), tmp_path)
    longer.resume()  # only longer


@pytest.mark.parametrize("flow", FLOWS)
def test_every_flow_trains(corpus, configured, tmp_path, flow: str) -> None:
    trainer = Trainer(Vits2System(corpus, configured({"flow": flow, "durations_share": 0.0}, steps=2)), tmp_path)
    trainer.run()
    assert trainer.bad_steps == 0 and trainer.history[-1]["kl"] > 0


@pytest.mark.parametrize(
    "settings",
    [
        {"sdp": True}, {"decoder": "istft"}, {"decoder": "vocos"}, {"posterior": "linear"}, {"add_blank": True},
        {"speaker_encoder": False}, {"mas_from_start": True},
    ],
)  # fmt: skip
def test_every_part_that_can_be_chosen_trains(corpus, configured, tmp_path, settings) -> None:
    trainer = Trainer(Vits2System(corpus, configured(settings, steps=2, adversarial_share=1.0)), tmp_path)
    trainer.run()
    assert trainer.bad_steps == 0
    assert trainer.system.preview() is not None


def test_one_speaker_has_no_embedding(corpus, configured, tmp_path) -> None:

    one = copy.copy(corpus)
    speaker = corpus.speakers[0]
    keep = corpus.by_speaker[speaker]
    one.utterances = [corpus.utterances[i] for i in keep]
    one.frames = corpus.frames[keep]
    one._part_of, one._row_in_part = [corpus._part_of[i] for i in keep], [corpus._row_in_part[i] for i in keep]
    one.speakers, one.by_speaker = [speaker], {speaker: list(range(len(keep)))}
    trainer = Trainer(Vits2System(one, configured(steps=2)), tmp_path)
    assert trainer.system.trained.speakers is None
    trainer.run()
    assert trainer.bad_steps == 0


def test_the_search_is_without_noise_in_evaluation_and_late_in_the_run(corpus, configured, monkeypatch) -> None:
    seen: list[float] = []
    module = "voiceclone.base_training.vits2.system"

    def watched(posterior, prior, *, noise: float = 0.0) -> Tensor:
        seen.append(noise)
        return search_alignment(posterior, prior, noise=noise)

    monkeypatch.setattr(f"{module}.search_alignment", watched)
    system = Vits2System(corpus, configured(PHASES))
    for progress in (0.0, 0.3, 0.6, 0.9):
        system.begin_step(progress)
        system.losses(0, progress)
    system.preview()
    system.pictures()
    assert seen == [pytest.approx(0.01), pytest.approx(0.004), 0.0, 0.0, 0.0]


def test_a_clip_shorter_than_a_crop_trains(spoken, configured, tmp_path) -> None:
    """The crop is as long as the shortest row, so that one word among sentences is no obstacle."""
    rows = read_rows([spoken / "train"])[:3]
    audio, rate = soundfile.read(rows[0].path)
    soundfile.write(tmp_path / "word.wav", audio[: int(0.1 * rate)], rate)
    word = replace(rows[0], path=tmp_path / "word.wav", phonemes="a", durations=None)
    corpus = prepare_corpus(
        [word, *rows], tmp_path / "cache", full_config()["vocab"], align=even_durations, aligned_by="even"
    )
    config = configured({"durations_share": 0.0}, steps=1, crop_batch=4, adversarial_share=0.0)
    trainer = Trainer(Vits2System(corpus, config), tmp_path / "run")
    assert trainer.system.batches.whole(0).crop_frames == 8 < trainer.system.model.crop_frames
    trainer.run()
    assert trainer.bad_steps == 0 and {"mel", "adversarial", "discriminator"} <= set(trainer.history[-1])


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_two_utterances_are_overfitted(corpus, tmp_path: Path, seed: int) -> None:
    """With the default preset the mel distance has halved after 300 steps, and the search finds most of the boundaries.

    They are given to the end, because two utterances do not determine them: an alignment that only the search has found
    can be another one that fits as well.
    """
    config = TrainConfig.from_json(
        {
            **TRAIN_DEFAULTS, "system": "vits2", "system_settings": {"given_share": 1.0, "durations_share": 0.0},
            "steps": 300, "seed": seed, "crop_batch": 3, "warmup_steps": 50, "adversarial_share": 1.0, "log_every": 10,
        }
    )  # fmt: skip
    system = Vits2System(corpus, config)
    system.batches._by_length, system.batches._weights = system.batches._by_length[:2], system.batches._weights[:2]
    trainer = Trainer(system, tmp_path)
    trainer.run()
    first, last = trainer.history[0], trainer.history[-1]
    assert last["mel"] < 0.5 * first["mel"]
    assert last["mas_within_50ms"] > 0.8
