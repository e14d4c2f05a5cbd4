import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from deploy import doctor
from deploy.doctor import Check, Finding, examine
from shared.errors import ConfigError


async def run(monkeypatch: pytest.MonkeyPatch, *checks: Check) -> tuple[int, list[str]]:
    monkeypatch.setattr(doctor, "CHECKS", list(checks))
    said: list[str] = []
    return await examine({}, said.append), said


async def well(_: Mapping[str, str]) -> Finding:
    return Finding("shines")


async def test_each_check_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await run(monkeypatch, Check("sun", well, "")) == (0, ["ok      sun: shines", "All checks passed."])


async def test_a_failure_names_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    async def dark(_: Mapping[str, str]) -> Finding:
        return Finding("is dark", "wait for the morning")

    code, said = await run(monkeypatch, Check("sun", dark, ""), Check("moon", well, ""))
    assert code == 1
    assert said == [
        "FAILED  sun: is dark",
        "        cure: wait for the morning",
        "ok      moon: shines",
        "1 of 2 checks failed.",
    ]


async def test_what_needs_a_failed_check_is_skipped_and_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    async def dark(_: Mapping[str, str]) -> Finding:
        raise ConfigError("is dark\nand cold")

    checks = (Check("sun", dark, "wait"), Check("moon", well, "", "sun"), Check("tide", well, "", "moon"))
    assert await run(monkeypatch, *checks, Check("sea", well, "")) == (
        1,
        [
            "FAILED  sun: is dark\n        and cold",
            "        cure: wait",
            "skipped moon: needs sun",
            "skipped tide: needs moon",
            "ok      sea: shines",
            "1 of 4 checks failed.",
        ],
    )


def test_a_check_follows_what_it_needs() -> None:
    subjects = [check.subject for check in doctor.CHECKS]
    for place, check in enumerate(doctor.CHECKS):
        assert not check.needs or check.needs in subjects[:place], check.subject


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ConfigError("no such star"), "no such star"),
        (ImportError("no module"), "ImportError: no module"),
        (OSError(98, "in use"), "[Errno 98] in use"),
    ],
)
async def test_a_check_that_raises_is_a_failure_with_a_cure(
    monkeypatch: pytest.MonkeyPatch, error: Exception, text: str
) -> None:
    async def blind(_: Mapping[str, str]) -> Finding:
        raise error

    code, said = await run(monkeypatch, Check("star", blind, "look elsewhere"))
    assert code == 1
    assert said[0].endswith(text)
    assert said[1] == "        cure: look elsewhere"


async def test_the_embedded_broker_answers_and_its_clock_is_ours() -> None:
    assert not (await doctor.check_broker_answers({})).cure
    assert not (await doctor.check_clock({})).cure


async def test_a_broker_whose_clock_is_off_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "wall_ms", lambda: time.time_ns() // 1_000_000 + 5_000)
    assert "NTP" in (await doctor.check_clock({})).cure


async def test_few_open_files_are_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda _: (256, 4096))
    finding = await doctor.check_files({})
    assert finding.cure == "run `ulimit -n 1024` first"


async def test_udp_and_libopus_work_here() -> None:
    assert not (await doctor.check_udp({})).cure
    assert "libopus" in (await doctor.check_libopus({})).text


async def test_a_tool_whose_secret_is_not_set_is_a_failure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tool = "{name: a, description: b, webhook: {url: 'https://example.com/', secret_env: TABLE_KEY}}"
    (tmp_path / "desk.yaml").write_text(f"id: desk\nname: Desk\ntools: [{tool}]\n")
    monkeypatch.setenv("ANTIPHON_AGENTS_DIR", str(tmp_path))
    with pytest.raises(ConfigError, match="TABLE_KEY is not set"):
        await doctor.check_tools({})
    assert not (await doctor.check_tools({"TABLE_KEY": "sesame"})).cure
