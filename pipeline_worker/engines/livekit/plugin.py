"""Loads LiveKit plugins and translates their errors.

Only the classes STT, LLM and TTS of `livekit-agents` are used, not its sessions, turn detector or local models, which
have their own licence. `livekit` is imported only if an agent uses it, because that takes seconds and 130 MB.
"""

import asyncio
import contextlib
import inspect
import os
import re
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

from pydantic import Field, field_validator

from pipeline_worker.engines.network import errors as vendor_errors
from pipeline_worker.engines.options import Options, read_options, require_package
from shared.agent import AgentDefinition
from shared.errors import ConfigError, EngineError
from shared.io.logs import get_logger

_CONNECT_TIMEOUT_S = 10.0
_SECRET = re.compile(r"(key|secret|token|password|credentials?)$")

log = get_logger()


class PluginOptions(Options):
    plugin: str = Field(pattern=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*$", description="livekit.plugins.<this>")
    class_: str | None = Field(None, alias="class", pattern=r"^[A-Za-z]\w*$", description="instead of STT, LLM or TTS")
    arguments: dict[str, Any] = Field(default_factory=dict, description="of its constructor")
    arguments_env: dict[str, str] = Field(
        default_factory=dict, description="of its constructor, by the environment variables that hold them"
    )

    @field_validator("arguments")
    @classmethod
    def _hold_no_secret(cls, arguments: dict[str, Any]) -> dict[str, Any]:
        for name in arguments:
            if _SECRET.search(name):
                raise ValueError(
                    f"'{name}' looks like a secret: put it into an environment variable and name that in arguments_env"
                )
        return arguments


class LiveKitPlugins:
    """Base of the three providers: one plugin object per agent, and the HTTP session that the objects share.

    `base` is the class of the objects: `STT`, `LLM` or `TTS`.
    """

    def __init__(self, section: str, base: str, http_session: Callable[[], Any] | None = None) -> None:
        self._section = section
        self._base = base
        self._new_http_session = http_session or _http_session
        self._wanted: dict[str, tuple[AgentDefinition, PluginOptions, type[Any]]] = {}
        self._made: dict[str, Any] = {}
        self._http_session: Any = None

    def add(self, agent: AgentDefinition) -> None:
        options = read_options(agent, self._section, PluginOptions)
        require_package(agent, self._section, "livekit", "livekit")
        for variable in options.arguments_env.values():
            if not os.environ.get(variable):
                raise ConfigError(f"{self._field(agent, 'arguments_env')}: {variable} is not set: put the value there")
        self._wanted[agent.id] = agent, options, self._load(agent, options)

    async def start(self) -> None:
        """Creates each agent's object. A wrong key shows only in use: plugins cannot check it."""
        for agent_id, (agent, options, class_) in self._wanted.items():
            arguments = options.arguments | {name: os.environ[it] for name, it in options.arguments_env.items()}
            if "http_session" in inspect.signature(class_).parameters:
                arguments["http_session"] = self._session()
            try:
                self._made[agent_id] = class_(**arguments)
            except Exception as error:
                raise ConfigError(
                    f"{self._field(agent, 'arguments')}: {options.plugin} does not take them: {error}: correct them, "
                    "or set the environment variable that it asks for"
                ) from error

    def get(self, agent_id: str) -> Any:
        """Raises `EngineError` before `start` and after `close`."""
        if agent_id not in self._made:
            raise EngineError(f"the plugin {self.name(agent_id)} is not open")
        return self._made[agent_id]

    def name(self, agent_id: str) -> str:
        """The vendor's name in errors."""
        return self._wanted[agent_id][1].plugin

    async def close(self) -> None:
        """Idempotent."""
        made, self._made = self._made, {}
        session, self._http_session = self._http_session, None
        try:
            results = await asyncio.gather(*(plugin.aclose() for plugin in made.values()), return_exceptions=True)
        finally:
            if session is not None:
                await session.close()
        for agent_id, error in zip(made, results, strict=True):
            if error is not None:
                log.warning("plugin_not_closed", plugin=self.name(agent_id), error=repr(error))

    def _load(self, agent: AgentDefinition, options: PluginOptions) -> type[Any]:
        try:
            base: type[Any] = getattr(import_module(f"livekit.agents.{self._base.lower()}"), self._base)
            module = import_module(f"livekit.plugins.{options.plugin}")
        except ImportError as error:
            distribution = f"livekit-plugins-{options.plugin.partition('.')[0].replace('_', '-')}"
            raise ConfigError(
                f"{self._field(agent, 'plugin')}: '{options.plugin}' cannot be loaded: {error}: "
                f"pip install 'antiphon[livekit]' '{distribution}{_agents_version()}'"
            ) from error
        name = options.class_ or self._base
        found = getattr(module, name, None)
        if not (isinstance(found, type) and issubclass(found, base)):
            raise ConfigError(
                f"{self._field(agent, 'class')}: livekit.plugins.{options.plugin} has no {self._base} named '{name}': "
                "choose another class or plugin"
            )
        return found

    def _field(self, agent: AgentDefinition, option: str) -> str:
        return f"agent '{agent.id}': {self._section}.options.{option}"

    def _session(self) -> Any:
        if self._http_session is None:
            self._http_session = self._new_http_session()
        return self._http_session


def _http_session() -> Any:
    return import_module("aiohttp").ClientSession()


def connect_options() -> Any:
    """Without the plugins' own retries: our deadlines and fallbacks decide."""
    return import_module("livekit.agents").APIConnectOptions(max_retry=0, timeout=_CONNECT_TIMEOUT_S)


@contextlib.contextmanager
def translated_errors(vendor: str) -> Iterator[None]:
    """Whatever a plugin raises becomes an `EngineError`."""
    agents = import_module("livekit.agents")
    try:
        yield
    except EngineError:
        raise
    except agents.APIStatusError as error:
        raise vendor_errors.refusal(vendor, error.status_code, error.message) from error
    except agents.APITimeoutError as error:
        raise vendor_errors.late(vendor) from error
    except agents.APIConnectionError as error:
        if (status := _status_behind(error)) is not None:
            raise vendor_errors.refusal(vendor, status) from error
        raise vendor_errors.unreachable(vendor, error) from error
    except Exception as error:
        raise vendor_errors.broken_by(vendor, error) from error


def _status_behind(error: BaseException | None) -> int | None:
    """Many plugins report a refused WebSocket as a failed connection."""
    while error is not None:
        status = getattr(error, "status", None)
        if isinstance(status, int) and status >= 400:
            return status
        error = error.__cause__
    return None


def _agents_version() -> str:
    """Plugins have the version of the framework."""
    with contextlib.suppress(ImportError):
        return f"=={import_module('livekit.agents').__version__}"
    return ""


def seconds(value: object) -> float | None:
    """A time from the framework, which marks a missing one with its own object."""
    return float(value) if isinstance(value, int | float) else None
