"""What every converter gives, whatever the file was."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Markup = Literal["markdown", "plain"]


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading's place in the text: where its lines begin and end."""

    start: int
    end: int
    #: Smaller is higher; 0 is the document's own title.
    level: int
    title: str


@dataclass(frozen=True, slots=True)
class Converted:
    """A document as one text."""

    text: str
    markup: Markup
    #: "" when the file names none.
    title: str = ""
    #: None where the text has to be read for them.
    headings: tuple[Heading, ...] | None = None
    #: (offset into the text, 1-based page that begins there), ascending; empty where there are no pages.
    pages: tuple[tuple[int, int], ...] = ()
    #: True where a page stands for itself (a slide): no chunk crosses its edge.
    pages_apart: bool = False
