"""The tenant and the keys of a development server: given by the environment, kept from the last start, or made."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec
from sqlalchemy import select

from aitbc.schemas.api_keys import ApiKey, CreateApiKey, KeyStatus, RegenerateApiKey
from aitbc.schemas.scopes import Environment, Preset
from aitbc_server.actor import Actor, operator
from aitbc_server.api_keys.imports import FormerSecretError, check_text
from aitbc_server.api_keys.model import ApiKeyRow
from aitbc_server.dev.env_file import read
from aitbc_server.errors import Code, DomainError
from aitbc_server.ids import key_id
from aitbc_server.serving.installation import Installation
from aitbc_server.settings import SettingError

TENANT = "test-tenant"
PLAN = "pro"


class _Role(NamedTuple):
    variable: str
    preset: Preset
    from_environment: bool


ROLES = (
    _Role("CLIENT_API_KEY", Preset.CLIENT, True),
    _Role("MINER_API_KEY", Preset.MINER, True),
    _Role("MANAGER_API_KEY", Preset.MANAGER, False),
)


def check_given(environ: Mapping[str, str]) -> None:
    """Raise SettingError for variables that can be no keys, whatever the database holds."""
    problems = []
    for role in ROLES:
        given = environ.get(role.variable) if role.from_environment else None
        if given:
            try:
                check_text(given, Environment.TEST, ours_too=True)
            except DomainError as error:
                problems.append(f"{role.variable}: {_what(error)}")
    if problems:
        raise SettingError(problems)


async def dev_keys(installation: Installation, environ: Mapping[str, str], env_file: Path) -> dict[str, str]:
    """The three keys by variable; the tenant and the keys are in the database afterwards.

    ``env_file`` has those of the last start. Raises SettingError for variables that cannot be keys.
    """
    actor = msgspec.structs.replace(operator("dev", TENANT), name="aitbc dev")
    await _ensure_tenant(installation, actor)
    kept = read(env_file)
    keys, problems, former = {}, [], []
    for role in ROLES:
        given = environ.get(role.variable) if role.from_environment else None
        try:
            keys[role.variable] = (
                await _adopt(installation, actor, role, given)
                if given
                else await _keep_or_make(installation, actor, role, kept.get(role.variable))
            )
        except DomainError as error:
            problems.append(f"{role.variable}: {_what(error)}")
            if isinstance(error, FormerSecretError):
                former.append(role.variable)
    if problems:
        # This shell may have loaded the file before the key was regenerated.
        hint = f"unset {' '.join(former)}, or load {env_file} again" if former else None
        raise SettingError(problems, hint=hint)
    return keys


def _what(error: DomainError) -> str:
    """What is wrong with a key's text, after its variable's name."""
    text = error.errors[0].message if error.errors else error.detail.rstrip(".")
    return text[:1].lower() + text[1:]


async def _ensure_tenant(installation: Installation, actor: Actor) -> None:
    try:
        await installation.tenants.create(actor, PLAN, "Test tenant")
    except DomainError as error:
        if error.code is not Code.CONFLICT:
            raise


async def _adopt(installation: Installation, actor: Actor, role: _Role, text: str) -> str:
    """Let ``text`` be the key. Raises DomainError where it cannot."""
    wanted = _wanted(role)
    key, _ = await installation.imports.import_key(actor, text, wanted, ours_too=True, made_by_dev=True)
    if key.preset != role.preset:
        raise DomainError(
            Code.CONFLICT, f"this is the {key.preset or 'other'} key already: give each a text of its own"
        )
    if key.status is not KeyStatus.ACTIVE:
        raise DomainError(Code.CONFLICT, f"this key is {key.status}: unset the variable, or give another text")
    return text


async def _keep_or_make(installation: Installation, actor: Actor, role: _Role, kept: str | None) -> str:
    """The key of the last start where it still works, else the same key with a new secret, else a new key."""
    if kept:
        try:
            return await _adopt(installation, actor, role, kept)
        except DomainError:
            pass  # It was regenerated or revoked meanwhile, or the file was edited: another one is made.
    known = await _known(installation, role)
    if known is not None:
        return _text(await installation.api_keys.regenerate(actor, known, RegenerateApiKey()))
    return _text(await installation.api_keys.create(actor, _wanted(role), made_by_dev=True))


async def _known(installation: Installation, role: _Role) -> str | None:
    """The id of a key that was made for this role and can be given a new secret."""
    async with installation.database.read() as session:
        kid = await session.scalar(
            select(ApiKeyRow.kid)
            .where(
                ApiKeyRow.made_by_dev.is_(True),
                ApiKeyRow.tenant_id == TENANT,
                ApiKeyRow.preset == role.preset,
                ApiKeyRow.name == _name(role),
                ApiKeyRow.revoked_at.is_(None),
                ApiKeyRow.enabled.is_(True),
            )
            .order_by(ApiKeyRow.created_at.desc())
            .limit(1)
        )
    return None if kid is None else key_id(kid)


def _wanted(role: _Role) -> CreateApiKey:
    return CreateApiKey(name=_name(role), environment=Environment.TEST, preset=role.preset)


def _name(role: _Role) -> str:
    return f"dev {role.preset}"


def _text(key: ApiKey) -> str:
    return str(key["key"])
