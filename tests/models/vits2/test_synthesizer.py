"""Text encoder, posterior and durations: padding, speaker conditioning, whole frames, output length."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from voiceclone.models.vits2.config import FLOWS, Vits2Config, vits2_preset, with_istft, with_vocos
from voiceclone.models.vits2.decoder import InverseStft
from voiceclone.models.vits2.durations import expansion, predicted_frames, rounded_up
from voiceclone.models.vits2.layers import length_mask
from voiceclone.models.vits2.spectrogram import Spectrogram
from voiceclone.models.vits2.synthesizer import (
    Posterior,
    Prior,
    Synthesizer,
    SynthesizerTrn,
    crop_starts,
    cut_frames,
    log_likelihood,
    search_alignment,
)

SPEAKERS = replace(vits2_preset("tiny"), speakers=4)


@pytest.fixture
def model() -> Synthesizer:
    torch.manual_seed(0)
    return Synthesizer(SPEAKERS).eval()


def test_a_padded_row_is_the_row_alone(model: Synthesizer) -> None:
    voice = model.voices(torch.tensor([2]))
    tokens, frames = torch.randint(1, 170, (1, 9)), torch.randn(1, 80, 25)
    alone = model.read(tokens, torch.tensor([9]), voice)
    padded = model.read(torch.cat([tokens, tokens[:, :4]], 1), torch.tensor([9]), voice)
    for one, other in zip(alone[:3], padded[:3], strict=True):
        assert torch.allclose(one, other[:, :, :9], atol=1e-5)
    logs = [model.durations(prior.features, prior.mask, voice) for prior in (alone, padded)]
    assert torch.allclose(logs[0], logs[1][:, :, :9], atol=1e-5) and not logs[1][:, :, 9:].any()
    mask = length_mask(torch.tensor([25]), 25)
    more = torch.cat([frames, torch.randn(1, 80, 6)], 2)
    longer = model.posterior(more, length_mask(torch.tensor([25]), 31), voice)
    for one, other in zip(model.posterior(frames, mask, voice), longer, strict=True):
        assert torch.allclose(one, other[:, :, :25], atol=1e-5) and not other[:, :, 25:].any()


def test_the_speaker_enters_before_the_third_layer(model: Synthesizer) -> None:
    """The first two layers do not depend on it, the whole encoder does."""
    seen: list[torch.Tensor] = []
    for norm in model.text.transformer.norms:
        norm.register_forward_hook(lambda module, args, output: seen.append(output))
    voice = model.voices(torch.tensor([1])).detach().requires_grad_(True)
    mean = model.read(torch.randint(1, 170, (1, 6)), torch.tensor([6]), voice).mean
    gradients = [torch.autograd.grad(one.sum() * 1.0 + one.pow(2).sum(), voice, retain_graph=True, allow_unused=True)[0]
                 for one in (*seen, mean)]  # fmt: skip
    assert all(gradient is None for gradient in gradients[:4])
    assert all(gradient is not None for gradient in gradients[4:]) and gradients[-1].abs().max() > 0
    without = Synthesizer(replace(SPEAKERS, speaker_in_text=False)).eval()
    voices = without.voices(torch.tensor([0, 1]))
    tokens = torch.randint(1, 170, (1, 6)).expand(2, 6)
    prior = without.read(tokens, torch.tensor([6, 6]), voices)
    assert torch.equal(prior.mean[0], prior.mean[1])


def test_whole_frames_keep_the_length() -> None:
    torch.manual_seed(1)
    logs = torch.rand(3, 1, 200) * 2.5
    mask = length_mask(torch.tensor([200, 150, 3]), 200)
    frames = predicted_frames(logs, mask)
    wanted = (logs.exp() * mask).sum((1, 2))
    assert (frames.sum(1) - wanted).abs().max() <= 0.5
    assert (frames[mask[:, 0] > 0] >= 1).all() and not frames[mask[:, 0] == 0].any()
    up = rounded_up(logs, mask)
    assert torch.equal(up, torch.ceil(torch.exp(logs) * mask).squeeze(1)) and (up.sum(1) > frames.sum(1)).all()
    path = expansion(frames, int(frames.sum(1).max()))
    assert torch.equal(path.sum(2), frames) and (path.sum(1) <= 1).all()
    assert torch.equal(path[0].argmax(0).diff().clamp(min=0), path[0].argmax(0).diff())


def test_likelihood_is_that_of_the_gaussians(model: Synthesizer) -> None:
    prior = model.read(torch.randint(1, 170, (2, 5)), torch.tensor([5, 4]), model.voices(torch.tensor([0, 1])))
    posterior = model.encode_posterior(
        torch.randn(2, 80, 12), torch.tensor([12, 9]), model.voices(torch.tensor([0, 1]))
    )
    found = log_likelihood(posterior.z_p, prior)
    gaussians = torch.distributions.Normal(prior.mean.unsqueeze(3), prior.log_scale.exp().unsqueeze(3))
    expected = gaussians.log_prob(posterior.z_p.unsqueeze(2)).sum(1)
    assert torch.allclose(found, expected, atol=1e-3)
    path = search_alignment(posterior, prior)
    assert torch.equal(path, search_alignment(posterior, prior, noise=0.0))
    assert torch.equal(path.sum((1, 2)), torch.tensor([12.0, 9.0]))


def test_the_searchs_noise_is_relative_to_the_spread_of_the_likelihoods(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(5)
    mean, lengths = torch.randn(1, 8, 10), torch.full((10,), 4)
    z_p = mean.repeat_interleave(lengths, 2) + 0.3 * torch.randn(1, 8, 40)
    prior = Prior(mean, mean, torch.zeros_like(mean), torch.ones(1, 1, 10))
    posterior = Posterior(z_p, z_p, torch.zeros_like(z_p), z_p, torch.ones(1, 1, 40))
    assert torch.equal(search_alignment(posterior, prior).sum(2)[0], lengths.float())
    searched: list[torch.Tensor] = []
    monkeypatch.setattr("voiceclone.models.vits2.synthesizer.best_paths", lambda value, *counts: searched.append(value))
    for noise in (0.0, 0.01, 1.0):
        search_alignment(posterior, prior, noise=noise)
    plain, *noisy = searched
    assert torch.equal(plain, log_likelihood(z_p, prior))
    for value, noise in zip(noisy, (0.01, 1.0), strict=True):  # 400 values: 10 % are nearly 3 standard errors
        assert float((value - plain).std() / plain.std()) == pytest.approx(noise, rel=0.1)


@pytest.mark.parametrize("training", [True, False])
def test_the_public_class_searches_with_noise_in_training_only(monkeypatch: pytest.MonkeyPatch, training: bool) -> None:
    seen: list[float] = []
    monkeypatch.setattr(
        "voiceclone.models.vits2.synthesizer.search_alignment",
        lambda posterior, prior, *, noise: seen.append(noise) or search_alignment(posterior, prior),
    )
    model = SynthesizerTrn(
        20, 80, 16, 8, 8, 16, 2, 3, 3, 0.1, "2", [3], [[1]], [5, 4], 16, [10, 8], use_sdp=False,
        use_noise_scaled_mas=True,
    ).train(training)  # fmt: skip
    tokens = torch.randint(1, 20, (2, 4))
    model(tokens, torch.tensor([4, 3]), torch.randn(2, 80, 30), torch.tensor([30, 20]))
    assert seen == [0.01 if training else 0.0]


@pytest.mark.parametrize(
    "config", [SPEAKERS, with_istft(SPEAKERS), with_vocos(SPEAKERS), replace(SPEAKERS, resblock="1")]
)
def test_the_decoder_makes_a_hop_of_every_frame(config: Vits2Config) -> None:
    torch.manual_seed(3)
    model = Synthesizer(config).eval()
    tokens, lengths = torch.randint(1, 170, (2, 7)), torch.tensor([7, 5])
    audio, frames = model.infer(tokens, lengths, model.voices(torch.tensor([0, 3])))
    assert audio.shape == (2, 1, 300 * int(frames.sum(1).max())) and torch.isfinite(audio).all()
    given = torch.full((2, 7), 3.0) * length_mask(lengths, 7)[:, 0]
    audio, used = model.infer(tokens, lengths, model.voices(torch.tensor([0, 3])), frames=given)
    assert audio.shape[-1] == 300 * 21 and torch.equal(used, given)


def test_the_inverse_stft_is_torchs() -> None:
    torch.manual_seed(4)
    spectrum = torch.stft(torch.randn(2, 400), 20, 5, window=torch.hann_window(20), return_complex=True)
    ours = InverseStft(20, 5)(spectrum.abs(), spectrum.angle())[:, 0]
    theirs = torch.istft(spectrum, 20, 5, window=torch.hann_window(20))
    assert ours.shape == theirs.shape and torch.allclose(ours, theirs, atol=1e-4)


def test_crops_are_never_longer_than_a_row() -> None:
    lengths = torch.tensor([10, 40, 25])
    for draw in (0.0, 0.5, 0.999999):
        starts, count = crop_starts(lengths, 32, torch.full((3,), draw))
        assert count == 10 and (starts >= 0).all() and (starts + count <= lengths).all()
    x = torch.arange(40.0).expand(3, 2, 40)
    assert torch.equal(
        cut_frames(x, torch.tensor([0, 7, 3]), 2)[:, 0], torch.tensor([[0.0, 1.0], [7.0, 8.0], [3.0, 4.0]])
    )


@pytest.mark.parametrize("posterior", ["mel", "linear"])
def test_spectrograms_have_a_frame_a_hop(posterior: str) -> None:
    front = replace(SPEAKERS.front_end, posterior=posterior, sample_rate=22050, hop=256, n_fft=1024, win=1024)
    frames = Spectrogram(front)(0.1 * torch.randn(2, 256 * 30 + 17))
    assert frames.shape == (2, front.channels, 30) and torch.isfinite(frames).all()
    assert Spectrogram(SPEAKERS.front_end)(torch.randn(1, 3000)).shape == (1, 80, 10)


@pytest.mark.parametrize("flow", FLOWS)
def test_the_prior_starts_as_wide_as_the_flows_output(flow: str) -> None:
    torch.manual_seed(0)
    model = Synthesizer(replace(vits2_preset("tiny"), flow=flow, flows=4)).eval()
    prior = model.read(torch.randint(1, 20, (1, 30)), torch.tensor([30]), None)
    frames = torch.randn(1, model.config.front_end.channels, 60)
    with torch.no_grad():
        wide = float(model.encode_posterior(frames, torch.tensor([60]), None).z_p.std())
    assert 0.25 < wide / float(prior.log_scale.detach().exp().mean()) < 4
