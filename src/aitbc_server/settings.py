"""The server's settings, read once from ``AITBC_*`` variables; every mistake is named before anything starts."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import TypeVar

import msgspec

from aitbc_server.gate.records import Network

T = TypeVar("T")


class SettingError(ValueError):
    """One or more settings are wrong; ``problems`` has a line for each: which, what was expected, what was given."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What ``create_app`` needs. Secret values have no default and are kept out of ``repr``."""

    data_dir: Path = Path(".aitbc")
    database_url: str = ""
    secret_key: str = ""
    secret_key_file: Path | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    public_url: str = ""
    trusted_proxies: tuple[Network, ...] = ()
    cors_origins: tuple[str, ...] = ()
    allowed_hosts: frozenset[bytes] | None = None
    max_failures_per_minute: int = 30
    lease_s: float = 60.0
    dev: bool = False

    def __repr__(self) -> str:
        return f"Settings(data_dir={str(self.data_dir)!r}, host={self.host!r}, port={self.port})"

    @property
    def sqlalchemy_url(self) -> str:
        """The database's URL as SQLAlchemy's async engines want it; by default a file in the data folder."""
        if not self.database_url:
            return f"sqlite+aiosqlite:///{self.data_dir / 'aitbc.db'}"
        scheme, separator, rest = self.database_url.partition("://")
        drivers = {
            "postgresql": "postgresql+asyncpg",
            "postgres": "postgresql+asyncpg",
            "sqlite": "sqlite+aiosqlite",
        }
        return drivers.get(scheme, scheme) + separator + rest


def networks(text: str) -> tuple[Network, ...]:
    """Addresses and networks, separated by commas or spaces. Raises ValueError for anything else."""
    return tuple(ip_network(word) for word in text.replace(",", " ").split())
