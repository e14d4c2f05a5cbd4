import pytest

from pipeline_worker.engines.scripted.stock_sentences import stock_sentences


@pytest.mark.parametrize("name", ["agree", "decline", "out_of_scope"])
def test_each_is_there_once_and_says_something(name: str) -> None:
    sentences = stock_sentences(name)
    assert len(sentences) > 20
    assert all(any(character.isalnum() for character in sentence) for sentence in sentences)
    assert len({sentence.strip().casefold() for sentence in sentences}) == len(sentences)


def test_no_sentence_is_in_two_files() -> None:
    agree, decline, out_of_scope = (set(stock_sentences(name)) for name in ("agree", "decline", "out_of_scope"))
    assert not (agree & decline or agree & out_of_scope or decline & out_of_scope)
