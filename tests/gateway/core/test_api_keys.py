import hashlib

from gateway.core.api_keys import ApiKey, find_key, new_api_key


def test_a_key_is_found_by_its_hash() -> None:
    keys = {name: ApiKey(hashlib.sha256(name.encode() * 9).hexdigest(), frozenset({"calls"})) for name in ("a", "b")}
    assert find_key(keys, "b" * 9) == "b"
    assert find_key(keys, "c" * 9) is None
    assert find_key(keys, keys["a"].sha256) is None, "whoever has read the file cannot use it"
    assert find_key({}, "") is None


def test_a_new_key_is_in_no_file() -> None:
    key, line = new_api_key("website", "calls")
    assert key not in line
    assert line == f"website: {hashlib.sha256(key.encode()).hexdigest()} calls"
    assert new_api_key("website", "calls")[0] != key
