"""A fake pipeline worker for load tests: receives every caller's audio and sends speech, 100 ms at a time.

`python -m tests.load.talker` prints its worker id and serves until it is terminated. Environment variables:
ANTIPHON_REDIS_URL is the broker, TALK_SHARE the share of the time in which the agent talks (1.0), TALK_CYCLE_S the
length of a cycle in seconds (10), and TALKER_LOG a file for the times of frames and talkspurts (JSON, monotonic).
"""

import asyncio
import json
import os
import signal
import time
from pathlib import Path

import uvloop

from shared import keys
from shared.events import AgentSpeechEnded, CallerConnected, SessionClosed
from shared.frames import AudioFrame
from shared.io import broker
from shared.io.inbox import Inbox
from shared.io.outbox import Outbox
from tests.load.job_taker import JobTaker
from tests.load.load_speech import speech

_RATE = 24_000
_PIECE_S = 0.1
_PIECE = int(_RATE * _PIECE_S)


class Talker:
    def __init__(self, url: str, worker_id: str, talk_share: float, cycle_s: float, spoken: bytes) -> None:
        self._outbox = Outbox(broker.connect(url), worker_id)
        self._inbox = Inbox(broker.connect_blocking(url), keys.inbox("pipeline", worker_id))
        self._jobs = JobTaker(url, worker_id, self._outbox, self._take)
        self._talk_share = talk_share
        self._cycle_s = cycle_s
        self._talking: set[str] = set()
        self._media: dict[str, str] = {}
        self._sent: dict[str, int] = {}
        self._speech = spoken
        self.frames_came: dict[str, list[float]] = {}
        self.talkspurts: dict[str, list[float]] = {}

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._outbox.run())
            tasks.create_task(self._listen())
            tasks.create_task(self._talk())
            tasks.create_task(self._jobs.run())

    def _take(self, session: str, media: str) -> None:
        self.frames_came[session], self.talkspurts[session] = [], []
        self._media[session] = media

    async def _listen(self) -> None:
        async for received in self._inbox:
            items = [item for batch in received for item in batch.items]
            for item in items:
                match item:
                    case AudioFrame():
                        self.frames_came[item.session].append(time.monotonic())
                    case CallerConnected(session=session):
                        self._sent[session] = 0
                    case SessionClosed(session=session):
                        self._sent.pop(session, None)
                        self._media.pop(session, None)

    async def _talk(self) -> None:
        loop = asyncio.get_running_loop()
        began, round_number = loop.time(), 0
        while True:
            for index, (session, sent) in enumerate(list(self._sent.items())):
                phase = (loop.time() + index * self._cycle_s / 7) % self._cycle_s
                if phase < self._talk_share * self._cycle_s:
                    self._say(session, index, sent)
                elif session in self._talking:
                    self._talking.discard(session)
                    end = AgentSpeechEnded(session=session, epoch=1, end_sample=sent * _PIECE)
                    self._outbox.send(self._media[session], end)
            round_number += 1
            await asyncio.sleep(max(0.0, began + round_number * _PIECE_S - loop.time()))

    def _say(self, session: str, index: int, sent: int) -> None:
        if session not in self._talking:
            self._talking.add(session)
            self.talkspurts[session].append(time.monotonic())
        pieces = len(self._speech) // (_PIECE * 2)
        at = (index * 37 + sent) % pieces * _PIECE * 2
        pcm = self._speech[at : at + _PIECE * 2]
        self._outbox.send(self._media[session], AudioFrame(session, 1, sent, sent * _PIECE, _RATE, 1, pcm))
        self._sent[session] = sent + 1


async def _serve(spoken: bytes) -> None:
    worker_id = f"talker-{os.getpid()}-{time.time_ns()}"
    share = float(os.environ.get("TALK_SHARE", "1.0"))
    print(worker_id, flush=True)
    cycle_s = float(os.environ.get("TALK_CYCLE_S", "10"))
    talker = Talker(os.environ["ANTIPHON_REDIS_URL"], worker_id, share, cycle_s, spoken)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    running = asyncio.create_task(talker.run())
    await stop.wait()
    running.cancel()
    if "TALKER_LOG" in os.environ:
        log = {"frames_came": talker.frames_came, "talkspurts": talker.talkspurts}
        await asyncio.to_thread(Path(os.environ["TALKER_LOG"]).write_text, json.dumps(log), "utf-8")


if __name__ == "__main__":
    uvloop.run(_serve(speech(_RATE).tobytes()))
