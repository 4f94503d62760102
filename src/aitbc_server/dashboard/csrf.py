"""Whether a form was filled in on a page of ours: a token that only our page could hold, and the browser's own word.

Both must be right (ASVS 3.5.1): the token stands where a browser is too old to say where a request comes from, and
the browser's word where a token should ever leak.
"""

from __future__ import annotations

import base64
import hmac
import secrets
from collections.abc import Mapping
from urllib.parse import urlsplit

from aitbc_server.secret_keys import SecretKeys

#: The form field that holds the token.
FIELD = "csrf"

_NONCE_BYTES = 16
_LENGTH = _NONCE_BYTES + 32
# "none": the person themselves, who sends the form again after the browser was restarted.
_OWN_SITES = frozenset({"same-origin", "none"})


class Csrf:
    """Makes and checks tokens. One is bound to a session, or to the visitor's cookie of who is not signed in.

    No two are alike, so that a page that is compressed on its way gives none away piece by piece.
    """

    def __init__(self, secret_keys: SecretKeys) -> None:
        self._keys = [secret_keys.derive("csrf-v1", version) or b"" for version in secret_keys.versions]

    def token(self, binding: str) -> str:
        """A token for one page."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return base64.urlsafe_b64encode(nonce + _mac(self._keys[0], nonce, binding)).decode()

    def is_right(self, token: str, binding: str) -> bool:
        """Whether the token was made for this binding."""
        try:
            raw = base64.b64decode(token, altchars=b"-_", validate=True)
        except ValueError:
            return False
        nonce, mac = raw[:_NONCE_BYTES], raw[_NONCE_BYTES:]
        return len(raw) == _LENGTH and any(hmac.compare_digest(mac, _mac(key, nonce, binding)) for key in self._keys)


def comes_from_here(headers: Mapping[str, str], public_url: str = "") -> bool:
    """Whether the browser says that the form was sent from this site; one that says nothing is not believed.

    Every browser in use names the origin of a form that is posted. The host is compared, with the port: behind a
    proxy that ends TLS the scheme is not known here.
    """
    site = headers.get("sec-fetch-site")
    origin = headers.get("origin")
    if site is None and origin is None:
        return False
    own_hosts = {headers.get("host", "").lower(), urlsplit(public_url).netloc.lower()} - {""}
    return site in {None, *_OWN_SITES} and (origin is None or _host(origin) in own_hosts)


def _host(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _mac(key: bytes, nonce: bytes, binding: str) -> bytes:
    return hmac.digest(key, nonce + binding.encode(), "sha256")
