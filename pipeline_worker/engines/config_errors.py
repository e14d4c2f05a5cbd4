"""Where in which file a mistake stands that an engine's provider has found.

A provider is given the agent as if it had one engine only, so it knows neither the file nor whether the engine is a
fallback; what it says begins with `agent 'desk': text_to_speech...`, or `agent 'desk (fallback)': ...`.
"""

import contextlib
import re
from collections.abc import Iterator, Mapping

from shared.agent import AgentDefinition
from shared.errors import ConfigError

_FALLBACK = " (fallback)"
_BEGINNING = re.compile(rf"^agent '(?P<id>[^']*?)(?P<fallback>{re.escape(_FALLBACK)})?': (?P<section>\w*)", re.M)


def as_fallback(agent_id: str) -> str:
    """The id under which a provider knows an agent's fallback, because both may be the same engine."""
    return agent_id + _FALLBACK


@contextlib.contextmanager
def told_in_place(agents: Mapping[str, AgentDefinition], section: str) -> Iterator[None]:
    """Completes the message of a `ConfigError` of a provider that serves `section`."""

    def place(found: re.Match[str]) -> str:
        if (agent := agents.get(found["id"])) is None:
            return found[0]
        of_fallback = found["fallback"] and found["section"] == section
        return f"{agent.place}: {section}.fallback" if of_fallback else f"{agent.place}: {found['section']}"

    try:
        yield
    except ConfigError as error:
        raise ConfigError(_BEGINNING.sub(place, error.message)) from error
