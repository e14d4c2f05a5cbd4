"""Delays of one benchmark. Those of moments in which the host took the processors away are kept apart."""

import numpy as np

from tests.load.bench_report import BenchReport
from tests.load.steal import StealWatch

_FEW = 0.1


class Delays:
    """Milliseconds; `at_s` (monotonic) is when each was measured. Judged when it is asked, once the watch is over."""

    def __init__(self, watch: StealWatch) -> None:
        self._watch = watch
        self._all: list[tuple[float, float]] = []
        self._missed = 0

    def add(self, at_s: float, delay_s: float) -> None:
        self._all.append((at_s, delay_s * 1000))

    def miss(self, count: int = 1) -> None:
        """Count this many as expected but missing: a failure must not look quick."""
        self._missed += count

    @property
    def found_share(self) -> float:
        """The share of the expected ones that were found."""
        return len(self._all) / max(1, len(self._all) + self._missed)

    @property
    def counted(self) -> list[float]:
        """Those of quiet moments; all of them on a machine that was hardly ever quiet."""
        quiet = [delay for at, delay in self._all if self._watch.quiet(at)]
        return quiet if len(quiet) > _FEW * len(self._all) else [delay for _, delay in self._all]

    def percentile(self, percent: float) -> float:
        counted = self.counted
        return float(np.percentile(counted, percent)) if counted else float("inf")

    def row(self, report: BenchReport, what: str, **more: object) -> None:
        counted = self.counted
        p50, p95, p99 = np.percentile(counted, [50, 95, 99]) if counted else [float("inf")] * 3
        report.add(
            what=what,
            n=len(self._all),
            counted=len(counted),
            missed=self._missed,
            p50_ms=float(p50),
            p95_ms=float(p95),
            p99_ms=float(p99),
            stolen_share=self._watch.share(),
            **more,
        )
