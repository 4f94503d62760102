"""What a server says of itself, as INFO answers, and what of it decides whether nodes can use it."""

from __future__ import annotations

from collections.abc import Mapping

from aitbc_server.valkey.connection import Connection

#: Limits, fences and counts are keys: a server that drops keys by itself breaks promises.
_KEEPS_ALL = "noeviction"


async def read(connection: Connection, *sections: str) -> dict[str, str]:
    """The fields of these sections. Raises as ``Connection.call``."""
    fields: dict[str, str] = {}
    for section in sections:
        for line in (await connection.call("INFO", section)).decode().splitlines():
            name, colon, value = line.partition(":")
            if colon:
                fields[name] = value
    return fields


def eviction(fields: Mapping[str, str]) -> str:
    """The rule, of the section "memory", by which it may drop keys; empty: it keeps all, or does not say."""
    policy = fields.get("maxmemory_policy", "")
    return "" if policy == _KEEPS_ALL else policy


def is_master(fields: Mapping[str, str]) -> bool:
    """Whether it takes changes, by the section "replication"."""
    return fields.get("role") == "master"
