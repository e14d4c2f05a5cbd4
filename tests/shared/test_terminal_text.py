import json

from hypothesis import given
from hypothesis import strategies as st

from shared.terminal_text import escaped


@given(st.text())
def test_nothing_that_a_terminal_obeys_is_left(text: str) -> None:
    shown = escaped(text)
    assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in shown)
    assert not set(shown) & set("\u2028\u2029\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
    assert len(shown.splitlines()) <= 1
    shown.encode()


def test_text_of_any_language_is_unchanged() -> None:
    for text in ("a b\\n", "Müller", "日本\u3000語", "12\u202f000\u00a0€", "नमस्ते", "👋"):
        assert escaped(text) == text


def test_characters_may_be_kept() -> None:
    assert escaped("a\n\tb\x1b", keep="\n") == "a\n\\tb\\u001b"


@given(st.dictionaries(st.text(), st.text()))
def test_a_line_of_json_keeps_its_meaning(value: dict[str, str]) -> None:
    assert json.loads(escaped(json.dumps(value))) == value
