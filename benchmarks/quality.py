"""How good the extractive metadata are, beside other libraries, and whether they help to find chunks.

    python benchmarks/quality.py sample FOLDER [DOCUMENT…]
    python benchmarks/quality.py phrases FOLDER… [--json]
    python benchmarks/quality.py retrieval FILE… [--chars N] [--twice N…] [--sum] [--json]
    python benchmarks/quality.py cloze FILE FOLDER… [--language en] [--rounds 12]

``phrases`` takes folders of texts: NAME.txt, with NAME.key (gold phrases, one a line) or NAME.title (a gold title) or
both beside it, and prints F1 of the first 5 and 8 phrases, ROUGE-1 and ROUGE-L F1 of the title, and milliseconds a
text. ``sample`` makes such a folder from the headed sections of Markdown files (their headings are the titles).
``retrieval`` takes question sets in SQuAD form: articles are cut into chunks, questions asked of a two-field BM25
(text + 0.4 × metadata); printed is how often the chunk that holds the answer is not the first, not among five.
``cloze`` makes such sets of any documents, without questions: a sentence asks for the place it was taken out of.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from cloze import make_cloze
from retrieval import measure_file, print_retrieval, total

from smart_rag_tasks.metadata.analysis import analyze
from smart_rag_tasks.metadata.headline import TITLE_WORDS, headline
from smart_rag_tasks.metadata.keywords import keywords
from smart_rag_tasks.metadata.language import detect
from smart_rag_tasks.metadata.lexicon import chinese_stop, english_function
from smart_rag_tasks.metadata.sentences import split

EXAMPLES = Path(__file__).resolve().parent.parent / "examples" / "documents"
HAN = re.compile("[\u3400-\u9fff]")
#: Phrases that are asked for, and how many of them are scored.
ASKED = 8
SCORED = (5, 8)
#: Words of a RAKE phrase at the most: without a limit it ranks half sentences first.
RAKE_WORDS = 4
#: In which the libraries take turns, so that a busy machine is none of one library's matter.
ROUNDS = 5
#: Characters of a section in a sample at the least.
SECTION = 200

Extractor = Callable[[str], Sequence[str]]


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    sample = commands.add_parser("sample")
    sample.add_argument("folder", type=Path)
    sample.add_argument("documents", type=Path, nargs="*", help="Markdown files; default: the examples")
    phrases = commands.add_parser("phrases")
    phrases.add_argument("folders", type=Path, nargs="+")
    retrieval = commands.add_parser("retrieval")
    retrieval.add_argument("files", type=Path, nargs="+")
    retrieval.add_argument("--chars", type=int, help="characters a chunk; default 300, Chinese 150")
    retrieval.add_argument("--twice", type=int, nargs="+", default=(), help="also: so many first topics twice")
    retrieval.add_argument("--sum", action="store_true", help="one table for all files")
    cloze = commands.add_parser("cloze")
    cloze.add_argument("file", type=Path, help="FILE.json is written as FILE.0.json, FILE.1.json, …")
    cloze.add_argument("folders", type=Path, nargs="+")
    cloze.add_argument("--language", default="en", help="documents in others are left out; default en")
    cloze.add_argument("--rounds", type=int, default=12, help="how often each document is drawn from; default 12")
    for command in (phrases, retrieval):
        command.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.command == "sample":
        return make_sample(options.folder, options.documents or sorted(EXAMPLES.glob("*.md")))
    if options.command == "cloze":
        return make_cloze(options.file, options.folders, options.language, options.rounds)
    if options.command == "phrases":
        results = [measure_folder(folder) for folder in options.folders]
        show: Callable[[Any], None] = print_phrases
    else:
        results = [measure_file(file, options.chars, options.twice) for file in options.files]
        results = [total(results)] if options.sum else results
        show = print_retrieval
    if options.json:
        print(json.dumps(results, ensure_ascii=False, indent=1))
    else:
        show(results)
    return 0


# -- phrases and titles


def ours_phrases(text: str) -> Sequence[str]:
    return keywords(analyze(text), ASKED)


def ours_title(text: str) -> str:
    return headline(analyze(text), TITLE_WORDS)


def first_sentence(text: str) -> str:
    return next(iter(split(text, detect(text))), "")


def yake_phrases(chinese: bool) -> Extractor:
    import yake

    extractor = yake.KeywordExtractor(lan="zh" if chinese else "en", n=3, top=ASKED)
    if not chinese:
        return lambda text: [phrase for phrase, _ in extractor.extract_keywords(text)]
    import rjieba

    def extract(text: str) -> Sequence[str]:
        return [phrase.replace(" ", "") for phrase, _ in extractor.extract_keywords(" ".join(rjieba.cut(text)))]

    return extract


def rake_phrases(chinese: bool) -> Extractor:
    """RAKE as it comes: sentences and words by NLTK, whose data must be there (NLTK_DATA); Chinese words by jieba."""
    import rake_nltk

    if chinese:
        return _chinese_rake(_jieba().cut)
    try:
        rake = rake_nltk.Rake(max_length=RAKE_WORDS)
        rake.extract_keywords_from_text("NLTK's data are there.")
    except LookupError:
        raise ValueError("NLTK's data (punkt_tab, stopwords)") from None
    return _rake_extractor(rake)


def lean_rake_phrases(chinese: bool) -> Extractor:
    """RAKE given the fastest of sentences and words: this package's, an expression's, jieba's in Rust."""
    import rake_nltk
    import rjieba

    if chinese:
        return _chinese_rake(rjieba.cut)
    rake = rake_nltk.Rake(
        stopwords=set(english_function()),
        sentence_tokenizer=lambda text: split(text, "en"),
        word_tokenizer=re.compile(r"\w+|[^\w\s]").findall,
        max_length=RAKE_WORDS,
    )
    return _rake_extractor(rake)


def _chinese_rake(cut: Callable[[str], Iterable[str]]) -> Extractor:
    import rake_nltk

    rake = rake_nltk.Rake(
        stopwords=set(chinese_stop()),
        punctuations=set("，。；：！？、（）《》“”‘’,.;:!?()[]{}\"'<>/|-—…%"),
        sentence_tokenizer=lambda text: split(text, "zh"),
        word_tokenizer=cut,
        max_length=RAKE_WORDS,
    )
    extract = _rake_extractor(rake)
    return lambda text: [phrase.replace(" ", "") for phrase in extract(text)]


def _rake_extractor(rake: Any) -> Extractor:
    def extract(text: str) -> Sequence[str]:
        rake.extract_keywords_from_text(text)
        return list(dict.fromkeys(rake.get_ranked_phrases()))[:ASKED]

    return extract


def tfidf_phrases(chinese: bool) -> Extractor:
    import jieba.analyse

    if not chinese:
        raise ValueError("jieba's TF-IDF is for Chinese")
    _jieba()
    return lambda text: jieba.analyse.extract_tags(text, topK=ASKED)


def _jieba() -> Any:
    import jieba

    jieba.setLogLevel(60)
    jieba.initialize()
    return jieba


def lexrank_title(chinese: bool) -> Callable[[str], str]:
    """The sentence that LexRank ranks first."""
    import rjieba
    from sumy.parsers.plaintext import PlaintextParser
    from sumy.summarizers.lex_rank import LexRankSummarizer

    class Tokenizer:
        def to_sentences(self, text: str) -> list[str]:
            return split(text, detect(text))

        def to_words(self, text: str) -> list[str]:
            return list(rjieba.cut(text)) if chinese else re.findall(r"\w+", text.lower())

    summarizer = LexRankSummarizer()

    def title(text: str) -> str:
        parser = PlaintextParser.from_string(" ".join(text.split()), Tokenizer())
        return " ".join(str(sentence) for sentence in summarizer(parser.document, 1))

    return title


PHRASES: dict[str, Callable[[bool], Extractor]] = {
    "smart_rag_tasks": lambda chinese: ours_phrases,
    "YAKE": yake_phrases,
    "RAKE": rake_phrases,
    "RAKE, fast words": lean_rake_phrases,
    "jieba TF-IDF": tfidf_phrases,
}
TITLES: dict[str, Callable[[bool], Callable[[str], str]]] = {
    "smart_rag_tasks": lambda chinese: ours_title,
    "first sentence": lambda chinese: first_sentence,
    "LexRank": lexrank_title,
}


def measure_folder(folder: Path) -> dict[str, Any]:
    """Scores and milliseconds of every library on one folder."""
    texts = {path: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.txt"))}
    if not texts:
        raise SystemExit(f"Error: no NAME.txt in {folder}")
    keys = {path: _lines(path.with_suffix(".key")) for path in texts}
    titles = {path: " ".join(_lines(path.with_suffix(".title"))) for path in texts}
    chinese = sum(bool(HAN.search(text)) for text in texts.values()) * 2 > len(texts)
    with_keys = {path: text for path, text in texts.items() if keys[path]}
    with_title = {path: text for path, text in texts.items() if titles[path]}
    return {
        "folder": folder.name,
        "texts": len(texts),
        "characters": sum(map(len, texts.values())) // len(texts),
        "phrases": _measure(
            PHRASES if with_keys else {},
            chinese,
            list(with_keys.values()),
            lambda said: _score_phrases(said, [keys[path] for path in with_keys]),
        ),
        "titles": _measure(
            TITLES if with_title else {},
            chinese,
            list(with_title.values()),
            lambda said: _score_titles(said, [titles[path] for path in with_title]),
        ),
    }


def _lines(path: Path) -> list[str]:
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [line.strip() for line in lines if line.strip()]


def _measure(
    makers: dict[str, Callable[[bool], Callable[[str], Any]]],
    chinese: bool,
    texts: Sequence[str],
    score: Callable[[list[Any]], dict[str, float]],
) -> dict[str, dict[str, Any]]:
    """Each library's scores and milliseconds a text: medians of rounds in turn, over texts that it has seen once."""
    found: dict[str, dict[str, Any]] = {}
    extractors: dict[str, Callable[[str], Any]] = {}
    for name, make in makers.items():
        try:
            extractors[name] = make(chinese)
        except (ImportError, ValueError) as error:
            found[name] = {"skipped": str(error)}
        else:
            found[name] = score([extractors[name](text) for text in texts])
    costs: dict[str, list[float]] = {name: [] for name in extractors}
    for _ in range(ROUNDS):
        for name, extract in extractors.items():
            start = time.process_time()
            for text in texts:
                extract(text)
            costs[name].append((time.process_time() - start) / len(texts) * 1000)
    for name, rounds in costs.items():
        found[name]["ms"] = statistics.median(rounds)
    return found


def _score_phrases(said: list[Any], gold: Sequence[Sequence[str]]) -> dict[str, float]:
    pairs = list(zip(said, gold, strict=True))
    return {
        f"f1@{count}": sum(f1(phrases[:count], wanted) for phrases, wanted in pairs) / len(pairs) for count in SCORED
    }


def _score_titles(said: list[Any], gold: Sequence[str]) -> dict[str, float]:
    pairs = [(_units(title), _units(wanted)) for title, wanted in zip(said, gold, strict=True)]
    return {
        "rouge1": sum(rouge1(*pair) for pair in pairs) / len(pairs),
        "rougeL": sum(rouge_l(*pair) for pair in pairs) / len(pairs),
    }


def f1(phrases: Sequence[str], gold: Sequence[str]) -> float:
    """F1 of phrases that are equal but for case and plural."""
    said, wanted = {_normal(phrase) for phrase in phrases}, {_normal(phrase) for phrase in gold}
    hits = len(said & wanted)
    return 2 * hits / (len(said) + len(wanted)) if hits else 0.0


def _normal(phrase: str) -> str:
    if HAN.search(phrase):
        return "".join(phrase.lower().split())
    return " ".join(_singular(word) for word in re.findall(r"\w+", phrase.lower()))


def _singular(word: str) -> str:
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def _units(title: str) -> list[str]:
    """What ROUGE counts: characters of Chinese, words of others."""
    if HAN.search(title):
        return [character for character in title.lower() if character.isalnum()]
    return [_singular(word) for word in re.findall(r"\w+", title.lower())]


def rouge1(said: list[str], gold: list[str]) -> float:
    """F1 of shared words."""
    hits = (Counter(said) & Counter(gold)).total()
    return 2 * hits / (len(said) + len(gold)) if hits else 0.0


def rouge_l(said: list[str], gold: list[str]) -> float:
    """F1 of the longest common subsequence."""
    row = [0] * (len(gold) + 1)
    for unit in said:
        before = 0
        for place, other in enumerate(gold, 1):
            before, row[place] = row[place], before + 1 if unit == other else max(row[place], row[place - 1])
    return 2 * row[-1] / (len(said) + len(gold)) if row[-1] else 0.0


def print_phrases(results: list[dict[str, Any]]) -> None:
    """Tables within 80 columns."""
    for result in results:
        print(f"{result['folder']}: {result['texts']} texts of {result['characters']} characters on average")
        for kind, heads in (("phrases", ("f1@5", "f1@8", "ms")), ("titles", ("rouge1", "rougeL", "ms"))):
            if not result[kind]:
                continue
            print(f"  {kind:<22}" + "".join(f"{head:>10}" for head in heads))
            for name, scores in result[kind].items():
                print(f"  {name:<22}" + _cells(scores, heads))
        print()


def _cells(scores: dict[str, Any], heads: Sequence[str]) -> str:
    if "skipped" in scores:
        return f"   not measured: {scores['skipped']}"[:56]
    return "".join(f"{scores[head]:>10.2f}" if head == "ms" else f"{100 * scores[head]:>10.1f}" for head in heads)


# -- a sample from Markdown


def make_sample(folder: Path, documents: Sequence[Path]) -> int:
    """One text a headed section, its heading as the gold title."""
    folder.mkdir(parents=True, exist_ok=True)
    made = 0
    for document in documents:
        parts = re.split(r"^#{1,6} +(.+)$", document.read_text(encoding="utf-8"), flags=re.MULTILINE)
        for title, body in zip(parts[1::2], parts[2::2], strict=True):
            if len(body.strip()) >= SECTION:
                made += 1
                (folder / f"{made:03}.txt").write_text(body.strip() + "\n", encoding="utf-8")
                (folder / f"{made:03}.title").write_text(title.strip() + "\n", encoding="utf-8")
    print(f"{made} texts with titles in {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
