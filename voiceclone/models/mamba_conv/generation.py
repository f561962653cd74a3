"""Token generation in rounds: masked, coarse to fine (Chang et al. 2022; Borsos et al. 2023), or by refinement."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from voiceclone.models.mamba_conv.config import GenerationConfig
from voiceclone.models.mamba_conv.controller import is_enough
from voiceclone.models.mamba_conv.token_decoder import TokenDecoder


@dataclass(frozen=True, kw_only=True, eq=False)
class Conditions:
    """Inputs on which the tokens depend."""

    text: Tensor = field(repr=False)
    """Text features expanded to codec frames, ``(B, T, text_dim)``."""
    context: Tensor = field(repr=False)
    """Features of the whole text, ``(B, text_dim)``."""
    style: Tensor = field(repr=False)
    """``(B, style_dim)``."""
    mask: Tensor = field(repr=False)
    """``(B, T, 1)``, 0 in the padding."""
    unstyled: Tensor | None = field(default=None, repr=False)
    """As ``text``, but encoded without a style: for guidance."""

    @property
    def spoken(self) -> Tensor:
        """bool ``(B, T)``, True within the utterance."""
        return self.mask.squeeze(-1) > 0

    @property
    def lengths(self) -> Tensor:
        """Frames of each row, int64 ``(B,)``."""
        return self.spoken.sum(1)


@dataclass(frozen=True, kw_only=True, eq=False)
class Round:
    """Result of one round of level 0 or of the refinement."""

    number: int
    """From 1 on."""
    codes: Tensor = field(repr=False)
    """``(B, levels, T)``. In masked mode, undecided tokens are replaced by the most probable ones."""
    features: Tensor = field(repr=False)
    figures: Tensor = field(repr=False)
    """``(B, 3)``, inputs of the controller: undecided fraction, mean confidence, changed fraction."""
    updates: int
    """Number of tokens that were decided or changed in this round."""


def generate(
    decoder: TokenDecoder, controller: nn.Module | None, given: Conditions, settings: GenerationConfig
) -> tuple[Tensor, dict[str, Any]]:
    """Generate tokens ``(B, levels, T)``. With a controller that may stop, B must be 1.

    The controller is trained on the rounds of the coarsest level, and used in a refinement of all levels as well.

    Returns:
        The tokens; and ``iterations`` (of level 0 or of the refinement), ``confidence`` (mean, 0-1), ``updates``
        (tokens
        decided or changed in all rounds) and ``history`` (a dict for each round).
    """
    stop = None
    if settings.stop and controller is not None:

        def stop(done: Round, most: int) -> bool:
            go_on = float(controller(done.features, given.mask, given.context, done.figures).sigmoid().mean())
            return is_enough(go_on, float(done.figures[:, 1].mean()), done.number, most)

    steps = refine_rounds if settings.mode == "refine" else coarse_rounds
    history: list[dict[str, Any]] = []
    last: Round
    for last in steps(decoder, given, settings):
        history.append(
            {"round": last.number, "confidence": round(float(last.figures[:, 1].mean()), 4), "updates": last.updates}
        )
        done = last.number >= settings.min_rounds
        if done and stop is not None and last.number < settings.rounds and stop(last, settings.rounds):
            break
    if last is None:
        raise ValueError("settings.rounds must be 1 or more")
    codes = last.codes
    if settings.mode == "masked":
        for level in range(1, decoder.levels):
            rounds = settings.rounds_of(level)
            codes, decided = _finished(_level_rounds(decoder, given, settings, codes, level, rounds))
            history.append({"level": level, "rounds": rounds, "updates": decided})
    return codes, {
        "mode": settings.mode,
        "iterations": last.number,
        "confidence": round(float(last.figures[:, 1].mean()), 4),
        "updates": sum(entry["updates"] for entry in history),
        "history": history,
    }


def coarse_rounds(decoder: TokenDecoder, given: Conditions, settings: GenerationConfig) -> Iterator[Round]:
    """Rounds of level 0, starting fully masked.

    The codes are complete after each round, so that it can stop anywhere.
    """
    start = torch.full(
        (len(given.text), decoder.levels, given.text.shape[1]), decoder.mask_id, device=given.text.device
    )
    yield from _level_rounds(decoder, given, settings, start, 0, settings.rounds)


def refine_rounds(decoder: TokenDecoder, given: Conditions, settings: GenerationConfig) -> Iterator[Round]:
    """Start with random tokens; each round replaces the least confident ones by the most probable, at all levels."""
    shape = (len(given.text), decoder.levels, given.text.shape[1])
    codes = torch.randint(decoder.mask_id, shape, device=given.text.device)
    spoken = given.spoken.unsqueeze(1).expand(shape)
    doubted = torch.ones(shape[0], device=codes.device)
    for number in range(1, settings.rounds + 1):
        features = decoder(
            codes, given.text, given.style, given.mask, level=decoder.all_levels, share_masked=doubted
        )  # fmt: skip
        scores = decoder.all_logits(features)
        trust = decoder.confidences(features).sigmoid()
        # The confidence in a present token is its probability; the threshold increases with each round.
        likely = scores.softmax(-1).gather(-1, codes.unsqueeze(-1)).squeeze(-1)
        threshold = 0.2 + 0.7 * number / settings.rounds
        best = scores.argmax(-1)
        replaced = (likely < threshold) & (codes != best) & spoken
        codes = torch.where(replaced, best, codes)
        changed = replaced.float().flatten(1).sum(1) / spoken.float().flatten(1).sum(1)
        doubted = ((likely < threshold) & spoken).float().flatten(1).sum(1) / spoken.float().flatten(1).sum(1)
        mean = (trust * spoken).flatten(1).sum(1) / spoken.flatten(1).sum(1)
        yield Round(
            number=number, codes=codes, features=features, updates=int(replaced.sum()),
            figures=torch.stack([doubted, mean, changed], dim=1),
        )  # fmt: skip


def kept_after(number: int, rounds: int, lengths: Tensor) -> Tensor:
    """Decided tokens of a level after a round, int64 ``(B,)`` as ``lengths``: a cosine schedule from none to all."""
    share = 1.0 - math.cos(math.pi * number / (2 * rounds)) if number < rounds else 1.0
    return torch.ceil(lengths * share - 1e-9).long().clamp(min=0)


def _level_rounds(
    decoder: TokenDecoder, given: Conditions, settings: GenerationConfig, codes: Tensor, level: int, rounds: int
) -> Iterator[Round]:
    known = torch.zeros_like(given.spoken)
    before = codes[:, level]
    run = _guided(decoder, given, settings.guidance)
    for number in range(1, rounds + 1):
        masked = (given.spoken & ~known).sum(1) / given.lengths
        features, scores = run(codes, level, masked)
        heat = settings.temperature * (1.0 - number / rounds)
        tokens = (scores + heat * _gumbel(scores)).argmax(-1)
        tokens = torch.where(known, codes[:, level], tokens)
        likely = scores.log_softmax(-1).gather(-1, tokens.unsqueeze(-1)).squeeze(-1)
        likely = (likely + heat * _gumbel(likely)).masked_fill(known, torch.inf).masked_fill(~given.spoken, -torch.inf)
        rank = likely.argsort(dim=1, descending=True).argsort(dim=1)
        newly = (rank < kept_after(number, rounds, given.lengths)[:, None]) & given.spoken & ~known
        known = known | newly
        codes = codes.clone()
        codes[:, level] = torch.where(known, tokens, decoder.mask_id)
        whole = codes.clone()
        whole[:, level] = torch.where(known, tokens, scores.argmax(-1))
        trust = decoder.confidences(features)[:, level].sigmoid()
        figures = torch.stack(
            [
                (given.spoken & ~known).sum(1) / given.lengths,
                (trust * given.spoken).sum(1) / given.lengths,
                ((tokens != before) & given.spoken).sum(1) / given.lengths,
            ],
            dim=1,
        )
        before = tokens
        yield Round(number=number, codes=whole, features=features, figures=figures, updates=int(newly.sum()))


def _finished(rounds: Iterator[Round]) -> tuple[Tensor, int]:
    """The codes after the last round, and the number of decided tokens."""
    updates = 0
    last: Round
    for last in rounds:
        updates += last.updates
    return last.codes, updates


def _guided(
    decoder: TokenDecoder, given: Conditions, guidance: float
) -> Callable[[Tensor, int, Tensor], tuple[Tensor, Tensor]]:
    """The decoder's features and logits; with guidance the logits are extrapolated from those without a style."""

    def plain(under: Conditions, codes: Tensor, level: int, masked: Tensor) -> tuple[Tensor, Tensor]:
        features = decoder(codes, under.text, under.style, under.mask, level=level, share_masked=masked)
        return features, decoder.logits(features, level)

    def run(codes: Tensor, level: int, masked: Tensor) -> tuple[Tensor, Tensor]:
        features, scores = plain(given, codes, level, masked)
        if guidance == 1.0:
            return features, scores
        # The training drops the style in the text encoder and in the decoder at once.
        text = given.text if given.unstyled is None else given.unstyled
        without = plain(replace(given, text=text, style=torch.zeros_like(given.style)), codes, level, masked)[1]
        return features, without + guidance * (scores - without)

    return run


def _gumbel(like: Tensor) -> Tensor:
    return -torch.log(-torch.log(torch.rand_like(like).clamp(1e-9, 1 - 1e-7)))
