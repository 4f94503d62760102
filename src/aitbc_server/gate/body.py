"""The body of a request to one of the gate's own handlers: read whole, then decoded strictly."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeVar

import msgspec

from aitbc_server.errors import Code, DomainError, invalid
from aitbc_server.gate.request import RawHeaders
from aitbc_server.json_limits import MAX_BODY_BYTES
from aitbc_server.validation import BODY, field_error

T = TypeVar("T")


class ClientDisconnectedError(Exception):
    """The client went away in the middle of its request: there is nobody to answer."""


async def read_json(
    decoder: msgspec.json.Decoder[T], headers: RawHeaders, receive: Callable[[], Awaitable[MutableMapping[str, Any]]]
) -> T:
    """The JSON body of a request as the decoder's type.

    Raises DomainError: ``unsupported_media_type``, ``payload_too_large`` (over 1 MiB), ``bad_request`` for what is no
    JSON, ``validation_error`` naming the field. Raises ClientDisconnectedError.
    """
    _refuse_other_types(headers)
    return _decoded(decoder, await _whole(headers, receive))


def _refuse_other_types(headers: RawHeaders) -> None:
    # No type at all is let through: many a small client sends JSON without saying so.
    for name, value in headers:
        if name == b"content-type" and value.partition(b";")[0].strip().lower() != b"application/json":
            raise DomainError(
                Code.UNSUPPORTED_MEDIA_TYPE, "Send the body as JSON, with the header Content-Type: application/json."
            )


async def _whole(headers: RawHeaders, receive: Callable[[], Awaitable[MutableMapping[str, Any]]]) -> bytes:
    for name, value in headers:
        # What is announced as too large is refused before it is sent.
        if name == b"content-length" and (not value.isdigit() or int(value) > MAX_BODY_BYTES):
            raise _too_large()
    body: bytes = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnectedError
        body += message.get("body", b"")
        if len(body) > MAX_BODY_BYTES:
            raise _too_large()
        if not message.get("more_body", False):
            return body


def _too_large() -> DomainError:
    return DomainError(Code.PAYLOAD_TOO_LARGE, "The body is larger than 1 MiB.")


def _decoded(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    if not body:
        raise invalid(BODY, "is missing; send a JSON object")
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        wrong = field_error(str(error), decoder.type)
        raise invalid(wrong.field, wrong.message) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DomainError(Code.BAD_REQUEST, f"The body is not valid JSON in UTF-8: {error}.") from error
    except RecursionError as error:
        raise invalid(BODY, "is nested too deep") from error
