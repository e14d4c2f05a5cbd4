"""The diagram in the documents is the table."""

from pipeline_worker.turns.state import State
from pipeline_worker.turns.table import TABLE
from tests.architecture.turn_taking_diagram import diagram, drawn


def test_the_diagram_in_the_document_is_drawn_from_the_table() -> None:
    assert drawn() == diagram(), "run: python -m tests.architecture.turn_taking_diagram"


def test_every_state_can_be_reached_and_leads_to_the_end() -> None:
    ways = {(state, target) for (state, _), entry in TABLE.items() for target in entry.leads_to}
    reached = {State.WAITING}
    while more := {target for state, target in ways if state in reached} - reached:
        reached |= more
    assert reached == set(State)
    ending = {State.ENDED}
    while more := {state for state, target in ways if target in ending} - ending:
        ending |= more
    assert ending == set(State)
