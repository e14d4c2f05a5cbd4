"""Where a vendor is and the key that it is used with; the key comes from the environment and is shown nowhere."""

import asyncio
import os
from collections.abc import Awaitable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated
from urllib.parse import urlencode

from pydantic import Field

from pipeline_worker.engines.options import Options
from shared.agent import AgentDefinition
from shared.errors import ConfigError, EngineError
from shared.io.logs import get_logger

_TRIAL_S = 6.0
"""For one at the start: a vendor that is silent must not keep the process from serving with the others."""

log = get_logger()


EnvironmentName = Annotated[str, Field(pattern=r"^[A-Za-z_]\w*$", description="the variable that holds the key")]
BaseUrl = Annotated[str, Field(pattern=r"^https?://[^\s?#]+$", description="another region, one's own server")]


class VendorOptions(Options):
    """Options that every vendor has; its own class gives the defaults."""

    api_key_env: EnvironmentName
    base_url: BaseUrl


@dataclass(frozen=True, slots=True)
class VendorAccount:
    vendor: str
    base_url: str
    key: str = field(repr=False)

    def websocket_url(self, path: str, query: Mapping[str, str | list[str]]) -> str:
        return f"ws{self.base_url.removeprefix('http')}{path}?{urlencode(query, doseq=True)}"


def read_account(agent: AgentDefinition, section: str, vendor: str, options: VendorOptions) -> VendorAccount:
    """Raises `ConfigError` when the environment has no key."""
    return VendorAccount(vendor, options.base_url.rstrip("/"), read_key(agent.id, section, options.api_key_env))


def read_key(agent_id: str, section: str, variable: str) -> str:
    """Raises `ConfigError` for what can be no key: HTTP libraries would show it in their error."""
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
    """At the start: a refused key is a `ConfigError`; a vendor that cannot be reached may come back, and is logged.

    So is any other refusal, unless the attempt is `decisive`: the very request that calls will make.
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
            raise ConfigError(
                f"{where}.api_key_env: {error.message}: put a valid one into {options.api_key_env}"
            ) from error
        if error.code == "engine_refused" and decisive:
            raise ConfigError(f"{where}: {error.message}: correct the options") from error
        log.warning("engine_not_tried", agent_id=agent_id, section=section, code=error.code, reason=error.message)


async def side_by_side(trials: Iterable[Coroutine[None, None, None]]) -> None:
    """Raises what the first of them raised, when all are over."""
    for error in await asyncio.gather(*trials, return_exceptions=True):
        if error is not None:
            raise error
