from pipeline_worker.engines.utterance_queue import MOST_UTTERANCES, Pass, UtteranceQueue

SECOND = bytes(32_000)


def queue_with(*channels: int, interim_s: float = 1.0) -> UtteranceQueue:
    queue = UtteranceQueue(interim_s)
    for channel in channels:
        assert queue.open(channel)
    return queue


def test_an_interim_text_is_due_after_enough_new_speech() -> None:
    queue = queue_with(1)
    queue.push(1, SECOND[:16_000])
    assert (queue.next(0.0), queue.waits_for_speech) == (None, True)
    queue.push(1, SECOND[:16_000])
    assert not queue.waits_for_speech
    assert queue.next(0.0) == Pass(1, SECOND, final=False)
    assert queue.next(0.0) is None


def test_an_interim_text_looks_at_the_utterance_from_its_beginning() -> None:
    queue = queue_with(1)
    for seconds in (1, 2, 3):
        queue.push(1, SECOND)
        look = queue.next(float(seconds))
        assert look is not None
        assert len(look.pcm) == seconds * len(SECOND)
        assert queue.done(look, seconds, seconds)


def test_interim_texts_take_at_most_half_of_the_time() -> None:
    queue = queue_with(1, 2)
    queue.push(1, SECOND)
    queue.push(2, SECOND)
    look = queue.next(10.0)
    assert look is not None
    queue.done(look, 10.0, 10.5)
    assert queue.next(10.9) is None
    assert queue.next(11.0) is not None


def test_who_has_said_most_since_the_last_look_is_next() -> None:
    queue = queue_with(1, 2)
    queue.push(1, SECOND)
    queue.push(2, SECOND * 2)
    assert [look and look.channel for look in (queue.next(0.0), queue.next(0.0), queue.next(0.0))] == [2, 1, None]


def test_final_texts_come_first_and_in_order() -> None:
    queue = queue_with(1, 2, 3)
    for channel in (1, 2, 3):
        queue.push(channel, SECOND)
    queue.finish(3)
    queue.finish(1)
    assert [queue.next(0.0) for _ in range(3)] == [Pass(3, SECOND, True), Pass(1, SECOND, True), Pass(2, SECOND, False)]


def test_final_texts_do_not_wait_for_the_interim_ones_share() -> None:
    queue = queue_with(1)
    queue.push(1, SECOND)
    look = queue.next(0.0)
    assert look is not None
    queue.done(look, 0.0, 100.0)
    queue.finish(1)
    assert queue.next(100.0) == Pass(1, SECOND, final=True)


def test_without_interim_texts_there_are_only_final_ones() -> None:
    queue = queue_with(1, interim_s=0)
    queue.push(1, SECOND * 10)
    assert queue.waits_for_speech
    assert queue.next(0.0) is None
    queue.finish(1)
    assert queue.next(0.0) == Pass(1, SECOND * 10, final=True)


def test_what_was_cancelled_is_looked_at_no_more() -> None:
    queue = queue_with(1, 2)
    queue.push(1, SECOND)
    queue.push(2, SECOND)
    queue.finish(2)
    queue.cancel(1)
    queue.cancel(2)
    queue.push(1, SECOND)
    queue.finish(1)
    assert queue.next(0.0) is None


def test_nobody_waits_for_the_interim_text_of_an_utterance_that_is_over() -> None:
    queue = queue_with(1)
    queue.push(1, SECOND)
    look = queue.next(0.0)
    assert look is not None
    queue.finish(1)
    assert not queue.done(look, 0.0, 0.1)


def test_of_an_endless_utterance_the_first_minute_counts() -> None:
    queue = queue_with(1, interim_s=0)
    for _ in range(100):
        queue.push(1, SECOND)
    queue.finish(1)
    look = queue.next(0.0)
    assert look is not None
    assert len(look.pcm) == 60 * len(SECOND)


def test_there_is_an_end_to_how_many_there_can_be() -> None:
    queue = queue_with(*range(MOST_UTTERANCES))
    assert not queue.open(MOST_UTTERANCES)
    queue.cancel(0)
    assert queue.open(MOST_UTTERANCES)
