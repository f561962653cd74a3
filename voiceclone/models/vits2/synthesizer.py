"""The complete VITS2: text and spectrogram to waveform in training, text to waveform in inference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from voiceclone.models.monotonic import best_paths
from voiceclone.models.vits2.config import LENGTH_SCALE, NOISE_SCALE, NOISE_SCALE_W, PLAIN, FrontEnd, Vits2Config
from voiceclone.models.vits2.decoder import build_decoder
from voiceclone.models.vits2.durations import DurationPredictor, expansion, predicted_frames
from voiceclone.models.vits2.encoders import PosteriorEncoder, TextEncoder, sampled
from voiceclone.models.vits2.flows import Flow
from voiceclone.models.vits2.layers import length_mask
from voiceclone.models.vits2.stochastic_durations import StochasticDurationPredictor


class Prior(NamedTuple):
    """Distribution of the latent frames given the text, N tokens."""

    features: Tensor
    """``(B, hidden, N)``."""
    mean: Tensor
    """``(B, channels, N)``: mean of the latent frames of each token."""
    log_scale: Tensor
    mask: Tensor
    """``(B, 1, N)``."""


class Posterior(NamedTuple):
    """Distribution of the latent frames given the recording, T frames."""

    z: Tensor
    """``(B, channels, T)``, a sample."""
    mean: Tensor
    log_scale: Tensor
    z_p: Tensor
    """``z`` mapped by the flow, for the comparison with the prior."""
    mask: Tensor
    """``(B, 1, T)``."""


class Synthesizer(nn.Module):
    """Both encoders, flow, duration predictor and decoder; with a speaker table for several speakers.

    A "voice" is a speaker vector ``(B, voice_size, 1)``: a row of the table or any other; None without speakers.
    """

    def __init__(self, config: Vits2Config) -> None:
        super().__init__()
        self.config = config
        self.text = TextEncoder(config)
        self.posterior = PosteriorEncoder(config)
        self.flow = Flow(config)
        self.decoder = build_decoder(config)
        self.durations: DurationPredictor | StochasticDurationPredictor = (
            StochasticDurationPredictor(config) if config.stochastic_durations else DurationPredictor(config)
        )
        self.speakers = nn.Embedding(config.speakers, config.speaker_channels) if config.speakers else None
        self._match_scale()

    @torch.no_grad()
    def _match_scale(self) -> None:
        """Let the prior start as wide as the flow's output; otherwise the divergence of a flow that doubles the values
        starts at thousands of nats."""
        gain = float(self.flow.log_determinant(torch.ones(1, 1, 1))) / self.config.channels
        self.text.statistics.bias[self.config.channels :] += gain

    def voices(self, speakers: Tensor | None) -> Tensor | None:
        """Vectors ``(B, voice_size, 1)`` of speakers given by index ``(B,)``."""
        return None if self.speakers is None or speakers is None else self.speakers(speakers).unsqueeze(-1)

    def read(self, tokens: Tensor, lengths: Tensor, voice: Tensor | None) -> Prior:
        """Encode tokens ``(B, N)`` with numbers of valid tokens ``lengths`` ``(B,)``."""
        mask = length_mask(lengths, tokens.shape[1])
        features, mean, log_scale = self.text(tokens, mask, voice)
        return Prior(features, mean, log_scale, mask)

    def encode_posterior(self, frames: Tensor, lengths: Tensor, voice: Tensor | None) -> Posterior:
        """Encode a spectrogram ``(B, bands, T)`` with numbers of valid frames ``lengths`` ``(B,)``."""
        mask = length_mask(lengths, frames.shape[2])
        mean, log_scale = self.posterior(frames, mask, voice)
        z = sampled(mean, log_scale, mask)
        return Posterior(z, mean, log_scale, self.flow(z, mask, voice), mask)

    def infer(
        self,
        tokens: Tensor,
        lengths: Tensor,
        voice: Tensor | None = None,
        *,
        noise_scale: Tensor | float = NOISE_SCALE,
        length_scale: Tensor | float = LENGTH_SCALE,
        noise_scale_w: Tensor | float = NOISE_SCALE_W,
        frames: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Synthesise tokens ``(B, N)``: audio ``(B, 1, hop T)`` and the frames of each token ``(B, N)``.

        Args:
            tokens: token ids.
            lengths: number of valid tokens ``(B,)``.
            voice: ``(B, voice_size, 1)``.
            noise_scale: standard deviation of the latent frames, relative to the prior's.
            length_scale: factor on the durations.
            noise_scale_w: standard deviation of the durations' noise.
            frames: ``(B, N)``, durations to use instead of predicted ones.
        """
        prior = self.read(tokens, lengths, voice)
        if frames is None:
            size = 2 if self.config.stochastic_durations else 1
            noise = torch.randn_like(prior.features[:, :size]) * noise_scale_w
            frames = predicted_frames(
                self.durations(prior.features, prior.mask, voice, noise), prior.mask, length_scale
            )
        totals = frames.sum(1)
        longest = totals.max().long()
        path, mask = expansion(frames, longest), length_mask(totals, longest)
        mean, log_scale = prior.mean @ path, prior.log_scale @ path
        z = self.flow.inverse(sampled(mean, log_scale, mask, torch.randn_like(mean) * noise_scale), mask, voice)
        return self.decoder(z * mask, voice), frames


def log_likelihood(z_p: Tensor, prior: Prior) -> Tensor:
    """Log-likelihood ``(B, N, T)`` of each frame of ``z_p`` ``(B, channels, T)`` under each token's Gaussian."""
    precision = torch.exp(-2 * prior.log_scale)
    constant = (-prior.log_scale - 0.5 * torch.log(torch.tensor(2 * torch.pi))).sum(1)
    squares = -0.5 * torch.einsum("bct,bcn->bnt", z_p**2, precision)
    products = torch.einsum("bct,bcn->bnt", z_p, prior.mean * precision)
    return squares + products + (constant - 0.5 * (prior.mean**2 * precision).sum(1)).unsqueeze(2)


@torch.no_grad()
def search_alignment(posterior: Posterior, prior: Prior, *, noise: float = 0.0) -> Tensor:
    """The best monotonic alignment ``(B, N, T)`` of frames to tokens.

    Args:
        posterior: of the recording.
        prior: of the text.
        noise: standard deviation of the noise on the log-likelihoods, relative to theirs: VITS2's noise-scaled search.
    """
    value = log_likelihood(posterior.z_p, prior)
    if noise > 0:
        value = value + value.std() * torch.randn_like(value) * noise
    return best_paths(value, prior.mask.sum((1, 2)).long(), posterior.mask.sum((1, 2)).long())


def crop_starts(lengths: Tensor, frames: int, draw: Tensor) -> tuple[Tensor, int]:
    """First frames ``(B,)`` of crops of a common length, and that length: at most ``frames`` and the shortest row.

    Args:
        lengths: frames of each row ``(B,)``.
        frames: maximum length of the crops.
        draw: ``(B,)``, uniform in 0-1.
    """
    count = min(frames, int(lengths.min()))
    starts = (draw * (lengths - count + 1)).long().clamp(min=0)
    return torch.minimum(starts, (lengths - count).long()), count


def cut_frames(x: Tensor, starts: Tensor, count: int) -> Tensor:
    """``count`` frames of each row of ``(B, C, T)`` from ``starts`` ``(B,)`` on."""
    places = starts[:, None] + torch.arange(count, device=x.device)[None]
    return x.gather(2, places.unsqueeze(1).expand(-1, x.shape[1], -1))


class SynthesizerTrn(Synthesizer):
    """A VITS2 with the arguments and outputs of the class of this name in the public implementations.

    Args:
        n_vocab: number of token ids.
        spec_channels: bands of the spectrogram.
        segment_size: frames of the decoder's crop.
    """

    def __init__(
        self,
        n_vocab: int,
        spec_channels: int,
        segment_size: int,
        inter_channels: int,
        hidden_channels: int,
        filter_channels: int,
        n_heads: int,
        n_layers: int,
        kernel_size: int,
        p_dropout: float,
        resblock: str,
        resblock_kernel_sizes: Sequence[int],
        resblock_dilation_sizes: Sequence[Sequence[int]],
        upsample_rates: Sequence[int],
        upsample_initial_channel: int,
        upsample_kernel_sizes: Sequence[int],
        n_speakers: int = 0,
        gin_channels: int = 0,
        use_sdp: bool = True,
        *,
        use_transformer_flows: bool = False,
        transformer_flow_type: str = "pre_conv",
        use_spk_conditioned_encoder: bool = False,
        use_noise_scaled_mas: bool = False,
        mas_noise_scale_initial: float = 0.01,
        noise_scale_delta: float = 2e-6,
        use_duration_discriminator: bool = False,
    ) -> None:
        hop = 1
        for rate in upsample_rates:
            hop *= rate
        super().__init__(
            Vits2Config(
                symbols=n_vocab, speakers=n_speakers, speaker_channels=gin_channels,
                front_end=FrontEnd(n_mels=spec_channels, hop=hop), channels=inter_channels, hidden=hidden_channels,
                filter=filter_channels, heads=n_heads, layers=n_layers, kernel=kernel_size, dropout=p_dropout,
                speaker_in_text=use_spk_conditioned_encoder, posterior_layers=16,
                flow=transformer_flow_type if use_transformer_flows else PLAIN, flow_layers=4,
                stochastic_durations=use_sdp, duration_filter=256, duration_noise=False,
                upsample_rates=tuple(upsample_rates), upsample_kernels=tuple(upsample_kernel_sizes),
                upsample_channels=upsample_initial_channel, resblock=resblock,
                resblock_kernels=tuple(resblock_kernel_sizes),
                resblock_dilations=tuple(tuple(one) for one in resblock_dilation_sizes), crop_frames=segment_size,
            )
        )  # fmt: skip
        self.use_duration_discriminator = use_duration_discriminator
        self.current_mas_noise_scale = mas_noise_scale_initial if use_noise_scaled_mas else 0.0
        self.noise_scale_delta = noise_scale_delta
        """The caller lowers the noise by this every step, as the public implementations' training does."""

    def forward(
        self, x: Tensor, x_lengths: Tensor, y: Tensor, y_lengths: Tensor, sid: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, tuple[Tensor, ...], tuple[Tensor, Tensor, Tensor]]:
        """Tokens ``(B, N)`` and spectrogram ``(B, bands, T)`` to what the losses need.

        Returns:
            audio ``(B, 1, hop S)`` of the crops, loss of the durations ``(B,)``, alignment ``(B, 1, T, N)``, first
            frames of the crops ``(B,)``, masks ``(B, 1, N)`` and ``(B, 1, T)``, the latent variables ``(z, z_p, m_p,
            logs_p, m_q, logs_q)`` ``(B, channels, T)`` each, and ``(x, logw, logw_)``: text features, predicted and
            aligned log durations ``(B, 1, N)``.
        """
        x_lengths, y_lengths = x_lengths.long(), y_lengths.long()
        voice = self.voices(sid)
        prior = self.read(x, x_lengths, voice)
        posterior = self.encode_posterior(y, y_lengths, voice)
        path = search_alignment(posterior, prior, noise=self.current_mas_noise_scale if self.training else 0.0)
        frames = path.sum(2).unsqueeze(1)
        aligned = torch.log(frames + 1e-6) * prior.mask
        tokens = prior.mask.sum((1, 2))
        if isinstance(self.durations, StochasticDurationPredictor):
            loss = self.durations.negative_log_likelihood(prior.features, prior.mask, voice, frames) / tokens
            noise = torch.randn_like(prior.features[:, :2])
            predicted = self.durations(prior.features, prior.mask, voice, noise)
        else:
            predicted = self.durations(prior.features, prior.mask, voice)
            loss = ((predicted - aligned) ** 2 * prior.mask).sum((1, 2)) / tokens
        starts, count = crop_starts(y_lengths, self.config.crop_frames, torch.rand(len(y), device=y.device))
        audio = self.decoder(cut_frames(posterior.z, starts, count), voice)
        latent = (
            posterior.z, posterior.z_p, prior.mean @ path, prior.log_scale @ path, posterior.mean, posterior.log_scale,
        )  # fmt: skip
        attention = path.transpose(1, 2).unsqueeze(1)
        return (
            audio, loss, attention, starts, prior.mask, posterior.mask, latent, (prior.features, predicted, aligned),
        )  # fmt: skip
