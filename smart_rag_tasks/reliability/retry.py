"""Retry policies as data, by kind of error: the one place where they are declared.

A decision is a pure function of the error and the tries so far; who acts on it is the caller.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from ..models import ChunkFailure


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often, and how long apart."""

    #: Tries in all, the first included.
    attempts: int
    #: Seconds before the second try; doubled for each one after.
    backoff: float
    #: Seconds at the most.
    maximum: float


#: By class name of the error. ``Exception`` is for what a generator raised and nobody here knows.
POLICIES: dict[str, RetryPolicy] = {
    "RateLimited": RetryPolicy(attempts=10, backoff=5.0, maximum=300.0),
    "TransientError": RetryPolicy(attempts=6, backoff=2.0, maximum=120.0),
    # a chunk that is too slow is tried once more, alone, in case its batch was the reason
    "SoftTimeLimitExceeded": RetryPolicy(attempts=2, backoff=1.0, maximum=1.0),
    "Exception": RetryPolicy(attempts=3, backoff=0.5, maximum=5.0),
}

#: Errors of the program or its input: the next try would end the same way, and would be paid for.
PERMANENT = frozenset(
    kind.__name__
    for kind in (
        ArithmeticError,
        AssertionError,
        AttributeError,
        ImportError,
        IndexError,
        KeyError,
        NameError,
        NotImplementedError,
        RecursionError,
        SyntaxError,
        TypeError,
        UnicodeError,
        ValueError,
        ZeroDivisionError,
    )
) | {"GeneratorError", "ModuleNotFoundError", "ProcessDied", "UnicodeEncodeError", "UnicodeDecodeError"}


def policy_for(failure: ChunkFailure) -> RetryPolicy | None:
    """The policy of an error, None when repeating cannot help. A failure that was raised has a traceback."""
    if failure.kind in POLICIES:
        return POLICIES[failure.kind]
    if failure.transient:
        return POLICIES["TransientError"]
    return POLICIES["Exception"] if failure.traceback and failure.kind not in PERMANENT else None


def delay_before_retry(failure: ChunkFailure, attempts: int) -> float | None:
    """Seconds to wait after ``attempts`` tries ended with ``failure``; None: no further try.

    Exponential with full jitter on the upper half, so that chunks that failed together do not come back
    together; never earlier than the other side asked.
    """
    policy = policy_for(failure)
    if policy is None or attempts >= policy.attempts:
        return None
    ceiling = min(policy.backoff * 2 ** (attempts - 1), policy.maximum)
    return max(failure.retry_after or 0.0, random.uniform(ceiling / 2, ceiling))  # noqa: S311 - spread, not secrecy
