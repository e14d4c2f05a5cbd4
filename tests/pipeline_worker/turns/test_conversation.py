import pytest

from pipeline_worker.turns.conversation import NOT_UNDERSTOOD, Conversation, ToolCall, ToolUse, Utterance


def test_the_conversation_to_answer_ends_with_the_callers_words() -> None:
    conversation = Conversation()
    conversation.add(Utterance("agent", "Hello."))
    conversation.add(Utterance("user", "hi"))
    assert conversation.to_answer() == (Utterance("agent", "Hello."), Utterance("user", "hi"))


def test_after_the_agents_words_the_conversation_to_answer_ends_with_not_understood() -> None:
    conversation = Conversation()
    assert conversation.to_answer() == (NOT_UNDERSTOOD,)
    conversation.add(Utterance("agent", "Hello."))
    assert conversation.to_answer() == (Utterance("agent", "Hello."), NOT_UNDERSTOOD)
    assert conversation.entries == (Utterance("agent", "Hello."),)


def test_the_oldest_entries_are_dropped() -> None:
    conversation = Conversation(max_entries=2)
    for text in "abc":
        conversation.add(Utterance("user", text))
    assert conversation.entries == (Utterance("user", "b"), Utterance("user", "c"))


def test_a_conversation_begins_with_what_was_kept_of_it() -> None:
    kept = (Utterance("agent", "Hello."), Utterance("user", "hi"))
    assert Conversation(kept).entries == kept


def test_an_utterance_without_words_is_an_error() -> None:
    with pytest.raises(ValueError, match="has words"):
        Conversation().add(Utterance("user", ""))


def test_the_conversation_to_answer_may_end_with_a_tools_result() -> None:
    conversation = Conversation(max_entries=2)
    use = ToolUse(ToolCall("1", "book", "{}"), "done")
    for entry in (Utterance("user", "book it"), Utterance("agent", "One mom", interrupted=True), use):
        conversation.add(entry)
    assert conversation.to_answer() == (Utterance("agent", "One mom", interrupted=True), use)


def test_the_oldest_entries_make_room_for_long_ones_but_the_last_entry_stays() -> None:
    conversation = Conversation(max_characters=10)
    for text in ("1234", "5678", "90"):
        conversation.add(Utterance("user", text))
    assert len(conversation) == 3
    conversation.add(ToolUse(ToolCall("1", "f", "{}"), "ok"))
    assert [entry.text for entry in conversation.entries if isinstance(entry, Utterance)] == ["90"]
    conversation.add(Utterance("agent", "much too long"))
    assert conversation.entries == (Utterance("agent", "much too long"),)
