import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline_worker.text.normalization import speakable

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


@pytest.mark.parametrize(("written", "said"), [*MARKUP, *ADDRESSES, *NUMBERS, *WORDS])
def test_what_is_written_for_the_eye_is_put_for_the_ear(written: str, said: str) -> None:
    assert speakable(written) == said


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("**Preis:** 12,50 € am 23.11. um 10:00", "Preis: 12,50 € am 23.11. um 10:00"),
        ("Siehe https://www.example.de/karte_2!", "Siehe example.de!"),
        ("# Menü\n- Suppe & Brot 😀", "Menü Suppe & Brot"),
    ],
)
def test_of_other_languages_only_the_markup_goes(written: str, said: str) -> None:
    assert speakable(written, "de-DE") == said


@pytest.mark.parametrize("language", ["en", "en-GB", "EN"])
def test_english_is_english(language: str) -> None:
    assert speakable("$5", language) == "5 dollars"


MARKS = "*_`#[]()<>|~-+&;:.,/@$€%°0123456789 \n\t\\{}^=!?aAxXm"
LONGER = [
    "**",
    "```",
    "](",
    "http://",
    "www.",
    ".com",
    "&amp;",
    "&lt;",
    "e.g.",
    "No. ",
    "10:00",
    "$5",
    " km",
    "😀",
    "中。",
]
LONGER += ["|---|", "- ", "1. ", "2026-11-23", "+1 555 123 4567", "Jan. ", "é", "a/b", "x@y.com"]
PIECES = st.sampled_from([*MARKS, *LONGER])
TEXT = st.one_of(st.text(), st.lists(PIECES, max_size=30).map("".join))


@given(TEXT, st.sampled_from(["en", "de"]))
@example("&amp;amp;lt;b>", "en")
@example("*- [*a](b)*", "en")
def test_no_markup_is_left_and_again_is_no_more(text: str, language: str) -> None:
    said = speakable(text, language)
    assert not set(said) & set("*`#[]{}<>\\^|~_\n\t😀")
    assert speakable(said, language) == said


PLAIN = ("I", "will", "bring", "two", "of", "them", "to", "your", "table,", "please", "wait.", "What", "else?")


@given(st.lists(st.sampled_from(PLAIN)).map(" ".join))
def test_plain_words_stay_as_they_are(text: str) -> None:
    assert speakable(text) == text
