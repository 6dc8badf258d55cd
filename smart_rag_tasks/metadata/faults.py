"""A failed call of a model's service as a value: whether repeating can help, and when. Never the service's words."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from typing import Final

import openai

from ..models import ChunkFailure

#: Statuses that go away by themselves, besides 429 and 5xx: request time-out, conflict, too early.
_PASSING: Final = frozenset({408, 409, 425})
#: Statuses that one chunk of several may have caused: bad request, too large, unprocessable.
_BY_CONTENT: Final = frozenset({400, 413, 422})
#: Seconds; an answer that asks for more is answered after this.
_LONGEST_WAIT: Final = 3600.0

_ADVICE: Final = {
    401: "check OPENAI_API_KEY",
    403: "the key may not use this model",
    404: "check model and base_url",
    413: "the chunk is too long for the model",
}


def splits(error: openai.OpenAIError) -> bool:
    """Whether a smaller call may get through: one chunk of it may be at fault."""
    return isinstance(error, openai.APIStatusError) and error.status_code in _BY_CONTENT


def failure_of_call(error: openai.OpenAIError) -> ChunkFailure:
    """The failure of every chunk of the call."""
    if isinstance(error, openai.APITimeoutError):
        return ChunkFailure("APITimeoutError", "the model's service did not answer in time", transient=True)
    if isinstance(error, openai.APIConnectionError):
        return ChunkFailure(
            "APIConnectionError", "the model's service cannot be reached; check base_url", transient=True
        )
    if isinstance(error, openai.APIStatusError):
        return _by_status(error)
    return ChunkFailure(type(error).__name__, "the model's service gave an answer that cannot be read", transient=True)


def _by_status(error: openai.APIStatusError) -> ChunkFailure:
    status = error.status_code
    if status == 429 and error.code == "insufficient_quota":
        return ChunkFailure("QuotaExhausted", "the account at the model's service has no credit left")
    if status == 429:
        message = "the model's service asks for a pause (429)"
        return ChunkFailure("RateLimited", message, transient=True, retry_after=_retry_after(error))
    if status >= 500 or status in _PASSING:
        message = f"the model's service failed ({status})"
        return ChunkFailure(type(error).__name__, message, transient=True, retry_after=_retry_after(error))
    advice = _ADVICE.get(status, "the request is refused")
    return ChunkFailure(type(error).__name__, f"the model's service refused the call ({status}): {advice}")


def _retry_after(error: openai.APIStatusError) -> float | None:
    """Seconds that the answer's ``Retry-After`` asks for: a number or a date."""
    value = error.response.headers.get("retry-after", "").strip()
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except ValueError:
            return None
    return min(max(seconds, 0.0), _LONGEST_WAIT)
