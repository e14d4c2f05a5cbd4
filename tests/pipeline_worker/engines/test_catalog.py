import asyncio
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pipeline_worker.engines.catalog import Catalog
from pipeline_worker.engines.protocols import SpeechPiece, Utterance
from shared.agent import AgentDefinition
from shared.errors import AntiphonError, ConfigError, EngineError
from shared.io.agent_files import load_agents
from tests.fakes.openai_server import Fault, running_openai_server
from tests.fakes.scripts import SCRIPT, scripted_agent
from tests.fakes.unreliable_engines import UnreliableTts, sound
from tests.fakes.virtual_time import in_virtual_time
from tests.pipeline_worker.engines.spoken import caller

SHIPPED = Path(__file__).parents[3] / "deploy" / "agents"
ECHO = AgentDefinition(id="echo", name="Echo", mode="echo")


async def test_the_shipped_agents_load_and_every_engine_answers() -> None:
    catalog = Catalog(load_agents(SHIPPED))
    await catalog.start()
    try:
        engines = catalog.open("front-desk")
        judged: asyncio.Future[list[float]] = asyncio.get_running_loop().create_future()
        engines.vad.open(judged.set_result, judged.set_exception).push(bytes(2 * engines.vad.chunk_samples))
        assert len(await judged) == 1
        assert (await engines.stt.open().finish()).final
        asked = [Utterance("user", "Book a table for 2 on Friday at 8, my name is Miller.")]
        replies = [reply.text async for reply in engines.lm.reply(asked)]
        assert replies[0].startswith("A table for 2 people ")
        assert "at 8 pm, under the name Miller" in replies[0]
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
        assert len(catalog.helper_pids()) == 2
    finally:
        await catalog.close()
        await catalog.close()
    with pytest.raises(EngineError, match="not started"):
        catalog.open("desk")


async def test_an_engine_may_be_an_operators_class() -> None:
    agent = scripted_agent(text_to_speech={"engine": "tests.load.engines.fixed_tts:FixedTextToSpeechProvider"})
    catalog = Catalog({agent.id: agent})
    await catalog.start()
    try:
        pieces = [piece async for piece in catalog.open(agent.id).tts.speak("w1 w2")]
        assert [word.text for piece in pieces for word in piece.words] == ["w1", "w2"]
    finally:
        await catalog.close()


@pytest.mark.parametrize(
    ("engine", "told"),
    [
        ("no.such.module:Provider", "No module named 'no': install what is missing"),
        ("tests.load.tone_words:Provider", "the module has no class 'Provider': correct the name"),
        (
            "tests.fakes.module_that_fails:Provider",
            r"ZeroDivisionError: division by zero \(.*module_that_fails\.py, line 3\): fix it",
        ),
    ],
)
async def test_a_class_that_cannot_be_loaded_stops_the_start_with_the_reason(engine: str, told: str) -> None:
    agent = scripted_agent(text_to_speech={"engine": engine})
    with pytest.raises(ConfigError, match=f"'{engine}' cannot be loaded: {told}, or choose another engine"):
        await Catalog({agent.id: agent}).start()


@pytest.mark.parametrize("engine", ["parrot", "acme.voices", "acme.voices:", ":Voice", "acme..voices:Voice", "a b:C"])
async def test_an_unknown_engine_is_an_error(engine: str) -> None:
    told = f"agent 'desk': text_to_speech.engine: no engine '{engine}': choose one of cartesia, deepgram.*module:Class"
    with pytest.raises(ConfigError, match=told):
        await Catalog({"desk": scripted_agent(text_to_speech={"engine": engine})}).start()


async def test_echo_agents_need_no_engines() -> None:
    catalog = Catalog({"echo": ECHO})
    await catalog.start()
    await catalog.close()


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        (
            {"text_to_speech": {"engine": "espeak-ng", "options": {"pace": 3}}},
            "agent 'desk': text_to_speech.options.pace: no such option",
        ),
        ({"script": {"intents": SCRIPT["intents"]}}, "agent 'desk': language_model.options.fallback: missing: add it"),
    ],
)
async def test_an_agent_that_cannot_be_served_is_an_error_before_anything_is_loaded(
    fields: dict[str, Any], told: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        await Catalog({"desk": scripted_agent(**fields)}).start()
    assert told in raised.value.message


async def test_an_engine_whose_package_is_missing_is_named_with_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pipeline_worker.engines.espeak_ng.text_to_speech", None)  # Its import fails.
    with pytest.raises(ConfigError, match=r"'espeak-ng' cannot be loaded: .*install what is missing"):
        await Catalog({"desk": scripted_agent(text_to_speech={"engine": "espeak-ng"})}).start()


class RecordedProvider:
    """Stands in for an engine's module: `failure` is raised at its start."""

    def __init__(self, log: list[str], failure: Exception | None = None) -> None:
        self._log = log
        self._failure = failure
        self.added: list[AgentDefinition] = []

    def add(self, agent: AgentDefinition) -> None:
        self.added.append(agent)

    async def start(self) -> None:
        self._log.append("start")
        if self._failure is not None:
            raise self._failure

    def open(self, agent_id: str) -> UnreliableTts:
        return UnreliableTts([EngineError("no")] if agent_id == "desk" else [SpeechPiece(sound(100), ())])

    async def close(self) -> None:
        self._log.append("close")


def install(
    monkeypatch: pytest.MonkeyPatch, provider: RecordedProvider, hearing: RecordedProvider | None = None
) -> None:
    """As the engine `cartesia`, and `hearing`, or one that does nothing, as `deepgram`; `openai` does nothing."""
    providers = {
        "cartesia.text_to_speech:CartesiaTextToSpeechProvider": provider,
        "deepgram.speech_to_text:DeepgramSpeechToTextProvider": hearing or RecordedProvider([]),
        "openai.language_model:OpenAiLanguageModelProvider": RecordedProvider([]),
    }
    for entry_point, installed in providers.items():
        name, _, class_name = entry_point.partition(":")
        module = ModuleType(name)
        setattr(module, class_name, lambda installed=installed: installed)
        monkeypatch.setitem(sys.modules, f"pipeline_worker.engines.{name}", module)


def catalog_of(text_to_speech: dict[str, Any]) -> Catalog:
    """Without threads, for tests in virtual time."""
    other = {"speech_to_text": {"engine": "deepgram"}, "language_model": {"engine": "openai"}}
    return Catalog({"desk": scripted_agent(**other, text_to_speech=text_to_speech)})


async def test_a_fallback_is_loaded_and_stands_in(monkeypatch: pytest.MonkeyPatch) -> None:
    log: list[str] = []
    provider = RecordedProvider(log)
    install(monkeypatch, provider)
    spare = {"engine": "cartesia", "options": {"voice": "spare"}}
    catalog = catalog_of({"engine": "cartesia", "fallback": spare})
    await catalog.start()
    try:
        assert [agent.text_to_speech.options for agent in provider.added] == [{}, {"voice": "spare"}]
        spoken = [piece async for piece in catalog.open("desk").tts.speak("Hello.")]
        assert sum(len(piece.samples) for piece in spoken) == 100
    finally:
        await catalog.close()
    assert log == ["start", "close"]


@pytest.mark.parametrize("code", ["engine_unavailable", "engine_timeout", "engine_busy"])
async def test_an_unreachable_vendor_does_not_prevent_the_start(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    install(monkeypatch, RecordedProvider([], EngineError("nobody there", code=code)))
    catalog = catalog_of({"engine": "cartesia"})
    await catalog.start()
    await catalog.close()


@pytest.mark.parametrize("failure", [ConfigError("the key is refused"), EngineError("does not load")], ids=str)
async def test_an_engine_that_cannot_work_stops_the_start_also_as_a_fallback(
    monkeypatch: pytest.MonkeyPatch, failure: AntiphonError
) -> None:
    install(monkeypatch, RecordedProvider([], failure))
    choice = {"engine": "espeak-ng", "fallback": {"engine": "cartesia"}}
    with pytest.raises(type(failure), match=failure.message):
        await catalog_of(choice).start()


@pytest.mark.parametrize(
    ("fallback", "told"),
    [
        ({"engine": "parrot"}, r"agent 'desk': text_to_speech.fallback.engine: no engine 'parrot'"),
        (
            {"engine": "espeak-ng", "fallback": {"engine": "espeak-ng"}},
            r"agent 'desk': text_to_speech.fallback.fallback: a fallback has no fallback of its own: remove it",
        ),
        (
            {"engine": "espeak-ng", "options": {"pace": 3}},
            r"agent 'desk': text_to_speech.fallback.options.pace: no such option",
        ),
        (
            {"engine": "espeak-ng", "options": {"voice": "klingon-opera"}},
            r"agent 'desk': text_to_speech.fallback.options.voice: ",
        ),
    ],
)
async def test_a_fallback_that_cannot_be_used_is_an_error(fallback: dict[str, Any], told: str) -> None:
    choice = {"engine": "espeak-ng", "fallback": fallback}
    with pytest.raises(ConfigError, match=told):
        await Catalog({"desk": scripted_agent(text_to_speech=choice)}).start()


async def test_an_engines_error_names_the_agents_file(tmp_path: Path) -> None:
    file = tmp_path / "desk.yaml"
    file.write_text(
        "id: desk\nname: Desk\nlanguage: de\nlanguage_model: {engine: openai, options: {modle: m}}\n", encoding="utf-8"
    )
    with pytest.raises(ConfigError) as raised:
        await Catalog(load_agents(tmp_path)).start()
    # The default recogniser fails first, in a section that the file does not have.
    assert raised.value.message.startswith(
        f"{file}: agent 'desk': speech_to_text.options.model: 'tiny-en' understands English"
    )


@pytest.mark.parametrize(
    ("language_model", "place"),
    [
        ({"engine": "scripted", "options": SCRIPT}, "language_model.engine"),
        (
            {
                "engine": "openai",
                "options": {"model": "m", "base_url": "http://127.0.0.1:1/v1"},
                "fallback": {"engine": "scripted", "options": SCRIPT},
            },
            "language_model.fallback.engine",
        ),
    ],
    ids=["first", "fallback"],
)
async def test_tools_that_a_script_would_never_use_are_refused(
    monkeypatch: pytest.MonkeyPatch, language_model: dict[str, Any], place: str
) -> None:
    install(monkeypatch, RecordedProvider([]))
    tools = [{"builtin": "end_call"}]
    agent = scripted_agent(speech_to_text={"engine": "deepgram"}, language_model=language_model, tools=tools)
    with pytest.raises(ConfigError, match=f"agent 'desk': {place}: the scripted dialogue cannot use tools: choose"):
        await Catalog({"desk": agent}).start()


class NeverClosed(RecordedProvider):
    async def close(self) -> None:
        await asyncio.Event().wait()


class FailsToClose(RecordedProvider):
    async def close(self) -> None:
        raise ConnectionError("gone")


class CancelledByItsPackage(RecordedProvider):
    async def close(self) -> None:
        raise asyncio.CancelledError


@pytest.mark.parametrize("class_", [NeverClosed, FailsToClose, CancelledByItsPackage])
def test_a_refused_key_is_reported_even_if_an_engine_cannot_be_closed(
    monkeypatch: pytest.MonkeyPatch, class_: type[RecordedProvider]
) -> None:
    log: list[str] = []
    install(monkeypatch, RecordedProvider(log, ConfigError("the key is refused")), class_([]))

    async def detector() -> SilentDetector:
        return SilentDetector(log)

    monkeypatch.setattr("pipeline_worker.engines.catalog._started_vad", detector)

    @in_virtual_time
    async def start() -> None:
        with pytest.raises(ConfigError, match="the key is refused"):
            await catalog_of({"engine": "cartesia"}).start()

    start()
    assert sorted(log) == ["close", "close", "start"], "the other engines are closed"


class SilentDetector:
    def __init__(self, log: list[str]) -> None:
        self._log = log

    async def close(self) -> None:
        self._log.append("close")


async def test_the_agent_file_sets_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    class Silent(RecordedProvider):
        def open(self, agent_id: str) -> UnreliableTts:
            return UnreliableTts([60])

    install(monkeypatch, Silent([]))
    catalog = catalog_of({"engine": "cartesia", "first_output_s": 0.01})
    await catalog.start()
    try:
        with pytest.raises(EngineError, match=r"nothing for 0.01 s"):
            _ = [piece async for piece in catalog.open("desk").tts.speak("Hello.")]
    finally:
        await catalog.close()


FAULTS = {
    "does not answer": Fault("stall"),
    "answers nothing": Fault("stall", after=0),
    "is out of order": Fault("status", status=503),
    "is busy": Fault("status", status=429),
    "takes the key no more": Fault("status", status=401),
    "hangs up": Fault("close"),
    "hangs up after the head": Fault("close", after=0),
}


async def test_whatever_goes_wrong_with_a_vendor_the_embedded_engines_stand_in() -> None:
    async with running_openai_server() as server, caller() as speaker:

        def vendor(**options: Any) -> dict[str, Any]:
            return {"engine": "openai", "options": {"model": "m", "base_url": server.base_url, **options}}

        def desk(name: str) -> AgentDefinition:
            """Hears and speaks by the vendor; its dialogue is a script."""
            heard = {**vendor(stream=True), "first_output_s": 0.5, "fallback": {"engine": "moonshine"}}
            spoken = {**vendor(voice="nova"), "first_output_s": 0.5, "fallback": {"engine": "espeak-ng"}}
            return scripted_agent(id=name, speech_to_text=heard, text_to_speech=spoken)

        def thinker(name: str) -> AgentDefinition:
            script = {"engine": "scripted", "options": SCRIPT}
            answered = {**vendor(), "first_output_s": 0.5, "fallback": script}
            return scripted_agent(id=name, speech_to_text=vendor(), language_model=answered)

        faults = dict(enumerate(FAULTS.values()))
        agents = [desk(f"desk-{number}") for number in faults] + [thinker(f"thinker-{number}") for number in faults]
        catalog = Catalog({agent.id: agent for agent in agents})
        await catalog.start()
        try:
            question = await speaker.says("When are you open?")
            for number, fault in faults.items():
                engines = catalog.open(f"desk-{number}")
                server.faults.extend([fault] * 3)  # a connection that was closed is tried once more
                stream = engines.stt.open()
                await stream.push(question)
                assert (await stream.finish()).text == "When are you open?", fault
                server.faults.clear()
                server.faults.extend([fault] * 3)  # a connection that was closed is tried once more
                spoken = [piece async for piece in engines.tts.speak("From five on.")]
                assert sum(len(piece.words) for piece in spoken) == 3, fault
                server.faults.clear()
                server.faults.extend([fault] * 3)  # a connection that was closed is tried once more
                engines = catalog.open(f"thinker-{number}")
                replies = [reply.text async for reply in engines.lm.reply([Utterance("user", "When are you open?")])]
                assert replies == ["From five on."], fault
                server.faults.clear()
        finally:
            await catalog.close()
