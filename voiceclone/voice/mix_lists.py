"""Lists of voices in the notations of other Kokoro programs; weights are divided by their sum.

========================  =====================================================
``a(2)+b(1)``             Kokoro-FastAPI; a voice without a weight has 1
``a:60,b:40``             kokoro-tts; all voices have a weight, or none has
``a+b``, ``a,b``          the mean: Kokoro-FastAPI, and ``kokoro`` itself
========================  =====================================================
"""

from __future__ import annotations

import math

from voiceclone.errors import UsageError
from voiceclone.voice.mix_tokens import HALVES, NAMES, Token

_EXAMPLES = "write a(2)+b(1), a:60,b:40, a+b or a,b"


def is_list(tokens: list[Token]) -> bool:
    """True for the forms above, also with mistakes in them."""
    signs = [text for kind, text in tokens if kind == "sign"]
    if "," in signs or ":" in signs:
        return True
    if any(_weight_follows(tokens, at) for at in range(len(tokens))):
        return True
    names, between = tokens[::2], tokens[1::2]
    return len(names) == len(between) + 1 > 1 and all(
        [kind in NAMES for kind, _ in names] + [token == ("sign", "+") for token in between]
    )


def parse_list(tokens: list[Token]) -> dict[str, float]:
    """Weights by voice; they sum to 1.

    Raises:
        UsageError: naming the part that is wrong.
    """
    rest = list(tokens)
    items: list[tuple[str, float | None]] = []
    signs: set[str] = set()
    colons = ("sign", ":") in tokens
    while True:
        items.append(_item(rest))
        if not rest:
            break
        if rest[0] not in (("sign", "+"), ("sign", ",")):
            how = "to subtract, write 1.3*a - 0.3*b" if rest[0] == ("sign", "-") else _EXAMPLES
            raise UsageError(f"mix expression: unexpected {rest[0][1]!r} after '{items[-1][0]}': {how}")
        signs.add(rest.pop(0)[1])
    if len(signs) > 1:
        raise UsageError("mix expression: voices are joined either by + or by commas, not by both")
    bare = [voice for voice, weight in items if weight is None]
    if colons and bare:
        raise UsageError(f"mix expression: '{bare[0]}' has no weight: give each voice one (a:60,b:40) or none")
    total = sum(1.0 if weight is None else weight for _, weight in items)
    if not 0.0 < total < math.inf:
        raise UsageError(f"mix expression: the weights sum to {total:g}: give weights whose sum is above 0 and finite")
    weights: dict[str, float] = {}
    for voice, weight in items:
        weights[voice] = weights.get(voice, 0.0) + (1.0 if weight is None else weight) / total
    return weights


def _item(rest: list[Token]) -> tuple[str, float | None]:
    """Remove a voice and its weight (None without one) from the front of ``rest``."""
    if not rest:
        raise UsageError("mix expression: a voice is missing at the end")
    kind, voice = rest.pop(0)
    if kind not in NAMES:
        raise UsageError(f"mix expression: unexpected {voice!r} in a list of voices: {_EXAMPLES}")
    if not rest or rest[0] not in (("sign", "("), ("sign", ":")):
        return voice, None
    sign = rest.pop(0)[1]
    kind, weight = rest.pop(0) if rest else ("", "")
    if kind != "number":
        raise UsageError(f"mix expression: {weight!r} is not a weight of '{voice}': {_EXAMPLES}")
    if sign == "(":
        if not rest or rest[0] != ("sign", ")"):
            raise UsageError(f"mix expression: a closing bracket is missing after '{voice}({weight}'")
        rest.pop(0)
    return voice, float(weight)


def _weight_follows(tokens: list[Token], at: int) -> bool:
    """Whether ``NAME(NUMBER`` begins at this token."""
    kinds = [kind for kind, _ in tokens[at : at + 3]]
    if len(kinds) < 3 or kinds[0] not in NAMES or tokens[at][1] in HALVES:
        return False
    return tokens[at + 1] == ("sign", "(") and kinds[2] == "number"
