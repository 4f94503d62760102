"""What the OpenAPI fuzzer must be told that no schema can say. It loads this file by ``SCHEMATHESIS_HOOKS``."""

from __future__ import annotations

import os
from datetime import datetime
from typing import Any

import schemathesis
from hypothesis import strategies as st

NOBODY = "key_" + "0" * 12
OWN = os.environ.get("FUZZING_KEY_ID", NOBODY)


# RFC 3339 knows the years 0 to 9999; a database's times begin in 1970 and end before a zone could move them past 9999.
schemathesis.openapi.format(
    "date-time",
    st.datetimes(datetime(1970, 1, 2), datetime(9998, 1, 1)).map(lambda time: time.isoformat() + "Z"),  # noqa: DTZ001
)
schemathesis.openapi.format(
    "ip-network",
    st.one_of(
        # An IPv4 address in IPv6 form is refused: in a list of networks it would match nobody.
        st.ip_addresses().filter(lambda address: getattr(address, "ipv4_mapped", None) is None).map(str),
        st.ip_addresses(v=4).map(lambda address: f"{address}/32"),
        st.sampled_from(["192.0.2.0/24", "2001:db8::/32", "0.0.0.0/0", "::/0"]),
    ),
)


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Keep the run alive, and make what is meant to be right so also where a schema cannot say how."""
    parameters = case.path_parameters
    if isinstance(parameters, dict) and parameters.get("key_id") == OWN:
        # A key may revoke itself, and then the rest of the run would be one long 401.
        parameters["key_id"] = NOBODY
    if case.meta is None or case.meta.generation.mode is schemathesis.GenerationMode.POSITIVE:
        correct_query(case.query)
        case.body = with_integers(case.body)
        correct_body(case.body)
    if case.operation.path.endswith("/poll"):
        shorten_wait(case.body)


def correct_query(query: Any) -> None:
    """A cursor comes from a page; a range ends after its beginning, and has 1500 points at most."""
    if not isinstance(query, dict):
        return
    query.pop("cursor", None)
    if query.keys() & {"from", "to"}:
        query |= {"from": "2030-01-01T00:00:00Z", "to": "2030-01-01T12:00:00Z"}


def with_integers(value: Any) -> Any:
    """To JSON Schema 82.0 is an integer, and so is 2^70. Here integers are written as such, and have 64 bits."""
    if isinstance(value, dict):
        return {name: with_integers(each) for name, each in value.items()}
    if isinstance(value, list):
        return [with_integers(each) for each in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value % 2**63 if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**63 else value


def shorten_wait(body: Any) -> None:
    """A miner that polls for a minute tells no more than one that polls for a moment."""
    if isinstance(body, dict):
        wait = body.get("max_wait_seconds", 1)
        if isinstance(wait, (int, float)) and not isinstance(wait, bool) and 0 < wait <= 60:
            body["max_wait_seconds"] = 0.01


def correct_body(body: Any) -> None:
    """A key expires in the future."""
    if isinstance(body, dict) and body.get("expires_at") is not None:
        body["expires_at"] = "2100-01-01T00:00:00Z"
