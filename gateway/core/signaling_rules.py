"""The configuration of the signaling machine, and the codes with which it closes sockets."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from gateway.core.resume_tokens import NewSecret, new_secret
from shared.agent import AgentDefinition

NORMAL, GOING_AWAY, POLICY, FAILED, TRY_AGAIN_LATER = 1000, 1001, 1008, 1011, 1013
"""RFC 6455 §7.4.1 and the IANA registry of WebSocket close codes."""

_NORMAL_ENDS = frozenset({"hangup", "agent_hangup", "user_idle", "max_duration", "ended_by_operator"})
_TAKEN_OVER = frozenset({"moved", "replaced"})
"""The session goes on, with another connection of the client."""


class SignalingRules(NamedTuple):
    gateway: str
    agents: Mapping[str, AgentDefinition]
    listed_agents: Sequence[str]
    ice_servers: Callable[[str], Sequence[Mapping[str, Any]]] = lambda _: ()
    """Those of a session."""
    max_candidates: int = 20
    max_errors: int = 20
    offer_timeout_s: float = 10.0
    answer_timeout_s: float = 10.0
    place_again_after_s: float = 1.5
    """A media worker that is alive and not busy answers within milliseconds."""
    media_lost_timeout_s: float = 30.0
    retry_after_ms: int = 5000
    new_secret: NewSecret = new_secret


def close_code(reason: str) -> int:
    """The code for a session that its media worker has ended."""
    return NORMAL if reason in _NORMAL_ENDS | _TAKEN_OVER else FAILED
