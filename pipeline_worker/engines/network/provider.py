"""Base of the providers of engines behind a network: agents, their accounts, and the connections that they share."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Hashable
from typing import Generic, NamedTuple, Protocol, TypeVar

from pipeline_worker.engines.network.account import (
    VendorAccount,
    VendorOptions,
    concurrently,
    read_account,
    try_account,
)
from pipeline_worker.engines.options import read_options
from shared.agent import AgentDefinition
from shared.errors import EngineError


class Connections(Protocol):
    async def close(self) -> None: ...


_Options = TypeVar("_Options", bound=VendorOptions)
_Connections = TypeVar("_Connections", bound=Connections)
_Engine = TypeVar("_Engine", covariant=True)


class User(NamedTuple, Generic[_Options]):
    """An agent and the account that it uses."""

    agent: AgentDefinition
    options: _Options
    account: VendorAccount


class NetworkProvider(ABC, Generic[_Options, _Connections, _Engine]):
    """One section's engines of a vendor. Users with an equal `shares` have the same connections."""

    decisive = True
    """Whether a refused trial means that calls would be refused too: see `try_account`."""

    def __init__(self, vendor: str, section: str, options: type[_Options]) -> None:
        self._vendor = vendor
        self._section = section
        self._options = options
        self._users: dict[str, User[_Options]] = {}
        self._connections: dict[Hashable, _Connections] = {}

    def add(self, agent: AgentDefinition) -> None:
        """Raises `ConfigError` naming agent, field and cure, also if the environment has no key."""
        options = read_options(agent, self._section, self._options)
        account = read_account(agent, self._section, self._vendor, options)
        self._users[agent.id] = User(agent, options, account)

    async def start(self) -> None:
        """Raises `ConfigError` for a key that is refused; a vendor that cannot be reached is only logged."""
        trials: dict[Hashable, User[_Options]] = {}
        for user in self._users.values():
            if self.shares(user) not in self._connections:
                self._connections[self.shares(user)] = self.connect(user)
            trials.setdefault(self.tries(user), user)
        await concurrently(
            try_account(
                *(user.agent.id, self._section, user.options),
                self.try_out(self._connections[self.shares(user)], user),
                decisive=self.decisive,
            )
            for user in trials.values()
        )

    def open(self, agent_id: str) -> _Engine:
        user = self._users[agent_id]
        try:
            connections = self._connections[self.shares(user)]
        except KeyError:
            raise EngineError(f"the connections to {user.account.vendor} are not open") from None
        self.warm(connections, user)
        return self.engine(connections, user)

    async def close(self) -> None:
        """Idempotent."""
        connections, self._connections = self._connections, {}
        for each in connections.values():
            await each.close()

    def shares(self, user: User[_Options]) -> Hashable:
        return user.account

    def tries(self, user: User[_Options]) -> Hashable:
        """Users with an equal value are tried once."""
        return self.shares(user)

    @abstractmethod
    def connect(self, user: User[_Options]) -> _Connections:
        """New connections; does not wait."""

    @abstractmethod
    def try_out(self, connections: _Connections, user: User[_Options]) -> Awaitable[object]:
        """A request that costs nothing and shows whether the key is valid."""

    @abstractmethod
    def warm(self, connections: _Connections, user: User[_Options]) -> None:
        """Opens a connection in the background, if none is idle."""

    @abstractmethod
    def engine(self, connections: _Connections, user: User[_Options]) -> _Engine: ...
