"""The operators' dashboard in a real Chromium, on live sessions."""

import asyncio
import contextlib
import json
import re
import secrets
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Locator, Page, expect

from gateway.core.api_keys import new_api_key
from media_worker.session_index import SessionIndex
from media_worker.session_store import SessionStore
from shared.io.broker import connect
from shared.io.heartbeat import wall_ms
from shared.worker_report import WorkerReport
from tests.browser.chromium import chromium, screenshot, write_wave
from tests.fakes.media_worker import present_worker
from tests.integration.deployment import Deployment, deployed
from tests.integration.speech import spoken
from tests.integration.talk import AGENT, talking, write_agent

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

_ADMIN_KEY, _ADMIN_LINE = new_api_key("console", "admin")
_CALLS_KEY, _CALLS_LINE = new_api_key("website", "calls")
_TALK_MS = 20_000
_FEW, _MANY = 20, 500
_MEASURED_S = 6.0
_LONGEST_TASK_MS = 50.0
"""What is longer is felt (W3C Long Tasks)."""
_AXE = Path(__file__).resolve().parents[2] / "client" / "node_modules" / "axe-core" / "axe.min.js"
_RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
_PHONE = {"width": 360, "height": 740}
_DESK = {"width": 1280, "height": 800}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def deployment(broker_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Deployment]:
    folder = tmp_path_factory.mktemp("agents")
    write_agent(folder)
    (folder / "api-keys").write_text(f"{_ADMIN_LINE}\n{_CALLS_LINE}\n")
    async with deployed(
        broker_url.removesuffix("/0") + "/3",
        media_workers=2,
        ANTIPHON_AGENTS_DIR=str(folder),
        ANTIPHON_GATEWAY_API_KEYS_FILE=str(folder / "api-keys"),
    ) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[BrowserContext]:
    silence = write_wave(tmp_path_factory.mktemp("microphone") / "silence.wav", np.zeros(48_000, np.int16))
    async with chromium(silence) as browser:
        # A request that a proxy has passed on needs a key.
        await browser.set_extra_http_headers({"x-forwarded-for": "192.0.2.1"})
        yield browser


@contextlib.asynccontextmanager
async def opened(browser: BrowserContext, deployment: Deployment, key: str = _ADMIN_KEY) -> AsyncIterator[Page]:
    page = await browser.new_page()
    await page.set_viewport_size(_DESK)  # type: ignore[arg-type]  # a TypedDict
    await page.goto(f"http://127.0.0.1:{deployment.port}/dashboard")
    await enter(page, key)
    yield page
    await page.close()


async def enter(page: Page, key: str) -> None:
    await expect(page.locator("#key")).to_be_focused()
    await page.keyboard.type(key)
    await page.keyboard.press("Enter")


def row(page: Page, row_id: str) -> Locator:
    return page.locator(f'tr[data-id="{row_id}"]')


def cell(page: Page, row_id: str, field: str) -> Locator:
    return row(page, row_id).locator(f'[data-text="{field}"]')


async def check_accessibility(page: Page) -> None:
    """By axe, in both colour schemes."""
    await page.evaluate(_AXE.read_text(encoding="utf-8") + ";0")
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme=scheme)
        found = await page.evaluate("async (rules) => (await axe.run(document, rules)).violations", _RULES)
        assert [(each["id"], [node["html"] for node in each["nodes"]][:3]) for each in found] == [], scheme
    await page.emulate_media(color_scheme="light")


async def test_an_operator_needs_a_key_which_stays_in_the_tab(browser: BrowserContext, deployment: Deployment) -> None:
    async with opened(browser, deployment, key="guess") as page:
        problem, processes = page.locator("#problem"), page.locator("#workers tbody tr")
        await expect(page).to_have_url(re.compile(r"/dashboard/$"))
        await expect(problem).to_have_text("the API key is not known")
        await page.fill("#key", _CALLS_KEY)
        await page.keyboard.press("Enter")
        await expect(problem).to_have_text("the API key 'website' lacks the scope 'admin'")
        await check_accessibility(page)
        await page.fill("#key", _ADMIN_KEY)
        await page.keyboard.press("Enter")
        await expect(processes).to_have_count(4)
        await expect(problem).to_be_hidden()
        await expect(page.locator("#keyForm")).to_be_hidden()
        await expect(page.locator("#sessionNote")).to_have_text("Nobody is calling.")
        await page.reload()
        await expect(processes).to_have_count(4)
        async with opened(browser, deployment, key="another tab") as other:
            await expect(other.locator("#problem")).to_be_visible()
        await page.click("#forgetKey")
        await expect(processes).to_have_count(0)
        await page.reload()
        await expect(page.locator("#key")).to_be_focused()


async def test_an_operator_reads_a_call_moves_it_and_ends_it(browser: BrowserContext, deployment: Deployment) -> None:
    (question,) = await spoken("What do you have today?")
    async with (
        opened(browser, deployment) as page,
        talking(deployment.signaling_urls, question, 1) as (talk,),
    ):
        session = talk.session
        await expect(cell(page, session, "agent")).to_have_text(AGENT)
        await expect(cell(page, session, "state")).to_have_text("running")
        media = await cell(page, session, "mediaWorker").inner_text()
        await expect(cell(page, media, "loadText")).to_have_text(re.compile("^1 of "))

        await page.click(f'tr[data-id="{session}"] button')
        lines = page.locator("#lines li")
        await expect(page.locator("#session")).to_be_visible()
        await expect(lines).to_have_count(0)
        await talk.ask()
        await expect(lines.first).to_contain_text(re.compile(r"^Caller.*today", re.IGNORECASE), timeout=_TALK_MS)
        await talk.reply(0)
        await expect(lines.nth(1)).to_contain_text(re.compile("^Agent"), timeout=_TALK_MS)
        await expect(page.locator("#sessionFacts")).to_have_text(
            re.compile(rf"^{AGENT} · running · \d:\d\d · answered within \d+\.\d s · \d+\.\d % lost$"), timeout=_TALK_MS
        )
        await check_accessibility(page)
        await screenshot(page, "dashboard-transcript")
        await page.keyboard.press("Escape")
        await expect(row(page, session).locator("button")).to_be_focused()
        await expect(cell(page, session, "answerText")).to_have_text(re.compile(r"^\d+\.\d s$"))
        await expect(cell(page, session, "lossText")).to_have_text(re.compile(r"^\d+\.\d %$"))

        await page.get_by_role("button", name=f"Move sessions away from {media}").click()
        await expect(cell(page, media, "state")).to_have_text("draining")
        await expect(cell(page, session, "mediaWorker")).not_to_have_text(media, timeout=_TALK_MS)
        await expect(page.locator("#summary")).to_contain_text("1 draining")
        await page.get_by_role("button", name=f"Undo {media}").click()
        await expect(cell(page, media, "state")).to_have_text("serving")
        await expect(page.get_by_role("button", name=f"Drain {media}")).to_be_visible()

        await page.click(f'tr[data-id="{session}"] button')
        await expect(lines).to_have_count(2)
        confirmation = page.get_by_role("alertdialog", name="End this session?")
        await page.click("#endSession")
        await expect(page.locator("#keepSession")).to_be_focused()
        await check_accessibility(page)
        await page.keyboard.press("Escape")
        await expect(confirmation).to_be_hidden()
        await expect(page.locator("#endSession")).to_be_focused()
        assert "ended" not in talk.caller.record.statuses
        await page.keyboard.press("Enter")
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await talk.caller.wait_for(lambda: talk.caller.record.end_reason is not None)
        assert talk.caller.record.end_reason == "ended_by_operator"
        await expect(page.locator("#sessionFacts")).to_contain_text("ended")
        await expect(page.locator("#endSession")).to_be_disabled()
        await expect(lines).to_have_count(2)
        await page.click("#closeSession")
        await expect(row(page, session)).to_have_count(0)


class CarriedSessions:
    """What a media worker keeps in Redis of its sessions."""

    def __init__(self, store: SessionStore, index: SessionIndex, media_worker: str) -> None:
        self._store = store
        self._index = index
        self._media_worker = media_worker
        self.ids: list[str] = []

    def begin(self, age_s: int, answer_ms: int) -> None:
        session = f"s{len(self.ids):04d}{secrets.token_urlsafe(9)}"
        created_ms = wall_ms() - age_s * 1000
        record = {
            "agent": ("front-desk", "workshop", "echo")[len(self.ids) % 3],
            "media_worker": self._media_worker,
            "pipeline_worker": f"p-host-{len(self.ids) % 4}-b7Qe01",
            "generation": "1",
            "epoch": "1",
            "created_ms": str(created_ms),
            "state": "reconnecting" if len(self.ids) % 50 == 7 else "running",
        }
        self.ids.append(session)
        self._index.add(session, 1, ())
        self._index.enlist(session, 1, created_ms)
        self._store.save(session, 1, record)
        self.measure(session, answer_ms)

    def measure(self, session: str, answer_ms: int) -> None:
        self._store.measure(session, 1, {"answer_ms": str(answer_ms), "loss_percent": str(answer_ms % 17 / 10)})

    def end(self, session: str) -> None:
        self._index.remove(session, 1, False)
        self._store.delete(session, 1)


@contextlib.asynccontextmanager
async def carried(broker_url: str) -> AsyncIterator[CarriedSessions]:
    report = WorkerReport(worker_id="m-host-9-Xk2f9a", kind="media", sessions=_FEW, capacity=150, version="0.1.0")
    async with present_worker(broker_url, report), contextlib.aclosing(connect(broker_url)) as client:
        store, index = SessionStore(client, lambda _: None), SessionIndex(client, report.worker_id)
        sessions = CarriedSessions(store, index, report.worker_id)
        running = [asyncio.create_task(each.run()) for each in (store, index)]
        try:
            yield sessions
        finally:
            for session in sessions.ids:
                sessions.end(session)
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            await store.write()
            await index.write()


async def test_five_hundred_sessions_are_live_without_a_long_task(
    browser: BrowserContext, deployment: Deployment, record_property: Callable[[str, object], None]
) -> None:
    rows = "#sessions tbody tr"
    async with carried(deployment.broker_url) as sessions, opened(browser, deployment) as page:
        for number in range(_FEW):
            sessions.begin(age_s=number * 37, answer_ms=600 + number * 41)
        await expect(page.locator(rows)).to_have_count(_FEW)
        await expect(cell(page, sessions.ids[3], "answerText")).to_have_text("0.7 s", timeout=_TALK_MS)
        await check_accessibility(page)
        for scheme in ("light", "dark"):
            await page.emulate_media(color_scheme=scheme)
            await screenshot(page, f"dashboard-{scheme}")
        await page.set_viewport_size(_PHONE)  # type: ignore[arg-type]
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "only the tables scroll"
        await screenshot(page, "dashboard-phone")
        await page.set_viewport_size(_DESK)  # type: ignore[arg-type]
        await page.emulate_media(color_scheme="light")

        assert browser.browser is not None
        await browser.browser.start_tracing(page=page, categories=["toplevel", "disabled-by-default-devtools.timeline"])
        for number in range(_FEW, _MANY):
            sessions.begin(age_s=number * 7, answer_ms=600 + number)
        await expect(page.locator(rows)).to_have_count(_MANY)
        async with asyncio.timeout(_MEASURED_S + 10):
            for _ in range(int(_MEASURED_S)):
                await asyncio.sleep(1)  # the operator watches
                for session in sessions.ids:
                    sessions.measure(session, secrets.randbelow(3_000))
                sessions.begin(age_s=0, answer_ms=900)
                sessions.end(sessions.ids.pop(0))
        await expect(row(page, sessions.ids[-1])).to_have_count(1)
        await expect(row(page, sessions.ids[0])).to_have_count(1)
        await expect(page.locator(rows)).to_have_count(_MANY)
        await page.wait_for_function(
            "(ids) => `${[...sessions.tBodies[0].rows].map((row) => row.dataset.id)}` === `${ids}`",
            arg=await listed(page),
        )
        await page.fill("#filter", "WORKSHOP")
        await expect(page.locator("#sessionNote")).to_have_text(re.compile(rf"^1\d\d of {_MANY} sessions$"))
        await page.fill("#filter", sessions.ids[300])
        await expect(page.locator(rows)).to_have_count(1)
        await page.fill("#filter", "")
        await expect(page.locator(rows)).to_have_count(_MANY)
        longest_ms, longest_cpu_ms = await longest_task(browser.browser)
        record_property("longest task", f"{longest_ms:.1f} ms, {longest_cpu_ms:.1f} ms of processor time")
        await screenshot(page, "dashboard-500-sessions")
    assert longest_cpu_ms < _LONGEST_TASK_MS


async def listed(page: Page) -> list[str]:
    """The ids of the sessions as the gateway lists them."""
    ids: list[str] = await page.evaluate(
        """async (key) => {
          const response = await fetch('/api/sessions?limit=500', { headers: { authorization: `Bearer ${key}` } });
          return (await response.json()).sessions.map(({ id }) => id);
        }""",
        _ADMIN_KEY,
    )
    return ids


async def longest_task(browser: Browser) -> tuple[float, float]:
    """Of the pages' main threads since the trace began: by the clock, and in processor time, which a busy machine does
    not lengthen."""
    events: list[dict[str, Any]] = json.loads(await browser.stop_tracing())["traceEvents"]
    threads = [event for event in events if event["name"] == "thread_name"]
    mains = {(each["pid"], each["tid"]) for each in threads if each["args"]["name"] == "CrRendererMain"}
    tasks = [each for each in events if each["name"] == "RunTask" and (each["pid"], each["tid"]) in mains]
    over = [each for each in tasks if "dur" in each]  # the trace may end within one
    assert any("tdur" in each for each in over)
    return max(each["dur"] for each in over) / 1000, max(each.get("tdur", 0) for each in over) / 1000


async def test_a_gateway_that_is_gone_is_noticed_and_so_is_its_return(
    browser: BrowserContext, deployment: Deployment
) -> None:
    async with opened(browser, deployment) as page:
        processes, problem = page.locator("#workers tbody tr"), page.locator("#problem")
        await expect(processes).not_to_have_count(0)
        port = deployment.port
        await asyncio.to_thread(deployment.gateway.kill)
        await expect(problem).to_have_text(re.compile("^The gateway does not answer. What is shown is from "))
        await expect(processes).not_to_have_count(0)
        await screenshot(page, "dashboard-gateway-gone")
        deployment.start("gateway", port)
        await deployment.ready()
        await expect(problem).to_be_hidden(timeout=_TALK_MS)
