"""Text in pictures: what of it can be shown, how wide it is, and where it is cut."""

from __future__ import annotations

import unicodedata
from xml.sax.saxutils import escape

# Of one letter of the type at size 12, which is monospaced so that widths need no font.
LETTER_WIDTH = 7.25
LINE_HEIGHT = 15.0

_JOINER = "\u200d"


def plain(text: str) -> str:
    """The text on one line, with nothing in it that cannot be shown or that XML forbids."""
    return "".join(_shown(letter) for letter in text)


def _shown(letter: str) -> str:
    if letter.isprintable() or letter == _JOINER:
        return letter
    return " " if letter.isspace() else "\ufffd"


def paragraphs(text: str) -> str:
    """The same, with line breaks kept: what is shown when one points at something."""
    return "\n".join(map(plain, text.splitlines()))


def cells(text: str) -> int:
    """How many letters wide it is: two for those of East Asia and most pictures, none for marks upon letters."""
    return sum(_cells_of(letter) for letter in text)


def _cells_of(letter: str) -> int:
    if letter.isascii():
        return 1
    if letter == _JOINER or unicodedata.combining(letter) or unicodedata.category(letter) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def width(text: str) -> float:
    """How wide it is drawn."""
    return cells(text) * LETTER_WIDTH


def cut(text: str, longest: int) -> str:
    """Plain text of at most so many cells, the end of what is longer left out."""
    text = plain(text)
    # Every letter is at most two cells wide.
    if 2 * len(text) <= longest or cells(text) <= longest:
        return text
    kept, room = [], longest - 1
    for letter in text:
        room -= _cells_of(letter)
        if room < 0:
            break
        kept.append(letter)
    return "".join(kept) + "…"


def xml(text: str) -> str:
    """Text between tags, or in an attribute."""
    return escape(text, {'"': "&quot;"})
