"""Flower's configuration: ``celery -A smart_rag_tasks flower`` reads this file, from whatever folder.

Flower looks for a ``flowerconfig.py`` in the current folder only, and without one starts open to everybody; so the
app sets FLOWER_CONF to this file. Flower has read its options from the environment and the command line when it runs
this, and reads the command line again afterwards: a flag wins over what is set here, which is why the checks below
look at the flags too. Variables whose names are options of Flower become those options.
"""

from __future__ import annotations

import click as _click
from tornado.options import options as _given

from smart_rag_tasks.errors import SmartRagError as _SmartRagError
from smart_rag_tasks.instrumentation import logs as _logs
from smart_rag_tasks.monitoring import flower_access as _access
from smart_rag_tasks.monitoring import flower_pages as _pages
from smart_rag_tasks.settings import get_settings as _get_settings

try:
    _settings = _get_settings()
    _logs.configure(_settings.log_level, kind=_settings.log_format, file=_settings.log_file)

    address = _given.address or _settings.flower_address
    port = _given.port if _given.port != 5555 else _settings.flower_port
    basic_auth = _access.credentials(_given.basic_auth or [], _settings)
    _access.check_access(_given, address, basic_auth)
    if not _given.unix_socket:
        _access.check_port(address, port)
    _access.check_broker(_click.get_current_context().obj.app)

    # -- state is kept over a restart, below the home folder; at the most this many milliseconds of it are lost
    _settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    persistent = True
    db = str((_settings.home / "flower").resolve())
    state_save_interval = 30_000
    max_tasks = 20_000
    purge_offline_workers = 600  # seconds

    # -- what is shown
    _pages.secure()
    format_task = _pages.format_task
    tasks_columns = _pages.COLUMNS
    natural_time = True
except _SmartRagError as _error:
    _access.refuse(_error)
