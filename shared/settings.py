"""Settings from the environment, prefix `ANTIPHON_`. Each service adds its own to these.

An unknown name is an error, because a mistyped setting that is silently ignored is hard to find.
"""

import os
import textwrap
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.errors import ConfigError
from shared.validation_errors import advice

PREFIX = "ANTIPHON_"
_SERVICE_PREFIXES = ("GATEWAY_", "MEDIA_", "PIPELINE_", "ENGINE_", "EVAL_")

BUNDLED_AGENTS = Path(__file__).resolve().parent.parent / "deploy" / "agents"


class Settings(BaseSettings):
    """Settings of every process."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True)

    own_prefixes: ClassVar[tuple[str, ...]] = ()
    """Prefixes (after `ANTIPHON_`) whose names this class defines."""

    redis_url: str = Field(
        "redis://127.0.0.1:6379/0",
        description="broker: redis://, rediss:// (TLS), unix://, redis+sentinel:// or redis+cluster://",
    )
    agents_dir: Path = Field(BUNDLED_AGENTS, description="folder of agent files (*.yaml)")
    public_ips: str = Field(
        "", description="addresses under which callers reach the media workers, comma-separated (default: node_ip)"
    )
    node_ip: str = Field(
        "", description="the node's, for pods: Kubernetes' status.hostIP (default: as stun_server says, else detected)"
    )
    stun_server: str = Field(
        "", description="STUN server that a media worker asks once, at its start, for its address: stun:host:port"
    )
    zone: str = Field("", description="zone of this process; sessions stay within a zone where possible")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="lowest level that is logged")
    log_format: Literal["json", "console"] = Field("json", description="json for machines, console for people")
    probe_host: str = Field("127.0.0.1", description="address of /healthz, /readyz and /metrics")
    probe_port: int = Field(0, ge=0, le=65535, description="their port (0: none)")
    otel_endpoint: str = Field(
        "", description="OTLP/HTTP collector for traces, such as http://127.0.0.1:4318 (none: no traces)"
    )
    conversation_retention_s: int = Field(
        0, ge=0, description="how long a conversation is kept after its session (0: deleted at its end)"
    )
    drain_timeout_s: float = Field(10.0, ge=0, description="time that running sessions get to finish after SIGTERM")

    @classmethod
    def load(cls) -> Self:
        """Read the environment. Raises `ConfigError` that names each bad setting."""
        unknown = sorted(name for name in os.environ if name.startswith(PREFIX) and not cls._knows(name))
        if unknown:
            raise ConfigError(f"unknown setting {', '.join(unknown)} (see --help for the names)")
        try:
            return cls()
        except ValidationError as error:
            problems = (
                f"{PREFIX}{'_'.join(map(str, problem['loc'])).upper()}: {advice(problem)}" for problem in error.errors()
            )
            raise ConfigError("\n".join(problems)) from error

    @classmethod
    def _knows(cls, name: str) -> bool:
        field = name.removeprefix(PREFIX)
        if field.lower() in cls.model_fields:
            return True
        return field.startswith(_SERVICE_PREFIXES) and not field.startswith(cls.own_prefixes or ("\0",))

    @classmethod
    def help_text(cls) -> str:
        """All settings with their defaults, for `--help`."""
        lines = []
        for name, field in cls.model_fields.items():
            lines.append(f"  {PREFIX}{name.upper()}  [default: {_shown(field.default)}]")
            lines += textwrap.wrap(field.description or "", 100, initial_indent=" " * 6, subsequent_indent=" " * 6)
        return "\n".join(lines)


def _shown(default: Any) -> str:
    if default == BUNDLED_AGENTS:
        return "the bundled agents"
    return str(default) if default not in ("", None) else "none"
