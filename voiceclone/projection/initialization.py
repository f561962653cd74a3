"""Initialization of the base vector: best stock voice, blend of stock voices or zero-shot voice, for each half."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from torch import Tensor

from voiceclone.models.frozen_kokoro import STYLE_DIM
from voiceclone.projection import losses
from voiceclone.projection.losses import LossWeights, weights_from
from voiceclone.projection.micro_batches import TermsOf, mean_terms, micro_batch_size, term_gradients
from voiceclone.projection.objective import Crop, Objective, as_free_running
from voiceclone.voice.pack import VOICE_DIM, VoicePack
from voiceclone.voice.profile import REFERENCE_ROW, LengthProfile

BLEND = "a blend of stock voices"
ZERO_SHOT = "zero-shot"
BLENDED = 8  # maximum number of stock voices in a blend: the nearest ones
BLEND_STEPS = 8  # gradient steps of the search for the blend weights; seven more lower the loss by 0 to 1 %
BLEND_RATE = 0.3  # learning rate of the blend's logits
NOT_PROSODIC = ("mel_mse", "mel")  # terms that do not depend on the prosodic half alone
FREE_RUNNING_CROPS = 16  # on which the term ``phones`` of the best stock voice is computed


@dataclass(frozen=True, kw_only=True, eq=False)
class Initialization:
    """The initial base vector and the origin of its halves."""

    vector: Tensor = field(repr=False)  # (1, 256)
    timbre_from: str
    prosody_from: str
    best_stock: str = ""  # name of the single stock voice with the lowest loss
    phones_stock: float = 0.0  # the term ``phones`` of that voice, free-running; 0: no phone classifier
    candidates: Mapping[str, Tensor] = field(default_factory=dict, repr=False)  # "best_blend", "zero_shot": (1, 256)

    def rows(self, profile: LengthProfile, device: torch.device) -> Callable[[int], Tensor]:
        """The initialization's row ``(1, 256)`` for a phoneme count."""
        vector = self.vector.to(device)
        return lambda phoneme_count: profile.row(vector, phoneme_count)


def neutral_initialization(stock: Mapping[str, VoicePack]) -> Initialization:
    """The mean of the stock voices, or the zero vector for a base without voices."""
    if not stock:
        return Initialization(vector=torch.zeros(1, VOICE_DIM), timbre_from="zero", prosody_from="zero")
    mean = _base_vectors(stock).mean(dim=0, keepdim=True)
    return Initialization(vector=mean, timbre_from="mean of stock voices", prosody_from="mean of stock voices")


def best_initialization(
    stock: Mapping[str, VoicePack],
    objective: Objective,
    *,
    crops: list[Crop],
    weights: LossWeights,
    zero_shot: Tensor | None,
    left_out: frozenset[str] = frozenset(),
    seed: int,
    advance: Callable[[], None] = lambda: None,
) -> Initialization:
    """Select each half by the lowest loss on ``crops`` among stock voices, their best blend and ``zero_shot``.

    The timbre half is selected first, by the loss terms of teacher-forced audio. The prosodic half is then selected by
    the predictor's terms and, if the objective has free-running crops, by their terms with the selected timbre. The
    latter detect voices whose average prosody matches but whose phones are unintelligible. The best stock voice also
    sets the weight of the phone classifier's term: see :func:`losses.weights_from`.

    Args:
        stock: the stock voices by name. If there are none and no ``zero_shot``, the neutral voice is returned.
        objective: computes the loss terms.
        crops: of the training clips.
        weights: of the loss terms.
        zero_shot: the voice ``(1, 256)`` estimated without training, or None.
        left_out: disabled parts of the recipe; only "blend" is used.
        seed: of the synthesis noise.
        advance: called after each evaluated candidate.
    """
    neutral = neutral_initialization(stock)
    named = {name: pack.tensor[REFERENCE_ROW] for name, pack in stock.items()} or {neutral.timbre_from: neutral.vector}
    half = partial(_Half, objective, crops=crops, seed=seed, advance=advance)
    timbre = half(partial(_timbre_terms, objective), weights=weights)
    predicted = half(partial(_prosody_terms, objective), weights=weights)
    terms = {name: (timbre.terms(vector), predicted.terms(vector)) for name, vector in named.items()}
    best_stock = min(stock, key=lambda n: timbre.loss(terms[n][0]) + predicted.loss(terms[n][1])) if stock else ""
    phones_stock = free_running_phones(objective, named[best_stock], seed) if stock else 0.0
    timbre.weights = predicted.weights = weights_from(weights, phones_stock)

    blending = "blend" not in left_out and len(stock) > 1
    added = {ZERO_SHOT: zero_shot.cpu()} if zero_shot is not None else {}
    timbres = _Choice(timbre, named, {n: timbre.loss(found) for n, (found, _) in terms.items()}, added, blending)
    prosody, scores = predicted, {n: predicted.loss(found) for n, (_, found) in terms.items()}
    if objective.free_running:
        spoken = partial(_spoken_terms, objective, timbres.vector[:, :STYLE_DIM])
        prosody = half(spoken, weights=predicted.weights)
        scores = {name: prosody.loss(prosody.terms(vector)) for name, vector in named.items()}
    prosodies = _Choice(prosody, named, scores, added, blending)

    candidates = {} if zero_shot is None else {"zero_shot": zero_shot.cpu()}
    if blending:
        candidates["best_blend"] = _joined(timbres.options[BLEND], prosodies.options[BLEND])
    return Initialization(
        vector=_joined(timbres.vector, prosodies.vector),
        timbre_from=timbres.name,
        prosody_from=prosodies.name,
        best_stock=best_stock,
        phones_stock=phones_stock,
        candidates=candidates,
    )


def search_steps(voices: int, *, free_running: bool) -> int:
    """Approximate number of times :func:`best_initialization` calls ``advance`` for so many stock voices."""
    return (3 if free_running else 2) * max(voices, 1) + (2 * BLEND_STEPS + 2 if voices > 1 else 0)


class _Half:
    """Loss of base vectors for one half, always on the same crops with the same noise."""

    def __init__(
        self,
        objective: Objective,
        terms_of: TermsOf,
        *,
        crops: Sequence[Crop],
        weights: LossWeights,
        seed: int,
        advance: Callable[[], None] = lambda: None,
    ) -> None:
        self.terms_of, self.crops, self.weights, self.seed = terms_of, crops, weights, seed
        self.advance = advance
        self.device = objective.kokoro.device
        self.micro_batch = micro_batch_size(objective.kokoro, max(1, len(crops)))

    def terms(self, vector: Tensor) -> dict[str, Tensor]:
        """Mean of each term for a base vector ``(1, 256)``."""
        self.advance()
        with self._same_noise():
            return mean_terms(self.terms_of, vector.to(self.device), self.crops, self.micro_batch)

    def loss(self, terms: Mapping[str, Tensor]) -> float:
        """Weighted sum of the terms; infinite where it is NaN."""
        loss = float(losses.total(terms, self.weights))
        return loss if math.isfinite(loss) else math.inf

    def gradient(self, vector: Tensor) -> tuple[float, Tensor]:
        """The loss and its gradient ``(1, 256)``."""
        self.advance()
        with self._same_noise():
            moved = vector.to(self.device)
            terms, gradient = term_gradients(self.terms_of, moved, self.crops, self.weights, self.micro_batch)
        return float(losses.total(terms, self.weights)), gradient.to(vector.device)

    @contextlib.contextmanager
    def _same_noise(self) -> Iterator[None]:
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(self.seed)
            yield


class _Choice:
    """The vector ``(1, 256)`` with the lowest loss of a half: a stock voice, the best blend, or one of ``added``."""

    def __init__(
        self,
        half: _Half,
        named: Mapping[str, Tensor],
        scores: Mapping[str, float],
        added: Mapping[str, Tensor],
        blending: bool,
    ) -> None:
        self.options = {**named, **added}
        if blending:
            self.options[BLEND] = _best_blend(half, named, scores)
        scores = {n: scores[n] if n in scores else half.loss(half.terms(v)) for n, v in self.options.items()}
        self.name = min(scores, key=scores.__getitem__)
        self.vector = self.options[self.name]


def _timbre_terms(objective: Objective, vector: Tensor, crops: Sequence[Crop]) -> dict[str, Tensor]:
    return objective.timbre_terms(objective.rows(vector, crops), crops)


def _prosody_terms(objective: Objective, vector: Tensor, crops: Sequence[Crop]) -> dict[str, Tensor]:
    return objective.prosody_terms(objective.rows(vector, crops), crops)


def _spoken_terms(objective: Objective, timbre: Tensor, vector: Tensor, crops: Sequence[Crop]) -> dict[str, Tensor]:
    """Terms of free-running crops with ``timbre`` ``(1, 128)`` and the prosodic half of ``vector``."""
    spoken = _joined(timbre.to(vector.device), vector)
    terms = objective.terms(spoken, as_free_running(crops))
    return {name: value for name, value in terms.items() if name not in NOT_PROSODIC}


def free_running_phones(objective: Objective, vector: Tensor, seed: int) -> float:
    """The term ``phones`` of free-running synthesis with ``vector`` ``(1, 256)``; 0 without a phone classifier."""
    if objective.phone_classifier is None:
        return 0.0
    crops = as_free_running(objective.random_crops(FREE_RUNNING_CROPS, np.random.default_rng(seed)))
    half = _Half(objective, objective.terms, crops=crops, weights=LossWeights(), seed=seed)
    value = float(half.terms(vector)["phones"])
    return value if math.isfinite(value) else 0.0


def _joined(timbre: Tensor, prosody: Tensor) -> Tensor:
    """Join the timbre half of one vector ``(1, >= 128)`` and the prosodic half of another ``(1, 256)``."""
    return torch.cat([timbre[:, :STYLE_DIM], prosody[:, STYLE_DIM:].to(timbre.device)], dim=1)


def _best_blend(half: _Half, named: Mapping[str, Tensor], scores: Mapping[str, float]) -> Tensor:
    """The convex combination ``(1, 256)`` of the nearest stock voices with the lowest loss of a half."""
    nearest = sorted(named, key=scores.__getitem__)[:BLENDED]
    vectors = torch.cat([named[name] for name in nearest])
    return _descend(vectors, torch.tensor([scores[name] for name in nearest]), half.gradient, BLEND_STEPS)


def _descend(
    vectors: Tensor, scores: Tensor, gradient_at: Callable[[Tensor], tuple[float, Tensor]], steps: int
) -> Tensor:
    """Gradient descent on the weights of a convex combination of ``vectors`` ``(K, 256)``; the best one found."""
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
