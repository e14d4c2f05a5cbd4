from pipeline_worker.engines.utterance.queue import MOST_UTTERANCES, Hypothesis, Pass, UtteranceQueue

SECOND = b"\x00\x10" * 16_000
TENTH = SECOND[:3_200]
QUIET = bytes(3_200)


def queue_with(*channels: int, interim_s: float = 1.0) -> UtteranceQueue:
    queue = UtteranceQueue(interim_s)
    for channel in channels:
        assert queue.open(channel)
    return queue


def due(queue: UtteranceQueue, now: float = 0.0) -> Pass:
    work = queue.next(now)
    assert work is not None
    return work


def heard(queue: UtteranceQueue, text: str, now: float = 0.0) -> str | None:
    """What is reported after the pass that is due found `text`."""
    work = due(queue, now)
    assert not work.covered
    return queue.done(work, Hypothesis(text), now, now)


def test_an_interim_text_is_due_after_enough_new_speech() -> None:
    queue = queue_with(1)
    queue.push(1, SECOND[:16_000])
    assert (queue.next(0.0), queue.waits_for_speech) == (None, True)
    queue.push(1, SECOND[:16_000])
    assert not queue.waits_for_speech
    assert queue.next(0.0) == Pass(1, SECOND, None)
    assert queue.next(0.0) is None


def test_an_interim_text_looks_at_the_utterance_from_its_beginning_and_knows_what_was_understood() -> None:
    queue = queue_with(1)
    before = None
    for seconds in (1, 2, 3):
        queue.push(1, SECOND)
        work = due(queue)
        assert (len(work.pcm), work.before) == (seconds * len(SECOND), before)
        before = Hypothesis(f"{seconds} s", seconds)
        assert queue.done(work, before, 0.0, 0.0) == f"{seconds} s"


def test_the_longer_the_utterance_the_rarer_its_interim_texts() -> None:
    queue = queue_with(1)
    queue.push(1, SECOND * 6)
    due(queue)
    queue.push(1, SECOND * 2)
    assert queue.next(0.0) is None
    queue.push(1, SECOND)
    assert len(due(queue).pcm) == 9 * len(SECOND)


def test_interim_texts_take_at_most_half_of_the_time() -> None:
    queue = queue_with(1, 2)
    queue.push(1, SECOND)
    queue.push(2, SECOND)
    queue.done(due(queue, 10.0), Hypothesis("a"), 10.0, 10.5)
    assert queue.next(10.9) is None
    assert queue.next(11.0) is not None


def test_a_pause_is_examined_even_if_interim_texts_have_used_their_share() -> None:
    queue = queue_with(1, 2)
    queue.push(1, SECOND)
    queue.done(due(queue, 10.0), Hypothesis("a"), 10.0, 10.5)
    queue.push(2, SECOND + QUIET * 2)
    work = queue.next(10.6)
    assert work is not None
    assert (work.channel, work.pause) == (2, True)


def test_the_caller_with_the_most_new_speech_is_next() -> None:
    queue = queue_with(1, 2)
    queue.push(1, SECOND)
    queue.push(2, SECOND * 2)
    assert [work and work.channel for work in (queue.next(0.0), queue.next(0.0), queue.next(0.0))] == [2, 1, None]


def test_callers_who_pause_come_before_those_who_speak() -> None:
    queue = queue_with(1, 2)
    queue.push(1, SECOND * 2)
    queue.push(2, TENTH + QUIET * 2)
    assert [due(queue).channel, due(queue).channel] == [2, 1]


def test_quiet_does_not_count_as_new_speech() -> None:
    queue = queue_with(1)
    queue.push(1, QUIET * 30)
    assert queue.next(0.0) is None
    queue.push(1, TENTH * 9)
    assert queue.next(0.0) is None


def test_the_quiet_around_speech_is_cut_off() -> None:
    queue = queue_with(1)
    queue.push(1, QUIET * 10 + SECOND + QUIET * 10)
    assert len(due(queue).pcm) == len(SECOND) + 2 * 3_200


def test_what_was_understood_in_the_pause_at_the_end_is_the_final_text() -> None:
    queue = queue_with(1)
    queue.push(1, TENTH * 5 + QUIET)
    assert queue.next(0.0) is None
    queue.push(1, QUIET)
    assert heard(queue, "Yes.") == "Yes."
    queue.push(1, QUIET * 2)
    assert queue.next(0.0) is None
    queue.finish(1)
    work = due(queue)
    assert (work.final, work.covered, work.pcm) == (True, True, b"")
    assert queue.done(work, work.before, 1.0, 1.0) == "Yes."


def test_a_pass_during_which_the_utterance_ended_gives_the_final_text() -> None:
    queue = queue_with(1)
    queue.push(1, TENTH * 5 + QUIET * 2)
    work = due(queue)
    queue.push(1, QUIET)
    queue.finish(1)
    assert queue.done(work, Hypothesis("Yes."), 0.0, 0.1) is None
    assert due(queue, 0.1).before == Hypothesis("Yes.")


def test_a_pass_before_more_speech_does_not_give_the_final_text() -> None:
    queue = queue_with(1)
    queue.push(1, TENTH * 5 + QUIET * 2)
    assert heard(queue, "Yes.") == "Yes."
    queue.push(1, TENTH)
    queue.finish(1)
    work = due(queue)
    assert (work.covered, work.before) == (False, Hypothesis("Yes."))


def test_a_pass_that_failed_covers_nothing() -> None:
    queue = queue_with(1)
    queue.push(1, SECOND)
    assert heard(queue, "Yes") == "Yes"
    queue.push(1, SECOND + QUIET * 2)
    work = due(queue)
    queue.finish(1)
    queue.done(work, None, 0.0, 0.1)
    work = due(queue)
    assert (work.final, work.covered) == (True, False)


def test_a_mark_in_the_middle_of_the_sound_means_nothing() -> None:
    queue = queue_with(1)
    queue.push(1, SECOND)
    assert heard(queue, "I would like.") == "I would like"


def test_a_text_without_its_mark_gets_it_in_the_pause_without_another_pass() -> None:
    queue = queue_with(1)
    queue.push(1, SECOND)
    assert heard(queue, "I would like tea.") == "I would like tea"
    queue.push(1, QUIET * 2)
    work = due(queue)
    assert (work.covered, work.final) == (True, False)
    assert queue.done(work, work.before, 0.0, 0.0) == "I would like tea."
    assert queue.next(0.0) is None


def test_a_long_utterance_is_settled_up_to_a_pause() -> None:
    queue = queue_with(1)
    queue.push(1, SECOND * 10 + QUIET + SECOND * 6)
    work = due(queue)
    assert 10 * len(SECOND) < len(work.pcm) < 10 * len(SECOND) + len(QUIET)
    assert queue.done(work, Hypothesis("One.", 1), 0.0, 0.0) == "One"
    work = due(queue)
    assert work.before is None
    assert 6 * len(SECOND) < len(work.pcm) < 6 * len(SECOND) + len(QUIET)
    assert queue.done(work, Hypothesis("Two."), 0.0, 0.0) == "One. Two"
    queue.finish(1)
    work = due(queue)
    assert queue.done(work, work.before, 0.0, 0.0) == "One. Two."


def test_a_long_utterance_is_settled_before_its_final_text_too() -> None:
    queue = queue_with(1, interim_s=0)
    queue.push(1, SECOND * 40)
    queue.finish(1)
    texts = []
    while (work := queue.next(0.0)) is not None:
        assert len(work.pcm) <= 15 * len(SECOND)
        texts.append(queue.done(work, Hypothesis("words"), 0.0, 0.0))
    assert texts[-1] == " ".join(["words"] * len(texts))
    assert texts[:-1] == [None] * (len(texts) - 1)


def test_a_part_that_fails_is_skipped() -> None:
    queue = queue_with(1, interim_s=0)
    queue.push(1, SECOND * 20)
    queue.finish(1)
    work = due(queue)
    assert work.settles_up_to
    assert queue.done(work, None, 0.0, 0.0) is None
    assert due(queue).final


def test_final_texts_come_first_and_in_order() -> None:
    queue = queue_with(1, 2, 3)
    for channel in (1, 2, 3):
        queue.push(channel, SECOND)
    queue.finish(3)
    queue.finish(1)
    assert [(work.channel, work.final) for work in (due(queue), due(queue), due(queue))] == [
        (3, True),
        (1, True),
        (2, False),
    ]


def test_final_texts_do_not_wait_for_the_interim_ones_share() -> None:
    queue = queue_with(1)
    queue.push(1, SECOND)
    queue.done(due(queue), Hypothesis("a"), 0.0, 100.0)
    queue.push(1, SECOND)
    queue.finish(1)
    assert due(queue, 100.0).final


def test_without_interim_texts_there_are_only_final_ones() -> None:
    queue = queue_with(1, interim_s=0)
    queue.push(1, SECOND * 10 + QUIET * 5)
    assert queue.waits_for_speech
    assert queue.next(0.0) is None
    queue.finish(1)
    assert due(queue).final


def test_a_cancelled_utterance_is_not_examined() -> None:
    queue = queue_with(1, 2)
    queue.push(1, SECOND)
    queue.push(2, SECOND)
    queue.finish(2)
    queue.cancel(1)
    queue.cancel(2)
    queue.push(1, SECOND)
    queue.finish(1)
    assert queue.next(0.0) is None


def test_nobody_waits_for_the_text_of_an_utterance_that_was_cancelled() -> None:
    queue = queue_with(1)
    queue.push(1, SECOND)
    work = due(queue)
    queue.cancel(1)
    assert queue.done(work, Hypothesis("a"), 0.0, 0.1) is None


def test_silence_has_no_text() -> None:
    queue = queue_with(1, 2)
    queue.push(1, QUIET * 10)
    for channel in (1, 2):
        queue.finish(channel)
        work = due(queue)
        assert work.covered
        assert queue.done(work, work.before, 0.0, 0.0) == ""


def test_only_the_first_minute_of_an_endless_utterance_counts() -> None:
    queue = queue_with(1, interim_s=0)
    for _ in range(100):
        queue.push(1, SECOND)
    queue.finish(1)
    looked_at = 0
    while (work := queue.next(0.0)) is not None:
        looked_at += len(work.pcm)
        queue.done(work, Hypothesis("a"), 0.0, 0.0)
    assert looked_at == 60 * len(SECOND)


def test_the_number_of_entries_is_bounded() -> None:
    queue = queue_with(*range(MOST_UTTERANCES))
    assert not queue.open(MOST_UTTERANCES)
    queue.cancel(0)
    assert queue.open(MOST_UTTERANCES)
