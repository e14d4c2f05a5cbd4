"""What the three engines of OpenAI's protocol share: options, keys, connections."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from pydantic import Field

from pipeline_worker.engines.network.account import VendorOptions
from pipeline_worker.engines.network.provider import NetworkProvider, User
from pipeline_worker.engines.openai.client import OpenAiClient, share
from shared.agent import AgentDefinition

OPENAI_URL = "https://api.openai.com/v1"
_OPENAI_KEY = "OPENAI_API_KEY"


class OpenAiOptions(VendorOptions):
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
    timeout_s: float = Field(30.0, gt=0, le=300, description="longest silence of the server")
    extra_headers: dict[str, str] = Field(default_factory=dict, description="sent with every request")
    extra_body: dict[str, Any] = Field(default_factory=dict, description="parameters of this server")

    @property
    def key_variable(self) -> str | None:
        """OpenAI's key is sent to another server only if the options say so."""
        return self.api_key_env or (_OPENAI_KEY if self.base_url.rstrip("/") == OPENAI_URL else None)


_Options = TypeVar("_Options", bound=OpenAiOptions)
_Engine = TypeVar("_Engine", covariant=True)


class OpenAiProvider(NetworkProvider[_Options, OpenAiClient, _Engine]):
    """One section's engines, made by `engine(client, options, agent)`. All sections share the clients."""

    decisive = False  # a server may lack the list of models

    def __init__(
        self,
        section: str,
        options: type[_Options],
        engine: Callable[[OpenAiClient, _Options, AgentDefinition], _Engine],
    ) -> None:
        super().__init__("", section, options)
        self._new_engine = engine

    def connect(self, user: User[_Options]) -> OpenAiClient:
        return share(user.account)

    def try_out(self, connections: OpenAiClient, user: User[_Options]) -> Awaitable[None]:
        return connections.warm_up(user.options.extra_headers)

    def warm(self, connections: OpenAiClient, user: User[_Options]) -> None:
        connections.warm(user.options.extra_headers)

    def engine(self, connections: OpenAiClient, user: User[_Options]) -> _Engine:
        return self._new_engine(connections, user.options, user.agent)
