"""The text aligner ignores padding, returns valid alignments, and can learn the durations of the data."""

from __future__ import annotations

import dataclasses

import torch

from voiceclone.base_training.batches import BatchMaker
from voiceclone.base_training.config import TrainConfig
from voiceclone.base_training.styletts2.alignment_training import AlignerTraining, hard_durations
from voiceclone.distributed import ProcessGroup
from voiceclone.models.presets import tiny_config
from voiceclone.models.styletts2.text_aligner import TextAligner

CONFIG = TrainConfig(preset="tiny", steps=1, crop_frames=16, crop_batch=3, long_every=1000)


def training(corpus) -> AlignerTraining:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        aligner = TextAligner(tiny_config()["n_token"])
    return AlignerTraining(BatchMaker(corpus, CONFIG), aligner, ProcessGroup())


def test_padding_changes_nothing():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        aligner = TextAligner(20).eval()
        mel, tokens = torch.randn(1, 80, 44), torch.randint(20, (1, 7))
    frames, lengths = torch.tensor([22]), torch.tensor([7])
    alone = aligner(mel, frames, tokens, lengths)
    padded = aligner(
        torch.cat([mel, torch.zeros(1, 80, 20)], 2), frames, torch.cat([tokens, torch.zeros(1, 3).long()], 1), lengths
    )
    assert torch.allclose(padded.soft[:, :7, :22], alone.soft, atol=1e-5)
    assert torch.allclose(padded.logits[:, :7], alone.logits, atol=1e-4)
    assert torch.allclose(alone.soft.sum(1), torch.ones(1, 22), atol=1e-5)


def test_the_best_path_visits_every_token_in_order():
    soft = torch.rand(2, 5, 12)
    durations = hard_durations(soft, torch.tensor([5, 3]), torch.tensor([12, 9]))
    assert durations.sum(1).tolist() == [12, 9]
    assert (durations[0] >= 1).all() and durations[1, 3:].sum() == 0


def test_crops_of_the_alignment_lie_where_the_batch_lies(corpus):
    aligning = training(corpus)
    batch = aligning.batches.acoustic(0)
    found = aligning.align(batch)
    assert found.soft.shape == (3, batch.tokens.shape[1], batch.frame_tokens.shape[1])
    assert found.batch.frame_tokens.shape == batch.frame_tokens.shape
    assert torch.equal(found.batch.durations.sum(1), batch.durations.sum(1))
    assert (found.batch.frame_tokens.diff(dim=1) >= 0).all()
    for row, start in enumerate(batch.starts):
        spoken = torch.repeat_interleave(torch.arange(batch.tokens.shape[1]), found.batch.durations[row].long())
        assert torch.equal(spoken[start : start + 16], found.batch.frame_tokens[row])


def test_it_learns_the_durations_of_the_data(corpus):
    aligning = training(corpus)
    batch = dataclasses.replace(aligning.batches.acoustic(0))

    def agreement() -> float:
        with torch.no_grad():
            return (aligning.align(batch).batch.frame_tokens == batch.frame_tokens).float().mean().item()

    before = agreement()
    aligning.pretrain(80, seed=0)
    assert agreement() > before + 0.3
