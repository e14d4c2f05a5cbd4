import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline_worker.text.normalization import normalize

MARKUP = [
    ("**Bold**, _italic_, ***both*** and `code`", "Bold, italic, both and code"),
    ("~~gone~~ snake_case", "gone snake case"),
    ("## Our menu", "Our menu"),
    ("- first", "first"),
    ("* first\n* second", "first second"),
    ("- [x] done", "done"),
    ("1. Pasta", "1. Pasta"),
    ("> quoted", "quoted"),
    ("See [our menu](https://example.com/menu_2?a=(1)).", "See our menu."),
    ('[our menu](https://example.com/a_b "title")', "our menu"),
    ("![a plate](plate.png)", "a plate"),
    ("| dish | price |\n|---|:-:|\n| pasta | 12 |", "dish, price pasta, 12"),
    ("Run ```py\nprint(1)\n``` now", "Run now"),
    ("```py\nnever closed", ""),
    ("---", ""),
    ("<b>bold</b><br/>line &amp; more", "bold line and more"),
    ("Hello 😀 there 👨‍👩‍👧!", "Hello there !"),
    ("1️⃣ → ✅", "1"),
    ("😀", ""),
    ("", ""),
]
ADDRESSES = [
    ("See https://www.example.com/menu?x=1.", "See example dot com slash menu."),
    ("https://example.com/a/b/c/d?e", "example dot com"),
    ("www.example.com, please", "example dot com, please"),
    ("example.com/wine-list", "example dot com slash wine-list"),
    ("http://[::1", ""),
    ("Write to info.desk+x@example.com!", "Write to info dot desk plus x at example dot com!"),
]
NUMBERS = [
    ("It costs $12.50.", "It costs 12 dollars and 50 cents."),
    ("$1", "1 dollar"),
    ("$0.99", "99 cents"),
    ("$0", "0 dollars"),
    ("$1,200", "1,200 dollars"),
    ("$1.5 million", "1.5 million dollars"),
    ("£3.01 or €20", "3 pounds and 1 penny or 20 euros"),
    ("$5-$10", "5 dollars to 10 dollars"),
    ("3.5%", "3.5%"),
    ("10:30", "10:30"),
    ("10:00", "10 o'clock"),
    ("10:00 am", "10 am"),
    ("7:05 pm", "7 oh 5 pm"),
    ("7 a.m. sharp", "7 am sharp"),
    ("10:00-11:30", "10 o'clock to 11:30"),
    ("2026-11-23", "November 23rd, 2026"),
    ("11/23/2026", "November 23rd, 2026"),
    ("23/11/2026", "November 23rd, 2026"),
    ("3/4/2026", "3/4/2026"),
    ("on Jan. 5", "on January 5"),
    ("Call 555-123-4567.", "Call 5 5 5, 1 2 3, 4 5 6 7."),
    ("(555) 123-4567", "5 5 5, 1 2 3, 4 5 6 7"),
    ("1-800-555-1234", "1, 8 0 0, 5 5 5, 1 2 3 4"),
    ("+49 30 1234567", "plus 4 9, 3 0, 1 2 3 4 5 6 7"),
    ("code 0123456", "code 0 1 2, 3 4 5, 6"),
    ("5 km, 1 kg, 2 ft, 1.5 l", "5 kilometers, 1 kilogram, 2 feet, 1.5 liters"),
    ("20 °C at 100 km/h", "20 degrees Celsius at 100 kilometers per hour"),
    ("3 kWh", "3 kilowatt hours"),
    ("No. 5 and #6", "number 5 and number 6"),
    ("No. I can't.", "No. I can't."),
    ("1/2 or 3/4", "one half or three quarters"),
    ("5-7 people, 10–12", "5 to 7 people, 10 to 12"),
    ("12-34-56", "12-34-56"),
    ("a 5-star well-known hotel", "a 5-star well-known hotel"),
    ("3 x 4, 2 * 3", "3 times 4, 2 times 3"),
    ("~5", "about 5"),
]
WORDS = [
    ("Dr. Smith, e.g. this, i.e. that", "Dr Smith, for example this, that is that"),
    ("us vs. them, approx. 5", "us versus them, approximately 5"),
    ("bread & butter and/or jam/honey", "bread and butter and or jam or honey"),
]
OTHER_LANGUAGES = [
    ("**Preis:** 12,50 € am 23.11. um 10:00", "Preis: 12,50 € am 23.11. um 10:00"),
    ("Siehe https://www.example.de/karte_2!", "Siehe example.de!"),
    ("# Menü\n- Suppe & Brot 😀", "Menü Suppe & Brot"),
]


def spoken(text: str, language: str = "en") -> str:
    return " ".join(pair.spoken for pair in normalize(text, language))


@pytest.mark.parametrize(
    ("language", "written", "said"),
    [
        *(("en", *case) for case in (*MARKUP, *ADDRESSES, *NUMBERS, *WORDS)),
        *(("de-DE", *case) for case in OTHER_LANGUAGES),
        *((english, "$5", "5 dollars") for english in ("en-GB", "en_GB", "EN")),
    ],
)
def test_written_text_becomes_spoken_text(language: str, written: str, said: str) -> None:
    assert spoken(written, language) == said


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("We open **at** ten.", [("We", "We"), ("open", "open"), ("**at**", "at"), ("ten.", "ten.")]),
        ("It costs $5 now", [("It", "It"), ("costs", "costs"), ("$5", "5 dollars"), ("now", "now")]),
        ("5 km away", [("5 km", "5 kilometers"), ("away", "away")]),
        ("10:00 am or bread & butter", [("10:00 am", "10 am"), *((w, w) for w in ("or", "bread")), ("&", "and"),
                                        ("butter", "butter")]),
        ("[our menu](http://x.com/a b) now", [("[our", "our"), ("menu](http://x.com/a b)", "menu"), ("now", "now")]),
        ("😀 Hello 😀 there 😀", [("😀 Hello 😀", "Hello"), ("there 😀", "there")]),
        ("call  555-1234\nor jam/honey", [("call", "call"), ("555-1234", "5 5 5, 1 2 3 4"), ("or", "or"),
                                          ("jam/honey", "jam or honey")]),
    ],
)  # fmt: skip
def test_each_word_is_paired_with_what_is_said_for_it(text: str, pairs: list[tuple[str, str]]) -> None:
    assert normalize(text) == pairs


MARKS = "*_`#[]()<>|~-+&;:.,/@$€%°0123456789 \n\t\\{}^=!?aAxXm"
LONGER = [
    "**", "```", "](", "http://", "www.", ".com", "&amp;", "&lt;", "e.g.", "No. ", "10:00", "$5", " km", "😀", "中。",
    "|---|", "- ", "1. ", "2026-11-23", "+1 555 123 4567", "Jan. ", "é", "a/b", "x@y.com",
]  # fmt: skip
PIECES = st.sampled_from([*MARKS, *LONGER])
TEXT = st.one_of(st.text(), st.lists(PIECES, max_size=30).map("".join))


@given(TEXT, st.sampled_from(["en", "de"]))
@example("&amp;amp;lt;b>", "en")
@example("*- [*a](b)*", "en")
@example("**a** 😀 1. \n```b", "en")
def test_no_markup_is_left_no_word_is_lost_and_a_second_time_changes_nothing(text: str, language: str) -> None:
    pairs = normalize(text, language)
    said = spoken(text, language)
    assert not set(said) & set("*`#[]{}<>\\^|~_\n\t😀")
    assert spoken(said, language) == said
    assert not pairs or " ".join(pair.written for pair in pairs).split() == text.split()
    assert all(pair.written and pair.spoken for pair in pairs)


PLAIN = ("I", "will", "bring", "two", "of", "them", "to", "your", "table,", "please", "wait.", "What", "else?")


@given(st.lists(st.sampled_from(PLAIN)))
def test_plain_words_stay_as_they_are(words: list[str]) -> None:
    assert normalize(" ".join(words)) == [(word, word) for word in words]
