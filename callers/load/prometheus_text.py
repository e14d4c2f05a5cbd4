"""Reads the text that Prometheus endpoints serve (exposition format 0.0.4)."""

import math
import re
from collections.abc import Mapping
from typing import NamedTuple

_LINE = re.compile(r"([a-zA-Z_:][\w:]*)(\{.*\})? ([^ ]+)(?: -?\d+)?")
_LE = re.compile(r'le="([^"]+)"')


class Histogram(NamedTuple):
    """How many values were at most each bound."""

    counts: Mapping[float, float]

    def since(self, earlier: "Histogram") -> "Histogram":
        """All of it if the process has started again meanwhile, and so has counted from 0."""
        if any(count < earlier.counts.get(bound, 0.0) for bound, count in self.counts.items()):
            return self
        return Histogram({bound: count - earlier.counts.get(bound, 0.0) for bound, count in self.counts.items()})

    def merged(self, other: "Histogram") -> "Histogram":
        """Both must have the same bounds."""
        bounds = self.counts.keys() | other.counts.keys()
        return Histogram({bound: self.counts.get(bound, 0.0) + other.counts.get(bound, 0.0) for bound in bounds})

    def quantile(self, share: float) -> float | None:
        """Interpolated in its bucket, as Prometheus does; None without values. The last bound if it is beyond that."""
        bounds = sorted(self.counts)
        total = self.counts[bounds[-1]] if bounds else 0.0
        if total <= 0:
            return None
        lower, below = 0.0, 0.0
        for bound in bounds:
            count = self.counts[bound]
            if count >= share * total:
                if math.isinf(bound):
                    return lower
                return lower + (bound - lower) * (share * total - below) / max(1e-9, count - below)
            lower, below = bound, count
        return lower


class Metrics:
    """Of one process. Values of all labels are added up."""

    def __init__(self, text: str) -> None:
        self._values: dict[str, float] = {}
        self._buckets: dict[str, dict[float, float]] = {}
        for line in text.splitlines():
            found = None if line.startswith("#") else _LINE.fullmatch(line.strip())
            if found is not None:
                self._take(found[1], found[2] or "", found[3])

    def value(self, name: str) -> float | None:
        return self._values.get(name)

    def histogram(self, name: str) -> Histogram | None:
        buckets = self._buckets.get(f"{name}_bucket")
        return None if buckets is None else Histogram(buckets)

    def has(self, prefix: str) -> bool:
        """Whether there is a metric whose name begins so."""
        return any(name.startswith(prefix) for name in self._values)

    def _take(self, name: str, labels: str, text: str) -> None:
        try:
            value = float(text)
        except ValueError:
            return
        self._values[name] = self._values.get(name, 0.0) + value
        bound = _LE.search(labels)
        if name.endswith("_bucket") and bound is not None:
            buckets = self._buckets.setdefault(name, {})
            buckets[float(bound[1])] = buckets.get(float(bound[1]), 0.0) + value
