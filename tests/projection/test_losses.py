"""Every named term is zero at the target, has a gradient, and is finite."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from voiceclone.audio.features import LogMel
from voiceclone.projection import losses
from voiceclone.projection.losses import LossWeights


def test_terms_are_zero_for_the_truth() -> None:
    durations = torch.tensor([5, 3, 4, 2, 9])
    terms = losses.duration_terms(durations.float(), durations)
    assert all(float(v) == pytest.approx(0, abs=1e-6) for v in terms.values())
    f0 = torch.tensor([0.0, 120.0, 130.0, 0.0])
    assert all(float(v) == pytest.approx(0, abs=1e-6) for v in losses.f0_terms(f0, f0).values())
    audio = torch.randn(1, 4800, generator=torch.Generator().manual_seed(0))
    assert float(losses.mel_mse(audio, audio, LogMel())) == 0


def test_bos_and_eos_do_not_count_as_speech() -> None:
    true = torch.tensor([5, 3, 4, 2])
    soft = torch.tensor([50.0, 3.0, 4.0, 99.0])
    assert all(float(v) == pytest.approx(0, abs=1e-6) for v in losses.duration_terms(soft, true).values())


def test_rate_is_the_log_of_the_tempo() -> None:
    true = torch.tensor([1, 4, 4, 1])
    assert float(losses.duration_terms(true * 2.0, true)["rate"]) == pytest.approx(0.6931, abs=1e-3)


def test_an_octave_is_log_two_and_unvoiced_predictions_are_pulled_up() -> None:
    true = torch.full((10,), 120.0)
    doubled = losses.f0_terms(true * 2, true)
    assert float(doubled["f0_level"]) == pytest.approx(0.6931, abs=1e-3)
    far = losses.F0_REACH * math.log1p(math.log(2) / losses.F0_REACH)
    assert float(doubled["f0"]) == pytest.approx(far + losses.UNVOICED_SHARE, abs=1e-3)
    predicted = torch.full((10,), -5.0, requires_grad=True)
    losses.f0_terms(predicted, true)["f0"].backward()
    assert (predicted.grad < 0).all()


def test_a_clip_without_voicing_has_finite_losses() -> None:
    predicted = torch.full((10,), 100.0, requires_grad=True)
    terms = losses.f0_terms(predicted, torch.zeros(10))
    sum(terms.values()).backward()
    assert torch.isfinite(predicted.grad).all() and float(terms["f0"].detach()) == 0


def test_total_needs_a_weight_for_every_term() -> None:
    terms = {"mel_mse": torch.tensor(2.0), "rate": torch.tensor(3.0)}
    assert float(losses.total(terms, LossWeights(mel_mse=1.0, rate=0.5))) == pytest.approx(3.5)
    with pytest.raises(AttributeError):
        losses.total({"unheard_of": torch.tensor(1.0)}, LossWeights())


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_invalid_weights_are_refused(value: float) -> None:
    with pytest.raises(ValueError):
        LossWeights(f0=value)


def test_the_phone_term_weighs_less_for_a_poorly_recognised_stock_voice() -> None:
    weights = LossWeights(phones=2.0)
    assert losses.weights_from(weights, 0.0) == losses.weights_from(weights, 0.9 * losses.UNCLEAR) == weights
    less = losses.weights_from(weights, 2 * losses.UNCLEAR)
    assert less.phones == pytest.approx(0.5) and replace(less, phones=2.0) == weights


def test_room_noise_50_db_below_the_speech_is_no_error() -> None:
    generator = torch.Generator().manual_seed(0)
    speech = torch.randn(1, 12000, generator=generator)
    speech[:, 6000:] = 0
    noise = 3e-4 * torch.randn(1, 12000, generator=generator)
    assert float(losses.mel_mse(speech + noise, speech, LogMel())) < 0.01
    assert float(losses.mel_mse(speech * 2, speech, LogMel())) > 0.5


def test_dips_to_silence_do_not_raise_the_pitch() -> None:
    true = torch.full((10,), 120.0)
    predicted = true.clone()
    predicted[::3] = 1.0
    assert float(losses.f0_terms(predicted, true)["f0_level"]) == pytest.approx(0, abs=1e-6)


def test_dips_at_the_edges_of_voicing_do_not_move_the_pitch_level() -> None:
    """At transitions to unvoiced phones the predicted F0 falls; the perceived pitch is that between them."""
    true = 120.0 * 2 ** (torch.linspace(-2, 2, 40) / 12)
    dipping = true.clone()
    dipping[[0, 1, 2, 20, 21, 37, 38, 39]] *= 0.55
    shifted = dipping * 2 ** (1 / 12)
    assert float(losses.f0_terms(dipping, true)["f0_level"]) < 1e-5
    assert float(losses.f0_terms(dipping, true)["f0_spread"]) < 1e-5
    assert float(losses.f0_terms(shifted, true)["f0_level"]) == pytest.approx(0.0578, abs=1e-3)  # a semitone
    octave = losses.f0_terms(true * 2, true)
    assert float(octave["f0_level"]) == pytest.approx(0.693, abs=1e-3), "a voice an octave off is all error"


def test_no_frame_jumps_into_the_f0_term() -> None:
    """A frame whose predicted F0 rises from zero to the clip's must have a monotonically falling loss."""
    true = torch.full((10,), 120.0)
    values = []
    for hertz in torch.linspace(0.0, 120.0, 241):
        predicted = true.clone()
        predicted[0] = hertz
        values.append(float(losses.f0_terms(predicted, true)["f0"]))
    steps = torch.tensor(values).diff()
    assert (steps < 0).all() and steps.abs().max() < 0.002


def test_descending_the_f0_term_lowers_it_where_voicing_sets_in() -> None:
    """Frames at transitions lie around the voicing threshold; training must not add more of them to the term."""
    true = torch.full((200,), 120.0)
    start = torch.cat([torch.linspace(0.0, 90.0, 60), torch.full((140,), 110.0)])
    predicted, before = start.clone(), float(losses.f0_terms(start, true)["f0"])
    for _ in range(50):
        leaf = predicted.requires_grad_()
        terms = losses.f0_terms(leaf, true)
        (2.0 * terms["f0"] + 4.0 * terms["f0_level"]).backward()
        predicted = (leaf - 0.5 * leaf.grad / leaf.grad.norm()).detach()
    assert float(losses.f0_terms(predicted, true)["f0"]) < before


def lowpassed(audio: torch.Tensor, hertz: float) -> torch.Tensor:
    """Noise ``(B, T)`` at 24 kHz, low-pass filtered at ``hertz``."""
    spectrum = torch.fft.rfft(audio)
    spectrum[:, torch.linspace(0, 12_000, spectrum.shape[1]) > hertz] = 0
    return torch.fft.irfft(spectrum, audio.shape[1])


def test_full_recordings_have_the_same_losses_with_and_without_masks() -> None:
    audio = torch.randn(3, 9600, generator=torch.Generator().manual_seed(0))
    ours, true = audio, audio.flip(0) * torch.tensor([[1.0], [0.3], [0.7]])
    full = torch.tensor([12_000.0, 22_050.0, math.inf])
    for term in (lambda width: losses.mel_mse(ours, true, LogMel(), width), lambda w: losses.MultiMel()(ours, true, w)):
        assert float(term(full)) == pytest.approx(float(term(None)), rel=1e-6)


def test_what_a_narrow_recording_lacks_is_no_error() -> None:
    whole = torch.randn(2, 24_000, generator=torch.Generator().manual_seed(0))
    narrow = lowpassed(whole, 8_000)
    for term in (losses.mel_mse, lambda ours, true, mel, width: losses.MultiMel()(ours, true, width)):
        blind = float(term(whole, narrow, LogMel(), None))
        masked = float(term(whole, narrow, LogMel(), torch.tensor([7_900.0, 7_900.0])))
        assert masked < 0.02 * blind
        # What lies below still counts, and a whole item of the batch keeps its error.
        assert float(term(2 * whole, narrow, LogMel(), torch.tensor([7_900.0, 7_900.0]))) > 20 * masked
        mixed = float(term(whole, narrow, LogMel(), torch.tensor([7_900.0, math.inf])))
        assert mixed == pytest.approx(blind / 2, rel=0.05)


def test_bands_above_the_bandwidth_have_no_gradient() -> None:
    generator = torch.Generator().manual_seed(0)
    true = lowpassed(torch.randn(1, 9600, generator=generator), 3_400)
    hiss = torch.randn(1, 9600, generator=generator)
    pull = {}
    for width in (None, torch.tensor([3_375.0])):
        ours = (true + hiss - lowpassed(hiss, 6_000)).requires_grad_()
        (losses.mel_mse(ours, true, LogMel(), width) + losses.MultiMel()(ours, true, width)).backward()
        pull[width is None] = float(torch.fft.rfft(ours.grad)[:, 3000:].abs().max())
    assert pull[False] < 0.02 * pull[True]
