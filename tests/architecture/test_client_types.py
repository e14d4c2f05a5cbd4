"""The browser's client knows the messages as Python defines them."""

from tests.architecture.client_types import FILE, client_types


def test_the_clients_types_are_up_to_date() -> None:
    assert FILE.read_text(encoding="utf-8") == client_types(), "run: python -m tests.architecture.client_types"
