"""Batches of whole utterances. A step's batch depends only on the seed and the step, so that resuming is exact."""

from __future__ import annotations

import logging
from dataclasses import dataclass, fields

import numpy as np
import torch
import torchaudio
from torch import Tensor

from voiceclone.audio.features import FRAME_SAMPLES, SAMPLE_RATE
from voiceclone.base_training.config import TrainConfig
from voiceclone.base_training.corpus import Corpus
from voiceclone.base_training.losses import SHORTEST_AUDIO
from voiceclone.base_training.vits2.settings import Vits2Settings
from voiceclone.distributed import ProcessGroup
from voiceclone.errors import UsageError
from voiceclone.models.vits2.config import Vits2Config
from voiceclone.models.vits2.speaking import with_blanks
from voiceclone.models.vits2.spectrogram import Spectrogram

logger = logging.getLogger(__name__)

TOKEN_STEP, FRAME_STEP = 16, 40
"""Lengths are padded to multiples of these: on the CPU every new shape costs the building of new kernels."""
HELD_FROM = 5
"""Minimum number of utterances of a speaker for which one is held out for validation."""
SHORT_SHARE = 0.1
"""Fraction of batches with the shortest utterances. A window at a random place seldom contains them, and a model that
has seen few of them speaks single words badly."""


@dataclass(frozen=True, kw_only=True)
class Vits2Share:
    """Fraction of the whole batch in one process' rows, for means over rows, tokens and frames."""

    rows: float = 1.0
    tokens: float = 1.0
    frames: float = 1.0

    def of(self, terms: dict[str, Tensor]) -> dict[str, Tensor]:
        """Scale loss terms of these rows such that their sum over the processes is the term of the whole batch."""
        parts = {"kl": self.frames, "duration": self.tokens, "duration_adversarial": self.tokens}
        return {name: value * parts.get(name, self.rows) for name, value in terms.items()}


@dataclass(frozen=True, kw_only=True)
class Vits2Batch:
    """Whole utterances, padded. N is the largest number of tokens, T the largest number of spectrogram frames."""

    tokens: Tensor
    """int64 ``(B, N)``, 0-padded."""
    lengths: Tensor
    """int64 ``(B,)``."""
    durations: Tensor
    """float32 ``(B, N)``, frames of each token by the corpus' durations, 0 in the padding."""
    spectrogram: Tensor
    """float32 ``(B, bands, T)``."""
    frames: Tensor
    """int64 ``(B,)``."""
    audio: Tensor
    """float32 ``(B, 1, hop T)``."""
    speakers: Tensor
    """int64 ``(B,)``."""
    draw: Tensor
    """float32 ``(B,)`` in 0-1: relative start of the decoder's crop."""
    crop_frames: int
    """Length of the decoder's crop in frames: that of the config, or of the shortest row of the whole batch."""
    frame_seconds: float
    share: Vits2Share

    def to(self, device: torch.device) -> Vits2Batch:
        """The same batch on ``device``."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return type(self)(**{k: v.to(device) if isinstance(v, Tensor) else v for k, v in values.items()})


class Vits2Batches:
    """Draws whole utterances of similar length from a corpus.

    One utterance of every speaker with at least 5 is held out for validation.

    Args:
        corpus: the utterances.
        config: settings.
        speaker_boost: relative frequency of each speaker.
        process_group: the processes that share every batch; None for a single process.

    Raises:
        UsageError: no utterance can be used for training.
    """

    def __init__(
        self,
        corpus: Corpus,
        config: TrainConfig,
        model: Vits2Config,
        *,
        speaker_boost: dict[str, float] | None = None,
        process_group: ProcessGroup | None = None,
    ) -> None:
        self.corpus, self.config, self.model, self.process_group = corpus, config, model, process_group
        settings = config.system_settings
        assert isinstance(settings, Vits2Settings)
        front = model.front_end
        self.per_frame = FRAME_SAMPLES / SAMPLE_RATE * front.sample_rate / front.hop
        """Frames of the front end in one of the corpus."""
        self.spectrogram = Spectrogram(front)
        self._least_frames = -(-SHORTEST_AUDIO // front.hop)
        rng = np.random.default_rng(config.seed + 17)
        held = [int(rng.choice(ours)) for ours in corpus.by_speaker.values() if len(ours) >= HELD_FROM]
        training = [i for i in range(len(corpus.utterances)) if i not in set(held) and self._fits(i)]
        limits = (
            f"are longer than {settings.max_frames} or shorter than {self._least_frames} frames, or have fewer frames "
            "than tokens"
        )
        if not training:
            raise UsageError(f"all utterances {limits}: raise max_frames, or cut the recordings")
        if left := len(corpus.utterances) - len(held) - len(training):
            logger.warning("%d utterances %s: they are left out", left, limits)
        self.validation = [index for index in held if self._fits(index)]
        self._by_length = np.array(sorted(training, key=lambda i: corpus.frames[i]))
        boost = speaker_boost or {}
        self._weights = np.array([boost.get(corpus.utterances[i].speaker, 1.0) for i in self._by_length])

    def _fits(self, index: int) -> bool:
        settings = self.config.system_settings
        assert isinstance(settings, Vits2Settings)
        tokens = len(self.corpus.utterances[index].tokens)
        frames = int(self.corpus.frames[index] * self.per_frame)
        least = max(self._least_frames, 2 * tokens - 1 if self.model.add_blank else tokens)
        return least <= frames <= settings.max_frames

    def whole(self, step: int) -> Vits2Batch:
        """The batch of a step, or the rows of this process."""
        rng = np.random.default_rng([self.config.seed, step, 2])
        count = min(self.config.crop_batch, len(self._by_length))
        window = min(max(8 * count, len(self._by_length) // 10), len(self._by_length))
        first = 0 if rng.random() < SHORT_SHARE else int(rng.integers(0, len(self._by_length) - window + 1))
        weights = self._weights[first : first + window]
        picked = rng.choice(
            self._by_length[first : first + window], size=count, replace=False, p=weights / weights.sum()
        )
        draw = rng.random(count, dtype=np.float32)
        return self._batch([int(i) for i in picked], draw, shared=True)

    def fixed(self, indices: list[int]) -> Vits2Batch:
        """A batch of these utterances, the same at every call; never divided among processes."""
        return self._batch(indices, np.zeros(len(indices), dtype=np.float32), shared=False)

    def _batch(self, picked: list[int], draw: np.ndarray, *, shared: bool) -> Vits2Batch:
        rows, part = (
            (range(len(picked)), 1.0)
            if not shared or self.process_group is None
            else self.process_group.rows(len(picked))
        )
        whole = [self._utterance(index) for index in picked]
        ours = [whole[row] for row in rows]
        counts, sizes = (np.array([len(one[key]) for one in whole]) for key in (0, 1))
        frames = np.array([int(durations.sum()) for _, durations, _ in whole])
        # The padding is that of the whole batch, independent of the process.
        width, longest = _up(int(counts.max()), TOKEN_STEP), _up(int(frames.max()), FRAME_STEP)
        assert (counts == sizes).all()
        hop = self.model.front_end.hop
        spectra = [self._spectrum(picked[row], whole[row][2]) for row in rows]
        chosen = list(rows)
        mine = part > 0
        return Vits2Batch(
            tokens=torch.stack([_padded(tokens, width) for tokens, _, _ in ours]),
            durations=torch.stack([_padded(durations, width) for _, durations, _ in ours]).float(),
            lengths=torch.from_numpy(counts[chosen]),
            frames=torch.from_numpy(frames[chosen]),
            spectrogram=torch.stack([_padded(one, longest) for one in spectra]),
            audio=torch.stack([_padded(audio, longest * hop) for _, _, audio in ours]).unsqueeze(1),
            speakers=torch.tensor([self._speaker(picked[row]) for row in rows]),
            draw=torch.from_numpy(draw[chosen]),
            crop_frames=min(self.model.crop_frames, int(frames.min())),
            frame_seconds=hop / self.model.front_end.sample_rate,
            share=Vits2Share(
                rows=part,
                tokens=float(counts[chosen].sum() / counts.sum()) if mine else 0.0,
                frames=float(frames[chosen].sum() / frames.sum()) if mine else 0.0,
            ),
        )

    def _utterance(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens and durations ``(N,)`` and audio ``(hop T,)`` of an utterance, in the model's format."""
        front, utterance = self.model.front_end, self.corpus.utterances[index]
        tokens, durations = torch.tensor(utterance.tokens), torch.tensor(utterance.durations)
        ends = torch.floor(durations.cumsum(0) * self.per_frame + 0.5)
        durations = torch.diff(ends, prepend=torch.zeros(1)).long()
        if self.model.add_blank:
            tokens, durations = with_blanks(tokens), _with_blanks(durations)
        audio = torch.from_numpy(self.corpus.audio(index))
        if front.sample_rate != SAMPLE_RATE:
            audio = torchaudio.functional.resample(audio, SAMPLE_RATE, front.sample_rate)
        return tokens, durations, _padded(audio, int(durations.sum()) * front.hop)

    def _speaker(self, index: int) -> int:
        return self.corpus.speakers.index(self.corpus.utterances[index].speaker)

    def _spectrum(self, index: int, audio: Tensor) -> Tensor:
        """``(bands, T)``."""
        if self.model.front_end.is_cached:
            return torch.from_numpy(np.ascontiguousarray(self.corpus.mel(index)))
        with torch.no_grad():
            return self.spectrogram(audio[None])[0]


def _with_blanks(durations: Tensor) -> Tensor:
    """Durations of tokens ``(N,)`` and of the blanks after all but the last, ``(2 N - 1,)``: half each."""
    blanks = durations[:-1] // 2
    result = durations.new_zeros(2 * len(durations) - 1)
    result[::2], result[1::2] = durations, blanks
    result[:-1:2] -= blanks
    return result


def _padded(values: Tensor, longest: int) -> Tensor:
    """Pad ``(..., T)`` with zeros to ``longest``, or cut it."""
    return torch.nn.functional.pad(values, (0, longest - values.shape[-1]))


def _up(value: int, step: int) -> int:
    return -(-value // step) * step
