"""What another pipeline worker needs, besides the conversation, to carry a session on.

Stored as JSON. New fields have defaults and none is renamed, so that two versions can take over from each other.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from pipeline_worker.turns.conversation import Entry, ToolCall
from pipeline_worker.turns.state import AgentTurn


@dataclass(frozen=True, slots=True)
class SentenceMemory:
    """A sentence of the agent. Positions are samples of the worker's audio stream."""

    text: str
    first_sample: int
    samples: int = 0
    """As far as it was synthesised."""
    words: tuple[tuple[str, int], ...] = ()
    """Words of the voice and their ends from `first_sample`, if it reports them."""
    whole: bool = False


@dataclass(frozen=True, slots=True)
class TurnMemory:
    """A turn of the agent that was not yet recorded in the conversation."""

    sample_rate: int
    language: str
    is_answer: bool = True
    """Of the language model. If not, its text was given."""
    before: str = ""
    """What was heard before `sentences`."""
    sentences: tuple[SentenceMemory, ...] = ()
    waiting: str = ""
    """The text after them, as far as it is known."""
    complete: bool = False
    """Nothing follows `waiting`."""
    end_call: bool = False
    interrupted: bool = False
    """The caller has taken the floor."""


@dataclass(frozen=True, slots=True)
class Memory:
    epoch: int
    """Of the worker that has the session. The first field: scripts on the broker read it."""
    uplink: int = 0
    """Up to here the caller's speech is recorded or dismissed, in the media worker's samples."""
    published: int = 0
    transcripts: tuple[int, ...] = ()
    """The numbers of the events with the last utterances."""
    prompts_said: int = 0
    answered: bool = False
    """Nothing that the caller has said waits for an answer: they may have had the last word and pressed stop."""
    tools: tuple[ToolCall, ...] = ()
    """Calls with side effects that have begun and not ended."""
    waits_for_tools: bool = False
    """The turn waits for the results of tools, or for what the model says to them."""
    agent: AgentTurn = field(default_factory=AgentTurn)
    turn: TurnMemory | None = None


class Past(NamedTuple):
    """A session as the pipeline worker before left it."""

    entries: tuple[Entry, ...]
    memory: Memory
    elapsed_s: float = 0.0
    """Since the session began."""
