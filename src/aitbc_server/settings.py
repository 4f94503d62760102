"""The server's settings, read once from ``AITBC_*`` variables; every mistake is named before anything starts."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Set
from email.headerregistry import Address
from ipaddress import ip_address
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy.engine import URL, make_url

from aitbc_server.gate.records import Network
from aitbc_server.host_port import host_port
from aitbc_server.mail.smtp import SmtpServer
from aitbc_server.secret_keys import SecretKeyError, SecretKeys
from aitbc_server.setting_faults import NotTakenError
from aitbc_server.setting_rows import SETTINGS
from aitbc_server.usage.levels import Retention

_DRIVERS = {"postgresql": "postgresql+asyncpg", "postgres": "postgresql+asyncpg", "sqlite": "sqlite+aiosqlite"}

_LAST_PORT = 65535


class SettingError(ValueError):
    """One or more settings are wrong; ``problems`` has a line for each: which, what was expected, what was given.

    ``hint`` says what to do where that is more than to put them right.
    """

    def __init__(self, problems: list[str], *, hint: str | None = None) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems
        self.hint = hint


# What the SDK, the CLI and the test suite read.
_OTHERS = frozenset({"AITBC_API_KEY", "AITBC_BASE_URL", "AITBC_TENANT_ID", "AITBC_PROFILE", "AITBC_FULL"})


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What ``create_app`` needs. Secret values have no default and are kept out of ``repr``."""

    data_dir: Path = Path(".aitbc")
    database_url: str = ""
    database_connections: int = 20
    statement_timeout_s: float = 30.0
    lock_timeout_s: float = 5.0
    valkey_url: str = ""
    workers: int = 1
    on_store_failure: str = "alone"
    metrics_address: tuple[str, int] | None = None
    traces_url: str = ""
    traced_share: float = 0.01
    secret_key: str = ""
    secret_key_file: Path | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    public_url: str = ""
    trusted_proxies: tuple[Network, ...] = ()
    cors_origins: tuple[str, ...] = ()
    allowed_hosts: frozenset[bytes] | None = None
    max_failures_per_minute: int = 30
    max_keys_per_tenant: int = 1000
    lease_s: float = 60.0
    log_level: str = "info"
    smtp: SmtpServer | None = None
    mail_from: Address | None = None
    sign_up: str = ""
    breached_password_check: bool = False
    usage_minutes_kept_days: int = 7
    usage_hours_kept_days: int = 90
    usage_days_kept_days: int | None = None
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
            except ValueError as error:
                shown = "a value that is not shown here" if setting.secret else repr(given)
                why = f": {error}" if isinstance(error, NotTakenError) else ""
                problems.append(f"{setting.name}: expected {setting.expected}; got {shown}{why}")
                continue
            values[setting.field] = value
        if "secret_key" in values and "secret_key_file" in values:
            problems.append("AITBC_SECRET_KEY and AITBC_SECRET_KEY_FILE: expected one of them; got both")
        settings = cls(**values)
        wrong = {problem.partition(":")[0] for problem in problems}
        for check in (_worker_problems, _metrics_problems, _mail_problems, _retention_problems):
            problems += check(settings, wrong)
        if problems:
            raise SettingError(problems)
        return settings

    @property
    def usage_retention(self) -> Retention:
        """How long usage is kept by the minute, the hour and the day."""
        return Retention(self.usage_minutes_kept_days, self.usage_hours_kept_days, self.usage_days_kept_days)

    @property
    def sends_mail(self) -> bool:
        """Whether mails reach people: by a mail server, or by the log and page of a development server."""
        return self.dev or self.smtp is not None

    @property
    def sign_up_policy(self) -> str:
        """open, invite or closed. A server that strangers reach lets none of them in unless somebody says so."""
        return self.sign_up or ("open" if self.dev else "invite")

    @property
    def site_url(self) -> str:
        """Where people reach the pages, without a slash at the end. Never taken from a request: its Host may lie."""
        host = "localhost" if self.host in {"127.0.0.1", "::1", "0.0.0.0", "::"} else self.host  # noqa: S104
        return self.public_url or f"http://{host_port(host, self.port)}"

    @property
    def sqlalchemy_url(self) -> URL:
        """The database's URL as SQLAlchemy's async engines want it; by default a file in the data folder."""
        if not self.database_url:
            return URL.create("sqlite+aiosqlite", database=str(self.data_dir / "aitbc.db"))
        # What stands behind the address is as people write it: whoever opens connections knows what the driver wants.
        url = make_url(self.database_url)
        return url.set(drivername=_DRIVERS.get(url.drivername, url.drivername))

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


# What is wrong about several settings together. Those that are ``wrong`` themselves have their default here, and were
# named already.


def _worker_problems(settings: Settings, wrong: Set[str]) -> Iterator[str]:
    """What is missing for several processes."""
    needed = {"AITBC_DATABASE_URL": settings.database_url, "AITBC_VALKEY_URL": settings.valkey_url}
    missing = [name for name, value in needed.items() if not value and name not in wrong]
    if settings.workers > 1 and missing:
        yield (
            f"AITBC_WORKERS: expected 1, or {' and '.join(missing)} beside it, in which workers share limits and data;"
            f" got {settings.workers}"
        )


def _metrics_problems(settings: Settings, wrong: Set[str]) -> Iterator[str]:
    """Where a worker would have no port for its metrics, or the one on which all of them serve the API."""
    if settings.metrics_address is None or not settings.metrics_address[1]:
        return
    workers, (host, first) = settings.workers, settings.metrics_address
    shown = host_port(host, first)
    last = first + workers - 1
    if last > _LAST_PORT:
        yield (
            f"AITBC_METRICS_ADDRESS: expected a port up to {_LAST_PORT - workers + 1}, as each of the {workers} "
            f"workers has the next one; got {shown}"
        )
    is_known = not wrong & {"AITBC_HOST", "AITBC_PORT"}
    if first <= settings.port <= last and _overlap(host, settings.host) and is_known:
        each = f", and {workers} workers have metrics on ports {first} to {last}" if workers > 1 else ""
        yield (
            "AITBC_METRICS_ADDRESS: expected another port than that of the API, AITBC_PORT, "
            f"which is {settings.port}{each}; got {shown}"
        )


def _overlap(*hosts: str) -> bool:
    """Whether one port cannot be listened on at both; what listens on all addresses may do so for both versions."""
    addresses = {getattr(ip_address(host), "ipv4_mapped", None) or ip_address(host) for host in hosts}
    return len(addresses) == 1 or any(address.is_unspecified for address in addresses)


def _mail_problems(settings: Settings, wrong: Set[str]) -> Iterator[str]:
    """What is missing beside a mail server."""
    if settings.smtp is None:
        return
    if settings.mail_from is None and "AITBC_MAIL_FROM" not in wrong:
        yield "AITBC_MAIL_FROM: expected beside AITBC_SMTP_URL, such as AITBC <no-reply@example.com>; it is not set"
    if not settings.public_url and "AITBC_PUBLIC_URL" not in wrong:
        yield "AITBC_PUBLIC_URL: expected beside AITBC_SMTP_URL, for the links in mails; it is not set"


def _retention_problems(settings: Settings, wrong: Set[str]) -> Iterator[str]:
    """Where a sum would be deleted before what it is made of."""
    names = [f"AITBC_USAGE_{each}_KEPT_DAYS" for each in ("MINUTES", "HOURS", "DAYS")]
    for (finer, few), (coarser, many) in pairwise(zip(names, settings.usage_retention, strict=True)):
        if few is not None and many is not None and many < few and not wrong & {finer, coarser}:
            yield f"{coarser}: expected no less than {finer}, which is {few}; got {many}"


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
