import pytest

from pipeline_worker.engines.piper.speech_queue import MOST_TEXTS, SpeechQueue, Turn


def queue_with(*channels: int) -> SpeechQueue[str]:
    queue: SpeechQueue[str] = SpeechQueue()
    for channel in channels:
        assert queue.open(channel, f"text {channel}", 0.0)
    return queue


def next_channel(queue: SpeechQueue[str]) -> int | None:
    turn = queue.next()
    return turn.channel if turn else None


def give(queue: SpeechQueue[str], channel: int, duration_s: float, now: float) -> None:
    assert next_channel(queue) == channel
    assert queue.made(channel, duration_s, now)


def test_a_slice_is_made_when_it_is_asked_for_and_once() -> None:
    queue = queue_with(1)
    turn = queue.next()
    assert turn is not None
    assert (turn.channel, turn.text) == (1, "text 1")
    assert queue.next() is None
    queue.made(1, 0.4, 0.1)
    assert queue.next() is None
    queue.ask(1, 0.2)
    assert next_channel(queue) == 1
    assert queue.next() is None


def test_first_slices_are_made_in_the_order_of_their_texts() -> None:
    queue = queue_with(3, 1, 2)
    assert [next_channel(queue) for _ in range(4)] == [3, 1, 2, None]


def test_a_new_reply_goes_before_callers_with_speech_in_hand() -> None:
    queue = queue_with(1)
    give(queue, 1, 1.0, 0.1)
    queue.ask(1, 0.2)
    queue.open(2, "new", 0.3)
    assert [next_channel(queue), next_channel(queue)] == [2, 1]


def test_the_caller_with_the_least_speech_in_hand_is_next() -> None:
    queue = queue_with(1, 2)
    give(queue, 1, 1.0, 0.1)
    give(queue, 2, 0.4, 0.2)
    queue.ask(1, 0.2)
    queue.ask(2, 0.2)
    assert [next_channel(queue), next_channel(queue)] == [2, 1]


def test_speech_in_hand_adds_up() -> None:
    queue = queue_with(1)
    for asked in (0.1, 0.2, 0.3):
        give(queue, 1, 1.0, asked)
        queue.ask(1, asked)
    queue.open(2, "new", 0.4)
    give(queue, 2, 2.0, 0.5)
    queue.ask(2, 0.5)
    assert next_channel(queue) == 2, "it has two seconds, the other one has three"


def test_those_whose_speech_has_run_out_take_turns_with_new_ones() -> None:
    queue = queue_with(1)
    give(queue, 1, 0.4, 0.1)
    queue.ask(1, 5.0)
    queue.open(2, "new", 5.1)
    assert [next_channel(queue), next_channel(queue)] == [1, 2]
    queue.made(1, 1.0, 5.3)
    queue.made(2, 0.4, 5.5)
    queue.ask(1, 5.3)
    queue.open(3, "newer", 5.6)
    assert [next_channel(queue), next_channel(queue)] == [3, 1]


def test_many_callers_get_equal_shares() -> None:
    """More callers than the voice can serve: it takes 0.3 s for a second of speech, and five listen."""
    queue = queue_with(*range(5))
    now = 0.0
    given = dict.fromkeys(range(5), 0)
    for _ in range(50):
        channel = next_channel(queue)
        assert channel is not None
        now += 0.3
        queue.made(channel, 1.0, now)
        queue.ask(channel, now)
        given[channel] += 1
    assert max(given.values()) - min(given.values()) <= 1


def test_a_closed_text_is_not_synthesised() -> None:
    queue = queue_with(1, 2)
    queue.close(1)
    queue.close(1)
    queue.ask(1, 0.1)
    assert (queue.wants(1), queue.wants(2)) == (False, True)
    assert [next_channel(queue), next_channel(queue)] == [2, None]


def test_a_slice_that_was_closed_while_it_was_made_is_dropped() -> None:
    queue = queue_with(1)
    assert next_channel(queue) == 1
    queue.close(1)
    assert not queue.made(1, 1.0, 0.1)


@pytest.mark.parametrize("freed", [0, MOST_TEXTS - 1])
def test_the_number_of_entries_is_bounded(freed: int) -> None:
    queue = queue_with(*range(MOST_TEXTS))
    assert not queue.open(MOST_TEXTS, "one more", 0.0)
    queue.close(freed)
    assert queue.open(MOST_TEXTS, "one more", 0.0)


def test_a_sentence_that_follows_speech_in_hand_lets_a_new_reply_go_first() -> None:
    queue: SpeechQueue[str] = SpeechQueue()
    queue.open(1, "second sentence of a reply", 0.0 + 1.5)
    queue.open(2, "first sentence of another", 0.2)
    assert [queue.next(), queue.next()] == [Turn(2, "first sentence of another"), Turn(1, "second sentence of a reply")]
