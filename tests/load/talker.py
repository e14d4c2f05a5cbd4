"""A stand-in pipeline for the load: takes every caller's voice and answers with speech, 100 ms at a time.

`python -m tests.load.talker` prints its worker id and serves until it is terminated. The environment says the
broker (ANTIPHON_REDIS_URL), and how much of the time the agent talks (TALK_SHARE, 1.0).
"""

import asyncio
import os
import time

import uvloop

from shared import keys
from shared.events import CallerConnected, PipelineAttached, SessionClosed, StartPipeline
from shared.frames import AudioFrame
from shared.io import broker
from shared.io.inbox import Inbox
from shared.io.outbox import Outbox
from tests.load.speech import speech

_RATE = 24_000
_PIECE_S = 0.1
_PIECE = int(_RATE * _PIECE_S)
_CYCLE_S = 10.0


class Talker:
    def __init__(self, url: str, worker_id: str, talk_share: float, spoken: bytes) -> None:
        self._outbox = Outbox(broker.connect(url), worker_id)
        self._inbox = Inbox(broker.connect_blocking(url), keys.inbox("pipeline", worker_id))
        self._worker_id = worker_id
        self._talk_share = talk_share
        self._media: dict[str, str] = {}
        self._sent: dict[str, int] = {}
        self._speech = spoken
        self.frames = 0

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._outbox.run())
            tasks.create_task(self._listen())
            tasks.create_task(self._talk())

    async def _listen(self) -> None:
        async for items in self._inbox:
            for item in items:
                match item:
                    case AudioFrame():
                        self.frames += 1
                    case StartPipeline(session=session, media_worker=media):
                        self._media[session] = keys.inbox("media", media)
                        attached = PipelineAttached(session=session, epoch=1, pipeline_worker=self._worker_id)
                        self._outbox.send(self._media[session], attached)
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
                phase = (loop.time() + index * _CYCLE_S / 7) % _CYCLE_S
                if phase < self._talk_share * _CYCLE_S:
                    self._say(session, index, sent)
            round_number += 1
            await asyncio.sleep(max(0.0, began + round_number * _PIECE_S - loop.time()))

    def _say(self, session: str, index: int, sent: int) -> None:
        pieces = len(self._speech) // (_PIECE * 2)
        at = (index * 37 + sent) % pieces * _PIECE * 2
        pcm = self._speech[at : at + _PIECE * 2]
        self._outbox.send(self._media[session], AudioFrame(session, 1, sent, sent * _PIECE, _RATE, 1, pcm))
        self._sent[session] = sent + 1


async def _serve(spoken: bytes) -> None:
    worker_id = f"talker-{os.getpid()}-{time.time_ns()}"
    share = float(os.environ.get("TALK_SHARE", "1.0"))
    print(worker_id, flush=True)
    await Talker(os.environ["ANTIPHON_REDIS_URL"], worker_id, share, spoken).run()


if __name__ == "__main__":
    uvloop.run(_serve(speech(_RATE).tobytes()))
