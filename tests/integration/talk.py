"""A caller's conversation with an agent whose every reply is the same long row of tone words.

Such words are recognised without mistakes, so that it shows which of them were lost or said twice.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import yaml

from callers.call_record import HEARD_RATE
from callers.caller import Caller
from callers.microphone import Sound
from shared.audio import Pcm
from tests.load.conversation import agent
from tests.load.heard_words import HeardWord, heard_words, silences
from tests.load.tone_words import Account, account, name, numbers, text_of

AGENT = "counting"
TEXT = text_of(24)
"""5 s of sound."""
ANSWERED_S = 0.5
"""Of an answer, heard: enough to know that somebody answers."""
Record = Callable[[str, object], None]
"""`record_property` of pytest."""
_REPLY_TIMEOUT_S = 40.0
_ENDED_AFTER_S = 0.6
_LOOK_EVERY_S = 0.25


def write_agent(folder: Path, text: str = TEXT, agent_id: str = AGENT) -> None:
    """The agent's file. Its engines are fake, so that what is measured is not their work."""
    voice = {"engine": "tests.load.engines.fixed_tts:FixedTextToSpeechProvider"}
    definition = agent(agent_id, reply={"text": text}, voice=voice)
    (folder / f"{agent_id}.yaml").write_text(yaml.safe_dump(definition), encoding="utf-8")


class Reply(NamedTuple):
    words: Account
    silence_s: float
    """The longest between two words, or between the question and the first word."""


class Talk:
    def __init__(self, caller: Caller, question: Pcm, text: str = TEXT) -> None:
        """`text` is what the agent replies."""
        self.caller = caller
        self._question = question
        self._text = text
        self._last_word = name(numbers(text)[-1])
        self.asked_s = 0.0

    @property
    def session(self) -> str:
        return next(str(event["sessionId"]) for event in self.caller.socket_events if event["type"] == "session")

    async def ask(self) -> Sound:
        """Until the question is spoken."""
        sound = self.caller.microphone.play(self._question)
        await sound.over.wait()
        self.asked_s = sound.end_s
        return sound

    async def hear(self, seconds: float) -> None:
        """Until so much of the reply was heard."""
        await self.caller.wait_for(lambda: self.caller.record.heard.sound_s(self.asked_s) >= seconds)

    async def reply(self, since_s: float) -> Reply:
        """The whole reply. Raises `TimeoutError` if its last word is not heard."""
        async with asyncio.timeout(_REPLY_TIMEOUT_S):
            words: list[HeardWord] = []
            while not words or words[-1].text != self._last_word:
                await asyncio.sleep(_LOOK_EVERY_S)
                words = self.words() if self._is_silent() else []
        gaps = [end_s - begin_s for begin_s, end_s in silences(words, self.asked_s) if end_s > since_s]
        return Reply(account(self._text, [word.text for word in words]), max(gaps, default=0.0))

    def words(self) -> list[HeardWord]:
        """Since the last question."""
        return heard_words(self.caller.record.heard, HEARD_RATE, self.asked_s)

    def _is_silent(self) -> bool:
        heard = self.caller.record.heard
        return heard.is_silent(asyncio.get_running_loop().time(), _ENDED_AFTER_S)


@contextlib.asynccontextmanager
async def talking(gateways: Sequence[str], question: Pcm, count: int, text: str = TEXT) -> AsyncIterator[list[Talk]]:
    """Callers who are connected over the first gateway, come back whatever happens, and hang up on leaving.

    `text` is what the agent replies.
    """
    async with contextlib.AsyncExitStack() as stack:
        callers = [Caller(gateways[0], AGENT, gateways=gateways) for _ in range(count)]
        async with asyncio.TaskGroup() as tasks:
            for caller in callers:
                tasks.create_task(stack.enter_async_context(caller))
        for caller in callers:
            stack.push_async_callback(caller.hang_up)
        for caller in callers:
            await caller.wait_for_status("listening")
        yield [Talk(caller, question, text) for caller in callers]


def record_replies(record: Record, when: str, *replies: Reply) -> None:
    for reply in replies:
        lost, doubled, strange = reply.words
        record(when, f"{reply.silence_s:.2f} s of silence, words lost {lost}, doubled {doubled}, damaged {strange}")


async def assert_sessions_go_on(*talks: Talk) -> None:
    """Everyone is answered again."""
    for talk in talks:
        assert talk.caller.signaling.lost is None
        assert talk.caller.record.end_reason is None

    async def is_answered(talk: Talk) -> None:
        await talk.ask()
        await talk.hear(ANSWERED_S)

    await asyncio.gather(*map(is_answered, talks))
