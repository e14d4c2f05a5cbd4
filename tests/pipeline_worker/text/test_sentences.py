import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_worker.text.sentences import SentenceSplitter, split_sentences, without_abbreviation_stops


def cut(*pieces: str) -> list[str]:
    cutter = SentenceSplitter()
    return [sentence for piece in pieces for sentence in cutter.push(piece)] + cutter.finish()


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Hello there. How are you?", ["Hello there.", "How are you?"]),
        ("It costs 3.5 euros. Anything else?", ["It costs 3.5 euros.", "Anything else?"]),
        ("Mr. Smith and Dr. J. Doe are here.", ["Mr. Smith and Dr. J. Doe are here."]),
        ('She said "stop!" Then she left…', ['She said "stop!"', "Then she left…"]),
        ("One line\nand another", ["One line", "and another"]),
        ("你好。今天天气好！", ["你好。", "今天天气好！"]),
        ("See http://x.com/a.b?c=1, e.g. now. Bye", ["See http://x.com/a.b?c=1, e.g. now.", "Bye"]),
        ("1. Pasta\n2. Pizza", ["1. Pasta", "2. Pizza"]),
        ("No. I can't. No. 5 is here.", ["No.", "I can't.", "No. 5 is here."]),
        ("At 7 p.m. sharp. Or 8 p.m. Then", ["At 7 p.m. sharp.", "Or 8 p.m.", "Then"]),
        ("So do I. Yes", ["So do I.", "Yes"]),
        ("On Jan. 5 in St. Ives. Yes", ["On Jan. 5 in St. Ives.", "Yes"]),
        ("**Done.** *Really.* _Yes._ ok", ["**Done.**", "*Really.*", "_Yes._", "ok"]),
        ("Look: ```py\na. b\n``` so", ["Look: ```py", "a.", "b", "``` so"]),
        ("Look:\n```py\na. b\n\nc\n``` so", ["Look:", "```py\na. b\n\nc\n```", "so"]),
        ("  ", []),
    ],
)
def test_text_is_cut_into_sentences(text: str, sentences: list[str]) -> None:
    assert cut(text) == sentences
    assert cut(*text) == sentences


def test_a_sentence_is_released_as_soon_as_it_is_complete() -> None:
    cutter = SentenceSplitter()
    assert cutter.push("We open at ten") == []
    assert cutter.push(". And") == ["We open at ten."]
    assert cutter.finish() == ["And"]


def test_no_sentence_waits_longer_than_it_takes_to_know_its_end() -> None:
    cutter = SentenceSplitter()
    assert cutter.push("We close at 7 p.m. ") == []
    assert cutter.push("S") == ["We close at 7 p.m."]


def test_numbers_are_not_cut_at_their_commas_nor_addresses_anywhere() -> None:
    number = "word " * 44 + "1,234,567,890,123 " + "word " * 10
    assert any("1,234,567,890,123" in sentence for sentence in cut(*number))
    address = "https://example.com/" + "a,b:c." * 60
    assert cut("See ", address, " now " * 60)[1].startswith(address)
    assert len(cut("https://" + "a" * 5000)[0]) == 2000
    assert len(cut("```" + "a" * 5000)[0]) == 2000
    assert len(cut("a" * 5000)[0]) == 240


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two!\nThree?  Four", ["One.", "Two!", "Three?", "Four"]),
        ("word " * 100 + "end.", ["word " * 47 + "word", "word " * 47 + "word", "word " * 4 + "end."]),
        ("One. ... Two", ["One.", "Two"]),
        (" - ", []),
    ],
)
def test_a_whole_text_is_split_into_what_a_voice_can_say(text: str, sentences: list[str]) -> None:
    assert split_sentences(text) == sentences


@pytest.mark.parametrize(
    ("sentence", "said"),
    [
        ("Meet J. Smith at St. Mary.", "Meet J  Smith at St  Mary."),
        ("On Jan. 5 or No. 7.", "On Jan  5 or No  7."),
        ("At 7 p.m. sharp, e.g. here.", "At 7 p.m. sharp, e.g. here."),
        ("1. Am 3. Mai 3.5", "1. Am 3. Mai 3.5"),
    ],
)
def test_only_the_stops_of_abbreviations_are_left_out(sentence: str, said: str) -> None:
    assert without_abbreviation_stops(sentence) == said


def test_a_sentence_without_end_is_cut_at_a_pause() -> None:
    first, *_ = cut("word " * 30 + "so, " + "word " * 30)
    assert first.endswith("so,")


PARTS = ["Mr. ", "No. ", "7 p.m. ", "e.g. ", "```", "https://", "a" * 250, "1,000", "**x.** ", "你好。"]


@given(st.lists(st.one_of(st.text("ab .!?,\n", max_size=80), st.sampled_from(PARTS)), max_size=20))
def test_no_word_is_lost_or_changed(pieces: list[str]) -> None:
    assert "".join("".join(cut(*pieces)).split()) == "".join("".join(pieces).split())


@pytest.mark.parametrize("shape", ["!", "...", "a\n", "\r\n", "! ", "```", "http://", "Mr. "])
def test_a_long_text_that_arrives_at_once_is_split_as_in_pieces(shape: str) -> None:
    text = shape * (100_000 // len(shape))
    started = time.thread_time()
    at_once = SentenceSplitter().push(text)
    assert time.thread_time() - started < 2  # about 0.3 s at worst, some ms per 1,000 characters
    splitter = SentenceSplitter()
    assert at_once == [one for at in range(0, len(text), 700) for one in splitter.push(text[at : at + 700])]
    assert max(map(len, at_once), default=0) <= 2_000


def test_a_block_of_code_and_a_url_have_a_longest_length_however_they_arrive() -> None:
    for text in ("```" + "x " * 5_000 + "```", "see https://example.com/" + "x" * 5_000 + " now"):
        assert max(map(len, SentenceSplitter().push(text))) <= 2_000
