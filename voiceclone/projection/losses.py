"""The named terms of the projection's loss as plain functions. The total is the sum of weight x term."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
import torchaudio
from torch import Tensor, nn
from torch.nn import functional

from voiceclone.audio.features import LOG_STD, MIN_VOICED_HZ, SAMPLE_RATE, LogMel, upper_edges

F0_REACH = 0.173  # natural log, three semitones: larger errors are attributed to voicing decisions, not to intonation
UNVOICED_SHARE = 0.1  # weight of the relative error in Hz within the F0 term
HEARD_RANGE = 11.5  # dynamic range in natural log of power (50 dB)
RESOLUTIONS = ((512, 128, 40), (1024, 256, 80), (2048, 512, 120))  # FFT and hop in samples, mel bands
UNCLEAR = 0.6  # nats per frame of the term ``phones``, above which the classifier is unreliable for a voice
ENERGY_FLOOR = -4.0  # natural log of energy below which a frame is silence, where recordings differ only in room noise


@dataclass(frozen=True, kw_only=True)
class LossWeights:
    """Weight of each named term in the total. A term with weight 0 is logged, but has no gradient."""

    mel_mse: float = 1.0  # squared error of the natural log-mel as in StyleTTS2
    mel: float = 1.0  # mean absolute error of natural log-mels at three resolutions
    speaker: float = 6.0  # 1 - cosine similarity of the speaker encoder's vectors
    phones: float = 2.0  # cross-entropy (nats) of the phone classifier per frame
    duration: float = 1.0  # mean absolute error per phoneme, relative to the clip's mean phoneme duration
    rate: float = 2.0  # |log ratio| of predicted to true total duration
    f0: float = 2.0  # robust error of log F0 in voiced frames of the clip
    f0_level: float = 4.0  # |mean log ratio| of predicted to true F0 of a clip
    f0_spread: float = 0.5  # |difference of the standard deviations of log F0| of a clip
    energy: float = 0.1  # smooth L1 of the log energy; low, because recordings also differ in it by room and microphone

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value >= 0.0 or value == float("inf"):
                raise ValueError(f"loss weight {name} must be a number >= 0, not {value}")


def weights_from(weights: LossWeights, phones_stock: float) -> LossWeights:
    """The weights for a speaker, given the term ``phones`` (nats per frame) of the best stock voice.

    A high value for the stock voice is due to the base or the classifier rather than to the clone. Minimising the term
    further would then change the speaker's identity. The weight therefore decreases with the square of the value above
    ``UNCLEAR``.
    """
    return replace(weights, phones=weights.phones * min(1.0, UNCLEAR / max(phones_stock, 1e-6)) ** 2)


def total(terms: Mapping[str, Tensor], weights: LossWeights) -> Tensor:
    """Sum of weight x term, a scalar; every term must have a weight."""
    return torch.stack([getattr(weights, name) * value for name, value in terms.items()]).sum()


def mel_mse(spoken: Tensor, target: Tensor, log_mel: LogMel, bandwidth: Tensor | None = None) -> Tensor:
    """Mean squared error of the natural log-mels of two aligned signals, each ``(B, T)``.

    Bands that end above the target's ``bandwidth`` ``(B,)`` in Hz are left out, because the recording has no energy
    there.

    Values more than ``HEARD_RANGE`` below a crop's maximum are clipped in both signals. Otherwise the logarithm would
    make the room noise in pauses the largest error.
    """
    true = log_mel(target)
    floor = true.amax(dim=(1, 2), keepdim=True) - HEARD_RANGE / LOG_STD
    ours, true = torch.maximum(log_mel(spoken), floor), torch.maximum(true, floor)
    if bandwidth is None:
        return functional.mse_loss(ours, true) * LOG_STD**2
    return _within((ours - true).square(), log_mel.mel.mel_scale.fb, bandwidth) * LOG_STD**2


class MultiMel(nn.Module):
    """Mean absolute error of natural log-mels at three resolutions, clipped at ``HEARD_RANGE`` below the maximum."""

    def __init__(self) -> None:
        super().__init__()
        self.mels = nn.ModuleList(
            torchaudio.transforms.MelSpectrogram(
                sample_rate=SAMPLE_RATE, n_fft=size, win_length=size, hop_length=hop, n_mels=bands, power=1
            )
            for size, hop, bands in RESOLUTIONS
        )

    def forward(self, spoken: Tensor, target: Tensor, bandwidth: Tensor | None = None) -> Tensor:
        """Loss of two aligned signals ``(B, T)``, a scalar. ``bandwidth`` is as in :func:`mel_mse`."""
        error = spoken.new_zeros(())
        for mel in self.mels:
            true = torch.log(mel(target) + 1e-5)
            floor = true.amax(dim=(1, 2), keepdim=True) - HEARD_RANGE / 2  # halved: these are magnitudes, not powers
            ours, true = torch.maximum(torch.log(mel(spoken) + 1e-5), floor), torch.maximum(true, floor)
            if bandwidth is None:
                error = error + functional.l1_loss(ours, true)
            else:
                error = error + _within((ours - true).abs(), mel.mel_scale.fb, bandwidth)
        return error / len(self.mels)


def _within(errors: Tensor, filters: Tensor, bandwidth: Tensor) -> Tensor:
    """Mean of errors ``(B, bands, T)`` over the bands that end within each item's bandwidth ``(B,)`` in Hz."""
    counts = (upper_edges(filters) <= bandwidth[:, None]).to(errors)
    return ((errors.mean(dim=2) * counts).sum(dim=1) / counts.sum(dim=1).clamp(min=1.0)).mean()


def speaker_term(vectors: Tensor, speaker: Tensor) -> Tensor:
    """Mean of 1 - cosine between unit vectors ``(B, D)`` and the speaker's ``(D,)``."""
    return 1.0 - (vectors @ speaker).mean()


def duration_terms(soft: Tensor, true: Tensor) -> dict[str, Tensor]:
    """``duration`` and ``rate`` from soft and true durations ``(T,)`` in frames, without BOS and EOS (silence)."""
    soft, true = soft[1:-1], true[1:-1].to(soft)
    return {
        "duration": (soft - true).abs().mean() / true.mean(),
        "rate": (torch.log(soft.sum()) - torch.log(true.sum())).abs(),
    }


def f0_terms(predicted: Tensor, true: Tensor) -> dict[str, Tensor]:
    """``f0``, ``f0_level`` and ``f0_spread`` from F0 in Hz ``(2F,)``, over frames that are voiced in the clip.

    At transitions to unvoiced phones the prediction falls towards 0 Hz, which is inaudible. Such frames must not
    dominate, and their contribution must be continuous. ``f0`` therefore grows logarithmically beyond ``F0_REACH``, and
    predictions below ``MIN_VOICED_HZ`` are clamped to it. (A mean over frames voiced in both signals is discontinuous:
    as it raises F0, more such frames enter the mean, and the error increases even on the training clips.) ``f0_level``
    and ``f0_spread`` leave out frames that differ from the median difference by more than ``F0_REACH``. A small weight
    of the plain error, relative to the clip's mean F0, gives a gradient to frames that are still unvoiced.
    """
    voiced = true > MIN_VOICED_HZ
    zero = predicted.sum() * 0.0
    if not voiced.any():
        return {"f0": zero, "f0_level": zero, "f0_spread": zero}
    predicted, true = predicted[voiced], true[voiced]
    linear = ((predicted - true).abs() / true.mean()).mean()
    difference = torch.log(predicted.clamp(min=MIN_VOICED_HZ)) - torch.log(true)
    f0 = F0_REACH * torch.log1p(difference.abs() / F0_REACH).mean() + UNVOICED_SHARE * linear
    both = predicted.detach() > MIN_VOICED_HZ
    typical = torch.zeros_like(both)
    if both.any():
        typical = both & ((difference - difference[both].detach().median()).abs() <= F0_REACH)
    if typical.sum() < 2:
        return {"f0": f0, "f0_level": zero, "f0_spread": zero}
    ours, theirs = torch.log(predicted[typical]), torch.log(true[typical])
    return {
        "f0": f0,
        "f0_level": (ours - theirs).mean().abs(),
        # The small constant keeps the gradient finite for constant F0.
        "f0_spread": ((ours.var() + 1e-6).sqrt() - (theirs.var() + 1e-6).sqrt()).abs(),
    }


def energy_term(predicted: Tensor, true: Tensor) -> Tensor:
    """Smooth L1 of log energies ``(2F,)``, both clipped below at :data:`ENERGY_FLOOR`."""
    floor = max(ENERGY_FLOOR, float(true.min()))
    return functional.smooth_l1_loss(predicted.clamp(min=floor), true.clamp(min=floor))
