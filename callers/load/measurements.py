"""What a helper has measured, of the last second, since the level began, and since measuring began."""

import time

import psutil

from callers.load.messages import Measured, SetUpTimes, Tick
from callers.load.tally import MOST_CODES, Tally

_LONGEST_REASON = 300


class Measurements:
    def __init__(self) -> None:
        self._second, self._set_ups, self._heard = Tally(), Tally(), Tally()
        self._reasons: dict[str, str] = {}
        """One for each code of the last second."""
        self._second_use, self._window_use = ProcessorUse(), ProcessorUse()

    def begin_level(self) -> None:
        """Set-ups, moves and errors count from now on."""
        self._set_ups = Tally()

    def begin_window(self) -> None:
        """The rest counts from now on."""
        self._heard = Tally()
        self._window_use = ProcessorUse()

    def attempt(self) -> None:
        self._add_set_up(Tally(attempts=1))

    def retry(self) -> None:
        self._add_set_up(Tally(retries=1))

    def fail(self, code: str, reason: str = "") -> None:
        self._add_set_up(Tally(errors={code: 1}))
        if reason and len(self._reasons) < MOST_CODES:
            self._reasons.setdefault(code, reason[:_LONGEST_REASON])

    def move(self, silence_ms: float) -> None:
        news = Tally()
        news.add("move_silence_ms", silence_ms)
        self._add_set_up(news)

    def set_up(self, times: SetUpTimes) -> None:
        news = Tally()
        news.add("set_up_ms", times.total)
        news.add("connect_ms", times.connect)
        news.add("place_ms", times.place)
        news.add("sdp_ms", times.sdp)
        news.add("ice_ms", times.ice)
        news.add("dtls_ms", times.dtls)
        if times.first_audio is not None:
            news.add("set_up_first_audio_ms", times.first_audio)
        self._add_set_up(news)

    def set_up_total(self, total_ms: float) -> None:
        """Of a caller who does not know its parts."""
        news = Tally()
        news.add("set_up_ms", total_ms)
        self._add_set_up(news)

    def heard(self, news: Tally) -> None:
        """What callers heard, and how late their clock was."""
        self._second.merge(news)
        self._heard.merge(news)

    def judge(self, news: Tally) -> None:
        """One value per call, which is no news of the last second."""
        self._heard.merge(news)

    @property
    def delay_ms(self) -> float | None:
        """From mouth to ear, as it usually is."""
        spread = self._heard.spread("mouth_to_ear_ms")
        return None if spread is None else spread.p50

    def tick(self, wanted: int, connected: int, settled: bool) -> Tick:
        tally, self._second = self._second, Tally()
        reasons, self._reasons = self._reasons, {}
        use, self._second_use = self._second_use, ProcessorUse()
        return Tick(
            wanted=wanted,
            connected=connected,
            settled=settled,
            tally=tally,
            reasons=reasons,
            core_share=use.core_share(),
        )

    def measured(self, connected: int, calls: Tally) -> Measured:
        """`calls` has one value of each call that goes on."""
        tally = self._heard.model_copy(deep=True)
        tally.merge(self._set_ups)
        tally.merge(calls)
        return Measured(
            seconds=self._window_use.seconds(),
            connected=connected,
            tally=tally,
            core_share=self._window_use.core_share(),
            host_busy_percent=self._window_use.host_busy_percent(),
        )

    def _add_set_up(self, news: Tally) -> None:
        self._second.merge(news)
        self._set_ups.merge(news)


class ProcessorUse:
    """What this process and its host used of the processors, since it was made."""

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
