"""Draws the table of turn taking. `python -m tests.architecture.turn_taking_diagram` updates docs/turn-taking.md."""

import re

from pipeline_worker.turns.state import State
from pipeline_worker.turns.table import TABLE
from tests.architecture.source_tree import ROOT

DOCUMENT = ROOT / "docs" / "turn-taking.md"
_BLOCK = re.compile(r"(?<=```mermaid\n).*?(?=```)", re.DOTALL)


def diagram() -> str:
    """A Mermaid state diagram of all transitions, with the inputs that may cause them."""
    transitions: dict[tuple[State, State], list[str]] = {}
    for (state, event), entry in TABLE.items():
        for target in entry.leads_to:
            transitions.setdefault((state, target), []).append(_in_words(event.__name__))
    lines = [f"    {begins} --> {ends}: {', '.join(events)}" for (begins, ends), events in transitions.items()]
    return "\n".join(["stateDiagram-v2", f"    [*] --> {State.WAITING}", *lines, f"    {State.ENDED} --> [*]", ""])


def drawn() -> str:
    """The diagram in the document."""
    found = _BLOCK.search(DOCUMENT.read_text(encoding="utf-8"))
    assert found is not None, "no diagram in the document"
    return found[0]


def _in_words(name: str) -> str:
    return re.sub(r"(?<!^)([A-Z])", r" \1", name).lower()


if __name__ == "__main__":
    DOCUMENT.write_text(_BLOCK.sub(lambda _: diagram(), DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
