"""Where training starts: the best stock voice, blend of stock voices or zero-shot voice, each half on its own."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from torch import Tensor

from voiceclone.projection import losses
from voiceclone.projection.losses import LossWeights
from voiceclone.projection.objective import Crop, Objective
from voiceclone.projection.passes import crops_at_once, mean_terms, term_gradients
from voiceclone.voice.pack import STYLE_DIM, VOICE_DIM, VoicePack
from voiceclone.voice.profile import REFERENCE_ROW, LengthProfile

BLEND = "a blend of stock voices"
ZERO_SHOT = "zero-shot"
BLENDED = 8  # stock voices in a blend at most, the nearest ones
TIMBRE_STEPS, PROSODY_STEPS = 15, 25  # of the search for a blend
BLEND_RATE = 0.3  # step of the blend's logits
MIN_VOICES = 5  # for a covariance
_MIN_SPREAD = 0.05  # standard deviation a value is given at least, where stock voices hardly differ in it
_SPREAD_WITHOUT_VOICES = 0.15


@dataclass(frozen=True, kw_only=True, eq=False)
class Start:
    """The anchor of a training: a base vector and where its halves come from."""

    vector: Tensor = field(repr=False)  # (1, 256)
    timbre_from: str
    prosody_from: str
    best_stock: str = ""  # the single stock voice with the least loss
    candidates: Mapping[str, Tensor] = field(default_factory=dict, repr=False)  # "best_blend", "zero_shot": (1, 256)

    def rows(self, profile: LengthProfile, device: torch.device) -> Callable[[int], Tensor]:
        """The start's row ``(1, 256)`` for a phoneme count."""
        vector = self.vector.to(device)
        return lambda phoneme_count: profile.row(vector, phoneme_count)


def neutral_start(stock: Mapping[str, VoicePack]) -> Start:
    """The mean stock voice, or the origin for a base without voices."""
    if not stock:
        return Start(vector=torch.zeros(1, VOICE_DIM), timbre_from="zero", prosody_from="zero")
    mean = _base_vectors(stock).mean(dim=0, keepdim=True)
    return Start(vector=mean, timbre_from="mean of stock voices", prosody_from="mean of stock voices")


def whitening(stock: Mapping[str, VoicePack]) -> Tensor:
    """The matrix ``(256, 256)`` after which the stock voices have unit covariance, the halves apart.

    The covariance is shrunk (Ledoit and Wolf 2004): there are fewer voices than values. The diagonal alone is used
    where there are less than ``MIN_VOICES`` voices.
    """
    if len(stock) < 2:
        return torch.eye(VOICE_DIM) / _SPREAD_WITHOUT_VOICES
    vectors = _base_vectors(stock)
    if len(stock) < MIN_VOICES:
        return torch.diag(1.0 / vectors.std(dim=0, unbiased=False).clamp(min=_MIN_SPREAD))
    from sklearn.covariance import ledoit_wolf

    result = torch.zeros(VOICE_DIM, VOICE_DIM)
    for half in (slice(0, STYLE_DIM), slice(STYLE_DIM, VOICE_DIM)):
        covariance, _ = ledoit_wolf(vectors[:, half].double().numpy())
        values, axes = np.linalg.eigh(covariance)
        result[half, half] = torch.from_numpy((axes / np.sqrt(np.maximum(values, _MIN_SPREAD**2))) @ axes.T).float()
    return result


def best_start(
    stock: Mapping[str, VoicePack],
    objective: Objective,
    *,
    crops: list[Crop],
    weights: LossWeights,
    zero_shot: Tensor | None,
    blend: bool = True,
    seed: int,
    advance: Callable[[], None] = lambda: None,
) -> Start:
    """Choose each half with the least loss on ``crops``: among stock voices, their best blend, and ``zero_shot``.

    Timbre is judged by the teacher-forced audio's terms, prosody by the predictor's. Without stock voices and
    ``zero_shot``, the neutral voice is all there is.
    """
    neutral = neutral_start(stock)
    search = _Search(objective, crops, weights, seed)
    named = {name: pack.tensor[REFERENCE_ROW] for name, pack in stock.items()} or {neutral.timbre_from: neutral.vector}
    scores = {}
    for name, vector in named.items():
        scores[name] = search.losses(vector)
        advance()
    best_stock = min(stock, key=lambda name: sum(scores[name])) if stock else ""
    candidates = {}
    if blend and len(stock) > 1:
        candidates["best_blend"] = _best_blend(named, scores, search)
        named[BLEND], scores[BLEND] = candidates["best_blend"], search.losses(candidates["best_blend"])
    if zero_shot is not None:
        candidates["zero_shot"] = zero_shot.cpu()
        named[ZERO_SHOT], scores[ZERO_SHOT] = zero_shot, search.losses(zero_shot)
    timbre, prosody = (min(scores, key=lambda name, half=half: scores[name][half]) for half in (0, 1))
    vector = torch.cat([named[timbre][:, :STYLE_DIM].cpu(), named[prosody][:, STYLE_DIM:].cpu()], dim=1)
    return Start(vector=vector, timbre_from=timbre, prosody_from=prosody, best_stock=best_stock, candidates=candidates)


class _Search:
    """Losses of base vectors on the same crops with the same noise."""

    def __init__(self, objective: Objective, crops: Sequence[Crop], weights: LossWeights, seed: int) -> None:
        self.objective, self.crops, self.weights, self.seed = objective, crops, weights, seed
        self.device = objective.kokoro.device
        self.at_once = crops_at_once(objective.kokoro, max(1, len(crops)))
        self.halves = (self._timbre, self._prosody)

    def losses(self, vector: Tensor) -> tuple[float, float]:
        """Loss of the timbre half and of the prosody half; infinite where it is no number."""
        found = []
        for terms_of in self.halves:
            with self._same_noise():
                terms = mean_terms(terms_of, vector.to(self.device), self.crops, self.at_once)
            loss = float(losses.total(terms, self.weights))
            found.append(loss if math.isfinite(loss) else math.inf)
        return found[0], found[1]

    def gradient(self, half: int, vector: Tensor) -> tuple[float, Tensor]:
        """Loss of a half (0: timbre, 1: prosody) and its gradient ``(1, 256)``."""
        with self._same_noise():
            moved = vector.to(self.device)
            terms, gradient = term_gradients(self.halves[half], moved, self.crops, self.weights, self.at_once)
        return float(losses.total(terms, self.weights)), gradient.to(vector.device)

    def _timbre(self, vector: Tensor, crops: Sequence[Crop]) -> dict[str, Tensor]:
        return self.objective.timbre_terms(self.objective.rows(vector, crops), crops)

    def _prosody(self, vector: Tensor, crops: Sequence[Crop]) -> dict[str, Tensor]:
        return self.objective.prosody_terms(self.objective.rows(vector, crops), crops)

    @contextlib.contextmanager
    def _same_noise(self) -> Iterator[None]:
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(self.seed)
            yield


def _best_blend(named: Mapping[str, Tensor], scores: Mapping[str, tuple[float, float]], search: _Search) -> Tensor:
    """The convex blend of the nearest stock voices with the least loss, each half on its own; ``(1, 256)``."""
    halves = []
    for half, steps in enumerate((TIMBRE_STEPS, PROSODY_STEPS)):
        nearest = sorted(named, key=lambda name, half=half: scores[name][half])[:BLENDED]
        vectors = torch.cat([named[name] for name in nearest])
        first = torch.tensor([scores[name][half] for name in nearest])
        blend = _descend(vectors, first, partial(search.gradient, half), steps)
        halves.append(blend[:, half * STYLE_DIM : (half + 1) * STYLE_DIM])
    return torch.cat(halves, dim=1)


def _descend(
    vectors: Tensor, scores: Tensor, gradient_at: Callable[[Tensor], tuple[float, Tensor]], steps: int
) -> Tensor:
    """Gradient descent on the weights of a convex blend of ``vectors`` ``(K, 256)``; the best blend passed."""
    logits = (-(scores - scores.min()) / scores.std(unbiased=False).clamp(min=1e-6)).requires_grad_(True)
    optimizer = torch.optim.Adam([logits], lr=BLEND_RATE)
    best, least = vectors[:1], float(scores.min())
    for _ in range(steps):
        blend = torch.softmax(logits, dim=0)[None] @ vectors
        value, gradient = gradient_at(blend.detach())
        if not math.isfinite(value):
            break
        if value < least:
            best, least = blend.detach(), value
        optimizer.zero_grad()
        blend.backward(gradient)
        optimizer.step()
    return best


def _base_vectors(stock: Mapping[str, VoicePack]) -> Tensor:
    return torch.stack([pack.tensor[REFERENCE_ROW, 0] for pack in stock.values()])
