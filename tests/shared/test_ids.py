import re

import pytest

from shared.ids import new_session_id, new_worker_id


def test_session_ids_are_unguessable_and_safe_everywhere() -> None:
    ids = {new_session_id() for _ in range(1000)}
    assert len(ids) == 1000
    # 22 letters of 62 are 131 bits.
    assert all(re.fullmatch(r"s[A-Za-z0-9]{22}", each) for each in ids)


@pytest.mark.parametrize(
    ("host", "readable"), [("box-7", "box-7"), ("a.b:c{d}", "a-b-c-d-"), ("ü" * 50, "-" * 32), ("", "")]
)
def test_a_worker_id_names_kind_and_host_in_safe_letters(host: str, readable: str) -> None:
    assert re.fullmatch(rf"media-{readable}-[A-Za-z0-9]{{6}}", new_worker_id("media", host))


def test_a_restarted_worker_has_a_new_name() -> None:
    assert new_worker_id("media", "box") != new_worker_id("media", "box")
