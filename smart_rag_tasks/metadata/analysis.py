"""A text read once: its language, sentences, words and what each word weighs. Everything else looks at this."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Final

from . import sentences
from .language import detect
from .words import Word, rareness, split_words

#: Characters of one text that are read; what a chunk is about shows long before.
_READ: Final = 50_000
#: Without a letter or digit there is nothing to say: only punctuation, only emoji.
_ALNUM: Final = re.compile(r"[^\W_]")
#: Occurrences count less than linearly, rare words more than common ones.
_COUNT_POWER: Final = 0.8
_RARENESS: Final = rareness(0.7)


@dataclass(frozen=True)
class Analysis:
    """What the scorers share."""

    #: ISO 639-1 code, "" when unknown.
    language: str
    #: Sentences as written, in order.
    sentences: tuple[str, ...]
    #: The words of each sentence.
    words: tuple[tuple[Word, ...], ...]
    #: What each word of each sentence says: its key, or "".
    keys: tuple[list[str], ...]
    #: Occurrences of each content word, by its key.
    counts: Counter[str]
    #: Whether the text is program code and nothing else: it has words, but no sentence that says something.
    code: bool = False

    @cached_property
    def weights(self) -> dict[str, float]:
        """What each content word weighs in this text; "" weighs nothing."""
        return {"": 0.0, **weigh(self.counts)}

    @cached_property
    def said(self) -> list[set[str]]:
        """What each sentence says: its content words, each once."""
        return [set(filter(None, keys)) for keys in self.keys]

    @cached_property
    def sums(self) -> list[float]:
        """What each sentence's words weigh together, each counted once."""
        return [self.sum(said) for said in self.said]

    def sum(self, keys: Iterable[str]) -> float:
        """What these words weigh together; in whatever order, the sum is exact."""
        return math.fsum(map(self.weights.__getitem__, keys))


def analyze(text: str) -> Analysis:
    """The text's analysis; empty parts for a text without words."""
    text = text[:_READ]
    outside = sentences.without_code_blocks(text)
    fenced = not _ALNUM.search(outside)
    text = sentences.clean(text if fenced else outside)
    language = detect(text)
    found = sentences.split(text, language) if _ALNUM.search(text) else []
    prose = sentences.prose(found)
    read = tuple(prose or found)
    words = tuple(tuple(split_words(sentence, language)) for sentence in read)
    keys = tuple([[word.says for word in sentence] for sentence in words])
    counts = Counter(filter(None, chain.from_iterable(keys)))
    return Analysis(language, read, words, keys, counts, code=fenced or not prose)


def weigh(counts: Counter[str]) -> dict[str, float]:
    """What each word weighs: its count and its rarity."""
    return {
        key: _RARENESS[key] if count == 1 else math.pow(count, _COUNT_POWER) * _RARENESS[key]
        for key, count in counts.items()
    }
