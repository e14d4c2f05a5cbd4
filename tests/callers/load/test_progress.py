import io

import pytest

from callers.load.progress import Progress
from callers.load.results import Point
from tests.callers.load.stages import stage


def shown() -> str:
    stream = io.StringIO()
    with Progress(stream) as progress:
        progress.say("hello [world]")
        for second in range(1, 11):
            progress.point(Point(at_s=second, callers_wanted=10, callers_connected=second, set_up_p95_ms=81.2))
        progress.stage(stage(10, errors={"no_capacity": 2}, loss_percent=1.25))
    return stream.getvalue()


def test_without_a_terminal_there_is_a_plain_line_for_some_seconds_and_for_each_level() -> None:
    said, fifth, tenth, level = shown().splitlines()
    assert said == "hello [world]"
    assert fifth.startswith("    5 s: 5 of 10 callers; set-up p95 81 ms")
    assert tenth.startswith("   10 s: 10 of 10 callers")
    assert "callers 10 of 10" in level
    assert "loss 1.25 %" in level
    assert "errors 2" in level


def test_a_terminal_gets_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setenv("TERM", "xterm")
    text = shown()
    assert "───" in text
    assert "set-up p95" in text


def test_a_terminal_of_80_columns_shows_whole_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    text = shown()
    assert "callers" in text
    assert "callers' core" in text.replace("\n", " ").replace("\r", "")
    assert "…" not in text
