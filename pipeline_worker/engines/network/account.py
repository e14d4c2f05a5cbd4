"""A vendor's server and the key for it. The key comes from the environment and is never shown."""

import asyncio
import os
from collections.abc import Awaitable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated
from urllib.parse import urlencode, urlsplit

from pydantic import Field

from pipeline_worker.engines.options import Options
from shared.agent import AgentDefinition
from shared.errors import ConfigError, EngineError
from shared.io.logs import get_logger

_TRIAL_S = 6.0
"""A silent vendor must not delay the start."""

log = get_logger()


EnvironmentName = Annotated[str, Field(pattern=r"^[A-Za-z_]\w*$", description="the variable that holds the key")]
BaseUrl = Annotated[str, Field(pattern=r"^https?://[^\s?#]+$", description="another region, your own server")]


class VendorOptions(Options):
    """Options that every vendor has; its own class has the defaults."""

    api_key_env: EnvironmentName | None
    base_url: BaseUrl

    @property
    def key_variable(self) -> str | None:
        """The environment variable of the key; None if no key is sent."""
        return self.api_key_env


@dataclass(frozen=True, slots=True)
class VendorAccount:
    vendor: str
    """Display name."""
    base_url: str
    key: str = field(repr=False)
    """Empty if the server needs none."""

    def websocket_url(self, path: str, query: Mapping[str, str | list[str]]) -> str:
        return f"ws{self.base_url.removeprefix('http')}{path}?{urlencode(query, doseq=True)}"


def read_account(agent: AgentDefinition, section: str, vendor: str, options: VendorOptions) -> VendorAccount:
    """An empty `vendor` is named by the server's host. Raises `ConfigError` if the environment has no key."""
    base_url = options.base_url.rstrip("/")
    variable = options.key_variable
    key = "" if variable is None else _read_key(agent.id, section, variable)
    return VendorAccount(vendor or urlsplit(base_url).netloc, base_url, key)


def _read_key(agent_id: str, section: str, variable: str) -> str:
    """Raises `ConfigError` for an invalid key, which HTTP libraries would show in their error."""
    key = os.environ.get(variable, "").strip()
    if not key or not key.isascii() or not key.isprintable():
        state = "holds no key" if key else "is not set"
        raise ConfigError(
            f"agent '{agent_id}': {section}.options.api_key_env: {variable} {state}: put the key into this "
            "environment variable, or name the one that has it"
        )
    return key


async def try_account(
    agent_id: str, section: str, options: VendorOptions, attempt: Awaitable[object], *, decisive: bool
) -> None:
    """Awaits `attempt`. A refused key is a `ConfigError`; a vendor that cannot be reached may come back, and is logged.

    Any other refusal is logged too, unless the attempt is `decisive`: the same request that calls will make.
    """
    where = f"agent '{agent_id}': {section}.options"
    try:
        async with asyncio.timeout(_TRIAL_S):
            await attempt
    except TimeoutError:
        reason = f"no answer in {_TRIAL_S:g} s"
        log.warning("engine_not_tried", agent_id=agent_id, section=section, code="engine_timeout", reason=reason)
    except EngineError as error:
        if error.code == "engine_key_refused":
            cure = f": put a valid one into {options.key_variable}" if options.key_variable else ""
            raise ConfigError(f"{where}.api_key_env: {error}{cure}") from error
        if error.code == "engine_refused" and decisive:
            raise ConfigError(f"{where}: {error}: correct the options") from error
        log.warning("engine_not_tried", agent_id=agent_id, section=section, code=error.code, reason=str(error))


async def concurrently(trials: Iterable[Coroutine[None, None, None]]) -> None:
    """Awaits all trials, then raises the first error."""
    for error in await asyncio.gather(*trials, return_exceptions=True):
        if error is not None:
            raise error
