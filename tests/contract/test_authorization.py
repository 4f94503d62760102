"""S1: every route, every kind of credential, one table of what is allowed; what is not in the table is refused."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx2
import pytest
from tests.contract.expectations import PUBLIC, RULES, Rule
from tests.support.credentials import KINDS, Credential
from tests.support.installation import HOME, Installation, api_routes, identifiers, routes
from tests.support.shape import faults

from aitbc.schemas.scopes import Scope
from aitbc_server.gate.operations import Audience

NO_ROUTES = ("/v1", "/v1/", "/v2/jobs", "/v1/jobs/", "/v1/jobs/a/b", "/metrics", "/docs/", "/static", "/static/a/b")
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "FOO")


def test_the_table_has_every_route_and_no_other() -> None:
    """Default deny, ASVS 8.1.1: a new route is refused here until somebody writes down who may use it."""
    assert {(route.method, route.path) for route in api_routes()} == set(RULES)


def test_the_gate_decides_by_the_table() -> None:
    """ASVS 8.2.1, 8.3.1: what each route declares to the gate is what the table says."""
    for method, path, operation in api_routes():
        rule = RULES[method, path]
        declared = (operation.scope, operation.own_key, operation.never_own, operation.audience is Audience.EVERYONE)
        assert declared == (rule.scope, rule.own, rule.never_own, rule.public), operation.id


def test_the_public_list_only_shrinks() -> None:
    """ASVS 6.3.4: what is answered without a key is a closed list; every operation has an id of its own."""
    assert {path for (_, path), rule in RULES.items() if rule.public} == PUBLIC
    assert len({route.operation.id for route in routes()}) == len(routes())


async def test_the_description_lists_the_very_routes(client: httpx2.AsyncClient) -> None:
    """The OpenAPI, the router and the gate know the same operations under the same ids, and ask for the same scopes."""
    described = {
        (method.upper(), path, operation["operationId"]): operation["security"]
        for path, item in (await client.get("/openapi.json")).json()["paths"].items()
        for method, operation in item.items()
    }
    assert described.keys() == {(route.method, route.path, route.operation.id) for route in api_routes()}
    for (method, path, _), security in described.items():
        rule = RULES[method, path]
        scopes = [] if rule.scope is None else [rule.scope]
        assert security == ([] if rule.public else [{"ApiKey": scopes}, {"Bearer": scopes}]), path


def expected(rule: Rule, credential: Credential, target: str) -> tuple[int, str | None]:
    """Status and code that the table promises; ``target`` is "own", "other", or "" where a route has no object."""
    if rule.public:
        return rule.allowed, None
    if credential.refusal is not None:
        return credential.refusal
    own = rule.own and target != "other"
    holds = rule.scope is None or rule.scope in credential.scopes
    if credential.previous and own:
        # A secret in its grace period is no self; it has its scopes, towards others and the tenant.
        allowed = holds and not target and rule.scope is not None
    else:
        allowed = (own or holds) and not (rule.never_own and target == "own")
    if not allowed:
        return 403, "insufficient_scope"
    if target == "other" and not credential.home:
        return 404, "not_found"
    return rule.allowed, None


def targets(path: str, credential: Credential) -> Iterator[str]:
    names = list(identifiers(path))
    if not names:
        yield ""
        return
    yield "other"
    if names == ["key_id"] and credential.key is not None:
        yield "own"


async def filled(path: str, target: str, credential: Credential, installation: Installation, job_id: str) -> str:
    """The path with an object of the home tenant, or the credential's own key, in it."""
    if "{key_id}" in path:
        own = credential.key if target == "own" else None
        # A key without scopes is within everybody's own: what else may be done to it is its feature's matter.
        key = own or await installation.add_key(HOME, scopes=[])
        return path.replace("{key_id}", key.id)
    return path.replace("{job_id}", job_id)


async def new_job(client: httpx2.AsyncClient, headers: dict[str, str]) -> str:
    answer = await client.post("/v1/jobs", headers=headers, json=RULES["POST", "/v1/jobs"].body)
    return str(answer.json()["job_id"])


@pytest.mark.parametrize("kind", KINDS)
async def test_every_route_answers_as_the_table_says(
    kind: str, installation: Installation, client: httpx2.AsyncClient
) -> None:
    """S1, ASVS 8.2.1, 8.2.2, 8.2.4, 8.4.1, 9.2.1, 9.2.2, 4.1.1, 16.2.2: and every answer has the one shape."""
    owner = dict((await installation.add_key(HOME, scopes=Scope)).headers)
    wrong = []
    for (method, path), rule in RULES.items():
        for target in targets(path, await KINDS[kind](installation)):
            # Fresh for each cell: what one route did to a key must not speak in the next one's answer.
            credential = await KINDS[kind](installation)
            job_id = await new_job(client, owner) if "{job_id}" in path else ""
            url = await filled(path, target, credential, installation, job_id)
            answer = await client.request(method, url, headers=credential.headers, json=rule.body)
            got = (answer.status_code, answer.json()["code"] if answer.status_code in {401, 403, 404} else None)
            status, code = expected(rule, credential, target)
            if got != (status, code if status in {401, 403, 404} and code else got[1]):
                wrong.append(f"{method} {path} ({target}): {got}, not {(status, code)}")
            checked = credential.checked and not rule.public
            no_credential = credential.refusal is not None and credential.refusal[1] == "missing_api_key"
            found = faults(answer, checked=checked, no_credential=no_credential)
            wrong += [f"{method} {path} ({target}): {fault}" for fault in found]
    assert not wrong


def methods_of(url: str) -> list[str]:
    """The methods of the routes that are this path; a path with parameters is it only where no other one is."""
    literal = {method for method, path in RULES if path == url}
    matching = {method for method, path in RULES if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", path), url)}
    found = literal or matching
    return sorted({*found, "HEAD"} if "GET" in found else found)


async def test_head_is_answered_wherever_get_is(installation: Installation, client: httpx2.AsyncClient) -> None:
    """RFC 9110, 9.3.2: the status and headers of the GET, without its body; to strangers and to who has a key."""
    key = await installation.add_key(HOME, scopes=Scope)
    wrong = []
    for method, path in RULES:
        if method != "GET":
            continue
        url = path.replace("{key_id}", key.id).replace("{job_id}", "job_0")
        for headers in ({}, dict(key.headers)):
            of_get, of_head = await client.get(url, headers=headers), await client.head(url, headers=headers)
            # The document of usage grows by what is asked here; tests/gate/test_granian.py compares the lengths.
            moving = {"x-request-id", "ratelimit", "x-ratelimit-remaining", "x-ratelimit-reset", "content-length"}
            left = [
                {name: text for name, text in each.headers.items() if name not in moving} for each in (of_get, of_head)
            ]
            if of_head.status_code != of_get.status_code or left[0] != left[1] or of_head.content:
                wrong.append(f"{path}: {of_get.status_code} {left[0]}, {of_head.status_code} {left[1]}")
            if list(of_head.headers) != list(of_get.headers):
                wrong.append(f"{path}: {list(of_head.headers)}")
    assert not wrong


async def test_no_other_method_does_anything(installation: Installation, client: httpx2.AsyncClient) -> None:
    """ASVS 4.1.4, 3.5.3: 405 with Allow, but to strangers 401: they learn of no path that is not public."""
    key = await installation.add_key(HOME, scopes=Scope)
    wrong = []
    for path in {path for _, path in RULES}:
        url = path.replace("{key_id}", key.id).replace("{job_id}", "job_0")
        allowed = methods_of(url)
        for method in METHODS:
            if method in allowed:
                continue
            public = any(rule.public for (_, each), rule in RULES.items() if each == path)
            stranger = await client.request(method, url)
            member = await client.request(method, url, headers=dict(key.headers))
            wrong += [f"{method} {path}: {fault}" for fault in faults(stranger, checked=False, no_credential=True)]
            wrong += [f"{method} {path}: {fault}" for fault in faults(member, checked=not public)]
            statuses = (stranger.status_code, member.status_code)
            if statuses != (405 if public else 401, 405) or member.headers.get("allow") != ", ".join(allowed):
                wrong.append(f"{method} {path}: {statuses}, Allow: {member.headers.get('allow')}")
    assert not wrong


async def test_unknown_paths_need_a_key_too(installation: Installation, client: httpx2.AsyncClient) -> None:
    """Default deny, ASVS 13.4.5: what is not a route is 401 to strangers and 404 to who has a key; /metrics is none."""
    key = await installation.add_key(HOME)
    for path in NO_ROUTES:
        stranger, member = await client.get(path), await client.get(path, headers=dict(key.headers))
        assert (stranger.status_code, member.status_code) == (401, 404), path
        assert not faults(stranger, checked=False, no_credential=True) + faults(member, checked=True)
