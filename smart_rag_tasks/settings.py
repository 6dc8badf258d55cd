"""Every setting, read from the environment (and a ``.env`` file in the current folder) once, checked at start.

A wrong value raises :class:`~smart_rag_tasks.errors.InvalidSettings` with the variable's name and what is allowed.
``docs/reference/settings.md`` and ``.env.example`` list the same variables; a test compares.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict, SettingsError

from .errors import InvalidSettings

#: Where state lives when nothing else is said: store, embedded Redis data, Flower's database.
DEFAULT_HOME = ".smart_rag_tasks"

#: Names of the requirements document that are not settings any more, and why.
RENAMED = {
    "CELERY_WORKER_PREFETCH_MULTIPLIER": "prefetch is always 1, a guarantee rests on it",
    "CELERY_TASK_ACKS_LATE": "tasks are always acknowledged late, a guarantee rests on it",
    "CELERY_TASK_REJECT_ON_WORKER_LOST": "it is always on, a guarantee rests on it",
}

#: How alike (difflib's ratio) a name that is not read must be to one that is, to be taken for a slip of the pen:
#: others may have names that begin with SMART_RAG_, too.
_ALIKE = 0.75
_PREFIX = "SMART_RAG_"

#: Seconds: Redis refuses times that are far too long, and then nothing expires.
_WEEK, _TEN_YEARS = 604_800, 315_360_000

#: Schemes of URLs: everywhere, and where there are more.
_REDIS = ("redis", "rediss", "redis+socket", "sentinel")
_OTHERS = {"broker": ("amqp", "amqps", "pyamqp"), "rq": ("unix",)}

#: Between two URLs of a list: a ``;`` may stand in a password, too.
_NEXT_URL = re.compile(r";(?=[\w+.-]+://)")

#: A password among a URL's parameters.
_SECRET_PARAMETER = re.compile(r"([?&;][^=&;]*(?:passw|pwd|secret|token)[^=&;]*=)[^&;]*", re.IGNORECASE)

_STRICT_BOOLEANS = {"true": True, "1": True, "yes": True, "on": True}
_STRICT_BOOLEANS |= {"false": False, "0": False, "no": False, "off": False}


def parse_bool(value: object) -> bool:
    """``true/1/yes/on`` or ``false/0/no/off`` in any case; ValueError for all else (``bool("false")`` is True)."""
    if isinstance(value, bool):
        return value
    try:
        return _STRICT_BOOLEANS[str(value).strip().lower()]
    except KeyError:
        raise ValueError("use true or false") from None


class Settings(BaseSettings):
    """The effective settings; every field's alias is its environment variable."""

    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", env_ignore_empty=True, extra="ignore", frozen=True
    )

    # -- where things are
    #: Folder for state; relative to the current folder.
    home: Path = Field(Path(DEFAULT_HOME), alias="SMART_RAG_HOME")
    #: SQLAlchemy URL; "" means SQLite below ``home``.
    store: str = Field("", alias="SMART_RAG_STORE_URL")
    #: One Redis for everything, unless the next two say otherwise.
    redis_url: str = Field("redis://127.0.0.1:6379/0", alias="REDIS_URL")
    broker: str = Field("", alias="CELERY_BROKER_URL")
    backend: str = Field("", alias="CELERY_RESULT_BACKEND")

    # -- metadata
    #: An entry point's name or ``module:attribute``.
    generator: str = Field("extractive", alias="SMART_RAG_GENERATOR")
    #: Keyword arguments of the generator, as a JSON object.
    generator_options: dict[str, Any] = Field(default_factory=dict, alias="SMART_RAG_GENERATOR_OPTIONS")
    #: ``module:attribute`` of a vector store that the workers feed, "" for none.
    sink: str = Field("", alias="SMART_RAG_SINK")

    # -- chunks and documents
    #: Characters a chunk of a parsed file holds at the most.
    chunk_chars: int = Field(1200, alias="SMART_RAG_CHUNK_CHARS", ge=100, le=100_000)
    #: Characters of one submitted chunk at the most.
    max_chunk_chars: int = Field(100_000, alias="SMART_RAG_MAX_CHUNK_CHARS", ge=100, le=10_000_000)
    max_chunks: int = Field(200_000, alias="SMART_RAG_MAX_CHUNKS", ge=1)
    max_file_mb: int = Field(100, alias="SMART_RAG_MAX_FILE_MB", ge=1, le=4096)
    #: Bytes of chunks, as JSON, that may travel in a message (producers without the store).
    max_message_bytes: int = Field(1_000_000, alias="SMART_RAG_MAX_MESSAGE_BYTES", ge=1000)
    #: Folders below which ingest tasks may read, separated by ``:``; empty: none but what `run`/`watch` add.
    allowed_roots: Annotated[tuple[Path, ...], NoDecode] = Field((), alias="SMART_RAG_ALLOWED_ROOTS")

    # -- work
    #: Worker processes (one Celery worker each) that `up` and `run` start.
    worker_count: int = Field(1, alias="WORKER_COUNT", ge=1, le=256)
    #: Pool children of each worker.
    worker_concurrency: int = Field(
        default_factory=lambda: os.cpu_count() or 2, alias="WORKER_CONCURRENCY", ge=1, le=512
    )
    worker_max_tasks_per_child: int = Field(1000, alias="WORKER_MAX_TASKS_PER_CHILD", ge=1)
    #: KiB; a child that has grown over it is replaced after its task.
    worker_max_memory_kb: int = Field(600_000, alias="SMART_RAG_WORKER_MAX_MEMORY_KB", ge=50_000)
    #: Chunks in a batch at the most.
    max_batch: int = Field(256, alias="SMART_RAG_MAX_BATCH", ge=1, le=10_000)
    #: Seconds of work that a batch aims at.
    batch_seconds: float = Field(0.12, alias="SMART_RAG_BATCH_SECONDS", gt=0, le=60)
    #: Seconds after which a batch gets SoftTimeLimitExceeded, and is killed.
    soft_time_limit: float = Field(90.0, alias="SMART_RAG_SOFT_TIME_LIMIT", gt=0)
    time_limit: float = Field(120.0, alias="SMART_RAG_TIME_LIMIT", gt=0)
    #: Seconds; above every hard limit.
    visibility_timeout: float = Field(300.0, alias="SMART_RAG_VISIBILITY_TIMEOUT", gt=0, le=_WEEK)
    #: Seconds a worker that is told to stop lets its batches run on; its other tasks go back to their queue.
    soft_shutdown: float = Field(20.0, alias="SMART_RAG_SOFT_SHUTDOWN", ge=0, le=_WEEK)
    #: Seconds a lease lasts without renewal.
    lease_seconds: float = Field(12.0, alias="SMART_RAG_LEASE_SECONDS", ge=0.5, le=3600)
    #: Seconds between two renewals.
    lease_renewal: float = Field(4.0, alias="SMART_RAG_LEASE_RENEWAL", gt=0)
    #: Seconds between two sweeps.
    sweep_seconds: float = Field(5.0, alias="SMART_RAG_SWEEP_SECONDS", gt=0, le=600)
    #: Seconds that a published message may go unseen before the sweep asks what became of it.
    lost_after: float = Field(10.0, alias="SMART_RAG_LOST_AFTER", gt=0, le=_WEEK)
    #: Tries that a chunk has before it is put in quarantine or failed.
    max_attempts: int = Field(3, alias="SMART_RAG_MAX_ATTEMPTS", ge=1, le=100)
    #: Seconds: results, chord counters, finished runs.
    result_expires: int = Field(86_400, alias="SMART_RAG_RESULT_EXPIRES", ge=60, le=_TEN_YEARS)
    result_failure_expires: int = Field(604_800, alias="SMART_RAG_RESULT_FAILURE_EXPIRES", ge=60, le=_TEN_YEARS)
    chord_expires: int = Field(604_800, alias="SMART_RAG_CHORD_EXPIRES", ge=60, le=_TEN_YEARS)
    run_expires: int = Field(2_592_000, alias="SMART_RAG_RUN_EXPIRES", ge=3600, le=_TEN_YEARS)

    # -- processes, logs, security
    flower_port: int = Field(5555, alias="FLOWER_PORT", ge=0, le=65535)
    flower_address: str = Field("127.0.0.1", alias="FLOWER_ADDRESS")
    #: ``user:password``; needed as soon as Flower listens on more than loopback.
    flower_basic_auth: SecretStr | None = Field(None, alias="FLOWER_BASIC_AUTH")
    exporter_address: str = Field("127.0.0.1", alias="SMART_RAG_EXPORTER_ADDRESS")
    exporter_port: int = Field(9540, alias="SMART_RAG_EXPORTER_PORT", ge=0, le=65535)
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = Field("INFO", alias="CELERY_LOG_LEVEL")
    #: Where log lines go; "" for stderr. Its folder is made.
    log_file: str = Field("", alias="CELERY_LOG_FILE")
    log_format: Literal["text", "json"] = Field("text", alias="SMART_RAG_LOG_FORMAT")
    #: Fernet keys separated by commas, the first encrypts; empty: payloads are not encrypted.
    payload_keys: SecretStr = Field(SecretStr(""), alias="SMART_RAG_PAYLOAD_KEYS")

    # -- alerts
    #: Changes to the rules, e.g. {"queue_length": {"threshold": 5000, "for": 60, "severity": "critical"}}.
    alerts: dict[str, Any] = Field(default_factory=dict, alias="SMART_RAG_ALERTS")
    #: Where notices are posted, "" for nowhere; signed with the secret.
    alert_webhook: str = Field("", alias="SMART_RAG_ALERT_WEBHOOK")
    alert_webhook_secret: SecretStr = Field(SecretStr(""), alias="SMART_RAG_ALERT_WEBHOOK_SECRET")
    #: Hosts that a webhook may name although they are not on the public internet, separated by commas.
    alert_webhook_hosts: str = Field("", alias="SMART_RAG_ALERT_WEBHOOK_HOSTS")
    #: ``smtp://``, ``smtp+starttls://`` or ``smtps://USER:PASSWORD@HOST:PORT``, "" for no mail.
    alert_smtp: SecretStr = Field(SecretStr(""), alias="SMART_RAG_ALERT_SMTP")
    alert_mail_from: str = Field("", alias="SMART_RAG_ALERT_MAIL_FROM")
    #: Addresses separated by commas.
    alert_mail_to: str = Field("", alias="SMART_RAG_ALERT_MAIL_TO")

    # -- RQ, for rollback only
    use_celery: bool = Field(True, alias="USE_CELERY")
    celery_ratio: float | None = Field(None, alias="SMART_RAG_CELERY_RATIO", ge=0.0, le=1.0)
    #: The Redis of the RQ installation; "" means REDIS_URL.
    rq: str = Field("", alias="SMART_RAG_RQ_URL")

    @field_validator("*", mode="before")
    @classmethod
    def _not_blank(cls, value: object) -> object:
        if isinstance(value, str) and value and not value.strip():
            raise ValueError("is blank; give it a value, or leave it out")
        return value

    @field_validator("store", mode="after")
    @classmethod
    def _file_or_url(cls, value: str) -> str:
        return file_or_url(value)

    @field_validator("use_celery", mode="before")
    @classmethod
    def _strict_bool(cls, value: object) -> bool:
        return parse_bool(value)

    @field_validator("redis_url", "broker", "backend", "rq")
    @classmethod
    def _known_place(cls, value: str, info: ValidationInfo) -> str:
        """URLs that a transport can be made of; several Sentinels are separated by ``;``."""
        schemes = (*_REDIS, *_OTHERS.get(str(info.field_name), ()))
        for url in _NEXT_URL.split(value) if value else ():
            if url.partition("://")[0].strip().lower() not in schemes or "://" not in url:
                raise ValueError(f"use {', '.join(f'{scheme}://' for scheme in schemes[:-1])} or {schemes[-1]}://…")
            try:
                parts = urlsplit(url)
                _ = parts.port
            except ValueError:
                raise ValueError("its port must be a number up to 65535, and special characters be %-encoded") from None
            database = parts.path.strip("/")
            if parts.scheme in ("redis", "rediss", "sentinel") and database and not database.isdecimal():
                raise ValueError("its database must be a number: redis://HOST:PORT/0")
        return value

    @field_validator("allowed_roots", mode="before")
    @classmethod
    def _split_roots(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(Path(part).expanduser().resolve() for part in value.split(os.pathsep) if part)
        return value

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: object) -> object:
        """In capitals; Celery itself sets the variable to the number, or to nothing, in a worker's processes."""
        if not isinstance(value, str):
            return value
        return logging.getLevelName(int(value)) if value.isdecimal() else value.upper() or "INFO"

    @model_validator(mode="after")
    def _relations(self) -> Settings:
        if self.soft_time_limit >= self.time_limit:
            raise ValueError("SMART_RAG_SOFT_TIME_LIMIT must be below SMART_RAG_TIME_LIMIT")
        if self.time_limit >= self.visibility_timeout:
            raise ValueError(
                "SMART_RAG_TIME_LIMIT must be below SMART_RAG_VISIBILITY_TIMEOUT, else a task that still runs is"
                " delivered a second time"
            )
        if self.lease_renewal * 2 > self.lease_seconds:
            raise ValueError("SMART_RAG_LEASE_RENEWAL must be at most half of SMART_RAG_LEASE_SECONDS")
        if self.chord_expires < 10 * self.time_limit:
            raise ValueError(
                "SMART_RAG_CHORD_EXPIRES must be far above SMART_RAG_TIME_LIMIT (at least ten times), else a long"
                " document's chord loses its counter"
            )
        return self

    @property
    def store_url(self) -> str:
        """The store's SQLAlchemy URL."""
        return self.store or file_url(self.home / "store.db")

    @property
    def redis_home(self) -> Path:
        """Folder of the embedded Redis server: one a store, for messages and results hold ids of that store."""
        if self.store_url == file_url(self.home / "store.db"):
            return self.home / "redis"
        return self.home / f"redis-{hashlib.blake2b(self.store_url.encode(), digest_size=4).hexdigest()}"

    @property
    def names_redis(self) -> bool:
        """Whether the environment or ``.env`` says which Redis to use."""
        return bool(self.model_fields_set & {"redis_url", "broker"})

    @property
    def broker_url(self) -> str:
        """The broker's URL."""
        return self.broker or self.redis_url

    @property
    def result_backend(self) -> str:
        """The result backend's URL."""
        return self.backend or self.redis_url

    @property
    def rq_url(self) -> str:
        """The URL of RQ's Redis."""
        return self.rq or self.redis_url

    @property
    def payload_key_list(self) -> tuple[str, ...]:
        """The Fernet keys, the one that encrypts first."""
        return tuple(key.strip() for key in self.payload_keys.get_secret_value().split(",") if key.strip())


def file_or_url(store: str) -> str:
    """A store's URL; a plain file name means SQLite."""
    if not store or "://" in store:
        return store
    return file_url(Path(store).expanduser()) if store != ":memory:" else f"sqlite:///{store}"


def file_url(file: Path) -> str:
    """The URL of a SQLite store; two characters mean something there."""
    return "sqlite:///" + str(file.resolve()).replace("%", "%25").replace("?", "%3F")


def mask(url: str) -> str:
    """The URL, or each of several separated by ``;``, with its passwords replaced by ``***``."""
    return _SECRET_PARAMETER.sub(r"\1***", ";".join(map(_without_password, _NEXT_URL.split(url))))


def _without_password(url: str) -> str:
    scheme, mark, rest = url.partition("://")
    login, at, host = rest.rpartition("@")
    user, colon, _ = login.partition(":")
    return f"{scheme}{mark}{user}:***{at}{host}" if colon else url


def client_url(url: str) -> str:
    """The URL as redis-py has it (and RedBeat, and RQ): what kombu calls ``redis+socket://`` is ``unix://`` there."""
    if not url.startswith("redis+socket://"):
        return url
    return url.replace("redis+socket", "unix", 1).replace("virtual_host=", "db=")


def load(**overrides: Any) -> Settings:
    """Settings from the environment, ``overrides`` (by field name) first; raises InvalidSettings."""
    given = _given()
    for name, reason in RENAMED.items():
        if name in given:
            raise InvalidSettings(f"{name} is not read any more; remove it: {reason}")
    try:
        return Settings(**{str(Settings.model_fields[name].alias): value for name, value in overrides.items()})
    except ValidationError as error:
        raise InvalidSettings(_explain(error)) from None
    except SettingsError as error:
        field = re.search(r'field "(\w+)"', str(error))
        alias = Settings.model_fields[field[1]].alias if field else "a setting"
        raise InvalidSettings(f"{alias}: must be JSON, an object: {{…}}") from None


def _given() -> set[str]:
    """The names that the environment and ``.env`` hold."""
    try:
        return {*os.environ, *dotenv_values(".env", encoding="utf-8")}
    except UnicodeDecodeError:
        raise InvalidSettings(".env: is not UTF-8 text; save it as UTF-8") from None


def misspelt() -> str:
    """A phrase on names in the environment and in ``.env`` that are nearly those of settings, "" for none."""
    aliases = {str(field.alias) for field in Settings.model_fields.values()}
    known = {alias.removeprefix(_PREFIX): alias for alias in aliases if alias.startswith(_PREFIX)}
    known["STORE"] = known["STORE_URL"]  # what the option --store suggests
    found = []
    for name in sorted(_given()):
        if name.startswith(_PREFIX) and name not in aliases:
            near = get_close_matches(name.removeprefix(_PREFIX), known, 1, _ALIKE)
            found += [f"{name} (meant as {known[each]}?)" for each in near]
    return f"names in the environment that nothing reads: {', '.join(found)}" if found else ""


def _explain(error: ValidationError) -> str:
    """One line a wrong variable: its name and what is allowed (never its value: it may be a secret)."""
    lines = []
    for item in error.errors(include_input=False, include_url=False, include_context=False):
        name = str(item["loc"][0]) if item["loc"] else ""
        message = item["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
        if item["type"] != "value_error":  # pydantic's own words
            message = _number(name) or message
        lines.append(f"{name}: {message}" if name else message)
    return "; ".join(lines)


def _number(name: str) -> str:
    """What a number of that name must be, "" for what is none."""
    field = next((field for field in Settings.model_fields.values() if field.alias == name), None)
    kinds: dict[Any, str] = {int: "a whole number", float: "a number", float | None: "a number"}
    kind = kinds.get(field.annotation) if field else None
    return f"must be {kind} {limits(field)}".rstrip() if kind else ""


def limits(field: Any) -> str:
    """What a field allows, beyond its type."""
    found = []
    for item in field.metadata:
        for name, sign in (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<")):
            if (value := getattr(item, name, None)) is not None:
                found.append(f"{sign} {value}")
    return ", ".join(found)


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """The process's settings, read once. ``get_settings.cache_clear()`` reads them again."""
    return load()
