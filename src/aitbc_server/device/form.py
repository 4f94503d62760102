"""Reading the forms of the device's endpoints (RFC 6749, 3.2): no parameter twice, an empty one counts as none."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl

from aitbc.schemas.common import TENANT_ID_PATTERN
from aitbc.schemas.device import CLIENT_ID, GRANT_TYPE
from aitbc.schemas.scopes import Environment, Preset
from aitbc_server.device.approval import PRESETS
from aitbc_server.device.errors import OAuthCode, OAuthError
from aitbc_server.device.model import CLIENT_NAME_LENGTH
from aitbc_server.device.service import Wanted
from aitbc_server.errors import DomainError
from aitbc_server.names import check_name

_MAX_BYTES = 8 * 1024
_MAX_FIELDS = 100
_KNOWN = frozenset({"client_id", "client_name", "preset", "tenant_id", "environment", "grant_type", "device_code"})
_MEDIA_TYPE = "application/x-www-form-urlencoded"
_DEFAULT_NAME = "command line"

Form = Mapping[str, str]


def parse(content_type: str, body: bytes) -> Form:
    """The parameters of a form. Raises OAuthError ``invalid_request``."""
    if content_type.lower() != _MEDIA_TYPE:
        raise invalid_request(f"Send the parameters as {_MEDIA_TYPE}.")
    if len(body) > _MAX_BYTES:
        raise invalid_request("The form is too large.")
    try:
        # Nothing but ASCII travels in a form; all else is percent-encoded UTF-8.
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MAX_FIELDS)
    except (ValueError, UnicodeError):
        raise invalid_request("The form cannot be read.") from None
    # What is not known is ignored, however often it comes.
    names = [name for name, _ in pairs if name in _KNOWN]
    if len(set(names)) != len(names):
        raise invalid_request("A parameter is given more than once.")
    return {name: value for name, value in pairs if value and name in _KNOWN}


def wanted(form: Form) -> Wanted:
    """What a device asks for. Raises OAuthError."""
    _check_client(form)
    return Wanted(
        client_name=_client_name(form.get("client_name", _DEFAULT_NAME)),
        preset=_preset(form.get("preset", Preset.MANAGER)),
        tenant_id=_tenant_id(form.get("tenant_id")),
        environment=_environment(form.get("environment")),
    )


def device_code(form: Form) -> str:
    """The code with which a device asks for its key. Raises OAuthError."""
    grant_type = form.get("grant_type")
    if grant_type is None:
        raise invalid_request("grant_type is missing.")
    if grant_type != GRANT_TYPE:
        raise OAuthError(OAuthCode.UNSUPPORTED_GRANT_TYPE, f"The one grant_type here is {GRANT_TYPE}.")
    _check_client(form)
    code = form.get("device_code")
    if code is None:
        raise invalid_request("device_code is missing.")
    return code


def invalid_request(description: str) -> OAuthError:
    """The request is not of the form that the endpoint takes."""
    return OAuthError(OAuthCode.INVALID_REQUEST, description)


def _check_client(form: Form) -> None:
    client_id = form.get("client_id")
    if client_id is None:
        raise invalid_request("client_id is missing.")
    if client_id != CLIENT_ID:
        raise OAuthError(OAuthCode.INVALID_CLIENT, f"The one client_id here is {CLIENT_ID}.")


def _client_name(text: str) -> str:
    """The name as it is: it is shown to a person who decides by it, and becomes the key's (ASVS 1.2.1, 2.2.1)."""
    if len(text) > CLIENT_NAME_LENGTH:
        raise invalid_request(f"client_name has at most {CLIENT_NAME_LENGTH} characters.")
    try:
        return check_name(text)
    except DomainError:
        raise invalid_request("client_name must not be blank or hold control characters.") from None


def _preset(text: str) -> Preset:
    if text not in PRESETS:
        raise invalid_request(f"preset is one of {', '.join(PRESETS)}.")
    return Preset(text)


def _environment(text: str | None) -> Environment | None:
    if text is None:
        return None
    if text not in list(Environment):
        raise invalid_request(f"environment is one of {', '.join(Environment)}.")
    return Environment(text)


def _tenant_id(text: str | None) -> str | None:
    if text is not None and re.fullmatch(TENANT_ID_PATTERN, text) is None:
        raise invalid_request("tenant_id is no tenant's id.")
    return text
