"""A document's title: what the parser found, else the first heading, else the line that says most at the start."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from ..models import Chunk
from .analysis import analyze
from .context import shorten
from .headline import TITLE_WORDS, headline

#: Characters.
MAX_TITLE: Final = 120
#: Characters of the document's start that a title is taken from.
_START: Final = 3000
_NO_TITLE: Final = re.compile(r"(untitled|document|no ?title|无标题|未命名|文档)?\W*\d*", re.IGNORECASE)
_BY_PROGRAM: Final = re.compile(
    r"^(microsoft (word|powerpoint) - )|\.(docx?|pptx?|pdf|txt|md|html?|epub|odt|rtf)$", re.I
)
_HEADING: Final = re.compile(r"\s*#\s+(?P<text>[^\n]{2,120}?)\s*#*\s*(?:\n|$)")


def choose_title(chunks: Sequence[Chunk], hint: str) -> str:
    """The title, at most 120 characters; "" for a document without words."""
    title = tidy(hint)
    if not title:
        text = "\n\n".join(chunk.text for chunk in chunks)[:_START]
        heading = _HEADING.match(text)
        top = next((chunk.section_path[0] for chunk in chunks if chunk.section_path), "")
        title = tidy(heading["text"] if heading else "") or tidy(top) or headline(analyze(text), TITLE_WORDS)
    return shorten(title, MAX_TITLE)


def tidy(title: str) -> str:
    """The title without what programs put into it, "" when nothing of a title is left."""
    title = " ".join(_BY_PROGRAM.sub("", title.strip()).split())
    if " " not in title:
        title = title.replace("_", " ").strip()
    return "" if _NO_TITLE.fullmatch(title) else title
