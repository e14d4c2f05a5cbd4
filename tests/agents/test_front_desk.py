"""The shipped front desk understands callers in their own words, and does not pretend to understand the rest."""

import pytest

from tests.agents.requests import Request, is_understood, requests

UNDERSTOOD = 0.95
REJECTED = 0.90


def misunderstood(asked: list[Request]) -> list[str]:
    return [f"{one.say} ({one.context})" for one in asked if not is_understood(one)]


@pytest.mark.parametrize("file", ["front-desk.yaml"])
def test_requests_are_understood_with_all_their_values(file: str) -> None:
    asked = [one for one in requests(file) if one.intent != "none"]
    assert len(asked) >= 150
    missed = misunderstood(asked)
    assert len(missed) <= (1 - UNDERSTOOD) * len(asked), "\n".join(missed)


@pytest.mark.parametrize("file", ["front-desk.yaml"])
def test_what_is_out_of_scope_is_rejected(file: str) -> None:
    asked = [one for one in requests(file) if one.intent == "none"]
    assert len(asked) >= 40
    missed = misunderstood(asked)
    assert len(missed) <= (1 - REJECTED) * len(asked), "\n".join(missed)
