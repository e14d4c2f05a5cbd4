"""What a Prometheus counter gained during a test."""

from prometheus_client import REGISTRY


class Gained:
    """`Gained("antiphon_x_total", why="y")()` is what was counted since it was made."""

    def __init__(self, name: str, **labels: str) -> None:
        self._name = name
        self._labels = labels
        self._before = self._value()

    def __call__(self) -> int:
        return round(self._value() - self._before)

    def _value(self) -> float:
        return REGISTRY.get_sample_value(self._name, self._labels) or 0.0
