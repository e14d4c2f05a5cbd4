"""When a crashed child is restarted. Pure: uptimes are passed in."""

FIRST_DELAY_S = 0.5
LONGEST_DELAY_S = 5.0
HEALTHY_AFTER_S = 10.0
"""A child that ran this long has started well: its next crash counts as the first."""

HOPELESS_STARTS = 4
"""A child that never ran well is given up after this many crashes."""


class RestartPolicy:
    """Counts the crashes of one child."""

    def __init__(self) -> None:
        self._crashes_in_a_row = 0
        self._ran_well = False

    def delay_after_crash(self, uptime_s: float) -> float | None:
        """Seconds until the next start, or None to give up.

        A child that has once run well is always restarted: the installation is not the problem.
        """
        if uptime_s >= HEALTHY_AFTER_S:
            self._ran_well = True
            self._crashes_in_a_row = 0
        self._crashes_in_a_row += 1
        if not self._ran_well and self._crashes_in_a_row >= HOPELESS_STARTS:
            return None
        doublings = min(self._crashes_in_a_row - 1, 8)
        return min(FIRST_DELAY_S * float(2**doublings), LONGEST_DELAY_S)
