"""Outcomes as text for the terminal, as JSON and as JUnit XML."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree

from callers.scenario.outcome import Outcome
from shared.errors import ConfigError
from shared.terminal_text import escaped

_CONTROL = {code: None for code in range(32) if chr(code) not in "\t\n\r"}
"""The characters that XML 1.0 forbids."""


def lines(outcome: Outcome) -> Iterator[str]:
    """One line. A failure also gets its reasons and the timeline of the call."""
    yield f"{'ok  ' if outcome.passed else 'FAIL'}  {outcome.name}  ({outcome.file}, {outcome.seconds:.1f} s)"
    if outcome.passed:
        return
    for failure in outcome.failures:
        yield f"      {escaped(str(failure))}"
    for entry in outcome.timeline:
        yield f"      {entry.at_s:7.2f} s  {escaped(entry.text)}"


def summary(outcomes: Sequence[Outcome]) -> str:
    failed = sum(not outcome.passed for outcome in outcomes)
    return f"{len(outcomes) - failed} passed, {failed} failed"


def write_json(file: Path, outcomes: Sequence[Outcome]) -> None:
    """Raises `ConfigError` if the file cannot be written."""
    content = {
        "passed": sum(outcome.passed for outcome in outcomes),
        "failed": sum(not outcome.passed for outcome in outcomes),
        "scenarios": [
            {
                "name": outcome.name,
                "file": str(outcome.file),
                "passed": outcome.passed,
                "seconds": round(outcome.seconds, 3),
                "failures": [failure._asdict() for failure in outcome.failures],
                "figures": [figure._asdict() for figure in outcome.figures],
                "timeline": [entry._asdict() for entry in outcome.timeline],
            }
            for outcome in outcomes
        ],
    }
    _write(file, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def write_junit(file: Path, outcomes: Sequence[Outcome]) -> None:
    """A test suite with a case for each scenario. Raises `ConfigError`."""
    suite = ElementTree.Element(
        "testsuite",
        name="antiphon eval",
        tests=str(len(outcomes)),
        failures=str(sum(not outcome.passed for outcome in outcomes)),
        errors="0",
        time=f"{sum(outcome.seconds for outcome in outcomes):.3f}",
    )
    for outcome in outcomes:
        case = ElementTree.SubElement(
            suite,
            "testcase",
            classname=_text(str(outcome.file)),
            name=_text(outcome.name),
            time=f"{outcome.seconds:.3f}",
        )
        for failure in outcome.failures:
            ElementTree.SubElement(case, "failure", message=_text(str(failure)), type=_text(failure.where))
        happened = "\n".join(f"{entry.at_s:.2f} s  {entry.text}" for entry in outcome.timeline)
        ElementTree.SubElement(case, "system-out").text = _text(happened)
    _write(file, ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n")


def _text(text: str) -> str:
    return text.translate(_CONTROL)


def _write(file: Path, content: str) -> None:
    try:
        file.write_text(content, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}: name a file in an existing folder") from error
