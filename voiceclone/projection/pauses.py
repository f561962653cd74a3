"""Pauses of a recording, taken out of what its durations teach.

A reader pauses where the text has no mark, most of all in transcripts without punctuation. The alignment has no token
to put such a pause on, and gives it to the phone before it: an "s" of 1.4 s. Learned from, such durations say nothing of
the speaker's rate, and a voice that cannot know where the reader paused stays too fast between the pauses.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

MIN_PAUSE = 6  # frames of 25 ms: closures of stops are shorter
LOUD, QUIET = 0.95, 0.05  # quantiles of a clip's log energy that stand for its speech and its noise
_NEPER_DB = 10.0 / 2.302585  # dB of power for a natural-log unit
ABOVE_NOISE = 0.4  # of the way from noise to speech: where a pause's limit lies, but
ABOVE_NOISE_DB = 15.0  # above the noise at most, and
RANGE_DB = (12.0, 40.0)  # below the speech at least and at most
PAUSABLE = frozenset(';:,.!?—…"()“”')  # symbols that a voice pauses at by itself


@dataclass(frozen=True, kw_only=True, eq=False)
class SpokenDurations:
    """What a clip's durations teach. ``T`` tokens with BOS and EOS."""

    frames: Tensor = field(
        repr=False
    )  # (T,) float32: durations in frames of 25 ms, without pauses in phones and spaces
    counted: Tensor = field(repr=False)  # (T,) bool: tokens that count towards the rate


def pauses(energy: Tensor) -> Tensor:
    """Frames of 25 ms ``(F,)`` that lie in a pause, from the log energy ``(2F,)`` (natural log of power, 80 Hz).

    A pause is quieter than a limit between the clip's quietest and loudest frames, for ``MIN_PAUSE`` frames at least.
    """
    loud, quiet = (float(torch.quantile(energy, share)) * _NEPER_DB for share in (LOUD, QUIET))
    limit = quiet + min(ABOVE_NOISE * (loud - quiet), ABOVE_NOISE_DB)
    limit = min(max(limit, loud - RANGE_DB[1]), loud - RANGE_DB[0]) / _NEPER_DB
    still = (energy < limit).view(-1, 2).all(dim=1)
    found, start = torch.zeros_like(still), None
    for index, is_still in enumerate([*still.tolist(), False]):
        if is_still and start is None:
            start = index
        elif not is_still and start is not None:
            found[start:index] = index - start >= MIN_PAUSE
            start = None
    return found


def spoken_durations(durations: Tensor, symbols: str, energy: Tensor) -> SpokenDurations:
    """Durations ``(T,)`` int64 of BOS, the ``symbols`` and EOS without the clip's pauses.

    Phones and spaces lose the frames of a pause, down to one frame. Marks of punctuation keep theirs, since a voice
    pauses there by itself; they do not count towards the rate, and neither do BOS and EOS.
    """
    counted = torch.tensor([False, *(symbol not in PAUSABLE for symbol in symbols), False], device=durations.device)
    silent = pauses(energy).to(durations.device)[: int(durations.sum())]
    owner = torch.repeat_interleave(torch.arange(len(durations), device=durations.device), durations)[: len(silent)]
    lost = torch.zeros_like(durations).index_add_(0, owner, silent.to(durations))
    frames = torch.where(counted, (durations - lost).clamp(min=1), durations).to(energy.dtype)
    return SpokenDurations(frames=frames, counted=counted)
