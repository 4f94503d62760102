"""From a variable's text to its value. Each raises ValueError for text that it does not take."""

from __future__ import annotations

from email.headerregistry import Address
from ipaddress import ip_address, ip_network
from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from aitbc_server.db.addresses import ensure_taken
from aitbc_server.gate.records import Network
from aitbc_server.mail.addresses import parse_sender
from aitbc_server.mail.smtp import SmtpServer
from aitbc_server.secret_keys import SecretKeys
from aitbc_server.setting_faults import NotTakenError
from aitbc_server.valkey import urls


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
    ensure_taken(url)
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


def listening_address(text: str) -> tuple[str, int]:
    """An address and a port, with brackets around an address of version 6."""
    name, colon, number = text.rpartition(":")
    if not colon or (":" in name and not name.startswith("[")):
        raise ValueError(text)
    return host(name), port(number)


def count(text: str) -> int:
    """A positive number."""
    return _whole(text, 1, 1_000_000)


def days(text: str) -> int:
    """A number of days."""
    return _whole(text, 1, 36_500)


def days_or_for_ever(text: str) -> int | None:
    """A number of days, or ``forever``: None."""
    return None if text.lower() == "forever" else days(text)


def seconds(text: str) -> float:
    """A length of time."""
    value = float(text)
    if not 1 <= value <= 86_400:
        raise ValueError(text)
    return value


def connections(text: str) -> int:
    """How many connections; with fewer, work that needs two at once would wait for itself."""
    return _whole(text, 5, 1000)


def timeout(text: str) -> float:
    """After how long something is given up; 0 for never."""
    value = float(text)
    if value and not 0.1 <= value <= 3600:
        raise ValueError(text)
    return value


def workers(text: str) -> int:
    """How many processes; more than any machine has processors is a mistake."""
    return _whole(text, 1, 256)


def valkey_url(text: str) -> str:
    """Where the store is that nodes share."""
    urls.parse(text)
    return text


def on_store_failure(text: str) -> str:
    """What a node does while the shared store is away."""
    choice = text.lower()
    if choice not in {"alone", "deny"}:
        raise ValueError(text)
    return choice


def public_url(text: str) -> str:
    """An address without anything behind the host, and without a slash at its end."""
    parts = urlsplit(text)
    is_plain = parts.path in {"", "/"} and not parts.query and not parts.fragment and "@" not in parts.netloc
    # Reading the port checks it.
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.port == 0 or not is_plain:
        raise ValueError(text)
    return text.rstrip("/")


def http_url(text: str) -> str:
    """An address with a path."""
    if not (text.isascii() and text.isprintable()) or " " in text:
        # urlsplit passes over line breaks, and whoever sends there would not.
        raise NotTakenError("it has a space, a line break or another character that no address has")
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.port == 0 or parts.fragment:
        raise ValueError(text)
    urls.ensure_host(parts.hostname)
    return text


def share(text: str) -> float:
    """A part of all, from none to all."""
    if not text.isascii():
        # float() takes digits of other scripts too.
        raise ValueError(text)
    value = float(text)
    if not 0 <= value <= 1:
        raise ValueError(text)
    return value


def origins(text: str) -> tuple[str, ...]:
    """Origins as browsers send them, separated by commas or spaces."""
    return tuple(public_url(word).lower() for word in text.replace(",", " ").split())


def networks(text: str) -> tuple[Network, ...]:
    """Addresses and networks, separated by commas or spaces."""
    return tuple(ip_network(word) for word in text.replace(",", " ").split())


def sign_up(text: str) -> str:
    """Who may make an account."""
    policy = text.lower()
    if policy not in {"open", "invite", "closed"}:
        raise ValueError(text)
    return policy


def switch(text: str) -> bool:
    """on or off."""
    word = text.lower()
    if word not in {"on", "off"}:
        raise ValueError(text)
    return word == "on"


def log_level(text: str) -> str:
    """The least severe level that is logged."""
    level = text.lower()
    if level not in {"debug", "info", "warning", "error"}:
        raise ValueError(text)
    return level


def smtp_server(text: str) -> SmtpServer:
    """A mail server's address, with its user name and password."""
    return SmtpServer.parse(text)


def mail_from(text: str) -> Address:
    """Who sends mails: an address, with a name before it or without."""
    return parse_sender(text)


def _whole(text: str, least: int, most: int) -> int:
    # int() takes "1_0" and digits of other scripts too.
    if not (text.isascii() and text.isdigit()) or not least <= int(text) <= most:
        raise ValueError(text)
    return int(text)
