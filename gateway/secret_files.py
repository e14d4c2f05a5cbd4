"""Files with secrets, which an operator may replace at any time: no restart is needed.

A line is `NAME: VALUE WORDS...`; empty lines and lines that begin with # are ignored. An error names file and line, and
never what is written there.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from gateway.core.api_keys import SCOPES, ApiKey, Scope
from gateway.core.tokens import SHORTEST_KEY, KeyRing
from shared.errors import ConfigError
from shared.io.logs import get_logger

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_LIMIT = re.compile(r"(tokens_per_minute|sessions_at_once)=([1-9]\d{0,5})")

Content = TypeVar("Content")

log = get_logger()


class SecretFile(Generic[Content]):
    """Reads the file again when it has changed. Raises `ConfigError` if it cannot be read at first."""

    def __init__(self, path: Path, parse: Callable[[Path], Content]) -> None:
        self._path = path
        self._parse = parse
        self._version = self._current_version()
        self._content = parse(path)

    def read(self) -> Content:
        """What is in the file now, or the last that was valid."""
        version = self._current_version()
        if version != self._version:
            self._version = version
            try:
                self._content = self._parse(self._path)
            except ConfigError as error:
                log.error("secret_file_invalid", error=error.message, then="the previous content stays in use")
            else:
                log.info("secret_file_read", file=str(self._path))
        return self._content

    def _current_version(self) -> tuple[int, ...]:
        try:
            status = self._path.stat()
        except OSError:
            return ()
        return status.st_mtime_ns, status.st_size, status.st_ino


def read_api_keys(path: Path) -> Mapping[str, ApiKey]:
    """Lines such as `website: 5e88...42d8 calls tokens_per_minute=120 sessions_at_once=20`."""
    return {line.name: _api_key(line) for line in _lines(path)}


def read_token_keys(path: Path) -> KeyRing:
    """Lines such as `2026-03: <32 random characters or more>`. The first key signs."""
    key_ring = {}
    for line in _lines(path):
        if len(line.value) < SHORTEST_KEY or line.words:
            raise ConfigError(f"{line.place}: a signing key is one word of {SHORTEST_KEY} characters or more")
        key_ring[line.name] = line.value
    if not key_ring:
        raise ConfigError(f"{path}: no key: add a line NAME: KEY, with a KEY such as `openssl rand -hex 32` makes")
    return key_ring


def read_secret(path: Path) -> str:
    """The whole file, without the white space around it."""
    secret = _text(path).strip()
    if not secret:
        raise ConfigError(f"{path}: empty: write the secret into it")
    return secret


class _Line(NamedTuple):
    place: str
    name: str
    value: str
    words: list[str]


def _lines(path: Path) -> Iterator[_Line]:
    places: dict[str, str] = {}
    for number, text in enumerate(_text(path).splitlines(), 1):
        if not text.strip() or text.lstrip().startswith("#"):
            continue
        place = f"{path}: line {number}"
        name, _, rest = (part.strip() for part in text.partition(":"))
        if not _NAME.fullmatch(name) or not rest:
            raise ConfigError(f"{place}: not NAME: VALUE, with a name of letters, digits, dots, dashes and underscores")
        if name in places:
            raise ConfigError(f"{place}: the name is used before: give each key its own")
        places[name] = place
        value, *words = rest.split()
        yield _Line(place, name, value, words)


def _api_key(line: _Line) -> ApiKey:
    if not _SHA256.fullmatch(line.value):
        raise ConfigError(f"{line.place}: not the SHA-256 of a key in hexadecimal: `antiphon api-key` makes such lines")
    scopes: set[Scope] = {scope for scope in SCOPES if scope in line.words}
    limits = {limit[1]: int(limit[2]) for word in line.words if (limit := _LIMIT.fullmatch(word))}
    if not scopes or len(scopes) + len(limits) != len(line.words):
        known = f"scopes ({', '.join(SCOPES)}), tokens_per_minute=N and sessions_at_once=N"
        raise ConfigError(f"{line.place}: after the SHA-256 come {known}, each once")
    return ApiKey(line.value, frozenset(scopes), **limits)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}: use a file that can be read") from error
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not text in UTF-8") from None
