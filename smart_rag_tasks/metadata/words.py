"""Sentences into words: what is written, what it counts as, and what it can be in a key phrase."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from itertools import accumulate, chain
from typing import Any, Final
from unicodedata import category

from .kept import SIZE, Kept
from .lexicon import (
    RARE,
    chinese_empty,
    chinese_stop,
    english_common,
    english_finite,
    english_mostly_verbs,
    english_plurals,
    english_stop,
    english_verbs,
    english_weak,
    function_words,
)

#: Kinds of words. CONTENT may be a keyword, WEAK may stand inside one, STOP and BREAK end it, NUMBER may follow.
CONTENT, WEAK, NUMBER, STOP, BREAK = "content", "weak", "number", "stop", "break"
#: Where in a phrase a verb makes it loose: it may be a clause, and is no phrase unless the text repeats it.
ANYWHERE, FIRST, LAST = "anywhere", "first", "last"
#: Tag of a hyphen or middle dot inside a name.
JOINER: Final = "-"


@dataclass(slots=True, eq=False)
class Word:
    """One word of a sentence; shared, one object for each way of writing, so nothing may change it."""

    #: As it is written.
    text: str
    #: What occurrences are counted by: lower case, plural as singular, simplified characters.
    key: str
    #: CONTENT, WEAK, NUMBER, STOP or BREAK.
    kind: str
    #: Part of speech where the language's tagger gives one, else "".
    tag: str = ""
    #: Whether a key phrase can begin or end with it.
    opens: bool = False
    closes: bool = False
    #: Whether no phrase goes on over it: it begins another one (English participles) or none (finite verbs).
    parts: bool = False
    #: Where it makes a phrase loose: ANYWHERE, FIRST, LAST or "".
    loose: str = ""
    #: Whether it may be (part of) a name: written with a capital, or tagged as one.
    named: bool = False
    #: Whether it tells what a whole document is about if the document comes back to it.
    topical: bool = False
    #: The key of a content word, "" for a word that says nothing of what a text is about.
    says: str = field(init=False)
    #: Whether a phrase that came to here goes no further.
    ends: bool = field(init=False)

    def __post_init__(self) -> None:
        self.says = self.key if self.kind is CONTENT else ""
        self.ends = self.parts or self.kind in (STOP, BREAK)


#: An address, which is one word and names nothing; else a word (/etc/apt, ~/.bashrc, .NET), a number, or a mark.
_LATIN: Final = re.compile(
    r"\w+://[^\s<>\"'）)\]]*[\w/]|[\w.+-]+@\w[\w.-]*\w|"
    r"(?:(?<![\w./~)\]])(?:(?:~|\.\.?)?/\.?|\.)(?=[A-Za-z]))?\w+(?:[-./&+·]\w+|['’](?!s\b)\w+)*[+#]*|['’]s\b|[^\w\s]"
)
_NUMERIC: Final = re.compile(r"[\d.,:/%+\-]+(?:st|nd|rd|th|s|k|m|mb|gb|kb|ms|km|kg|cm|mm|%)?", re.IGNORECASE)
_HAN: Final = re.compile("[\u3400-\u4dbf\u4e00-\u9fff]")
#: Characters that no space stands beside.
_WIDE: Final = re.compile("[\u3000-\u9fff\uff00-\uffef]")
#: Scripts with spaces between clauses only (Thai, Lao, Tibetan, Burmese, Khmer): each is taken for one word.
_UNSPACED: Final = re.compile("[\u0e00-\u109f\u1780-\u17ff]")
_SCHEMES: Final = frozenset({"http", "https", "www"})
#: What no space stands before.
_CLOSERS: Final = frozenset({".", "'s", "’s"})
_JOINERS: Final = frozenset("-–·‐")
_ZERO_WIDTH_JOINERS: Final = frozenset("\u200c\u200d")

#: Tags of jieba's dictionary for names: persons, places, organizations, others.
NAME_TAGS: Final = frozenset({"nr", "nrt", "nrfg", "ns", "nt", "nz"})
#: Tags of jieba's dictionary whose words can name a subject: nouns, names, idioms, verbal nouns, words of an alphabet.
_SUBJECT_TAGS: Final = frozenset({"n", "nr", "nrt", "nrfg", "ns", "nt", "nz", "ng", "vn", "an", "j", "l", "i", "eng"})
#: What the dictionary has as nouns, and ends a clause (启动进程时, 文件夹内).
_CLAUSE_ENDS: Final = frozenset("时内")
#: Those that may stand inside a compound noun: verbs, adjectives, affixes, characters the dictionary lacks.
_MODIFIER_TAGS: Final = frozenset({"v", "vi", "vg", "a", "ad", "ag", "b", "g", "k", "h", "x"})
_NEVER_FIRST: Final = frozenset({"k", "x"})
#: Where words of these tags make a compound loose: verbs, and what the tagger takes apart (甘地承认有罪, 日志归档);
#: attributes (可见性超时).
_LOOSE_TAGS: Final = {"v": ANYWHERE, "vi": ANYWHERE, "vg": ANYWHERE, "x": ANYWHERE, "b": LAST}
#: Tags that may end such a compound.
_LOOSE_ENDS: Final = frozenset({"v", "vi", "b"})
#: First letters of the tags that a document's topics may have: nouns, verbs, adjectives, idioms, abbreviations.
_TOPICAL_TAGS: Final = frozenset("nvabijlszt")
#: What is no word where the dictionary does not have it: a character and half of a phrase (牛用, 前要, 该包, 其活).
_NO_WORD: Final = re.compile("[其此该这那所将需但而以让就还].|.[用要把被为是有到使该均将]")
#: A verb with the direction that it takes, whatever the dictionary has it as (滑下去, 看起来).
_WITH_DIRECTION: Final = re.compile(".+[上下进出回过起][来去]")
#: English words in -ed, and irregular verbs' forms, that are nouns or adjectives just as well.
_NO_PARTICIPLES: Final = frozenset(
    {"breed", "hundred", "sacred", "speed", "naked", "embed", "wicked", "indeed", "crossbreed"}
    | {"bit", "bore", "fell", "felt", "lay", "led", "rose", "saw", "shot", "wound"}
)
#: Languages, and none known, in which -ed is a participle's ending.
_ENGLISH: Final = frozenset({"en", ""})
#: Characters; what is longer is data, no word.
_MAX_WORD: Final = 40


def split_words(sentence: str, language: str) -> list[Word]:
    """The sentence's words and punctuation marks in order."""
    if not sentence.isascii() and _HAN.search(sentence):
        simplified = to_simplified(sentence)
        texts = rjieba().cut(simplified)
        if simplified == sentence:
            return [_CHINESE_WORDS[text] for text in texts if not text.isspace()]
        ends = accumulate(map(len, texts))
        written = [sentence[end - len(text) : end] for text, end in zip(texts, ends, strict=True)]
        return [_TRADITIONAL_WORDS[both] for both in zip(texts, written, strict=True) if not both[0].isspace()]
    return list(chain.from_iterable(map(_between_spaces(language).__getitem__, sentence.split())))


@lru_cache(maxsize=4)
def _between_spaces(language: str) -> Kept[str, list[Word]]:
    """The words and marks of what stands between two spaces."""
    words = _latin_words(language)

    def split(token: str) -> list[Word]:
        if token.isalnum():
            return [words[token]]
        return [words[token[found.start() : found.end()]] for found in _LATIN.finditer(_marks_as_letters(token))]

    return Kept(split)


def _marks_as_letters(token: str) -> str:
    """The token with "x" for a letter's combining marks and joiners, which ``\\w`` does not match."""
    if token.isascii():
        return token
    letters = ""
    on_letter = False
    for char in token:
        marked = on_letter and (category(char) in ("Mn", "Mc") or char in _ZERO_WIDTH_JOINERS)
        on_letter = marked or char.isalpha()
        letters += "x" if marked else char
    return letters


@lru_cache(maxsize=4)
def _latin_words(language: str) -> Kept[str, Word]:
    return Kept(partial(_latin_word, language=language))


def _latin_word(text: str, language: str) -> Word:
    if len(text) == 1 and not text.isalnum():
        return Word(text, text, BREAK)
    lower = text.lower().replace("’", "'")
    named = is_capital(text)
    if "://" in lower or "@" in lower or text in _SCHEMES:
        return Word(text, lower, STOP)
    if lower == "'s":
        return Word(text, lower, WEAK)
    if not lower[0].isalpha() and _NUMERIC.fullmatch(lower):
        return Word(text, lower, NUMBER)
    if len(lower) > 1 and _UNSPACED.match(lower):
        short = len(lower) <= _MAX_WORD
        return Word(text, lower, CONTENT, opens=short, closes=short, parts=True, topical=short)
    if not 1 < len(lower) <= _MAX_WORD or lower in english_stop() or language in function_words().get(lower, ()):
        return Word(text, lower, STOP, named=named)
    key = singular(lower)
    if text[-1] == "S" and key not in english_common():  # NeurIPS, HTTPS
        key = lower
    participle = text.islower() and _is_participle(key)
    if lower in english_weak() or key in english_weak() or (lower.endswith("ly") and text.islower()):
        return Word(text, key, WEAK, opens=named and not participle, parts=participle, named=named)  # New York
    if lower in english_finite() and text.islower():
        return Word(text, key, CONTENT, parts=True, topical=True)
    closes = not (participle and language in _ENGLISH)
    loose = _where_loose(lower) if text.islower() else ""
    return Word(text, key, CONTENT, opens=True, closes=closes, parts=participle, loose=loose, named=named, topical=True)


def is_capital(word: str) -> bool:
    """Whether it is written with a capital (Debian, .NET)."""
    return word[0].isupper() or (word[0] == "." and word[1:2].isupper())


def _where_loose(word: str) -> str:
    """Of an English word: a phrase may begin with a verb's base form, and go on over its third person."""
    verbs = english_mostly_verbs()
    if word in verbs:
        return FIRST
    is_third = (
        (word.endswith("s") and word[:-1] in verbs)
        or (word.endswith("es") and word[:-2] in verbs)
        or (word.endswith("ies") and word[:-3] + "y" in verbs)
    )
    return ANYWHERE if is_third else ""


def _is_participle(word: str) -> bool:
    return word not in _NO_PARTICIPLES and (word in english_verbs() or (len(word) > 4 and word.endswith("ed")))


@lru_cache(maxsize=1)
def rjieba() -> Any:
    """The tagger, imported when the first Chinese text comes: its dictionary takes 33 MB."""
    import rjieba as engine

    return engine


@lru_cache(maxsize=1)
def _opencc() -> Any:
    """The converter of characters, imported when the first Chinese text comes."""
    from opencc import OpenCC

    return OpenCC("t2s")


def to_simplified(text: str) -> str:
    """Chinese text in simplified characters, which the dictionary has, character for character."""
    simplified: str = _opencc().convert(text)
    return simplified if len(simplified) == len(text) else text


def _traditional_word(texts: tuple[str, str]) -> Word:
    """The word by its simplified characters, as it is written."""
    simplified, written = texts
    word = _CHINESE_WORDS[simplified]
    return word if written == simplified else replace(word, text=written)


def _chinese_word(text: str) -> Word:
    if not _HAN.search(text):
        return _foreign_word(text)
    # jieba's tags do not depend on the context: one word at a time they can be kept, and cutting takes half the time.
    tagged = rjieba().tag(text)
    tag = tagged[0][1] if len(tagged) == 1 else "x"
    if tag == "m":
        return Word(text, text, NUMBER, tag)
    if _WITH_DIRECTION.fullmatch(text) or (len(text) == 2 and _NO_WORD.match(text) and not rjieba().has_word(text)):
        return Word(text, text, STOP, tag)
    subject = tag in _SUBJECT_TAGS and text not in _CLAUSE_ENDS
    long = len(text) > 1
    topical = long and tag[0] in _TOPICAL_TAGS and text not in chinese_empty()
    if text in chinese_stop() or not (subject or tag in _MODIFIER_TAGS):
        return Word(text, text, WEAK if subject else STOP, tag, opens=subject, closes=subject, topical=topical)
    return Word(
        text,
        text,
        CONTENT if subject and long else WEAK,
        tag,
        opens=tag not in _NEVER_FIRST,
        closes=subject or tag == "k" or (tag in _LOOSE_ENDS and long),
        loose=_LOOSE_TAGS.get(tag, ""),
        named=long and tag in NAME_TAGS,
        topical=topical,
    )


def _foreign_word(text: str) -> Word:
    """A word of an alphabet, a number or a mark within Chinese text."""
    if text in _JOINERS:
        return Word(text, text, WEAK, JOINER)
    word = _latin_words("en")[text]
    if word.kind == NUMBER:
        return replace(word, tag="m", closes=True)
    return replace(word, tag="eng", parts=False)


_CHINESE_WORDS: Final = Kept(_chinese_word)
_TRADITIONAL_WORDS: Final = Kept(_traditional_word)


@lru_cache(maxsize=SIZE)
def rarity(key: str) -> float:
    """How little everyday a word is: 1 for common words to 3 for those outside the common ones."""
    if not _HAN.search(key):
        return english_common().get(key, RARE)
    if not rjieba().has_word(key):
        return RARE
    # Of the 60 million words that jieba's dictionary counts: 10,000 and more is everyday, under 10 is rare.
    digits = len(str(rjieba().suggest_freq(key)))
    return max(1.0, RARE - 0.5 * (digits - 1))


def is_known(word: str, fewest: int) -> bool:
    """Whether jieba's dictionary counts a Chinese word ``fewest`` times."""
    return bool(rjieba().has_word(word) and rjieba().suggest_freq(word) >= fewest)


def rareness(power: float) -> Kept[str, float]:
    """Each word's rarity to ``power``, by its key."""
    return Kept(lambda key: math.pow(rarity(key), power))


def singular(word: str) -> str:
    """An English noun's singular by rule and dictionary; other words as they are."""
    if word in english_plurals():
        return english_plurals()[word]
    if len(word) < 4 or not word.endswith("s"):
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("ses", "xes", "zes", "ches", "shes")):
        return word[:-1] if word[:-1] in english_common() else word[:-2]
    return word if word.endswith(("ss", "us", "is")) else word[:-1]


def join(words: Sequence[Word]) -> str:
    """The words of a phrase as text: a space between words of alphabets, none beside Chinese or hyphens."""
    if not words:
        return ""
    text = words[0].text
    for word in words[1:]:
        text += f" {word.text}" if _needs_space(text[-1], word.text) else word.text
    return text


def _needs_space(left: str, right: str) -> bool:
    between = left + right
    if between.isascii() and between.isalnum():
        return True
    if left in _JOINERS or right in _CLOSERS or right in _JOINERS:
        return False
    return not (_WIDE.match(left) or _WIDE.match(right))
