"""What may stand behind the address of a PostgreSQL database, as every client of PostgreSQL calls it (libpq).

The driver has other names for some of it, and no word for one that it does not know but a TypeError.
"""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import urlencode

from sqlalchemy.engine import URL

from aitbc_server.setting_faults import NotTakenError

_LONGEST_TIMEOUT_S = 3600
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_SSL = (
    "sslmode", "sslrootcert", "sslcert", "sslkey", "sslpassword", "sslcrl", "sslnegotiation",
    "ssl_min_protocol_version", "ssl_max_protocol_version",
)  # fmt: skip
# The driver's own name for it.
_SSL_MODE_TOO = "ssl"
# Each name's values may be several hosts.
_PLACES = ("host", "port")
_TAKEN_AS_THEY_ARE = (
    *_PLACES, "user", "password", "passfile", "service", "servicefile", "target_session_attrs", "krbsrvname", "gsslib",
    "prepared_statement_cache_size",
)  # fmt: skip
_NUMBERS = {"port", "connect_timeout", "prepared_statement_cache_size"}
_CHOICES = {
    "sslmode": _SSL_MODES,
    _SSL_MODE_TOO: _SSL_MODES,
    "sslnegotiation": ("postgres", "direct"),
    "target_session_attrs": ("any", "primary", "standby", "read-write", "read-only", "prefer-standby"),
    "gsslib": ("gssapi", "sspi"),
}
_FILES = {"sslrootcert", "sslcert", "sslkey", "sslcrl"}
_SECRET = {"password", "sslpassword"}
_TAKEN = (*_TAKEN_AS_THEY_ARE, *_SSL, "application_name", "connect_timeout")


def ensure_taken(url: URL) -> None:
    """Raises NotTakenError for what nothing can be done with; it names the parameter and not its value."""
    for name, given in url.query.items():
        values = (given,) if isinstance(given, str) else given
        if name not in {*_TAKEN, _SSL_MODE_TOO}:
            shown = f"the parameter {name}" if name.isidentifier() and name.isascii() else "a parameter"
            raise NotTakenError(f"it has {shown} behind the address, and what is known there is {', '.join(_TAKEN)}")
        if len(values) > 1 and name not in _PLACES:
            raise NotTakenError(f"it has the parameter {name} twice")
        if name in _CHOICES and values[0] not in _CHOICES[name]:
            raise NotTakenError(f"its parameter {name} is none of {', '.join(_CHOICES[name])}")
        # A host may stand with its port, and then there is no other.
        if name in _NUMBERS and not all(each.isascii() and each.isdigit() for each in values):
            raise NotTakenError(f"its parameter {name} is no whole number")
        if name in _FILES and not os.access(values[0], os.R_OK):
            raise NotTakenError(f"its parameter {name} names no file that can be read")
    timeout_s = url.query.get("connect_timeout", "1")
    if not 1 <= int(str(timeout_s)) <= _LONGEST_TIMEOUT_S:
        raise NotTakenError(f"its parameter connect_timeout is no number of seconds from 1 to {_LONGEST_TIMEOUT_S}")


def for_driver(url: URL) -> tuple[URL, dict[str, Any]]:
    """The address for SQLAlchemy, and what the driver's ``connect`` gets beside it."""
    query = dict(url.query)
    arguments: dict[str, Any] = {}
    if "application_name" in query:
        arguments["server_settings"] = {"application_name": query.pop("application_name")}
    if "connect_timeout" in query:
        arguments["timeout"] = int(str(query.pop("connect_timeout")))
    if _SSL_MODE_TOO in query:
        query["sslmode"] = query.pop(_SSL_MODE_TOO)
    tls = {name: query.pop(name) for name in _SSL if name in query}
    if tls:
        # Of all that belongs to TLS the driver takes but the mode as an argument, and everything in an address.
        arguments["dsn"] = f"postgresql://?{urlencode(tls)}"
    return url.set(query=query), arguments


def shown(url: URL) -> str:
    """The address for people, as they wrote it, but for its passwords."""
    url = url.set(drivername="postgresql", query={n: "***" if n in _SECRET else v for n, v in url.query.items()})
    return url.render_as_string(hide_password=True).replace("%2F", "/").replace("%2A", "*")
