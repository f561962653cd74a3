"""Every optional part, trained with the tiny preset: its loss terms appear, and a resumed run is identical."""

from __future__ import annotations

import copy
import dataclasses
import functools
import json

import pytest
import soundfile
import torch
from support import settle

from voiceclone.base_training.config import TrainConfig
from voiceclone.base_training.recorded import RecordedSystem
from voiceclone.base_training.speed import speed_up_vocoder
from voiceclone.base_training.styletts2_settings import StyleTTS2Settings
from voiceclone.base_training.trainer import Trainer
from voiceclone.bases.base import load_base
from voiceclone.cli import main as command_line
from voiceclone.distributed import ProcessGroup
from voiceclone.nets.speech_features import SpeechFeatures

CONFIG = TrainConfig(
    preset="tiny", steps=5, warmup_steps=2, crop_frames=16, crop_batch=3, long_batch=2, prosody_batch=3,
    prosody_frames=40, log_every=1, acoustic_share=0.25, adversarial_share=0.5, learning_rate=3e-3,
)  # fmt: skip
PHASES = {
    "diffusion": (
        {"diffusion": True, "diffusion_share": 0.25, "diffusion_every": 1, "style_sample_every": 2},
        {"diffusion", "style_sample"},
    ),
    "hifigan": (
        {"decoder": "hifigan", "discriminators": "full", "tprls": True, "augmentation": "styletts2"},
        {"mel", "adversarial", "feature_match", "discriminator", "f0"},
    ),
    "slm": (
        {"slm": "whisper", "slm_share": 0.5, "slm_every": 1, "slm_max_duration_error": 1e9, "slm_frames": (16, 20),
         "diffusion": True, "diffusion_share": 0.3, "diffusion_every": 1},
        {"slm", "slm_discriminator", "slm_features", "diffusion"},
    ),
    "two_stage": (
        {"schedule": "two_stage", "joint_share": 0.7, "stage_one_fall": 9.0},
        {"mel", "joint_mel", "f0", "duration", "adversarial"},
    ),
    "aligner": (
        {"aligner": True, "aligner_share": 0.2, "aligner_pretraining": 2},
        {"mel", "mono", "s2s", "duration"},
    ),
}  # fmt: skip


class Hearing(SpeechFeatures):
    """A stand-in for a speech model: two layers of filters."""

    layers, width = 2, 8

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.register_buffer("filters", 0.1 * torch.randn(16, 1, 320, generator=generator), persistent=False)

    def hidden_states(self, audio: torch.Tensor) -> torch.Tensor:
        states = torch.tanh(torch.nn.functional.conv1d(audio[:, None], self.filters, stride=320))
        return states.unflatten(1, (self.layers, self.width))


@pytest.fixture(autouse=True)
def hearing(monkeypatch):
    monkeypatch.setattr("voiceclone.base_training.recorded.load_speech_model", lambda kind: Hearing())


def made(corpus, out, settings, **changes) -> Trainer:
    config = dataclasses.replace(CONFIG, system_settings=StyleTTS2Settings(**settings), **changes)
    return Trainer(RecordedSystem(corpus, config), out)


def run_to(trainer: Trainer, step: int) -> set[str]:
    """As ``run``, but only to ``step``; returns the names of the loss terms."""
    trainer.system.trained.train()
    terms: set[str] = set()
    while trainer.step < step:
        with torch.random.fork_rng():
            torch.manual_seed(trainer.config.seed * 1_000_003 + trainer.step)
            terms |= trainer.train_step().keys()
        trainer.step += 1
    return terms


def flat(state, prefix=""):
    """All tensors and numbers of nested dicts and lists, by path."""
    items = state.items() if isinstance(state, dict) else enumerate(state) if isinstance(state, list | tuple) else None
    if items is None:
        return {prefix: state}
    return {name: value for key, part in items for name, value in flat(part, f"{prefix}/{key}").items()}


def assert_same(ours, theirs):
    ours, theirs = flat(ours), flat(theirs)
    assert ours.keys() == theirs.keys()
    different = [
        n for n, v in ours.items() if not (torch.equal(v, theirs[n]) if torch.is_tensor(v) else v == theirs[n])
    ]
    assert not different


@pytest.mark.parametrize("name", PHASES)
def test_every_phase_has_its_terms_and_resumes_bit_for_bit(corpus, tmp_path, name):
    settings, terms = PHASES[name]
    whole = made(corpus, tmp_path, settings)
    seen = run_to(whole, 3)
    whole.save()
    seen |= run_to(whole, CONFIG.steps)
    assert terms <= seen
    resumed = made(corpus, tmp_path, settings)
    resumed.resume()
    torch.manual_seed(99)  # the result must not depend on the caller's random state
    run_to(resumed, CONFIG.steps)
    assert_same(*(
        {"own": t.system.state(), "trained": t.system.trained.state_dict(), "averaged": t.system.averaged.state_dict(),
         "discriminators": t.system.discriminators.state_dict(), "optimizer": t.optimizer.state_dict()}
        for t in (whole, resumed)
    ))  # fmt: skip


def test_everything_is_off_by_default(corpus, tmp_path):
    system = RecordedSystem(corpus, CONFIG)
    assert system.train_beside(7, 0.9, None) == {} and not system.side_modules


def test_the_sampler_gives_the_generator_no_gradient(corpus, tmp_path):
    trainer = made(corpus, tmp_path, PHASES["diffusion"][0])
    system = trainer.system
    settle(system.averaged.encoders)
    before = copy.deepcopy({name: part.state_dict() for name, part in
                            (("trained", system.trained), ("averaged", system.averaged))})  # fmt: skip
    weights = copy.deepcopy(system.diffusion.part.module.state_dict())
    assert system.train_beside(0, 0.9, trainer.optimizer)
    assert_same({"trained": system.trained.state_dict(), "averaged": system.averaged.state_dict()}, before)
    assert not torch.equal(system.diffusion.part.module.denoiser.out.weight, weights["denoiser.out.weight"])


def test_text_dropout_masks_its_share_of_the_rows_and_guidance_learns(corpus, tmp_path):
    settings = {**PHASES["diffusion"][0], "diffusion_share": 0.0, "text_dropout": 0.5, "style_sample_every": 1000}
    trainer = made(corpus, tmp_path, settings)
    system = trainer.system
    settle(system.averaged.encoders)
    torch.manual_seed(0)
    before = system.diffusion.part.module.no_text.weight.clone()
    for step in range(1, 21):
        system.diffusion.part.steps = step  # so that no sample is drawn, whose gradient would reach them as well
        system.diffusion.step(step)
    rows = 20 * min(system.config.styletts2.diffusion_batch, len(system.batches._by_length))
    assert 0.35 * rows < system.diffusion.masked_rows < 0.65 * rows
    assert not torch.equal(system.diffusion.part.module.no_text.weight, before)
    assert system.diffusion.part.module.sigma_data != 0.2


def test_the_slm_loss_trains_predictor_and_sampler_only(corpus, tmp_path):
    settings = {**PHASES["slm"][0], "style_sample_every": 1000}
    trainer = made(corpus, tmp_path, settings)
    system = trainer.system
    settle(system.averaged.encoders)
    system.trained.train()
    system.slm.duration_error = 0.0
    system.diffusion.part.steps = 1  # so that it counts as trained
    for group in trainer.optimizer.param_groups:
        group["lr"] = 1e-3
    kept = copy.deepcopy(
        {"trained": system.trained.state_dict(), "averaged": system.averaged.state_dict(),
         "sampler": system.diffusion.part.module.state_dict()}
    )  # fmt: skip
    torch.manual_seed(0)
    for step in range(4):  # both kinds of styles are drawn
        assert {"slm"} <= system.slm.step(step, trainer.optimizer).keys()
    assert system.slm.steps == 4 and system.slm.head.steps == 2
    now = system.trained.state_dict()
    changed = {name.split(".")[1] for name, value in now.items() if not torch.equal(value, kept["trained"][name])}
    assert changed == {"bert", "bert_encoder", "predictor"}
    assert_same(system.averaged.state_dict(), kept["averaged"])
    assert not torch.equal(system.diffusion.part.module.denoiser.out.weight, kept["sampler"]["denoiser.out.weight"])
    assert all(p.requires_grad for p in system.trained.parameters())


def test_a_process_without_rows_takes_part_in_every_sum(corpus, tmp_path, monkeypatch):
    """Two rows for three processes: the gradients of the third are 0, and the others would wait for it."""
    summed = []
    monkeypatch.setattr(
        ProcessGroup, "all_reduce", lambda group, value: summed.append((group.rank, value.shape)) or value.detach()
    )
    for rank in (0, 2):
        group = ProcessGroup(rank=rank, world_size=3)
        config = dataclasses.replace(CONFIG, system_settings=StyleTTS2Settings(**PHASES["slm"][0]))
        trainer = Trainer(RecordedSystem(corpus, config, process_group=group), tmp_path)
        system = trainer.system
        settle(system.averaged.encoders)
        system.trained.train()
        system.slm.duration_error = 0.0
        system.diffusion.part.steps = 1  # so that it counts as trained
        torch.manual_seed(0)
        for step in range(4):  # both kinds of styles are drawn
            system.slm.step(step, trainer.optimizer)
        assert system.diffusion.part.steps > 1
    ours, others = ([shape for rank, shape in summed if rank == wanted] for wanted in (0, 2))
    assert ours == others


def test_the_slm_loss_compiles_nothing(corpus, tmp_path, monkeypatch):
    """A compiled vocoder would be compiled again for every new length of its crops."""
    compiled = []

    def backend(graph, inputs):
        compiled.append(graph)
        return graph.forward

    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend=backend))
    trainer = made(corpus, tmp_path, PHASES["slm"][0])
    system = trainer.system
    speed_up_vocoder(system.trained.model, compiled=True, bfloat16=False)
    system.trained.train()
    system.slm.duration_error = 0.0
    assert "slm" in system.slm.step(0, trainer.optimizer) and not compiled
    system.losses(1, 0.6)
    assert compiled


def test_the_slm_loss_is_skipped_with_a_warning_until_durations_are_learned(corpus, tmp_path, caplog):
    trainer = made(corpus, tmp_path, {**PHASES["slm"][0], "slm_max_duration_error": 0.05})
    slm = trainer.system.slm
    slm.observe(torch.tensor(0.2))
    assert slm.step(0, trainer.optimizer) == {}
    assert slm.left_out == 1 and slm.steps == 0
    assert "lengths are off by 20 %" in caplog.text


def test_command_line_packs_a_sampler_that_say_speaks_with(spoken, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("voiceclone.base_training.recipe.resemblyzer_embed", lambda: None)
    monkeypatch.setattr("voiceclone.base_training.recipe.load_recognizer", lambda: None)
    settings = {"crop_frames": 16, "crop_batch": 2, "long_batch": 1, "prosody_batch": 2, "prosody_frames": 40,
                "system_settings": {"diffusion_share": 0.3, "diffusion_every": 1}}  # fmt: skip
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    command = ["train-base", "--data", str(spoken / "train"), "--preset", "tiny", "--out", str(tmp_path / "run"),
               "--diffusion", "--decoder", "hifigan", "--steps", "3", "--surrogate-share", "0.4", "--voices", "1",
               "--settings", str(tmp_path / "settings.json"), "--quiet"]  # fmt: skip
    assert command_line.main(command) == 0
    base = load_base(tmp_path / "run" / "base")
    assert "hifigan" in base.config and base.style_sampler is not None
    assert 0 < float(base.style_sampler.style_limit) < 1e3
    assert "style_diffusion.safetensors" in (tmp_path / "run" / "base" / "README.md").read_text()
    out = tmp_path / "said.wav"
    said = ["say", "Good morning to you all.", "--base", str(base.folder), "--beta", "1", "--alpha", "1",
            "--guidance", "2", "--diffusion-steps", "4", "--out", str(out)]  # fmt: skip
    assert command_line.main(said) == 0
    assert soundfile.info(out).frames > 2400
