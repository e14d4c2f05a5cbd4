"""Sessions that one core carries when everything that serves them shares it: gateway, media, broker, pipeline.

First all callers talk to the echo agent. Then an agent listens to callers in a noisy room, too loud for the silence
gate: voice activity is judged of every chunk. Its other engines are stand-ins for those over the network, and have
nothing to do, because nobody speaks.
"""

import asyncio
import functools
import tempfile
from pathlib import Path

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext

from tests.integration.talk import AGENT, write_agent
from tests.load.bench_report import BenchReport
from tests.load.load_speech import browser_packets
from tests.load.whole_stack import whole_stack

_LEVELS = (60, 110)
_WINDOW_S = 12.0
_SESSIONS_PER_CORE = 150.0
_AIM = 190.0
_NOISE_RMS = 330.0
"""-40 dBFS; the silence gate lets everything above -50 dBFS through to the model."""
_PEERS = (
    ("Pipecat 1.14, one process", 30.0, 18.8),
    ("FastRTC 0.0.34, one process", 46.0, None),
    ("LiveKit server 1.13.5 + agents 1.8.9", 13.0, 9.5),
)
"""Sessions per core as echo and with Silero VAD: the same work, everything of one system on one core of an AMD EPYC,
callers on another, on 27 November 2026. Not measured here."""


def run(report: BenchReport) -> None:
    asyncio.run(_run(report))


async def _run(report: BenchReport) -> None:
    await _carry(report, "echo", "echo: everyone talks", await asyncio.to_thread(browser_packets, False))
    with tempfile.TemporaryDirectory(prefix="antiphon-system-") as folder:
        write_agent(Path(folder))
        noise = await asyncio.to_thread(_noise_packets)
        listening = await _carry(report, AGENT, "voice activity", noise, ANTIPHON_AGENTS_DIR=folder)
    for name, echo, with_vad in _PEERS:
        report.add(work=f"quoted: {name}", sessions_per_core=echo, with_voice_activity=with_vad)
    report.bar("sessions per core with voice activity", listening, _SESSIONS_PER_CORE, "higher")
    print(f"aim: {_AIM:.0f} sessions per core with voice activity: {'reached' if listening >= _AIM else 'not reached'}")


async def _carry(report: BenchReport, agent: str, work: str, packets: list[bytes], **settings: str) -> float:
    """Sessions per core at the last level."""
    echo = agent == "echo"
    async with whole_stack(agent, packets, 1, **settings) as stack:
        for sessions in _LEVELS:
            level = await stack.measure(sessions, _WINDOW_S, echo)
            level.add_row(report, echo, work=work)
            level.add_bars(report, f"{work}, {sessions} callers", echo)
    return 1000 / level.ms_per_session


@functools.cache
def _noise_packets() -> list[bytes]:
    """Five seconds of a noisy room as a browser sends it to us: wideband, 20 ms packets."""
    encoder: AudioCodecContext = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format, encoder.bit_rate = 16_000, "mono", "s16", 32_000
    encoder.options = {"application": "voip", "frame_duration": "20", "compression_level": "9"}
    pcm = (np.random.default_rng(3).standard_normal(16_000 * 5) * _NOISE_RMS).astype(np.int16)
    packets: list[bytes] = []
    for start in range(0, len(pcm), 320):
        frame = av.AudioFrame.from_ndarray(pcm[None, start : start + 320], layout="mono")
        frame.sample_rate, frame.pts = 16_000, start
        packets += [bytes(packet) for packet in encoder.encode(frame)]
    return packets
