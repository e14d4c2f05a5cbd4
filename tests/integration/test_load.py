"""`antiphon load` against a real deployment, as its user runs it."""

import asyncio
import contextlib
import os
import signal
import ssl
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from callers.load.results import LoadReport
from deploy.process_command import with_import_path
from tests.fakes.certificates import self_signed
from tests.fakes.ports import free_port
from tests.integration.deployment import Deployment, deployed

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

_TIMEOUT_S = 90.0
_CAPACITY = 12


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def deployment(broker_url: str) -> AsyncIterator[Deployment]:
    async with deployed(
        broker_url, ANTIPHON_MEDIA_CAPACITY=str(_CAPACITY), ANTIPHON_GATEWAY_RETRY_AFTER_MS="300"
    ) as running:
        yield running
        assert await running.leftovers() == []


async def started(*arguments: str, **environment: str) -> Process:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ANTIPHON_")}
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "deploy.launch", "load", *arguments),
        stdout=PIPE,
        stderr=STDOUT,
        env=with_import_path(clean | environment),
    )


async def output_of(process: Process) -> str:
    """Until it ends."""
    async with asyncio.timeout(_TIMEOUT_S):
        output, _ = await process.communicate()
    print(output.decode())
    return output.decode()


def options(deployment: Deployment, folder: Path) -> list[str]:
    return ["--url", f"http://127.0.0.1:{deployment.port}", "--json", str(folder / "report.json")]


def report_in(folder: Path) -> LoadReport:
    return LoadReport.from_json((folder / "report.json").read_text())


@asynccontextmanager
async def running(*arguments: str, **environment: str) -> AsyncIterator[Process]:
    process = await started(*arguments, **environment)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def helpers_of(process: Process) -> list[psutil.Process]:
    return psutil.Process(process.pid).children()


async def line_with(process: Process, words: str) -> str:
    """Reads the output up to this line."""
    assert process.stdout is not None
    async with asyncio.timeout(60):
        while line := (await process.stdout.readline()).decode():
            print(line, end="")
            if words in line:
                return line
    raise AssertionError(f"no line with {words!r}")


async def test_steady_callers_measure_each_stage_of_their_set_up_and_what_they_hear(
    deployment: Deployment, tmp_path: Path
) -> None:
    gate = tmp_path / "gate.yaml"
    gate.write_text("connected_percent_min: 100\nsetup_p95_ms: 0.1\n")
    html = tmp_path / "report.html"
    process = await started(
        *("steady", "--callers", "4", "--processes", "2", "--duration", "4s"),
        *("--gate", str(gate), "--html", str(html)),
        *options(deployment, tmp_path),
    )
    output = await output_of(process)
    assert process.returncode == 1, "no set-up takes 0.1 ms"
    assert "FAIL  setup_p95_ms" in output
    assert "ok    connected_percent_min" in output
    report = report_in(tmp_path)
    (stage,) = report.stages
    assert (stage.callers_wanted, stage.callers_connected, stage.attempts, stage.errors) == (4, 4, 4, {})
    set_up, audio = stage.set_up, stage.audio
    spreads = [set_up.connect_ms, set_up.place_ms, set_up.sdp_ms, set_up.ice_ms, set_up.dtls_ms, set_up.first_audio_ms]
    assert [spread and spread.count for spread in spreads] == [4] * 6
    assert audio.mouth_to_ear_ms is not None
    assert 20 < audio.mouth_to_ear_ms.p50 < 2_000
    assert (audio.mos and audio.mos.count, audio.jitter_ms and audio.jitter_ms.count) == (4, 4)
    assert audio.loss_percent == pytest.approx(0, abs=1)
    assert stage.callers.processes == 2
    assert stage.server is not None
    assert {"gateway", "media_worker", "pipeline_worker"} <= stage.server.roles.keys()
    assert any(point.callers_connected == 4 for point in report.series)
    assert html.read_text().startswith("<!doctype html>")


async def test_a_ramp_measures_level_after_level(deployment: Deployment, tmp_path: Path) -> None:
    process = await started(
        *("ramp", "--callers", "2", "--most", "3", "--duration", "2s"), *options(deployment, tmp_path)
    )
    await output_of(process)
    assert process.returncode == 0
    report = report_in(tmp_path)
    assert report.stages[0].callers_wanted == 2
    assert report.stages[-1].callers_wanted in (2, 3)


async def test_conversations_follow_a_scenario_file_again_and_again(deployment: Deployment, tmp_path: Path) -> None:
    script = tmp_path / "hello.yaml"
    script.write_text(
        "name: stop\nagent: front-desk\nsteps:\n- wait_for: {audible_for: 200ms}\n"
        "- interrupt: true\n  expect: [{agent_silent_within: 5s}]\n"
    )
    process = await started(
        *("conversation", str(script), "--callers", "2", "--duration", "10s"), *options(deployment, tmp_path)
    )
    await output_of(process)
    assert process.returncode == 0
    report = report_in(tmp_path)
    (stage,) = report.stages
    assert (report.agent, stage.errors) == ("front-desk", {})
    assert stage.attempts > 2, "one conversation follows another"
    assert stage.audio.barge_in_stop_ms is not None
    assert stage.audio.barge_in_stop_ms.p50 < 5_000
    assert stage.set_up.total_ms is not None
    assert stage.audio.jitter_ms is not None


async def test_an_impairment_is_measured_as_what_it_is(deployment: Deployment, tmp_path: Path) -> None:
    process = await started(
        *("steady", "--callers", "4", "--duration", "6s", "--loss", "20%", "--delay", "150ms"),
        *options(deployment, tmp_path),
    )
    await output_of(process)
    assert process.returncode == 0
    (stage,) = report_in(tmp_path).stages
    assert stage.audio.loss_percent == pytest.approx(20, abs=8)
    assert stage.audio.burst_ratio is not None
    assert stage.audio.burst_ratio > 2, "packets are lost in runs of three to five"
    assert stage.audio.mouth_to_ear_ms is not None
    assert stage.audio.mouth_to_ear_ms.lowest > 300, "150 ms each way"


async def test_a_burst_beyond_the_capacity_is_reported_by_code(deployment: Deployment, tmp_path: Path) -> None:
    process = await started("burst", "--callers", "16", "--duration", "1s", *options(deployment, tmp_path))
    await output_of(process)
    assert process.returncode == 0
    usual, peak, _ = report_in(tmp_path).stages
    assert (usual.callers_connected, usual.errors) == (2, {})
    assert peak.callers_connected <= _CAPACITY
    assert peak.errors["no_capacity"] >= 3
    assert peak.retries >= 3, "they come back when the server says"


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (("--url", "http://127.0.0.1:{free}"), 1, "no Antiphon at http://127.0.0.1:{free}: "),
        (("--json", "/nowhere/report.json"), 2, "/nowhere/report.json: No such file or directory"),
        (("--html", "/"), 2, "/: Is a directory"),
    ],
)
async def test_what_would_waste_a_run_is_said_before_it_begins(
    deployment: Deployment, arguments: tuple[str, str], code: int, complaint: str
) -> None:
    free = str(free_port())
    name, value = arguments
    url = f"http://127.0.0.1:{deployment.port}"
    process = await started("steady", "--duration", "10m", "--url", url, name, value.replace("{free}", free))
    output = await output_of(process)
    assert process.returncode == code
    assert output.startswith(f"antiphon: {complaint.replace('{free}', free)}")
    assert len(output.splitlines()) == 1


async def test_a_run_with_an_agent_that_is_not_there_went_on_to_its_end(deployment: Deployment, tmp_path: Path) -> None:
    """Every caller was refused."""
    script = tmp_path / "hello.yaml"
    script.write_text("name: hello\nagent: nobody\nsteps:\n- wait_for: reply\n")
    for arguments in (("steady", "--agent", "nobody"), ("conversation", str(script))):
        process = await started(*arguments, "--duration", "10m", *options(deployment, tmp_path))
        output = await output_of(process)
        assert process.returncode == 1
        assert output.startswith("antiphon: refused: no agent 'nobody'; known agents: ")
        assert len(output.splitlines()) == 1


async def test_callers_who_cannot_call_say_why(deployment: Deployment, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{deployment.port}"
    async with running("steady", "--callers", str(_CAPACITY), "--duration", "10m", "--url", url) as others:
        await line_with(others, f"{_CAPACITY} of {_CAPACITY} callers")
        process = await started("steady", "--callers", "2", "--duration", "1s", *options(deployment, tmp_path))
        output = await output_of(process)
        others.send_signal(signal.SIGINT)
        await output_of(others)
    assert process.returncode == 1
    (stage,) = report_in(tmp_path).stages
    assert (stage.callers_connected, list(stage.errors), stage.retries) == (0, ["no_capacity"], 6)
    assert output.count("no_capacity: refused: ") == 1


@asynccontextmanager
async def tls_proxy(port: int, context: ssl.SSLContext) -> AsyncIterator[int]:
    """Ends TLS, and passes everything on to this port of loopback."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(65_536):
                writer.write(chunk)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pump(reader, upstream_writer), pump(upstream_reader, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def test_callers_verify_the_certificate_of_a_server_by_tls(deployment: Deployment, tmp_path: Path) -> None:
    context, authority = self_signed(tmp_path)
    async with tls_proxy(deployment.port, context) as port:
        arguments = ("steady", "--callers", "2", "--duration", "2s", "--url", f"wss://127.0.0.1:{port}/signaling")
        stranger = await started(*arguments)
        output = await output_of(stranger)
        assert (stranger.returncode, len(output.splitlines())) == (1, 1)
        assert "certificate verify failed" in output
        known = await started(*arguments, "--json", str(tmp_path / "report.json"), SSL_CERT_FILE=str(authority))
        await output_of(known)
    assert known.returncode == 0
    (stage,) = report_in(tmp_path).stages
    assert (stage.callers_connected, stage.errors) == (2, {})


async def test_callers_of_a_helper_that_dies_are_lost_and_ctrl_c_still_writes_the_report(
    deployment: Deployment, tmp_path: Path
) -> None:
    arguments = ("steady", "--callers", "4", "--processes", "2", "--duration", "10m")
    async with running(*arguments, *options(deployment, tmp_path)) as process:
        await line_with(process, "4 of 4 callers")
        await asyncio.sleep(3)  # until the measuring has begun
        first, *_ = helpers_of(process)
        first.kill()
        await line_with(process, "is gone, and 2 callers with it")
        process.send_signal(signal.SIGINT)
        output = await output_of(process)
    assert "stopping" in output
    assert process.returncode == 0
    (stage,) = report_in(tmp_path).stages
    assert (stage.callers_connected, stage.errors) == (2, {"cut_helper_lost": 2})
    assert stage.audio.mouth_to_ear_ms is not None or stage.audio.jitter_ms is not None


async def test_two_hosts_share_the_callers_if_they_share_the_key(deployment: Deployment, tmp_path: Path) -> None:
    # Not 127.0.0.1: processes of the leader's host have to find it too.
    key, other_key, address = tmp_path / "key", tmp_path / "other", f"127.0.0.2:{free_port()}"
    key.write_text("a shared key\n")
    other_key.write_text("another key\n")
    arguments = ("steady", "--callers", "4", "--duration", "2s", "--hosts", "2", "--listen", address, "--key", str(key))
    async with running(*arguments, "--processes", "1", *options(deployment, tmp_path)) as leader:
        await line_with(leader, "Waiting for 1 more of 2 hosts")
        stranger = await started("join", address, "--key", str(other_key))
        assert "another key" in await output_of(stranger)
        assert stranger.returncode == 1
        helper = await started("join", address, ANTIPHON_LOAD_KEY="a shared key")
        said, _ = await asyncio.gather(output_of(leader), output_of(helper))
    assert "refused a helper from 127.0.0." in said
    assert (leader.returncode, helper.returncode) == (0, 0)
    report = report_in(tmp_path)
    assert report.environment.processes == 2
    assert report.stages[0].callers_connected == 4


async def test_callers_move_when_their_media_worker_is_drained_and_none_is_cut(
    deployment: Deployment, tmp_path: Path
) -> None:
    """The module's last test: the first media worker is gone then."""
    arguments = ("steady", "--callers", "4", "--processes", "1", "--duration", "10m")
    async with running(*arguments, *options(deployment, tmp_path)) as process:
        await line_with(process, "4 of 4 callers")
        deployment.start("media")
        await deployment.ready()
        deployment.media.terminate()
        await asyncio.to_thread(deployment.media.process.wait, 30)
        await asyncio.sleep(3)  # more seconds of the new worker's audio
        process.send_signal(signal.SIGINT)
        await output_of(process)
    assert process.returncode == 0
    (stage,) = report_in(tmp_path).stages
    assert (stage.callers_connected, stage.errors, stage.moves) == (4, {}, 4)
    assert stage.audio.move_silence_ms is not None
    assert stage.audio.move_silence_ms.highest < 2_000
    assert stage.audio.loss_percent == pytest.approx(0, abs=1)
