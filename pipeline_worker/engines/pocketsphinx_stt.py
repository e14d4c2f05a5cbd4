"""Speech to text by PocketSphinx, which knows the agent's phrases and rejects what is none of them.

Free-form recognition with its small model is poor; with a grammar of expected phrases it serves. Beside the phrases the
grammar takes any row of everyday words, the decoys: what fits them better than every phrase was not understood. It also
takes the agent's backchannels, which would else be heard as the nearest phrase, and interrupt the agent: of 105 in five
voices 44 did without, and 27 do with them, while of 185 sentences 173 are understood either way, and of 50 foreign ones
44 rejected.
"""

import asyncio
from collections.abc import Iterable
from hashlib import sha256
from typing import NamedTuple

import numpy as np
from pydantic import Field

from pipeline_worker.core.backchannels import expected
from pipeline_worker.engines.decoy_words import DECOY_WORDS
from pipeline_worker.engines.grammar import Grammar
from pipeline_worker.engines.helper_process import Channel, HelperProcess
from pipeline_worker.engines.options import Options, read_options
from pipeline_worker.engines.protocols import Recognised
from pipeline_worker.engines.script import Script
from shared.agent import AgentDefinition
from shared.audio import UPLINK_RATE, Pcm, samples_in
from shared.errors import ConfigError, EngineError

_PIECE_SAMPLES = samples_in(100, UPLINK_RATE)
_ANSWER_TIMEOUT_S = 5.0
_LOAD_TIMEOUT_S = 30.0
_DECOY_PREFIX = "decoy_"
_MEAN_THE_SAME = {"yeah": "yes", "yep": "yes", "ok": "okay"}
"""They are heard as the others, if there are those, which a script is more likely to have as an answer."""


class PocketSphinxOptions(Options):
    processes: int = Field(1, ge=1, le=16, description="helper processes; one follows about 8 callers who talk at once")
    pronunciations: dict[str, str] = Field(
        default_factory=dict, description="words that the dictionary lacks, in CMU phones, e.g. aurora: AO R AO R AH"
    )


class _Load(NamedTuple):
    """What a helper must be told of a grammar before its first use."""

    agent_id: str
    grammar: str
    jsgf: str
    backchannels: tuple[str, ...]
    words: tuple[str, ...]
    aliases: dict[str, str]
    pronunciations: dict[str, str]


class PocketSphinxStream:
    def __init__(self, helper: HelperProcess, grammar_name: str) -> None:
        self._helper = helper
        self._grammar_name = grammar_name
        self._channel: Channel | None = None
        self._rest: Pcm = np.zeros(0, dtype=np.int16)
        self._text = ""
        self._over = False

    async def push(self, samples: Pcm) -> Recognised | None:
        """Does not wait for the decoder: what is returned was heard in earlier samples."""
        self._rest = np.concatenate((self._rest, samples))
        if len(self._rest) >= _PIECE_SAMPLES:
            await self._send_rest("push")
        return self._newest()

    async def finish(self) -> Recognised:
        try:
            await self._send_rest("push")
            channel = await self._opened()
            await channel.send({"op": "finish"})
            async with asyncio.timeout(_ANSWER_TIMEOUT_S):
                while not (frame := await channel.receive(_ANSWER_TIMEOUT_S)).header.get("last"):
                    pass
        except TimeoutError as error:
            raise EngineError("the recogniser is far behind") from error
        finally:
            await self.cancel()
        return Recognised(_understood(frame.header["text"]), final=True)

    async def cancel(self) -> None:
        self._over = True
        if self._channel is not None:
            self._channel.close({"op": "cancel"})

    async def _send_rest(self, op: str) -> None:
        channel = await self._opened()
        pcm, self._rest = self._rest.astype("<i2").tobytes(), self._rest[:0]
        await channel.send({"op": op}, pcm)

    async def _opened(self) -> Channel:
        if self._over:
            raise EngineError("the utterance is over")
        if self._channel is None:
            self._channel = await self._helper.open()
            await self._channel.send({"op": "open", "grammar": self._grammar_name})
        return self._channel

    def _newest(self) -> Recognised | None:
        before = self._text
        while self._channel is not None and (frame := self._channel.receive_nowait()):
            self._text = _understood(frame.header["text"])
        return Recognised(self._text, final=False) if self._text not in ("", before) else None


class PocketSphinx:
    """Speech to text with one grammar. The helpers belong to the provider."""

    def __init__(self, helpers: list[HelperProcess], grammar_name: str) -> None:
        self._helpers = helpers
        self._grammar_name = grammar_name

    def open(self) -> PocketSphinxStream:
        helper = min(self._helpers, key=lambda helper: helper.open_channels)
        return PocketSphinxStream(helper, self._grammar_name)

    async def close(self) -> None:
        """Closed with its provider."""


class Provider:
    """The helper processes, and the grammar of each agent."""

    def __init__(self) -> None:
        self._loads: dict[str, _Load] = {}
        self._helpers: list[HelperProcess] = []
        self._processes = 1

    @property
    def helper_pids(self) -> list[int]:
        return [helper.pid for helper in self._helpers if helper.pid is not None]

    def add(self, agent: AgentDefinition) -> None:
        options = read_options(agent, "speech_to_text", PocketSphinxOptions)
        if agent.language_model.engine != "scripted":
            # Who wrote no section has never heard of this engine.
            told = (
                "speech_to_text.engine: pocketsphinx"
                if "speech_to_text" in agent.model_fields_set
                else "speech_to_text: missing, and the default, pocketsphinx,"
            )
            raise ConfigError(
                f"agent '{agent.id}': {told} hears only the phrases of a script: add speech_to_text with another "
                "recogniser, or choose the language model 'scripted'"
            )
        grammar = read_options(agent, "language_model", Script).grammar()
        self._loads[agent.id] = _load(agent.id, grammar, expected(agent), options.pronunciations)
        self._processes = max(self._processes, options.processes)

    async def start(self) -> None:
        self._helpers = [
            HelperProcess("pipeline_worker.engines.pocketsphinx_helper", name="PocketSphinx", prepare=self._prepare)
            for _ in range(self._processes)
        ]
        for helper in self._helpers:
            (await helper.open()).close()
        for load in self._loads.values():
            await _try(self.open(load.agent_id))

    def open(self, agent_id: str) -> PocketSphinx:
        return PocketSphinx(self._helpers, self._loads[agent_id].grammar)

    async def close(self) -> None:
        await asyncio.gather(*(helper.close() for helper in self._helpers))

    async def _prepare(self, helper: HelperProcess) -> None:
        for load in {load.grammar: load for load in self._loads.values()}.values():
            channel = helper.open_now()
            try:
                await channel.send({"op": "load", **load._asdict()})
                missing = (await channel.receive(_LOAD_TIMEOUT_S)).header["missing"]
            finally:
                channel.close()
            if missing:
                raise ConfigError(
                    f"agent '{load.agent_id}': language_model.options: the recogniser's dictionary lacks "
                    f"{', '.join(repr(word) for word in missing)}: use other words, or say how they sound in "
                    "speech_to_text.options.pronunciations"
                )


def _load(agent_id: str, grammar: Grammar, backchannels: Iterable[str], pronunciations: dict[str, str]) -> _Load:
    words = grammar.words()
    named = [said.lower() for said in backchannels]
    spoken = tuple(said for said in named if _MEAN_THE_SAME.get(said) not in words.union(named))
    decoys = {f"{_DECOY_PREFIX}{word}": word for word in DECOY_WORDS if word not in words}
    jsgf = grammar.jsgf(list(decoys), with_backchannels=True)
    name = sha256(repr((jsgf, spoken, sorted(pronunciations.items()))).encode()).hexdigest()[:16]
    return _Load(agent_id, name, jsgf, spoken, tuple(sorted(words)), decoys, pronunciations)


async def _try(recogniser: PocketSphinx) -> None:
    stream = recogniser.open()
    await stream.push(np.zeros(_PIECE_SAMPLES, dtype=np.int16))
    await stream.finish()


def _understood(hypothesis: str) -> str:
    return " ".join(word for word in hypothesis.split() if not word.startswith(_DECOY_PREFIX))
