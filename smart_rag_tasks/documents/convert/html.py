"""HTML becomes Markdown: cut down to the tags that carry structure, then converted by kreuzberg.

kreuzberg drops text nested deeper than 63 elements, forms and navigation, and puts a page's metadata, links'
targets and inline images into the text; so it is shown only text and structure. A parser from the standard library
does the cutting, and a test compares every word.
"""

from __future__ import annotations

import re
from collections import Counter
from html import escape
from html.parser import HTMLParser
from typing import Final

from ..converted import Converted
from ..encoding import decode
from .kreuzberg import extract

#: Content that is not text of the page.
_SKIPPED: Final = frozenset({"script", "style", "template", "svg"})
#: Structure; may be nested, but not beyond any reader's need.
_NESTED: Final = frozenset({"ul", "ol", "table", "blockquote", "dl"})
_INLINE: Final = frozenset({"b", "strong", "i", "em", "code", "del", "s", "sub", "sup"})
_BLOCKS: Final = frozenset(
    {"p", "h1", "h2", "h3", "h4", "h5", "h6", "pre", "li", "dt", "dd", "thead", "tbody", "tr", "th", "td"}
    | {"caption", "figcaption"}
)
#: Tags whose text runs on in the line; every other unknown tag parts its text from what is around it.
_TRANSPARENT: Final = frozenset(
    {"a", "abbr", "acronym", "bdi", "bdo", "big", "cite", "data", "dfn", "font", "ins", "kbd", "label", "mark"}
    | {"nobr", "q", "ruby", "rb", "rt", "rp", "samp", "small", "span", "strike", "time", "tt", "u", "var", "wbr"}
)
_MAX_NESTED: Final = 8
_MAX_INLINE: Final = 4


class _Cutter(HTMLParser):
    """Writes the page anew with structure only: no attributes, no deep nesting, images as their description."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.out: list[str] = []
        self.title: list[str] = []
        self._open: Counter[str] = Counter()
        self._skipping = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._skipping:
            self._open[self._skipping] += tag == self._skipping
        elif tag in _SKIPPED or tag == "title":
            self._skipping = tag
            self._open[tag] = 1
        elif tag == "img":
            self.out.append(f" {escape(dict(attrs).get('alt') or '')} ")
        elif tag == "br":
            self.out.append("<br>")
        else:
            self.out.append(self._start(tag))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        # XHTML's <script/>, <title/> and <p/> are whole elements, in HTML they only begin one.
        if tag in ("img", "br"):
            self.handle_starttag(tag, attrs)
        elif not self._skipping and tag not in _TRANSPARENT:
            self.out.append(self._separator())

    def handle_endtag(self, tag: str) -> None:
        if self._skipping:
            self._open[tag] -= tag == self._skipping
            if self._open[self._skipping] <= 0:
                self._skipping = ""
        elif tag != "br":
            self.out.append(self._end(tag))

    def handle_data(self, data: str) -> None:
        if not self._skipping:
            self.out.append(escape(data, quote=False))
        elif self._skipping == "title":
            self.title.append(data)

    def _start(self, tag: str) -> str:
        if tag in _BLOCKS:
            self._open[tag] += 1
            return f"<{tag}>"
        return self._edge(tag, 1, f"<{tag}>")

    def _end(self, tag: str) -> str:
        if tag in _BLOCKS:
            self._open[tag] = max(self._open[tag] - 1, 0)
            return f"</{tag}>"
        return self._edge(tag, -1, f"</{tag}>")

    def _edge(self, tag: str, step: int, markup: str) -> str:
        """The markup itself while it is not nested too deeply, else what parts its text from its neighbours."""
        for kind, tags, limit in (("nested", _NESTED, _MAX_NESTED), ("inline", _INLINE, _MAX_INLINE)):
            if tag in tags:
                depth = max(self._open[kind], self._open[kind] + step)
                self._open[kind] = max(self._open[kind] + step, 0)
                if depth <= limit:
                    return markup
        return "" if tag in _TRANSPARENT | _INLINE else self._separator()

    def _separator(self) -> str:
        return " " if self._open["td"] or self._open["th"] or self._open["pre"] else "<p></p>"


def cut(html: str) -> tuple[str, str]:
    """(the page with structure only, its title)."""
    parser = _Cutter()
    parser.feed(html)
    parser.close()
    return "".join(parser.out), " ".join("".join(parser.title).split())


def markdown_of(html: str) -> tuple[str, str]:
    """(the page as Markdown, its title)."""
    page, title = cut(html)
    # HTML's own declaration keeps kreuzberg from guessing the encoding.
    whole = f'<!DOCTYPE html><html><head><meta charset="utf-8"></head><body>{page}</body></html>'
    return extract(whole.encode("utf-8", "replace"), "text/html", output_format="markdown").content, title


def convert_html(data: bytes, max_bytes: int) -> Converted:
    """A page, decoded by its byte order mark, its own declaration, or its bytes."""
    head = data[:2048].decode("ascii", "replace")
    declared = re.search(
        r"""<(?:meta[^>]{0,200}charset|\?xml[^>]{0,200}encoding)\s*=\s*["']?([\w-]{1,40})""", head, re.I
    )
    text, title = markdown_of(decode(data, declared[1] if declared else ""))
    return Converted(text, "markdown", title)
