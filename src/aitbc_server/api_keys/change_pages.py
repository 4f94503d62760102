"""The pages that make and change API keys. Each works without JavaScript, and asks before what cannot be undone."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from aitbc.schemas.api_keys import (
    ApiKey,
    ApiKeyWithSecret,
    ChangedApiKey,
    KeyStatus,
    RegenerateApiKey,
    UpdateApiKey,
)
from aitbc.schemas.scopes import Scope
from aitbc_server.actor import Actor
from aitbc_server.api_keys import key_form, words
from aitbc_server.api_keys.service import ApiKeyService
from aitbc_server.dashboard.forms import Form, messages
from aitbc_server.dashboard.pages import AnyRequest, Page, Pages, for_page
from aitbc_server.errors import Code, DomainError
from aitbc_server.gate.operations import Audience, Operation

_WRITE, _PERSON = Scope.API_KEYS_WRITE, Audience.PERSON

# What gives a secret out, or may widen what one opens, asks for the password if it was not given lately (ASVS 7.5.3).
# What only closes something never does: it must be quick.
NEW = Operation("dashboard.api_key_form", _WRITE, audience=_PERSON, recent=True)
CREATE = Operation("dashboard.create_api_key", _WRITE, audience=_PERSON, recent=True)
EDIT = Operation("dashboard.api_key_edit", _WRITE, audience=_PERSON, recent=True)
UPDATE = Operation("dashboard.update_api_key", _WRITE, audience=_PERSON, recent=True)
REGENERATE_FORM = Operation("dashboard.api_key_regenerate_form", _WRITE, audience=_PERSON, recent=True)
REGENERATE = Operation("dashboard.regenerate_api_key", _WRITE, audience=_PERSON, recent=True)
ENABLE = Operation("dashboard.enable_api_key", _WRITE, audience=_PERSON, recent=True)
DISABLE = Operation("dashboard.disable_api_key", _WRITE, audience=_PERSON)
REVOKE_FORM = Operation("dashboard.api_key_revoke_form", _WRITE, audience=_PERSON)
REVOKE = Operation("dashboard.revoke_api_key", _WRITE, audience=_PERSON)

_DEFAULT_GRACE_S = 24 * 3600

Keys = NamedDependency[ApiKeyService]
CallingActor = NamedDependency[Actor]
AllPages = NamedDependency[Pages]
SentForm = NamedDependency[Form]
Answer = Response[str] | Response[bytes]


@get("/api-keys/new", **for_page(NEW), sync_to_thread=False)
def new_page(request: AnyRequest, actor: CallingActor, pages: AllPages) -> Page:
    """The form of a new key."""
    return _create_form(request, pages, actor, key_form.blank(), secrets.token_urlsafe(16))


@post("/api-keys/new", **for_page(CREATE))
async def create(
    request: AnyRequest,
    form: SentForm,
    actor: CallingActor,
    pages: AllPages,
    api_keys: Keys,
) -> Page:
    """Make the key, and show it this once. A form that is sent again makes no second one."""
    once = form.line("once") or secrets.token_urlsafe(16)
    try:
        wanted = key_form.to_create(form, pages.now(), await api_keys.plan_limit(actor))
        made = await api_keys.create(actor, wanted, idempotency_key=f"page-{once}"[:100])
    except DomainError as error:
        # With all the keys that a tenant may have, one is revoked in another tab, and what was typed is still here.
        wrong = {"": error.detail} if error.code is Code.CONFLICT else messages(error)
        return _create_form(request, pages, actor, form, once, wrong)
    return _shown_once(request, pages, made, "generated")


@get("/api-keys/{key_id:str}/edit", **for_page(EDIT))
async def edit_page(
    request: AnyRequest, key_id: FromPath[str], actor: CallingActor, pages: AllPages, api_keys: Keys
) -> Answer:
    """The form of a key that there is."""
    key = await api_keys.get_to_manage(actor, key_id)
    if key.status is KeyStatus.REVOKED:
        return _is_over(pages, key)
    return _edit_form(request, pages, actor, key, key_form.filled(key))


@post("/api-keys/{key_id:str}/edit", **for_page(UPDATE))
async def edit(
    request: AnyRequest,
    key_id: FromPath[str],
    form: SentForm,
    actor: CallingActor,
    pages: AllPages,
    api_keys: Keys,
) -> Answer:
    """Change the key."""
    key = await api_keys.get_to_manage(actor, key_id)
    try:
        wanted = key_form.to_update(form, pages.now(), await api_keys.plan_limit(actor))
        changed = await api_keys.update(actor, key_id, wanted)
    except DomainError as error:
        if error.code is Code.CONFLICT:
            return _not_now(request, pages, key_id, error)
        return _edit_form(request, pages, actor, key, form, messages(error))
    return _done(pages, changed, "The changes are saved.")


@post("/api-keys/{key_id:str}/disable", **for_page(DISABLE))
async def disable(
    request: AnyRequest, key_id: FromPath[str], actor: CallingActor, pages: AllPages, api_keys: Keys
) -> Answer:
    """Refuse the key until it is enabled again."""
    words = "The key is disabled. Requests with it are refused from now on."
    return await _switched(request, key_id, actor, pages, api_keys, UpdateApiKey(enabled=False), words)


@post("/api-keys/{key_id:str}/enable", **for_page(ENABLE))
async def enable(
    request: AnyRequest, key_id: FromPath[str], actor: CallingActor, pages: AllPages, api_keys: Keys
) -> Answer:
    """Let the key work again."""
    wanted = UpdateApiKey(enabled=True)
    return await _switched(request, key_id, actor, pages, api_keys, wanted, "The key is enabled.")


@get("/api-keys/{key_id:str}/regenerate", **for_page(REGENERATE_FORM))
async def regenerate_page(
    request: AnyRequest, key_id: FromPath[str], actor: CallingActor, pages: AllPages, api_keys: Keys
) -> Answer:
    """How long the old secret goes on."""
    key = await api_keys.get_to_manage(actor, key_id)
    if key.status is KeyStatus.REVOKED:
        return _is_over(pages, key)
    form = Form([("grace_period_seconds", str(_DEFAULT_GRACE_S))])
    return pages.render(request, "api_keys/regenerate.html", **_regenerating(key, form))


@post("/api-keys/{key_id:str}/regenerate", **for_page(REGENERATE))
async def regenerate(
    request: AnyRequest, key_id: FromPath[str], form: SentForm, actor: CallingActor, pages: AllPages, api_keys: Keys
) -> Page:
    """Make a new secret, and show it this once. A form that is sent again makes no second one."""
    key = await api_keys.get_to_manage(actor, key_id)
    replaced = None
    try:
        wanted, replaced = RegenerateApiKey(grace_period_seconds=_grace_s(form)), _replaced(form)
        made = await api_keys.regenerate(actor, key_id, wanted, replaces=replaced)
    except DomainError as error:
        if error.code is Code.CONFLICT:
            return _not_regenerated(request, pages, await api_keys.get_to_manage(actor, key_id), replaced, error)
        context = _regenerating(key, form, messages(error))
        return pages.render(request, "api_keys/regenerate.html", status_code=422, **context)
    return _shown_once(request, pages, made, "regenerated")


@get("/api-keys/{key_id:str}/revoke", **for_page(REVOKE_FORM))
async def revoke_page(
    request: AnyRequest, key_id: FromPath[str], actor: CallingActor, pages: AllPages, api_keys: Keys
) -> Answer:
    """Ask once more."""
    key = await api_keys.get_to_manage(actor, key_id)
    if key.status is KeyStatus.REVOKED:
        return _is_over(pages, key)
    return pages.render(request, "api_keys/revoke.html", key=key)


@post("/api-keys/{key_id:str}/revoke", **for_page(REVOKE))
async def revoke(key_id: FromPath[str], actor: CallingActor, pages: AllPages, api_keys: Keys) -> Answer:
    """End the key for good."""
    return _done(pages, await api_keys.revoke(actor, key_id), "The key is revoked. It will never work again.")


async def _switched(
    request: AnyRequest,
    key_id: str,
    actor: Actor,
    pages: Pages,
    api_keys: ApiKeyService,
    wanted: UpdateApiKey,
    words: str,
) -> Answer:
    try:
        return _done(pages, await api_keys.update(actor, key_id, wanted), words)
    except DomainError as error:
        if error.code is Code.CONFLICT:
            return _not_now(request, pages, key_id, error)
        raise


def _is_over(pages: Pages, key: ApiKey) -> Response[bytes]:
    """Nothing is asked about a key that can only be looked at."""
    return pages.redirect(f"/api-keys/{key.id}", "This key is revoked, which is final.", "info")


def _not_now(request: AnyRequest, pages: Pages, key_id: str, error: DomainError) -> Page:
    """Why the key's state does not allow it, with a way to the key."""
    return pages.error(request, error, to=(f"/api-keys/{key_id}", "To the key"))


def _not_regenerated(
    request: AnyRequest, pages: Pages, key: ApiKey, replaced: datetime | None, error: DomainError
) -> Page:
    """For a reload of the page that showed the new secret, as for one that showed a new key: it was shown once."""
    if key.status is KeyStatus.REVOKED or key.secret_created_at == replaced:
        return _not_now(request, pages, key.id, error)
    return pages.render(
        request,
        "api_keys/shown_once.html",
        status_code=409,
        key=key,
        secret=None,
        deed="regenerated",
        confirmed=True,
    )


def _create_form(
    request: AnyRequest, pages: Pages, actor: Actor, form: Form, once: str, errors: Mapping[str, str] | None = None
) -> Page:
    return pages.render(
        request,
        "api_keys/new.html",
        status_code=422 if errors else 200,
        form=form,
        once=once,
        errors=errors or {},
        **key_form.choices(actor),
    )


def _edit_form(
    request: AnyRequest, pages: Pages, actor: Actor, key: ApiKey, form: Form, errors: Mapping[str, str] | None = None
) -> Page:
    return pages.render(
        request,
        "api_keys/edit.html",
        status_code=422 if errors else 200,
        key=key,
        form=form,
        errors=errors or {},
        **key_form.choices(actor),
    )


def _regenerating(key: ApiKey, form: Form, errors: Mapping[str, str] | None = None) -> dict[str, Any]:
    return {"key": key, "form": form, "errors": errors or {}, "grace_periods": words.GRACE_PERIODS}


def _grace_s(form: Form) -> int:
    grace_s = form.integer("grace_period_seconds")
    if grace_s not in words.GRACE_PERIODS:
        raise DomainError(Code.BAD_REQUEST, "The old secret goes on for one of the times in the list.")
    return grace_s


def _replaced(form: Form) -> datetime:
    """When the secret was made that the page spoke of. Raises ``bad_request``."""
    try:
        return msgspec.convert(form.line("replaces"), datetime)
    except msgspec.ValidationError as error:
        raise DomainError(Code.BAD_REQUEST, "The form is not complete. Go back, and reload the page.") from error


def _shown_once(request: AnyRequest, pages: Pages, key: ApiKeyWithSecret, deed: str) -> Page:
    """The one page that holds the secret; where the form was sent again, the page that says so."""
    secret = None if key.key is msgspec.UNSET else key.key
    return pages.render(
        request, "api_keys/shown_once.html", key=key, secret=secret, deed=deed, confirmed=key.confirmed is not False
    )


def _done(pages: Pages, key: ChangedApiKey, text: str) -> Response[bytes]:
    if key.confirmed is False:
        return pages.redirect(
            f"/api-keys/{key.id}", "It is saved, and will be in effect on every server in a moment.", "warning"
        )
    return pages.redirect(f"/api-keys/{key.id}", text)


ROUTES = [
    new_page,
    create,
    edit_page,
    edit,
    disable,
    enable,
    regenerate_page,
    regenerate,
    revoke_page,
    revoke,
]
