"""Lets a test, and the helper processes that it starts, import the stand-ins of `tests/fakes/packages`."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

_FOLDER = str(Path(__file__).with_name("packages"))
_NAMES = ("faster_whisper", "livekit")


@contextlib.contextmanager
def stand_in_packages() -> Iterator[None]:
    def forget() -> None:
        for name in [name for name in sys.modules if name.partition(".")[0] in _NAMES]:
            del sys.modules[name]

    forget()
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(_FOLDER)
        patch.setenv("PYTHONPATH", _FOLDER)
        try:
            yield
        finally:
            forget()
