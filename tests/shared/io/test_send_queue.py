from shared.events import Message, SessionClosed
from shared.frames import AudioFrame
from shared.io.send_queue import SendQueue
from tests.fakes.manual_loop import ManualLoop

PTIME_S = 0.02
MANY = 1_000_000


def frame(seq: int) -> AudioFrame:
    return AudioFrame("s", 1, seq, seq * 320, 16_000, 1, b"")


def message(reason: str) -> Message:
    return SessionClosed(session="s", reason=reason)


def test_items_keep_their_order() -> None:
    queue = SendQueue(ManualLoop().time)
    queue.add_message(message("a"), MANY)
    queue.add_frame(frame(0), MANY)
    queue.add_frame(frame(1), MANY)
    queue.add_message(message("b"), MANY)
    queue.add_message(message("c"), MANY)
    queue.add_frame(frame(2), MANY)
    assert queue.items() == [message("a"), frame(0), frame(1), message("b"), message("c"), frame(2)]
    assert queue.messages() == [message("a"), message("b"), message("c")]


def test_dropping_keeps_the_order_of_the_rest() -> None:
    queue = SendQueue(ManualLoop().time)
    for seq in range(6):
        assert queue.add_frame(frame(seq), limit=3) == (seq < 3)
        assert queue.add_message(message(str(seq)), limit=4) == (seq < 4)
    kept = [message("2"), frame(3), message("3"), frame(4), message("4"), frame(5), message("5")]
    assert queue.items() == kept


def test_frames_grow_old_and_messages_do_not() -> None:
    loop = ManualLoop(now=0.0)
    queue = SendQueue(loop.time)
    queue.add_message(message("a"), MANY)
    for seq in range(500):
        queue.add_frame(frame(seq), MANY)
        loop.advance(PTIME_S)
    queue.add_message(message("b"), MANY)
    assert queue.drop_frames_until(loop.time() - 2.0) == 400
    assert queue.drop_frames_until(loop.time() - 2.0) == 0
    assert queue.items() == [message("a"), *map(frame, range(400, 500)), message("b")]


def test_the_last_few_frames_may_stay() -> None:
    loop = ManualLoop(now=0.0)
    queue = SendQueue(loop.time)
    for seq in range(20):
        queue.add_frame(frame(seq), MANY)
    loop.advance(60.0)
    queue.drop_frames_until(loop.time() - 2.0)
    assert queue.items() == list(map(frame, range(16, 20)))
