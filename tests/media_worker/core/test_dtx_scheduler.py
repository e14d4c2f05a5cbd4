from media_worker.core.dtx_scheduler import REPEAT_MS, DtxScheduler, Sending
from shared.audio import PTIME_MS

PERIOD = REPEAT_MS // PTIME_MS


def ticks(scheduler: DtxScheduler, audio: int, silence: int) -> list[Sending]:
    return [scheduler.tick(True) for _ in range(audio)] + [scheduler.tick(False) for _ in range(silence)]


def test_sound_is_sent_in_every_tick() -> None:
    assert ticks(DtxScheduler(), 50, 0) == ["audio"] * 50


def test_a_talkspurt_is_closed_after_its_tail_and_again_every_400_ms() -> None:
    first, sent = (both := ticks(DtxScheduler(), 3, 3 * PERIOD + 3))[:5], both[5:]
    assert first == ["audio"] * 3 + ["tail"] * 2
    assert [n for n, sending in enumerate(sent) if sending == "closing"] == [0, PERIOD, 2 * PERIOD, 3 * PERIOD]
    assert set(sent) == {"closing", "nothing"}


def test_a_caller_who_hears_nothing_yet_gets_a_packet_every_400_ms() -> None:
    sent = ticks(DtxScheduler(), 0, 2 * PERIOD)
    assert [n for n, sending in enumerate(sent) if sending == "closing"] == [0, PERIOD]


def test_each_talkspurt_is_closed() -> None:
    scheduler = DtxScheduler()
    for _ in range(5):
        assert ticks(scheduler, 2, 4) == ["audio", "audio", "tail", "tail", "closing", "nothing"]
