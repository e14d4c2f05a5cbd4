import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline_worker.engines.catalog import Catalog
from pipeline_worker.engines.protocols import Utterance
from shared.agent import AgentDefinition
from shared.errors import ConfigError, EngineError
from shared.io.agent_files import load_agents
from tests.fakes.scripts import SCRIPT, scripted_agent

SHIPPED = Path(__file__).parents[3] / "deploy" / "agents"
ECHO = AgentDefinition(id="echo", name="Echo", mode="echo")


async def test_the_shipped_agents_load_and_every_engine_answers() -> None:
    catalog = Catalog(load_agents(SHIPPED))
    await catalog.start()
    try:
        engines = catalog.open("front-desk")
        vad = engines.vad.open()
        assert len(await vad.push(np.ones(engines.vad.chunk_samples, dtype=np.int16))) == 1
        assert (await engines.stt.open().finish()).final
        asked = [Utterance("user", "Book a table for 2 on Friday at 8")]
        replies = [reply.text async for reply in engines.lm.reply(asked)]
        assert "two on Friday at eight" in replies[0]
        pieces = [piece async for piece in engines.tts.speak(replies[0])]
        assert sum(len(piece.samples) for piece in pieces) > engines.tts.sample_rate
        await engines.lm.close()
        with pytest.raises(KeyError):
            catalog.open("echo")
    finally:
        await catalog.close()


async def test_sessions_share_the_model_and_the_helpers() -> None:
    agents = {"desk": scripted_agent(), "other": scripted_agent(id="other")}
    catalog = Catalog(agents)
    await catalog.start()
    try:
        assert catalog.open("desk").vad is catalog.open("other").vad
    finally:
        await catalog.close()
        await catalog.close()
    with pytest.raises(EngineError, match="not started"):
        catalog.open("desk")


async def test_echo_agents_need_no_engines() -> None:
    catalog = Catalog({"echo": ECHO})
    await catalog.start()
    await catalog.close()


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        (
            {"text_to_speech": {"engine": "parrot"}},
            "agent 'desk': text_to_speech.engine: no engine 'parrot': choose one of espeak-ng",
        ),
        (
            {"text_to_speech": {"engine": "espeak-ng", "options": {"pace": 3}}},
            "agent 'desk': text_to_speech.options.pace: no such option",
        ),
        ({"script": {"intents": SCRIPT["intents"]}}, "agent 'desk': language_model.options.fallback: missing: add it"),
    ],
)
async def test_an_agent_that_cannot_be_served_is_told_before_anything_is_loaded(
    fields: dict[str, Any], told: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        await Catalog({"desk": scripted_agent(**fields)}).start()
    assert told in raised.value.message


async def test_an_engine_whose_package_is_missing_is_named_with_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pipeline_worker.engines.espeak_tts", None)  # Its import fails.
    with pytest.raises(ConfigError, match=r"'espeak-ng' cannot be loaded: .*install what is missing"):
        await Catalog({"desk": scripted_agent()}).start()
