"""A PostgreSQL database without an encoding of its own takes any text all the same."""

from __future__ import annotations

import psycopg
from sqlalchemy.engine import make_url

from smart_rag_tasks.client import Client
from smart_rag_tasks.models import Chunk
from smart_rag_tasks.settings import load
from smart_rag_tasks.stages.ingest import Submission, admit


def test_a_database_in_sql_ascii_takes_and_gives_text(postgres_url: str) -> None:
    url = make_url(postgres_url).set(drivername="postgresql")
    with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as connection:
        connection.execute("CREATE DATABASE plain ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    client = Client(load(store=url.set(database="plain").render_as_string(hide_password=False)))

    admit(client.env.store, Submission("茶-and-tea", [Chunk("a", "茶生长在山坡上。")], "extractive", engine="celery"))

    assert ["茶-and-tea"] == client.document_ids()
    assert "茶生长在山坡上。" == client.document("茶-and-tea")["chunks"][0]["text"]
