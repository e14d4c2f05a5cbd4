import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from callers.scenario.outcome import Failure, Figure, Outcome, TimelineEntry
from callers.scenario.report import lines, summary, write_json, write_junit
from shared.errors import ConfigError

GOOD = Outcome(Path("good.yaml"), "A good call", seconds=2.0)
BAD = Outcome(
    Path("bad.yaml"),
    'A "bad" <call>',
    [Failure("step 2 (say)", "reply", "it said \x07nothing")],
    [Figure("step 2 (say)", "first_audio_within", 0.7, 0.5)],
    [TimelineEntry(0.5, "status   listening")],
    3.25,
)


def test_a_pass_is_one_line_and_a_failure_has_its_reasons_and_the_timeline() -> None:
    assert list(lines(GOOD)) == ["ok    A good call  (good.yaml, 2.0 s)"]
    assert list(lines(BAD)) == [
        'FAIL  A "bad" <call>  (bad.yaml, 3.2 s)',
        "      step 2 (say): expected reply, but it said \\u0007nothing",
        "         0.50 s  status   listening",
    ]
    assert summary([GOOD, BAD, GOOD]) == "2 passed, 1 failed"


def test_json_holds_everything(tmp_path: Path) -> None:
    write_json(tmp_path / "out.json", [GOOD, BAD])
    content = json.loads((tmp_path / "out.json").read_text())
    assert (content["passed"], content["failed"]) == (1, 1)
    bad = content["scenarios"][1]
    assert (bad["name"], bad["passed"], bad["seconds"]) == ('A "bad" <call>', False, 3.25)
    assert bad["figures"] == [{"where": "step 2 (say)", "what": "first_audio_within", "seconds": 0.7, "most_s": 0.5}]
    assert bad["timeline"] == [{"at_s": 0.5, "text": "status   listening"}]


def test_junit_is_a_suite_that_build_servers_can_parse(tmp_path: Path) -> None:
    write_junit(tmp_path / "out.xml", [GOOD, BAD])
    suite = ElementTree.parse(tmp_path / "out.xml").getroot()
    assert (suite.tag, suite.get("tests"), suite.get("failures"), suite.get("time")) == ("testsuite", "2", "1", "5.250")
    good, bad = suite.findall("testcase")
    assert good.find("failure") is None
    assert (bad.get("name"), bad.get("classname")) == ('A "bad" <call>', "bad.yaml")
    failure = bad.find("failure")
    assert failure is not None
    assert failure.get("message") == "step 2 (say): expected reply, but it said nothing"
    assert bad.findtext("system-out") == "0.50 s  status   listening"


def test_a_report_that_cannot_be_written_is_an_error_with_the_cure(tmp_path: Path) -> None:
    for write in (write_json, write_junit):
        with pytest.raises(ConfigError, match="name a file in an existing folder"):
            write(tmp_path / "nowhere" / "out", [GOOD])


def test_a_tool_name_with_escape_sequences_does_not_reach_the_terminal(tmp_path: Path) -> None:
    event = "event    tool-call {'name': '\x1b[2J\u202e\nok    Everything  (all.yaml)\ud800'}"
    outcome = Outcome(Path("bad.yaml"), "Tools", [Failure("end", "\x9b2J", "none")], [], [TimelineEntry(0.5, event)])
    shown = list(lines(outcome))
    assert all(line.isprintable() for line in shown)
    assert r"\u001b[2J\u202e\nok    Everything  (all.yaml)\ud800" in shown[2]
    write_json(tmp_path / "out.json", [outcome])
    assert json.loads((tmp_path / "out.json").read_text())["scenarios"][0]["timeline"][0]["text"] == event
