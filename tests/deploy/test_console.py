import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.console import Console, LineSplitter


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_each_line_begins_with_the_name_of_its_process() -> None:
    logs = io.StringIO()
    console = Console(io.StringIO(), logs)
    console.log("gateway", "one")
    console.log("pipeline-0", "two")
    assert logs.getvalue() == "gateway    | one\npipeline-0 | two\n"


def test_each_name_keeps_its_colour_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    logs = Terminal()
    console = Console(io.StringIO(), logs)
    for name in ("gateway", "media-0", "gateway"):
        console.log(name, "x")
    colours = [line[: line.index("m") + 1] for line in logs.getvalue().splitlines()]
    assert colours[0] == colours[2] != colours[1]


def test_no_color_turns_colours_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    logs = Terminal()
    Console(io.StringIO(), logs).log("gateway", "x")
    assert "\x1b" not in logs.getvalue()


def test_messages_to_the_user_are_apart_from_logs() -> None:
    words, logs = io.StringIO(), io.StringIO()
    Console(words, logs).say("ready")
    assert (words.getvalue(), logs.getvalue()) == ("ready\n", "")


@given(
    st.lists(st.text(st.characters(exclude_categories=["Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"]))), st.integers(1, 7)
)
def test_lines_are_whole_however_they_arrive(lines: list[str], piece: int) -> None:
    splitter = LineSplitter()
    data = "".join(line + "\n" for line in lines).encode()
    seen = [line for start in range(0, len(data), piece) for line in splitter.push(data[start : start + piece])]
    assert seen == lines
    assert splitter.finish() == []


def test_the_last_line_needs_no_line_end() -> None:
    splitter = LineSplitter()
    assert splitter.push(b"one\ntw") == ["one"]
    assert splitter.finish() == ["tw"]
    assert splitter.finish() == []


def test_an_endless_line_is_cut() -> None:
    splitter = LineSplitter()
    lines = [line for _ in range(10) for line in splitter.push(b"x" * 10_000)]
    assert lines
    assert sum(map(len, lines)) + len(splitter.finish()[0]) == 100_000


def test_invalid_utf_8_is_replaced() -> None:
    assert LineSplitter().push(b"a\xffb\r\n") == ["a\N{REPLACEMENT CHARACTER}b"]


def test_escape_sequences_of_a_childs_output_do_not_reach_the_terminal() -> None:
    splitter = LineSplitter()
    line = "tool=\x1b]0;owned\x07 \x9b2J \x7f \u202e \u2028 \ttab"
    assert splitter.push(line.encode() + b"\r\n") == [
        r"tool=\u001b]0;owned\u0007 \u009b2J \u007f \u202e \u2028 " + "\ttab"
    ]
