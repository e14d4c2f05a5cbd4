"""The diagram in docs/turn-taking.md shows the table."""

from pipeline_worker.turns.state import State
from pipeline_worker.turns.table import TABLE
from tests.architecture.turn_taking_diagram import diagram, drawn


def test_the_diagram_is_up_to_date() -> None:
    assert drawn() == diagram(), "run: python -m tests.architecture.turn_taking_diagram"


def test_every_state_is_reachable_and_leads_to_the_end() -> None:
    transitions = {(state, target) for (state, _), entry in TABLE.items() for target in entry.leads_to}
    reached = {State.WAITING}
    while more := {target for state, target in transitions if state in reached} - reached:
        reached |= more
    assert reached == set(State)
    ending = {State.ENDED}
    while more := {state for state, target in transitions if target in ending} - ending:
        ending |= more
    assert ending == set(State)
