"""Headings are found in Markdown by its syntax, in plain text by numbering: chapters, sections, counts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from .converted import Converted, Heading

_NEWLINES: Final = re.compile(r"\n*")
#: Characters of a heading that are kept as its title.
_MAX_TITLE: Final = 200


def with_headings(converted: Converted) -> Converted:
    """The same with the headings that stand in its text, unless the converter knew them."""
    if converted.headings is not None:
        return converted
    scan = markdown_headings if converted.markup == "markdown" else plain_headings
    return replace(converted, headings=tuple(scan(converted.text)))


def lines(text: str) -> Iterator[tuple[int, str]]:
    """(offset, line without its newline) of each line; empty lines in a row are one (a file may hold millions)."""
    start = 0
    while start < len(text):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        yield start, text[start:end]
        start = end + 1 if end > start else _NEWLINES.match(text, start).end()  # type: ignore[union-attr]


# -- Markdown

_MARKS: Final = re.compile(r"[\[*`_\\]")
#: What a block may stand behind: the marks of items of lists.
_ITEMS: Final = r"((?>(?: {0,3}(?:[-*+]|\d{1,9}[.)]) {1,4})*) {0,3})"
#: The first line of a code block; what has backticks after its backticks is code in a line.
_FENCE: Final = re.compile(_ITEMS + r"(`{3,}+(?!.*`)|~{3,}+)")
#: HTML that goes on over blank lines (CommonMark 4.6), perhaps behind other tags.
_RAW: Final = re.compile(_ITEMS + r"(?:<[^<>]*>)*?<(?:!--|(?:pre|script|style|textarea)(?![\w-]))", re.IGNORECASE)
_RAW_ENDS: Final = re.compile(r"</(?:pre|script|style|textarea)>", re.IGNORECASE)
_COMMENT_ENDS: Final = re.compile("-->")
#: HTML that goes on up to a blank line (the sixth kind of CommonMark 4.6).
_BLOCK: Final = re.compile(
    r" {0,3}</?(?:address|article|aside|blockquote|body|caption|center|col|colgroup|dd|details|dialog|dir|div|dl|dt"
    r"|fieldset|figcaption|figure|footer|form|frame|frameset|h[1-6]|head|header|hr|html|iframe|legend|li|link|main|menu"
    r"|menuitem|nav|ol|optgroup|option|p|param|search|section|summary|table|tbody|td|tfoot|th|thead|title|tr|track|ul)"
    r"(?:\s|/?>|$)",
    re.IGNORECASE,
)
#: A heading in HTML, as READMEs have them to centre it.
_TAGGED: Final = re.compile(r" {0,3}<h([1-6])(?=[\s>])[^>]*>(.*?)</h\1>\s*$", re.IGNORECASE)
_ATX: Final = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*))?$")
_CLOSING: Final = re.compile(r"(?<![ \t])[ \t]+#+[ \t]*$")
_UNDERLINE: Final = re.compile(r" {0,3}(=+|-{2,})[ \t]*$")
#: Comments and tags that a heading may have, and what keeps them: code and a backslash. Others are text: ``List<T>``.
_TAG: Final = re.compile(
    r"(\\.|`[^`]*`)|(<(?i:br)(?=[\s/>])[^<>]*>)|<!--[^<>]*>"
    r"|</?(?:[abiqsu]|(?i:abbr|big|center|cite|code|del|div|em|font|img|ins|kbd|mark|p|picture|samp|small|source|span"
    r"|strike|strong|sub|sup|tt|var))(?=[\s/>])[^<>]*>"
)
#: What some programs read at a heading's end: its id, its classes.
_ATTRIBUTES: Final = re.compile(r"\{:?[ \t]*(?:[#.](?!\d)[^{}]*|-)\}[ \t]*$")
#: What a line under it does not make a heading: nothing, code, quotes, lists, rules and tables.
_NOT_UNDERLINED: Final = re.compile(r"\s*$| {4}|\t| {0,3}([>|]|([-*+]|\d+[.)])([ \t]|$)|[-*_:| \t]+$)")
#: Every line must be a key, part of one, or blank, else it is text between two rules; below a comment, which may be
#: a heading, none is blank. A line is matched one way only (``?>``): with two the time doubles with each line.
_FRONT_MATTER: Final = re.compile(
    r"---[ \t]*\n"
    r"(\s*[\w-]+[ \t]*:[^\n]*\n(?>(?:[^\n:]+:|[#\- \t\]}\"'])[^\n]*\n|\n)*?"
    r"|(?:#[^\n]*\n)+[\w-]+[ \t]*:[^\n]*\n(?>(?:[\w-]+[ \t]*:|[#\- \t])[^\n]*\n)*?)"
    r"(?:---|\.\.\.)[ \t]*(?:\n|$)"
)
#: The same in TOML: it begins with a key, a table or a comment.
_TOML_MATTER: Final = re.compile(
    r"\+\+\+[ \t]*\n(?=\s*(?:#[^\n]*\n\s*)*(?:[\w.\"'-]+[ \t]*=|\[))(.*?)^\+\+\+[ \t]*(?:\n|\Z)",
    re.MULTILINE | re.DOTALL,
)
_MATTER_TITLE: Final = re.compile(
    r"""^title(?::|[ \t]*=)[ \t]*(["']?)(.+?)\1[ \t]*(?:[ \t]#.*)?$""", re.MULTILINE | re.IGNORECASE
)
#: A title in the lines below its key.
_FOLDED_TITLE: Final = re.compile(r"^title:[ \t]*[>|][+-]?[ \t]*\n((?:[ \t]+[^\n]*\n)+)", re.MULTILINE | re.IGNORECASE)
#: Characters of front matter at the most; a rule at the top of a text begins none.
_MAX_FRONT_MATTER: Final = 10_000


def front_matter(text: str) -> tuple[int, str]:
    """(length of the block of YAML or TOML at the top, the title it names); (0, "") when there is none."""
    top = text[:_MAX_FRONT_MATTER]
    match = _FRONT_MATTER.match(top) or _TOML_MATTER.match(top)
    if not match:
        return 0, ""
    # In TOML what follows is of a part.
    matter = f"\n{match[1]}".split("\n[")[0] if match.re is _TOML_MATTER else match[1]
    if folded := _FOLDED_TITLE.search(matter):
        return match.end(), " ".join(folded[1].split())
    title = _MATTER_TITLE.search(matter)
    return match.end(), title[2].replace('\\"', '"') if title else ""


def outside_fences(text: str) -> Iterator[tuple[int, str, bool]]:
    """(offset, line, whether it is outside a fenced code block, a comment and HTML with code) of each line."""
    end: re.Pattern[str] | None = None
    for offset, line in lines(text):
        begun = None if end else _end_of_block(line)
        yield offset, line, not (end or begun)
        if end and end.search(line):
            end = None
        end = end or begun


def _end_of_block(line: str) -> re.Pattern[str] | None:
    """What the last line of the block has that begins with this line; None where none begins, or where it ends here."""
    if fence := _FENCE.match(line):
        return re.compile(rf"^ {{0,{len(fence[1]) + 3}}}{fence[2][0]}{{{len(fence[2])},}}[ \t]*$")
    if raw := _RAW.match(line):
        end = _COMMENT_ENDS if raw[0].endswith("!--") else _RAW_ENDS
        return None if end.search(line, raw.end()) else end
    return None


def markdown_headings(text: str) -> Iterator[Heading]:
    """ATX (``## x``), underlined and HTML headings (of one line), not those in code, comments and HTML."""
    # The lines of the paragraph that is open; the first tells whether it is a list, a quote or a table.
    first, first_at, open_paragraph = "", 0, False
    before, in_html = "", False
    for offset, line, outside in outside_fences(text):
        in_html = bool(outside and line.strip() and (in_html or _BLOCK.match(line)))
        atx = _ATX.match(line) if outside and not in_html else None
        underline = _UNDERLINE.match(line) if outside and open_paragraph else None
        if atx:
            title = _marked_title(_CLOSING.sub("", atx[2] or ""))
            yield Heading(offset, offset + len(line), len(atx[1]), title)
        elif outside and (tagged := _TAGGED.match(line)) and (title := _marked_title(tagged[2])):
            yield Heading(offset, offset + len(line), int(tagged[1]), title)
        elif underline and not _NOT_UNDERLINED.match(before) and not _NOT_UNDERLINED.match(first):
            title = _marked_title(text[first_at : min(offset, first_at + 10 * _MAX_TITLE)])
            yield Heading(first_at, offset + len(line), 1 if "=" in underline[1] else 2, title)
        if not open_paragraph or not before.strip():
            first, first_at = line, offset
        before, open_paragraph = line, outside and not atx and not underline and not in_html


def _marked_title(markdown: str) -> str:
    """A heading's text without tags, attributes and Markdown's own marks."""
    text = _TAG.sub(lambda found: found[1] or (" " if found[2] else ""), markdown)
    return plain_title(_ATTRIBUTES.sub("", text))


def plain_title(markdown: str) -> str:
    """A heading's text without Markdown's own marks, in one line."""
    text = markdown[: 2 * _MAX_TITLE]
    if not _MARKS.search(text):
        return " ".join(text.split())[:_MAX_TITLE]
    # Images first: a badge is one inside a link.
    text = re.sub(r"!\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)|(?<!\w)\[([^\]]*)\]\[[^\]]*\]", r"\1\2", text)
    text = re.sub(r"(?<!\\)(?:[*`]+|(?<!\w)_+|_+(?!\w))", "", text)
    text = re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", text)
    return " ".join(text.split())[:_MAX_TITLE]


# -- plain text

_COUNT: Final = r"[一二三四五六七八九十百千零〇两\d]{1,6}"
#: (level, pattern) of lines that can be nothing else: chapters of books.
_CHAPTERS: Final = (
    (2, re.compile(rf"第{_COUNT}[部卷篇编](?=[ \u3000:：]|$|\w)")),
    (3, re.compile(rf"第{_COUNT}[章回]")),
    (4, re.compile(rf"第{_COUNT}节")),
    (2, re.compile(r"(?:part|book|volume) (?:[ivxlc]{1,7}|\d{1,3})\b", re.IGNORECASE)),
    (3, re.compile(r"(?:chapter|appendix) (?:[ivxlc]{1,7}|\d{1,3}|[a-h])\b", re.IGNORECASE)),
)
#: (level, pattern) of lines that may be an item of a list as well; each dot inside the number is a level deeper.
_NUMBERED: Final = (
    (5, re.compile(r"[一二三四五六七八九十]{1,3}、")),
    (6, re.compile(r"[（(][一二三四五六七八九十]{1,3}[）)]")),
    # Without a dot, and before a small letter, it is a number in a sentence: "Fig.\n2 of the book".
    (7, re.compile(r"\d{1,2}(?:(?:\.\d{1,2}){0,3}\.|(?:\.\d{1,2}){1,3}|(?=\s+[^\sa-zß-ÿ]))[ \t\u3000]+(?=\S)")),
)
_ENDS_SENTENCE: Final = re.compile(r"[.。!！?？;；:：,，、…][”’」』）)\"']?$")
_DOT_LEADER: Final = re.compile(r"[.…·]{3,}\s*\d+$")
#: Characters of a heading at the most: longer ones are sentences.
_MAX_LINE: Final = 80


@dataclass(frozen=True, slots=True)
class _Line:
    start: int
    text: str
    #: Whether a blank line, or nothing, stands before it.
    parted: bool


def heading_level(line: str) -> tuple[int, bool] | None:
    """(level, whether it can be nothing but a heading) of a line that is numbered like one, None for others."""
    # A question may be a heading.
    if not 0 < len(line) <= _MAX_LINE or ends_sentence(line.rstrip("?？")) or _DOT_LEADER.search(line):
        return None
    for certain, patterns in ((True, _CHAPTERS), (False, _NUMBERED)):
        for level, pattern in patterns:
            match = pattern.match(line)
            if match:
                return level + match[0].strip().rstrip(".").count("."), certain
    return None


def ends_sentence(line: str) -> bool:
    """Whether the line ends as sentences, clauses and list introductions do, and headings do not."""
    return _ENDS_SENTENCE.search(line[-2:]) is not None


def plain_headings(text: str) -> Iterator[Heading]:
    """The title line and the numbered headings of a plain text.

    A numbered line counts when a sentence or a blank line ends before it, and what follows is longer and not
    the next number: else it is an item of a list.
    """
    before: _Line | None = None
    for line, after in _pairs(text):
        level = _title_level(before, line, after)
        if level is None and (line.parted or before is None or ends_sentence(before.text)):
            level = numbered_level(line.text, after.text if after else "")
        if level is not None:
            yield Heading(line.start, line.start + len(line.text), level, plain_title(line.text))
        before = line


def _title_level(before: _Line | None, line: _Line, after: _Line | None) -> int | None:
    """0 for a first line that stands alone above the text."""
    if before is not None or after is None or len(line.text) > _MAX_LINE or ends_sentence(line.text):
        return None
    alone = after.parted or heading_level(after.text) is not None
    return 0 if alone and heading_level(line.text) is None and re.match(r"[\w《“\"(（]", line.text) else None


def numbered_level(line: str, after: str) -> int | None:
    """The level of a numbered heading, going by the line after it ("" for none), None for other lines."""
    found = heading_level(line)
    if found is None or found[1] or not after:
        return found[0] if found and found[1] else None
    following = heading_level(after)
    if following is not None:
        return found[0] if following[0] > found[0] else None
    return found[0] if len(after) > len(line) else None


def _pairs(text: str) -> Iterator[tuple[_Line, _Line | None]]:
    """Each line that is not blank, with the next such line."""
    current: _Line | None = None
    parted = True
    for offset, raw in lines(text):
        stripped = raw.strip()
        if not stripped:
            parted = True
            continue
        line = _Line(offset + raw.index(stripped), stripped, parted)
        if current is not None:
            yield current, line
        current, parted = line, False
    if current is not None:
        yield current, None
