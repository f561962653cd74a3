"""Mix voices: ``0.7*v.pt + 0.3*af_heart``, or each half separately: ``timbre(v.pt) + prosody(am_adam)``.

:mod:`voiceclone.voice.mix_lists` reads the notations of other programs: ``a(2)+b(1)``, ``a:60,b:40``, ``a,b``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch

from voiceclone.errors import UsageError
from voiceclone.models.frozen_kokoro import STYLE_DIM
from voiceclone.voice.mix_lists import is_list, parse_list
from voiceclone.voice.mix_tokens import HALVES, NAMES, Token, tokens
from voiceclone.voice.pack import VoicePack

MAX_LENGTH = 2000  # characters of an expression
MAX_DEPTH = 20  # brackets within brackets
_TOLERANCE = 1e-3  # tolerance of the sum of a half's weights
_WEIGHT_RANGE = (-1.0, 2.0)  # with larger weights a mix is far from the voices it is made of


@dataclass(frozen=True)
class Mix:
    """Weights by voice, for each half."""

    timbre: Mapping[str, float] = field(default_factory=dict)
    prosody: Mapping[str, float] = field(default_factory=dict)

    def scaled(self, factor: float) -> Mix:
        """Every weight times ``factor``."""
        return Mix(*({v: w * factor for v, w in half.items()} for half in (self.timbre, self.prosody)))

    def plus(self, other: Mix) -> Mix:
        """The sum of two mixes."""
        return Mix(_add(self.timbre, other.timbre), _add(self.prosody, other.prosody))

    def check(self) -> None:
        """Refuse weights that do not sum to 1 in each half, or that are far out of range.

        Raises:
            UsageError: with the half and its sum.
        """
        for name in HALVES:
            weights = getattr(self, name)
            if abs(sum(weights.values()) - 1.0) > _TOLERANCE:
                raise UsageError(
                    f"the weights of the {name} half sum to {sum(weights.values()):g}, not 1: "
                    "give each half weights that sum to 1, for example 0.7*a.pt + 0.3*b.pt"
                )
            for voice, weight in weights.items():
                if not _WEIGHT_RANGE[0] <= weight <= _WEIGHT_RANGE[1]:
                    raise UsageError(
                        f"weight {weight:g} of {voice} is outside {_WEIGHT_RANGE[0]:g} to {_WEIGHT_RANGE[1]:g}"
                    )


def parse_mix(expression: str, is_voice: Callable[[str], bool] = lambda name: False) -> Mix:
    """Read a mix expression.

    Names may hold letters, digits and ``_ . / ~ \\ : -``; others go in double quotes. A minus has spaces around it.

    Args:
        is_voice: whether a text names an existing file, which is then one token.

    Raises:
        UsageError: it is malformed, or its weights do not sum to 1.
    """
    if len(expression) > MAX_LENGTH:
        raise UsageError(f"the mix expression has {len(expression)} characters: use {MAX_LENGTH} at most")
    found = tokens(expression, is_voice)
    if is_list(found):
        weights = parse_list(found)
        return Mix(weights, weights)
    parser = _Parser(found)
    mix = parser.sum(0)
    if parser.rest:
        raise UsageError(f"mix expression: unexpected {parser.rest[0][1]!r}: write for example 0.7*a.pt + 0.3*b.pt")
    mix.check()
    return mix


def blend(mix: Mix, voice_of: Callable[[str], VoicePack], name: str = "mix") -> VoicePack:
    """Compute the mixed voice; ``voice_of`` finds a voice by its name in the expression."""
    packs = {voice: voice_of(voice) for voice in (*mix.timbre, *mix.prosody)}
    halves = [
        sum(weight * packs[voice].tensor[..., part] for voice, weight in weights.items())
        for weights, part in ((mix.timbre, slice(None, STYLE_DIM)), (mix.prosody, slice(STYLE_DIM, None)))
    ]
    return VoicePack(torch.cat(halves, dim=-1), name)


def _add(a: Mapping[str, float], b: Mapping[str, float]) -> dict[str, float]:
    return {voice: a.get(voice, 0.0) + b.get(voice, 0.0) for voice in (*a, *(v for v in b if v not in a))}


class _Parser:
    """``sum = term {(+|-) term}``, ``term = factor {* factor}``, ``factor = number | name | half(sum) | (sum)``."""

    def __init__(self, found: list[Token]) -> None:
        self.rest = found

    def sum(self, depth: int) -> Mix:
        sign = -1.0 if self._take("-") else 1.0
        total = self._term(depth).scaled(sign)
        while self.rest and self.rest[0] in (("sign", "+"), ("sign", "-")):
            sign = 1.0 if self.rest.pop(0)[1] == "+" else -1.0
            total = total.plus(self._term(depth).scaled(sign))
        return total

    def _term(self, depth: int) -> Mix:
        weight, mix = 1.0, None
        while True:
            factor = self._factor(depth)
            if isinstance(factor, Mix):
                if mix is not None:
                    raise UsageError("mix expression: two voices cannot be multiplied: join them with +")
                mix = factor
            else:
                weight *= factor
            if not self._take("*"):
                break
        if mix is None:
            raise UsageError(f"mix expression: {weight:g} stands alone: a weight is followed by * and a voice")
        return mix.scaled(weight)

    def _factor(self, depth: int) -> Mix | float:
        if not self.rest:
            raise UsageError("mix expression: a voice is missing at the end")
        if depth > MAX_DEPTH:
            raise UsageError(f"mix expression: more than {MAX_DEPTH} brackets within brackets")
        kind, text = self.rest.pop(0)
        if kind == "number":
            return float(text)
        if kind == "name" and text in HALVES and self._take("("):
            inner = self._bracketed(depth)
            return Mix(timbre=inner.timbre) if text == "timbre" else Mix(prosody=inner.prosody)
        if kind in NAMES:
            return Mix({text: 1.0}, {text: 1.0})
        if text == "(":
            return self._bracketed(depth)
        raise UsageError(f"mix expression: unexpected {text!r}: write for example 0.7*a.pt + 0.3*b.pt")

    def _bracketed(self, depth: int) -> Mix:
        inner = self.sum(depth + 1)
        if not self._take(")"):
            raise UsageError("mix expression: a closing bracket is missing")
        return inner

    def _take(self, sign: str) -> bool:
        if self.rest and self.rest[0] == ("sign", sign):
            self.rest.pop(0)
            return True
        return False
