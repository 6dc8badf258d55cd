"""Titles, topics and summaries of whole documents."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

import pytest

from smart_rag_tasks.metadata import describe, title_of
from smart_rag_tasks.metadata.extractive import ExtractiveGenerator
from smart_rag_tasks.models import Chunk, ChunkMetadata, DocumentContext, DocumentMetadata

GENERATOR = ExtractiveGenerator()

PARAGRAPHS = [
    "The Suez Canal connects the Mediterranean Sea with the Red Sea. Ships save the way around Africa.",
    "The Suez Canal was opened in 1869. Ferdinand de Lesseps led the Suez Canal Company that had built it.",
    "In 1956 Egypt nationalized the canal company, which led to the Suez Crisis. Britain and France sent troops.",
    "Today about fifty ships pass the canal each day. Tolls are an important income of Egypt.",
]


def described(texts: list[str], title: str = "") -> DocumentMetadata:
    chunks = [Chunk(str(place), text, place) for place, text in enumerate(texts)]
    document = DocumentContext("d", title=title)
    outcomes = [outcome for outcome in GENERATOR.generate(chunks, document) if isinstance(outcome, ChunkMetadata)]
    return GENERATOR.describe(document, zip(chunks, outcomes, strict=True))


@pytest.mark.parametrize(
    ("hint", "title"),
    [
        ("The Suez Canal", "The Suez Canal"),
        ("  The\n Suez   Canal ", "The Suez Canal"),
        ("Suez_Canal", "Suez Canal"),
        ("Microsoft Word - suez canal.docx", "suez canal"),
        ("苏伊士运河", "苏伊士运河"),
    ],
)
def test_the_parsers_title_is_kept_and_tidied(hint: str, title: str) -> None:
    assert title == GENERATOR.title([Chunk("c", PARAGRAPHS[0])], hint)


@pytest.mark.parametrize("hint", ["", "Untitled", "untitled-1", "Document1", "无标题", "文档 2", "42"])
def test_without_a_title_the_text_gives_one(hint: str) -> None:
    title = GENERATOR.title([Chunk(str(place), text) for place, text in enumerate(PARAGRAPHS)], hint)
    assert "Suez" in title
    assert len(title) <= 120


def test_a_heading_is_a_title() -> None:
    assert "Canals" == GENERATOR.title([Chunk("c", "# Canals\n\nText about ships.")], "")
    assert "运河" == GENERATOR.title([Chunk("c", "正文关于船舶。", section_path=("运河", "历史"))], "")


def test_a_document_without_words_has_no_title() -> None:
    assert "" == GENERATOR.title([Chunk("c", "…")], "")
    assert "" == GENERATOR.title([], "")


def test_a_document_is_described_by_what_it_comes_back_to() -> None:
    metadata = described(PARAGRAPHS, title="Waterways")

    assert "Waterways" == metadata.title
    assert "Suez" in metadata.topics[0]
    assert any("Egypt" in topic for topic in metadata.topics)
    assert len(set(metadata.topics)) == len(metadata.topics)
    assert all(sentence in " ".join(PARAGRAPHS) for sentence in metadata.summary.split(". "))
    assert "Suez Canal" in metadata.summary
    assert "en" == metadata.language


def test_a_chinese_document() -> None:
    metadata = described(
        ["苏伊士运河连接地中海和红海。", "苏伊士运河于1869年通航，运河公司由雷赛布领导。", "埃及把运河收归国有。"]
    )

    assert any("运河" in topic for topic in metadata.topics[:2])
    assert "运河" in metadata.summary
    assert "zh" == metadata.language


def test_titles_and_topics_end_where_compounds_end() -> None:
    texts = ["国务院总理作政府工作报告。政府工作报告提出目标。", "代表团审议政府工作报告，审议政府工作报告全文。"]
    metadata = described(texts)

    assert "国务院总理作政府工作报告" == metadata.title
    assert {"政府工作报告", "审议"} <= set(metadata.topics)


def test_no_topic_says_a_word_twice() -> None:
    topics = described(
        ["The snapdragon limnoria limnoria is old.", "Nobody reads the snapdragon limnoria limnoria."]
    ).topics

    assert {"snapdragon", "limnoria"} <= set(topics)


def test_the_language_is_the_one_of_most_text() -> None:
    assert "zh" == described(["Short English text about the canal.", "苏伊士运河连接地中海和红海。" * 8]).language


def test_an_empty_document() -> None:
    assert DocumentMetadata() == described([])
    assert DocumentMetadata(title="T") == described(["", "😀"], title="T")


def test_the_same_document_gives_the_same() -> None:
    assert described(PARAGRAPHS) == described(PARAGRAPHS)


def test_later_chunks_count_by_their_keywords() -> None:
    chunks = [(Chunk("a", "Opening words on shipping. " * 300), ChunkMetadata(keywords=("shipping",), language="en"))]
    chunks += [(Chunk(str(n), "…"), ChunkMetadata(keywords=("tide gauge",), language="en")) for n in range(2000)]
    assert "tide gauge" == GENERATOR.describe(DocumentContext("d"), iter(chunks)).topics[0]


def test_memory_is_flat_however_many_chunks_there_are() -> None:
    def stream(count: int) -> Iterator[tuple[Chunk, ChunkMetadata]]:
        for place in range(count):
            keywords = (f"subject {place % 7}", f"word{place}", f"name{place} of{place}")
            yield Chunk(str(place), "text of a chunk", place), ChunkMetadata(keywords=keywords, language="en")

    def peak(count: int) -> int:
        tracemalloc.start()
        GENERATOR.describe(DocumentContext("d", title="T"), stream(count))
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(8_000)  # the word caches are full from here on
    assert peak(40_000) < peak(8_000) * 1.3 + 1_000_000


class Plain:
    """A generator that knows nothing of this package."""

    fingerprint = "plain-1"

    def generate(self, chunks: list[Chunk], document: DocumentContext) -> list[ChunkMetadata]:
        return [ChunkMetadata(keywords=(chunk.text.split()[0],)) for chunk in chunks]


class Own(Plain):
    def title(self, chunks: list[Chunk], hint: str) -> str:
        return f"own {hint}"

    def describe(self, document: DocumentContext, chunks: Iterator[tuple[Chunk, ChunkMetadata]]) -> DocumentMetadata:
        return DocumentMetadata(title=str(len(list(chunks))))


def test_a_generator_without_title_and_describe_gets_the_default_ones() -> None:
    chunks = [Chunk("c", PARAGRAPHS[0])]
    assert "Hint" == title_of(Plain(), chunks, "Hint")
    assert "Suez" in describe(Plain(), DocumentContext("d"), [(chunks[0], ChunkMetadata())]).summary


def test_a_generators_own_title_and_describe_are_used() -> None:
    assert "own Hint" == title_of(Own(), [], "Hint")
    assert DocumentMetadata(title="1") == describe(Own(), DocumentContext("d"), [(Chunk("c", "x"), ChunkMetadata())])


def test_a_document_of_both_languages_is_in_the_one_that_says_more() -> None:
    chinese = Chunk("zh", "面包只有四样东西：面粉、水、盐和酵母。" * 5, 0), ChunkMetadata(language="zh")
    english = Chunk("en", "A sourdough starter is flour and water. " * 5, 1), ChunkMetadata(language="en")
    assert len(chinese[0].text) < len(english[0].text)
    assert "zh" == GENERATOR.describe(DocumentContext("d"), [chinese, english]).language
