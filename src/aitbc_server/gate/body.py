"""The body of a request: read whole, within a size and a time, and decoded strictly. The one place that does it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, TypeVar

import msgspec

from aitbc_server.errors import Code, DomainError, invalid
from aitbc_server.gate.faulty_json import path_of_huge_number, why_unreadable
from aitbc_server.json_limits import MAX_BODY_BYTES
from aitbc_server.validation import BODY, TOO_LARGE, cut, field_error

T = TypeVar("T")
Headers = Iterable[tuple[bytes, bytes]]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]

#: A body must be there this long after its headers: who sends it byte by byte holds no connection for ever.
BODY_DEADLINE_S = 30.0

# JSON by its own name or by a derived one, such as application/merge-patch+json (RFC 6839, 3.1).
_JSON_TYPE = re.compile(rb"application/(json|[^/]+\+json)")
_CHARSET = re.compile(rb';\s*charset\s*=\s*"?([^";]*)')
# Longer numbers than this are not read: they are too large whatever they say.
_LENGTH_DIGITS = 19
# What is left of the body would be taken for the next request.
_CLOSE = {"connection": "close"}


async def read_json(decoder: msgspec.json.Decoder[T], headers: Headers, receive: Receive) -> T:
    """The JSON body of a request as the decoder's type.

    Raises DomainError: ``unsupported_media_type``, ``payload_too_large`` (over 1 MiB), ``bad_request`` for what is no
    JSON, ends too early or takes too long, ``validation_error`` naming the field.
    """
    refuse_other_types(headers)
    return decoded(decoder, await read(headers, receive))


def refuse_other_types(headers: Headers) -> None:
    """Raise ``unsupported_media_type`` unless the body is JSON in UTF-8, as it is, or does not say. (ASVS 4.1.1)

    No type at all is let through: many a small client sends JSON without saying so.
    """
    for name, value in headers:
        if name == b"content-type":
            _refuse_other_type(value.lower())
        elif name == b"content-encoding" and value.strip().lower() != b"identity":
            raise _unsupported("Send the body as it is, without Content-Encoding.")


def _refuse_other_type(content_type: bytes) -> None:
    media_type, _, parameters = content_type.partition(b";")
    if _JSON_TYPE.fullmatch(media_type.strip()) is None:
        raise _unsupported("Send the body as JSON, with the header Content-Type: application/json.")
    # The common case has none. Two charsets would be read one way here and another way elsewhere.
    if parameters and any(each.strip() not in {b"utf-8", b"utf8"} for each in _CHARSET.findall(b";" + parameters)):
        raise _unsupported("Send the body in UTF-8. Another charset is not read.")


def _unsupported(detail: str) -> DomainError:
    return DomainError(Code.UNSUPPORTED_MEDIA_TYPE, detail)


async def read(headers: Headers, receive: Receive) -> bytes:
    """The whole body. Raises ``payload_too_large``, and ``bad_request`` where it ends too early or takes too long."""
    refuse_announced_size(headers)
    try:
        async with asyncio.timeout(BODY_DEADLINE_S):
            return await _whole(receive)
    except TimeoutError:
        detail = f"The body did not arrive within {BODY_DEADLINE_S:g} s."
        raise DomainError(Code.BAD_REQUEST, detail, headers=_CLOSE) from None


def refuse_announced_size(headers: Headers) -> None:
    """Raise ``payload_too_large`` for what is announced as too large, before it is sent."""
    for name, value in headers:
        if name == b"content-length" and value.isdigit() and _is_too_large(value):
            raise _too_large()


def _is_too_large(length: bytes) -> bool:
    return len(length) > _LENGTH_DIGITS or int(length) > MAX_BODY_BYTES


async def _whole(receive: Receive) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            # The client went away, or what it sent is no HTTP any more. It is told in case that it still listens.
            raise DomainError(Code.BAD_REQUEST, "The body ended before its time.", headers=_CLOSE)
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise _too_large()
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)


def _too_large() -> DomainError:
    return DomainError(Code.PAYLOAD_TOO_LARGE, "The body is larger than 1 MiB.", headers=_CLOSE)


def decoded(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """The JSON ``body`` as the decoder's type. Raises ``validation_error`` with the field, or ``bad_request``.

    Of two values with one name in an object the last one counts, on every route alike: to see the first, the body
    would have to be parsed twice.
    """
    if not body:
        raise invalid(BODY, "is missing; send a JSON object")
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        wrong = field_error(str(error), decoder.type)
        path = path_of_huge_number(body) if wrong.message == TOO_LARGE else None
        raise invalid(cut(path or wrong.field), wrong.message) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DomainError(Code.BAD_REQUEST, why_unreadable(body, str(error))) from error
    except RecursionError as error:
        raise invalid(BODY, "is nested too deep") from error
