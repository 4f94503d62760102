"""The development server: everything in one folder, on this machine only."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from aitbc_server.db.engine import Database
from aitbc_server.db.fences import LocalFences
from aitbc_server.dev import env_file
from aitbc_server.dev.keys import TENANT, check_given, dev_keys
from aitbc_server.dev.miner import local_miner
from aitbc_server.secret_keys import SecretKeys
from aitbc_server.serving.installation import Installation
from aitbc_server.serving.server import Role, run
from aitbc_server.setting_rows import SETTINGS
from aitbc_server.settings import Settings

LOOPBACK_HOSTS = frozenset({b"localhost", b"127.0.0.1", b"[::1]"})

# The rest belongs to a server for real: a shell that is set up for one must not get test keys into its database.
_TAKEN = frozenset({"AITBC_LOG_LEVEL", "AITBC_LEASE_SECONDS", "AITBC_MAX_FAILURES_PER_MINUTE"})


def dev_settings(environ: Mapping[str, str], *, data_dir: Path, port: int) -> Settings:
    """Settings for loopback only. Raises SettingError."""
    names = {setting.name for setting in SETTINGS} - _TAKEN
    chosen = Settings.from_env({name: value for name, value in environ.items() if name not in names})
    return msgspec.structs.replace(
        chosen, data_dir=data_dir, host="127.0.0.1", port=port, allowed_hosts=LOOPBACK_HOSTS, dev=True
    )


def run_dev(settings: Settings, *, miner: bool, announce: Callable[[str, Mapping[str, str], Path], None]) -> int:
    """Serve until a signal; ``announce`` gets the address, the keys and the file they are in.

    Raises StartError, and SettingError for keys in the environment that cannot be.
    """
    # Before anything is made.
    check_given(os.environ)
    keys: dict[str, str] = {}
    path = settings.data_dir / "dev.env"

    async def prepare(database: Database, secret_keys: SecretKeys, url: str) -> None:
        # Nothing is cached yet: whoever serves later reads what is written here.
        installation = Installation(database, secret_keys, LocalFences(lambda tenant_ids: None))
        keys.update(await dev_keys(installation, os.environ, path))
        tenant = {"AITBC_BASE_URL": url, "AITBC_TENANT_ID": TENANT}
        env_file.write(path, tenant | keys | {"AITBC_API_KEY": keys["MANAGER_API_KEY"]})

    @asynccontextmanager
    async def beside(url: str) -> AsyncIterator[None]:
        announce(url, keys, path)
        if not miner:
            yield
            return
        async with local_miner(url, keys["MINER_API_KEY"]):
            yield

    return run(settings, Role(may_migrate=True, prepare=prepare, beside=beside))
