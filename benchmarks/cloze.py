"""A question set out of any documents, without questions: inverse cloze (Lee et al. 2019), used by ``quality.py``.

A sentence is taken out of a document and asks for the place that it was taken from. Neither the texts nor the
generator hold it any more, so what finds the place is what stands around it: words in common, and what the document
is about.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from smart_rag_tasks.documents import parse_file
from smart_rag_tasks.errors import SmartRagError
from smart_rag_tasks.metadata.language import detect
from smart_rag_tasks.metadata.sentences import clean, prose, split

#: As articles in SQuAD form are: paragraphs in a row, and sentences of each.
PARAGRAPHS = 5
SENTENCES = 5
#: Characters of a sentence that asks, and of those in Chinese.
ASKS = range(40, 301)
ASKS_CHINESE = range(15, 121)
_NO_LIMIT = 10**8


def make_cloze(out: Path, folders: Sequence[Path], language: str, rounds: int) -> int:
    """Write the set: ``rounds`` times as many articles as there are documents in ``language``, chosen by chance."""
    least = SENTENCES * PARAGRAPHS
    documents = [(title, found) for title, found in _documents(folders, language) if len(found) >= least]
    chance = random.Random(0)
    files = [out.with_name(f"{out.stem}.{number}{out.suffix}") for number in range(rounds)]
    for file in files:
        articles = [_article(title, found, language, chance) for title, found in documents]
        file.write_text(json.dumps({"data": articles}, ensure_ascii=False), encoding="utf-8")
    print(f"{len(files)} times {len(documents)} articles, {PARAGRAPHS} questions each: {files[0]} …")
    return 0


def _documents(folders: Sequence[Path], language: str) -> Iterator[tuple[str, list[str]]]:
    """Titles and sentences of the documents that can be read."""
    for file in sorted(file for folder in folders for file in folder.rglob("*") if file.is_file()):
        try:
            document = parse_file(file, chunk_chars=_NO_LIMIT, max_bytes=_NO_LIMIT, max_chunks=_NO_LIMIT)
        except SmartRagError:
            continue
        text = clean("\n\n".join(chunk.text for chunk in document.chunks))
        if detect(text) == language:
            yield document.title, prose(split(text, language))


def _article(title: str, sentences: list[str], language: str, chance: random.Random) -> dict[str, Any]:
    start = chance.randrange(len(sentences) - SENTENCES * PARAGRAPHS + 1)
    places = range(start, start + SENTENCES * PARAGRAPHS, SENTENCES)
    paragraphs = [_paragraph(sentences[place : place + SENTENCES], language, chance) for place in places]
    return {"title": title, "paragraphs": paragraphs}


def _paragraph(sentences: list[str], language: str, chance: random.Random) -> dict[str, Any]:
    lengths, space = (ASKS_CHINESE, "") if language == "zh" else (ASKS, " ")
    asking = [place for place, sentence in enumerate(sentences) if len(sentence) in lengths]
    if not asking:
        return {"context": space.join(sentences), "qas": []}
    place = chance.choice(asking)
    before, after = space.join(sentences[:place]), space.join(sentences[place + 1 :])
    context = space.join(filter(None, (before, after)))
    answer = {"answer_start": min(len(before), len(context) - 1), "text": ""}
    return {"context": context, "qas": [{"question": sentences[place], "answers": [answer]}]}
