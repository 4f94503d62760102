"""Every kind of credential that a request may carry, and what the gate makes of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from tests.support.installation import HOME, STRANGER, SUSPENDED, Installation
from tests.usage.world import Key

from aitbc import keyformat
from aitbc.schemas.scopes import PRESET_SCOPES, Environment, Preset, Scope

Headers = list[tuple[str, str]]
Refusal = tuple[int, str]

INVALID: Refusal = (401, "invalid_api_key")
MANAGER = PRESET_SCOPES[Preset.MANAGER]


class Credential(NamedTuple):
    """A credential as it is sent. ``key`` is what it names, where there is such a key.

    ``refusal``: every route that needs a key refuses it so; None: its ``scopes`` decide. ``previous``: it is a secret
    in its grace period. ``home``: it acts for the tenant and in the environment that the matrix's objects are in.
    """

    headers: Headers
    key: Key | None = None
    refusal: Refusal | None = None
    scopes: frozenset[Scope] = frozenset()
    previous: bool = False
    home: bool = True

    @property
    def checked(self) -> bool:
        """Whether a right secret was presented: then there are limits to tell."""
        return self.key is not None


Maker = Callable[[Installation], Awaitable[Credential]]


def with_scopes(*scopes: Scope) -> Maker:
    """A good key with these scopes."""

    async def make(installation: Installation) -> Credential:
        key = await installation.add_key(HOME, scopes=scopes)
        return Credential(list(key.headers.items()), key, scopes=frozenset(scopes))

    return make


def refused(status: int, code: str, *, tenant: str = HOME, asserted: str | None = None, **columns: Any) -> Maker:
    """A manager's key that is good for nothing, because of its columns, its tenant or the tenant that it names."""

    async def make(installation: Installation) -> Credential:
        key = await installation.add_key(tenant, **{name: of(installation) for name, of in columns.items()})
        headers = [*key.headers.items(), *([] if asserted is None else [("X-Tenant-ID", asserted)])]
        return Credential(headers, key, (status, code))

    return make


def nothing(headers: Headers, refusal: Refusal) -> Maker:
    """What names no key at all."""

    async def make(_: Installation) -> Credential:
        return Credential(headers, refusal=refusal)

    return make


def changed(change: Callable[[Key], Headers], refusal: Refusal) -> Maker:
    """Something that is made of a good key, and is none."""

    async def make(installation: Installation) -> Credential:
        return Credential(change(await installation.add_key(HOME)), refusal=refusal)

    return make


async def bearer(installation: Installation) -> Credential:
    key = await installation.add_key(HOME)
    return Credential([("Authorization", f"Bearer {key.text}")], key, scopes=MANAGER)


async def both_headers(installation: Installation) -> Credential:
    key = await installation.add_key(HOME)
    headers = [*key.headers.items(), ("Authorization", f"bearer {key.text}"), ("X-Tenant-ID", HOME)]
    return Credential(headers, key, scopes=MANAGER)


async def operators_gateway(installation: Installation) -> Credential:
    key = await installation.add_key(HOME, scopes=[Scope.API_KEYS_VERIFY], verifies_all=True)
    return Credential(list(key.headers.items()), key, scopes=frozenset({Scope.API_KEYS_VERIFY}))


def previous_secret(*scopes: Scope) -> Maker:
    async def make(installation: Installation) -> Credential:
        key = await installation.add_key(HOME, scopes=scopes)
        older = await installation.add_previous_secret(key, HOME, ends_in_s=60)
        return Credential(list(older.headers.items()), older, scopes=frozenset(scopes), previous=True)

    return make


async def replaced_secret(installation: Installation) -> Credential:
    key = await installation.add_key(HOME)
    older = await installation.add_previous_secret(key, HOME, ends_in_s=-1)
    return Credential(list(older.headers.items()), older, (401, "expired_api_key"))


async def newer_secret(installation: Installation) -> Credential:
    key = await installation.add_key(HOME)
    await installation.add_previous_secret(key, HOME, ends_in_s=60)
    return Credential(list(key.headers.items()), key, scopes=MANAGER)


def elsewhere(tenant: str, environment: Environment) -> Maker:
    """A manager whose key sees none of the matrix's objects."""

    async def make(installation: Installation) -> Credential:
        key = await installation.add_key(tenant, environment)
        return Credential(list(key.headers.items()), key, scopes=MANAGER, home=False)

    return make


async def granted(installation: Installation) -> Credential:
    key = await installation.add_key(STRANGER, also=[HOME])
    return Credential([*key.headers.items(), ("X-Tenant-ID", HOME)], key, scopes=MANAGER)


async def granted_suspended(installation: Installation) -> Credential:
    key = await installation.add_key(SUSPENDED, also=[HOME])
    return Credential([*key.headers.items(), ("X-Tenant-ID", HOME)], key, (403, "tenant_suspended"))


def _wrong_secret(key: Key) -> Headers:
    parts = keyformat.parse(key.text)
    assert parts is not None
    return [("X-API-Key", keyformat.build(parts.environment, parts.kid, keyformat.random_base62(43)))]


def _other_environment(key: Key) -> Headers:
    parts = keyformat.parse(key.text)
    assert parts is not None
    return [("X-API-Key", keyformat.build("test", parts.kid, parts.secret))]


KINDS: dict[str, Maker] = {
    "none": nothing([], (401, "missing_api_key")),
    "another scheme": nothing([("Authorization", "Basic YTpi")], (401, "missing_api_key")),
    "empty": nothing([("X-API-Key", "")], INVALID),
    "empty bearer": nothing([("Authorization", "Bearer")], INVALID),
    "malformed": nothing([("X-API-Key", "aitbc_live_")], INVALID),
    "unknown": nothing([("X-API-Key", keyformat.build("live", "0" * 12, "0" * 43))], INVALID),
    "unknown foreign": nothing([("X-API-Key", "sk-0123456789abcdefghij")], INVALID),
    "two different": changed(
        lambda key: [*key.headers.items(), ("Authorization", "Bearer another")], (400, "ambiguous_credentials")
    ),
    "one twice": changed(lambda key: [*key.headers.items()] * 2, (400, "ambiguous_credentials")),
    "tenant twice": changed(
        lambda key: [*key.headers.items(), *[("X-Tenant-ID", HOME)] * 2],
        (400, "bad_request"),
    ),
    "wrong secret": changed(_wrong_secret, INVALID),
    "wrong checksum": changed(lambda key: [("X-API-Key", key.text[:-6] + "000000")], INVALID),
    "wrong case": changed(lambda key: [("X-API-Key", key.text.swapcase())], INVALID),
    "of the other environment": changed(_other_environment, INVALID),
    "with more behind it": changed(lambda key: [("X-API-Key", key.text + "0")], INVALID),
    "key id only": changed(lambda key: [("X-API-Key", key.id)], INVALID),
    "disabled": refused(401, "disabled_api_key", enabled=lambda _: False),
    "expired": refused(401, "expired_api_key", expires_at=lambda each: each.clock.timestamp()),
    "revoked": refused(401, "revoked_api_key", revoked_at=lambda each: each.clock.timestamp()),
    "replaced secret": replaced_secret,
    "another tenant asserted": refused(403, "tenant_mismatch", asserted=STRANGER),
    "unknown tenant asserted": refused(403, "tenant_mismatch", asserted="nobody"),
    "empty tenant asserted": refused(403, "tenant_mismatch", asserted=""),
    "suspended tenant": refused(403, "tenant_suspended", tenant=SUSPENDED),
    "granted by a suspended tenant": granted_suspended,
    "from elsewhere": refused(403, "ip_not_allowed", allowed_ips=lambda _: ["198.51.100.0/24"]),
    "no scope": with_scopes(),
    **{f"preset {preset}": with_scopes(*PRESET_SCOPES[preset]) for preset in Preset},
    **{f"scope {scope}": with_scopes(scope) for scope in Scope},
    "every scope": with_scopes(*Scope),
    "as bearer": bearer,
    "in both headers": both_headers,
    "operator's gateway": operators_gateway,
    "previous secret": previous_secret(*MANAGER),
    "previous secret, no scope": previous_secret(),
    "newer secret": newer_secret,
    "manager of another tenant": elsewhere(STRANGER, Environment.LIVE),
    "manager of the other environment": elsewhere(HOME, Environment.TEST),
    "granted": granted,
}
