from pathlib import Path

import pytest

from callers.load.levels import Level
from callers.load.messages import Impaired
from callers.load.options import Options, address, http_url, scripts, seconds, share, targets
from shared.errors import ConfigError
from tests.callers.load.stages import stage


@pytest.mark.parametrize(
    ("text", "expected"),
    [("30s", 30), ("5m", 300), ("1h30m", 5_400), ("2 min", 120), ("30ms", 0.03), ("45", 45), ("0", 0), ("1.5s", 1.5)],
)
def test_durations_are_what_people_type(text: str, expected: float) -> None:
    assert seconds(text) == pytest.approx(expected)


@pytest.mark.parametrize("text", ["", "soon", "-5s", "5 parsecs", "5s!", "s"])
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ConfigError, match="write 30s"):
        seconds(text)


def test_shares_are_percents_or_fractions() -> None:
    assert share("5%") == share("0.05") == share("5 %") == pytest.approx(0.05)
    for text in ("5", "-1%", "101%", "some"):
        with pytest.raises(ConfigError, match="write 5%"):
            share(text)


def test_addresses_have_a_host_and_a_port() -> None:
    assert address("0.0.0.0:7000") == ("0.0.0.0", 7000)
    assert address("[::1]:7000") == ("::1", 7000)
    for text in ("leader", "leader:", ":7000", "leader:port"):
        with pytest.raises(ConfigError, match="HOST:PORT"):
            address(text)


def test_the_address_of_signaling_names_its_server() -> None:
    assert http_url("wss://voice.example/signaling") == "https://voice.example"
    assert http_url("ws://127.0.0.1:8080") == "http://127.0.0.1:8080"
    assert http_url("https://voice.example/agents") == "https://voice.example/agents"


def test_a_burst_goes_from_few_to_all_and_back() -> None:
    levels = Options("burst", "http://host", callers=50, duration_s=3).levels()
    found = [levels.next() for _ in range(4)]
    assert found == [Level(5, 3), Level(50, 3), Level(5, 3), None]


def test_a_ramp_climbs_until_a_level_is_bad_and_rests_before_it_measures_again() -> None:
    levels = Options("ramp", "http://host", callers=10, most=100, duration_s=3, factor=2).levels()
    assert levels.next() == Level(10, 3)
    levels.take(stage(10))
    assert levels.next() == Level(20, 3)
    levels.take(stage(20, loss_percent=9))
    rest, again = levels.next(), levels.next()
    assert rest is not None
    assert (rest.hold_s, rest.callers < 20) == (0, True)
    assert again == Level(20, 3)
    levels.take(stage(20, loss_percent=9))
    assert levels.knee is not None
    assert (levels.knee.callers, levels.knee.bad_callers, levels.knee.signal) == (10, 20, "loss")


def test_a_scenario_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ConfigError, match="steady, ramp, burst, soak"):
        Options("stampede", "http://host").levels()


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        (Options("steady", "http://host", arrivals_per_s=1e6), "arrivals in a second"),
        (Options("steady", "http://host", callers=1_000_000), "100000 at most"),
        (Options("steady", "http://host", duration_s=0), "a second or more"),
        (Options("ramp", "http://host", callers=20, most=10), "--callers up to --most"),
        (Options("steady", "http://host", processes=0), "no process of callers"),
        (Options("steady", "http://host", impaired=Impaired(loss=1.0)), "a loss of 100%: use 90% at most"),
        (Options("steady", "http://host", impaired=Impaired(jitter_ms=30_000)), "30 s late: .* as 30ms"),
    ],
)
def test_a_load_that_cannot_be_is_refused(wrong: Options, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        wrong.levels()


@pytest.mark.parametrize(
    ("scenario", "file", "complaint"),
    [("conversation", None, "a conversation needs a scenario file"), ("steady", Path("nowhere"), "steady has no file")],
)
def test_only_a_conversation_has_a_script(scenario: str, file: Path | None, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        scripts(scenario, file)
    assert scripts("steady", None) == []


def test_a_script_is_a_scenario_file(tmp_path: Path) -> None:
    file = tmp_path / "hours.yaml"
    file.write_text("name: hours\nagent: front-desk\nsteps: [{wait_for: reply}, {pause: 300ms}]\n")
    assert scripts("conversation", file) == [
        '{"name": "hours", "agent": "front-desk", "steps": [{"wait_for": "reply"}, {"pause": "300ms"}]}'
    ]
    file.write_text("name: hours\n")
    with pytest.raises(ConfigError, match="agent"):
        scripts("conversation", file)


def test_metrics_are_urls_or_files_of_targets(tmp_path: Path) -> None:
    file = tmp_path / "targets.json"
    file.write_text('[{"targets": ["10.0.0.1:9090", "10.0.0.2:9090"], "labels": {"role": "media"}}]')
    assert targets(["http://a:9090,http://b:9090/own", str(file)]) == [
        "http://a:9090/metrics",
        "http://b:9090/own",
        "http://10.0.0.1:9090/metrics",
        "http://10.0.0.2:9090/metrics",
    ]
    file.write_text("targets: 5")
    with pytest.raises(ConfigError, match="list of targets"):
        targets([str(file)])


def test_secrets_are_not_in_the_report() -> None:
    options = Options("steady", "http://host", api_key="antiphon_secret", tokens=["secret"], key="secret")
    assert "secret" not in str(options.parameters())
