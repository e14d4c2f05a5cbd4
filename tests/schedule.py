"""What the workers of pytest-xdist run, and in which order.

The tests of a file share services, so they stay on one worker. Tests that wait in real time come first, and fast ones
fill the time until the last worker is done. All speech in Chromium and through the speech engines is on one worker,
because it needs most of a processor: without it, recognisers miss words and Chromium conceals audio.
"""

from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

_SPEECH = ("tests/scenarios/", "tests/browser/")
_REAL_TIME = ("tests/integration/", "tests/network/", "tests/interop/")


class Schedule(LoadScopeScheduling):  # type: ignore[misc]
    def __init__(self, config: pytest.Config, log: Any) -> None:
        config.option.loadscopereorder = False  # the files with the most tests are not the longest
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        return "speech" if nodeid.startswith(_SPEECH) else nodeid.partition("::")[0]


def rank(item: pytest.Item) -> int:
    """The lowest ranks start first."""
    return [item.nodeid.startswith(_SPEECH), item.nodeid.startswith(_REAL_TIME), True].index(True)
