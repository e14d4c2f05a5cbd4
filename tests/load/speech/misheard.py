"""Lists what was said and what was recognised, where they differ."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Misheard:
    lines: list[str] = field(default_factory=list)

    def add(self, where: str, said: str, heard: str, note: str = "") -> None:
        self.lines.append(f"{where}: {said} -> {heard or '(nothing)'}" + (f"  [{note}]" if note else ""))

    def write(self, file: Path) -> None:
        file.write_text("".join(f"{line}\n" for line in self.lines), encoding="utf-8")
