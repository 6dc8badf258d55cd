"""What an operator does to a document: ``delete``, ``cancel``, ``pause``, ``resume``, ``retry``, ``regenerate``."""

from __future__ import annotations

import sys
from typing import Any

import click

from . import options


def _client_and_id(store: str | None, document: str, *, script: bool) -> tuple[Any, str]:
    """A part of an id will do for somebody who sees which document it is."""
    options.find_store(store)
    options.find_redis()
    from ..client import Client
    from ..stages.control import find_document

    client = Client()
    return client, find_document(client.env, document, whole=script)


def _say(as_json: bool, sentence: str, **facts: Any) -> None:
    from . import output

    output.say(as_json, sentence, **facts)


@click.command("delete")
@options.document
@options.with_store
@options.yes
def delete_command(document: str, store: str | None, as_json: bool, yes: bool) -> None:
    """Delete DOCUMENT and its chunks; what is under way for it ends.

    A part of its id will do, except with --yes.
    """
    client, document_id = _client_and_id(store, document, script=yes)
    if not yes:
        click.confirm(f"Delete {document_id} and all its chunks?", abort=True, err=True)
    chunks = client.delete(document_id)
    words = f"{document_id} is deleted, {chunks} chunk{'' if chunks == 1 else 's'}."
    _say(as_json, words, document_id=document_id, chunks=chunks)


@click.command("cancel")
@options.document
@options.with_store
def cancel_command(document: str, store: str | None, as_json: bool) -> None:
    """Stop the work on DOCUMENT; what has its metadata keeps it.

    At a terminal a part of its id will do.
    """
    client, document_id = _client_and_id(store, document, script=as_json or not sys.stdin.isatty())
    run_id = client.cancel(document_id)
    _say(as_json, f"{document_id} is cancelled; `retry` goes on.", document_id=document_id, run_id=run_id)


@click.command("pause")
@options.document
@options.with_store
def pause_command(document: str, store: str | None, as_json: bool) -> None:
    """Let DOCUMENT wait; what a worker has in hand is finished.

    At a terminal a part of its id will do.
    """
    client, document_id = _client_and_id(store, document, script=as_json or not sys.stdin.isatty())
    run_id = client.pause(document_id)
    _say(as_json, f"{document_id} is paused; `resume` goes on.", document_id=document_id, run_id=run_id)


@click.command("resume")
@options.document
@options.with_store
def resume_command(document: str, store: str | None, as_json: bool) -> None:
    """Let a paused DOCUMENT go on; the next sweep sends its work.

    At a terminal a part of its id will do.
    """
    client, document_id = _client_and_id(store, document, script=as_json or not sys.stdin.isatty())
    run_id = client.resume(document_id)
    _say(as_json, f"{document_id} goes on.", document_id=document_id, run_id=run_id)


@click.command("retry")
@options.document
@options.with_store
def retry_command(document: str, store: str | None, as_json: bool) -> None:
    """Try the failed and the missing chunks of DOCUMENT again, and only those.

    At a terminal a part of its id will do.
    """
    client, document_id = _client_and_id(store, document, script=as_json or not sys.stdin.isatty())
    run = client.retry(document_id)
    _say(as_json, f"{document_id}: run {run.run_id} tries again.", document_id=document_id, run_id=run.run_id)


@click.command("regenerate")
@options.document
@options.with_store
@click.option("--stale", is_flag=True, envvar="SMART_RAG_STALE", show_envvar=True,
              help="Only what another generator or version made.")  # fmt: skip
def regenerate_command(document: str, store: str | None, as_json: bool, stale: bool) -> None:
    """Generate the metadata of DOCUMENT again.

    At a terminal a part of its id will do.
    """
    client, document_id = _client_and_id(store, document, script=as_json or not sys.stdin.isatty())
    from ..stages.environment import check_generator_name

    check_generator_name(client.settings)
    run = client.regenerate(document_id, stale=stale)
    _say(as_json, f"{document_id}: run {run.run_id} generates it again.", document_id=document_id, run_id=run.run_id)
