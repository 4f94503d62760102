"""From a variable's text to its value. Each raises ValueError for text that it does not take."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from aitbc_server.gate.records import Network
from aitbc_server.secret_keys import SecretKeys


def path(text: str) -> Path:
    """A path; ``~`` is the home folder."""
    if "\0" in text:
        raise ValueError(text)
    return Path(text).expanduser()


def folder(text: str) -> Path:
    """The path of a folder, which need not be there yet."""
    found = path(text)
    if found.exists() and not found.is_dir():
        raise ValueError(text)
    return found


def database_url(text: str) -> str:
    """A PostgreSQL URL. SQLite is in the data folder, whose lock keeps a second server away from it."""
    try:
        url = make_url(text)
    except ArgumentError as error:
        raise ValueError("not a database URL") from error
    if url.drivername not in {"postgresql", "postgres", "postgresql+asyncpg"} or not url.database:
        raise ValueError("not a PostgreSQL database")
    return text


def secret_key(text: str) -> str:
    """Text with usable secret keys in it."""
    SecretKeys.parse(text)
    return text


def host(text: str) -> str:
    """An address to listen on."""
    return "127.0.0.1" if text == "localhost" else str(ip_address(text.strip("[]")))


def port(text: str) -> int:
    """A port number; 0 means any that is free."""
    return _whole(text, 0, 65535)


def count(text: str) -> int:
    """A positive number."""
    return _whole(text, 1, 1_000_000)


def seconds(text: str) -> float:
    """A length of time."""
    value = float(text)
    if not 1 <= value <= 86_400:
        raise ValueError(text)
    return value


def one_worker(text: str) -> int:
    """One: windows live in one process as long as there is no shared store."""
    return _whole(text, 1, 1)


def no_valkey(text: str) -> str:
    """Nothing: to ignore the setting would let every node count for itself, where one limit was asked for."""
    raise ValueError(text)


def public_url(text: str) -> str:
    """An address without anything behind the host, and without a slash at its end."""
    parts = urlsplit(text)
    is_plain = parts.path in {"", "/"} and not parts.query and not parts.fragment and "@" not in parts.netloc
    # Reading the port checks it.
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.port == 0 or not is_plain:
        raise ValueError(text)
    return text.rstrip("/")


def origins(text: str) -> tuple[str, ...]:
    """Origins as browsers send them, separated by commas or spaces."""
    return tuple(public_url(word).lower() for word in text.replace(",", " ").split())


def networks(text: str) -> tuple[Network, ...]:
    """Addresses and networks, separated by commas or spaces."""
    return tuple(ip_network(word) for word in text.replace(",", " ").split())


def log_level(text: str) -> str:
    """The least severe level that is logged."""
    level = text.lower()
    if level not in {"debug", "info", "warning", "error"}:
        raise ValueError(text)
    return level


def _whole(text: str, least: int, most: int) -> int:
    # int() takes "1_0" and digits of other scripts too.
    if not (text.isascii() and text.isdigit()) or not least <= int(text) <= most:
        raise ValueError(text)
    return int(text)
