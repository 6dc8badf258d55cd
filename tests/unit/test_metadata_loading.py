"""How a generator is found and made, what its cache key covers, and the context line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from smart_rag_tasks.errors import InvalidSettings
from smart_rag_tasks.metadata import (
    BaseGenerator,
    MetadataGenerator,
    cache_key,
    compose_context,
    fingerprint_of,
    generator_names,
    load_generator,
    search_field,
)
from smart_rag_tasks.metadata.loading import MAX_FINGERPRINT
from smart_rag_tasks.models import Chunk, ChunkMetadata, DocumentContext, Outcome
from smart_rag_tasks.stages.planning import cost_name
from smart_rag_tasks.store.schema import documents, facts

MODULE = """
from smart_rag_tasks.errors import InvalidSettings
from smart_rag_tasks.models import ChunkMetadata
secret = "no generator"

class Upper:
    def __init__(self, suffix="", limit=3):
        if limit < 1:
            raise InvalidSettings("limit must be at least 1")
        self.fingerprint = f"upper-{suffix}-{limit}"
    def generate(self, chunks, document):
        return [ChunkMetadata(summary=chunk.text.upper()) for chunk in chunks]

made = Upper("instance")
class Holder:
    Inner = Upper
def factory(**options):
    return Upper(**options)
def wrong():
    return 42
class Half:
    fingerprint = "half"
class Nameless:
    def generate(self, chunks, document):
        return []
class Failing(Nameless):
    @property
    def fingerprint(self):
        raise RuntimeError("the key SECRET has expired")
failing = Failing()
class With(Upper):
    def __init__(self, **members):
        super().__init__()
        vars(self).update(members)
numbered = With(fingerprint=5)
def refusing(key):
    raise ValueError(f"the service does not know the key {key}")
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "own_generators.py").write_text(MODULE)
    (tmp_path / "broken_generators.py").write_text("import no_such_package_at_all")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own_generators", raising=False)
    return "own_generators"


@pytest.mark.parametrize("attribute", ["Upper", "factory", "made", "Holder.Inner"])
def test_a_class_a_factory_and_an_instance_by_name(module: str, attribute: str) -> None:
    generator = load_generator(f"{module}:{attribute}", {})
    assert [ChunkMetadata(summary="ABC")] == generator.generate([Chunk("c", "abc")], DocumentContext("d"))
    assert isinstance(generator, MetadataGenerator)


def test_options_are_keyword_arguments(module: str) -> None:
    assert "upper-x-7" == load_generator(f"{module}:Upper", {"suffix": "x", "limit": 7}).fingerprint


@pytest.mark.parametrize(
    ("spec", "options", "words"),
    [
        ("no_such_name", {}, "use one of extractive, openai"),
        ("", {}, "No generator is named ''"),
        ("no_such_module:Class", {}, "cannot be imported"),
        ("broken_generators:Class", {}, "no_such_package_at_all"),
        ("own_generators:Missing", {}, "has no 'Missing'"),
        ("own_generators:secret", {}, "neither a generator nor a class"),
        ("own_generators:wrong", {}, "gave a int"),
        ("own_generators:Half", {}, "lacks `generate`"),
        ("own_generators:Nameless", {}, "`fingerprint` must be a text"),
        ("own_generators:Failing", {}, r"own_generators:Failing.*`fingerprint` cannot be read \(RuntimeError at own_g"),
        ("own_generators:failing", {}, r"own_generators:failing.*`fingerprint` cannot be read \(RuntimeError at own_g"),
        ("own_generators:made", {"limit": 1}, "takes no options"),
        ("own_generators:Upper", {"colour": "red"}, "colour"),
        ("own_generators:Upper", {"limit": 0}, "limit must be at least 1"),
        ("extractive", {"colour": "red"}, "colour"),
        (":", {}, "module:attribute"),
        ("a b:c", {}, "module:attribute"),
    ],
)
def test_what_cannot_be_loaded_is_said_clearly(module: str, spec: str, options: dict[str, object], words: str) -> None:
    with pytest.raises(InvalidSettings, match=words) as caught:
        load_generator(spec, options)
    assert "\n" not in f"{caught.value}"
    assert "SECRET" not in f"{caught.value}"


def test_the_words_of_a_constructor_may_hold_an_option_and_are_not_said(module: str) -> None:
    with pytest.raises(InvalidSettings, match=r"own_generators:refusing' cannot be made \(ValueError at ") as caught:
        load_generator(f"{module}:refusing", {"key": "SECRET"})
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize("fingerprint", [5, None, b"print", "", "x" * 251, "nul\0", "half \ud800"])
def test_a_fingerprint_that_the_stores_cannot_hold_is_refused(module: str, fingerprint: object) -> None:
    with pytest.raises(InvalidSettings, match=r"own_generators:With.*`fingerprint` must be a text of 1 to 250 char"):
        load_generator(f"{module}:With", {"fingerprint": fingerprint})
    with pytest.raises(InvalidSettings, match=r"own_generators:numbered.*`fingerprint` must be"):
        load_generator(f"{module}:numbered")


@pytest.mark.parametrize("cap", [0, -1, "5", 1.5, True])
def test_a_cap_that_is_no_number_of_chunks_is_refused(module: str, cap: object) -> None:
    with pytest.raises(InvalidSettings, match=r"own_generators:With.*`max_batch` must be a whole number of at least 1"):
        load_generator(f"{module}:With", {"max_batch": cap})


@pytest.mark.parametrize("cost", [-1, "5", None, float("nan"), float("inf"), True])
def test_a_cost_that_is_no_number_of_seconds_is_refused(module: str, cost: object) -> None:
    with pytest.raises(InvalidSettings, match=r"own_generators:With.*`seconds_per_chunk` must be a number of seconds"):
        load_generator(f"{module}:With", {"seconds_per_chunk": cost})


@pytest.mark.parametrize("members", [{"max_batch": 1}, {"max_batch": None}, {"seconds_per_chunk": 0}])
def test_members_as_they_should_be(module: str, members: dict[str, object]) -> None:
    load_generator(f"{module}:With", {"fingerprint": "x" * 250, **members})


def test_the_stores_can_hold_the_longest_fingerprint() -> None:
    longest = "x" * MAX_FINGERPRINT
    assert len(longest) <= documents.c.fingerprint.type.length
    assert len(cost_name(longest)) <= facts.c.name.type.length


def test_the_projects_own_are_entry_points() -> None:
    assert {"extractive", "openai"} <= set(generator_names())


class Titled(BaseGenerator):
    name = "titled"
    uses_document = True


class Blind(BaseGenerator):
    name = "blind"


def test_the_key_covers_what_the_generator_is_shown() -> None:
    chunk, other = Chunk("c", "text", 0, ("A",)), Chunk("c", "text", 0, ("B",))
    one, two = DocumentContext("d", title="One"), DocumentContext("d", title="Two")
    assert cache_key(chunk, one, Titled()) != cache_key(other, one, Titled())
    assert cache_key(chunk, one, Titled()) != cache_key(chunk, two, Titled())
    assert cache_key(chunk, one, Blind()) == cache_key(other, two, Blind())
    assert cache_key(chunk, one, Blind()) != cache_key(Chunk("c", "other"), one, Blind())
    assert cache_key(chunk, one, Blind()) != cache_key(chunk, one, Titled())
    assert 64 == len(cache_key(Chunk("c", "\ud800"), one, Blind()))


def test_the_key_does_not_cover_place_page_and_id() -> None:
    document = DocumentContext("d")
    moved = Chunk("other", "text", 9, (), 3, {"a": 1})
    assert cache_key(Chunk("c", "text"), document, Titled()) == cache_key(moved, document, Titled())


def test_parts_of_a_key_cannot_slide_into_each_other() -> None:
    document = DocumentContext("d")
    split, joined = Chunk("c", "t", 0, ("A", "B")), Chunk("c", "t", 0, ("AB",))
    assert cache_key(split, document, Titled()) != cache_key(joined, document, Titled())


def test_a_fingerprint_changes_with_every_part() -> None:
    prints = [fingerprint_of("n", "1", {}), fingerprint_of("n", "2", {}), fingerprint_of("m", "1", {})]
    prints += [fingerprint_of("n", "1", {"a": 1}), fingerprint_of("n", "1", {"a": 2})]
    assert len(prints) == len(set(prints))
    assert fingerprint_of("n", "1", {"a": 1, "b": 2}) == fingerprint_of("n", "1", {"b": 2, "a": 1})


def test_a_subclass_must_generate() -> None:
    with pytest.raises(NotImplementedError, match=r"Blind must define generate"):
        outcome: list[Outcome] = list(Blind().generate([], DocumentContext("d")))
        assert outcome


@pytest.mark.parametrize(
    ("title", "path", "gist", "context"),
    [
        ("Canals", ("Suez", "History"), "opened in 1869", "Canals > Suez > History: opened in 1869"),
        ("Canals", ("Canals", "Suez"), "", "Canals > Suez"),
        ("Canals", ("CANALS",), "canals", "Canals"),
        ("", (), "opened in 1869", "opened in 1869"),
        ("", ("Suez", "", " Suez "), "", "Suez"),
        ("运河", ("历史",), "1869年通航", "运河 > 历史: 1869年通航"),
        ("", (), "", ""),
        ("A\n title", ("of\ttwo lines",), "and \n a gist", "A title > of two lines: and a gist"),
    ],
)
def test_the_context_line(title: str, path: tuple[str, ...], gist: str, context: str) -> None:
    assert context == compose_context(title, path, gist)


def test_the_search_field_says_the_first_topics_twice() -> None:
    topics = [f"t{number}" for number in range(12)]
    words = search_field("Title: gist", topics).split()
    assert ["Title:", "gist", *topics[:10], *topics] == words
    assert "" == search_field("", ())


def test_a_long_context_is_cut_between_words_and_keeps_its_gist() -> None:
    context = compose_context("A very long title " * 20, ("And a heading " * 20,), "the gist of it")
    assert len(context) <= 200
    assert context.endswith(": the gist of it")
    assert "…" in context


def test_a_long_title_leaves_room_for_the_headings_next_to_the_text() -> None:
    title = "The handbook of those who look after the machines of an office, second edition, revised"
    context = compose_context(title, ("Part " + "one " * 20, "Network", "Routers and their addresses"), "the gist")
    shown = "The handbook of those who look after the machines of an…"
    assert context == f"{shown} > Network > Routers and their addresses: the gist"
    assert compose_context("书" * 99, ("网络" * 40, "路由器"), "要点") == f"{'书' * 93}… > 路由器: 要点"
    assert compose_context("书" * 99, ("路由器" * 40,), "") == f"{'书' * 76}… > {'路由器' * 40}"
    assert len(compose_context("书" * 99, ("路由器" * 80,), "")) == 200
    assert len(compose_context("题" * 300, ("目" * 300,), "要点" * 100)) <= 200
