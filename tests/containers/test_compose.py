"""Calls through the containers of `deploy/compose.yaml`, and what their processes may do."""

import asyncio
import time
from pathlib import Path

import pytest
from playwright.async_api import BrowserContext, Page, expect

from tests.browser.chromium import chromium, screenshot
from tests.browser.own_page import TALK_MS, call, hang_up, said, until_heard, write
from tests.containers.compose import IMAGE, VERSION, Compose, podman

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(1500)]

_MEDIA = ("media-1", "media-2")
_DRAIN_S = 120.0
_SPOKEN_MS = 3_000
"""The answer takes longer."""
_LONGEST_PAUSE_MS = 1_500.0
"""With the agent's own pauses, on a busy machine."""
_KEEP_CONNECTIONS = """
window.connections = [];
window.RTCPeerConnection = class extends RTCPeerConnection {
  constructor(config, ...rest) { super({...config, ...window.ice}, ...rest); window.connections.push(this); }
};
"""
_ENERGY = """async () => {
  let sum = 0;
  for (const connection of window.connections)
    for (const entry of (await connection.getStats()).values())
      if (entry.type === 'inbound-rtp') sum += entry.totalAudioEnergy;
  return sum;
}"""
_LONGEST_SILENCE = """async (ms) => {
  const energy = ENERGY;
  let last = await energy(), since = performance.now(), longest = 0;
  for (const end = since + ms; performance.now() < end; await new Promise((done) => setTimeout(done, 20))) {
    const heard = await energy();
    if (heard > last + 1e-6) {
      longest = Math.max(longest, performance.now() - since);
      [last, since] = [heard, performance.now()];
    }
  }
  return longest;
}""".replace("ENERGY", _ENERGY)
_PAIR = """async () => {
  const stats = await window.connections.at(-1).getStats();
  const pair = [...stats.values()].find((entry) => entry.type === 'candidate-pair' && entry.nominated);
  return [stats.get(pair.localCandidateId), stats.get(pair.remoteCandidateId)]
    .map((candidate) => `${candidate.candidateType} ${candidate.address}:${candidate.port}`);
}"""


async def _in_call(browser: BrowserContext, compose: Compose, ice: str = "{}") -> Page:
    page = await browser.new_page()
    await page.add_init_script(f"window.ice = {ice};{_KEEP_CONNECTIONS}")
    await page.goto(f"http://127.0.0.1:{compose.port}/?agent=front-desk")
    await expect(page.locator("#callBtn")).to_be_enabled()
    await call(page)
    return page


async def _answered(page: Page) -> float:
    """Asks something. Returns the energy of what was heard until the answer was in the transcript."""
    before = await page.evaluate(_ENERGY)
    answers = await said(page, "agent").count()
    await write(page, "What are your opening hours?")
    await expect(said(page, "agent")).to_have_count(answers + 1, timeout=TALK_MS)
    return float(await page.evaluate(_ENERGY)) - float(before)


async def test_a_person_hears_the_agent_through_the_proxy(compose: Compose, silence: Path) -> None:
    async with chromium(silence) as browser:
        page = await _in_call(browser, compose)
        energy = await _answered(page)
        pair = await page.evaluate(_PAIR)
        await screenshot(page, "compose")
        await hang_up(page)
    print(f"\na call through the proxy: energy heard {energy:.3f}, {pair[0]} to {pair[1]}")
    assert energy > 0.01


async def test_a_person_behind_a_strict_firewall_calls_through_coturn(compose: Compose, silence: Path) -> None:
    async with chromium(silence) as browser:
        page = await _in_call(browser, compose, "{iceTransportPolicy: 'relay'}")
        energy = await _answered(page)
        pair = await page.evaluate(_PAIR)
        await hang_up(page)
    print(f"\na call through coturn: energy heard {energy:.3f}, {pair[0]} to {pair[1]}")
    assert energy > 0.01
    # The page allows itself nothing but coturn, whose address the network between the containers translates.
    assert pair[0].startswith(("relay", "prflx"))


async def test_a_stopped_media_worker_moves_its_call(compose: Compose, silence: Path) -> None:
    async with chromium(silence) as browser:
        page = await _in_call(browser, compose)
        (carrier,) = [media for media in _MEDIA if compose.metric(media, "antiphon_media_sessions") == 1]
        answers = await said(page, "agent").count()
        await write(page, "What are your opening hours?")
        await until_heard(page, " ")
        listening = asyncio.create_task(page.evaluate(_LONGEST_SILENCE, _SPOKEN_MS))
        since = time.monotonic()
        await asyncio.to_thread(podman, "stop", "--time", "150", compose.container(carrier), timeout_s=200)
        took_s = time.monotonic() - since
        code = compose.inspect(carrier)["State"]["ExitCode"]
        silence_ms = await listening
        await expect(said(page, "agent")).to_have_count(answers + 1, timeout=TALK_MS)
        energy = await _answered(page)
        await expect(page.locator("voice-agent")).to_have_attribute("data-phase", "connected")
        await hang_up(page)
    podman("start", compose.container(carrier))
    print(
        f"\n`podman stop` of the call's media worker: {took_s:.1f} s, exit code {code}, {silence_ms:.0f} ms of silence"
    )
    assert code == 0
    assert took_s < _DRAIN_S
    assert silence_ms < _LONGEST_PAUSE_MS
    assert energy > 0.01


async def test_no_process_is_root_or_may_write_or_has_rights(compose: Compose) -> None:
    for service in compose.services:
        rows = podman("top", compose.container(service), "user", "capeff", "seccomp", "comm").splitlines()[1:]
        assert rows
        for row in rows:
            user, capabilities, seccomp, *_ = row.split()
            assert user not in ("root", "0"), (service, row)
            assert capabilities == ("NET_BIND_SERVICE" if service == "coturn" else "none"), (service, row)
            assert seccomp == "filter", (service, row)
        configured = compose.inspect(service)["HostConfig"]
        assert configured["ReadonlyRootfs"], service
        assert "no-new-privileges" in configured["SecurityOpt"], service
    write = "open('/opt/antiphon/x', 'w')"
    tried = compose.python("gateway-1", f"try: {write}\nexcept OSError as error: print(error.strerror)")
    assert tried == "Read-only file system"


async def test_health_checks_pass(compose: Compose) -> None:
    await asyncio.to_thread(compose.until_ready)  # a test before may have started one again
    for service in compose.services:
        if "Healthcheck" in compose.inspect(service)["Config"]:
            podman("healthcheck", "run", compose.container(service))


async def test_the_image_says_what_it_is_and_what_is_in_it(compose: Compose) -> None:
    label = "org.opencontainers.image."
    labels = dict(
        line.split("=", 1)
        for line in podman(
            "inspect", "--format", "{{range $name, $value := .Labels}}{{$name}}={{$value}}\n{{end}}", IMAGE
        ).splitlines()
        if line
    )
    assert labels[f"{label}version"] == VERSION
    assert labels[f"{label}licenses"] == "Apache-2.0"
    assert labels[f"{label}revision"] != "unknown"
    read = "import json; print(len(json.load(open('/usr/share/antiphon/sbom.cdx.json'))['components']))"
    count = int(compose.python("gateway-1", read))
    programs = compose.python("gateway-1", "import os; print(*sorted(os.listdir('/usr/bin')))")
    megabytes = int(podman("inspect", "--format", "{{.Size}}", IMAGE)) / 1e6
    print(f"\nthe image: {megabytes:.0f} MB, {count} components in its SBOM, programs: {programs}")
    assert count > 40
    assert not {"sh", "bash", "dash", "pip"} & set(programs.split())


async def test_everything_stops_with_exit_code_0(compose: Compose) -> None:
    ours = [service for service in compose.services if service.endswith(("-1", "-2"))]
    since = time.monotonic()
    podman("stop", "--time", "60", *map(compose.container, ours), timeout_s=200)
    print(f"\nall {len(ours)} processes stopped in {time.monotonic() - since:.1f} s")
    assert {service: compose.inspect(service)["State"]["ExitCode"] for service in ours} == dict.fromkeys(ours, 0)
