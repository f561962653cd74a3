"""The synthesizer learns from its batches, each loss term trains its part, and a resumed run is identical."""

from __future__ import annotations

import copy
import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from voiceclone.base_training.mamba_conv.batches import CodeBatches, held_out
from voiceclone.base_training.mamba_conv.codes import CodeCache
from voiceclone.base_training.mamba_conv.objective import (
    MambaConvObjective,
    Prepared,
    draw_hidden,
    duration_nll_terms,
    predict_level,
    prepare,
    prosody_terms,
    should_continue,
)
from voiceclone.base_training.mamba_conv.settings import MambaConvTraining
from voiceclone.base_training.mamba_conv.system import MambaConvSystem, speaker_voice
from voiceclone.base_training.mamba_conv.validation import calibration_figures, tenths, token_figures
from voiceclone.base_training.trainer import Trainer
from voiceclone.errors import UsageError
from voiceclone.models.mamba_conv.config import presets
from voiceclone.models.mamba_conv.controller import AdaptiveGenerationController
from voiceclone.models.mamba_conv.generation import Conditions, Round, generate
from voiceclone.models.mamba_conv.text_encoder import MambaConvTextEncoder
from voiceclone.models.mamba_conv.variance import Prosody
from voiceclone.models.presets import full_config

TRAINING = MambaConvTraining(
    stopping_every=2, stopping_rows=2, iterations=3, min_iterations=1, confidence_share=0.25, corrupted=0.3
)


@pytest.fixture(scope="module")
def codes(tmp_path_factory):
    return tmp_path_factory.mktemp("codes")


def system_of(corpus, config, codec, codes, training=TRAINING, **changes) -> MambaConvSystem:
    config = dataclasses.replace(config, **changes)
    sizes = training.model_config("tiny", config.prosody_batch)
    return MambaConvSystem(
        corpus, config, model=sizes, codec=codec, cache=codes, vocab=full_config()["vocab"], training=training
    )


def test_the_loss_falls_and_terms_start_in_order(corpus, config, codec, codes, tmp_path) -> None:
    training = dataclasses.replace(TRAINING, corrupted=0.0, style_dropout=0.0, stopping_every=5)
    trainer = Trainer(system_of(corpus, config, codec, codes, training, steps=36, log_every=6), tmp_path)
    before = token_figures(trainer.system.trained.model.eval(), trainer.system.batches)
    trainer.run()
    first, last = trainer.history[0], trainer.history[-1]
    assert last["tokens"] < first["tokens"] and last["duration"] < first["duration"]
    assert "confidence" not in first and "stopping" not in first
    assert {"confidence", "stopping", "pitch", "voiced", "energy", "speaker", "attributes", "style_range"} <= set(last)
    after = token_figures(trainer.system.averaged.model, trainer.system.batches)
    if before:
        assert after["tokens"] < before["tokens"] and 0 <= after["accuracy_0"] <= 1


def test_a_resumed_run_is_the_same_run(corpus, config, codec, codes, tmp_path) -> None:
    whole = Trainer(system_of(corpus, config, codec, codes), tmp_path / "whole")
    whole.run()
    part = Trainer(system_of(corpus, config, codec, codes), tmp_path / "part")
    part.system.trained.train()
    for _ in range(5):
        with part.process_group.seeded(config.seed * 1_000_003 + part.step):
            part.train_step()
        part.step += 1
    part.save()
    resumed = Trainer(system_of(corpus, config, codec, codes), tmp_path / "part")
    resumed.resume()
    resumed.run()
    ours, theirs = resumed.system.averaged.state_dict(), whole.system.averaged.state_dict()
    assert resumed.step == 8 and all(torch.equal(ours[name], theirs[name]) for name in theirs)
    other = system_of(corpus, config, codec, codes, dataclasses.replace(TRAINING, mixer="gru"))
    with pytest.raises(UsageError, match="choose another"):
        Trainer(other, tmp_path / "part").resume()


def test_rates_of_the_state_spaces_do_not_decay(corpus, config, codec, codes, tmp_path) -> None:
    system = system_of(corpus, config, codec, codes)
    rest, free = system.parameter_groups()
    names = {id(p): name for name, p in system.trained.named_parameters()}
    assert {names[id(p)].rpartition(".")[2] for p in free["params"]} == {"A_log", "D"} and free["weight_decay"] == 0
    assert len(rest["params"]) + len(free["params"]) == len(names)
    groups = Trainer(system, tmp_path).optimizer.param_groups
    assert [group["weight_decay"] for group in groups] == [config.weight_decay, 0.0]
    gru = system_of(corpus, config, codec, codes, dataclasses.replace(TRAINING, mixer="gru"))
    assert len(gru.parameter_groups()) == 1


def batch_of(corpus, config, codec, codes):
    batches = CodeBatches(corpus, config, CodeCache(codes, corpus, codec))
    return batches, batches.prosody(1)


def test_batches_bring_the_codes_of_their_crops_and_tokens(corpus, config, codec, codes) -> None:
    batches, batch = batch_of(corpus, config, codec, codes)
    crop = batch.frame_tokens.shape[1]
    assert batch.codes.shape == (4, 4, 2 * crop) and batch.code_tokens.shape == (4, 2 * crop)
    assert torch.equal(batch.code_tokens, batch.frame_tokens.repeat_interleave(2, 1))
    assert torch.equal(batches.prosody(1).codes, batch.codes)
    for row in range(4):
        index = next(
            i for i, u in enumerate(corpus.utterances)
            if tuple(batch.tokens[row, : batch.lengths[row]].tolist()) == u.tokens
            and np.array_equal(batches.cache.codes(i, 2 * int(batch.starts[row]), 2 * crop), batch.codes[row].numpy())
        )  # fmt: skip
        assert index not in batches.validation


class Counting(torch.nn.Module):
    """A codec of 75 frames per second whose tokens are the numbers of the frames."""

    hop, levels, codebook_size = 320, 4, 1024

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def encode(self, audio):
        return torch.arange(-(-audio.shape[1] // self.hop)).expand(1, 4, -1)


def test_batches_fit_a_codec_whose_frames_are_not_those_of_durations(corpus, config, tmp_path) -> None:
    batches = CodeBatches(corpus, config, CodeCache(tmp_path, corpus, Counting()))
    for step in range(6):
        batch = batches.prosody(step)
        count = int(1.875 * batch.frame_tokens.shape[1])
        for row, index in enumerate(batch.picked):
            first = int(1.875 * int(batch.starts[row]))
            assert batch.codes[row].tolist() == [list(range(first, first + count))] * 4
            ends = np.round(np.cumsum(corpus.utterances[index].durations) * 1.875)
            expected = [int((ends <= frame).sum()) for frame in range(first, first + count)]
            assert batch.code_tokens[row].tolist() == expected


def test_prosody_of_tokens_is_the_mean_over_their_frames(corpus, config, codec, codes) -> None:
    batches, _ = batch_of(corpus, config, codec, codes)
    utterance, values = corpus.utterances[2], batches.token_prosody(2)
    mean, spread, energy_mean, energy_spread = batches._spreads[utterance.speaker]
    f0, energy, at = corpus.f0(2), corpus.energy(2), 0
    for token, length in enumerate(2 * np.array(utterance.durations)):
        part = f0[at : at + length]
        voiced = (part > 0).mean() > 0.5
        expected = (np.log(part[part > 0]).mean() - mean) / spread if voiced else 0.0
        assert values[1, token] == voiced and values[0, token] == pytest.approx(expected, abs=1e-5)
        level = (energy[at : at + length].mean() - energy_mean) / energy_spread
        assert values[2, token] == pytest.approx(level, abs=1e-4)
        at += length


def test_a_single_speakers_last_utterances_are_held_out(corpus) -> None:
    one = copy.copy(corpus)
    speaker = corpus.speakers[0]
    one.speakers, one.by_speaker = [speaker], {speaker: list(range(len(corpus.utterances)))}
    count = len(corpus.utterances)
    assert held_out(one, 0) == list(range(count - max(round(0.1 * count), 1), count))
    held = held_out(corpus, 0)
    assert len({corpus.utterances[i].speaker for i in held}) == len(held)


def prepared_of(corpus, config, codec, codes):
    system = system_of(corpus, config, codec, codes)
    model = system.trained.model.eval()
    batch = system.batches.prosody(1)
    style = model.style(batch.style_mel)
    return system, model, batch, prepare(model, batch, style, style)


def test_the_token_loss_sees_only_what_is_hidden_at_its_level(corpus, config, codec, codes, monkeypatch) -> None:
    system, model, _, (prepared, _) = prepared_of(corpus, config, codec, codes)
    objective, decoder = (
        MambaConvObjective(system.trained, config, dataclasses.replace(TRAINING, corrupted=0.0)),
        model.decoder,
    )
    truth = decoder.logits

    def losses(disturb=None) -> float:
        def logits(features, level):
            scores = truth(features, level)
            return scores if disturb is None else disturb(scores)

        monkeypatch.setattr(decoder, "logits", logits)
        torch.manual_seed(5)
        return float(objective._tokens(prepared, 3, 0.0)["tokens"].detach())

    torch.manual_seed(5)
    hidden = draw_hidden(prepared.codes[:, 0].shape, prepared.codes.device)
    assert 0 < int(hidden.sum()) < hidden.numel()
    plain = losses()
    assert losses(lambda scores: scores + 50 * torch.randn_like(scores) * ~hidden.unsqueeze(-1)) == plain
    assert losses(lambda scores: scores + 5 * torch.randn_like(scores) * hidden.unsqueeze(-1)) != plain
    monkeypatch.setattr(decoder, "logits", truth)
    level = next(int(name[-1]) for name in objective._tokens(prepared, 3, 0.0) if name.startswith("accuracy_"))
    heads = decoder.heads
    for other in range(decoder.levels):
        noisy = copy.deepcopy(heads)
        torch.nn.init.normal_(noisy[other][2].bias, std=5.0)
        decoder.heads = noisy
        assert (losses() == plain) == (other != level)
    decoder.heads = heads
    # Finer levels are masked completely.
    other = Prepared(given=prepared.given, codes=prepared.codes.clone())
    other.codes[:, 2:] = (other.codes[:, 2:] + 1) % 32
    monkeypatch.setattr(decoder, "logits", truth)
    ours, theirs = (predict_level(decoder, p, 1, hidden)[1] for p in (prepared, other))
    assert torch.equal(ours, theirs)
    other.codes[:, 0] = (other.codes[:, 0] + 1) % 32
    assert not torch.equal(predict_level(decoder, other, 1, hidden)[1], ours)


def test_the_token_loss_reaches_text_style_and_decoder(corpus, config, codec, codes) -> None:
    system, model, batch, _ = prepared_of(corpus, config, codec, codes)
    for film in (model.text.film, *model.decoder.films):
        torch.nn.init.normal_(film.project.weight, std=0.1)
    style = model.style(batch.style_mel)
    prepared, _ = prepare(model, batch, style, style)
    hidden = torch.ones_like(prepared.codes[:, 0], dtype=torch.bool)
    scores = predict_level(model.decoder, prepared, 0, hidden)[1]
    F.cross_entropy(scores.flatten(0, 1), prepared.codes[:, 0].flatten()).backward()
    for part in (model.style.project, model.text.embedding, model.variance.embed.conv, model.decoder.heads[0][0]):
        assert float(part.weight.grad.abs().max()) > 0
    assert model.decoder.heads[1][0].weight.grad is None and model.durations.head.weight.grad is None


def test_hidden_tokens_are_at_least_one_a_row() -> None:
    torch.manual_seed(0)
    hidden = draw_hidden(torch.Size([2000, 3]), torch.device("cpu"))
    assert (hidden.sum(1) >= 1).all() and 0.55 < float(hidden.float().mean()) < 0.85
    assert (draw_hidden(torch.Size([50, 4, 3]), torch.device("cpu")).flatten(1).sum(1) >= 1).all()


def test_terms_of_durations_and_prosody_leave_the_padding_out() -> None:
    mask = torch.tensor([[True, True, False]])
    durations = torch.tensor([[2.0, 4.0, 0.0]])
    ours = duration_nll_terms(torch.log(torch.tensor([[2.0, 2.0, 99.0]])), torch.zeros(1, 3), durations, mask)
    assert float(ours["duration"]) == pytest.approx(0.5 * np.log(2)) and float(ours["duration_total"]) == pytest.approx(
        1 / 3
    )
    truth = Prosody(
        pitch=torch.tensor([[1.0, 0.0, 0.0]]), voiced=torch.tensor([[1.0, 0.0, 0.0]]), energy=torch.zeros(1, 3)
    )
    said = Prosody(
        pitch=torch.tensor([[1.0, 9.0, 9.0]]),
        voiced=torch.tensor([[50.0, -50.0, 50.0]]),
        energy=torch.tensor([[0.0, 0.0, 9.0]]),
    )
    assert all(float(value) == pytest.approx(0.0, abs=1e-6) for value in prosody_terms(said, truth, mask).values())


def test_the_controllers_loss_trains_how_the_text_is_summed_and_nothing_else_of_it() -> None:
    torch.manual_seed(0)
    encoder = MambaConvTextEncoder(presets("tiny")[1])
    mask = torch.ones(2, 5, 1)
    features = encoder(torch.randint(1, 20, (2, 5)), torch.randn(2, encoder.film.project.in_features), mask)
    encoder.pooled(features, mask).square().sum().backward()
    assert [name for name, weight in encoder.named_parameters() if weight.grad is not None] == [
        "attend.weight", "attend.bias",
    ]  # fmt: skip


def test_stopping_targets_are_whether_the_remaining_rounds_helped() -> None:
    codes = torch.zeros(2, 4, 200, dtype=torch.long)

    def after(wrong: tuple[int, int]) -> Round:
        made = codes.clone()
        for row, count in enumerate(wrong):
            made[row, 0, :count] = 1
        return Round(number=1, codes=made, features=torch.zeros(1), figures=torch.zeros(2, 3), updates=0)

    spoken = torch.ones(2, 200, dtype=torch.bool)
    rounds = [after((50, 20)), after((20, 20)), after((31, 19)), after((30, 17))]
    assert should_continue(rounds, codes, spoken, 0.012).tolist() == [[1.0, 1.0], [0.0, 1.0], [0.0, 0.0]]
    spoken[:, 25:] = False  # padding: only the first 25 tokens count
    assert should_continue(rounds, codes, spoken, 0.012).tolist() == [[0.0, 1.0], [0.0, 1.0], [0.0, 1.0]]


class Gradual(torch.nn.Module):
    """A decoder whose best tokens of level 0 are all right from round ``needed`` on, and fewer before."""

    levels, mask_id = 4, 32

    def __init__(self, needed: int, rounds: int) -> None:
        super().__init__()
        self.needed, self.rounds, self.asked = needed, rounds, 0

    def forward(self, codes, text, style, mask, *, level, share_masked):
        self.asked = 1 if level == 0 and float(share_masked[0]) == 1.0 else self.asked + 1
        return torch.full((*text.shape[:2], 32), self.asked / self.rounds)

    def logits(self, features, level):
        """Code 0 is right. Where it is not known, the others are equally probable: these are decided last."""
        right = torch.arange(features.shape[1]) < features.shape[1] * self.asked / self.needed
        scores = torch.zeros(*features.shape[:2], 32)
        scores[..., 0] = torch.where(right, 60.0, -60.0)
        return scores

    def confidences(self, features):
        return torch.zeros(len(features), 4, features.shape[1])


@pytest.mark.parametrize(("needed", "stops"), [(3, 4), (8, 8)])
def test_a_trained_controller_stops_where_rounds_no_longer_help(config, needed: int, stops: int) -> None:
    """At the minimum number of rounds, 4, where 3 suffice."""
    torch.manual_seed(0)
    sizes, rows, frames = presets("tiny")[1], 2, 60
    model = torch.nn.Module()
    model.decoder, model.controller = Gradual(needed, 12), AdaptiveGenerationController(sizes)
    given = Conditions(
        text=torch.zeros(rows, frames, 32), context=torch.zeros(rows, 32), style=torch.zeros(rows, 128),
        mask=torch.ones(rows, frames, 1),
    )  # fmt: skip
    codes = torch.zeros(rows, 4, frames, dtype=torch.long)
    training = MambaConvTraining(min_iterations=4)
    objective = MambaConvObjective(SimpleNamespace(model=model), config, training)
    optimizer = torch.optim.Adam(model.controller.parameters(), lr=0.02)
    for _ in range(40):
        optimizer.zero_grad()
        objective._stopping(Prepared(given=given, codes=codes)).backward()
        optimizer.step()
    one = Conditions(text=given.text[:1], context=given.context[:1], style=given.style[:1], mask=given.mask[:1])
    with torch.no_grad():
        found, info = generate(model.decoder, model.controller, one, training.generation)
    assert info["iterations"] == stops and float((found[:, 0] == 0).float().mean()) > 0.8


def test_calibration_is_reported_by_tenths_of_confidence(corpus, config, codec, codes) -> None:
    torch.manual_seed(0)
    log_scales = torch.linspace(-3, 1, 1000)
    errors = torch.distributions.Laplace(torch.zeros(1000), log_scales.exp()).sample().abs()
    rows = tenths(errors, log_scales)
    assert len(rows) == 10 and rows[0]["confidence"] < rows[-1]["confidence"]
    assert all(0.6 < row["error"] / row["expected"] < 1.6 for row in rows)
    system = system_of(corpus, config, codec, codes)
    found = calibration_figures(system.averaged.model, system.batches, TRAINING)
    if system.batches.validation:
        assert found["codebook_use"] == system.batches.cache.use and len(found["codebook_use"]) == 4
        assert len(found["durations"]) == 10
        assert 0 <= found["stopping"]["rounds_saved"] <= 2


def test_a_speakers_voice_is_the_mean_style_twice(corpus, config, codec, codes) -> None:
    system = system_of(corpus, config, codec, codes)
    model = system.averaged.model
    voice = speaker_voice(model, corpus, [0, 1])
    assert voice.shape == (510, 1, 256) and torch.equal(voice[0, 0, :128], voice[-1, 0, 128:])
    with torch.no_grad():
        mels = [torch.from_numpy(corpus.mel(i).copy())[None] for i in (0, 1)]
        assert torch.allclose(voice[0, 0, :128], torch.cat([model.style(mel) for mel in mels]).mean(0), atol=1e-5)


def test_sizes_that_do_not_fit_the_codec_are_refused(corpus, config, codec, codes) -> None:
    with pytest.raises(UsageError, match="other levels"):
        MambaConvSystem(
            corpus, config, model=presets("tiny", codebook_size=64)[1], codec=codec, cache=codes, vocab={},
        )  # fmt: skip
