"""Durations by a Gaussian for each phoneme, estimated from the recordings themselves.

Each phoneme has a diagonal Gaussian over the features of ``espeak_warp``. The Gaussians are fitted by
expectation-maximisation to the likelihood summed over all monotonic alignments, starting with a uniform alignment. The
durations are those of the best alignment. Glow-TTS and RAD-TTS train a text encoder that predicts the Gaussians; a
table needs only minutes of speech and seconds of computation. It works in every language, as only audio and phonemes
are needed.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from voiceclone.alignment.conditioning import condition
from voiceclone.alignment.durations import STRESSES, whole_frames
from voiceclone.alignment.features import SIZE, clip_features
from voiceclone.alignment.forward_sum import best_path, even, posteriors
from voiceclone.alignment.material import material_key
from voiceclone.audio.features import FRAME_SAMPLES, LogMel
from voiceclone.audio.io import read_audio
from voiceclone.data.rows import Row
from voiceclone.errors import VoicecloneError
from voiceclone.files import write_json
from voiceclone.models.checkpoint import load_strictly, read_state, save_state
from voiceclone.system.extras import require

logger = logging.getLogger(__name__)
VERSION = 1
VARIANCE_FLOOR = 0.02  # minimum variance, as a fraction of the variance of all frames
WEIGHTS, INDEX = "aligner.safetensors", "aligner.json"


@dataclass(frozen=True, kw_only=True)
class AlignerConfig:
    """Training settings of the aligner."""

    rounds: int = 20
    """EM iterations over all utterances."""
    batch: int = 32
    """Utterances in a batch."""
    most: int = 3000
    """Maximum number of utterances; of more, a random subset of this size is used."""
    prior: float = 20.0
    """Weight of the global mean in the Gaussian of each symbol, in frames of 12.5 ms."""
    seed: int = 0


class Gaussians(nn.Module):
    """A diagonal Gaussian for each token."""

    def __init__(self, tokens: int, size: int = SIZE) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(tokens, size))
        self.register_buffer("variance", torch.ones(tokens, size))

    def forward(self, tokens: Tensor, features: Tensor) -> Tensor:
        """Log-likelihood ``(B, N, T)`` of the features ``(B, D, T)`` given the tokens ``(B, N)``."""
        mean, precision = self.mean[tokens], 1.0 / self.variance[tokens]
        square = precision @ features**2 - 2.0 * (precision * mean) @ features + (precision * mean**2).sum(2)[..., None]
        return -0.5 * (square - torch.log(precision).sum(2)[..., None])


class LearnedAligner:
    """Callable ``(audio, text, phonemes) -> durations`` like ``EspeakAligner``, trained at the first call.

    Args:
        rows: training material; its durations are ignored.
        vocab: symbol to id.
        folder: cache of the trained aligner; one trained on the same rows is loaded from there.
        phonemize: text to phonemes, for rows without phonemes.
        language: which ``phonemize`` reads; an aligner trained on phonemes of another one is not loaded.

    Attributes:
        key: identifies the durations in a cache.

    Raises:
        MissingPackageError: the package for monotonic alignment search is not installed.
    """

    def __init__(
        self,
        rows: Sequence[Row],
        vocab: dict[str, int],
        folder: Path,
        *,
        phonemize: Callable[[str], str] | None = None,
        language: str = "",
        config: AlignerConfig | None = None,
    ) -> None:
        require("align", what="--alignment learned", otherwise=", or use --alignment warp")
        self.rows, self.vocab, self.folder, self.phonemize = rows, vocab, Path(folder), phonemize
        self.config = config or AlignerConfig()
        self.log_mel = LogMel()
        self._model: Gaussians | None = None
        self._failure: VoicecloneError | None = None
        self.key = material_key(rows, VERSION, asdict(self.config), vocab, language=language)

    def __call__(self, audio: np.ndarray, text: str, phonemes: str) -> np.ndarray:
        """Durations of every token in frames of 25 ms, int64 ``(len(phonemes) + 2,)``.

        Args:
            audio: ``(T,)`` at 24 kHz, T a multiple of 600.
            text: what is spoken.
            phonemes: its symbols.

        Raises:
            ValueError: the audio is too short for its phonemes.
            VoicecloneError: there is no usable training material.
        """
        if self._failure is not None:
            raise self._failure
        if self._model is None:
            try:
                self._model = self._load_or_train()
            except VoicecloneError as error:  # kept, because it would fail again for every recording
                self._failure = error
                raise
        tokens, features = self._tokens(phonemes), self._features(audio)
        with torch.no_grad():
            likelihood = self._model(torch.tensor([tokens]), torch.from_numpy(features)[None])[0]
        lengths = best_path(likelihood).numpy()
        return durations_with_stresses(phonemes, lengths / 2.0, len(audio) // FRAME_SAMPLES)

    def _features(self, audio: np.ndarray) -> np.ndarray:
        """Features ``(26, 2 F)`` float32, F frames of 25 ms."""
        with torch.no_grad():
            mel = self.log_mel(torch.from_numpy(np.ascontiguousarray(audio))[None])[0].numpy()
        return clip_features(mel)[:, : 2 * (len(audio) // FRAME_SAMPLES)].astype(np.float32)

    def _tokens(self, phonemes: str) -> list[int]:
        """Ids of BOS, all symbols but stress marks, and EOS."""
        return [0, *(self.vocab[c] for c in phonemes if c not in STRESSES), 0]

    def _load_or_train(self) -> Gaussians:
        model_path, index = self.folder / WEIGHTS, self.folder / INDEX
        stored = json.loads(index.read_text(encoding="utf-8")) if index.is_file() and model_path.is_file() else {}
        if stored.get("key") == self.key:
            model = Gaussians(max(self.vocab.values()) + 1)
            load_strictly(model, read_state(model_path), model_path)
            return model
        model = train_aligner(self._examples(), max(self.vocab.values()) + 1, self.config)
        index.unlink(missing_ok=True)
        save_state(model, model_path)
        # The index is written last: it identifies the material that the weights were trained on.
        write_json(index, {"key": self.key})
        return model

    def _examples(self) -> list[tuple[list[int], np.ndarray]]:
        """Token ids and features of the usable rows."""
        picked = np.random.default_rng(self.config.seed).permutation(len(self.rows))[: self.config.most]
        examples = []
        for number, row in enumerate(self.rows[i] for i in sorted(picked)):
            try:
                phonemes = row.phonemes
                if phonemes is None:
                    if self.phonemize is None:
                        raise VoicecloneError("the row has no phonemes and none can be computed here")
                    phonemes = self.phonemize(row.text)
                tokens = self._tokens("".join(c for c in phonemes if c in self.vocab))
                features = self._features(condition(read_audio(row.path)))
            except (VoicecloneError, ValueError) as error:  # reported again when its features are computed
                logger.debug("%s: not learned from: %s", row.path, error)
                continue
            if len(tokens) > 2 and features.shape[1] >= len(tokens):
                examples.append((tokens, features))
            if number % 200 == 199:
                logger.info("aligner: %d of %d recordings read", number + 1, len(picked))
        if not examples:
            raise VoicecloneError("no utterance can be aligned: each is too short for its text, or cannot be read")
        return examples


@torch.no_grad()
def train_aligner(examples: Sequence[tuple[list[int], np.ndarray]], tokens: int, config: AlignerConfig) -> Gaussians:
    """Fit the Gaussians of ``tokens`` symbols to token ids and features ``(26, T)`` of utterances."""
    model = Gaussians(tokens)
    ordered = sorted(examples, key=lambda example: example[1].shape[1])
    batches = [_batch(ordered[i : i + config.batch]) for i in range(0, len(ordered), config.batch)]
    everything = torch.from_numpy(np.concatenate([features for _, features in examples], axis=1))
    middle, spread = everything.mean(1), everything.var(1, unbiased=False)
    for number in range(config.rounds):
        count = torch.full((tokens, 1), config.prior)
        first = config.prior * middle.expand(tokens, -1)
        second = config.prior * (spread + middle**2).expand(tokens, -1)
        total, frames_seen = 0.0, 0
        for ids, states, features, frames in batches:
            likelihood = model(ids, features)
            shape = likelihood.shape[1:]
            weights = posteriors(likelihood, states, frames) if number else even(states, frames, *shape)
            spoken = ids.flatten()
            count = count.index_add(0, spoken, weights.sum(2).flatten()[:, None])
            first = first.index_add(0, spoken, (weights @ features.transpose(1, 2)).flatten(0, 1))
            second = second.index_add(0, spoken, (weights @ (features**2).transpose(1, 2)).flatten(0, 1))
            total, frames_seen = total + float((weights * likelihood).sum()), frames_seen + int(frames.sum())
        model.mean.copy_(first / count)
        # Without a minimum variance, a Gaussian could collapse onto a few frames.
        variance = torch.maximum(second / count - (first / count) ** 2, VARIANCE_FLOOR * spread)
        model.variance.copy_(variance)
        if number % 5 == 4:
            logger.info("aligner: round %d of %d, log-likelihood %.2f per frame", number + 1, config.rounds,
                        total / frames_seen)  # fmt: skip
    return model


def durations_with_stresses(phonemes: str, spoken: np.ndarray, frames: int) -> np.ndarray:
    """Durations of every token in whole frames, from those of BOS, the symbols without stress marks, and EOS.

    Args:
        phonemes: with stress marks, which get part of the symbol before them, as in ``durations_from_events``.
        spoken: float, frames of 25 ms, one for each token that is not a stress mark.
        frames: sum of the result.

    Returns:
        int64 ``(len(phonemes) + 2,)``, each >= 1.

    Raises:
        ValueError: there are fewer frames than tokens.
    """
    positions = [0, *(i + 1 for i, c in enumerate(phonemes) if c not in STRESSES), len(phonemes) + 1]
    starts = np.concatenate([[0.0], np.cumsum(spoken)])
    starts[-1] = frames
    return whole_frames(np.interp(np.arange(len(phonemes) + 3), [*positions, len(phonemes) + 2], starts), frames)


def _batch(examples: Sequence[tuple[list[int], np.ndarray]]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Padded token ids ``(B, N)``, their counts ``(B,)``, features ``(B, D, T)`` and frames ``(B,)``."""
    states = torch.tensor([len(tokens) for tokens, _ in examples])
    frames = torch.tensor([features.shape[1] for _, features in examples])
    ids = torch.zeros(len(examples), int(states.max()), dtype=torch.long)
    padded = torch.zeros(len(examples), examples[0][1].shape[0], int(frames.max()))
    for row, (tokens, features) in enumerate(examples):
        ids[row, : len(tokens)] = torch.tensor(tokens)
        padded[row, :, : features.shape[1]] = torch.from_numpy(features)
    return ids, states, padded, frames
