"""How far a run is, in one figure, and how long it will take: out of the lines that it prints and its epochs."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

FIRST, COMPARE, PROJECTION = "First sound", "Comparison", "Projection"
# Stages in their order: what people are told, and about how long each takes: seconds, seconds for each clip.
STAGES: Mapping[str, tuple[str, float, float]] = {
    FIRST: ("Making the first sound", 8.0, 0.0),
    "Checking clips": ("Checking the clips", 6.0, 0.2),
    "Style extraction": ("Listening to your voice", 1.0, 0.05),
    "Measuring clips": ("Measuring the clips", 1.0, 0.7),
    "Initialization and alignment": ("Looking for the nearest voice to start from", 20.0, 2.0),
    PROJECTION: ("Training", 0.0, 0.0),
    "Speaking": ("Speaking with the new voice", 4.0, 0.0),
    COMPARE: ("Comparing it with your recordings", 30.0, 0.0),
}
EPOCH_SECONDS = (1.0, 0.2)  # of an epoch: seconds, seconds for each clip
_LINE = re.compile(r"^(?P<label>[A-Z][A-Za-z ]+): (?P<done>\d+)(?:/(?P<total>\d+))? ")


@dataclass(frozen=True, kw_only=True)
class Position:
    """Where a run is."""

    share: float
    """Of the whole, 0-1."""
    seconds_left: float | None
    """None where it is too early to say."""
    doing: str


class Gauge:
    """Follows one run.

    Args:
        clips: that are trained on.
        epochs: at most; a training may stop earlier.
        clock: seconds of a monotonic clock.
    """

    def __init__(self, *, clips: int, epochs: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._epochs = clock, max(1, epochs)
        self._cost = {name: fixed + clips * each for name, (_, fixed, each) in STAGES.items()}
        self._cost[PROJECTION] = epochs * (EPOCH_SECONDS[0] + EPOCH_SECONDS[1] * clips)
        self._began = self._stage_began = clock()
        self._stage, self._begun_at = FIRST, 0.0

    def read(self, stage: str, lines: Sequence[str], epochs: int) -> Position:
        """The position now.

        Args:
            stage: :data:`FIRST`, :data:`COMPARE`, or empty for the training, whose ``lines`` then tell.
            epochs: that are finished.
        """
        name, within = (stage, 0.0) if stage else self._of_lines(lines, epochs)
        now = self._clock()
        if name != self._stage:
            self._stage, self._stage_began, self._begun_at = name, now, within
        order = list(STAGES)
        before = sum(self._cost[other] for other in order[: order.index(name)])
        total = sum(self._cost.values())
        done = before + within * self._cost[name]
        return Position(
            share=min(1.0, done / total), seconds_left=self._left(within, now), doing=self._words(name, epochs)
        )

    def _left(self, within: float, now: float) -> float | None:
        """The rest of this stage at its own rate, the later ones as estimated."""
        order = list(STAGES)
        later = sum(self._cost[name] for name in order[order.index(self._stage) + 1 :])
        gained, spent = within - self._begun_at, now - self._stage_began
        if gained > 0.02:
            return (1.0 - within) * spent / gained + later
        return max(0.0, (1.0 - within) * self._cost[self._stage] - spent) + later

    def _of_lines(self, lines: Sequence[str], epochs: int) -> tuple[str, float]:
        """The stage of the training and the share of it that is done."""
        if epochs:
            spoken = any(line.startswith("Speaking: ") for line in lines)
            ended = any(line.startswith(f"{PROJECTION}: ") and " in " in line for line in lines)
            if not (spoken or ended):
                return PROJECTION, min(1.0, epochs / self._epochs)
        for line in reversed(lines):
            if (found := _LINE.match(line)) and found["label"] in STAGES:
                order, total = list(STAGES), int(found["total"] or 0)
                share = min(1.0, int(found["done"]) / total) if total else 0.0
                if " in " in line and found["label"] != order[-1]:  # it has ended: the next one has begun
                    return order[order.index(found["label"]) + 1], 0.0
                return found["label"], share
        return "Checking clips", 0.0

    def _words(self, name: str, epochs: int) -> str:
        words = STAGES[name][0]
        return f"{words}: round {epochs} of at most {self._epochs}" if name == PROJECTION and epochs else words


def left_in_words(seconds: float | None) -> str:
    """``about 3 minutes left``."""
    if seconds is None:
        return ""
    if seconds < 50:
        return "less than a minute left"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"about {minutes} minute{'' if minutes == 1 else 's'} left"
    return f"about {minutes // 60} h {minutes % 60:02d} min left"
