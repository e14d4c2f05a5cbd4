"""How many people: "four of us", "a table for two", "my wife and I", "two adults and three kids"."""

import re
from collections.abc import Callable, Iterator

from pipeline_worker.engines.scripted.values.sentence import Found

PEOPLE = (
    r"(?:(?!more\b|extra\b|additional\b|other\b|another\b|less\b|fewer\b)[a-z]+ )?(?:people|ppl|pers|persons?|guests?|adults?|kids?|child(?:ren)?|bab(?:y|ies)|toddlers?|friends?|colleagues?|diners?|folks?|pax|"
    r"heads?|seats?|covers?|places?|chairs?|ladies|gentlemen|guys|girls|boys|grown ups?|grownups?|pensioners?|students?|tops?|"
    r"visitors?|clients?|others?|little ones|teenagers|teens|seniors|relatives|buddies|pals|mates|cousins|siblings|brothers|sisters|nurses|teachers|tourists|travell?ers|men|women|couples?|seaters?|spots?|players|coworkers|parents|grandparents)\b"
)
_N = r"(?P<n>\d{1,3})"
_ONE_MORE = r"(?:my|a|the|her|his|our)"
_COMPANION = (
    r"(?:wife|husband|partner|girlfriend|boyfriend|friend|mum|mom|mother|dad|father|sister|brother|son|daughter|boss|"
    r"colleague|date|fianc[eé]e?|other half|better half|roommate|flatmate|neighbour|neighbor|gran|grandmother|grandma|grandpa|cousin|mate|missus)"
)
_NOT_TIME = r"(?!\s*(?:o'? ?clock|oclock|[ap]\.?\s?m\b|[:.h]\d|\d|ish\b|-|in the (?:evening|morning|afternoon)|st\b|nd\b|rd\b|th\b|days?\b|weeks?\b|hours?\b|minutes?\b|tonight at|of (?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)))"
_MULTIPLES = {"couple": 2, "pair": 2, "trio": 3, "half a dozen": 6, "half dozen": 6, "dozen": 12}


def _number(match: re.Match[str]) -> int:
    return int(match["n"])


def _all_numbers(match: re.Match[str]) -> int:
    return sum(map(int, re.findall(r"\d+", match[0]))) + len(re.findall(r"\b(?:a|an)(?= )", match[0]))


_SURE: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], int]], ...] = tuple(
    (re.compile(pattern), value)
    for pattern, value in (
        (rf"(?:for )?\d{{1,3}} {PEOPLE}(?:,? (?:and|plus|with|&) (?:a|an|\d{{1,2}}) {PEOPLE})+", _all_numbers),
        (
            rf"(?:for )?\b(?:me|myself|himself|herself|him|her) (?:and|plus|with|\+) (?:my |his |her )?{_N} (?:others?|other people|more people|more|{PEOPLE})",
            lambda m: int(m["n"]) + 1,
        ),
        (
            rf"(?:for )?\b(?:just )?(?:me|myself) (?:and|plus|with|\+) (?:{_ONE_MORE} )?(?:\w+ )?{_COMPANION}\b",
            lambda m: 2,
        ),
        (rf"(?:for )?\b{_ONE_MORE} (?:\w+ )?{_COMPANION} and (?:i|me|myself)\b", lambda m: 2),
        (
            rf"(?:for )?\b(?:me|i|myself) and {_ONE_MORE} {_COMPANION},? (?:and|plus|with) (?:another|a|the other) couple\b",
            lambda m: 4,
        ),
        (r"(?:for )?\b(?:both|the pair|the couple) of us\b|(?:for )?\b(?:the )?2 of us\b", lambda m: 2),
        (
            r"\b(?:just|only) (?:for )?(?:me|myself)\b|\bfor (?:me|myself) (?:alone|only)\b|\bon (?:my|her|his) own\b|\bby (?:myself|herself|himself)\b|\bi'?(?:m| am) alone\b|\bme alone\b|\b(?:coming|come|dining|eating|be) alone\b|^alone\b|^(?:it's |it is |it'll be )?(?:just|only) (?:little )?(?:old )?me\b",
            lambda m: 1,
        ),
        (
            rf"(?:for )?\b{_ONE_MORE} (?:\w+ )?{_COMPANION} and (?:i|me|myself) (?:and|plus|with) (?:our |my |the )?{_N} {PEOPLE}",
            lambda m: int(m["n"]) + 2,
        ),
        (rf"\b{_N} (?:plus|and|with) (?:me|myself)\b", lambda m: int(m["n"]) + 1),
        (
            rf"\bwith (?:my )?{_N} (?:friends|colleagues|mates|kids|children|others|guests|clients)\b",
            lambda m: int(m["n"]) + 1,
        ),
        (rf"\bwith {_ONE_MORE} (?:\w+ )?{_COMPANION}\b", lambda m: 2),
        (rf"\b{_N} couples\b", lambda m: 2 * int(m["n"])),
        (rf"(?:for )?\b{_N} of us\b", _number),
        (rf"\b{_N},? (?:in (?:total|all)|altogether|all together|all told)\b", _number),
        (rf"\b(?:so that's|so that is|that makes|makes it|makes us) {_N}\b{_NOT_TIME}", _number),
        (
            rf"\b(?:party|group|table|family|reservation|booking|bunch|total|size) (?:of|for|to|is) {_N}\b{_NOT_TIME}",
            _number,
        ),
        (
            rf"\b(?:we are|we're|we'd be|we would be|we will be|we'll be|there are|there're|there will be|there'll be|there would be|there's|there is|that'd be|that would be|be|of us,?) (?:in |about |around |just |only |probably |like |maybe |going to be |actually |now |uh,? |um,? |er,? |at least )*{_N}\b{_NOT_TIME}",
            _number,
        ),
        (rf"(?:for )?\b{_N}[ -]?{PEOPLE}", _number),
        (
            r"(?:for )?\b(?:a |the )?(?P<word>half a dozen|half dozen|dozen|couple|pair|trio)(?: of)?(?: (?:us|people|persons|guests|friends))?(?=\W|$)",
            lambda m: _MULTIPLES[m["word"]],
        ),
        (rf"\bfor (?:about |around |just |only |like |maybe |say |us )?{_N}\b{_NOT_TIME}", _number),
        (rf"\bus {_N}\b", _number),
        (rf"\b(?:persons|people|guests) {_N}\b{_NOT_TIME}", _number),
    )
)
_BARE = re.compile(rf"\b{_N}\b{_NOT_TIME}")
_PERSON = r"(?:person|people|guests?|seats?|friends?|of us|adults?|kids?|child(?:ren)?)"
MORE = re.compile(
    rf"\b(?P<n>\d{{1,2}}|an?|another) (?:more |extra |additional |other )?(?<=more |xtra |onal |ther ){_PERSON}\b|\b(?P<o>\d{{1,2}}) (?:more|extra)(?=\s*(?:[.,!?]|$|coming|joining))"
    rf"|\b(?:add|plus|bring(?:ing)?|joining) (?P<m>\d{{1,2}}|an?|another)(?: (?:more|extra|{_PERSON}))+\b"
)
FEWER = re.compile(
    r"\b(?P<n>\d{1,2}|an?) (?:person |people |guest |of us )?(?:less|fewer)\b|\b(?P<m>\d{1,2}|an?) of us (?:can't|cannot|won't|isn't|is not|has|had)\b"
)


def find(text: str) -> Iterator[Found]:
    """The party sizes in `text`, which is in small letters and figures."""
    for pattern, value in _SURE:
        for match in pattern.finditer(text):
            yield Found(match.start(), match.end(), value(match))
    for match in _BARE.finditer(text):
        yield Found(match.start(), match.end(), _number(match), sure=False)


def find_change(text: str) -> tuple[int, int, int] | None:
    """By how many more or fewer, and where it stands: "two more people" is 2, "one less" is -1."""
    for pattern, sign in ((MORE, 1), (FEWER, -1)):
        if match := pattern.search(text):
            said = next(filter(None, match.groups()))
            return sign * (int(said) if said.isdigit() else 1), match.start(), match.end()
    return None
