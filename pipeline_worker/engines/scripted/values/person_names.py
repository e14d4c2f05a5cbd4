"""Names of people: "my name is Anna Miller", "under Schmidt", "it's for Mr. Jones", or just "Miller" when asked.

Recognizers capitalize names. In text without capitals, only words that announce a name lead to one.
"""

import re
from collections.abc import Iterator

from pipeline_worker.engines.scripted.values.not_names import ALSO_NAMES, NOT_NAMES
from pipeline_worker.engines.scripted.values.sentence import Found, any_of, word_list

_MOST_WORDS = 3
_PARTICLES = frozenset(word_list("de van von der den ten la di du del el al bin le"))
"""Small words within a name that has capitals: "Anna van Houten"."""

# "Miller", "O'Neill", "Pryce-Jones", "J."
_WORD = r"[^\W\d_]+(?:['’-][^\W\d_]+)*\.?"
# Only where a word begins. Trying every letter of a long word would take quadratic time.
_WORD_BEGINS = r"(?<![^\W\d_])(?<![^\W\d_]['’-])"
_NEXT_WORD = re.compile(rf"\s*({_WORD})")
_NEXT_CAPITAL = re.compile(r" [A-Z][a-z]")
_INITIAL = re.compile(r"[A-Z]\.")
# "Mr. ", if there is one.
_TITLE = r"(?:(?:mister|missus|mr|mrs|ms|miss|dr|doctor|professor|prof)\b\.? )?"

# "My name is", "his wife's last name:", "and the name would be"
_THE_NAME = (
    rf"{any_of('my, the, his, her, our, last, first, full, sur, and, in')}(?: \w+(?:'s)?){{0,2}} ?name"
    r"(?:'s| is| would be| will be|:)?"
)
# Other words before a name. The first that fits wins.
_ANNOUNCING = any_of(
    r"""names?(?:'s| is| of|:), name(?= [A-Z]), name to, note down, take down, write down, put(?= [A-Z]),
    (?:i am|i'm|is|she's|he's) called, call me, under(?: the name(?: of)?)?\b,
    on the name(?: of)?, by the name of, it's under,
    (?:put|make|leave) it (?:down )?(?:under|as), booked? (?:it )?(?:under|as)"""
)
# What may stand between those and the name: "my name should be, uh, ..."
_FILLERS = r"[ ,:]*(?:(?:is|it's|uh,?|um,?|the|of|a|to|should be|now|on it to) )*"
_NAMED = re.compile(rf"\b{_THE_NAME}{_FILLERS}{_TITLE}", re.IGNORECASE)
_ANNOUNCED = re.compile(rf"\b{_ANNOUNCING}{_FILLERS}{_TITLE}", re.IGNORECASE)
# "First name Anna, last name Miller"
_FIRST_AND_LAST = re.compile(
    rf"\bfirst name(?:'s| is)? ({_WORD})[,.]? (?:and )?(?:the |my )?(?:last|sur|family) ?name(?:'s| is)? ({_WORD})",
    re.IGNORECASE,
)
_LAST_AND_FIRST = re.compile(
    rf"\b(?:last|sur|family) ?name(?:'s| is)? ({_WORD})[,.]? (?:and )?(?:the |my )?first name(?:'s| is)? ({_WORD})",
    re.IGNORECASE,
)
# "Anna Miller speaking", "Miller is my name", "Miller here", but not "anyone here in the evening"
_FOLLOWED = re.compile(
    rf"{_WORD_BEGINS}{_TITLE}(?P<name>{_WORD}(?: {_WORD})?),? "
    r"(?:(?:is|'s) (?:my|the) (?:last |sur)?name|speaking|here\b(?! (?:is|are|at|in|for)))",
    re.IGNORECASE,
)
# "Mr. Jones"
_TITLED = re.compile(r"\b(?:Mr|Mrs|Ms|Miss|Mister|Missus|Dr|Doctor|Professor)\.? (?=[A-Z])")
# "This is Anna", "it's for Anna"
_INTRODUCING = any_of("i'm, i am, it's, it is, this is, here is, here's, for, that's, that is, as")
_INTRODUCED = re.compile(rf"\b{_INTRODUCING}(?: for| actually| really)?[ ,]+{_TITLE}", re.IGNORECASE)
# A name between two commas or full stops: "a table for two, Friday, Miller"
_BETWEEN_STOPS = re.compile(rf"[,.;] (?i:{_TITLE})(?=[A-Z][\w'’-]+(?: [A-Z][\w'’-]+)?(?:[,.;!]|$))")

# What an answer to the question for a name begins with: "oh yes, it's", "you can just put it down under"
_LEAD = any_of(
    """oh, uh, um, er, erm, well, so, yes, yeah, yep, sure, okay, ok, right, hi, hello, hmm, of course, certainly, just,
    please, it's, it is, it would be, it'll be, it will be, that's, that is, that'd be, that'll be, that will be,
    that would be, this is,
    i'm, i am, under, for, on, in, as, my, the, is, last, first, full, surname, family, name, names, of, be, should,
    will, would, with, to, go"""
)
_PUT_IT = r"(?:you can )?(?:just )?(?:put|make|book|use|take|write|say|call|leave)(?: it| me| that| down)*"
_CLAUSE = re.compile(r"[,.;] (?:so )?")
_MOST_CLAUSES = 8
_LEADS = re.compile(rf"(?:(?:{_LEAD}|{_PUT_IT})\b[ ,.:]*)*{_TITLE}", re.IGNORECASE)


def find(text: str, asked: bool) -> Iterator[Found]:
    """The names in `text`, which has its capitals. `asked`: the question was for a name, so a bare name counts."""
    is_cased = text[:1].isupper()
    yield from _after(_NAMED, text, needs_capital=False)
    yield from _after(_ANNOUNCED, text, needs_capital=is_cased and not asked)  # "under the window" is no name
    for match in _FOLLOWED.finditer(text):
        yield from _at(text, match.start("name"), match.start("name"), needs_capital=is_cased)
    yield from _after(_TITLED, text, needs_capital=True)
    yield from _after(_INTRODUCED, text, needs_capital=True)
    if not asked:
        between = list(_after(_BETWEEN_STOPS, text, needs_capital=True))
        # Several capitalized words between commas are probably not names.
        yield from between if len(between) == 1 else ()
    if both := _LAST_AND_FIRST.search(text):
        yield Found(both.start(), both.end(), f"{both[2]} {both[1]}".rstrip("."))
    if both := _FIRST_AND_LAST.search(text):
        yield Found(both.start(), both.end(), f"{both[1]} {both[2]}".rstrip("."))
    if asked:
        yield from _answer(text, needs_capital=is_cased)


def _after(pattern: re.Pattern[str], text: str, needs_capital: bool) -> Iterator[Found]:
    for match in pattern.finditer(text):
        yield from _at(text, match.start(), match.end(), needs_capital)


def _answer(text: str, needs_capital: bool) -> Iterator[Found]:
    """The name after the leading words of the first clause that has one. In "Bond, James Bond" the longer counts."""
    begins = [0, *(match.end() for match in _CLAUSE.finditer(text))][:_MOST_CLAUSES]
    for begin in begins:
        lead = _LEADS.match(text, begin)
        for one in _at(text, begin, lead.end() if lead else begin, needs_capital):
            longer = re.search(rf"[.,] (?:the name is )?(?P<name>{re.escape(one.value)} {_WORD})", text[one.end :])
            yield Found(one.start, one.end, longer["name"].rstrip(".")) if longer else one
            return


def _at(text: str, start: int, begin: int, needs_capital: bool) -> Iterator[Found]:
    """The name that begins at `begin`; what announces it begins at `start`."""
    names: list[str] = []
    end = begin
    is_last = False
    while (
        not is_last
        and sum(name not in _PARTICLES for name in names) < _MOST_WORDS
        and (match := _NEXT_WORD.match(text, end))
    ):
        said = match[1]
        is_initial = _INITIAL.fullmatch(said) is not None
        word = said if is_initial else said.rstrip(".")
        small = word.casefold().removesuffix("'s")
        is_name = small not in NOT_NAMES or (small in ALSO_NAMES and bool(_NEXT_CAPITAL.match(text, match.end())))
        if len(said) == 1 or not is_name:
            break
        if (needs_capital or _has_capitals(names)) and not (word[0].isupper() or word in _PARTICLES):
            break
        names.append(word.removesuffix("'s"))
        end = match.end()
        is_last = word != said  # a full stop that does not belong to an initial
    if len("".join(names)) > 1:
        yield Found(start, end, " ".join(names if _has_capitals(names) else map(str.title, names)))


def _has_capitals(names: list[str]) -> bool:
    return any(name[0].isupper() for name in names)
