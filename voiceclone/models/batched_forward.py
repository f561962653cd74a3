"""Differentiable, batched forward passes of a Kokoro-format model (its own has batch size 1 and no gradient)."""

from __future__ import annotations

import torch
from kokoro.model import KModel
from torch import Tensor, nn


def text_features(model: KModel, tokens: Tensor, lengths: Tensor) -> Tensor:
    """Token features of the acoustic half, ``(B, hidden, N)``."""
    return model.text_encoder(tokens, lengths, padding_mask(tokens, lengths))


def prosody_features(model: KModel, tokens: Tensor, lengths: Tensor, style: Tensor) -> Tensor:
    """Token features of the prosody half under a prosodic style ``(B, 128)``; ``(B, N, hidden + style)``."""
    padding = padding_mask(tokens, lengths)
    hidden = model.bert(tokens, attention_mask=(~padding).int())
    return model.predictor.text_encoder(model.bert_encoder(hidden).transpose(-1, -2), style, lengths, padding)


def duration_logits(model: KModel, features: Tensor, lengths: Tensor) -> Tensor:
    """Logits of "longer than k frames", ``(B, N, max_dur)``.

    The LSTM input is packed. In a padded batch the LSTM would use the padding to infer the speaking rate, and padding
    is absent in the synthesis of a single sentence.
    """
    packed = nn.utils.rnn.pack_padded_sequence(features, lengths.cpu(), batch_first=True, enforce_sorted=False)
    states, _ = nn.utils.rnn.pad_packed_sequence(
        model.predictor.lstm(packed)[0], batch_first=True, total_length=features.shape[1]
    )
    return model.predictor.duration_proj(states)


def curves(model: KModel, features: Tensor, frame_tokens: Tensor, style: Tensor) -> tuple[Tensor, Tensor]:
    """F0 (Hz) and energy ``(B, 2 C)`` of the frames whose tokens are ``frame_tokens`` ``(B, C)``."""
    index = frame_tokens[:, None, :].expand(-1, features.shape[2], -1)
    return model.predictor.F0Ntrain(torch.gather(features.transpose(1, 2), 2, index), style)


def decode_frames(
    model: KModel, features: Tensor, frame_tokens: Tensor, f0: Tensor, energy: Tensor, style: Tensor
) -> Tensor:
    """Waveform ``(B, 600 C)`` of the frames whose tokens are ``frame_tokens``; style is the acoustic one."""
    index = frame_tokens[:, None, :].expand(-1, features.shape[1], -1)
    return model.decoder(torch.gather(features, 2, index), f0, energy, style).squeeze(1)


def hidden_frames(
    model: KModel, features: Tensor, frame_tokens: Tensor, f0: Tensor, energy: Tensor, style: Tensor
) -> Tensor:
    """What the generator gets from the decoder, ``(B, channels, 2 C)``: :func:`decode_frames` without the generator.

    Follows ``kokoro.istftnet.Decoder.forward``.
    """
    decoder = model.decoder
    index = frame_tokens[:, None, :].expand(-1, features.shape[1], -1)
    tokens = torch.gather(features, 2, index)
    curve, level = decoder.F0_conv(f0[:, None]), decoder.N_conv(energy[:, None])
    hidden = decoder.encode(torch.cat([tokens, curve, level], dim=1), style)
    residual = torch.cat([decoder.asr_res(tokens), curve, level], dim=1)
    upsampled = False
    for block in decoder.decode:
        hidden = block(hidden if upsampled else torch.cat([hidden, residual], dim=1), style)
        upsampled = upsampled or block.upsample_type != "none"
    return hidden


def padding_mask(tokens: Tensor, lengths: Tensor) -> Tensor:
    """``(B, N)``, True in the padding."""
    return torch.arange(tokens.shape[1], device=tokens.device) >= lengths[:, None]
