"""Everyday English words: what people say when they say none of an agent's phrases.

The recogniser's grammar lets them follow one another in any order. Speech that fits such a row better than every phrase
was not understood. Only words of four sounds and more serve: out of shorter ones ("an", "he", "law") anything can be
built, and on the shipped agent they took every tenth good sentence with them.
"""

_TEXT = (
    "from about just people into only think also after first even want because child world hand part place company "
    "system program question government number point water mother area money story fact month study business kind "
    "service friend father member city community president minute idea body information parent others level office "
    "health person history party result change morning reason research moment teacher force education music hospital"
)

DECOY_WORDS = tuple(_TEXT.split())
