"""A text's words, and the language that it is in."""

import re


def primary_language(language: str) -> str:
    """Without country and script: "en" of "en-GB" and of "en_GB"."""
    return language.replace("_", "-").partition("-")[0].casefold()


def words_of(text: str) -> list[str]:
    """Its words in small letters, without marks."""
    return re.findall(r"[^\W_]+(?:['’][^\W_]+)*", text.replace("’", "'").casefold())


def same_words(one: str, other: str) -> bool:
    return words_of(one) == words_of(other)
