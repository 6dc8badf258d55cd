"""What a stage works with: settings, the store and generators, made once a process and never before a fork."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field

from ..errors import InvalidSettings
from ..metadata import load_generator
from ..metadata.generator import MetadataGenerator
from ..models import Json
from ..settings import Settings, get_settings
from ..sinks import find_sink
from ..store import Store, open_store


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
    try:
        return generator(settings.generator, settings.generator_options)
    except InvalidSettings as error:
        raise InvalidSettings(f"SMART_RAG_GENERATOR: {error}") from None


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
