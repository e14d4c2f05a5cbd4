"""How many people: "four of us", "a table for two", "my wife and I", "two adults and three kids"."""

import re
from collections.abc import Callable, Iterator

from pipeline_worker.engines.scripted.values.sentence import Found, any_of

_PERSON_WORD = any_of(
    """people, ppl, pers, persons?, pax, folks?, others?, heads?,
    guests?, diners?, visitors?, clients?, tourists, travell?ers, players, students?, teachers, nurses,
    friends?, buddies, pals, mates, colleagues?, coworkers, couples?,
    adults?, grown ups?, grownups?, ladies, gentlemen, men, women, guys, seniors, pensioners?,
    kids?, child(?:ren)?, bab(?:y|ies), toddlers?, little ones, girls, boys, teenagers, teens,
    relatives, parents, grandparents, siblings, brothers, sisters, cousins,
    seats?, seaters?, covers?, places?, chairs?, spots?, tops?"""
)
_MORE_OR_LESS = any_of("more, extra, additional, other, another, less, fewer")
# With an adjective: "hungry students". But "more people" is a change (see `find_change`).
PEOPLE = rf"(?:(?!{_MORE_OR_LESS}\b)[a-z]+ )?{_PERSON_WORD}\b"

_N = r"(?P<n>(?<![\d.,])\d{1,3})"
# One person whom the caller has along: "my lovely wife" is _WHOSE, a word, and _COMPANION.
_WHOSE = any_of("my, a, the, her, his, our")
_COMPANION = any_of(
    """wife, husband, missus, partner, other half, better half, girlfriend, boyfriend, fianc[eé]e?, date,
    friend, mate, roommate, flatmate, neighbour, neighbor, colleague, boss,
    mum, mom, mother, dad, father, sister, brother, son, daughter, cousin, gran, grandmother, grandma, grandpa"""
)
_SPEAKER = any_of("i, me, myself")
_AND = any_of("and, plus, with")
# Shows that the number before it is not a count of people: "for 7 o'clock", "for 7:30", "for 7th", "for 7 days".
_MONTH = any_of("jan, feb, mar, apr, may, jun, jul, aug, sep, oct, nov, dec")
_NO_COUNT = any_of(
    rf"""o'? ?clock, oclock, [ap]\.?\s?m\b, [:.h]\d, \d, ish\b, -, in the (?:evening|morning|afternoon),
    tonight at(?! \d), more\b, st\b, nd\b, rd\b, th\b, of {_MONTH}, days?\b, weeks?\b, hours?\b, minutes?\b, nights?\b,
    tickets?\b, past\b, to \d"""
)
_COUNT = rf"{_N}\b(?!\s*{_NO_COUNT})"


def _number(match: re.Match[str]) -> int:
    return int(match["n"])


def _and_one(match: re.Match[str]) -> int:
    return int(match["n"]) + 1


def _and_two(match: re.Match[str]) -> int:
    return int(match["n"]) + 2


def _twice(match: re.Match[str]) -> int:
    return 2 * int(match["n"])


def _sum(match: re.Match[str]) -> int:
    """ "2 adults and a child" is 3: each "a" is one person."""
    return sum(map(int, re.findall(r"\d+", match[0]))) + len(re.findall(r"\b(?:a|an)(?= )", match[0]))


_MULTIPLES = {"couple": 2, "pair": 2, "trio": 3, "half a dozen": 6, "half dozen": 6, "dozen": 12}


def _multiple(match: re.Match[str]) -> int:
    return _MULTIPLES[match["word"]]


_FOR = r"(?:for )?\b"
_ONE_COMPANION = rf"{_WHOSE} (?:\w+ )?{_COMPANION}"
_FELLOWS = any_of("friends, colleagues, mates, kids, children, others, guests, clients")
_ALONE = (
    r"\b(?:just|only) (?:for )?(?:me|myself)\b",
    r"\bfor (?:me|myself) (?:alone|only)\b",
    r"\bon (?:my|her|his) own\b",
    r"\bby (?:myself|herself|himself)\b",
    r"\bi'?(?:m| am) alone\b",
    r"\bme alone\b",
    r"\b(?:coming|come|dining|eating|be) alone\b",
    r"^alone\b",
    r"^(?:it's |it is |it'll be )?(?:just|only) (?:little )?(?:old )?me\b",
)
_GROUP = any_of("party, group, table, family, reservation, booking, bunch, total, size")
_WE_ARE = any_of(
    """we(?: are|'re|'d be| would be| will be|'ll be), there(?: are|'re| will be|'ll be| would be|'s| is),
    that(?:'d| would) be, be"""
)
_HESITATING = r"(?:(?:in|about|around|just|only|probably|like|maybe|going to be|actually|now|at least|(?:uh|um|er),?) )"

# Each form with its count, or how to count.
_FORMS: tuple[tuple[str, int | Callable[[re.Match[str]], int]], ...] = (
    # "2 adults, and 3 kids and a baby"
    (rf"(?:for )?\d{{1,3}} {PEOPLE}(?:,? (?:and|plus|with|&) (?:a|an|\d{{1,2}}) {PEOPLE})+", _sum),
    # "me and my 3 friends", "him plus 2 more"
    (
        rf"{_FOR}(?:me|myself|himself|herself|him|her) (?:and|plus|with|\+) (?:my |his |her )?"
        rf"{_N} (?:others?|other people|more people|more|{PEOPLE})",
        _and_one,
    ),
    # "just me and my old friend", "my wife and I"
    (rf"{_FOR}(?:just )?(?:me|myself) (?:and|plus|with|\+) (?:{_WHOSE} )?(?:\w+ )?{_COMPANION}\b", 2),
    (rf"{_FOR}{_ONE_COMPANION} and {_SPEAKER}\b", 2),
    # "me and my wife and another couple"
    (rf"{_FOR}{_SPEAKER} and {_WHOSE} {_COMPANION},? {_AND} (?:another|a|the other) couple\b", 4),
    # "my wife, my son and I", "me, my wife and her sister"
    (rf"{_FOR}{_ONE_COMPANION},? (?:and )?{_ONE_COMPANION},? and {_SPEAKER}\b", 3),
    (rf"{_FOR}(?:i|me),? (?:and )?{_ONE_COMPANION},? and {_ONE_COMPANION}\b", 3),
    # "my wife, our 3 kids and myself"
    (rf"{_FOR}{_ONE_COMPANION},? (?:and )?(?:our |my |the )?{_N} {PEOPLE},? and {_SPEAKER}\b", _and_two),
    # "both of us", "the 2 of us"
    (rf"{_FOR}(?:both|the pair|the couple) of us\b|{_FOR}(?:the )?2 of us\b", 2),
    # "just for me", "on my own"
    ("|".join(_ALONE), 1),
    # "my husband and I and our 2 kids"
    (rf"{_FOR}{_ONE_COMPANION} and {_SPEAKER} {_AND} (?:our |my |the )?{_N} {PEOPLE}", _and_two),
    (rf"\bwith {_ONE_COMPANION} and (?:our |my |the )?{_N} {PEOPLE}", _and_two),
    # "me plus 1", "4 plus me", "with my 3 friends", "with my brother"
    (rf"\b(?:me|myself) (?:and|plus|\+) {_COUNT}", _and_one),
    (rf"\b{_N} {_AND} (?:me|myself)\b", _and_one),
    (rf"\bwith (?:my )?{_N} {_FELLOWS}\b", _and_one),
    (rf"\bwith {_ONE_COMPANION}\b", 2),
    # "2 couples"
    (rf"\b{_N} couples\b", _twice),
    # "4 of us", "4, altogether", "so that's 4"
    (rf"{_FOR}{_N} of us\b", _number),
    (rf"\b{_N},? (?:in (?:total|all)|altogether|all together|all told)\b", _number),
    (rf"\b(?:so that's|so that is|that makes|makes it|makes us) {_COUNT}", _number),
    # "a table for 4", "party of 4"
    (rf"\b{_GROUP} (?:of|for|to|is) {_COUNT}", _number),
    # "we're about 4", "there'll be, uh, 4"
    (rf"\b(?:{_WE_ARE}|we've become|become|of us,?) {_HESITATING}*{_COUNT}", _number),
    # "4 people", "6-seater"
    (rf"{_FOR}{_N}[ -]?{PEOPLE}", _number),
    # "a couple", "half a dozen of us"
    (
        rf"{_FOR}(?:a |the )?(?P<word>{'|'.join(_MULTIPLES)})"
        r"(?:(?: of)? (?:us|people|persons|guests|friends|folks?)|(?! of))(?=\W|$)",
        _multiple,
    ),
    # "for about 4", "us 4", "people: 4"
    (rf"\bfor (?:about |around |just |only |like |maybe |say |us )?{_COUNT}", _number),
    (rf"\bus {_N}\b", _number),
    (rf"\b(?:persons|people|guests) {_COUNT}", _number),
)
_PATTERNS = tuple((re.compile(form), count) for form, count in _FORMS)
_BARE = re.compile(rf"\b{_COUNT}")


def find(text: str) -> Iterator[Found]:
    """The party sizes in `text`, which has lower case and figures."""
    for pattern, count in _PATTERNS:
        for match in pattern.finditer(text):
            yield Found(match.start(), match.end(), count if isinstance(count, int) else count(match))
    for match in _BARE.finditer(text):
        yield Found(match.start(), match.end(), _number(match), sure=False)


_SOME = r"(\d{1,2}|an?|another)"
_PERSON = any_of("person, people, guests?, seats?, friends?, of us, adults?, kids?, child(?:ren)?")
_MORE = (
    rf"\b{_SOME} (?:more|extra|additional|other) {_PERSON}\b",  # "2 more people"
    rf"\b(another) {_PERSON}\b",
    r"\b(\d{1,2}) (?:more|extra)(?=\s*(?:[.,!?]|$|coming|joining))",  # "2 more, please"
    rf"\b(?:add|plus|bring(?:ing)?|joining) {_SOME}(?: (?:more|extra|{_PERSON}))+\b",  # "add a person"
)
_FEWER = (
    r"\b(\d{1,2}|an?) (?:person |people |guest |of us )?(?:less|fewer)\b",  # "1 person less"
    r"\b(\d{1,2}|an?) of us (?:can't|cannot|won't|isn't|is not|has|had)\b",  # "2 of us can't"
)
_CHANGES = ((re.compile("|".join(_MORE)), 1), (re.compile("|".join(_FEWER)), -1))


def find_change(text: str) -> int | None:
    """How many more or fewer: "2 more people" is 2, "1 less" is -1."""
    for pattern, sign in _CHANGES:
        if match := pattern.search(text):
            said = next(filter(None, match.groups()))
            return sign * (int(said) if said.isdigit() else 1)
    return None
