"""Callers who ask and listen without end, and what they heard: tone words, with the time of each.

The agent says the same long row of words in every reply, so a word that was lost or said twice shows.
"""

import asyncio
import contextlib
import math
import random
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from callers.signaling import NotConnected
from media_worker.opus import Encoder
from shared.audio import Pcm
from tests.load.conversation import ENDPOINTING_MS, LM_MS, STT_MS
from tests.load.heard_words import HeardWord, heard_words, silences
from tests.load.lasting_caller import RATE, LastingCaller
from tests.load.tone_words import Account, account, name, numbers

FIRST_AUDIO_S = (ENDPOINTING_MS + STT_MS + LM_MS + 100) / 1000
"""From the end of a question to the reply, when all is well."""
_FRAME_S = 0.02
_FRAME = RATE // 50
_SLOTS = 4
_BITRATE = 32_000
_ROOM_NOISE_RMS = 26.0
_ROOM_FRAMES = 50
_LOOK_EVERY_S = 0.2
_ENDED_AFTER_S = 0.6
_GIVE_UP_S = 12.0
"""Silence after which a reply will not go on."""
_ASK_AGAIN_S = 6.0
"""Silence after which a caller asks again."""
_NEXT_TURN_S = 0.3, 1.5
_STAGGER_S = 0.2
"""Between callers, at first: they should not all speak at the same time."""
_RETRY_S = 1.0


@dataclass
class Turn:
    """A question and its reply. Times are monotonic."""

    asked_s: float
    words: list[HeardWord] = field(default_factory=list)
    ended_s: float = math.inf
    is_whole: bool = False
    """Its last word was heard."""

    def silences(self) -> list[tuple[float, float]]:
        """Beginning and end of each stretch in which the agent should have spoken, and was not heard."""
        broke_off_s = None if self.is_whole or self.ended_s == math.inf else self.ended_s
        return silences(self.words, self.asked_s + FIRST_AUDIO_S, broke_off_s)


class LostSession(NamedTuple):
    """One that ended although it should not have."""

    at_s: float
    why: str
    session: str
    notes: list[tuple[float, str]]
    """The caller's, with times."""


class CountingCall:
    """One caller. If their session is lost, they begin another."""

    def __init__(self, index: int, gateways: Sequence[str], agent_id: str, text: str, question: list[bytes]) -> None:
        self.turns: list[Turn] = []
        self.lost: list[LostSession] = []
        self.refused = 0
        self.caller: LastingCaller | None = None
        self._index = index
        self._rng = random.Random(index)
        self._gateways = gateways
        self._agent_id = agent_id
        self._text = text
        self._last_word = name(numbers(text)[-1])
        self._question = question
        self._said = 0
        self._is_asking = False
        self._asked = asyncio.Event()
        self._may_ask = asyncio.Event()
        self._may_ask.set()
        self._patient_until_s = 0.0

    def wait(self) -> None:
        """They know that nobody hears them: they ask nothing, and wait for the rest of a reply."""
        self._may_ask.clear()

    def go_on(self) -> None:
        self._may_ask.set()
        self._patient_until_s = time.monotonic()

    def send_next(self, room: list[bytes]) -> None:
        if self.caller is None:
            return
        if not self._is_asking:
            self.caller.send(room[self._said % len(room)])
            self._said += 1
            return
        self.caller.send(self._question[self._said])
        self._said += 1
        if self._said == len(self._question):
            self._said, self._is_asking = 0, False
            self._asked.set()

    async def run(self) -> None:
        """Until cancelled. Hangs up then."""
        await asyncio.sleep(self._index * _STAGGER_S)
        while True:
            caller = LastingCaller(self._gateways, self._index, self._agent_id)
            try:
                async with caller:
                    self.caller = caller
                    await self._talk(caller)
            except NotConnected:
                self.refused += 1
                await asyncio.sleep(_RETRY_S)
            finally:
                self.caller = None
            if caller.is_lost:
                self._lose(caller)

    def _lose(self, caller: LastingCaller) -> None:
        why = caller.end_reason or f"{caller.signaling.lost}"
        self.lost.append(LostSession(time.monotonic(), why, caller.session, list(caller.notes)))

    @property
    def words(self) -> int:
        """Of each reply."""
        return len(numbers(self._text))

    def words_of(self, turn: Turn) -> Account:
        return account(self._text, [word.text for word in turn.words])

    async def _talk(self, caller: LastingCaller) -> None:
        while not caller.is_lost:
            await asyncio.sleep(self._rng.uniform(*_NEXT_TURN_S))
            await self._may_ask.wait()
            caller.listen()
            caller.forget()
            self._said, self._is_asking = 0, True
            self._asked.clear()
            await self._asked.wait()
            turn = Turn(time.monotonic())
            self.turns.append(turn)
            await self._listen(caller, turn)
            turn.ended_s = time.monotonic()

    async def _listen(self, caller: LastingCaller, turn: Turn) -> None:
        """Until the last word of the reply, or a long silence."""
        sound_s = 0.0
        while not caller.is_lost:
            await asyncio.sleep(_LOOK_EVERY_S)
            caller.listen()
            if not caller.heard.is_silent(time.monotonic(), _ENDED_AFTER_S):
                continue
            if (heard_s := caller.heard.sound_s(0)) > sound_s:
                sound_s = heard_s
                turn.words = heard_words(caller.heard, RATE)
                turn.is_whole = bool(turn.words) and turn.words[-1].text == self._last_word
            if turn.is_whole:
                return
            if not self._may_ask.is_set():
                continue
            waited_s = time.monotonic() - max(turn.asked_s, self._patient_until_s)
            patience_s = _GIVE_UP_S if turn.words else _ASK_AGAIN_S
            if waited_s > patience_s and caller.heard.is_silent(time.monotonic(), patience_s):
                return


class CountingCalls:
    """All callers, whose packets are sent from one clock."""

    def __init__(
        self,
        gateways: Sequence[Sequence[str]],
        agent_id: str,
        text: str,
        question: Pcm,
        call_type: type[CountingCall] = CountingCall,
    ) -> None:
        """`gateways` are those of each caller."""
        encoder = Encoder(RATE, _BITRATE, 0)
        noise = (np.random.default_rng(1).standard_normal(RATE) * _ROOM_NOISE_RMS).astype(np.int16)
        self._room = [_encoded(encoder, noise[at * _FRAME :][:_FRAME]) for at in range(_ROOM_FRAMES)]
        frames = np.pad(question, (0, -len(question) % _FRAME)).reshape(-1, _FRAME)
        spoken = [_encoded(encoder, frame) for frame in frames]
        self.all = [call_type(index, urls, agent_id, text, spoken) for index, urls in enumerate(gateways)]

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(call.run()) for call in self.all]
        clock = asyncio.create_task(self._send())
        try:
            yield
        finally:
            for task in (*tasks, clock):
                task.cancel()
            outcomes = await asyncio.gather(*tasks, clock, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome

    async def _send(self) -> None:
        began_s, slot = time.monotonic(), 0
        while True:
            for call in self.all[slot % _SLOTS :: _SLOTS]:
                call.send_next(self._room)
            slot += 1
            await asyncio.sleep(max(0.0, began_s + slot * _FRAME_S / _SLOTS - time.monotonic()))


def _encoded(encoder: Encoder, frame: Pcm) -> bytes:
    return encoder.encode(frame.tobytes())
