"""Codec tokens of every utterance of a corpus, computed once for each codec."""

from __future__ import annotations

import hashlib
import json
import logging
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import nn

from voiceclone.base_training.arrays import growing_arrays
from voiceclone.base_training.corpus import Corpus
from voiceclone.files import write_json
from voiceclone.models.mamba_conv.quantizer import codebook_use

logger = logging.getLogger(__name__)


def codec_key(codec: nn.Module) -> str:
    """SHA-256 of a codec's weights."""
    digest = hashlib.sha256()
    for name, value in sorted(codec.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


class CodeCache:
    """Memory-mapped tokens. ``codes.npy`` contains the frames of all utterances, concatenated: ``(frames, levels)``.

    Args:
        corpus: the utterances.
        folder: of the cache; that of another codec or corpus is replaced.
        codec: frozen.
    """

    def __init__(self, folder: Path, corpus: Corpus, codec: nn.Module) -> None:
        counts = [-(-600 * int(frames) // codec.hop) for frames in corpus.frames]
        self.starts = np.concatenate([[0], np.cumsum(counts)])
        self.levels, self.size, self.hop = codec.levels, codec.codebook_size, codec.hop
        content = json.dumps([corpus.audio_sha256, [[u.name, u.speaker, list(u.durations)] for u in corpus.utterances]])
        key = {"codec": codec_key(codec), "corpus": hashlib.sha256(content.encode()).hexdigest()}
        path, stamp = Path(folder) / "codes.npy", Path(folder) / "codes.json"
        if not path.is_file() or not stamp.is_file() or json.loads(stamp.read_text(encoding="utf-8")) != key:
            stamp.unlink(missing_ok=True)  # deleted before the array is replaced
            _compute(Path(folder), corpus, codec)
            write_json(stamp, key)
        self._codes = np.load(path, mmap_mode="r")

    def codes(self, index: int, first: int = 0, count: int | None = None) -> np.ndarray:
        """Tokens of codec frames ``first`` to ``first + count`` of an utterance, int64 ``(levels, count)``."""
        begin, end = self.starts[index] + first, self.starts[index + 1]
        end = end if count is None else min(begin + count, end)
        return self._codes[begin:end].astype(np.int64).T

    @cached_property
    def use(self) -> list[float]:
        """Codebook use of each level over all utterances: perplexity / size, 0-1."""
        codes = torch.from_numpy(self._codes.astype(np.int64)).T[None]
        return [round(float(value), 4) for value in codebook_use(codes, self.size)]


@torch.no_grad()
def _compute(folder: Path, corpus: Corpus, codec: nn.Module) -> None:
    logger.info("encoding %d utterances into codec tokens", len(corpus.utterances))
    device = next(codec.parameters()).device
    kind = np.uint8 if codec.codebook_size <= 256 else np.uint16
    with growing_arrays(folder, {"codes": kind}) as arrays:
        for index in range(len(corpus.utterances)):
            audio = torch.from_numpy(corpus.audio(index))[None].to(device)
            arrays["codes"].append(codec.encode(audio)[0].T.cpu().numpy())
