"""Which language a text is in: by its script, and among languages in Latin script by their function words.

Chinese is decided before all else: statistical detectors call Chinese text with code in it English two times of
three, because most of its letters are Latin. Here Latin letters count for English only as far as they are English
*prose*, and code has hardly any function words.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from .kept import Kept
from .lexicon import function_words

#: Characters that are looked at: more change nothing, and a chunk may be a hundred thousand long.
_SAMPLE: Final = 1000
#: Characters after which most prose in Latin script is clear, and the hits it has then.
_GLANCE: Final = 300
_CLEAR_HITS: Final = 8
#: Han characters in a Chinese word, and words of English prose to one of the words below: both bring counts to words.
_HAN_PER_WORD: Final = 1.7
_PROSE_PER_MARK: Final = 4.0
#: Frequent in English prose, rare in code (unlike ``for``, ``in``, ``is``, ``not``, ``from``).
_PROSE_MARKS: Final = frozenset(
    [
        "the",
        "of",
        "to",
        "that",
        "this",
        "these",
        "are",
        "was",
        "were",
        "which",
        "by",
        "have",
        "has",
        "its",
        "their",
        "will",
        "would",
    ]
)

_HAN_RANGES: Final = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002fa1f"
#: Those of the scripts below.
_OTHER_RANGES: Final = "\u0370-\u1cff\u3041-\u30fa\uac00-\ud7af"
_HAN: Final = re.compile(f"[{_HAN_RANGES}]+")
_OTHER: Final = re.compile(f"[{_OTHER_RANGES}]+")
#: A letter of any script but Latin.
_SCRIPT: Final = re.compile(f"[{_OTHER_RANGES}{_HAN_RANGES}]")
_KANA: Final = re.compile("[\u3041-\u309f\u30a1-\u30fa]")
#: Function words that a text must have for a language other than English, and their share of its words.
_FEWEST_HITS: Final = 2
_SHARE: Final = 0.12
#: Of languages that a text has equally many words of ("la" is a word of six) the first of these.
_WIDESPREAD: Final = ("en", "fr", "es", "pt", "it", "de")
_LETTERS_PER_WORD: Final = 5
#: Letters that English has in foreign words only.
_FOREIGN: Final = re.compile("[\u00c0-\u024f\u1e00-\u1eff]")
_ENGLISH_WORD: Final = re.compile("[a-z]+")
#: A letter or digit that ASCII lacks; quotation marks, dashes and U+FFFD for a broken character are none.
_BEYOND_ASCII: Final = re.compile(r"[^\x00-\x7f\W]")
_LATIN_WORD: Final = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
#: The languages of a word that is none's function word, and of what is no word in lower case.
_NONE: Final[frozenset[str]] = frozenset()
_NO_WORD: Final = frozenset({""})
_SCRIPTS: Final = {
    "ko": re.compile("[\uac00-\ud7af\u1100-\u11ff]"),
    "ru": re.compile("[\u0400-\u04ff]"),
    "el": re.compile("[\u0370-\u03ff]{2,}"),  # single letters are symbols
    "ar": re.compile("[\u0600-\u06ff\u0750-\u077f]"),
    "he": re.compile("[\u0590-\u05ff]"),
    "hi": re.compile("[\u0900-\u097f]"),
    "bn": re.compile("[\u0980-\u09ff]"),
    "pa": re.compile("[\u0a00-\u0a7f]"),
    "gu": re.compile("[\u0a80-\u0aff]"),
    "ta": re.compile("[\u0b80-\u0bff]"),
    "te": re.compile("[\u0c00-\u0c7f]"),
    "kn": re.compile("[\u0c80-\u0cff]"),
    "ml": re.compile("[\u0d00-\u0d7f]"),
    "th": re.compile("[\u0e00-\u0e7f]"),
    "my": re.compile("[\u1000-\u109f]"),
    "ka": re.compile("[\u10a0-\u10ff]"),
    "am": re.compile("[\u1200-\u137f]"),
    "km": re.compile("[\u1780-\u17ff]"),
    "hy": re.compile("[\u0530-\u058f]"),
}
#: Letters that tell a language from the commonest one of its script.
_TELLTALES: Final = {
    "ru": (("uk", "іїєґ"), ("sr", "јљњђћ"), ("mk", "ѓќѕ"), ("be", "ў")),
    "ar": (("ur", "ٹڈڑے"), ("fa", "پچژگ")),
}


def detect(text: str) -> str:
    """ISO 639-1 code of the text's main language, "" when nothing tells (only punctuation, only emoji)."""
    text = text[:_SAMPLE]
    if text.isascii():
        return _latin(text)
    return _by_script(text) or _latin(text)


def _by_script(text: str) -> str:
    """The language of the script that most of the prose is in, "" when that is Latin."""
    if not _SCRIPT.search(text):
        return ""
    rest, runs = _HAN.subn(" ", text)
    han = len(text) - len(rest) + runs
    code, most = _other_script(rest)
    if code == "ja" and most > han // 10:
        return "ja"
    prose = sum(word in _PROSE_MARKS for word in _ENGLISH_WORD.findall(rest.lower())) * _PROSE_PER_MARK
    if han and han >= most and han / _HAN_PER_WORD >= prose:
        return "zh"
    if most > han and most / _LETTERS_PER_WORD >= prose:
        return _tell(code, text.lower())
    return ""


def _other_script(text: str) -> tuple[str, int]:
    """The commonest script that is neither Latin nor Han: its main language and how many letters."""
    words = " ".join(_OTHER.findall(text))
    if not words:
        return "", 0
    counts = {code: sum(map(len, pattern.findall(words))) for code, pattern in _SCRIPTS.items()}
    counts["ja"] = len(_KANA.findall(words))
    return max(counts.items(), key=lambda item: item[1])


def _tell(code: str, text: str) -> str:
    for other, letters in _TELLTALES.get(code, ()):
        if sum(text.count(letter) for letter in letters) * 100 > len(text):
            return other
    return code


def _latin(text: str) -> str:
    """The language whose function words the text has most of; English for words in plain ASCII without any."""
    plain = text.isascii() or not _BEYOND_ASCII.search(text)
    text = text.replace("’", "'")
    for part in (text[:_GLANCE], text):
        # Capitalized words are names more often than not, and "Los Angeles" is no Spanish.
        said = _said(part.split(), plain=plain) or _said(_LATIN_WORD.findall(part.lower()), plain=plain)
        score = _score(said)
        if _is_clear(score):
            break
    if not score:
        return "en" if plain and _LATIN_WORD.search(text) else ""
    hits = max(score.values())
    equal = [code for code, count in score.items() if count == hits]
    best = next((code for code in _WIDESPREAD if code in equal), max(equal))
    certain = best == "en" and (plain or not _FOREIGN.search(text))
    if not certain and (hits < _FEWEST_HITS or hits < _SHARE * said.total()):
        return "en" if plain else ""
    return best


def _score(said: Counter[frozenset[str]]) -> dict[str, int]:
    """How many of its function words each language has."""
    score: dict[str, int] = {}
    for codes, count in said.items():
        for code in codes:
            score[code] = score.get(code, 0) + count
    return score


def _is_clear(score: dict[str, int]) -> bool:
    """Whether no more of the text need be read: one language has many hits, and all others less than half of them."""
    hits = max(score.values(), default=0)
    return hits >= _CLEAR_HITS and sum(2 * count > hits for count in score.values()) == 1


def _said(words: Iterable[str], *, plain: bool) -> Counter[frozenset[str]]:
    """How many of the lower-case words each group of languages has, none of them included."""
    said = Counter(map(_speakers(plain).__getitem__, words))
    del said[_NO_WORD]
    return said


@lru_cache(maxsize=2)
def _speakers(plain: bool) -> Kept[str, frozenset[str]]:
    """The languages that have a word as a function word."""
    # In plain text single letters are variables more often than words.
    shortest = 2 if plain else 1
    owners = function_words()
    return Kept(lambda word: owners.get(word, _NONE) if len(word) >= shortest and word.islower() else _NO_WORD)
