"""The named terms of the projection's loss. Each is a plain function; the total is the sum of weight x term."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
import torchaudio
from torch import Tensor, nn
from torch.nn import functional

from voiceclone.audio.features import LOG_STD, SAMPLE_RATE, LogMel, upper_edges

MIN_VOICED_HZ = 40.0  # F0 below this is no voicing, and log F0 must not see it
F0_REACH = 0.173  # natural log, three semitones: errors beyond it are taken for voicing, not for melody
UNVOICED_SHARE = 0.1  # of the relative distance in Hz within the F0 term
HEARD_RANGE = 11.5  # natural log of power (50 dB)
RESOLUTIONS = ((512, 128, 40), (1024, 256, 80), (2048, 512, 120))  # FFT and hop in samples, mel bands
UNCLEAR = 0.6  # nats a frame of the term ``phones`` beyond which the classifier is hardly right about a voice
ENERGY_FLOOR = -4.0  # energy (natural log) below which a frame is silence: recordings differ there by room noise only


@dataclass(frozen=True, kw_only=True)
class LossWeights:
    """Weight of each named term in the total; 0 leaves a term out of the gradient, not out of the log."""

    mel_mse: float = 1.0  # squared error of the natural log-mel, as StyleTTS2 sees it
    mel: float = 1.0  # mean absolute error of natural log-mels at three resolutions
    speaker: float = 6.0  # 1 - cosine of the speaker encoder's vectors
    phones: float = 2.0  # cross-entropy (nats) of the phone classifier's frames
    duration: float = 1.0  # mean absolute error per phoneme, relative to the clip's mean phoneme
    rate: float = 2.0  # |log| of predicted over true total duration
    f0: float = 2.0  # error of log F0 where the clip is voiced, far ones counted less
    f0_level: float = 4.0  # |mean log ratio| of predicted to true F0 of a clip
    f0_spread: float = 0.5  # |difference of the standard deviations of log F0| of a clip
    energy: float = 0.1  # smooth L1 of the log energy; recordings differ in it by room and microphone, too

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value >= 0.0 or value == float("inf"):
                raise ValueError(f"loss weight {name} must be a number >= 0, not {value}")


def weights_from(weights: LossWeights, phones_stock: float) -> LossWeights:
    """The weights for a speaker whose best stock voice has ``phones_stock`` in the term ``phones`` (nats a frame).

    A high term of the stock voice says more about the base and the classifier than about the clone: to be clearer than
    that is to be another speaker. So beyond ``UNCLEAR`` the weight falls with the square.
    """
    return replace(weights, phones=weights.phones * min(1.0, UNCLEAR / max(phones_stock, 1e-6)) ** 2)


def total(terms: Mapping[str, Tensor], weights: LossWeights) -> Tensor:
    """Sum of weight x term; every term must have a weight."""
    return torch.stack([getattr(weights, name) * value for name, value in terms.items()]).sum()


def mel_mse(spoken: Tensor, target: Tensor, log_mel: LogMel, bandwidth: Tensor | None = None) -> Tensor:
    """Mean squared error of the natural log-mels of two aligned signals, each ``(B, T)``.

    Bands that end above the target's ``bandwidth`` ``(B,)``, in Hz, are left out: there the recording holds nothing.

    What lies ``HEARD_RANGE`` below a crop's loudest value is cut off in both: the logarithm would else make the room
    noise in a recording's pauses the largest error of all.
    """
    true = log_mel(target)
    floor = true.amax(dim=(1, 2), keepdim=True) - HEARD_RANGE / LOG_STD
    ours, true = torch.maximum(log_mel(spoken), floor), torch.maximum(true, floor)
    if bandwidth is None:
        return functional.mse_loss(ours, true) * LOG_STD**2
    return _within((ours - true).square(), log_mel.mel.mel_scale.fb, bandwidth) * LOG_STD**2


class MultiMel(nn.Module):
    """Mean absolute error of natural log-mels at three resolutions, down to ``HEARD_RANGE`` below the loudest value."""

    def __init__(self) -> None:
        super().__init__()
        self.mels = nn.ModuleList(
            torchaudio.transforms.MelSpectrogram(
                sample_rate=SAMPLE_RATE, n_fft=size, win_length=size, hop_length=hop, n_mels=bands, power=1
            )
            for size, hop, bands in RESOLUTIONS
        )

    def forward(self, spoken: Tensor, target: Tensor, bandwidth: Tensor | None = None) -> Tensor:
        """Two aligned signals ``(B, T)`` to a scalar; ``bandwidth`` as in :func:`mel_mse`."""
        error = spoken.new_zeros(())
        for mel in self.mels:
            true = torch.log(mel(target) + 1e-5)
            floor = true.amax(dim=(1, 2), keepdim=True) - HEARD_RANGE / 2  # of magnitudes, not powers
            ours, true = torch.maximum(torch.log(mel(spoken) + 1e-5), floor), torch.maximum(true, floor)
            if bandwidth is None:
                error = error + functional.l1_loss(ours, true)
            else:
                error = error + _within((ours - true).abs(), mel.mel_scale.fb, bandwidth)
        return error / len(self.mels)


def _within(errors: Tensor, filters: Tensor, bandwidth: Tensor) -> Tensor:
    """Mean of errors ``(B, bands, T)`` over the bands that end within each item's bandwidth ``(B,)``, in Hz."""
    counts = (upper_edges(filters) <= bandwidth[:, None]).to(errors)
    return ((errors.mean(dim=2) * counts).sum(dim=1) / counts.sum(dim=1).clamp(min=1.0)).mean()


def speaker_term(vectors: Tensor, speaker: Tensor) -> Tensor:
    """Mean of 1 - cosine between unit vectors ``(B, D)`` and the speaker's ``(D,)``."""
    return 1.0 - (vectors @ speaker).mean()


def duration_terms(soft: Tensor, true: Tensor) -> dict[str, Tensor]:
    """``duration`` and ``rate`` from soft and true durations ``(T,)`` in frames; BOS and EOS (silence) are left out."""
    soft, true = soft[1:-1], true[1:-1].to(soft)
    return {
        "duration": (soft - true).abs().mean() / true.mean(),
        "rate": (torch.log(soft.sum()) - torch.log(true.sum())).abs(),
    }


def f0_terms(predicted: Tensor, true: Tensor) -> dict[str, Tensor]:
    """``f0``, ``f0_level`` and ``f0_spread`` from F0 in Hz ``(2F,)``, over the frames that are voiced in the clip.

    On its way to and from an unvoiced phone the prediction falls towards 0 Hz, which is inaudible. Such frames must
    neither dominate nor come and go: ``f0`` grows like a logarithm beyond ``F0_REACH`` and counts less than
    ``MIN_VOICED_HZ`` as just that, so that no frame's share jumps. (A mean over the frames that are voiced in both does
    jump: pulled up by it, more and more such frames come in, and the error grows on the very clips trained on.)
    ``f0_level`` and ``f0_spread`` leave out frames that lie ``F0_REACH`` from the typical difference. A share of the
    plain distance, in units of the clip's mean, pulls up frames that are not voiced yet.
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
        # The small constant keeps the gradient finite where a clip is spoken on one note.
        "f0_spread": ((ours.var() + 1e-6).sqrt() - (theirs.var() + 1e-6).sqrt()).abs(),
    }


def energy_term(predicted: Tensor, true: Tensor) -> Tensor:
    """Smooth L1 of energies ``(2F,)``; both are cut at the silence floor of the clip."""
    floor = max(ENERGY_FLOOR, float(true.min()))
    return functional.smooth_l1_loss(predicted.clamp(min=floor), true.clamp(min=floor))
