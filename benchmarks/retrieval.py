"""Whether metadata help to find chunks: two-field BM25 on question sets in SQuAD form (used by ``quality.py``).

Articles are cut into chunks, each chunk is indexed by its text and by at most 60 words of metadata, a chunk's score is
text + 0.4 × metadata. Nothing of the questions is known to the generator.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from semantic_text_splitter import TextSplitter

from smart_rag_tasks.metadata import compose_context, search_field
from smart_rag_tasks.metadata.extractive import ExtractiveGenerator
from smart_rag_tasks.metadata.language import detect
from smart_rag_tasks.models import Chunk, ChunkMetadata, DocumentContext

#: Weight of the metadata's score, and words of metadata a chunk at the most.
WEIGHT = 0.4
WORDS = 60
#: Characters a chunk: about as many words in both.
CHARS = {"zh": 150}
DEFAULT_CHARS = 300
#: BM25's usual constants.
K1, B = 1.2, 0.75
RANKS = (1, 5)

Words = Callable[[str], list[str]]


def english_words(text: str) -> list[str]:
    """Lower-case words, their endings cut as search engines do."""
    return [_stem(word) for word in re.findall(r"\w+", text.lower())]


def _stem(word: str) -> str:
    for ending in ("ing", "ed", "es", "s", "ly"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word


def chinese_words(text: str) -> list[str]:
    """jieba's words."""
    import rjieba

    return [word.lower() for word in rjieba.cut(text) if re.match(r"\w", word)]


class Index:
    """BM25 over one field."""

    def __init__(self, documents: Sequence[Sequence[str]]) -> None:
        self.size = len(documents)
        self.lengths = [len(words) for words in documents]
        self.average = sum(self.lengths) / max(1, self.size) or 1.0
        self.postings: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for place, words in enumerate(documents):
            for word, count in Counter(words).items():
                self.postings[word].append((place, count))

    def scores(self, question: Sequence[str]) -> list[float]:
        """Each document's score."""
        scores = [0.0] * self.size
        for word in set(question):
            postings = self.postings.get(word, [])
            rarity = math.log(1 + (self.size - len(postings) + 0.5) / (len(postings) + 0.5))
            for place, count in postings:
                norm = K1 * (1 - B + B * self.lengths[place] / self.average)
                scores[place] += rarity * count * (K1 + 1) / (count + norm)
        return scores


@dataclass
class Article:
    """An article in chunks, and its questions with the chunks that hold the answers' starts."""

    title: str
    text: str
    chunks: list[Chunk]
    questions: list[tuple[str, int]]


def read_articles(file: Path, chars: int) -> list[Article]:
    """The articles of a question set in SQuAD form."""
    return [_article(entry, chars) for entry in json.loads(file.read_text(encoding="utf-8"))["data"]]


def _article(entry: dict[str, Any], chars: int) -> Article:
    text, asked = "", []
    for paragraph in entry["paragraphs"]:
        asked += [(qa["question"], len(text) + qa["answers"][0]["answer_start"]) for qa in paragraph["qas"]]
        text += paragraph["context"] + "\n\n"
    pieces = TextSplitter(chars).chunk_indices(text)
    chunks = [Chunk(str(place), piece, place) for place, (_, piece) in enumerate(pieces)]
    starts = [start for start, _ in pieces]
    questions = [(question, sum(start <= place for start in starts) - 1) for question, place in asked]
    return Article(entry.get("title", "").replace("_", " "), text, chunks, questions)


def metadata_fields(article: Article, *, hint: bool, twice: Sequence[int] = ()) -> list[dict[str, str]]:
    """What the generator gives for each chunk; ``hint``: whether it is told the article's title."""
    generator = ExtractiveGenerator()
    title = generator.title(article.chunks[:20], article.title if hint else "")
    document = DocumentContext("article", title=title)
    outcomes = [made for made in generator.generate(article.chunks, document) if isinstance(made, ChunkMetadata)]
    about = generator.describe(document, zip(article.chunks, outcomes, strict=True))
    return [
        {
            "search field": search_field(context := compose_context(title, (), made.gist), about.topics),
            "context": context,
            "keywords": " ".join(made.keywords),
            "title": about.title,
            "summary": about.summary,
            "topics": " ".join(about.topics),
            **{f"context, topics, {n} twice": " ".join((context, *about.topics[:n], *about.topics)) for n in twice},
        }
        for made in outcomes
    ]


#: How the 60 words are filled.
RECOMMENDED = ("search field",)
EVERYTHING = ("context", "keywords", "title", "summary", "topics")


def measure_file(file: Path, chars: int | None, twice: Sequence[int] = ()) -> dict[str, Any]:
    """Misses of text alone and of text with each second field; ``twice``: variants of the search field."""
    language = detect(json.loads(file.read_text(encoding="utf-8"))["data"][0]["paragraphs"][0]["context"])
    chars = chars or CHARS.get(language, DEFAULT_CHARS)
    words: Words = chinese_words if language == "zh" else english_words
    articles = read_articles(file, chars)
    bench = _Bench(articles, words)
    told = [field for article in articles for field in metadata_fields(article, hint=True, twice=twice)]
    untold = [field for article in articles for field in metadata_fields(article, hint=False)]

    def with_metadata(fields: list[dict[str, str]], parts: tuple[str, ...]) -> dict[str, int]:
        return bench.misses([words(" ".join(field[part] for part in parts))[:WORDS] for field in fields])

    rows = {
        "text alone": bench.misses(None),
        "search field: context, topics": with_metadata(told, RECOMMENDED),
        **{f"  with the first {n} topics twice": with_metadata(told, (f"context, topics, {n} twice",)) for n in twice},
        "  the title taken from the text": with_metadata(untold, RECOMMENDED),
        "all five parts in turn": with_metadata(told, EVERYTHING),
        "whole article (no limit)": bench.misses([words(a.text) for a in articles for _ in a.chunks]),
    }
    return {
        "file": file.name,
        "language": language,
        "chars": chars,
        "articles": len(articles),
        "chunks": bench.size,
        "questions": len(bench.questions),
        "misses": rows,
    }


class _Bench:
    def __init__(self, articles: Sequence[Article], words: Words) -> None:
        self.questions: list[tuple[list[str], int]] = []
        texts: list[list[str]] = []
        for article in articles:
            self.questions += [(words(question), len(texts) + place) for question, place in article.questions]
            texts += [words(chunk.text) for chunk in article.chunks]
        self.size = len(texts)
        index = Index(texts)
        self.scores = [index.scores(question) for question, _ in self.questions]

    def misses(self, field: Sequence[Sequence[str]] | None) -> dict[str, int]:
        """How many questions' chunks are not first, and not among the first five."""
        index = Index(field) if field is not None else None
        missed = dict.fromkeys((f"@{rank}" for rank in RANKS), 0)
        for (question, gold), text_scores in zip(self.questions, self.scores, strict=True):
            scores = text_scores
            if index is not None:
                scores = [a + WEIGHT * b for a, b in zip(text_scores, index.scores(question), strict=True)]
            before = sum(1 for place, score in enumerate(scores) if (-score, place) < (-scores[gold], gold))
            for rank in RANKS:
                missed[f"@{rank}"] += before >= rank
        return missed


def total(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The files as one: their numbers added up."""
    first = results[0]
    numbers = {name: sum(result[name] for result in results) for name in ("articles", "chunks", "questions")}
    misses = {
        row: {at: sum(result["misses"][row][at] for result in results) for at in first["misses"][row]}
        for row in first["misses"]
    }
    return {**first, **numbers, "file": f"{len(results)} files", "misses": misses}


def print_retrieval(results: list[dict[str, Any]]) -> None:
    """Tables within 80 columns."""
    for result in results:
        print(
            f"{result['file']} ({result['language']}): {result['articles']} articles in {result['chunks']} chunks of"
            f" at most {result['chars']} characters, {result['questions']} questions"
        )
        print(f"  {'second field':<32}{'missed @1':>12}{'':>8}{'missed @5':>12}{'':>8}")
        alone = result["misses"]["text alone"]
        for name, missed in result["misses"].items():
            cells = "".join(f"{missed[at]:>12}{_change(missed[at], alone[at]):>8}" for at in missed)
            print(f"  {name:<32}{cells}")
        print()


def _change(now: int, before: int) -> str:
    return "" if now == before or not before else f"{100 * (now - before) / before:+.0f} %"
