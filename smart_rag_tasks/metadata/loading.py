"""Finds a generator by its entry point's name or by ``module:attribute``, and makes it."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, cast

from ..errors import InvalidSettings, words_of
from .generator import MetadataGenerator

#: Entry-point group in which packages offer generators.
GROUP = "smart_rag_tasks.generators"

#: So that the two of ours work from a checkout that was never installed.
_BUILT_IN = {
    "extractive": "smart_rag_tasks.metadata.extractive:ExtractiveGenerator",
    "openai": "smart_rag_tasks.metadata.openai:OpenAIGenerator",
}
#: Characters; with ``cost:`` before it, it is the name of a fact (256).
MAX_FINGERPRINT = 250
_FINGERPRINT = re.compile(rf"[^\0\ud800-\udfff]{{1,{MAX_FINGERPRINT}}}")
_SPEC = re.compile(r"(?P<module>[\w.]+):(?P<attribute>[\w.]+)")


def load_generator(spec: str, options: Mapping[str, Any] | None = None) -> MetadataGenerator:
    """The generator that ``spec`` names, made with ``options`` as keyword arguments; raises InvalidSettings."""
    spec = spec.strip()
    found = _resolve(spec)
    if not _is_instance(found):
        found = _make(spec, found, dict(options or {}))
    elif options:
        raise InvalidSettings(f"Generator {spec!r} is an object that is already made: it takes no options")
    if not _is_instance(found):
        raise InvalidSettings(f"Generator {spec!r} gave a {type(found).__name__}, which lacks `generate`")
    _check_members(spec, found)
    return cast(MetadataGenerator, found)


def generator_names() -> list[str]:
    """The names that installed packages offer, sorted."""
    return sorted({*_BUILT_IN, *(point.name for point in entry_points(group=GROUP))})


def _is_instance(value: object) -> bool:
    return not inspect.isclass(value) and callable(getattr(value, "generate", None))


def _check_members(spec: str, made: Any) -> None:
    """What is stored or counted with has to be fit for it; else every run of the generator would break."""
    fingerprint = _member(spec, made, "fingerprint", None)
    if not isinstance(fingerprint, str) or not _FINGERPRINT.fullmatch(fingerprint):
        raise InvalidSettings(
            f"Generator {spec!r}: `fingerprint` must be a text of 1 to {MAX_FINGERPRINT} characters,"
            " no NUL and no half characters"
        )
    cap = _member(spec, made, "max_batch", None)
    if cap is not None and (type(cap) is not int or cap < 1):
        raise InvalidSettings(f"Generator {spec!r}: `max_batch` must be a whole number of at least 1, or None")
    cost = _member(spec, made, "seconds_per_chunk", 0.0)
    if type(cost) not in (int, float) or not 0 <= cost < math.inf:
        raise InvalidSettings(f"Generator {spec!r}: `seconds_per_chunk` must be a number of seconds, 0 or more")


def _member(spec: str, made: Any, name: str, default: Any) -> Any:
    try:
        return getattr(made, name, default)
    except Exception as error:  # a property of somebody else's
        raise InvalidSettings(f"Generator {spec!r}: `{name}` cannot be read ({words_of(error)})") from error


def _resolve(spec: str) -> object:
    """What the name or ``module:attribute`` stands for, imported."""
    if ":" not in spec:
        named = {point.name: point.value for point in entry_points(group=GROUP)}
        target = named.get(spec) or _BUILT_IN.get(spec)
        if target is None:
            raise InvalidSettings(
                f"No generator is named {spec!r}: use one of {', '.join(generator_names())}, or module:attribute"
            )
        spec = target
    match = _SPEC.fullmatch(spec)
    if match is None:
        raise InvalidSettings(f"Generator {spec!r} is not of the form module:attribute")
    return _attribute(spec, match["module"], match["attribute"])


def _attribute(spec: str, module: str, path: str) -> object:
    try:
        value: object = import_module(module)
    except ImportError as error:
        raise InvalidSettings(
            f"Generator {spec!r}: module {module!r} cannot be imported ({error}); is it installed and on PYTHONPATH?"
        ) from error
    for name in path.split("."):
        try:
            value = getattr(value, name)
        except AttributeError:
            raise InvalidSettings(f"Generator {spec!r}: module {module!r} has no {path!r}") from None
    return value


def _make(spec: str, factory: object, options: dict[str, Any]) -> object:
    """``factory(**options)``; a class or a function."""
    if not callable(factory):
        raise InvalidSettings(f"Generator {spec!r} is neither a generator nor a class or function that makes one")
    try:
        inspect.signature(factory).bind(**options)
    except TypeError as error:
        raise InvalidSettings(f"Generator {spec!r} does not take these options: {error}") from None
    except ValueError:  # a callable without a signature (C extension): just try it
        pass
    try:
        return factory(**options)
    except (TypeError, ValueError) as error:  # its own words may hold an option's value, a key say
        raise InvalidSettings(f"Generator {spec!r} cannot be made ({words_of(error)})") from error
