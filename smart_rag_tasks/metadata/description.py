"""A document's metadata from its chunks', read once: title, language, topics and a summary.

The start of the document is read as text; of what follows the keywords are enough. Memory is flat however many
chunks there are: counts are pruned, the text that is read has a limit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Final

from ..models import Chunk, ChunkMetadata, DocumentContext, DocumentMetadata
from .analysis import Analysis, analyze, weigh
from .sentences import without_code_blocks
from .summary import summarize
from .titles import choose_title
from .words import BREAK, STOP, Word, join, split_words

#: Words that a document's topics have together at the most.
TOPIC_WORDS: Final = 50
#: Of the heaviest word's weight, what a phrase's lightest must have: else a topic brings along words that say little,
#: and those further down the list have no room.
_PEER: Final = 0.5
#: Characters at the document's start that are read as text.
_READ: Final = 6000
#: Words and phrases that are counted; the rarest go when there are twice as many.
_KEPT: Final = 4000
#: Characters of a document's summary; Chinese says more in one. Short, because every chunk's index entry may hold it:
#: more of it pushed the topics out of a field of 60 words, which cost a fifth of what the metadata gained.
_SUMMARY: Final = 150
_CHINESE_SUMMARY: Final = 56
#: Chunks at the start that a title is taken from.
_TITLE_CHUNKS: Final = 5

Key = tuple[str, ...]


def describe_document(document: DocumentContext, chunks: Iterable[tuple[Chunk, ChunkMetadata]]) -> DocumentMetadata:
    """The document's metadata; the same chunks give the same."""
    languages: Counter[str] = Counter()
    subjects = _Subjects()
    start: list[Chunk] = []
    text: list[str] = []
    room = _READ
    for chunk, metadata in chunks:
        if metadata.language and metadata.summary:  # code alone has no summary
            # In bytes: a Chinese character says about what three Latin letters say.
            languages[metadata.language] += len(without_code_blocks(chunk.text).encode("utf-8", "surrogatepass"))
        if len(start) < _TITLE_CHUNKS:
            start.append(chunk)
        if room > 0:
            text.append(chunk.text[:room])
            room -= len(chunk.text)
        else:
            subjects.add_keywords(metadata.keywords, metadata.language)
    reading = analyze("\n\n".join(text))
    subjects.add_text(reading)
    language = document.language or max(languages.items(), key=lambda item: (item[1], item[0]), default=("", 0))[0]
    return DocumentMetadata(
        title=document.title or choose_title(start, ""),
        summary=_summary(reading, subjects),
        topics=subjects.topics(),
        language=language or reading.language,
    )


def _summary(reading: Analysis, subjects: _Subjects) -> str:
    """One or two sentences from the document's start, by what the whole document is about."""
    whole = replace(reading, counts=Counter({key: subjects.counts[key] for key in reading.counts}))
    return summarize(whole, limit=_CHINESE_SUMMARY if reading.language in ("zh", "ja") else _SUMMARY)


class _Subjects:
    """Words and repeated phrases, and how often the document has them."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.phrases: Counter[Key] = Counter()
        #: How each is written at its first place.
        self.written: dict[str | Key, str] = {}

    def add_text(self, reading: Analysis) -> None:
        for sentence in reading.words:
            self._add(sentence)

    def add_keywords(self, keywords: Iterable[str], language: str) -> None:
        for keyword in keywords:
            self._add(_words(keyword, language))
        if len(self.counts) > 2 * _KEPT or len(self.phrases) > 2 * _KEPT:
            self._prune()

    def _add(self, words: Sequence[Word]) -> None:
        for word in words:
            if word.topical:
                self.counts[word.key] += 1
                self.written.setdefault(word.key, word.text)
        for run in _runs(words):
            for phrase in _pairs_and_triples(run):
                key = tuple([word.key for word in phrase])
                self.phrases[key] += 1
                if key not in self.written:
                    self.written[key] = join(phrase)

    def _prune(self) -> None:
        self.counts = Counter(dict(self.counts.most_common(_KEPT)))
        self.phrases = Counter(dict(self.phrases.most_common(_KEPT)))
        kept = self.counts.keys() | self.phrases.keys()
        self.written = {key: text for key, text in self.written.items() if key in kept}

    def topics(self) -> tuple[str, ...]:
        """What the document comes back to, the weightiest first, each as the phrase that it mostly stands in."""
        weights = weigh(self.counts)
        around = self._phrase_around(weights)
        found: list[str] = []
        said: set[str] = set()
        for word in sorted(weights, key=weights.__getitem__, reverse=True):
            phrase = around.get(word, (word,))
            if not said.isdisjoint(phrase):  # it goes on into another topic (审议政府 into 政府工作报告)
                phrase = (word,)
            if word in said or len(said) + len(phrase) > TOPIC_WORDS:
                continue
            said.update(phrase)
            found.append(self.written[phrase if len(phrase) > 1 else word])
        return tuple(found)

    def _phrase_around(self, weights: dict[str, float]) -> dict[str, Key]:
        """For each word the longest repeated phrase that holds more than half of its occurrences."""
        around: dict[str, Key] = {}
        for key, count in self.phrases.items():
            if count < 2 or len(set(key)) < len(key):
                continue
            if not _of_peers([weights[word] for word in key if word in weights]):
                continue
            for word in key:
                known = around.get(word, ())
                if count * 2 > self.counts[word] and (len(key), count) > (len(known), self.phrases[known]):
                    around[word] = key
        return around


def _of_peers(weights: Sequence[float]) -> bool:
    return min(weights, default=0.0) >= _PEER * max(weights, default=0.0)


def _runs(sentence: Sequence[Word]) -> Iterator[list[Word]]:
    """Stretches of words that no function word, punctuation mark or participle after a noun interrupts."""
    run: list[Word] = []
    for word in sentence:
        ends = word.kind is STOP or word.kind is BREAK
        if run and (ends or word.parts):
            yield run
            run = []
        if not ends:
            run.append(word)
    if run:
        yield run


def _pairs_and_triples(run: Sequence[Word]) -> Iterator[Sequence[Word]]:
    for start, first in enumerate(run):
        if first.topical:
            for end in range(start + 2, min(len(run), start + 3) + 1):
                if run[end - 1].topical:
                    yield run[start:end]


@lru_cache(maxsize=4096)
def _words(keyword: str, language: str) -> tuple[Word, ...]:
    return tuple(split_words(keyword, language))
