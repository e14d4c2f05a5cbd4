"""Records what was said in a session: for the model, the client, and a worker that takes the session over."""

from collections import deque

from pipeline_worker.conversation_store import ConversationStore
from pipeline_worker.media_link import MediaLink
from pipeline_worker.turns.conversation import Conversation, Entry, Utterance
from pipeline_worker.turns.memory import Past
from pipeline_worker.turns.recovery import lost_tool_uses, unpublished

_NUMBERED = 8
"""More events with utterances than can be on their way to the media worker."""


class Recorder:
    """Records each entry in the stored conversation, and publishes it if somebody said it."""

    def __init__(self, store: ConversationStore, link: MediaLink) -> None:
        self._store = store
        self._link = link
        self._published: deque[int] = deque(maxlen=_NUMBERED)

    @property
    def conversation(self) -> Conversation:
        return self._store.conversation

    @property
    def published(self) -> tuple[int, ...]:
        """The numbers of the events with the last utterances."""
        return tuple(self._published)

    def record(self, entry: Entry) -> None:
        self._store.add(entry)
        if isinstance(entry, Utterance):
            self._publish(entry)

    def catch_up(self, past: Past, published: int) -> None:
        """Publishes what the worker before could not: `published` of its events have arrived.

        Records the tools that it had begun, because nobody knows how they ended.
        """
        for utterance in unpublished(past, published):
            self._publish(utterance)
        for use in lost_tool_uses(past.memory):
            self.record(use)

    def _publish(self, utterance: Utterance) -> None:
        marks = {"interrupted": True} if utterance.interrupted else {}
        self._link.publish("transcript", role=utterance.role, text=utterance.text, **marks)
        self._published.append(self._link.published)
