"""Progress of a run as one fraction and the remaining time, estimated from its output lines and finished epochs."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

FIRST, COMPARE, PROJECTION, FITTING = "First sound", "Comparison", "Projection", "Fitting"
# Stages in order: the text shown, and the estimated duration in seconds as a constant plus an amount for each clip, for
# nano on two cores. The bar is computed from these estimates. They depend so much on base and machine that a remaining
# time is shown only after an epoch of the training was timed.
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
FIT_STAGES = {
    **{name: STAGES[name] for name in (FIRST, "Checking clips")},
    FITTING: ("Fitting the voice to your clips", 100.0, 0.0),
    COMPARE: STAGES[COMPARE],
}
"""The same for a VITS2, whose voices are fitted in one go."""
RESUMED = "resuming after epoch "  # how the line begins that a resumed run writes just before its training
EPOCH_SECONDS = (1.0, 0.2)  # duration of an epoch in seconds: a constant plus an amount for each clip
_LINE = re.compile(r"^(?P<label>[A-Z][A-Za-z ]+): (?P<done>\d+)(?:/(?P<total>\d+))? ")


@dataclass(frozen=True, kw_only=True)
class Position:
    """Progress of a run."""

    share: float
    """Finished fraction of the whole run, 0-1."""
    seconds_left: float | None
    """Estimated remaining seconds; None until an epoch of the training was timed."""
    doing: str


class Gauge:
    """Estimates the progress of one run.

    Args:
        clips: number of training clips.
        epochs: number of epochs.
        stages: :data:`STAGES` or :data:`FIT_STAGES`.
        resumed: the run continues an earlier one, whose epochs count as finished from the beginning.
        clock: monotonic clock, in seconds.
    """

    def __init__(
        self,
        *,
        clips: int,
        epochs: int,
        stages: Mapping[str, tuple[str, float, float]] = STAGES,
        resumed: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock, self._epochs, self._stages, self._resumed = clock, max(1, epochs), stages, resumed
        self._cost = {name: fixed + clips * each for name, (_, fixed, each) in stages.items()}
        if PROJECTION in stages:
            self._cost[PROJECTION] = epochs * (EPOCH_SECONDS[0] + EPOCH_SECONDS[1] * clips)
        self._began = self._stage_began = clock()
        self._stage, self._begun_at = FIRST, 0.0
        self._pace: float | None = None  # seconds that pass for each second of the costs
        self._within = self._timed = 0.0  # share of the training at the end of its last round, and when that was

    def read(self, stage: str, lines: Sequence[str], epochs: int) -> Position:
        """The current progress.

        Args:
            stage: :data:`FIRST`, :data:`COMPARE`, or empty for the training, whose stage is then read from ``lines``.
            lines: the last output lines of the training.
            epochs: number of finished epochs.
        """
        name, within = (stage, 0.0) if stage else self._of_lines(lines, epochs)
        now = self._clock()
        if name != self._stage:
            self._stage, self._stage_began, self._begun_at = name, now, within
        order = list(self._stages)
        before = sum(self._cost[other] for other in order[: order.index(name)])
        total = sum(self._cost.values())
        done = before + within * self._cost[name]
        return Position(
            share=min(1.0, done / total), seconds_left=self._left(within, now), doing=self._words(name, epochs)
        )

    def _left(self, within: float, now: float) -> float | None:
        """Remaining seconds of this stage and the later ones: their estimates, scaled by the measured epochs."""
        order = list(self._stages)
        later = sum(self._cost[name] for name in order[order.index(self._stage) + 1 :])
        since = self._stage_began
        if self._stage in (PROJECTION, FITTING):
            if within > max(self._begun_at, self._within):  # a round has just ended
                gained = (within - self._begun_at) * self._cost[self._stage]
                self._pace, self._within, self._timed = (now - since) / gained, within, now
            since = self._timed
        if self._pace is None:
            return None
        return max(0.0, self._pace * (1.0 - within) * self._cost[self._stage] - (now - since)) + self._pace * later

    def _of_lines(self, lines: Sequence[str], epochs: int) -> tuple[str, float]:
        """The stage of the training and its finished fraction."""
        # Before that line a resumed run checks and measures the clips, which must not count as time of its next epoch.
        begun = not self._resumed or any(line.startswith((RESUMED, f"{PROJECTION}: ")) for line in lines)
        if epochs and begun:
            spoken = any(line.startswith("Speaking: ") for line in lines)
            ended = any(line.startswith(f"{PROJECTION}: ") and " in " in line for line in lines)
            if not (spoken or ended):
                return PROJECTION, min(1.0, epochs / self._epochs)
        for line in reversed(lines):
            if (found := _LINE.match(line)) and found["label"] in self._stages:
                order, total = list(self._stages), int(found["total"] or 0)
                share = min(1.0, int(found["done"]) / total) if total else 0.0
                # this stage is complete, so that the next one is running
                if " in " in line and found["label"] != order[-1]:
                    return order[order.index(found["label"]) + 1], 0.0
                return found["label"], share
        return "Checking clips", 0.0

    def _words(self, name: str, epochs: int) -> str:
        words = self._stages[name][0]
        return f"{words}: round {epochs} of at most {self._epochs}" if name == PROJECTION and epochs else words


def left_in_words(seconds: float | None) -> str:
    """Remaining time as text, such as ``about 3 minutes left``."""
    if seconds is None:
        return "time left not known yet"
    if seconds < 50:
        return "less than a minute left"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"about {minutes} minute{'' if minutes == 1 else 's'} left"
    return f"about {minutes // 60} h {minutes % 60:02d} min left"
