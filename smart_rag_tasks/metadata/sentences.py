"""Text into sentences: sentencex for the ends, and what it leaves: line breaks, headings, list items, endless lines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from typing import Final
from unicodedata import normalize

from sentencex import segment

from .lexicon import english_common

#: Characters; a "sentence" over it (a table, a log, minified code) is cut, so that later steps stay linear.
MAX_SENTENCE: Final = 600

#: Accents and voicing marks that are written apart from their letters (Unicode's decomposed form).
_ACCENTS: Final = re.compile("[\u0300-\u036f\u3099\u309a]")
_LIGATURE: Final = re.compile("[\ufb00-\ufb06]")
_SURROGATES: Final = re.compile("[\ud800-\udfff\x00]")
#: One of these, or a soft hyphen, is in each text that is not left as it is.
_ODD: Final = re.compile("[\u00ad\x00\u0300-\u036f\u3099\u309a\ud800-\udfff\ufb00-\ufb06]")
#: What numbers a heading or an item: 1. or 4.1.2. or A.2. or 1) or 1、
_NUMBERING: Final = r"(?:(?:\d{1,3}\.){0,6}\d{1,3}[.)、]|[A-Z](?:\.\d{1,3}){1,6}\.)\s"
#: How headings end, but neither sentences nor lists' introductions.
_NO_END: Final = r"[^\n.!?。！？…:：;；,，、]"
#: A line break ends a sentence before a heading, a list item, a table row or an empty line.
_BREAK: Final = re.compile(
    rf"\n(?:\s*\n|(?=\s*(?:#{{1,6}}\s|[-*+•]\s|{_NUMBERING}|\|))|(?=[^\n]{{0,59}}{_NO_END}\n\s*\n))"
)
_MARKUP: Final = re.compile(rf"^\s*(?:(?:#{{1,6}}\s+)?{_NUMBERING}\s*|#{{1,6}}\s+|[-*+•>]\s+|\|[|\s]*)")
#: A number with a word before it at the most (4.1.2. or Table 9.24.), of which the full stop ends no sentence.
_NUMBER: Final = re.compile(r"\W*(?:\w+ )?(?:\w*\d|[A-Z](?=\.\d))(?:\.\d+)*\.\s*")
_LONGEST_NUMBER: Final = 40
#: How headings that ask or exclaim end; they are no sentences of the text.
_HEADING_ENDS: Final = ".?!。？！"
#: Marks of program code, and how many of them, and what share of its characters, make a sentence code. Brackets count
#: where a name stands before them, as no prose has it, but for a note [1] and plural(s).
_CODE_MARKS: Final = re.compile(
    r"[={}<>\\]|;(?!\s)|[A-Za-z0-9_\])][(\[](?!\d+[\])]|s\))|[A-Za-z0-9]_|\$[A-Za-z({]|[/|&][/|&]"
)
#: One of these is in each: far sooner counted.
_MARK_CHARACTERS: Final = re.compile(r"[={}<>\\;(\[_$/|&]")
_FEWEST_MARKS: Final = 2
_MARKS_SHARE: Final = 0.04
#: At most so many characters up to a space, or without any.
_PIECE: Final = re.compile(rf".{{1,{MAX_SENTENCE}}}(?:\s|$)|.{{{MAX_SENTENCE}}}")
#: Markup of HTML in a text that was not parsed as such.
_TAG: Final = re.compile(r"</?[A-Za-z][A-Za-z0-9]*(?:\s[^<>]{0,500})?/?>")
#: Markdown's links and images, of which the words stay, and its marks for strong words, emphasis and code.
_LINK: Final = re.compile(r"!?\[([^\[\]\n]*)\]\([^()\s]*(?:\([^()\s]*\)[^()\s]*)?(?:\s+\"[^\"\n]*\")?\)")
_STRONG: Final = re.compile(r"\*\*(?=\S)([^*\n]+)(?<=\S)\*\*")
_EMPHASIS: Final = re.compile(r"(?<![A-Za-z0-9_])\*(?=\S)([^*\n]+)(?<=\S)\*(?![A-Za-z0-9_*])")
_CODE: Final = re.compile(r"`([^`\n]+)`")
#: The line before and after a block of code.
_FENCE: Final = re.compile(r"^[ \t]*(?:```|~~~).*$", re.MULTILINE)
_INFO: Final = re.compile(r"^[ \t]*(?:```+|~~~+)(.*)$", re.MULTILINE)
#: Markdown's links by a name, and the lines that say where these lead.
_REFERENCE: Final = re.compile(r"\[([^\[\]\n]+)\]\[[^\[\]\n]*\]")
_DEFINITION: Final = re.compile(r"^ {0,3}\[[^\[\]\n]+\]:[ \t]+\S+.*$", re.MULTILINE)
#: What leads to a page's number in a table of contents.
_LEADER: Final = re.compile(r"(?<![.…·])(?<![.…·][ \t])(?:[.…·](?:[ \t]?[.…·]){4,}|…{2,})[ \t]*\d+")
#: A line's end between Chinese characters.
_WRAPPED: Final = re.compile(r"(?<=[一-鿿，、；：])[ \t]*\n[ \t]*(?=[一-鿿])")
#: A word that a line's end cuts in two.
_HYPHENATED: Final = re.compile(r"([a-zß-ÿ]+)-\n([a-zß-ÿ]+)")
_CHINESE_END: Final = re.compile(r"(?<=[。！？；])(?![”’」』）)])|(?<=[一-鿿][.!?;])(?=\s*[一-鿿\"“])")


def without_code_blocks(text: str) -> str:
    """The text without what stands between fences (three backticks or tildes)."""
    if "```" not in text and "~~~" not in text:
        return text
    parts, infos = _FENCE.split(text), _INFO.findall(text)
    if not infos:  # the three are inside of lines
        return text
    # Of a block that a chunk's end cuts one fence is there: which one it is, its language tells, or what stands above.
    opens, odd = bool(infos[-1].strip()), len(infos) % 2
    closes = not infos[0].strip() and (opens ^ bool(odd)) and (opens or _is_mostly_code(parts[0]))
    return "\n".join(parts[1::2] if closes else parts[::2])


def _is_mostly_code(text: str) -> bool:
    lines = [line for line in text.splitlines() if line.strip()]
    return 2 * sum(line.startswith((" ", "\t")) or _is_code(line) for line in lines) >= len(lines)


def clean(text: str) -> str:
    """The text without what is no part of its words: NUL, lone surrogates, tags, comments, link targets, hyphens of
    line ends, leaders to pages.

    Letters and their accents are composed, ligatures are letters.
    """
    if "<!--" in text:
        head, *rest = text.split("<!--")
        text = head + " ".join(part.partition("-->")[2] if "-->" in part else part for part in rest)
    if "</" in text:
        text = unescape(_TAG.sub(" ", text))
    if "```" in text or "~~~" in text:
        text = _FENCE.sub("\n", text)
    if "](" in text:
        text = _LINK.sub(r"\1", _LINK.sub(r"\1", text))  # a link may hold an image
    if "][" in text:
        text = _REFERENCE.sub(r"\1", text)
    if "]:" in text:
        text = _DEFINITION.sub("", text)
    if ".." in text or ". ." in text or "……" in text:
        text = _LEADER.sub("\n\n", text)
    if "*" in text:
        text = _STRONG.sub(r"\1", _EMPHASIS.sub(r"\1", text))  # strong words may hold emphasis
    if "`" in text:
        text = _CODE.sub(r"\1", text)
    if "-\n" in text:
        text = _HYPHENATED.sub(_whole, text)
    if text.isascii():
        return text.replace("\0", " ")
    if not _ODD.search(text):
        return text
    text = _SURROGATES.sub(" ", text.replace("\u00ad", ""))
    text = _LIGATURE.sub(lambda found: normalize("NFKC", found[0]), text)
    return normalize("NFC", text) if _ACCENTS.search(text) else text


def _whole(word: re.Match[str]) -> str:
    """Without the hyphen, unless both parts are English words of their own (long-term)."""
    first, second = word.groups()
    return f"{first}-{second}" if {first, second} <= english_common().keys() else f"{first}{second}"


def split(text: str, language: str) -> list[str]:
    """The sentences in order, without Markdown's marks, spaces made single; none over 600 characters."""
    found: list[str] = []
    for block in _BREAK.split(text):
        line = " ".join((_WRAPPED.sub("", block) if language == "zh" else block).split())
        if line.startswith("#"):
            line = line.rstrip(_HEADING_ENDS)
        for sentence in _segment(line, language) if line else ():
            for part in _CHINESE_END.split(sentence) if language == "zh" else (sentence,):
                tidy = part.strip()
                tidy = tidy.rstrip("| ") if tidy.endswith("|") else tidy
                found.extend(_cut(tidy if tidy[:1].isalpha() else _MARKUP.sub("", tidy)))
    return found


def _segment(line: str, language: str) -> Iterator[str]:
    """The line's sentences; the full stop of a number before a heading, of .NET and of asyncio.Queue ends none."""
    sentence = ""
    for piece in segment(language or "en", line):
        if sentence and not _goes_on(sentence, piece):
            yield sentence
            sentence = ""
        sentence += piece
    if sentence:
        yield sentence


def _goes_on(sentence: str, piece: str) -> bool:
    if sentence.endswith(" .") or (len(sentence) < _LONGEST_NUMBER and _NUMBER.fullmatch(sentence)):
        return True
    around = sentence[-2:-1] + piece[:1]  # asyncio.Queue
    return sentence.endswith(".") and around.isascii() and around.isalnum()


def _cut(sentence: str) -> list[str]:
    if len(sentence) <= MAX_SENTENCE:
        return [sentence] if sentence else []
    return [piece for piece in map(str.strip, _PIECE.findall(sentence)) if piece]


def prose(found: list[str]) -> list[str]:
    """The sentences that are not program code."""
    return [sentence for sentence in found if not _is_code(sentence)]


def _is_code(sentence: str) -> bool:
    fewest = max(_FEWEST_MARKS, _MARKS_SHARE * len(sentence))
    return len(_MARK_CHARACTERS.findall(sentence)) >= fewest and len(_CODE_MARKS.findall(sentence)) >= fewest
