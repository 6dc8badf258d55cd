"""A generator on any endpoint that speaks OpenAI's chat completions (extra ``openai``).

Several chunks go into one call and several calls run at a time, on one event loop inside ``generate``; the client
lives no longer than that loop. What a call costs is told a chunk; what goes wrong is told a chunk, as repeatable or
not. Nothing of the chunks, the answers or the key stands in an error.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

from ..errors import InvalidSettings
from ..models import Chunk, ChunkFailure, DocumentContext, Outcome
from . import answers
from .generator import BaseGenerator

if TYPE_CHECKING:
    from openai import AsyncOpenAI

Structure = Literal["json_schema", "json_object", "none"]


class OpenAIGenerator(BaseGenerator):
    """Metadata from a model; title, topics and summary of the document are still the extractive ones."""

    name = "openai"
    version = "1"
    uses_document = True

    def __init__(
        self,
        *,
        model: str = "gpt-4o-mini",
        base_url: str | None = None,
        api_key: str | None = None,
        questions: int = 3,
        chunks_per_call: int = 8,
        concurrency: int = 4,
        timeout: float = 30.0,
        temperature: float | None = 0.0,
        max_tokens: int | None = None,
        structure: Structure = "json_object",
    ) -> None:
        """Raises InvalidSettings for values out of range, a missing key or a missing package.

        ``timeout`` is seconds a call; ``structure`` is how the endpoint is asked for JSON (``json_schema``,
        ``json_object``, or ``none`` for those that know neither).
        """
        _need_package()
        _check(questions=(questions, 0, 10), chunks_per_call=(chunks_per_call, 1, 64), concurrency=(concurrency, 1, 64))
        _check(timeout=(timeout, 0.1, 600))
        if structure not in ("json_schema", "json_object", "none"):
            raise InvalidSettings("structure must be json_schema, json_object or none")
        self.max_batch = chunks_per_call * concurrency
        self.options = {
            "model": model,
            "base_url": base_url or os.environ.get("OPENAI_BASE_URL") or "",
            "temperature": temperature,
            "questions": questions,
            "max_tokens": max_tokens,
            "structure": structure,
            "prompt": answers.prompt(questions),
        }
        self._chunks_per_call, self._concurrency, self._timeout = chunks_per_call, concurrency, timeout
        self._key = _key(api_key, self.options["base_url"])

    def __repr__(self) -> str:
        return f"OpenAIGenerator(model={self.options['model']!r})"

    def generate(self, chunks: Sequence[Chunk], document: DocumentContext) -> list[Outcome]:
        """One outcome a chunk; a failed call costs its own chunks only."""
        return asyncio.run(self._generate(chunks, document))

    async def _generate(self, chunks: Sequence[Chunk], document: DocumentContext) -> list[Outcome]:
        from openai import AsyncOpenAI

        size = self._chunks_per_call
        gate = asyncio.Semaphore(self._concurrency)
        # Retries are the caller's: the store counts attempts and keeps the due time.
        async with AsyncOpenAI(
            api_key=self._key, base_url=self.options["base_url"] or None, timeout=self._timeout, max_retries=0
        ) as client:

            async def one(part: Sequence[Chunk]) -> list[Outcome]:
                async with gate:
                    return await self._ask(client, part, document)

            parts = [chunks[start : start + size] for start in range(0, len(chunks), size)]
            return [outcome for outcomes in await asyncio.gather(*map(one, parts)) for outcome in outcomes]

    async def _ask(self, client: AsyncOpenAI, chunks: Sequence[Chunk], document: DocumentContext) -> list[Outcome]:
        """The outcomes of one call; one that is refused for its content is made again in halves."""
        import openai

        from .faults import failure_of_call, splits

        try:
            completion = await client.chat.completions.create(**self._request(chunks, document))
        except openai.OpenAIError as error:
            if splits(error) and len(chunks) > 1:
                middle = len(chunks) // 2
                first = await self._ask(client, chunks[:middle], document)
                return first + await self._ask(client, chunks[middle:], document)
            failure = failure_of_call(error)
            return [failure] * len(chunks)
        return read_completion(completion, chunks)

    def _request(self, chunks: Sequence[Chunk], document: DocumentContext) -> dict[str, Any]:
        options = self.options
        request: dict[str, Any] = {
            "model": options["model"],
            "messages": [
                {"role": "system", "content": options["prompt"]},
                {"role": "user", "content": answers.message(chunks, document)},
            ],
        }
        if options["temperature"] is not None:
            request["temperature"] = options["temperature"]
        if options["max_tokens"]:
            request["max_tokens"] = options["max_tokens"]
        if options["structure"] == "json_schema":
            request["response_format"] = {"type": "json_schema", "json_schema": answers.SCHEMA}
        elif options["structure"] == "json_object":
            request["response_format"] = {"type": "json_object"}
        return request


def read_completion(completion: Any, chunks: Sequence[Chunk]) -> list[Outcome]:
    """The outcomes that a completion tells; its tokens are shared by the chunks that got metadata."""
    choice = completion.choices[0] if getattr(completion, "choices", None) else None
    usage = getattr(completion, "usage", None)
    tokens = int(getattr(usage, "total_tokens", 0) or 0)
    if choice is not None and choice.finish_reason == "content_filter":
        refused = ChunkFailure("ContentRefused", "the model's service refused the content; leave the chunk out")
        return [refused] * len(chunks)
    text = (choice.message.content if choice is not None and choice.message else None) or ""
    return answers.read(text, chunks, tokens, cut_off=choice is not None and choice.finish_reason == "length")


_NO_KEY: Final = "the openai generator needs an API key: set OPENAI_API_KEY, or base_url of an endpoint without one"


def _key(api_key: str | None, base_url: str) -> str:
    """The key; endpoints of one's own often want none, but the client insists on a value."""
    key = api_key or os.environ.get("OPENAI_API_KEY") or ("none" if base_url else "")
    if not key:
        raise InvalidSettings(_NO_KEY)
    return key


def _check(**limits: tuple[float, float, float]) -> None:
    for name, (value, least, most) in limits.items():
        if not isinstance(value, int | float) or not least <= value <= most:
            raise InvalidSettings(f"{name} must be between {least:g} and {most:g}")


def _need_package() -> None:
    try:
        import openai  # noqa: F401
    except ImportError as error:
        raise InvalidSettings(
            "the openai generator needs its package: pip install 'smart-rag-tasks[openai]'"
        ) from error
