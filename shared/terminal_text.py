"""Text from others (models, vendors, callers) for a terminal, where control characters would be obeyed."""

import unicodedata

_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def escaped(text: str, keep: str = "") -> str:
    """Control, format (bidirectional overrides), separator and unassigned characters are escaped, unless in `keep`.

    The escapes are those of JSON (`\\u001b`), so that a line of JSON stays one.
    """
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() or character in keep else _escape(character) for character in text
    )


def _escape(character: str) -> str:
    if unicodedata.category(character) == "Zs":  # such as a no-break space, which `isprintable` excludes
        return character
    code = ord(character)
    return _SHORT.get(character) or (f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")
