from pathlib import Path

import pytest

from shared.errors import ConfigError
from shared.io.yaml_file import read_yaml


def written(folder: Path, text: str) -> Path:
    file = folder / "a.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def test_a_file_holds_documents(tmp_path: Path) -> None:
    assert read_yaml(written(tmp_path, "a: 1\n---\n- b: [2]\n  c: ü\n")) == [{"a": 1}, [{"b": [2], "c": "ü"}]]
    assert read_yaml(written(tmp_path, "")) == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: 1\nb: 2\na: 3\n", "line 3: 'a' is already in line 1: remove one of the two"),
        ("a:\n  - b: 1\n    'b': 2\n", "line 3: 'b' is already in line 2"),
        ("a: 1\n---\nb: {c: 1, d: 2, c: 3}\n", "line 3: 'c' is already in line 3"),
    ],
)
def test_a_key_that_is_written_twice_does_not_silently_win(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ConfigError) as raised:
        read_yaml(written(tmp_path, text))
    assert raised.value.message.startswith(f"{tmp_path / 'a.yaml'}: {told}")


def test_merged_keys_may_be_overridden(tmp_path: Path) -> None:
    text = "base: &base {a: 1, b: 2}\nmore: &more\n  <<: *base\n  a: 3\nmost:\n  <<: *more\n  b: 4\n1: x\n'1': y\n"
    (content,) = read_yaml(written(tmp_path, text))
    assert content == {"base": {"a": 1, "b": 2}, "more": {"a": 3, "b": 2}, "most": {"a": 3, "b": 4}, 1: "x", "1": "y"}


@pytest.mark.parametrize("text", ["a: [", "a: !!python/object/apply:os.getcwd []\n", "? [a, b]\n: 1\n? {c: d}\n: 2\n"])
def test_the_error_for_invalid_yaml_names_the_file(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"a\.yaml: not YAML"):
        read_yaml(written(tmp_path, text))


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: No such file or directory: use a file"):
        read_yaml(tmp_path / "none.yaml")
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(ConfigError, match=r"b\.yaml: not YAML"):
        read_yaml(tmp_path / "b.yaml")
