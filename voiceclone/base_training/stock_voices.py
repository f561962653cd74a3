"""Stock voices: a voice pack of a training speaker, from the styles of the speaker's recordings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from voiceclone.base_training.corpus import Corpus
from voiceclone.style.encoders import StyleEncoders
from voiceclone.voice.pack import ROWS

BANDS = (12, 24, 48, 120)
"""Lengths in phonemes for which a speaker's mean style is computed."""
MIN_MEL_FRAMES = 96


@torch.no_grad()
def speaker_styles(corpus: Corpus, encoders: StyleEncoders, indices: Sequence[int], tokens: int) -> Tensor:
    """Styles ``(len(indices), 256)`` of the first ``tokens`` phonemes of each utterance (or all of a shorter one)."""
    styles = []
    for index in indices:
        utterance = corpus.utterances[index]
        frames = sum(utterance.durations[: tokens + 1]) if tokens < len(utterance.phonemes) else utterance.frames
        mel = corpus.mel(index, 0, frames)
        mel = np.tile(mel, (1, -(-MIN_MEL_FRAMES // mel.shape[1])))
        styles.append(encoders(torch.from_numpy(np.ascontiguousarray(mel))[None])[0])
    return torch.stack(styles)


def stock_voice(
    corpus: Corpus, encoders: StyleEncoders, speaker: str, *, most: int = 40, indices: Sequence[int] | None = None
) -> Tensor:
    """A voice pack ``(510, 1, 256)`` float32: mean styles by phoneme-length band, interpolated over the rows.

    The rows change with length as in Kokoro's packs, because the style of a short sentence differs from that of a long
    one.

    Args:
        corpus: the recordings.
        encoders: the base's own pair, in eval mode.
        speaker: name.
        most: maximum number of utterances.
        indices: the speaker's utterances to use; all of them when None.
    """
    picked = list(corpus.by_speaker[speaker] if indices is None else indices)[:most]
    means = torch.stack([speaker_styles(corpus, encoders, picked, band).mean(0) for band in BANDS]).numpy()
    rows = np.log(np.arange(1, ROWS + 1))
    bands = np.log(np.array(BANDS, dtype=np.float64))
    # Gaussian weights in log length: smooth over the rows, constant beyond the outermost bands.
    distance = (np.clip(rows, bands[0], bands[-1])[:, None] - bands[None]) / 0.45
    weights = np.exp(-0.5 * distance**2)
    pack = (weights / weights.sum(1, keepdims=True)) @ means
    return torch.from_numpy(pack.astype(np.float32)).unsqueeze(1)


def varied_speakers(packs: dict[str, Tensor], count: int, first: Sequence[str] = ()) -> list[str]:
    """``count`` names with distant voices (farthest-point sampling), always including ``first``; sorted."""
    names = sorted(packs)
    points = torch.stack([packs[name].mean(0).flatten() for name in names])
    chosen = [names.index(name) for name in first][:count] or [0]
    while len(chosen) < min(count, len(names)):
        nearest = torch.cdist(points, points[chosen]).min(1).values
        chosen.append(int(nearest.argmax()))
    return sorted(names[i] for i in chosen)
