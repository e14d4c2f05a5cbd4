"""A call over bad networks: does the delay stay, how much is concealed, and are the words still understood?

Each condition has a call of its own; all run at the same time. Sentences are said both ways: first over a clean
network, then over a bad one, then over a clean one again. Delays are of the sound itself. Beside it a plain aiortc
server hears the same packets.
"""

import asyncio
import os
from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple

import numpy as np
import uvloop

from callers.impairment import Impairment
from shared.audio import Pcm
from tests.load import stack
from tests.load.bench_report import BenchReport
from tests.load.dictated_call import OneWayRecording, Script, antiphon, call_plain
from tests.load.dictation import RATE, browser_voice, dictation, recognised
from tests.load.likeness import log_spectral_distance_db, pesq
from tests.load.lossy_relay import LossyRelay

CLEAN = "clean"
CONDITIONS = {
    CLEAN: Impairment(),
    "one packet lost": Impairment(loses_one=True),
    "1 % random loss": Impairment(loss=0.01),
    "5 % random loss": Impairment(loss=0.05),
    "10 % random loss": Impairment(loss=0.1),
    "5 % in bursts of 3-5": Impairment(burst_loss=0.05),
    "30 ms jitter": Impairment(jitter_ms=30),
    "5 % reordered": Impairment(reordered=0.05),
    "5 % duplicated": Impairment(duplicated=0.05),
    "Wi-Fi: 2 % + 2 % bursts, 30 ms, 2 % both": Impairment(0.02, 0.02, 30, 0.02, 0.02),
}
_UNDERSTOOD = "5 % random loss"
_PLAIN = (CLEAN, "one packet lost", _UNDERSTOOD, "30 ms jitter")
_BEFORE, _SPOILED, _AFTER = 3, 8, 4
"""Sentences, of about 3.6 s."""
_MISHEARD = 2
"""Sentences that may be lost on the worse networks: a burst of five packets takes a short word with it."""
_LAST_S = 6.0
_MAX_LAG_MS = 20.0
_MAX_SPREAD_MS = 20.0
_MAX_NEEDLESSLY_CONCEALED = 0.005
"""What comes late, is out of order or comes twice should be used."""


class _Quality(NamedTuple):
    words: list[list[str]]
    """Of each sentence that was said over the bad network."""
    distance_db: float
    pesq: float | None


class _Judged(NamedTuple):
    before_ms: float
    during_p95_ms: float
    after_ms: float
    sentences: list[Pcm]


def run(report: BenchReport) -> None:
    os.sched_setaffinity(0, {stack.LOAD_CORE})
    script, plain_script = _script(dtx=True), _script(dtx=False)
    ours = uvloop.run(_antiphon(script))
    plain = uvloop.run(_plain(plain_script))
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    judged = {key: _judge(recording, script) for key, recording in ours.items()}
    quality = _qualities(judged)
    for key, recording in ours.items():
        name, way = key
        clean = quality[CLEAN, way]
        same = sum(mine == theirs for mine, theirs in zip(quality[key].words, clean.words, strict=True))
        report.add(server="antiphon", network=name, way=way, **_figures(recording, judged[key], quality[key], same))
        least = _SPOILED if name == _UNDERSTOOD else _SPOILED - _MISHEARD
        report.bar(f"sentences understood as in the clean run, {name}, {way}", same, least, "higher")
    for name, recording in plain.items():
        report.add(
            server="plain aiortc", network=name, way="up", **_figures(recording, _judge(recording, plain_script))
        )
    undisturbed = judged[CLEAN, "up"]
    spread_ms = undisturbed.during_p95_ms - undisturbed.before_ms
    report.bar("spread of the delay in ms, clean, up (else the machine was busy)", spread_ms, _MAX_SPREAD_MS, "lower")
    for way in ("up", "down"):
        lags = [result.after_ms - result.before_ms for (_, its_way), result in judged.items() if its_way == way]
        report.bar(f"lasting lag in ms, worst network, {way}", float(np.max(lags)), _MAX_LAG_MS, "lower")
    needless = [
        (recording.concealed_share or 0.0) - recording.lost_share for (_, way), recording in ours.items() if way == "up"
    ]
    report.bar(
        "share concealed that was not lost, worst network, up", max(needless), _MAX_NEEDLESSLY_CONCEALED, "lower"
    )


def _script(dtx: bool) -> Script:
    count = _BEFORE + _SPOILED + _AFTER
    said = dictation(count)
    first, end = said.sentences[_BEFORE].first_sample, said.sentences[_BEFORE + _SPOILED].first_sample
    return Script(said, browser_voice(count, dtx), first, end)


async def _antiphon(script: Script) -> dict[tuple[str, str], OneWayRecording]:
    with stack.running_broker() as (url, _):
        async with antiphon(url) as server, asyncio.TaskGroup() as group:
            calls = [
                group.create_task(server.call(index, script, LossyRelay(impairment, index)))
                for index, impairment in enumerate(CONDITIONS.values())
            ]
    return {
        (name, way): recording
        for name, call in zip(CONDITIONS, calls, strict=True)
        for way, recording in zip(("up", "down"), call.result(), strict=True)
    }


async def _plain(script: Script) -> dict[str, OneWayRecording]:
    with (
        stack.running_broker() as (url, _),
        stack.running("tests.load.peers.plain_aiortc", stack.SERVER_CORE, ANTIPHON_REDIS_URL=url) as server,
    ):
        assert server.stdout is not None
        port = int(await asyncio.to_thread(server.stdout.readline))
        recordings = {}
        async with asyncio.TaskGroup() as calls:
            for index, name in enumerate(_PLAIN):
                seed = list(CONDITIONS).index(name)
                call = call_plain(url, index, port, script, LossyRelay(CONDITIONS[name], seed))
                recordings[name] = calls.create_task(call)
                await asyncio.sleep(0.2)  # the peer numbers its callers as they come
    return {name: task.result() for name, task in recordings.items()}


def _judge(recording: OneWayRecording, script: Script) -> _Judged:
    """Delays of the three stretches, and the spoiled sentences as they were heard."""
    delays = recording.heard.delays(script.voice.decoded, recording.began_s)  # both sides say the same
    end = len(script.dictation.pcm) - int(_LAST_S * RATE)

    def between(first: int, last: int) -> list[float]:
        return [delay.delay_s * 1000 for delay in delays if first <= delay.sent_sample < last] or [float("nan")]

    sentences = []
    shift = delays[0].shift
    for sentence in script.dictation.sentences[_BEFORE : _BEFORE + _SPOILED]:
        shifts = [d.shift for d in delays if sentence.first_sample <= d.sent_sample < sentence.end_sample]
        shift = int(np.median(shifts)) if shifts else shift
        pcm = recording.heard.pcm[max(0, sentence.first_sample + shift) : sentence.end_sample + shift]
        sentences.append(np.pad(pcm, (0, sentence.end_sample - sentence.first_sample - len(pcm))))
    return _Judged(
        float(np.median(between(0, script.spoiled_from))),
        float(np.percentile(between(script.spoiled_from, script.spoiled_until), 95)),
        float(np.median(between(end, len(script.dictation.pcm)))),
        sentences,
    )


def _qualities(judged: dict[tuple[str, str], _Judged]) -> dict[tuple[str, str], _Quality]:
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(
            _quality,
            [judged[CLEAN, way].sentences for _, way in judged],
            [result.sentences for result in judged.values()],
        )
        return dict(zip(judged, results, strict=True))


def _quality(clean: list[Pcm], heard: list[Pcm]) -> _Quality:
    scores = [score for a, b in zip(clean, heard, strict=True) if (score := pesq(a, b)) is not None]
    return _Quality(
        [recognised(sentence) for sentence in heard],
        float(np.mean([log_spectral_distance_db(a, b) for a, b in zip(clean, heard, strict=True)])),
        float(np.mean(scores)) if scores else None,
    )


def _figures(
    recording: OneWayRecording, judged: _Judged, quality: _Quality | None = None, same: int | None = None
) -> dict[str, float | str | None]:
    return {
        "lost_%": recording.lost_share * 100,
        "late_%": recording.late_share * 100,
        "concealed_%": None if recording.concealed_share is None else recording.concealed_share * 100,
        "before_ms": judged.before_ms,
        "during_p95_ms": judged.during_p95_ms,
        "after_ms": judged.after_ms,
        "lag_ms": judged.after_ms - judged.before_ms,
        "sentences": None if same is None else f"{same}/{_SPOILED}",
        "pesq": None if quality is None else quality.pesq,
        "distance_db": None if quality is None else quality.distance_db,
    }
