"""Batches contain whole utterances, depend only on the step, and are divided completely among processes."""

from __future__ import annotations

import copy

import numpy as np
import torch

from voiceclone.base_training.vits2.batches import Vits2Batches, _with_blanks
from voiceclone.base_training.vits2.settings import model_config
from voiceclone.distributed import ProcessGroup


def batches(corpus, config, **more) -> Vits2Batches:
    model = model_config("tiny", config.system_settings, len(corpus.speakers))
    return Vits2Batches(corpus, config, model, **more)


def test_a_batch_is_whole_utterances(corpus, configured) -> None:
    made = batches(corpus, configured())
    batch, again, other = made.whole(3), made.whole(3), made.whole(4)
    assert torch.equal(batch.audio, again.audio) and not torch.equal(batch.audio[:, :, :9000], other.audio[:, :, :9000])
    assert torch.equal(batch.durations.sum(1).long(), batch.frames)
    for row, (tokens, length) in enumerate(zip(batch.tokens.tolist(), batch.lengths.tolist(), strict=True)):
        (index,) = [i for i, u in enumerate(corpus.utterances) if list(u.tokens) == tokens[:length]
                    and corpus.speakers.index(u.speaker) == int(batch.speakers[row])]  # fmt: skip
        assert index not in made.validation
        frames = int(batch.frames[row])
        assert frames == 2 * corpus.frames[index]
        assert torch.equal(batch.audio[row, 0, : 300 * frames], torch.from_numpy(corpus.audio(index)))
        assert torch.equal(batch.spectrogram[row, :, :frames], torch.from_numpy(corpus.mel(index).copy()))
        assert not batch.spectrogram[row, :, frames:].any() and not any(tokens[length:])


def test_processes_share_a_batch(corpus, configured) -> None:
    whole = batches(corpus, configured()).whole(1)
    parts = [
        batches(corpus, configured(), process_group=ProcessGroup(rank=rank, world_size=2)).whole(1) for rank in (0, 1)
    ]
    assert torch.equal(torch.cat([part.tokens for part in parts]), whole.tokens)
    assert torch.equal(torch.cat([part.draw for part in parts]), whole.draw)
    assert {part.crop_frames for part in parts} == {whole.crop_frames}
    for name in ("rows", "tokens", "frames"):
        assert abs(sum(getattr(part.share, name) for part in parts) - 1) < 1e-6


def test_blanks_take_half_of_the_token_before_them(corpus, configured) -> None:
    assert _with_blanks(torch.tensor([4, 3, 5])).tolist() == [2, 2, 2, 1, 5]
    plain, blanks = (batches(corpus, configured({"add_blank": on})).whole(0) for on in (False, True))
    assert torch.equal(plain.frames, blanks.frames) and torch.equal(blanks.lengths, 2 * plain.lengths - 1)
    length = int(plain.lengths[0])
    assert torch.equal(blanks.tokens[0, : 2 * length - 1 : 2], plain.tokens[0, :length])
    assert not blanks.tokens[0, 1 : 2 * length : 2].any() and (blanks.durations[0, : 2 * length - 1] >= 1).all()


def test_another_rate_is_resampled(corpus, configured) -> None:
    front = {"sample_rate": 22050, "hop": 256, "n_fft": 1024, "win": 1024, "posterior": "linear"}
    model = {"front_end": front, "upsample_rates": [8, 8, 4], "upsample_kernels": [16, 16, 8]}
    hifigan = {"posterior": "linear", "decoder": "hifigan", "model": model}
    plain, other, vocos = (
        batches(corpus, configured(settings)).whole(0) for settings in ({}, hifigan, {"model": {"front_end": front}})
    )
    assert torch.equal(vocos.spectrogram, other.spectrogram)
    assert other.spectrogram.shape[1] == 513
    seconds = (plain.frames * 300 / 24000, other.frames * 256 / 22050)
    assert torch.allclose(*seconds, atol=0.013)
    assert torch.equal(other.durations.sum(1).long(), other.frames)


def test_a_short_utterance_shortens_the_crop_in_all_processes(corpus, configured) -> None:
    """Losses are means over the whole batch only where all rows have crops of one length."""
    shortest = int(2 * corpus.frames.min())
    config = configured({"model": {"crop_frames": shortest + 20}})
    groups = [ProcessGroup(rank=rank, world_size=2) for rank in (0, 1)]
    cut = 0
    for step in range(8):
        whole = batches(corpus, config).whole(step)
        assert whole.crop_frames == min(shortest + 20, int(whole.frames.min()))
        assert {batches(corpus, config, process_group=one).whole(step).crop_frames for one in groups} == {
            whole.crop_frames
        }
        cut += whole.crop_frames < shortest + 20
    assert cut


def test_the_shortest_utterances_are_as_frequent_as_others(corpus, configured) -> None:
    """A tenth of the batches are of the shortest tenth, so that single words are not forgotten."""
    made = batches(corpus, configured(crop_batch=1))
    many = [copy.copy(corpus.utterances[0]) for _ in range(400)]
    made._by_length, made._weights = np.arange(len(many)), np.ones(len(many))
    picked: list[int] = []
    made._batch = lambda rows, draw, shared: picked.extend(rows)
    for step in range(4000):
        made.whole(step)
    share = np.bincount(np.array(picked) // 40, minlength=10) / len(picked)
    # 4,000 draws: the standard error of a share of 0.1 is 0.005. Only half of the windows reach the longest tenth.
    assert share[0] > 0.085 and share[1:9].min() > 0.08


def test_utterances_too_short_for_the_losses_are_left_out(corpus, configured, caplog) -> None:
    """The spectra of the losses need more than 1,024 samples: at a low rate a short word has fewer."""
    made = batches(corpus, configured())
    assert made._least_frames == 4
    made._least_frames = int(2 * corpus.frames.min()) + 1
    assert not made._fits(int(corpus.frames.argmin())) and made._fits(int(corpus.frames.argmax()))
