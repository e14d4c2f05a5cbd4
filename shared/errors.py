"""The tree of errors. Each has a machine code, and its class says whose fault it is.

Codes travel to clients (`error {code, message}`) and into logs and metrics, so they are never renamed.
"""

from collections.abc import Iterator


class AntiphonError(Exception):
    """Base of our errors: those that the calling code can act on."""

    code = "internal"

    def __init__(self, message: str, *, code: str | None = None, retry_after_ms: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code
        self.retry_after_ms = retry_after_ms


class PeerError(AntiphonError):
    """The other side sent something that we cannot accept. Nothing has changed."""

    code = "bad_request"


class WireError(PeerError):
    """Bytes from the broker that are not one of our messages."""

    code = "bad_wire"


class OfferError(PeerError):
    """An SDP offer that cannot be parsed, or contains nothing that we can answer."""

    code = "bad_sdp"


class ConfigError(AntiphonError):
    """Settings or an agent file that cannot be used. The message says where and what to do."""

    code = "bad_config"


class BrokerError(AntiphonError):
    """The broker cannot be reached or does not answer in time."""

    code = "broker_unavailable"


class RefusedError(AntiphonError):
    """No room now; `retry_after_ms` says when to come back."""

    code = "no_capacity"


class EngineError(AntiphonError):
    """A speech or language engine failed.

    `detail` is what a vendor said about it, which may repeat what people said: it is in `str(error)`, but not in
    `message`, and so not in logs.
    """

    code = "engine_failed"

    def __init__(
        self, message: str, *, code: str | None = None, retry_after_ms: int | None = None, detail: str = ""
    ) -> None:
        super().__init__(message, code=code, retry_after_ms=retry_after_ms)
        if detail:
            self.args = (f"{message}: {detail}",)


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The errors that a TaskGroup gathered, at any depth; `error` itself if it is not a group."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from leaves(inner)
    else:
        yield error
