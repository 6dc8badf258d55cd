"""What a stage works with: settings, the store and generators, made once a process and never before a fork."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, field

from ..errors import InvalidSettings, words_of
from ..metadata import generator_names, load_generator
from ..metadata.generator import MetadataGenerator
from ..models import Json
from ..settings import Settings, get_settings
from ..sinks import find_sink
from ..store import Store, open_store

_SPEC = re.compile(r"[\w.]+:[\w.]+")


@dataclass(slots=True)
class Environment:
    """What every stage gets."""

    settings: Settings
    store: Store
    #: What generators were measured to cost, as it was read last: (monotonic time, seconds a chunk) by fingerprint.
    costs: dict[str, tuple[float, float | None]] = field(default_factory=dict)
    #: When this process noted such a cost last, epoch seconds.
    cost_noted: float = 0.0

    def generator(self, spec: str, options: Json) -> MetadataGenerator:
        """The generator of a run; made at first use, kept for the life of the process."""
        return generator(spec, options)


_generators: dict[str, MetadataGenerator] = {}


def generator(spec: str, options: Json) -> MetadataGenerator:
    """The generator of that name and options, made once a process; a fork shares what its parent made."""
    key = f"{spec} {json.dumps(options, sort_keys=True)}"
    if key not in _generators:
        _generators[key] = load_generator(spec, options)
    return _generators[key]


def plugged_in(settings: Settings) -> MetadataGenerator:
    """The settings' generator; raises InvalidSettings if it cannot be made, or the sink not be imported."""
    if settings.sink:
        find_sink(settings.sink)
    return chosen_generator(settings)


def chosen_generator(settings: Settings) -> MetadataGenerator:
    """The settings' generator; raises InvalidSettings that begins with the setting, whatever the generator raises."""
    name = "SMART_RAG_GENERATOR"
    try:
        return generator(settings.generator, settings.generator_options)
    except InvalidSettings as error:
        words = str(error)
        raise InvalidSettings(words if words.startswith(name) else f"{name}: {words}") from None
    except (Exception, SystemExit) as error:  # a script that ends itself
        raise InvalidSettings(f"{name}: {settings.generator!r} cannot be loaded ({words_of(error)})") from None


def check_generator_name(settings: Settings) -> None:
    """Raise InvalidSettings if the settings' generator is no name that is known here, and no ``module:attribute``.

    That one is not imported: only the workers need what it needs.
    """
    name = settings.generator.strip()
    if name not in generator_names() and not _SPEC.fullmatch(name):
        known = ", ".join(generator_names())
        raise InvalidSettings(f"SMART_RAG_GENERATOR: none is named {name!r}; use one of {known}, or module:attribute")


_current: tuple[int, Environment] | None = None


def environment() -> Environment:
    """This process's environment; a forked child gets its own, with its own connections."""
    global _current
    if _current is None or _current[0] != os.getpid():
        settings = get_settings()
        _current = (os.getpid(), Environment(settings, open_store(settings.store_url)))
    return _current[1]


def reset() -> None:
    """Forget this process's environment; the next call of ``environment`` reads the settings again."""
    global _current
    if _current is not None and _current[0] == os.getpid():
        _current[1].store.close()
    _current = None
    get_settings.cache_clear()
