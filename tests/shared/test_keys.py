import re

from shared import keys


def hash_tag(key: str) -> str:
    """What decides the cluster node of a key: the text in braces, else all of it."""
    found = re.search(r"\{(.+?)\}", key)
    return found[1] if found else key


def test_the_keys_of_a_placement_script_lie_on_one_cluster_node() -> None:
    touched = [
        keys.workers("media"),
        keys.worker("media", "m1"),
        keys.reservations("media", "m1"),
        keys.workers("pipeline"),
        keys.reservations("pipeline", "default"),
    ]
    assert {hash_tag(key) for key in touched} == {"workers"}
    assert len(set(touched)) == len(touched)


def test_inboxes_may_lie_on_any_node() -> None:
    assert hash_tag(keys.inbox("media", "m1")) != hash_tag(keys.inbox("media", "m2"))
