"""A distribution in bounded memory, which merges with those of other processes.

DDSketch (Masson, Rim, Lee: "DDSketch: a fast and fully-mergeable quantile sketch with relative-error guarantees", VLDB
2019): buckets grow by a constant factor, so that each quantile is known within 1 %, whatever the distribution is.
"""

import math
from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict, Field

ACCURACY = 0.01
_GAMMA = (1 + ACCURACY) / (1 - ACCURACY)
_LEAST, _MOST = 0.01, 1e7
"""Smaller values count as 0, larger ones as the largest. In milliseconds: 10 microseconds, and almost three hours."""
_LOW, _HIGH = (math.ceil(math.log(value, _GAMMA)) for value in (_LEAST, _MOST))
MOST_BUCKETS = _HIGH - _LOW + 1


class Sketch(BaseModel):
    """Values of one unit. `buckets` has how many values lie in (gamma^(i-1), gamma^i], by i."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    zeros: int = Field(0, ge=0)
    buckets: dict[int, int] = Field({}, max_length=MOST_BUCKETS)
    sum: float = 0.0
    lowest: float | None = None
    highest: float | None = None

    @classmethod
    def of(cls, values: Iterable[float]) -> "Sketch":
        sketch = cls()
        for value in values:
            sketch.add(value)
        return sketch

    @property
    def count(self) -> int:
        return self.zeros + sum(self.buckets.values())

    def add(self, value: float) -> None:
        """Negative values count as 0. Raises `ValueError` if it is not finite."""
        if not math.isfinite(value):
            raise ValueError(f"{value} is not a measurement: count it as an error instead")
        value = max(0.0, value)
        if value < _LEAST:
            self.zeros += 1
        else:
            bucket = min(_HIGH, math.ceil(math.log(value, _GAMMA)))
            self.buckets[bucket] = self.buckets.get(bucket, 0) + 1
        self.sum += value
        self.lowest = value if self.lowest is None else min(self.lowest, value)
        self.highest = value if self.highest is None else max(self.highest, value)

    def merge(self, other: "Sketch") -> None:
        self.zeros += other.zeros
        self.sum += other.sum
        for bucket, count in other.buckets.items():
            self.buckets[bucket] = self.buckets.get(bucket, 0) + count
        for value in (other.lowest, other.highest):
            if value is not None:
                self.lowest = value if self.lowest is None else min(self.lowest, value)
                self.highest = value if self.highest is None else max(self.highest, value)

    def percentile(self, percent: float) -> float:
        """Nearest rank, within 1 %. Raises `ValueError` if nothing was measured."""
        if self.lowest is None or self.highest is None:
            raise ValueError("nothing was measured")
        rank = max(1, math.ceil(self.count * percent / 100))
        passed, value = self.zeros, 0.0
        for bucket in sorted(self.buckets):
            if passed >= rank:
                break
            passed += self.buckets[bucket]
            value = 2 * _GAMMA**bucket / (_GAMMA + 1)  # equally far, in proportion, from both ends of the bucket
        return min(self.highest, max(self.lowest, value))
