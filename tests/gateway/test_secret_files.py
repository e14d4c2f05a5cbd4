from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gateway.core.api_keys import ApiKey, new_api_key
from gateway.secret_files import SecretFile, read_api_keys, read_secret, read_token_keys
from shared.errors import ConfigError

HASH = "5e" * 32
KEY = "k" * 32


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "secrets"


def test_api_keys(file: Path) -> None:
    _, line = new_api_key("console", "admin")
    shop = f"shop: {HASH} sessions_at_once=5 calls"
    file.write_text(f"# ours\n\nwebsite: {HASH}  calls tokens_per_minute=120\n{shop}\n{line}\n")
    keys = read_api_keys(file)
    assert keys["website"] == ApiKey(HASH, frozenset({"calls"}), 120)
    assert keys["shop"] == ApiKey(HASH, frozenset({"calls"}), sessions_at_once=5)
    assert keys["console"].scopes == {"admin"}


def test_token_keys_are_in_the_order_of_the_file(file: Path) -> None:
    file.write_text(f"2026-04: {KEY}\n2026-03: {KEY}x\n")
    assert list(read_token_keys(file).items()) == [("2026-04", KEY), ("2026-03", KEY + "x")]


@pytest.mark.parametrize(
    ("read", "text", "message"),
    [
        (read_api_keys, "my-secret calls", "line 1: not NAME: VALUE"),
        (read_api_keys, "my secret: value", "line 1: not NAME: VALUE"),
        (read_api_keys, "\nwebsite: my-secret calls", "line 2: not the SHA-256 of a key"),
        (read_api_keys, f"website: {HASH}", r"line 1: after the SHA-256 come scopes \(calls, admin\)"),
        (read_api_keys, f"website: {HASH} calls sessions_at_once=0", "line 1: after the SHA-256 come"),
        (read_api_keys, f"website: {HASH} calls my-secret", "line 1: after the SHA-256 come"),
        (read_api_keys, f"website: {HASH} calls calls", "line 1: after the SHA-256 come"),
        (read_api_keys, f"website: {HASH} calls tokens_per_minute=0", "line 1: after the SHA-256 come"),
        (read_api_keys, f"a: {HASH} calls\na: {HASH} admin", "line 2: the name is used before"),
        (read_token_keys, "a: my-secret", "line 1: a signing key is one word of 32 characters or more"),
        (read_token_keys, f"a: {KEY} my-secret", "line 1: a signing key is one word"),
        (read_token_keys, "# none", "no key: add a line"),
        (read_secret, " \n", "empty: write the secret into it"),
    ],
)
def test_a_bad_file_is_an_error_that_does_not_tell_secrets(
    file: Path, read: Callable[[Path], object], text: str, message: str
) -> None:
    file.write_text(text)
    with pytest.raises(ConfigError, match=message) as error:
        read(file)
    assert str(file) in error.value.message
    assert "my-secret" not in error.value.message
    assert HASH not in error.value.message


def test_a_file_that_is_not_there_or_not_text(file: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        SecretFile(file, read_secret)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not text in UTF-8"):
        SecretFile(file, read_secret)


def test_a_changed_file_is_read_again(file: Path) -> None:
    file.write_text("one\n")
    secret = SecretFile(file, read_secret)
    assert secret.read() == "one"
    replacement = file.with_name("replacement")
    replacement.write_text("two\n")
    replacement.rename(file)
    assert secret.read() == "two"


def test_a_file_that_became_invalid_keeps_its_content_and_is_told_once(file: Path) -> None:
    file.write_text(f"a: {KEY}")
    secret = SecretFile(file, read_token_keys)
    file.write_text("a: my-secret")
    with capture_logs() as logs:
        assert [secret.read(), secret.read()] == [{"a": KEY}] * 2
        file.unlink()
        assert secret.read() == {"a": KEY}
    assert [line["event"] for line in logs] == ["secret_file_invalid"] * 2
    assert "my-secret" not in str(logs)
    file.write_text(f"b: {KEY}")
    assert secret.read() == {"b": KEY}
