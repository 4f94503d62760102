"""Signing in from a command line, on the wire (RFC 8628, RFC 6749)."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from aitbc.schemas.api_keys import ApiKey
from aitbc.schemas.common import TENANT_ID_PATTERN, Name, Response
from aitbc.schemas.scopes import Environment

#: The one client that signs in like this. It is public: it has no secret, and proves nothing.
CLIENT_ID = "aitbc-cli"
GRANT_TYPE = "urn:ietf:params:oauth:grant-type:device_code"

ClientId = Annotated[str, Meta(description=f"`{CLIENT_ID}`.", extra_json_schema={"const": CLIENT_ID})]


class DeviceAuthorizationForm(msgspec.Struct, kw_only=True):
    """POST /oauth/device_authorization, as a form. Other parameters are ignored (RFC 6749, 3.1).

    ``client_name`` is the name of the machine: the person reads it, and the key is named so. ``preset`` is what is
    asked for; the person may give less. ``tenant_id`` and ``environment`` are what the page suggests.
    """

    client_id: ClientId
    client_name: Name | UnsetType = UNSET
    preset: Annotated[
        str,
        Meta(
            extra_json_schema={"enum": ["manager", "client", "miner"]},
        ),
    ] = "manager"
    environment: Environment | UnsetType = UNSET
    tenant_id: Annotated[str, Meta(pattern=TENANT_ID_PATTERN)] | UnsetType = UNSET


class DeviceTokenForm(msgspec.Struct, kw_only=True):
    """POST /oauth/token, as a form. Other parameters are ignored."""

    grant_type: Annotated[str, Meta(description=f"`{GRANT_TYPE}`.", extra_json_schema={"const": GRANT_TYPE})]
    client_id: ClientId
    device_code: Annotated[str, Meta(max_length=64)]


class DeviceAuthorization(Response):
    """A sign-in that waits for a person: show ``user_code``, send them to ``verification_uri``, and poll.

    ``expires_in`` and ``interval`` are seconds.
    """

    device_code: str
    user_code: str
    verification_uri: str
    verification_uri_complete: str
    expires_in: int
    interval: int


class DeviceToken(Response):
    """The key that a person approved: ``access_token`` is the whole key, shown now and never again.

    ``expires_in`` is seconds; ``scope`` holds the key's scopes, separated by spaces.
    """

    access_token: str
    token_type: str
    expires_in: int
    scope: str
    api_key: ApiKey


class OAuthProblem(Response):
    """Why there is no key (RFC 6749, section 5.2; RFC 8628, section 3.5): ``error`` for programs, the other for
    people.
    """

    error: str
    error_description: str
