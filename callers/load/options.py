"""What a load run should do, and how options state it."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from callers.load import schedule
from callers.load.knee import KneeSearch
from callers.load.messages import Impaired
from callers.load.results import Knee, Stage
from callers.load.schedule import Level, Schedule
from callers.scenario.scenario_files import load_scenarios
from shared.errors import ConfigError
from shared.io.yaml_file import read_yaml

SCENARIOS = ("steady", "ramp", "burst", "soak", "conversation")
_ARRIVALS_PER_PROCESS = 4.0
"""More would wait for each other in the caller's own handshakes, which the set-up time would count."""
_BURST_PER_S = 100.0
_SOAKED_CALL_S = 180.0
_USUAL_SHARE = 0.1

_DURATION = re.compile(r"(\d+(?:\.\d+)?) ?(ms|min|s|m|h|d)?")
_SECONDS = {"ms": 0.001, "s": 1.0, None: 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}
_SHARE = re.compile(r"(\d+(?:\.\d+)?) ?(%)?")


class FixedLevels:
    def __init__(self, schedule: Schedule) -> None:
        self._left = list(schedule.levels)

    def next(self) -> Level | None:
        return self._left.pop(0) if self._left else None

    def take(self, stage: Stage) -> None:
        """Nothing depends on it."""

    @property
    def knee(self) -> Knee | None:
        return None


class SearchedLevels:
    """Those by which a ramp finds the knee, with a rest after each bad one."""

    def __init__(self, search: KneeSearch, hold_s: float) -> None:
        self._search = search
        self._hold_s = hold_s
        self._rested = False

    def next(self) -> Level | None:
        step = self._search.next_step
        if step is None:
            return None
        if step.rest is not None and not self._rested:
            self._rested = True
            return Level(step.rest, 0.0)
        self._rested = False
        return Level(step.callers, self._hold_s)

    def take(self, stage: Stage) -> None:
        if not self._rested:
            self._search.take(stage)

    @property
    def knee(self) -> Knee | None:
        return self._search.knee


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
    def called_agent(self) -> str:
        """A scenario names its own."""
        return str(json.loads(self.scripts[0])["agent"]) if self.scripts else self.agent

    @property
    def pace_per_s(self) -> float:
        """Callers who arrive in a second."""
        usual = (
            _BURST_PER_S if self.scenario == "burst" else _ARRIVALS_PER_PROCESS * max(1, self.processes) * self.hosts
        )
        return self.arrivals_per_s or usual

    def levels(self) -> "FixedLevels | SearchedLevels":
        """Raises `ConfigError`."""
        if (self.scenario == "conversation") != bool(self.scripts):
            raise ConfigError("a conversation has a scenario file, and nothing else has: load conversation FILE")
        match self.scenario:
            case "steady" | "conversation":
                return FixedLevels(schedule.steady(self.callers, self.duration_s, self.pace_per_s))
            case "soak":
                return FixedLevels(schedule.soak(self.callers, self.duration_s, self.pace_per_s))
            case "burst":
                usual = max(1, round(self.callers * _USUAL_SHARE))
                return FixedLevels(schedule.burst(usual, self.callers, self.duration_s, 1, self.pace_per_s))
            case "ramp":
                schedule.ramp([self.callers, self.most], self.duration_s, self.pace_per_s)
                return SearchedLevels(KneeSearch(self.callers, self.most, self.factor), self.duration_s)
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
        raise ConfigError(f"{text}: not an address: write HOST:PORT, such as 0.0.0.0:7000")
    return host, port


def http_url(url: str) -> str:
    """`wss://host/signaling` is the server `https://host`."""
    scheme, separator, rest = url.partition("://")
    known = {"ws": "http", "wss": "https"}.get(scheme)
    return f"{known}{separator}{rest.removesuffix('/').removesuffix('/signaling')}" if known else url


def scripts(file: Path) -> list[str]:
    """The scenarios of a file of `antiphon eval`, each as JSON. Raises `ConfigError`."""
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
