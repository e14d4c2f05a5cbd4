"""What people say to any agent that no agent's script is about: sentences to tell what is out of scope by.

A caller's sentence that resembles one of these more than the examples of an intent asks for nothing that the agent
knows. They are in `out_of_scope.txt`, one a line.
"""

from functools import cache
from pathlib import Path


@cache
def sentences() -> tuple[str, ...]:
    return tuple(Path(__file__).with_suffix(".txt").read_text(encoding="utf-8").splitlines())
