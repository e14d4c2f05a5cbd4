"""What a load run should do, and how options state it."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from callers.load.levels import FixedLevels, KneeLevels, Level
from callers.load.messages import Impaired
from callers.scenario.scenario_files import load_scenarios
from shared.errors import ConfigError
from shared.io.yaml_file import read_yaml

MOST_CALLERS = 100_000
MOST_ARRIVALS_PER_S = 1000.0
SCENARIOS = ("steady", "ramp", "burst", "soak", "conversation")
_ARRIVALS_PER_PROCESS = 4.0
"""More would wait for each other in the caller's own handshakes, which the set-up time would count."""
_BURST_PER_S = 100.0
_SOAKED_CALL_S = 180.0
_USUAL_SHARE = 0.1
_MOST_LOSS = 0.9
_MOST_DELAY_MS = 5_000.0

_DURATION = re.compile(r"(\d+(?:\.\d+)?) ?(ms|min|s|m|h|d)?")
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
    factor: float = 1.5
    """Of a ramp: from one level to the next."""
    most: int = 1_000
    scripts: Sequence[str] = ()
    """Scenarios of a conversation, each as JSON."""
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

    @property
    def called_agents(self) -> Sequence[str]:
        """Scenarios name their own."""
        named = [str(json.loads(script)["agent"]) for script in self.scripts]
        return list(dict.fromkeys(named)) or [self.agent]

    @property
    def pace_per_s(self) -> float:
        """Callers who arrive in a second."""
        usual = (
            _BURST_PER_S if self.scenario == "burst" else _ARRIVALS_PER_PROCESS * max(1, self.processes) * self.hosts
        )
        return self.arrivals_per_s or usual

    def levels(self) -> FixedLevels | KneeLevels:
        """Raises `ConfigError`."""
        if not 0 < self.pace_per_s <= MOST_ARRIVALS_PER_S:
            raise ConfigError(
                f"{self.pace_per_s:g} arrivals in a second: use more than 0, at most {MOST_ARRIVALS_PER_S:g}"
            )
        if max(self.callers, self.most) > MOST_CALLERS:
            raise ConfigError(f"{max(self.callers, self.most)} callers: use {MOST_CALLERS} at most")
        if not self.duration_s:
            raise ConfigError("a duration of 0: use a second or more")
        if self.processes + self.hosts < 2:
            raise ConfigError("no process of callers: use --processes 1 or more, or --hosts 2 or more")
        if self.impaired.loss > _MOST_LOSS:
            raise ConfigError(f"a loss of {self.impaired.loss:.0%}: use {_MOST_LOSS:.0%} at most")
        slow_ms = max(self.impaired.delay_ms, self.impaired.jitter_ms)
        if slow_ms > _MOST_DELAY_MS:
            raise ConfigError(
                f"packets that are {slow_ms / 1000:g} s late: use 5s at most, and write milliseconds as 30ms"
            )
        level = Level(self.callers, self.duration_s)
        match self.scenario:
            case "steady" | "conversation" | "soak":
                return FixedLevels([level])
            case "burst":
                usual = Level(max(1, round(self.callers * _USUAL_SHARE)), self.duration_s)
                return FixedLevels([usual, level, usual])
            case "ramp":
                return KneeLevels(self.callers, self.most, self.factor, self.duration_s)
            case name:
                raise ConfigError(f"{name}: not a scenario: use {', '.join(SCENARIOS)}")

    @property
    def replaced_after_s(self) -> float:
        """How long a call lasts; 0: as long as the run."""
        return self.call_s or (_SOAKED_CALL_S if self.scenario == "soak" else 0.0)

    def parameters(self) -> dict[str, str | int | float | bool | None]:
        """For the report, without secrets."""
        stated: Mapping[str, str | int | float | bool | None] = {
            "callers": self.callers,
            "duration_s": self.duration_s,
            "arrivals_per_s": self.arrivals_per_s,
            "call_s": self.call_s,
            "factor": self.factor if self.scenario == "ramp" else None,
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
        raise ConfigError(f"{text + ': not an' if text else 'no'} address: write HOST:PORT, such as 0.0.0.0:7000")
    return host, port


def http_url(url: str) -> str:
    """`wss://host/signaling` is the server `https://host`."""
    scheme, separator, rest = url.partition("://")
    known = {"ws": "http", "wss": "https"}.get(scheme)
    return f"{known}{separator}{rest.removesuffix('/').removesuffix('/signaling')}" if known else url


def scripts(scenario: str, file: Path | None) -> list[str]:
    """The scenarios of a file of `antiphon eval`, each as JSON. Raises `ConfigError`."""
    if scenario != "conversation":
        if file is not None:
            raise ConfigError(f"{file}: {scenario} has no file; the server's address is --url")
        return []
    if file is None:
        raise ConfigError("a conversation needs a scenario file: use antiphon load conversation FILE")
    load_scenarios([file])
    return [json.dumps(document) for document in read_yaml(file) if document]


def read_text(file: Path, what: str) -> str:
    """Raises `ConfigError`."""
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text in UTF-8"
        raise ConfigError(f"{file}: {reason}: write {what} into it") from error


def targets(stated: Sequence[str]) -> list[str]:
    """The URLs of Prometheus endpoints: from URLs with commas between, and from files of static targets.

    Such a file is one for `file_sd` of Prometheus, JSON or YAML: `[{"targets": ["host:9090"]}]`. Raises `ConfigError`.
    """
    found: list[str] = []
    for each in (part.strip() for text in stated for part in text.split(",")):
        if "://" in each:
            found.append(each)
        elif each:
            found += _from_file(Path(each))
    return [url if urlsplit(url).path not in ("", "/") else f"{url.rstrip('/')}/metrics" for url in found]


def _from_file(file: Path) -> list[str]:
    (groups, *_) = [*read_yaml(file), None]
    try:
        if not isinstance(groups, list):
            raise TypeError
        return [f"http://{target}" for group in groups for target in group["targets"]]
    except (TypeError, KeyError) as error:
        raise ConfigError(f'{file}: not a list of targets: write [{{"targets": ["host:9090"]}}]') from error
