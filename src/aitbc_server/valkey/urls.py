"""Addresses of Valkey as a setting gives them."""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from aitbc_server.setting_faults import NotTakenError
from aitbc_server.valkey.connection import Address

_PLAIN, _TLS = ("valkey", "redis"), ("valkeys", "rediss")
_PORT, _SENTINEL_PORT = 6379, 26379
_TLS_FILES = frozenset({"ca_file", "cert_file", "key_file"})
_SENTINEL_SIGN_IN = frozenset({"sentinel_username", "sentinel_password"})

_LARGEST_DATABASE = 2**31 - 1
_HALF_AN_ESCAPE = re.compile("%(?![0-9A-Fa-f]{2})")

#: What a wrong address is told.
EXPECTED = (
    "an address such as valkey://host:6379, valkeys://user:password@host (TLS), unix:///run/valkey.sock, "
    "valkey+sentinel://host1,host2/name or valkey+cluster://host1,host2 (and, with TLS, ?ca_file=, cert_file= and "
    "key_file= of PEM files that can be read)"
)


class Target(NamedTuple):
    """``kind`` is single, sentinel or cluster; ``seeds`` are where to begin, ``name`` is the sentinels' word for it.

    ``server`` says how to speak to the server that sentinels or a cluster name: all of it but its host and port.
    """

    kind: str
    seeds: tuple[Address, ...]
    name: str = ""
    server: Address = Address()


def parse(url: str) -> Target:
    """The target of a URL. Raises ValueError."""
    if not url.isprintable():
        # urlsplit passes over line breaks, and a password would be another one.
        raise NotTakenError("it has a line break or another sign that cannot be seen: write it as %0A and the like")
    if _HALF_AN_ESCAPE.search(url):
        raise NotTakenError("a % in a name or password is written as %25")
    parts = urlsplit(url)
    scheme, _, kind = parts.scheme.partition("+")
    if scheme == "unix":
        return _socket(parts, kind)
    if scheme not in _PLAIN + _TLS or kind not in {"", "sentinel", "cluster"}:
        raise ValueError(EXPECTED)
    known = (_TLS_FILES if scheme in _TLS else frozenset()) | (_SENTINEL_SIGN_IN if kind == "sentinel" else frozenset())
    options = _options(parts, known)
    credentials, _, hosts = parts.netloc.rpartition("@")
    username, _, password = credentials.partition(":")
    server = Address(
        username=_unquoted(username),
        password=_unquoted(password),
        tls=_tls(options) if scheme in _TLS else None,
    )
    path = parts.path.strip("/").split("/")
    if kind == "sentinel":
        return _sentinels(hosts, path, server, options)
    seeds = tuple(_at(server, each, _PORT) for each in hosts.split(","))
    if kind == "cluster":
        if path != [""]:
            # A cluster has one database alone.
            raise ValueError(EXPECTED)
        return Target("cluster", seeds, server=server)
    if len(seeds) != 1:
        raise ValueError(EXPECTED)
    [seed] = seeds
    return Target("single", (seed._replace(database=_database(path)),))


def _socket(parts: SplitResult, kind: str) -> Target:
    if not parts.path or kind:
        raise ValueError(EXPECTED)
    options = _options(parts, frozenset({"db"}))
    password = None if parts.password is None else _decoded(parts.password)
    username = _unquoted(parts.username or "")
    database = _database([options.get("db", "")])
    return Target("single", (Address(path=parts.path, username=username, password=password, database=database),))


def _sentinels(hosts: str, path: list[str], server: Address, options: Mapping[str, str]) -> Target:
    """Sentinels are signed in to as the servers are, where the URL does not say otherwise."""
    if not path[0]:
        raise ValueError(EXPECTED)
    asked = server
    if _SENTINEL_SIGN_IN & options.keys():
        asked = server._replace(
            username=options.get("sentinel_username") or None, password=options.get("sentinel_password") or None
        )
    seeds = tuple(_at(asked, each, _SENTINEL_PORT) for each in hosts.split(","))
    return Target("sentinel", seeds, path[0], server._replace(database=_database(path[1:])))


def _options(parts: SplitResult, known: frozenset[str]) -> dict[str, str]:
    options = parse_qs(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    if not options.keys() <= known:
        raise ValueError(EXPECTED)
    return {name: values[-1] for name, values in options.items()}


def _tls(options: Mapping[str, str]) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=options.get("ca_file"))
        if "cert_file" in options:
            context.load_cert_chain(options["cert_file"], options.get("key_file"))
    except OSError as error:
        # Files that are not there, and such that hold something else.
        raise ValueError(f"files for TLS that can be read ({error})") from error
    return context


def _database(path: list[str]) -> int:
    if not path or path == [""]:
        return 0
    [text] = path
    # int() takes "1_0" and digits of other scripts too; the server takes no more than this.
    if not (text.isascii() and text.isdigit()) or len(text) > 10 or int(text) > _LARGEST_DATABASE:
        raise NotTakenError(f"a database is a whole number from 0 to {_LARGEST_DATABASE}")
    return int(text)


def _at(server: Address, text: str, default_port: int) -> Address:
    parts = urlsplit(f"//{text}")
    if not parts.hostname or parts.port == 0:
        raise ValueError(EXPECTED)
    ensure_host(parts.hostname)
    return server._replace(host=parts.hostname, port=parts.port or default_port)


def ensure_host(name: str) -> None:
    """Raises NotTakenError for a name that no resolver could be asked for."""
    try:
        # What sockets do with a name.
        name.encode("idna")
    except UnicodeError as error:
        raise NotTakenError("no host has such a name: look for two dots in a row and for foreign letters") from error
    if " " in name:
        raise NotTakenError("the name of its host has a space")


def _unquoted(text: str) -> str | None:
    return _decoded(text) if text else None


def _decoded(text: str) -> str:
    try:
        return unquote(text, errors="strict")
    except UnicodeError as error:
        raise NotTakenError("what stands after % in a name or password is no UTF-8") from error
