"""Which Celery configuration holds: CELERY_CONFIG_MODULE, else ours; never a ``celeryconfig`` that is somebody else's.

Ours is found by path, not by its bare name: an editable install would let a host application import ours, or us the
host's.
"""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import NoReturn

import click
from celery.utils.imports import cwd_in_path

from .errors import InvalidSettings

_NAME = "smart_rag_tasks.celeryconfig"


def configuration() -> str | ModuleType:
    """The name of a module to import, or the module itself."""
    ours = _ours()  # in any case: somebody's own module begins with ``from smart_rag_tasks.celeryconfig import *``
    name = os.environ.get("CELERY_CONFIG_MODULE")
    if name and not _is_there(name):
        _refuse(InvalidSettings(f"CELERY_CONFIG_MODULE: there is no module {name!r}; name one that can be imported"))
    return name or ours


def _is_there(name: str) -> bool:
    try:
        with cwd_in_path():  # as Celery will look for it
            return find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _refuse(error: InvalidSettings) -> NoReturn:
    if click.get_current_context(silent=True) is not None:  # Celery's command line would print a traceback
        click.echo(f"Error: {error}", err=True)
        sys.exit(error.exit_code)
    raise error


def _ours() -> ModuleType:
    if _NAME in sys.modules:
        return sys.modules[_NAME]
    spec = find_spec(_NAME) or spec_from_file_location(_NAME, Path(__file__).parent.parent / "celeryconfig.py")
    assert spec is not None and spec.loader is not None, "a file location always has a loader"
    module = module_from_spec(spec)
    sys.modules[_NAME] = module
    try:
        spec.loader.exec_module(module)
    except InvalidSettings as error:
        del sys.modules[_NAME]
        _refuse(error)
    return module
