"""The order of the words in the sound: what a recogniser hears where two words of a text are swapped.

The codec is a table of the frames of four spoken words, so that tokens decode to real speech without a training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import soxr
import torch
from talks import RATE, spoken
from torch import Tensor
from torch.nn import functional as F

from voiceclone.models.mamba_conv.config import GenerationConfig, presets
from voiceclone.models.mamba_conv.generation import Conditions, generate
from voiceclone.models.mamba_conv.length import expand_tokens, frame_ends, frame_tokens
from voiceclone.models.mamba_conv.model import MambaConvTTS
from voiceclone.nets.phone_recognizer import load_recognizer

HOP = 300
WORDS = {"seven": "sˈɛvən", "window": "wˈɪndO", "yellow": "jˈɛlO", "table": "tˈAbəl"}
PARTS = 6  # text tokens of a word
STEPS = 120


class FrameTable:
    """Words as frames ``(frames, 300)``; the token of a frame is its number."""

    def __init__(self) -> None:
        frames = []
        for word in WORDS:
            audio = soxr.resample(spoken(f"{word}.")[0], RATE, 24_000).astype(np.float32)
            count = -(-len(audio) // HOP) + 8  # with a short pause
            frames.append(np.pad(audio, (0, count * HOP - len(audio))).reshape(count, HOP))
        self.counts = [len(own) for own in frames]
        self.frames = np.concatenate(frames)

    def texts(self, orders: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor, Tensor]:
        """Text tokens and their frames, ``(B, N)`` each, and codec tokens ``(B, 1, T)`` of words in some orders."""
        starts = np.cumsum([0, *self.counts])
        tokens = [[1 + PARTS * word + part for word in order for part in range(PARTS)] for order in orders]
        ends = [np.round(np.linspace(0, count, PARTS + 1)) for count in self.counts]
        lengths = [np.concatenate([np.diff(ends[word]) for word in order]) for order in orders]
        codes = [np.concatenate([np.arange(starts[word], starts[word + 1]) for word in order]) for order in orders]
        return torch.tensor(tokens), torch.tensor(np.array(lengths)), torch.tensor(np.array(codes))[:, None]

    def decode(self, codes: Tensor) -> np.ndarray:
        """Codec tokens ``(1, 1, T)`` to audio."""
        return self.frames[codes[0, 0].numpy()].reshape(-1)


def conditions(model: MambaConvTTS, tokens: Tensor, lengths: Tensor) -> Conditions:
    style, mask = torch.zeros(len(tokens), 128), torch.ones(*tokens.shape, 1)
    features = model.text(tokens, style, mask)
    text = expand_tokens(features, frame_tokens(frame_ends(lengths, 1.0))[0])
    return Conditions(
        text=text, context=model.text.pooled(features, mask), style=style, mask=torch.ones_like(text[..., :1])
    )  # fmt: skip


def trained(table: FrameTable) -> MambaConvTTS:
    """A model trained on the words in random orders."""
    torch.manual_seed(0)
    size = len(table.frames)
    model = MambaConvTTS(replace(presets("tiny")[1], levels=1, codebook_size=size, tokens=1 + PARTS * len(WORDS)))
    optimizer, rng = torch.optim.Adam(model.parameters(), lr=8e-3), np.random.default_rng(0)
    for _ in range(STEPS):
        tokens, lengths, codes = table.texts([rng.permutation(len(WORDS)) for _ in range(4)])
        given, shown = conditions(model, tokens, lengths), codes.clone()
        hidden = torch.rand(codes[:, 0].shape) < torch.rand(4, 1).clamp(min=0.3)
        shown[:, 0][hidden] = size
        features = model.decoder(
            shown, given.text, given.style, given.mask, level=0, share_masked=hidden.float().mean(1)
        )  # fmt: skip
        loss = F.cross_entropy(model.decoder.logits(features, 0)[hidden], codes[:, 0][hidden])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()


def test_swapped_words_are_heard_swapped() -> None:
    table, recognizer = FrameTable(), load_recognizer()
    assert recognizer is not None
    model = trained(table)

    def errors(audio: np.ndarray, order: Sequence[int]) -> float:
        wrong, phones = recognizer.error_rate(audio, " ".join(list(WORDS.values())[word] for word in order))
        return wrong / phones

    usual = (0, 1, 2, 3)
    for order in (usual, (0, 2, 1, 3), (3, 2, 1, 0)):
        tokens, lengths, codes = table.texts([order])
        assert errors(table.decode(codes), order) < 0.1  # the recogniser understands the recordings
        with torch.no_grad():
            made = generate(model.decoder, None, conditions(model, tokens, lengths), GenerationConfig(rounds=4))[0]
        heard = table.decode(made)
        assert errors(heard, order) < 0.25
        if order != usual:
            assert errors(heard, usual) > errors(heard, order) + 0.25
