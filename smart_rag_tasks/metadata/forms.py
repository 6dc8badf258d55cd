"""The words one would look a text up by that the text has in another form only.

A search engine without a stemmer does not find "settlement" by "settle", nor 国家橄榄球联盟 by 联盟 where the text was
cut into longer words. These are the base forms of English words and the parts of Chinese compounds.
"""

from __future__ import annotations

from itertools import chain
from typing import Any, Final

from .analysis import Analysis
from .kept import Kept
from .lexicon import chinese_stop, english_common, english_function, english_verbs, english_weak, given_names
from .words import BREAK, NUMBER, Word, rarity, rjieba

#: Words of a gist that come from here at the most.
MAX_FORMS: Final = 16
#: Suffix and what stands in its place in the word that it was made from; the longest that fits decides.
_SUFFIXES: Final = (
    ("ization", "ize"), ("ational", "ate"), ("fulness", "ful"), ("iveness", "ive"),
    ("ically", "ic"), ("ement", "e"), ("ement", ""), ("ation", "ate"), ("ation", "e"), ("ation", ""), ("ition", "e"),
    ("ment", ""), ("version", "vert"),
    ("tion", "t"), ("tion", "te"), ("sion", "d"), ("sion", "de"), ("sion", "se"), ("ance", ""),
    ("ence", ""), ("ance", "e"), ("ence", "e"), ("able", ""), ("able", "e"), ("ness", ""), ("ally", ""), ("ally", "al"),
    ("ical", "ic"), ("less", ""), ("ity", ""), ("ity", "e"), ("ily", "y"), ("ous", ""), ("ive", "e"), ("ive", ""),
    ("ful", ""), ("ist", ""), ("ism", ""), ("ian", ""), ("ing", ""), ("ing", "e"), ("er", "e"), ("er", ""), ("or", ""),
    ("or", "e"), ("ly", ""), ("al", ""), ("al", "e"), ("ed", ""), ("ed", "e"),
)  # fmt: skip
#: Words that the rules would derive from others that they have nothing to do with (verse, universe, port).
_UNDERIVED: Final = frozenset(
    {"archive", "assist", "bother", "capable", "career", "charity", "charter", "conversation", "corner", "counter"}
    | {"cursor", "destination", "discretion", "factor", "flower", "former", "legal", "legally", "number", "parity"}
    | {
        "portal",
        "portion",
        "position",
        "priority",
        "question",
        "section",
        "sentence",
        "several",
        "signal",
        "university",
    }
    | {"version", "witness"}
)
#: Languages that the rules are for.
_LANGUAGES: Final = frozenset({"en", "zh", ""})
#: Verbs that no one looks anything up by.
_EMPTY: Final = frozenset(
    {"become", "call", "come", "find", "follow", "get", "give", "go", "have", "include", "keep", "know", "let", "make"}
    | {"mean", "put", "say", "see", "show", "take", "tell", "think", "use"}
)
#: Rarity of the parts of Chinese compounds at the most: rarer ones are the ends of two words (华大, 算机).
_KNOWN: Final = 2.0
#: Letters that a word keeps before its suffix at the least.
_STEM: Final = 3


def search_forms(analysis: Analysis, limit: int = MAX_FORMS) -> list[str]:
    """At most ``limit`` words in the text's order, none of which the text has."""
    if analysis.language not in _LANGUAGES:
        return []
    words = list(chain.from_iterable(analysis.words))
    have = {word.text.lower() for word in words}
    found = dict.fromkeys(chain.from_iterable(map(_FORMS.__getitem__, words)))
    return [form for form in found if form not in have][:limit]


def _forms(word: Word) -> tuple[str, ...]:
    if word.kind is BREAK or word.kind is NUMBER:
        return ()
    if word.tag and word.tag != "eng":
        return _parts(word)
    lower = word.text.lower()
    if lower in english_function() or "." in lower or "/" in lower:
        return ()
    base = base_form(lower)
    forms = dict.fromkeys((base, word.key, origin(base)))
    if word.named and lower not in english_common():  # of the Normans are Norman, but Walker and Charles are names
        forms = {} if word.text in given_names() else dict.fromkeys((base, word.key))
    return tuple(form for form in forms if not (form in english_weak() or form in _EMPTY or form in english_function()))


_FORMS: Final = Kept(_forms)


def _parts(word: Word) -> tuple[str, ...]:
    """The dictionary's words of two characters and more within a compound of three and more, as they are written.

    Of those that overlap only the one that begins first, the longest: of 中华人民共和国 are 中华 and 人民共和国.
    """
    if len(word.key) < 3:
        return ()
    engine: Any = rjieba()
    found = [part for part in engine.cut_all(word.key) if 1 < len(part) < len(word.key)]
    known = [part for part in found if part not in chinese_stop() and rarity(part) <= _KNOWN]
    parts: list[str] = []
    end = 0
    for place, size in sorted([(word.key.index(part), -len(part)) for part in known]):
        if place >= end:
            end = place - size
            parts.append(word.text[place:end])
    return tuple(parts)


def base_form(word: str) -> str:
    """An English verb's or noun's base form, the word itself when no rule leads to a common word."""
    if word in english_verbs():
        return english_verbs()[word]
    for candidate in _inflected(word):
        if candidate in english_common():
            return candidate
    return word


def _inflected(word: str) -> list[str]:
    """What the word may be an inflected form of, the likeliest first."""
    if word.endswith(("ies", "ied")) and len(word) > 4:
        return [word[:-3] + "y"]
    if word.endswith("ed") and len(word) > 4:
        return [word[:-1], word[:-2], word[:-3] if word[-3] == word[-4] else ""]
    if word.endswith("ing") and len(word) > 5:
        return [word[:-3] + "e", word[:-3], word[:-4] if word[-4] == word[-5] else ""]
    if word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return [word[:-1], word[:-2]]
    return []


def origin(word: str) -> str:
    """The common word that an English word was derived from (``settlement`` → ``settle``), else the word itself."""
    if word.isascii() and len(word) > 5 and word not in _UNDERIVED:
        for suffix, instead in _SUFFIXES:
            stem = word.removesuffix(suffix)
            if stem != word and len(stem) >= _STEM and stem + instead in english_common():
                return stem + instead
    return word
