"""Terminal output of a one-machine deployment. Each log line begins with the coloured name of its process."""

import os
import sys
from typing import TextIO

from shared.terminal_text import escaped

_COLOURS = ("36", "32", "33", "35", "34", "96", "92", "93", "95", "94")
_NAME_WIDTH = 11
_LONGEST_LINE = 16_384


class Console:
    """Log lines go to `logs`, messages to the user to `words`."""

    def __init__(self, words: TextIO | None = None, logs: TextIO | None = None) -> None:
        self._words = words or sys.stdout
        self._logs = logs or sys.stderr
        self._coloured = self._logs.isatty() and "NO_COLOR" not in os.environ
        self._colour_of: dict[str, str] = {}

    def say(self, text: str) -> None:
        print(text, file=self._words, flush=True)

    def log(self, name: str, line: str) -> None:
        print(f"{self._label(name)} {line}", file=self._logs, flush=True)

    def _label(self, name: str) -> str:
        padded = f"{name:<{_NAME_WIDTH}}|"
        if not self._coloured:
            return padded
        colour = self._colour_of.setdefault(name, _COLOURS[len(self._colour_of) % len(_COLOURS)])
        return f"\x1b[{colour}m{padded}\x1b[0m"


class LineSplitter:
    """Splits a child's output into lines as it arrives. Control characters are escaped.

    Very long lines are cut, so memory is bounded.
    """

    def __init__(self) -> None:
        self._rest = b""

    def push(self, data: bytes) -> list[str]:
        """Returns the lines that `data` completes."""
        *whole, self._rest = (self._rest + data).split(b"\n")
        while len(self._rest) > _LONGEST_LINE:
            whole.append(self._rest[:_LONGEST_LINE])
            self._rest = self._rest[_LONGEST_LINE:]
        return [_text(line) for line in whole]

    def finish(self) -> list[str]:
        """Returns what is left without a line end."""
        rest, self._rest = self._rest, b""
        return [_text(rest)] if rest else []


def _text(line: bytes) -> str:
    return escaped(line.decode(errors="replace").rstrip("\r"), keep="\t")
