from pipeline_worker.core.endpointing import Endpointing, UtteranceEnded, UtteranceStarted
from pipeline_worker.core.talkspurts import SpeechSustained, TalkspurtEnded, TalkspurtStarted

SILENCE_MS, SILENCE = 500, 8_000


def test_an_utterance_is_over_after_the_silence() -> None:
    endpointing = Endpointing(SILENCE_MS)
    assert endpointing.handle(TalkspurtStarted(1_000)) == [UtteranceStarted(1, 1_000)]
    assert endpointing.handle(SpeechSustained(4_000)) == []
    assert endpointing.open
    assert endpointing.advance(90_000) == []
    assert endpointing.handle(TalkspurtEnded(100_000)) == []
    assert endpointing.advance(100_000 + SILENCE - 1) == []
    assert endpointing.advance(100_000 + SILENCE) == [UtteranceEnded(1, 100_000 + SILENCE)]
    assert not endpointing.open


def test_a_pause_within_an_utterance_does_not_end_it() -> None:
    endpointing = Endpointing(SILENCE_MS)
    endpointing.handle(TalkspurtStarted(0))
    endpointing.handle(TalkspurtEnded(10_000))
    assert endpointing.handle(TalkspurtStarted(17_000)) == []
    assert endpointing.advance(30_000) == []
    endpointing.handle(TalkspurtEnded(40_000))
    assert endpointing.advance(48_000) == [UtteranceEnded(1, 48_000)]


def test_it_ends_once_and_the_next_one_has_the_next_number() -> None:
    endpointing = Endpointing(SILENCE_MS)
    endpointing.handle(TalkspurtStarted(0))
    endpointing.handle(TalkspurtEnded(10_000))
    assert len(endpointing.advance(90_000)) == 1
    assert endpointing.advance(99_000) == []
    assert endpointing.handle(TalkspurtStarted(100_000)) == [UtteranceStarted(2, 100_000)]


def test_silence_before_any_speech_ends_nothing() -> None:
    assert Endpointing(SILENCE_MS).advance(1_000_000) == []
