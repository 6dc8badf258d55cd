"""The word lists beside this module, each read when it is first asked for, once a process."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from typing import Final

#: How much rarer a word is than everyday English: level 10 and 20 of SCOWL, and words outside them.
_RARITY: Final = {"10": 1.0, "20": 2.0}
RARE: Final = 3.0


def _lines(name: str) -> list[str]:
    """The list's lines without comments and empty ones."""
    text = (files(__package__) / "wordlists" / name).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def _words(name: str) -> frozenset[str]:
    return frozenset(word for line in _lines(name) for word in line.split())


@lru_cache(maxsize=1)
def english_stop() -> frozenset[str]:
    """English words that no phrase holds, lower case: function words, verbs and adverbs of general meaning."""
    return english_function() | _words("english_general.txt")


@lru_cache(maxsize=1)
def english_function() -> frozenset[str]:
    """English function words, lower case."""
    return _words("english_stop.txt")


@lru_cache(maxsize=1)
def english_weak() -> frozenset[str]:
    """English words of general meaning, lower case: they may stand inside a phrase, never at its edge."""
    return _words("english_weak.txt")


@lru_cache(maxsize=1)
def chinese_stop() -> frozenset[str]:
    """Chinese words that name no subject on their own."""
    return _words("chinese_stop.txt")


@lru_cache(maxsize=1)
def chinese_empty() -> frozenset[str]:
    """Chinese words that are no document's topic, however often it has them; fewer than the stop words."""
    return _words("chinese_empty.txt")


@lru_cache(maxsize=1)
def english_common() -> dict[str, float]:
    """Common English words and their rarity, 1.0 for the most common."""
    rarity = RARE
    common: dict[str, float] = {}
    for line in _lines("english_common.txt"):
        if line.startswith("["):
            rarity = _RARITY[line.strip("[]")]
        else:
            common.update(dict.fromkeys(line.split(), rarity))
    return common


@lru_cache(maxsize=1)
def english_plurals() -> dict[str, str]:
    """Irregular plurals and their singular: ``criteria`` → ``criterion``."""
    return _forms("english_plurals.txt")


@lru_cache(maxsize=1)
def english_verbs() -> dict[str, str]:
    """Irregular verb forms and their base form: ``wrote`` → ``write``."""
    return _forms("english_verbs.txt")


@lru_cache(maxsize=1)
def english_finite() -> frozenset[str]:
    """English verbs in the third person that are no noun's plural: ``grows``."""
    return _words("english_finite.txt")


@lru_cache(maxsize=1)
def english_mostly_verbs() -> frozenset[str]:
    """Base forms of English verbs that are seldom something else: ``wait``, ``swell``."""
    return _words("english_mostly_verbs.txt")


def _forms(name: str) -> dict[str, str]:
    entries = (line.split() for line in _lines(name))
    return {form: base for base, *forms in entries for form in forms}


@lru_cache(maxsize=1)
def places() -> frozenset[str]:
    """English names of countries, regions and large cities."""
    return frozenset(_lines("places.txt"))


@lru_cache(maxsize=1)
def chinese_places() -> frozenset[str]:
    """Chinese names of countries, regions and large cities."""
    return _words("chinese_places.txt")


@lru_cache(maxsize=1)
def given_names() -> frozenset[str]:
    """Common given names in Latin letters."""
    return _words("given_names.txt")


@lru_cache(maxsize=1)
def name_words() -> dict[str, frozenset[str]]:
    """Words that tell the kind of an English name: by kind, and those that may stand ``inside`` one."""
    return {kind: frozenset(words.split()) for kind, words in _pairs("name_words.tsv")}


@lru_cache(maxsize=1)
def chinese_no_names() -> frozenset[str]:
    """Ordinary Chinese words that jieba's dictionary has as names."""
    return _words("chinese_no_names.txt")


@lru_cache(maxsize=1)
def chinese_name_characters() -> dict[str, frozenset[str]]:
    """Characters that are ``surnames``, and those ``transcribing`` foreign names."""
    return {kind: frozenset(characters) for kind, characters in _pairs("chinese_names.tsv")}


@lru_cache(maxsize=1)
def function_words() -> dict[str, frozenset[str]]:
    """For each function word the ISO 639-1 codes of the languages in Latin script that have it."""
    owners: dict[str, set[str]] = {}
    for code, words in _pairs("function_words.tsv"):
        for word in words.split():
            owners.setdefault(word, set()).add(code)
    return {word: frozenset(codes) for word, codes in owners.items()}


def _pairs(name: str) -> list[tuple[str, str]]:
    lines = (line.split("\t", 1) for line in _lines(name))
    return [(first, rest) for first, rest in lines]
