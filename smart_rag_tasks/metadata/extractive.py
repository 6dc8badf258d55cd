"""The default generator: offline, deterministic, English, Chinese and mixed; other languages as far as spaces go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ..models import Chunk, ChunkMetadata, DocumentContext, Outcome
from .analysis import Analysis, analyze
from .entities import entities
from .forms import search_forms
from .generator import BaseGenerator
from .headline import headline
from .keywords import keywords
from .summary import summarize

#: Words; a shorter chunk is in plain sight, its gist need not repeat a part of it.
_SHORT: Final = 110
#: Words of the line that a longer chunk's gist begins with, and of the forms after it.
_LINE: Final = 10


class ExtractiveGenerator(BaseGenerator):
    """Everything from the chunk's own words."""

    name = "extractive"
    version = "8"
    #: Until it is measured: about a page of text.
    seconds_per_chunk = 0.002

    def generate(self, chunks: Sequence[Chunk], document: DocumentContext) -> list[Outcome]:
        """One ChunkMetadata a chunk; never a failure."""
        return [self.metadata_of(chunk.text) for chunk in chunks]

    def metadata_of(self, text: str) -> ChunkMetadata:
        """The metadata of one text."""
        analysis = analyze(text)
        if not analysis.words:
            return ChunkMetadata(language=analysis.language)
        return ChunkMetadata(
            keywords=keywords(analysis),
            summary=summarize(analysis),
            gist=gist(analysis),
            entities=entities(analysis),
            language=analysis.language,
        )

    def warm_up(self) -> None:
        """Loads what is loaded once, before worker processes fork, so that they share it; starts no thread."""
        self.metadata_of("Warm up the English word lists. 也读入中文词典，共用内存。")


def gist(analysis: Analysis) -> str:
    """The line that best adds to the text when it is indexed.

    Of a long chunk what it says in a few words; of a short one the words that one would look it up by and that it
    has in another form only, "" without any: its own words again would draw searches away from other chunks.
    """
    if sum(map(len, analysis.words)) <= _SHORT and not analysis.code:
        return ", ".join(search_forms(analysis))
    return headline(analysis, _LINE)
