"""What a load run should do, and how options state it."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from callers.load import schedule
from callers.load.messages import Impaired
from callers.load.schedule import Schedule
from shared.errors import ConfigError

SCENARIOS = ("steady", "ramp", "burst", "soak", "conversation")
_ARRIVALS_PER_PROCESS = 4.0
"""More would wait for each other in the caller's own handshakes, which the set-up time would count."""
_BURST_PER_S = 100.0
_SOAKED_CALL_S = 180.0
_USUAL_SHARE = 0.1

_DURATION = re.compile(r"(\d+(?:\.\d+)?) ?(ms|s|m|min|h|d)?")
_SECONDS = {"ms": 0.001, "s": 1.0, None: 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}
_SHARE = re.compile(r"(\d+(?:\.\d+)?) ?(%)?")


class Options(NamedTuple):
    scenario: str
    url: str
    agent: str = "echo"
    callers: int = 10
    duration_s: float = 30.0
    arrivals_per_s: float | None = None
    call_s: float | None = None
    step: int | None = None
    most: int = 1_000
    scripts: Sequence[str] = ()
    """Scenario files of a conversation, their content."""
    processes: int = 1
    """On this host."""
    api_key: str = ""
    tokens: Sequence[str] = ()
    impaired: Impaired = Impaired()
    listen: tuple[str, int] = ("127.0.0.1", 0)
    hosts: int = 1
    """This one included."""
    key: str = ""
    """Empty: a random one."""
    metrics: Sequence[str] = ()
    json: Path | None = None
    html: Path | None = None
    gate: Path | None = None

    def schedule(self) -> Schedule:
        """Raises `ConfigError`."""
        per_s = self.arrivals_per_s or _ARRIVALS_PER_PROCESS * max(1, self.processes) * self.hosts
        match self.scenario:
            case "steady" | "conversation":
                return schedule.steady(self.callers, self.duration_s, per_s, self.call_s)
            case "soak":
                return schedule.soak(self.callers, self.duration_s, per_s, self.call_s or _SOAKED_CALL_S)
            case "burst":
                usual = max(1, round(self.callers * _USUAL_SHARE))
                per_s = self.arrivals_per_s or _BURST_PER_S
                return schedule.burst(usual, self.callers, self.duration_s, 1, per_s)
            case "ramp":
                step = self.step or self.callers
                return schedule.ramp(range(self.callers, self.most + 1, step), self.duration_s, per_s)
            case name:
                raise ConfigError(f"{name}: not a scenario: use {', '.join(SCENARIOS)}")

    def parameters(self) -> dict[str, str | int | float | bool | None]:
        """For the report, without secrets."""
        stated: Mapping[str, str | int | float | bool | None] = {
            "callers": self.callers,
            "duration_s": self.duration_s,
            "arrivals_per_s": self.arrivals_per_s,
            "call_s": self.call_s,
            "step": self.step,
            "loss_percent": 100 * self.impaired.loss or None,
            "jitter_ms": self.impaired.jitter_ms or None,
            "delay_ms": self.impaired.delay_ms or None,
        }
        return {name: value for name, value in stated.items() if value is not None}


def seconds(text: str) -> float:
    """`30s`, `5m`, `1h30m`; without a unit, seconds. Raises `ConfigError`."""
    parts = list(_DURATION.finditer(text.strip()))
    if not parts or "".join(part[0] for part in parts) != text.strip():
        raise ConfigError(f"{text}: not a time: write 30s, 5m or 1h30m")
    return sum(float(part[1]) * _SECONDS[part[2]] for part in parts)


def share(text: str) -> float:
    """`5%` and `0.05` are the same. Raises `ConfigError`."""
    found = _SHARE.fullmatch(text.strip())
    value = float(found[1]) / (100 if found[2] else 1) if found else -1.0
    if not 0 <= value <= 1:
        raise ConfigError(f"{text}: not a share: write 5% or 0.05")
    return value


def address(text: str) -> tuple[str, int]:
    """`HOST:PORT`. Raises `ConfigError`."""
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or port is None:
        raise ConfigError(f"{text}: not an address: write HOST:PORT, such as 0.0.0.0:7000")
    return host, port


def http_url(url: str) -> str:
    """`wss://host/signaling` is the server `https://host`."""
    scheme, separator, rest = url.partition("://")
    known = {"ws": "http", "wss": "https"}.get(scheme)
    return f"{known}{separator}{rest.removesuffix('/').removesuffix('/signaling')}" if known else url


def read_text(file: Path, what: str) -> str:
    """Raises `ConfigError`."""
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text in UTF-8"
        raise ConfigError(f"{file}: {reason}: write {what} into it") from error
