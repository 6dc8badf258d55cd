"""Punctuation of a document's text goes through kreuzberg as other characters, so that it means nothing there.

kreuzberg 4.10 drops entities from a DOCX (its issue 1242), makes lines of ``=`` headings, and escapes by rules of
its own. Afterwards all Markdown there is marks structure, so headings are found before the punctuation comes back.
"""

from __future__ import annotations

import string
from dataclasses import replace
from typing import Final

from ..converted import Converted
from ..headings import with_headings

#: The 32 characters that Markdown may give a meaning (CommonMark 2.4), and as many noncharacters, which no text
#: has (Unicode 23.7).
_STAND_INS: Final = tuple(zip(string.punctuation, map(chr, range(0xFDD0, 0xFDF0)), strict=True))


def hidden(text: str) -> str:
    """The text with its punctuation stood in for, and without soft hyphens, with which no word is found."""
    # Replacing one by one takes a twentieth of the time of str.translate.
    for char, stand_in in _STAND_INS:
        text = text.replace(char, stand_in)
    return text.replace("\xad", "")


def shown(converted: Converted) -> Converted:
    """The same with its headings, and then with the document's own punctuation again."""
    found = with_headings(converted)
    headings = tuple(replace(heading, title=_shown(heading.title)) for heading in found.headings or ())
    return replace(found, text=_shown(found.text), headings=headings)


def _shown(text: str) -> str:
    for char, stand_in in _STAND_INS:
        text = text.replace(stand_in, char)
    return text
