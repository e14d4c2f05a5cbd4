"""Delay through the media worker, each way and from mouth to ear, with a hundred callers; beside plain aiortc.

Times are monotonic and of one machine, so they compare between processes. "Mouth" is when a sample is spoken (20 ms
before its packet leaves, at the packet's first sample); "ear" is when it could be played if the receiver had no buffer.

On a virtual machine the host may take the processors away for a tenth of a second; the kernel counts it. Every part
lasts until it has quiet seconds enough, at most a minute, and samples of other seconds are left out and counted.
"""

import asyncio
import json
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from numpy.typing import NDArray

from media_worker.core.rtp import parse_header
from shared.audio import Pcm
from tests.load import stack
from tests.load.bench_report import BenchReport
from tests.load.delays import Delays
from tests.load.load_speech import browser_packets
from tests.load.steal import StealWatch, watching
from tests.load.swarm import Swarm, SwarmCaller, line_exchange

_SESSIONS = 100
_PLAIN_SESSIONS = 12
_PROBES = 10
_SETTLE_S = 3.0
_QUIET_S = 10.0
_AT_MOST_S = 45.0
_RATE = 48_000
_FRAME = 960
_BURST_EVERY_S = 0.5
_ONSET_RMS = 1_500.0

_UPLINK_P99_MS = 15.0
_DOWNLINK_P99_MS = 30.0
_MOUTH_TO_EAR_P50_MS = 80.0
_MOUTH_TO_EAR_P99_MS = 110.0
_FOUND_SHARE = 0.98

Times = NDArray[np.float64]


def run(report: BenchReport) -> None:
    os.sched_setaffinity(0, {stack.LOAD_CORE})
    asyncio.run(_each_way(report))
    ours = asyncio.run(_echoed_by_antiphon())
    plain = asyncio.run(_echoed_by_plain_aiortc())
    ours.row(report, f"mouth to ear, echo agent, {_SESSIONS} callers")
    plain.row(report, f"mouth to ear, plain aiortc, {_PLAIN_SESSIONS} callers")
    report.bar("sounds that came back, share", ours.found_share, _FOUND_SHARE, "higher")
    report.bar("mouth to ear p50 ms", ours.percentile(50), _MOUTH_TO_EAR_P50_MS, "lower")
    report.bar("mouth to ear p99 ms", ours.percentile(99), _MOUTH_TO_EAR_P99_MS, "lower")


async def _each_way(report: BenchReport) -> None:
    """Uplink: the n-th packet of a caller is the n-th frame of its session. Downlink: by talkspurts.

    Callers send what Chromium sends after our answer: wideband, with FEC.
    """
    packets = await asyncio.to_thread(browser_packets, True)
    with tempfile.TemporaryDirectory() as folder, stack.running_broker() as (url, _):
        log = Path(folder) / "talker.json"
        talker_settings = {
            "ANTIPHON_REDIS_URL": url,
            "TALK_SHARE": "0.5",
            "TALK_CYCLE_S": "1.0",
            "TALKER_LOG": str(log),
        }
        with stack.running("media_worker", stack.SERVER_CORE, **_settings(url)):
            with stack.running("tests.load.talker", stack.LOAD_CORE, **talker_settings) as talker:
                assert talker.stdout is not None
                async with stack.direct_signaling(url, talker.stdout.readline().strip()) as signaling:
                    swarm = Swarm(signaling.exchange, packets, recorded=_SESSIONS)
                    await swarm.join(_SESSIONS)
                    async with watching() as watch:
                        await _talk(swarm, watch)
                    sessions = [signaling.by_caller[index] for index in range(_SESSIONS)]
            came = json.loads(log.read_text(encoding="utf-8"))
    up, down = Delays(watch), Delays(watch)
    for caller, session in zip(swarm.callers, sessions, strict=True):
        frames = came["frames_came"][session]
        skip = int(_SETTLE_S * 50)
        if len(frames) == len(caller.sent_s):  # else something was lost, and the n-th is not the n-th
            for sent_s, came_s in zip(caller.sent_s[skip:], frames[skip:], strict=True):
                up.add(sent_s, came_s - sent_s)
        else:
            up.miss(len(caller.sent_s) - skip)
        # Before that others were still connecting, and a handshake takes a core for 10 ms.
        said = [at for at in came["talkspurts"][session] if at >= caller.sent_s[skip]]
        delays = _talkspurt_delays(caller, said)
        down.miss(len(said) - len(delays))
        for said_s, delay_s in delays:
            down.add(said_s, delay_s)
    up.row(report, f"packet in -> frame in the pipeline's inbox, {_SESSIONS} callers")
    down.row(report, "agent frame in the inbox -> packet out, beyond the cushion")
    report.bar("packets whose frame was found, share", up.found_share, _FOUND_SHARE, "higher")
    report.bar("talkspurts whose first packet was found, share", down.found_share, _FOUND_SHARE, "higher")
    report.bar("packet in -> pipeline inbox p99 ms", up.percentile(99), _UPLINK_P99_MS, "lower")
    report.bar("agent frame -> packet out p99 ms, beyond the cushion", down.percentile(99), _DOWNLINK_P99_MS, "lower")
    for caller in swarm.callers:
        await caller.close()


async def _talk(swarm: Swarm, watch: StealWatch) -> None:
    """Until enough of it was quiet."""
    await swarm.talk(_SETTLE_S)
    began = time.monotonic()
    while watch.quiet_s(began) < _QUIET_S and time.monotonic() - began < _AT_MOST_S:
        await swarm.talk(1.0)
    await asyncio.sleep(0.5)  # for what is still on its way


def _talkspurt_delays(caller: SwarmCaller, said_s: Sequence[float]) -> list[tuple[float, float]]:
    """(when, delay) from each talkspurt's first piece to the first packet that came after it with the marker bit.

    A first piece of 100 ms fills the cushion by itself, so nothing is taken off for it.
    """
    marked = [at for at, packet in caller.heard_rtp() if packet[1] & 0x80]
    delays = []
    for said in said_s:
        after = [at for at in marked if at >= said]
        if after and after[0] - said < 0.4:
            delays.append((said, after[0] - said))
    return delays


async def _echoed_by_antiphon() -> Delays:
    sent, packets = await asyncio.to_thread(_bursts)
    with stack.running_broker() as (url, _):
        settings = _settings(url)
        with (
            stack.running("media_worker", stack.SERVER_CORE, **settings),
            stack.running("pipeline_worker", stack.LOAD_CORE, **settings, ANTIPHON_PIPELINE_CAPACITY="200"),
        ):
            async with stack.direct_signaling(url, None) as signaling:
                await stack.pipeline_worker_there(signaling.client)
                swarm = Swarm(signaling.exchange, packets, recorded=_PROBES)
                await swarm.join(_SESSIONS)
                return await _mouth_to_ear(swarm, sent)


async def _echoed_by_plain_aiortc() -> Delays:
    sent, packets = await asyncio.to_thread(_bursts)
    with stack.plain_aiortc("echo", _PLAIN_SESSIONS, rate=16_000) as (port, *_):
        swarm = Swarm(lambda _, sdp: line_exchange(port, sdp), packets, recorded=_PROBES)
        await swarm.join(_PLAIN_SESSIONS)
        return await _mouth_to_ear(swarm, sent)


async def _mouth_to_ear(swarm: Swarm, sent: Pcm) -> Delays:
    async with watching() as watch:
        await _talk(swarm, watch)
    delays = Delays(watch)
    for caller in swarm.callers[:_PROBES]:
        began = caller.sent_s[int(_SETTLE_S * 50)]
        spoken = _onsets(
            [(at - 0.02, sent[n % (len(sent) // _FRAME) * _FRAME :][:_FRAME]) for n, at in enumerate(caller.sent_s)]
        )
        heard = _onsets(_decoded(caller))
        for onset in spoken[spoken > began]:
            after = heard[heard > onset]
            if len(after) and after[0] - onset < _BURST_EVERY_S:
                delays.add(float(onset), float(after[0] - onset))
            else:
                delays.miss()
    await swarm.leave()
    return delays


def _bursts() -> tuple[Pcm, list[bytes]]:
    """Ten seconds with a 60 ms burst of 1 kHz each half second, and its packets."""
    times = np.arange(_RATE * 10) / _RATE
    gate = (times % _BURST_EVERY_S) < 0.06
    noise = np.random.default_rng(3).normal(0, 40, len(times))
    pcm = (gate * 12_000 * np.sin(2 * np.pi * 1_000 * times) + noise).astype(np.int16)
    encoder: AudioCodecContext = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format, encoder.bit_rate = _RATE, "mono", "s16", 48_000
    encoder.options = {"application": "voip", "frame_duration": "20"}
    packets: list[bytes] = []
    for start in range(0, len(pcm), _FRAME):
        frame = av.AudioFrame.from_ndarray(pcm[None, start : start + _FRAME], layout="mono")
        frame.sample_rate, frame.pts = _RATE, start
        packets += [bytes(packet) for packet in encoder.encode(frame)]
    return pcm, packets


def _decoded(caller: SwarmCaller) -> list[tuple[float, Pcm]]:
    decoder: AudioCodecContext = av.CodecContext.create("opus", "r")
    decoder.sample_rate, decoder.layout = _RATE, "mono"
    pieces: list[tuple[float, Pcm]] = []
    for at, packet in caller.heard_rtp():
        header = parse_header(packet)
        assert header is not None
        payload = packet[header.payload_start : header.payload_end]
        if len(payload) > 2:
            for frame in decoder.decode(av.Packet(payload)):
                samples: Any = frame.to_ndarray().astype(np.float64)
                if frame.format.name.startswith("flt"):
                    samples = samples * 32_768
                pieces.append((at, samples.reshape(-1, len(frame.layout.channels)).mean(axis=1).astype(np.int16)))
    return pieces


def _onsets(pieces: list[tuple[float, Pcm]]) -> Times:
    """Times at which sound begins after at least 100 ms without, to a millisecond."""
    onsets: list[float] = []
    last_loud = -1.0
    for at, samples in pieces:
        for index in range(0, len(samples) - 47, 48):
            window = samples[index : index + 48].astype(np.float64)
            if np.sqrt(np.mean(window**2)) > _ONSET_RMS:
                now = at + index / _RATE
                if now - last_loud > 0.1:
                    onsets.append(now)
                last_loud = now
    return np.array(onsets)


def _settings(url: str) -> dict[str, str]:
    return {"ANTIPHON_REDIS_URL": url, "ANTIPHON_PUBLIC_IPS": "127.0.0.1", "ANTIPHON_LOG_LEVEL": "warning"}
