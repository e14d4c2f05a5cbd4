"""Errors and connection options."""

from dataclasses import dataclass

__version__ = "1.8.9"


class APIError(Exception):
    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class APIStatusError(APIError):
    def __init__(self, message: str, status_code: int) -> None:
        super().__init__(message)
        self.status_code = status_code


class APIConnectionError(APIError):
    pass


class APITimeoutError(APIConnectionError):
    pass


@dataclass
class APIConnectOptions:
    max_retry: int = 3
    timeout: float = 10.0
