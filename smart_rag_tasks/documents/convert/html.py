"""HTML becomes Markdown: cut down to the tags that carry structure, then converted by kreuzberg.

kreuzberg 4.10 drops text that is nested deeper than 63 elements or follows tags left open (`<td>a<td>b`), and puts a
page's metadata, links' targets and inline images into the text; so it is shown text and sound structure only. The
parser of the standard library does the cutting, and tests compare every word.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Final

from ..converted import Converted
from ..encoding import decode
from .kreuzberg import extract, unescaped, without_padding
from .layout import Gap, without_layout
from .stand_ins import hidden

#: Content that is not text of the page; of a formula that it is there again, as TeX.
_SKIPPED: Final = frozenset({"script", "style", "template", "svg", "title", "annotation", "annotation-xml"})
#: Marks inside a line.
_INLINE: Final = frozenset({"b", "strong", "i", "em", "code", "del", "s"})
#: Blocks that hold text only.
_LEAVES: Final = frozenset({"h1", "h2", "h3", "h4", "h5", "h6", "pre", "figcaption"})
#: Blocks that hold blocks.
_NESTED: Final = frozenset({"ul", "ol", "dl", "table", "blockquote"})
#: What stands in a block of another kind: the blocks it may stand in.
_PARENTS: Final = {
    "li": ("ul", "ol"),
    "dt": ("dl",),
    "dd": ("dl",),
    "tr": ("table",),
    "td": ("tr",),
    "th": ("tr",),
}
#: What text (or a block) that stands directly in one of these is put into.
_IMPLIED: Final = {"ul": "li", "ol": "li", "dl": "dd", "table": "td", "tr": "td"}
#: Tags whose text runs on in the line; tags named nowhere here part their text from what is around it.
_TRANSPARENT: Final = frozenset(
    {"a", "abbr", "acronym", "bdi", "bdo", "big", "cite", "data", "dfn", "font", "ins", "kbd", "label", "mark"}
    | {
        "nobr",
        "q",
        "ruby",
        "rb",
        "rt",
        "rp",
        "samp",
        "small",
        "span",
        "strike",
        "sub",
        "sup",
        "time",
        "tt",
        "u",
        "var",
        "wbr",
    }
)
#: Tags that stand in the line, parted by spaces: buttons, formulas (MathML).
_SPACED: Final = frozenset(
    {"button", "input", "meter", "output", "picture", "progress", "slot", "source", "math", "semantics", "mfrac"}
    | {"mi", "mn", "mo", "mover", "mpadded", "mphantom", "mroot", "mrow", "ms", "mspace", "msqrt", "mstyle", "msub"}
    | {"msubsup", "msup", "mtable", "mtd", "mtext", "mtr", "munder", "munderover"}
)
#: Blocks open at once, beyond which more are not begun; kreuzberg loses text below 63.
_MAX_OPEN: Final = 24
_MAX_INLINE: Final = 4
#: A DOCTYPE with declarations of its own, which the standard library ends at the first ``>`` in them.
_DOCTYPE: Final = re.compile(r"<!doctype[^>\[]*\[[^\]]*\]\s*>", re.IGNORECASE)
#: Superscripts that mean another number without their caret: 2^7.
_EXPONENT: Final = re.compile(r"[-+−]?\d+|\w")
#: Columns and rows that a cell may take; more is a mistake, or made to fill the memory with empty cells.
_SPANS: Final = {"colspan": re.compile(r"[2-9]"), "rowspan": re.compile(r"[2-9]|[1-9]\d")}


class _Cutter(HTMLParser):
    """Writes the page anew: structure only, of attributes the spans of cells, each tag closed, images as described."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.out: list[str] = []
        #: Of each title element its text.
        self.titles: list[str] = []
        self._skipping = ""
        self._skipping_depth = 0
        #: Open blocks and, inside the last of them, open marks.
        self._blocks: list[str] = []
        self._marks: list[str] = []
        #: A superscript has just begun.
        self._raised = False

    # -- what the parser finds

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._skipping:
            self._skipping_depth += tag == self._skipping
        elif tag in _SKIPPED:
            self._skipping, self._skipping_depth = tag, 1
            self.out.append(" " if tag == "svg" else "")
            self.titles += [""] * (tag == "title")
        elif tag == "img":
            self.handle_data(f" {dict(attrs).get('alt') or ''} ")
        elif tag == "br":
            self.out.append("\n" if self._inside("pre") else "<br>")
        else:
            self._raised = self._raised or tag == "sup"
            self._start(tag, _spans(tag, attrs))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        # XHTML's <script/>, <title/> and <p/> are whole elements, in HTML they only begin one.
        if tag in ("img", "br"):
            self.handle_starttag(tag, attrs)
        elif tag in ("td", "th") and not self._skipping:
            self._start(tag, _spans(tag, attrs))
            self._end(tag)
        elif not self._skipping and tag not in _INLINE:
            self._pass(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self._skipping:
            self._end(tag)
        elif tag == self._skipping:
            self._skipping_depth -= 1
            self._skipping = self._skipping if self._skipping_depth else ""

    def handle_data(self, data: str) -> None:
        if not self._skipping:
            if not data.isspace():
                self._imply()
            raised = "^" if self._raised and _EXPONENT.fullmatch(data) else ""
            self.out.append(hidden(raised + data))
            self._raised = False
        elif self._skipping == "title":
            self.titles[-1] += data

    def parse_html_declaration(self, i: int) -> int:
        """``<![CDATA[x]]>`` is text (of XHTML), ``<![if x]>`` is none; the standard library gives up on some."""
        if doctype := _DOCTYPE.match(self.rawdata, i):
            return doctype.end()
        if not self.rawdata.startswith("<![", i):
            return super().parse_html_declaration(i)
        opening, closing = ("<![CDATA[", "]]>") if self.rawdata.startswith("<![CDATA[", i) else ("<![", ">")
        end = self.rawdata.find(closing, i)
        if end < 0:
            return -1
        if closing == "]]>":
            self.handle_data(self.rawdata[i + len(opening) : end])
        return end + len(closing)

    # -- what is written

    def _start(self, tag: str, spans: str) -> None:
        if tag in _INLINE:
            if len(self._marks) < _MAX_INLINE and not self._inside("pre"):
                self._imply()
                self._marks.append(tag)
                self.out.append(f"<{tag}>")
        elif tag in _PARENTS:
            self._enter(tag, spans)
        elif tag in _LEAVES or tag in _NESTED:
            self._close_leaf()
            self._imply()
            if tag in _LEAVES or self._in_cell():
                self._part()
            self._open(tag)
        else:
            self._pass(tag)

    def _end(self, tag: str) -> None:
        if tag in _INLINE:
            if tag in self._marks:
                self._close_marks(self._marks.index(tag))
        elif tag in _PARENTS or tag in _LEAVES or tag in _NESTED:
            found = self._innermost((tag,), crossing_tables=False)
            if found is None:
                self._part()
            else:
                self._close(found)
        else:
            self._pass(tag)

    def _enter(self, tag: str, spans: str = "") -> None:
        """Opens an item, row or cell in the block it belongs to, ending the one before it; else parts the text."""
        if tag in ("td", "th") and self._innermost(("tr",), crossing_tables=False) is None:
            self._enter("tr")
        parent = self._innermost(_PARENTS[tag], crossing_tables=False)
        if parent is None:
            self._part()
        else:
            self._close(parent + 1)
            self._open(tag, spans)

    def _imply(self) -> None:
        """Text between items goes into an item, text between cells into a cell."""
        while self._blocks and self._blocks[-1] in _IMPLIED:
            self._enter(_IMPLIED[self._blocks[-1]])

    def _pass(self, tag: str) -> None:
        """A tag without structure: it stands in the line, or is the edge of a block."""
        if tag in _SPACED:
            self.out.append(" ")
        elif tag not in _TRANSPARENT:
            self._part()

    def _part(self) -> None:
        """Parts the text that follows from the text before."""
        self._close_marks(0)
        if self._inside("pre"):
            self.out.append("\n")
        elif self._blocks and self._blocks[-1] in _LEAVES:
            self.out.append(" ")
        elif self._in_cell():
            self.out.append(Gap(" "))
        else:
            self.out.append("<p></p>")

    def _open(self, tag: str, spans: str = "") -> None:
        if len(self._blocks) < _MAX_OPEN or tag in _PARENTS:
            self._close_marks(0)
            self._blocks.append(tag)
            self.out.append(f"<{tag}{spans}>")
        else:
            self._part()

    def _close(self, index: int) -> None:
        """Closes the blocks from this index on."""
        self._close_marks(0)
        self.out += (f"</{tag}>" for tag in reversed(self._blocks[index:]))
        del self._blocks[index:]
        if self._in_cell():  # kreuzberg joins the words of a cell's blocks
            self.out.append(" ")

    def _close_leaf(self) -> None:
        if self._blocks and self._blocks[-1] in _LEAVES:
            self._close(len(self._blocks) - 1)

    def _close_marks(self, index: int) -> None:
        self.out += (f"</{tag}>" for tag in reversed(self._marks[index:]))
        del self._marks[index:]

    def _inside(self, tag: str) -> bool:
        return bool(self._blocks) and self._blocks[-1] == tag

    def _in_cell(self) -> bool:
        return self._innermost(("td", "th")) is not None

    def _innermost(self, tags: tuple[str, ...], *, crossing_tables: bool = True) -> int | None:
        """Index of the last open block that is one of these; a table's edge hides those outside it."""
        for index in range(len(self._blocks) - 1, -1, -1):
            if self._blocks[index] in tags:
                return index
            if self._blocks[index] == "table" and not crossing_tables:
                return None
        return None


def _spans(tag: str, attrs: list[tuple[str, str | None]]) -> str:
    """A cell's spans as attributes."""
    if tag not in ("td", "th"):
        return ""
    found = ((name, (value or "").strip()) for name, value in dict(attrs).items() if name in _SPANS)
    return "".join(f' {name}="{value}"' for name, value in found if _SPANS[name].fullmatch(value))


def cut(html: str) -> tuple[str, str]:
    """(the page with structure only, its title)."""
    parser = _Cutter()
    parser.feed(html)
    parser.close()
    # More may be of pictures; the first is the page's.
    return "".join(without_layout(parser.out)), next(
        filter(None, (" ".join(title.split()) for title in parser.titles)), ""
    )


def markdown_of(html: str) -> tuple[str, str]:
    """(the page as Markdown, its own punctuation hidden; its title)."""
    page, title = cut(html)
    # HTML's own declaration keeps kreuzberg from guessing the encoding.
    whole = f'<!DOCTYPE html><html><head><meta charset="utf-8"></head><body>{page}</body></html>'
    markdown = extract(whole.encode("utf-8", "replace"), "text/html", output_format="markdown").content
    return without_padding(unescaped(markdown)), title


def declared_encoding(data: bytes) -> str:
    """The encoding that a page names in its XML declaration or in a ``meta`` tag, "" when it names none."""
    head = re.sub(r"<!--.*?(?:-->|$)", "", data[:2048].decode("ascii", "replace"), flags=re.S)
    declared = re.search(
        r"""<(?:meta[^>]{0,200}charset|\?xml[^>]{0,200}encoding)\s*=\s*["']?([\w-]{1,40})""", head, re.I
    )
    name = declared[1].lower() if declared else ""
    # A declaration that is found byte for byte is not in the UTF-16 or UTF-32 that it may name (WHATWG HTML, 13.2.3.2).
    return "utf-8" if name.startswith(("utf-16", "utf-32")) else name


def convert_html(data: bytes, max_bytes: int) -> Converted:
    """A page, decoded by its byte order mark, its own declaration, or its bytes."""
    text, title = markdown_of(decode(data, declared_encoding(data)))
    return Converted(text, "markdown", title)
