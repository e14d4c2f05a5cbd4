"""What this process and its host used of the processors, since a moment."""

import time

import psutil


class ProcessorUse:
    """Since it was made."""

    def __init__(self) -> None:
        self._began_s = time.monotonic()
        self._process_s = time.process_time()
        self._host = psutil.cpu_times()

    def seconds(self) -> float:
        return time.monotonic() - self._began_s

    def core_share(self) -> float:
        seconds = self.seconds()
        return (time.process_time() - self._process_s) / seconds if seconds > 0 else 0.0

    def host_busy_percent(self) -> float:
        """Of all cores, by all processes; stolen time counts as busy."""
        now = psutil.cpu_times()
        total = sum(now) - sum(self._host)
        idle = now.idle + getattr(now, "iowait", 0.0) - self._host.idle - getattr(self._host, "iowait", 0.0)
        return min(100.0, max(0.0, 100 * (1 - idle / total))) if total > 0 else 0.0
