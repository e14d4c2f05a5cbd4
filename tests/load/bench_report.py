"""What a benchmark prints and writes: figures, and bars that hold or not."""

import json
import os
import platform
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal


@dataclass
class Bar:
    """A bound. `better` says which side of it is good. A `value` that was not measured (None) does not hold."""

    name: str
    value: float | None
    bound: float
    better: Literal["lower", "higher"]
    holds: bool = False

    def __post_init__(self) -> None:
        if self.value is not None:
            self.holds = self.value <= self.bound if self.better == "lower" else self.value >= self.bound


@dataclass
class BenchReport:
    name: str
    figures: list[dict[str, Any]] = field(default_factory=list)
    bars: list[Bar] = field(default_factory=list)

    def add(self, **figure: Any) -> None:
        """One row of the table."""
        self.figures.append(figure)

    def bar(self, name: str, value: float | None, bound: float, better: Literal["lower", "higher"]) -> None:
        self.bars.append(Bar(name, value, bound, better))

    @property
    def holds(self) -> bool:
        return all(bar.holds for bar in self.bars)

    def print(self) -> None:
        print(f"\n{self.name} on {machine()}\n")
        print(_table(self.figures))
        for bar in self.bars:
            relation = "<=" if bar.better == "lower" else ">="
            verdict = "holds " if bar.holds else "MISSED"
            value = "not measured" if bar.value is None else f"{bar.value:.4g}"
            print(f"{verdict}  {bar.name}: {value} (bound {relation} {bar.bound:.4g})")

    def write(self, file: Path) -> None:
        content = {
            "name": self.name,
            "machine": machine(),
            "figures": self.figures,
            "bars": [asdict(bar) for bar in self.bars],
        }
        file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def machine() -> str:
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    return f"{os.cpu_count()} x {model}, Python {platform.python_version()}"


def _table(rows: list[dict[str, Any]]) -> str:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    cells = [columns, *([_cell(row.get(column)) for column in columns] for row in rows)]
    widths = [max(len(line[index]) for line in cells) for index in range(len(columns))]
    lines = ["  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in cells]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]]) + "\n"


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
