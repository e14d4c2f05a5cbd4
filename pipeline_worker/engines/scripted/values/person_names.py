"""Names of people: "my name is Anna Miller", "under Schmidt", "it's for Mr. Jones", or just "Miller" when asked.

Recognisers write names with capitals. Typed text may lack them, and is then a name only after words that announce one.
"""

import re
from collections.abc import Iterator

from pipeline_worker.engines.scripted.values.sentence import Found

_WORD = r"[^\W\d_]+(?:['’-][^\W\d_]+)*\.?"
_TITLE = r"(?:(?:mister|missus|mr|mrs|ms|miss|dr|doctor|professor|prof)\b\.? )?"
_ANNOUNCED = re.compile(
    rf"\b(?:(?:my|the|his|her|our|last|first|full|sur|and|in)(?: \w+(?:'s)?){{0,2}} ?name(?:'s| is| would be| will be|:)?|(?:first|last) name|surname(?:'s| is)?|names?(?:'s| is| of|:)|name(?= [A-Z])|name to|note down|take down|write down|(?:i am|i'm|is) called|call me|under(?: the name(?: of)?)?|in the name(?: of)?|on the name(?: of)?|"
    rf"(?:put|make|leave) it (?:down )?(?:under|as)|call me|booked? (?:it )?(?:under|as)|surname|it's under|by the name of)[ ,:]*(?:is |it's |uh,? |um,? |the |of |a |to |should be |now )*(?P<title>{_TITLE})",
    re.IGNORECASE,
)
_SPEAKING = re.compile(
    rf"\b(?:i'm|i am|it's|it is|this is|here is|here's|for|that's|that is|as)(?: for)?[ ,]+(?P<title>{_TITLE})",
    re.IGNORECASE,
)
_AFTER = re.compile(
    rf"(?:{_TITLE})(?P<name>{_WORD}(?: {_WORD})?)(?:,)? (?:is (?:my|the) (?:last |sur)?name|speaking|here\b(?! (?:is|are|at|in|for)))",
    re.IGNORECASE,
)
_ALONE = re.compile(rf"[,.;] (?P<title>(?i:{_TITLE}))(?=[A-Z][\w'’-]+(?: [A-Z][\w'’-]+)?(?:[,.;!]|$))")
_TITLED = re.compile(r"\b(?:Mr|Mrs|Ms|Miss|Mister|Missus|Dr|Doctor|Professor)\.? (?=[A-Z])")
"""A name between two commas or full stops: "a table for two, Friday, Miller"."""
_FIRST_AND_LAST = re.compile(
    rf"\bfirst name(?:'s| is)? ({_WORD})[,.]? (?:and )?(?:the |my )?(?:last|sur|family) ?name(?:'s| is)? ({_WORD})",
    re.IGNORECASE,
)
_LEADS = re.compile(
    rf"^(?:(?:oh|uh|um|er|erm|well|so|yes|yeah|yep|sure|okay|ok|right|hi|hello|hmm|of course|certainly|just|please|it's|it is|it would be|it'll be|it will be|that's|that is|that'd be|that would be|this is|i'm|i am|"
    rf"(?:you can )?(?:just )?(?:put|make|book|use|take|write|say|call|leave)(?: it| me| that| down)*|under|for|on|in|as|my|the|is|last|first|full|surname|family|name|name's|names|of|be|should|will|would|with|to|go)\b[ ,.:]*)*(?P<title>{_TITLE})",
    re.IGNORECASE,
)
_NOT_A_NAME = frozenset(
    "a an the and or but for at on in of to with by from please thanks thank you we i it is are was be am do does did can could would will shall should may might have has had "
    "not no yes yeah okay ok so that this these those there here what when where who why how which if then than as my your our their his her me us them "
    "he she they sorry actually wait um uh er erm like just also too only about around maybe speaking table booking reservation people persons person guests party dinner lunch "
    "today tomorrow tonight evening morning afternoon night monday tuesday wednesday thursday friday saturday sunday january february march april june july august september "
    "october november december noon midnight half past quarter number phone calling call looking hoping trying wondering going thinking gonna afraid interested good great fine perfect "
    "correct right wrong vegetarian vegan gluten allergic late early running coming open closed hungry spelled spelt spelling instead same change everything all nothing something "
    "want need know don't can't won't isn't it's i'm i'd we'd we're we'll let's business work birthday anniversary christmas eve wife husband friend daughter son boss mum mom dad "
    "kids children yourself myself family full last first name names surname double capital letter with doing ready happy glad new sure never mind forget cancel stop goodbye bye hello hi hey "
    "one two three four five six seven eight nine ten well absolutely definitely exactly certainly bit little lot some any anything more less many much "
    "been being having get got make made put book reserve order eat drink food menu restaurant place address parking what's that's who's where's how's there's here's tired possible pardon hold called name said say".split()
)
_MOST_WORDS = 3


def find(text: str, asked: bool) -> Iterator[Found]:
    """The names in `text`, which has its capitals. `asked`: the question was for a name, and a bare one will do."""
    is_cased = text[:1].isupper()
    for match in _ANNOUNCED.finditer(text):
        yield from _at(text, match.start(), match.end(), needs_capital=False)
    for match in _AFTER.finditer(text):
        yield from _at(text, match.start("name"), match.start("name"), needs_capital=is_cased)
    for match in _TITLED.finditer(text):
        yield from _at(text, match.start(), match.end(), needs_capital=True)
    for match in _SPEAKING.finditer(text):
        yield from _at(text, match.start(), match.end(), needs_capital=True)
    alone = [
        one for match in _ALONE.finditer(text) for one in _at(text, match.start(), match.end(), needs_capital=True)
    ]
    if not asked and len(alone) == 1:
        yield alone[0]
    if match := _FIRST_AND_LAST.search(text):
        yield Found(match.start(), match.end(), f"{match[1]} {match[2]}")
    if asked and (lead := _LEADS.match(text)):
        for one in _at(text, 0, lead.end(), needs_capital=is_cased):
            longer = re.search(rf"[.,] (?:the name is )?({re.escape(one.value)} {_WORD})", text[one.end :])
            yield Found(0, one.end, longer[1].rstrip(".")) if longer else one


def _at(text: str, start: int, begin: int, needs_capital: bool) -> Iterator[Found]:
    """The name that begins at `begin`; what announces it begins at `start`."""
    words: list[str] = []
    end = begin
    for match in re.finditer(rf"\s*({_WORD})", text[begin:]):
        word = match[1].rstrip(".") if not re.fullmatch(r"[A-Z]\.", match[1]) else match[1]
        if (
            begin + match.start() != end
            or (len(word) == 1 and match[1] == word)
            or word.casefold() in _NOT_A_NAME
            or len(words) == _MOST_WORDS
        ):
            break
        if (
            (needs_capital or any(done[0].isupper() for done in words))
            and not word[0].isupper()
            and word not in ("de", "van", "von", "der", "la", "di", "du", "del")
        ):
            break
        words.append(word)
        end = begin + match.end()
        if match[1].endswith(".") and word == match[1].rstrip("."):
            break
    if words and len("".join(words)) > 1:
        yield Found(start, end, " ".join(words if any(word[0].isupper() for word in words) else map(str.title, words)))
