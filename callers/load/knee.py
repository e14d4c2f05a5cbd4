"""Finds the saturation knee: the most callers that a server serves as well as it serves few.

Load climbs by a factor from level to level until one is bad, and bad again when it is repeated. Then the gap between
the highest good level and the lowest bad one is halved until it is small, or was halved often enough.
"""

import math
from typing import NamedTuple

from callers.load.results import Knee, Stage
from callers.load.saturation import BASELINE_LEVELS, Culprit, Sign, culprit, sign_of_saturation

MOST_REFINEMENTS = 6


class Step(NamedTuple):
    """What to measure next. After a bad level, fall back to `rest` first: set-ups are measured while callers come."""

    callers: int
    rest: int | None = None


class _Bad(NamedTuple):
    callers: int
    sign: Sign
    culprit: Culprit


class KneeSearch:
    """Ask for the `next_step`, measure it, `take` its stage, until there is no next step.

    `resolution`: the gap that is small enough, as a share of the bad level.
    """

    def __init__(self, first: int, most: int, factor: float = 1.5, resolution: float = 0.05) -> None:
        if not 1 <= first <= most:
            raise ValueError(f"a first level of {first} callers: use 1 to {most}, the most")
        if not factor > 1:
            raise ValueError(f"a factor of {factor:g}: use more than 1")
        self._first, self._most, self._factor, self._resolution = first, most, factor, resolution
        self._first_levels: list[Stage] = []
        self._good = 0
        self._suspect: int | None = None
        """A level that was bad once."""
        self._bad: _Bad | None = None
        self._refinements = 0
        self._after_bad = False

    @property
    def next_step(self) -> Step | None:
        callers = self._next_callers()
        if callers is None:
            return None
        return Step(callers, min(self._good, callers) // 2 if self._after_bad else None)

    def take(self, stage: Stage) -> None:
        """The stage of `next_step`. Raises `ValueError` if it is of another level."""
        step = self.next_step
        if step is None or stage.callers_wanted != step.callers:
            raise ValueError(f"{stage.callers_wanted} callers were measured, and not the next step ({step})")
        sign = sign_of_saturation(stage, self._first_levels)
        self._after_bad = sign is not None
        if sign is None:
            self._good = max(self._good, step.callers)
            if self._bad is None and len(self._first_levels) < BASELINE_LEVELS:
                self._first_levels.append(stage)
        if self._bad is not None:
            self._refinements += 1
        if sign is not None and (self._bad is not None or self._suspect == step.callers):
            self._bad = _Bad(step.callers, sign, culprit(stage))
        self._suspect = step.callers if sign is not None and self._bad is None else None

    @property
    def knee(self) -> Knee | None:
        """None while no level was bad: the server carries more than was tried."""
        if self._bad is None:
            return None
        callers, sign, found = self._bad
        return Knee(
            callers=self._good,
            bad_callers=callers,
            signal=sign.signal,
            value=sign.value,
            bound=sign.bound,
            resource=found.resource,
            role=found.role,
            reason=f"At {callers:,} callers, {sign.words}: {found.words}.",
        )

    def _next_callers(self) -> int | None:
        if self._suspect is not None:
            return self._suspect
        if self._bad is not None:
            gap = self._bad.callers - self._good
            close = gap <= max(1.0, self._resolution * self._bad.callers)
            return None if close or self._refinements >= MOST_REFINEMENTS else self._good + gap // 2
        if self._good >= self._most:
            return None
        return min(self._most, max(self._first, self._good + 1, math.ceil(self._good * self._factor)))
