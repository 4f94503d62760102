"""The server's settings, read once from ``AITBC_*`` variables; every mistake is named before anything starts."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from sqlalchemy.engine import URL, make_url

from aitbc_server import setting_types as types
from aitbc_server.gate.records import Network
from aitbc_server.secret_keys import SecretKeyError, SecretKeys

_DRIVERS = {"postgresql": "postgresql+asyncpg", "postgres": "postgresql+asyncpg", "sqlite": "sqlite+aiosqlite"}


class SettingError(ValueError):
    """One or more settings are wrong; ``problems`` has a line for each: which, what was expected, what was given."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Setting(NamedTuple):
    """One variable: the field that it fills ("": it is only checked), and its documentation for the reference.

    ``parse`` raises ValueError; the user then reads ``expected`` and what was given, unless it is ``secret``.
    """

    name: str
    field: str
    parse: Callable[[str], Any]
    expected: str
    meaning: str
    default: str
    example: str
    secret: bool = False


SETTINGS: tuple[Setting, ...] = (
    Setting(
        "AITBC_DATA_DIR",
        "data_dir",
        types.folder,
        "the path of a folder",
        "Where the server keeps its files: the SQLite database, the secret key, the usage journal. "
        "It is made where there is none.",
        ".aitbc",
        "/var/lib/aitbc",
    ),
    Setting(
        "AITBC_DATABASE_URL",
        "database_url",
        types.database_url,
        "an address such as postgresql://user:password@host/database",
        "A PostgreSQL database to use in place of the SQLite file in the data folder.",
        "(SQLite in the data folder)",
        "postgresql://aitbc@/aitbc?host=/run/postgresql",
        secret=True,
    ),
    Setting(
        "AITBC_SECRET_KEY_FILE",
        "secret_key_file",
        types.path,
        "the path of a file",
        "A file with the secret keys, one a line, newest first, each of 32 characters or more. "
        "Everything that proves an API key right derives from them.",
        "secret.key in the data folder, made where there is none",
        "/run/secrets/aitbc",
    ),
    Setting(
        "AITBC_SECRET_KEY",
        "secret_key",
        types.secret_key,
        "secret keys of 32 characters or more, separated by commas, newest first",
        "The secret keys themselves, in place of a file.",
        "(none)",
        "made by `openssl rand -base64 48`",
        secret=True,
    ),
    Setting(
        "AITBC_HOST",
        "host",
        types.host,
        "an IP address or localhost",
        "The address to listen on; 0.0.0.0 or :: for all of the machine's.",
        "127.0.0.1",
        "0.0.0.0",  # noqa: S104 - an example in the documentation
    ),
    Setting(
        "AITBC_PORT",
        "port",
        types.port,
        "a port number from 0 to 65535",
        "The port to listen on; 0 takes any that is free.",
        "8000",
        "8443",
    ),
    Setting(
        "AITBC_PUBLIC_URL",
        "public_url",
        types.public_url,
        "an address such as https://api.example.com",
        "Under which address clients reach the server, when a proxy stands before it.",
        "(none)",
        "https://api.example.com",
    ),
    Setting(
        "AITBC_TRUSTED_PROXIES",
        "trusted_proxies",
        types.networks,
        "IP addresses or networks, separated by commas",
        "The proxies whose X-Forwarded-For is believed. From everybody else the header is ignored.",
        "(none)",
        "10.0.0.0/8, 127.0.0.1",
    ),
    Setting(
        "AITBC_CORS_ORIGINS",
        "cors_origins",
        types.origins,
        "origins such as https://app.example.com, separated by commas",
        "The sites whose pages may call the API from a browser. Pages of all others may not.",
        "(none)",
        "https://app.example.com, https://admin.example.com",
    ),
    Setting(
        "AITBC_MAX_FAILURES_PER_MINUTE",
        "max_failures_per_minute",
        types.count,
        "a whole number from 1 to 1000000",
        "How many wrong API keys one client address may send in a minute before its guesses are slowed down.",
        "30",
        "100",
    ),
    Setting(
        "AITBC_LEASE_SECONDS",
        "lease_s",
        types.seconds,
        "seconds from 1 to 86400",
        "How long a miner keeps a job without a sign of life before another one gets it.",
        "60",
        "120",
    ),
    Setting(
        "AITBC_LOG_LEVEL",
        "log_level",
        types.log_level,
        "debug, info, warning or error",
        "How much is logged.",
        "info",
        "warning",
    ),
    Setting(
        "AITBC_WORKERS",
        "",
        types.one_worker,
        "1 (more than one worker needs Valkey to share limits, which a later release brings)",
        "How many processes serve requests.",
        "1",
        "1",
    ),
    Setting(
        "AITBC_VALKEY_URL",
        "",
        types.no_valkey,
        "it to be left out (limits shared by several nodes need Valkey, which a later release brings)",
        "Not available yet: shares limits and revocations between several nodes.",
        "(none)",
        "(leave it out)",
        secret=True,
    ),
)

# What the SDK, the CLI and the test suite read.
_OTHERS = frozenset({"AITBC_API_KEY", "AITBC_BASE_URL", "AITBC_TENANT_ID", "AITBC_PROFILE", "AITBC_FULL"})


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
    log_level: str = "info"
    dev: bool = False

    def __repr__(self) -> str:
        return f"Settings(data_dir={str(self.data_dir)!r}, host={self.host!r}, port={self.port})"

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Settings:
        """The settings in ``environ``; an empty variable counts as not set. Raises SettingError with all problems."""
        values: dict[str, Any] = {}
        problems = []
        for setting in SETTINGS:
            given = environ.get(setting.name, "")
            if not given:
                continue
            try:
                value = setting.parse(given)
            except ValueError:
                shown = "a value that is not shown here" if setting.secret else repr(given)
                problems.append(f"{setting.name}: expected {setting.expected}; got {shown}")
                continue
            if setting.field:
                values[setting.field] = value
        if "secret_key" in values and "secret_key_file" in values:
            problems.append("AITBC_SECRET_KEY and AITBC_SECRET_KEY_FILE: expected one of them; got both")
        if problems:
            raise SettingError(problems)
        return cls(**values)

    @property
    def sqlalchemy_url(self) -> URL:
        """The database's URL as SQLAlchemy's async engines want it; by default a file in the data folder."""
        if not self.database_url:
            return URL.create("sqlite+aiosqlite", database=str(self.data_dir / "aitbc.db"))
        url = make_url(self.database_url)
        url = url.set(drivername=_DRIVERS.get(url.drivername, url.drivername))
        if "sslmode" in url.query:
            # What every other client of PostgreSQL calls sslmode, this driver calls ssl.
            query = {("ssl" if name == "sslmode" else name): value for name, value in url.query.items()}
            url = url.set(query=query)
        return url

    @property
    def own_secret_key_file(self) -> Path:
        """Where the secret key is when no setting says otherwise."""
        return self.data_dir / "secret.key"

    def load_secret_keys(self) -> SecretKeys:
        """The installation's secret keys. Without a setting they are in the data folder, made where there are none.

        Raises SecretKeyError for keys that are not usable, and for a file that was named and cannot be read.
        """
        if self.secret_key:
            return SecretKeys.parse(self.secret_key)
        if self.secret_key_file is None:
            return SecretKeys.load_or_create(self.own_secret_key_file)
        try:
            text = self.secret_key_file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SecretKeyError(f"{self.secret_key_file} cannot be read: {reason(error)}") from error
        return SecretKeys.parse(text)


def unknown(environ: Mapping[str, str]) -> list[str]:
    """A line for each ``AITBC_*`` variable that means nothing here, with the one that was probably meant."""
    known = {setting.name for setting in SETTINGS}
    lines = []
    for name in sorted(environ):
        if not name.startswith("AITBC_") or name in known | _OTHERS:
            continue
        near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.75)
        lines.append(f"{name} has no effect: there is no such setting" + (f"; did you mean {near[0]}?" if near else ""))
    return lines


def reason(error: Exception) -> str:
    """What went wrong, for a line of its own: an OSError's text without its number and its path again."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return text[:1].lower() + text[1:]
