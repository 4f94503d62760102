"""What a scripted server answers to a login, and a login that goes well."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

from tests.cli.conftest import Cli
from tests.sdk.samples import API_KEY
from tests.sdk.scripted import Answer, ScriptedServer

from aitbc import keyformat

KEY = keyformat.build("test", "0123456789ab", "L" * 43)
ANOTHER = keyformat.build("test", "ba9876543210", "M" * 43)
BEGUN = {
    "device_code": "secret-device-code",
    "user_code": "WDJB-MJHT",
    "verification_uri": "http://localhost:8000/device",
    "verification_uri_complete": "http://localhost:8000/device?code=WDJB-MJHT",
    "expires_in": 600,
    "interval": 0,
}
TOKEN = {
    "access_token": KEY,
    "token_type": "Bearer",
    "expires_in": 7776000,
    "scope": "jobs:read",
    "api_key": {**API_KEY, "tenant_id": "acme", "expires_at": "2027-02-22T06:00:00.000Z"},
}
SELF = {
    "key": API_KEY,
    "tenant": {"id": "acme", "name": "Acme", "plan": "pro"},
    "limits": [],
}
REVOKED = Answer({**API_KEY, "status": "revoked"})


def oauth(error: str, status: int = 400) -> Answer:
    """An answer that is no key."""
    return Answer({"error": error, "error_description": f"a sentence about {error}"}, status)


def sent(server: ScriptedServer, number: int = -1) -> dict[str, str]:
    """The form of one of the requests that the server got."""
    return {name: value for name, (value,) in parse_qs(server.requests[number].body.decode()).items()}


def sign_in(cli: Cli, server: ScriptedServer, *args: str, token: Any = TOKEN) -> Any:
    """A login that goes well."""
    server.answers(Answer(BEGUN), Answer(token))
    ran = cli("login", *args)
    assert ran.code == 0, ran.err
    return ran
