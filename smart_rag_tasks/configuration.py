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

import click

from .errors import InvalidSettings

_NAME = "smart_rag_tasks.celeryconfig"


def configuration() -> str | ModuleType:
    """The name of a module to import, or the module itself."""
    ours = _ours()  # in any case: somebody's own module begins with ``from smart_rag_tasks.celeryconfig import *``
    return os.environ.get("CELERY_CONFIG_MODULE") or ours


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
        if click.get_current_context(silent=True) is not None:  # Celery's command line would print a traceback
            click.echo(f"Error: {error}", err=True)
            sys.exit(error.exit_code)
        raise
    return module
