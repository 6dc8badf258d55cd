"""``dead-letters``: what could not be done, whatever it was: seen, tried again, or discarded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import InvalidInput
from . import options, output
from .schedule import ago

if TYPE_CHECKING:
    from ..dead_letters import DeadLetter, Selection
    from ..stages.environment import Environment

_SOURCES = ("document", "chunk", "file", "delivery", "message")

_FILTERS = (
    click.option("--document", envvar="SMART_RAG_DEAD_DOCUMENT", show_envvar=True, metavar="DOCUMENT",
                 help="Only of this document (its id or a part of it)."),
    click.option("--kind", envvar="SMART_RAG_DEAD_KIND", show_envvar=True, metavar="ERROR",
                 help="Only of this kind of error, for example RateLimited."),
    click.option("--older-than", envvar="SMART_RAG_DEAD_AGE", show_envvar=True, metavar="PERIOD",
                 help="Only those at least that old, for example 1h."),
    click.option("--source", type=click.Choice(_SOURCES), envvar="SMART_RAG_DEAD_SOURCE", show_envvar=True,
                 help="Only what lies there."),
)  # fmt: skip


def filters(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that select letters."""
    for option in reversed(_FILTERS):
        command = option(command)
    return command


def _selection(env: Environment, ids: tuple[str, ...], **given: str | None) -> Selection:
    from ..dead_letters import Selection, Source
    from ..periods import parse_every
    from ..stages.control import find_document

    document, age, source = given["document"], given["older_than"], given["source"]
    return Selection(
        ids=ids,
        document_id=find_document(env, document) if document else None,
        kind=given["kind"],
        older_than=parse_every(age) if age else None,
        source=Source(source) if source else None,
    )


@click.group("dead-letters", context_settings={"max_content_width": 80})
def dead_letters_command() -> None:
    """What could not be done: documents that failed as a whole, failed chunks,
    refused files, deliveries that keep failing, messages that no worker can take.
    """


@dead_letters_command.command("list")
@filters
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, envvar="SMART_RAG_DEAD_LIMIT",
              show_envvar=True, help="Lines at the most.")  # fmt: skip
@options.with_store
def list_command(limit: int, store: str | None, as_json: bool, **given: str | None) -> None:
    """Dead letters, in numbers and one by one."""
    env = options.open_environment(store)
    from ..dead_letters import find

    letters, missing = find(env, _selection(env, (), **given))
    if as_json:
        output.print_json([letter.record() for letter in letters])
    else:
        _print_list(letters, limit)
    if missing:
        output.errors().print(output.hanging("", f"Messages are not shown: {missing}"), style="yellow", soft_wrap=True)


def _print_list(letters: list[DeadLetter], limit: int) -> None:
    console = output.console()
    console.print(_sentence(letters))
    if not letters:
        return
    rows = [
        (
            letter.id,
            letter.document_id or (Path(letter.what).name if letter.source == "file" else letter.what),
            f"{letter.kind}: {letter.error.removeprefix(f'{letter.kind}: ')}",
            ago(letter.at),
        )
        for letter in letters[:limit]
    ]
    console.print(output.table(("Id", "*Of", "**Error", ">Failed"), rows))
    if len(letters) > limit:
        console.print(f"… {len(letters) - limit} more: --limit shows them", style="dim")


def _sentence(letters: list[DeadLetter]) -> str:
    counts = Counter(letter.source.value for letter in letters)
    if not counts:
        return "No dead letters."
    parts = [f"{count} {source if count == 1 else _plural(source)}" for source in _SOURCES if (count := counts[source])]
    return f"Dead letters: {', '.join(parts)}."


def _plural(source: str) -> str:
    return "deliveries" if source == "delivery" else f"{source}s"


@dead_letters_command.command("show")
@click.argument("letter_id", metavar="ID")
@options.with_store
def show_command(letter_id: str, store: str | None, as_json: bool) -> None:
    """All that is known of the letter ID, the chunk's text or the message included."""
    env = options.open_environment(store)
    from ..dead_letters import Selection, details, find

    letters, _ = find(env, Selection(ids=(letter_id,)))
    record = details(env, letters[0])
    if as_json:
        output.print_json(record)
        return
    for name, value in record.items():
        if value not in ("", None, [], False):
            text = ago(value) if name == "at" else str(value)
            output.console().print(f"{name:<12} {text}", soft_wrap=True)


@dead_letters_command.command("retry")
@click.argument("ids", nargs=-1, metavar="[ID]...")
@filters
@click.option("--all", "everything", is_flag=True, envvar="SMART_RAG_DEAD_ALL", show_envvar=True, help="All of them.")
@options.yes
@options.with_store
def retry_command(
    ids: tuple[str, ...], everything: bool, yes: bool, store: str | None, as_json: bool, **given: str | None
) -> None:
    """Try again: these chunks and no others, files at the next scan, the rest at once.

    Documents are submitted anew, with the generator that is set now.
    """
    env = options.open_environment(store)
    from ..dead_letters import retry

    letters = _chosen(env, _selection(env, ids, **given), everything, "Try", yes)
    refusals = retry(env, letters)
    for refusal in refusals:
        output.errors().print(refusal, style="yellow", soft_wrap=True)
    sentence = f"{_sentence(letters)} They are tried again." if letters else "No dead letters."
    output.say(as_json, sentence, letters=[letter.id for letter in letters], refused=refusals)
    raise SystemExit(1 if refusals else 0)


@dead_letters_command.command("discard")
@click.argument("ids", nargs=-1, metavar="[ID]...")
@filters
@click.option("--all", "everything", is_flag=True, envvar="SMART_RAG_DEAD_ALL", show_envvar=True, help="All of them.")
@options.yes
@options.with_store
def discard_command(
    ids: tuple[str, ...], everything: bool, yes: bool, store: str | None, as_json: bool, **given: str | None
) -> None:
    """Give up. Chunks stay stored and searchable, without metadata."""
    env = options.open_environment(store)
    from ..dead_letters import discard

    letters = _chosen(env, _selection(env, ids, **given), everything, "Discard", yes)
    count = discard(env, letters)
    output.say(
        as_json,
        f"{output.several(count, 'dead letter')} discarded.",
        letters=[letter.id for letter in letters],
        count=count,
    )


def _chosen(env: Environment, wanted: Selection, everything: bool, verb: str, yes: bool) -> list[DeadLetter]:
    """The letters that a command works on; ``--all`` asks first."""
    from ..dead_letters import find

    if wanted.everything and not everything:
        raise InvalidInput("say which: their ids, --document, --kind, --older-than or --source; or --all")
    letters, missing = find(env, wanted)
    if missing:
        output.errors().print(f"Without messages: {missing}", style="yellow", soft_wrap=True)
    if everything and letters and not yes:
        click.confirm(f"{_sentence(letters)} {verb} all of them?", abort=True, err=True)
    return letters
