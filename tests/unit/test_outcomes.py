"""What a generator gives is checked field by field before it comes near the store."""

from __future__ import annotations

from typing import Any

import pytest

from smart_rag_tasks.models import Chunk, ChunkFailure, ChunkMetadata, DocumentContext, Entity
from smart_rag_tasks.stages.calling import call, failure_of
from smart_rag_tasks.stages.outcomes import valid_outcome

TEXTS = "give a tuple of texts"
ENTITIES = "give a tuple of Entity, text and kind of each a text"


def metadata(**fields: Any) -> ChunkMetadata:
    return ChunkMetadata(**fields)


def failure(*fields: Any, **more: Any) -> ChunkFailure:
    return ChunkFailure(*fields, **more)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (metadata(keywords=None), f"ChunkMetadata.keywords: {TEXTS}"),
        (metadata(keywords="secret"), f"ChunkMetadata.keywords: {TEXTS}"),
        (metadata(keywords=("secret", 2)), f"ChunkMetadata.keywords: {TEXTS}"),
        (metadata(keywords={"secret"}), f"ChunkMetadata.keywords: {TEXTS}"),
        (metadata(questions=None), f"ChunkMetadata.questions: {TEXTS}"),
        (metadata(summary=5), "ChunkMetadata.summary: give a text"),
        (metadata(gist=None), "ChunkMetadata.gist: give a text"),
        (metadata(entities=None), f"ChunkMetadata.entities: {ENTITIES}"),
        (metadata(entities=(("secret", "person"),)), f"ChunkMetadata.entities: {ENTITIES}"),
        (metadata(entities=(Entity("secret", None),)), f"ChunkMetadata.entities: {ENTITIES}"),  # type: ignore[arg-type]
        (metadata(language=None), "ChunkMetadata.language: give an ISO 639-1 code"),
        (metadata(language="secret " * 3), "ChunkMetadata.language: give an ISO 639-1 code"),
        (metadata(tokens="many"), "ChunkMetadata.tokens: give a whole number"),
        (metadata(tokens=-1), "ChunkMetadata.tokens: give a whole number"),
        (metadata(tokens=2**31), "ChunkMetadata.tokens: give a whole number"),
        (failure(None, None), "ChunkFailure.kind: give a text"),
        (failure("Kind", None), "ChunkFailure.message: give a text"),
        (failure("Kind", "", None), "ChunkFailure.traceback: give a text"),
        ({"keywords": ("secret",)}, "generate() gave a dict; give ChunkMetadata or ChunkFailure for each chunk"),
    ],
)
def test_a_wrong_field_is_named_and_its_value_is_not(given: object, told: str) -> None:
    outcome = valid_outcome(given)

    assert isinstance(outcome, ChunkFailure) and "GeneratorError" == outcome.kind and not outcome.transient
    assert outcome.message.startswith(told) and "secret" not in outcome.message


def test_lists_are_taken_for_tuples() -> None:
    person = Entity("Ada", "person")
    given = metadata(keywords=["a", "b"], entities=[person], questions=["c?"])

    assert metadata(keywords=("a", "b"), entities=(person,), questions=("c?",)) == valid_outcome(given)


@pytest.mark.parametrize("half", ["\x00", "\ud800"])
def test_what_no_database_takes_is_replaced(half: str) -> None:
    def made(text: str) -> list[Any]:
        entities = (Entity("Ada", "person"), Entity(text, "term"))
        return [
            metadata(
                keywords=("k", text), summary=text, gist=text, entities=entities, language=text, questions=(text,)
            ),
            failure(text, text, text),
        ]

    assert made("one \ufffd\n二") == [valid_outcome(given) for given in made(f"one {half}\n二")]


@pytest.mark.parametrize("seconds", ["soon", float("nan"), float("inf"), -1.0, 10**400])
def test_a_time_to_wait_that_is_none_is_left_out(seconds: Any) -> None:
    assert failure("Kind", "m", transient=True) == valid_outcome(failure("Kind", "m", "", True, seconds))


def test_an_error_is_cut_to_what_the_store_keeps() -> None:
    outcome = valid_outcome(failure("K" * 500, "m" * 5000, "t" * 9000 + "end"))

    assert isinstance(outcome, ChunkFailure)
    assert (128, 2000, 8000) == (len(outcome.kind), len(outcome.message), len(outcome.traceback))
    assert outcome.traceback.endswith("end")


@pytest.mark.parametrize(
    "words",
    [
        "cannot read 'The turtle swims to Vienna.'",
        "CANNOT READ THE TURTLE SWIMS TO VIENNA",
        "1 validation error: input_value='The turtle swims to Vie...', input_type=str",
        "near: turtle swims to Vienna. Nobody has",
    ],
)
def test_an_error_quotes_no_text_and_no_part_of_one(words: str) -> None:
    chunks = [Chunk("a", "Other words."), Chunk("b", "The turtle swims to Vienna. Nobody has ever asked why.")]
    try:
        raise ValueError(words)
    except ValueError as error:
        failure = failure_of(error, chunks)
    told = f"{failure.message} {failure.traceback}".lower()
    assert "<chunk text>" in failure.message
    assert not any(word in told for word in ("turtle", "swims"))


def test_an_error_s_own_words_stay() -> None:
    failure = failure_of(ValueError("the context length is exceeded"), [Chunk("a", "The length of a context.")])
    assert "the context length is exceeded" == failure.message


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (None, "generate() gave a NoneType; give a list, one outcome a chunk"),
        ([], "generate() gave 0 outcomes for 1 chunks; give one a chunk"),
    ],
)
def test_a_generator_that_gives_no_outcomes_is_told(given: Any, told: str) -> None:
    class Forgets:
        def generate(self, chunks: object, document: object) -> Any:
            return given

    generator: Any = Forgets()
    (outcome,) = call(generator, [Chunk("c", "text", 0)], DocumentContext("d"))
    assert isinstance(outcome, ChunkFailure) and (outcome.kind, outcome.message) == ("GeneratorError", told)
