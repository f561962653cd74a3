"""Durations of Kokoro's symbols from a synthesiser's phoneme times, and rounding of durations to whole frames.

One duration frame is 600 samples (25 ms). Every token has at least one frame. Leading and trailing silence belong to
BOS and EOS.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from voiceclone.text.espeak import PhonemeEvent

FRAME_SECONDS = 0.025
STRESSES = "ˈˌ"
PAUSES = ' ;:,.!?—…"()“”'
VOWELS = frozenset("AIOQWYaiuæɑɒɔəɛɜɪʊʌᵻɐeoᵊ")
_SILENCE = "_"
MAX_EDIT_COST = 0.45  # mean edit cost above which a text is not used, because eSpeak-NG pronounces it differently
_GAP_COST = 0.8
# eSpeak's IPA to misaki's symbols; longest first, so that a diphthong is not read as two vowels.
_TO_MISAKI = (
    ("aɪə", "Iə"), ("aɪɚ", "Iəɹ"), ("oʊ", "O"), ("əʊ", "O"), ("eɪ", "A"), ("aɪ", "I"), ("aʊ", "W"), ("ɔɪ", "Y"),
    ("dʒ", "ʤ"), ("tʃ", "ʧ"), ("ɚ", "əɹ"), ("ɝ", "ɜɹ"), ("ɜ", "ɜɹ"), ("əl", "ᵊl"), ("n̩", "ᵊn"), ("ɾ", "T"),
    ("ɐ", "ə"), ("ɡ", "ɡ"), ("g", "ɡ"), ("r", "ɹ"), ("ɫ", "l"), ("ʔ", "t"), ("o", "ɔ"), ("a", "æ"), ("e", "ɛ"),
)  # fmt: skip
_NEAR = tuple(frozenset(group) for group in (
    "ɪiᵻəɛ", "ʌəɐɜᵊæ", "ɑɔɒʌO", "uʊw", "tTd", "szʃʒ", "pb", "kɡ", "fvθð", "nmŋ", "lɹ", "ʧʤ", "ij", "AɛI", "OQW",
))  # fmt: skip


def units_of_events(events: Sequence[PhonemeEvent], seconds: float) -> list[tuple[str, float, float]]:
    """Split phoneme events into single misaki symbols with start and end in seconds. A pause is ``"_"``.

    An event of several symbols is divided equally among them.
    """
    units: list[tuple[str, float, float]] = []
    for index, event in enumerate(events):
        end = events[index + 1].start if index + 1 < len(events) else seconds
        symbols = _misaki_symbols(event.ipa) or _SILENCE
        step = (end - event.start) / len(symbols)
        units += [(s, event.start + k * step, event.start + (k + 1) * step) for k, s in enumerate(symbols)]
    return _merge_silences(units)


def _merge_silences(units: list[tuple[str, float, float]]) -> list[tuple[str, float, float]]:
    merged: list[tuple[str, float, float]] = []
    for name, start, end in units:
        if name == _SILENCE and merged and merged[-1][0] == _SILENCE:
            start = merged.pop()[1]
        merged.append((name, start, end))
    return merged


def durations_from_events(phonemes: str, events: Sequence[PhonemeEvent], seconds: float) -> tuple[np.ndarray, float]:
    """Frames of BOS, every symbol of ``phonemes`` and EOS, by edit alignment to the synthesiser's phoneme times.

    Args:
        phonemes: misaki symbols, all of them in Kokoro's vocabulary.
        events: phonemes with their start in seconds.
        seconds: length of the audio; the durations sum to ``round(seconds / 0.025)``.

    Returns:
        int64 ``(len(phonemes) + 2,)``, each >= 1; and the mean edit cost per symbol, 0 (identical) to about 1.

    Raises:
        ValueError: the audio has fewer frames than there are tokens.
    """
    units = units_of_events(events, seconds)
    spoken = [(i, c) for i, c in enumerate(phonemes) if c not in STRESSES]
    cost, pairs = _edit_alignment([c for _, c in spoken], [u[0] for u in units])
    starts = np.full(len(phonemes) + 3, np.nan)
    starts[0], starts[-1] = 0.0, seconds
    for symbol, unit in pairs:
        starts[spoken[symbol][0] + 1] = units[unit][1]
    # EOS starts at the end of the last unit that is not a pause.
    starts[-2] = max((end for name, _, end in units if name != _SILENCE), default=seconds)
    known = np.flatnonzero(~np.isnan(starts))
    starts = np.interp(np.arange(len(starts)), known, starts[known])
    frames = round(seconds / FRAME_SECONDS)
    return whole_frames(starts / FRAME_SECONDS, frames), cost / max(len(spoken), 1)


def whole_frames(boundaries: np.ndarray, frames: int) -> np.ndarray:
    """Round boundaries to frames such that every token has at least one (least squares, by isotonic regression).

    Args:
        boundaries: float ``(tokens + 1,)`` in frames, from 0 to ``frames``, approximately ascending.
        frames: sum of the result.

    Returns:
        int64 ``(tokens,)``.

    Raises:
        ValueError: there are fewer frames than tokens.
    """
    from scipy.optimize import isotonic_regression

    tokens = len(boundaries) - 1
    if frames < tokens:
        raise ValueError(f"{frames} frames cannot hold {tokens} tokens")
    slack = isotonic_regression(np.asarray(boundaries, dtype=np.float64) - np.arange(tokens + 1)).x
    slack = np.clip(np.round(slack), 0, frames - tokens).astype(np.int64)
    slack[0], slack[-1] = 0, frames - tokens
    return np.diff(slack) + 1


def _misaki_symbols(ipa: str) -> str:
    plain = "".join(c for c in ipa if c not in STRESSES and c not in "ːʲ̃^")
    for old, new in _TO_MISAKI:
        # Replacements are not applied to their own output (capitals): targets are never sources.
        plain = plain.replace(old, new) if new not in plain or old != new else plain
    return plain.replace("ɹɹ", "ɹ")


def _symbol_cost(symbol: str, unit: str) -> float:
    if symbol == unit:
        return 0.0
    if (symbol in PAUSES) != (unit == _SILENCE):
        return 1.6  # the cost of deleting both
    if symbol in PAUSES:
        return 0.0
    if any(symbol in group and unit in group for group in _NEAR):
        return 0.2
    return 0.5 if (symbol in VOWELS) == (unit in VOWELS) else 1.2


def _edit_alignment(symbols: list[str], units: list[str]) -> tuple[float, list[tuple[int, int]]]:
    """Edit path of lowest cost: the cost, and the matched index pairs (symbol, unit)."""
    rows, columns = len(symbols), len(units)
    cost = np.zeros((rows + 1, columns + 1))
    skip_symbol = [0.1 if s in PAUSES else _GAP_COST for s in symbols]
    skip_unit = [0.1 if u == _SILENCE else _GAP_COST for u in units]
    cost[1:, 0], cost[0, 1:] = np.cumsum(skip_symbol), np.cumsum(skip_unit)
    step = np.zeros((rows + 1, columns + 1), dtype=np.int8)
    step[1:, 0], step[0, 1:] = 1, 2
    for i in range(rows):
        for j in range(columns):
            options = (
                cost[i, j] + _symbol_cost(symbols[i], units[j]),
                cost[i, j + 1] + skip_symbol[i],
                cost[i + 1, j] + skip_unit[j],
            )
            step[i + 1, j + 1] = best = int(np.argmin(options))
            cost[i + 1, j + 1] = options[best]
    pairs, i, j = [], rows, columns
    while i or j:
        move = step[i, j]
        if move == 0:
            pairs.append((i - 1, j - 1))
        i, j = i - (move != 2), j - (move != 1)
    return float(cost[rows, columns]), pairs[::-1]
