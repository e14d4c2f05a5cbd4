"""What the workers of pytest-xdist run, and in which order.

The tests of a file share services, so they stay on one worker. Tests that wait in real time come first, and fast ones
fill the time until the last worker is done. What needs most of a processor, without which recognisers miss words and
Chromium conceals audio, is on one worker: scenarios, and comparisons of sound. The other browser tests are on another.
"""

from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

_SPEECH = ("tests/scenarios/", "tests/browser/test_peer.py", "tests/browser/test_page.py")
_BROWSER = ("tests/browser/",)
_REAL_TIME = ("tests/integration/", "tests/network/", "tests/interop/")


class Schedule(LoadScopeScheduling):  # type: ignore[misc]
    def __init__(self, config: pytest.Config, log: Any) -> None:
        config.option.loadscopereorder = False  # the files with the most tests are not the longest
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        if nodeid.startswith(_SPEECH):
            return "speech"
        return "browser" if nodeid.startswith(_BROWSER) else nodeid.partition("::")[0]


def rank(item: pytest.Item) -> int:
    """The lowest ranks start first."""
    starts = item.nodeid.startswith
    return [starts(_SPEECH), starts(_BROWSER), starts(_REAL_TIME), True].index(True)
