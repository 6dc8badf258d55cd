"""A copy of a text, of the same length, in which it can be seen where it may be cut.

Two newlines end a paragraph, one ends a line that is meant: an item, a row, code. Newlines that only wrap a
paragraph are spaces, so that sentences can be found. What hides a sentence's end, or looks like one, is a quotation
mark: Markdown's marks, addresses of links, the dots of ``example.org``, of ``Mr. Lee`` and of an item's ``1.``
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from .converted import Markup
from .headings import lines, outside_fences

#: (offset, line as it is to be read, newlines that stay before it: 0, 1 or more).
_Read = Iterator[tuple[int, str, int]]

#: Marks that may stand between a sentence's end and the space after it: quotation marks are known to (UAX 29).
_MARKS: Final = str.maketrans(dict.fromkeys("*_`~|", '"'))
#: Where no sentence ends: inside of names and addresses, after abbreviations and initials.
_NO_END: Final = re.compile(
    r"[.?!](?:(?=[A-Za-z0-9/=&#%_-])|(?!\S)(?:(?<=\b[A-ZÀ-ÞА-Я]\.)|(?<=\b(?:Mr|Ms|Dr|St|Lt|Mt|Ft|vs|cf|pp)\.)"
    r"|(?<=\b(?:Mrs|Gen|Gov|Sen|Rep|Rev|Col|Sgt|Maj|[Ff]ig|[Vv]ol|e\.g|i\.e)\.)|(?<=\b(?:Prof|Capt|[Ff]igs)\.)"
    r"|(?<=\bNo\.)(?=\s\d)))"
)
_ADDRESS: Final = re.compile(r"\]\([^()\s]*(?:\([^()\s]*\)[^()\s]*)*(?:\s+\"[^\"]*\")?\)|<[A-Za-z/!][^<>]*>")
#: A line that ends so is not left alone by what it introduces.
_INTRODUCES: Final = (":", "：")
#: Numbers are items where a list is known to be: "3." may as well end a sentence.
_NUMBER: Final = re.compile(r"[ \t]*(?:\d{1,3}\.)*\d{1,9}\\?[.)][ \t]+")
#: Items of lists, and numbers of headings.
_ITEM: Final = re.compile(rf"[ \t]*[-*+•][ \t]+|(?:#{{1,6}}[ \t]+)?{_NUMBER.pattern}")


def unwrap(text: str, body: int, markup: Markup) -> str:
    """The copy of a section whose headings end before ``body``: these are one line with what follows them."""
    read = _markdown(text) if markup == "markdown" else _plain(text)
    parts, at = list[str](), 0
    for start, line, newlines in read:
        gap = start - at
        parts += ["\n" * min(newlines if at > body else 0, gap)]
        parts += [" " * (gap - len(parts[-1])), line]
        at = start + len(line)
    parts += ["\n".ljust(len(text) - at) if at < len(text) else ""]
    return "".join(parts)


def _prose(line: str, *, begins: bool) -> str:
    """The line with its sentences' ends in the open; ``begins``: it does not go on with the one before it."""
    item = _ITEM.match(line) if begins or line.startswith("#") else None
    text = line[item.end() :] if item else line
    if "](" in text or "<" in text:
        text = _ADDRESS.sub(lambda address: '"' * len(address[0]), text)
    text = _NO_END.sub('"', text.translate(_MARKS))
    return '"' * (len(line) - len(text)) + text


# -- Markdown

_QUOTE: Final = re.compile(r" {0,3}(?:>[ \t]?)+")
_FENCE: Final = re.compile(r"[ \t>]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)*(?:`{3,}|~{3,})")
#: What begins a line of its own: items, images, rows, headings, rules, footnotes, definitions and blocks of HTML.
_BEGINS: Final = re.compile(
    r"(?:[-*+•][ \t]|1\\?[.)][ \t]|\[?!\[|[|:]|#{1,6}[ \t]|(?:[-*_][ \t]*){3,}$|\[[^\]]+\]:|<!--"
    r"|</?(?:address|article|aside|blockquote|br|dd|details|div|dl|dt|figure|form|h[1-6]|hr|img|li|ol|p|picture|pre"
    r"|section|source|summary|table|tbody|tfoot|thead|tr|ul|video)\b)",
    re.IGNORECASE,
)
#: What ends with its line: rows, headings, rules, tags, and a line that is broken on purpose.
_ENDS: Final = re.compile(
    r"(?:\||#{1,6}[ \t]|(?:[-*_][ \t]*){3,}$|<!--|</?[a-z][^>]*>$)|.*(?:  |\\|<br ?/?>|\|)$", re.IGNORECASE
)
#: The line below a table's head.
_UNDER_HEAD: Final = re.compile(r"\|?[ \t]*:?-+:?[ \t]*\|[-:| \t]*$")
#: What goes on with a row of a table in HTML.
_CELL: Final = re.compile(r"<t[dh]\b|</t[dhr]\b", re.IGNORECASE)
#: A line in bold is a heading to many.
_BOLD: Final = re.compile(r"\*\*.{1,100}\*\*|__.{1,100}__")
#: Columns that make a paragraph code; in a list, twice as many.
_INDENT: Final = 4


@dataclass(slots=True)
class _Line:
    """A line of Markdown that is not blank, without its indent and the marks of quotes."""

    text: str = ""
    #: In a block of code, a comment or HTML with code; ``code``: there, or indented.
    block: bool = False
    code: bool = False
    #: The first line of such a block.
    opens: bool = False
    quoted: bool = False
    in_list: bool = False
    in_table: bool = False


def _markdown(text: str) -> _Read:
    before, end, blank = _Line(), 0, False
    for offset, raw, outside in outside_fences(text):
        quote = _QUOTE.match(raw)
        mark, written = (quote[0], raw[quote.end() :]) if quote else ("", raw)
        bare = written.lstrip(" \t")
        blank = blank or not bare or text.count("\n", end, offset) > 1
        end = offset + len(raw)
        if not bare:
            continue
        columns = len(written[: -len(bare)].expandtabs(_INDENT)) if written[0] in " \t" else 0
        indented = columns >= _INDENT * (1 + before.in_list) and (blank or before.code)
        line = _Line(bare, not outside, indented or not outside, quoted=bool(quote))
        newlines = _newlines(before, line, blank=blank)
        read = raw if line.code else mark + _prose(written, begins=newlines > 0 or not offset)
        yield (offset, read, newlines) if newlines else (offset + len(mark), read[len(mark) :], 0)
        line.opens = line.block and not before.block and _FENCE.match(bare) is not None
        line.in_list = bool(newlines and _ITEM.match(written)) or (before.in_list and (not blank or columns > 0))
        line.in_table = not line.code and (_UNDER_HEAD.match(bare) is not None or (before.in_table and not blank))
        before, blank = line, False


def _newlines(before: _Line, line: _Line, *, blank: bool) -> int:
    """How many newlines stay between two lines, which have blank ones between them or not."""
    if line.code and before.code:
        closes = line.block and _FENCE.fullmatch(line.text.rstrip())
        return 0 if before.opens or closes or before.text.endswith(_INTRODUCES) else 1
    if _BOLD.fullmatch(before.text) or (before.text.endswith(_INTRODUCES) and before.text.strip(":")):
        return 0
    if blank:
        return 2
    if line.code or before.code or line.quoted > before.quoted:
        return 1
    if _UNDER_HEAD.match(line.text) or _UNDER_HEAD.match(before.text) or _CELL.match(line.text):
        return 0
    is_number = before.in_list and _NUMBER.match(line.text)
    return 1 if before.in_table or is_number or _BEGINS.match(line.text) or _ENDS.match(before.text) else 0


# -- plain text

#: Wide characters take two columns.
_WIDE: Final = re.compile("[\u1100-\u11ff\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\uff00-\uff60]")
#: What tables have between their columns, items before them, and Chinese paragraphs.
_NO_PROSE: Final = re.compile(r"\u3000|.*\S(?: {3}|\t)|[ \t]*[-*+•][ \t]")
_FIRST_WORD: Final = re.compile(r"\s*([^\s\u2e80-\uffff]*)(\S?)")
#: Columns of a wide character with the marks that may not begin a line.
_WIDE_WORD: Final = 6
#: Columns that the lines of prose are wide at least, and words in them.
_NARROW: Final = 40
_WORDS: Final = 4
#: Lines of a paragraph that are looked at together.
_MAX_LINES: Final = 1000


def _plain(text: str) -> _Read:
    before = ""
    for newlines, paragraph in _paragraphs(text):
        wrapped = _wrapped([line for _, line in paragraph])
        for number, (offset, line) in enumerate(paragraph):
            joined = wrapped[number] or before.endswith(_INTRODUCES)
            kept = 0 if joined else newlines if number == 0 else 1
            yield offset, _prose(line, begins=kept > 0 or not offset), kept
            before = line


def _paragraphs(text: str) -> Iterator[tuple[int, list[tuple[int, str]]]]:
    """(newlines before it, its lines) of each paragraph."""
    paragraph, newlines, end = list[tuple[int, str]](), 0, 0
    for offset, line in lines(text):
        if not line.strip():
            continue
        between = text.count("\n", end, offset)
        if paragraph and (between > 1 or len(paragraph) == _MAX_LINES):
            yield newlines, paragraph
            paragraph, newlines = [], between
        paragraph.append((offset, line))
        end = offset + len(line)
    if paragraph:
        yield newlines, paragraph


def _wrapped(paragraph: list[str]) -> list[bool]:
    """Whether each line goes on with the one before it: there was no room for this one's first word.

    That is so for most lines of prose, and half of them begin inside a sentence, a quarter where each line is full
    (Germans write nouns with capitals); else none counts.
    """
    columns = [len(line.rstrip()) + len(_WIDE.findall(line)) for line in paragraph]
    # Not the widest: an address may be longer than a line.
    width = sorted(columns)[len(columns) * 9 // 10]
    none = [False] * len(paragraph)
    if width < _NARROW or not _is_varied(paragraph):
        return none
    numbered = _NUMBER.match(paragraph[0]) is not None
    wrapped = [False] + [
        here + _first_word(line) > width and not (_NO_PROSE.match(line) or (numbered and _NUMBER.match(line)))
        for here, line in zip(columns, paragraph[1:], strict=False)
    ]
    inside = sum(full and _goes_on(line) for full, line in zip(wrapped, paragraph, strict=True))
    lines = sum(not _NO_PROSE.match(line) for line in paragraph[1:])
    return wrapped if inside * (4 if sum(wrapped) >= lines else 2) >= lines else none


def _is_varied(paragraph: list[str]) -> bool:
    """Whether lines have several words, and few begin as the line before: else it is a list, or a log."""
    first = [line.split(None, 1)[0] for line in paragraph]
    same = sum(word == before for before, word in pairwise(first))
    words = sum(len(line.split()) for line in paragraph)
    return 2 * same < len(paragraph) and (words >= _WORDS * len(paragraph) or bool(_WIDE.search(paragraph[0])))


def _first_word(line: str) -> int:
    """Columns of a space and the line's first word."""
    word = _FIRST_WORD.match(line)
    return 1 + len(word[1]) + _WIDE_WORD * len(word[2])  # type: ignore[index]


def _goes_on(line: str) -> bool:
    """Whether the line begins with a letter that is no capital."""
    first = line.lstrip(" \t\"'“‘([")[:1]
    return first.isalpha() and not first.isupper()
