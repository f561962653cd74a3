"""Loss terms of base training."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torchaudio
from torch import Tensor, nn
from torch.nn import functional as F

from voiceclone.audio.features import SAMPLE_RATE
from voiceclone.projection.losses import RESOLUTIONS

COMPLEX_RESOLUTIONS = ((320, 80), (640, 160), (1200, 300))
"""(FFT and window in samples, hop in samples): 13 to 50 ms."""
SPECTRUM_FLOOR = 3e-3
SHORTEST_AUDIO = max(size for size, _, _ in RESOLUTIONS) // 2 + 1
"""Minimum samples of :class:`SpectralLoss`, whose spectrograms are padded by reflection at both ends."""


class SpectralLoss(nn.Module):
    """Multi-resolution spectral distances between waveforms, on the mel and on the linear frequency scale.

    The mel terms are weighted perceptually; the linear term resolves narrow formants.
    """

    def __init__(self) -> None:
        super().__init__()
        self.spectra = nn.ModuleList(
            torchaudio.transforms.Spectrogram(n_fft=size, win_length=size, hop_length=hop, power=1)
            for size, hop, _ in RESOLUTIONS
        )
        self.scales = nn.ModuleList(
            torchaudio.transforms.MelScale(n_mels=bands, sample_rate=SAMPLE_RATE, n_stft=size // 2 + 1)
            for size, _, bands in RESOLUTIONS
        )

    def forward(self, audio: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Waveforms ``(B, T)`` to named terms, each the mean over the resolutions.

        ``mel``: L1 of natural-log mels; ``convergence``: spectral convergence of the mels; ``spectrum``: L1 of
        natural-log magnitudes on the linear scale.
        """
        terms = {name: audio.new_zeros(()) for name in ("mel", "convergence", "spectrum")}
        for spectrum, scale in zip(self.spectra, self.scales, strict=True):
            linear, true_linear = spectrum(audio), spectrum(target)
            ours, theirs = scale(linear), scale(true_linear)
            terms["mel"] = terms["mel"] + F.l1_loss(torch.log(ours + 1e-3), torch.log(theirs + 1e-3))
            norms = theirs.flatten(1).norm(dim=1).clamp(min=1e-3)
            distance = (ours - theirs).flatten(1).norm(dim=1) / norms
            terms["convergence"] = terms["convergence"] + distance.mean()
            # A higher floor than for mels: random differences in single noise bins would dominate the loss.
            distance = F.l1_loss(torch.log(linear + SPECTRUM_FLOOR), torch.log(true_linear + SPECTRUM_FLOOR))
            terms["spectrum"] = terms["spectrum"] + distance
        return {name: value / len(self.spectra) for name, value in terms.items()}


def complex_distance(audio: Tensor, target: Tensor) -> Tensor:
    """Mean distance of complex spectra over the target's mean magnitude, averaged over the resolutions.

    Unlike :class:`SpectralLoss` it compares phases. These are predictable for a model with the target's own F0: two
    utterances of Kokoro-82M with different noise have a waveform correlation of 0.99.

    Args:
        audio: ``(B, T)``.
        target: ``(B, T)``.
    """
    total = audio.new_zeros(())
    for size, hop in COMPLEX_RESOLUTIONS:
        window = torch.hann_window(size, device=audio.device)
        ours, theirs = (torch.stft(x, size, hop, window=window, return_complex=True) for x in (audio, target))
        difference = ours - theirs
        # The gradient of |z| is not finite at 0.
        distance = (difference.real.square() + difference.imag.square() + 1e-6).sqrt().mean()
        total = total + distance / (theirs.abs().mean() + 1e-3)
    return total / len(COMPLEX_RESOLUTIONS)


def duration_losses(logits: Tensor, durations: Tensor, mask: Tensor) -> dict[str, Tensor]:
    """StyleTTS2's duration terms, and the relative error of the total length.

    Args:
        logits: ``(B, N, max_dur)``; the duration of a token is the sum of their sigmoids.
        durations: true frames ``(B, N)``, float.
        mask: ``(B, N)``, True at tokens, False in the padding.

    Returns:
        ``duration`` (L1 per token in frames, without BOS and EOS as in StyleTTS2), ``duration_bins`` (cross-entropy of
        "is
        longer than k frames") and ``duration_total`` (relative error of an utterance's length).
    """
    bins = torch.arange(logits.shape[-1], device=logits.device)
    longer = (durations[..., None] > bins).float()
    ce = F.binary_cross_entropy_with_logits(logits, longer, reduction="none").mean(-1)
    predicted = torch.sigmoid(logits).sum(-1)
    inner = mask.clone()
    inner[:, 0] = False
    ends = mask.sum(1) - 1
    inner[torch.arange(len(ends), device=ends.device), ends] = False
    total = ((predicted - durations) * mask).sum(1).abs() / (durations * mask).sum(1)
    return {
        "duration": (predicted - durations)[inner].abs().mean(),
        "duration_bins": ce[mask].mean(),
        "duration_total": total.mean(),
    }


def prosody_losses(f0: Tensor, energy: Tensor, true_f0: Tensor, true_energy: Tensor) -> dict[str, Tensor]:
    """Smooth L1 of F0 (Hz / 20, unvoiced 0) and of log energy; all inputs ``(B, T)``."""
    return {
        "f0": F.smooth_l1_loss(f0 / 20.0, true_f0 / 20.0),
        "energy": F.smooth_l1_loss(energy, true_energy),
    }


def style_range(style: Tensor, limit: float = 0.7) -> Tensor:
    """Penalty on values of styles ``(B, 256)`` beyond ``limit``, so that they stay in the range of Kokoro's styles."""
    return F.relu(style.abs() - limit).pow(2).sum(-1).mean()


def discriminator_loss(real: Sequence[Tensor], fake: Sequence[Tensor]) -> Tensor:
    """Least squares, mean over the discriminators.

    Args:
        real: each discriminator's scores of recordings, of any shape.
        fake: each discriminator's scores of synthesised audio.
    """
    return sum(((1 - r) ** 2).mean() + (f**2).mean() for r, f in zip(real, fake, strict=True)) / len(real)


def adversarial_loss(fake: Sequence[Tensor]) -> Tensor:
    """Least squares for the generator, mean over the discriminators.

    Args:
        fake: each discriminator's scores of synthesised audio, of any shape.
    """
    return sum(((1 - f) ** 2).mean() for f in fake) / len(fake)


def relative_loss(better: Sequence[Tensor], worse: Sequence[Tensor], tau: float = 0.04) -> Tensor:
    """Truncated pointwise relative least squares (TPRLS) of StyleTTS2, mean over the discriminators.

    Each score of ``better`` should exceed that of ``worse`` by at least the median difference. The shortfall is
    squared, averaged and truncated at ``tau``. For the discriminators ``better`` is the recording, for the generator
    its own audio.
    """
    losses = []
    for high, low in zip(better, worse, strict=True):
        margin = high - low
        short = margin - margin.median()
        below = (short < 0).float()
        losses.append((short.square() * below).sum() / below.sum().clamp(min=1.0))
    return torch.stack([tau - F.relu(tau - loss) for loss in losses]).mean()


def feature_match_loss(
    real: Sequence[Sequence[Tensor]],
    fake: Sequence[Sequence[Tensor]],
    over_all: Callable[[Tensor], Tensor] = lambda means: means,
) -> Tensor:
    """Mean relative L1 between discriminator features. It is relative so that all layers have equal weight.

    Args:
        real: features of recordings.
        fake: features of generated audio.
        over_all: maps the layers' mean magnitudes ``(layers,)`` over these rows to those over the whole batch.
    """
    pairs = [pair for rs, fs in zip(real, fake, strict=True) for pair in zip(rs, fs, strict=True)]
    sizes = over_all(torch.stack([r.detach().abs().mean().float() for r, _ in pairs])).clamp(min=1e-4)
    return sum((r.detach() - f).abs().mean() / size for (r, f), size in zip(pairs, sizes, strict=True)) / len(pairs)
