"""HiFi-GAN instead of iSTFTNet: same lengths and interface, and invalid rates are rejected."""

from __future__ import annotations

import pytest
import torch

from voiceclone.models.frozen_kokoro import FrozenKokoro
from voiceclone.models.nano import NanoKModel, init_for_speech
from voiceclone.models.presets import preset
from voiceclone.models.styletts2.hifigan import HifiGenerator


def built(decoder: str) -> NanoKModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = NanoKModel(preset("tiny", decoder=decoder)[0])
        init_for_speech(model)
    return model


@pytest.mark.parametrize("decoder", ["istftnet", "hifigan"])
@pytest.mark.parametrize("frames", [2, 7, 20])
def test_both_decoders_give_600_samples_a_frame(decoder, frames):
    model = built(decoder)
    features, f0 = torch.randn(2, 32, frames), torch.full((2, 2 * frames), 120.0)
    audio = model.decoder(features, f0, torch.zeros(2, 2 * frames), torch.randn(2, 128))
    assert audio.shape == (2, 1, 600 * frames)
    assert torch.isfinite(audio).all()


def test_a_model_with_it_speaks_and_gives_gradients_to_the_voice():
    kokoro = FrozenKokoro(built("hifigan"), torch.device("cpu"))
    text = kokoro.text("hɛlˈO")
    audio, durations = kokoro.speak(text, torch.zeros(1, 256))
    assert len(audio) == 600 * int(durations.sum())
    style = torch.zeros(1, 128, requires_grad=True)
    frames = text.acoustic_text.shape[2]

    def gradient(fused: bool) -> torch.Tensor:
        kokoro.fused = fused
        torch.manual_seed(0)
        loss = kokoro.decode(text.acoustic_text, torch.full((1, 2 * frames), 150.0), torch.zeros(1, 2 * frames), style)
        return torch.autograd.grad(loss.square().sum(), style)[0]

    plain = gradient(False)
    assert plain.abs().sum() > 0
    assert torch.allclose(gradient(True), plain, rtol=1e-3, atol=1e-6 + 1e-3 * float(plain.abs().max()))


def test_every_weight_of_the_decoder_is_trained():
    """Also the layer that sums the harmonics, as in StyleTTS2; that of Kokoro's decoder is not trained there."""
    model = built("hifigan")
    features, f0 = torch.randn(1, 32, 8), torch.full((1, 16), 120.0)
    model.decoder(features, f0, torch.zeros(1, 16), torch.randn(1, 128)).square().sum().backward()
    assert [name for name, weight in model.decoder.named_parameters() if weight.grad is None] == []


def test_rates_that_do_not_fit_are_refused():
    widths = {"resblock_kernel_sizes": [3], "resblock_dilation_sizes": [[1, 3, 5]], "upsample_initial_channel": 16}
    with pytest.raises(ValueError, match="must multiply to 300"):
        HifiGenerator(128, upsample_rates=[10, 6], upsample_kernel_sizes=[20, 12], **widths)


def test_the_source_decides_where_the_harmonics_are():
    model = built("hifigan").eval()
    features, style = torch.randn(1, 32, 20), torch.randn(1, 128)

    def said(f0: float) -> torch.Tensor:
        torch.manual_seed(0)
        with torch.no_grad():
            return model.decoder(features, torch.full((1, 40), f0), torch.zeros(1, 40), style)

    assert torch.equal(said(100.0), said(100.0)) and not torch.equal(said(100.0), said(200.0))
