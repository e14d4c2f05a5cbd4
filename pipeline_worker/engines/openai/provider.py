"""What the three engines of OpenAI's protocol have in common: their options, their key, their shared connections."""

from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

from pydantic import Field

from pipeline_worker.engines.network.account import VendorAccount, read_key, side_by_side
from pipeline_worker.engines.openai.client import OpenAiClient, account_of, give_back, share
from pipeline_worker.engines.options import Options, read_options
from shared.agent import AgentDefinition
from shared.errors import ConfigError, EngineError
from shared.io.logs import get_logger

OPENAI_URL = "https://api.openai.com/v1"
_OPENAI_KEY = "OPENAI_API_KEY"

log = get_logger()


class OpenAiOptions(Options):
    """Options of every engine of this protocol."""

    model: str = Field(min_length=1, max_length=200, description="the server's name of the model")
    base_url: str = Field(
        OPENAI_URL, pattern=r"^https?://[^\s?#@]+$", description="any server of this protocol, mostly up to /v1"
    )
    api_key_env: str | None = Field(
        None,
        pattern=r"^[A-Za-z_]\w*$",
        description="environment variable that holds the key; OPENAI_API_KEY for OpenAI, else no key is sent",
    )
    timeout_s: float = Field(30.0, gt=0, le=300, description="silence of the server after which a request is given up")
    extra_headers: dict[str, str] = Field(default_factory=dict, description="sent with every request")
    extra_body: dict[str, Any] = Field(default_factory=dict, description="parameters that only this server knows")

    @property
    def key_variable(self) -> str | None:
        """A key of OpenAI's is never sent to another server unasked."""
        return self.api_key_env or (_OPENAI_KEY if self.base_url.rstrip("/") == OPENAI_URL else None)


_Options = TypeVar("_Options", bound=OpenAiOptions)
_Engine = TypeVar("_Engine", covariant=True)


class _Plan(NamedTuple, Generic[_Options]):
    agent: AgentDefinition
    options: _Options
    account: VendorAccount


class OpenAiProvider(Generic[_Options, _Engine]):
    """One section's engines, by agent, made by `engine(client, options, agent)`."""

    def __init__(
        self,
        section: str,
        options: type[_Options],
        engine: Callable[[OpenAiClient, _Options, AgentDefinition], _Engine],
    ) -> None:
        self._section = section
        self._options = options
        self._engine = engine
        self._plans: dict[str, _Plan[_Options]] = {}
        self._clients: dict[VendorAccount, OpenAiClient] = {}

    def add(self, agent: AgentDefinition) -> None:
        """Raises `ConfigError` naming agent, field and cure, also when the environment lacks the key."""
        options = read_options(agent, self._section, self._options)
        account = account_of(options.base_url, self._key(agent.id, options.key_variable))
        self._plans[agent.id] = _Plan(agent, options, account)

    async def start(self) -> None:
        """Raises `ConfigError` for a key that is refused; who cannot be reached may come back, and is logged."""
        untried = []
        for plan in self._plans.values():
            if plan.account not in self._clients:
                self._clients[plan.account] = share(plan.account)
                untried.append(plan)
        await side_by_side(self._try(plan) for plan in untried)

    def open(self, agent_id: str) -> _Engine:
        agent, options, account = self._plans[agent_id]
        try:
            client = self._clients[account]
        except KeyError:
            raise EngineError(f"the connections to {account.vendor} are not open") from None
        client.warm(options.extra_headers)
        return self._engine(client, options, agent)

    async def close(self) -> None:
        """Idempotent."""
        clients, self._clients = self._clients, {}
        for client in clients.values():
            await give_back(client)

    async def _try(self, plan: _Plan[_Options]) -> None:
        agent, options, account = plan
        try:
            await self._clients[account].warm_up(options.extra_headers)
        except EngineError as error:
            if error.code == "engine_key_refused":
                variable = options.key_variable
                cure = f": put a valid one into {variable}" if variable else ""
                raise ConfigError(
                    f"agent '{agent.id}': {self._section}.options.api_key_env: {error.message}{cure}"
                ) from error
            log.warning(
                "engine_not_tried", agent_id=agent.id, section=self._section, code=error.code, reason=error.message
            )

    def _key(self, agent_id: str, variable: str | None) -> str:
        return "" if variable is None else read_key(agent_id, self._section, variable)
