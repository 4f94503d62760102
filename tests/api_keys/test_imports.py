"""Foreign keys, and what only operators may do, on both databases."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import select
from tests.api_keys.people import People, Speaker
from tests.usage.world import World

from aitbc import keyformat
from aitbc.schemas.api_keys import CreateApiKey
from aitbc.schemas.scopes import Environment, Preset
from aitbc_server.actor import operator
from aitbc_server.api_keys.import_file import ImportedLine
from aitbc_server.api_keys.imports import FormerSecretError, KeyImports, RefusedImportError
from aitbc_server.api_keys.service import ApiKeyService
from aitbc_server.audit.model import AuditEventRow
from aitbc_server.errors import Code, DomainError

FOREIGN = "my old key, 2019 edition!"
WANTED = CreateApiKey(name="imported", environment=Environment.TEST, preset=Preset.CLIENT)
ACME = operator("import-keys", "acme")


async def test_a_foreign_key_works_and_shows_none_of_itself(
    imports: KeyImports, manager: Speaker, people: People
) -> None:
    """Design 4: found by its keyed digest, masked without any character of its own."""
    key = (await imports.import_key(ACME, FOREIGN, WANTED)).key
    assert key.masked == f"aitbc_test_{key.id.removeprefix('key_')}_…"
    assert key.created_by == "operator"
    assert await manager.works(FOREIGN) == 200
    assert await manager.works(FOREIGN + "x") == 401
    tester = Speaker(manager.client, people.test_manager)
    assert (await tester("GET", f"/v1/api-keys/{key.id}")).json()["masked"] == key.masked


async def test_importing_again_changes_nothing(imports: KeyImports, people: People, world: World) -> None:
    """The same key as it is by now, with one audit row; also from two importers at once."""
    assert people
    first, is_new = await imports.import_key(ACME, FOREIGN, WANTED)
    assert is_new
    other = CreateApiKey(name="other name", environment=Environment.TEST)
    again, is_new = await imports.import_key(ACME, FOREIGN, other)
    assert not is_new
    assert (again.id, again.name) == (first.id, "imported")
    async with world.database.read() as session:
        assert len(list(await session.scalars(select(AuditEventRow)))) == 1
    results = await asyncio.gather(
        *(imports.import_key(ACME, FOREIGN + "2", WANTED) for _ in range(4)), return_exceptions=True
    )
    assert len({one.key.id for one in results if not isinstance(one, BaseException)}) == 1
    assert all(
        isinstance(key, DomainError) and key.code is Code.CONFLICT for key in results if isinstance(key, BaseException)
    )


async def test_a_text_belongs_to_one_tenant_and_environment(imports: KeyImports, people: People) -> None:
    """What is a key already is not taken over by another import."""
    assert people
    await imports.import_key(ACME, FOREIGN, WANTED)
    live = CreateApiKey(name="live", environment=Environment.LIVE)
    for who, wanted in ((operator("import-keys", "globex"), WANTED), (ACME, live)):
        with pytest.raises(DomainError) as raised:
            await imports.import_key(who, FOREIGN, wanted)
        assert raised.value.code is Code.CONFLICT


@pytest.mark.parametrize(
    "text",
    [
        "x" * 15,
        "x" * 513,
        "schlüssel-mit-umlaut",
        "tab\tin-the-middle-of-it",
        " leading-space-here",
        "trailing-space-here ",
    ],
)
async def test_what_no_header_can_carry_is_refused(imports: KeyImports, people: People, text: str) -> None:
    """16 to 512 printable ASCII characters, none of them a space at either end."""
    assert people
    with pytest.raises(DomainError) as raised:
        await imports.import_key(ACME, text, WANTED)
    assert [error.field for error in raised.value.errors] == ["key"]


async def test_our_own_format_is_refused_unless_asked_for(
    imports: KeyImports, manager: Speaker, people: People
) -> None:
    """`import-keys` takes none of ours; a folder that is made anew may take back the keys of the one before."""
    assert people
    ours = keyformat.build(*keyformat.generate("test"))
    with pytest.raises(DomainError, match="as our own keys do"):
        await imports.import_key(ACME, ours, WANTED)
    kept = (await imports.import_key(ACME, ours, WANTED, ours_too=True, made_by_dev=True)).key
    assert kept.masked == keyformat.mask("test", ours[11:23], ours[-4:])
    assert (await imports.import_key(ACME, ours, WANTED, ours_too=True)).key.id == kept.id
    assert await manager.works(ours) == 200
    for text, words in ((ours[:-1] + "0", "checksum"), (keyformat.build(*keyformat.generate("live")), "live key")):
        with pytest.raises(DomainError, match=words):
            await imports.import_key(ACME, text if text != ours else ours[:-1] + "1", WANTED, ours_too=True)
    impostor = keyformat.build("test", ours[11:23], keyformat.random_base62(43))
    with pytest.raises(DomainError, match="a former secret of"):
        await imports.import_key(ACME, impostor, WANTED, ours_too=True)


async def test_a_foreign_key_becomes_ours_when_regenerated(
    imports: KeyImports, manager: Speaker, people: People
) -> None:
    """The same id, a secret of our format; the foreign text goes on for the grace period."""
    key = (await imports.import_key(ACME, FOREIGN, WANTED)).key
    tester = Speaker(manager.client, people.test_manager)
    new = (await tester("POST", f"/v1/api-keys/{key.id}/regenerate", {"grace_period_seconds": 60})).json()
    assert new["masked"].endswith(new["key"][-4:])
    assert keyformat.parse(new["key"]) is not None
    jobs = [
        (await manager.client.get("/v1/jobs", headers={"X-API-Key": text})).status_code
        for text in (FOREIGN, new["key"])
    ]
    assert jobs == [200, 200]
    await tester("POST", f"/v1/api-keys/{key.id}/regenerate", {})
    assert await manager.works(FOREIGN) == 401


async def test_a_former_secret_is_called_one(imports: KeyImports, manager: Speaker, people: People) -> None:
    """After a regeneration, and after the grace period: not a key of somebody else, and not one that works."""
    ours = keyformat.build(*keyformat.generate("test"))
    tester = Speaker(manager.client, people.test_manager)
    key = (await imports.import_key(ACME, ours, WANTED, ours_too=True)).key
    await tester("POST", f"/v1/api-keys/{key.id}/regenerate", {"grace_period_seconds": 60})
    assert (await imports.import_key(ACME, ours, WANTED, ours_too=True)).key.id == key.id
    await tester("POST", f"/v1/api-keys/{key.id}/regenerate", {})
    with pytest.raises(FormerSecretError, match=f"a former secret of {key.id}, which was regenerated"):
        await imports.import_key(ACME, ours, WANTED, ours_too=True)


async def test_many_are_imported_together_or_not_at_all(imports: KeyImports, manager: Speaker, people: People) -> None:
    """One unit of work: what is wrong is told by line, also what only the database knows, and nothing came in."""
    assert people
    await imports.import_key(operator("import-keys", "globex"), FOREIGN, WANTED)
    lines = [
        ImportedLine(1, FOREIGN + "1", "acme", WANTED),
        ImportedLine(2, "short", "acme", WANTED),
        ImportedLine(3, keyformat.build(*keyformat.generate("test")), "acme", WANTED),
        ImportedLine(4, FOREIGN + "4", "sk-key-in-the-wrong-place", WANTED),
        ImportedLine(5, FOREIGN, "acme", WANTED),
    ]
    with pytest.raises(RefusedImportError) as raised:
        await imports.import_keys(ACME, lines, {6: "this is no JSON object"})
    assert raised.value.problems == {
        2: "key: must have 16 to 512 characters",
        3: "key: begins with aitbc_, as our own keys do; only keys made elsewhere are imported",
        4: "tenant: there is no such tenant",
        5: "this key is already a key of another tenant or environment",
        6: "this is no JSON object",
    }
    assert await manager.works(FOREIGN + "1") == 401
    for is_new in (True, False):
        (imported,) = await imports.import_keys(ACME, lines[:1], {})
        assert (imported.is_new, imported.key.tenant_id) == (is_new, "acme")
    assert await manager.works(FOREIGN + "1") == 200


async def test_an_operator_grants_further_tenants(
    service: ApiKeyService, world: World, manager: Speaker, people: People
) -> None:
    """Design 5: the key acts for them when the header names them, and each reads of it in its own audit log."""
    assert people
    made = await service.create(
        operator("create-key", "acme"), CreateApiKey(name="both"), tenant_ids=["globex", "acme"]
    )
    assert (made.tenant_id, made.tenant_ids) == ("acme", ["globex"])
    for tenant_id, status in (("acme", 200), ("globex", 200), ("initech", 403)):
        headers = {"X-API-Key": str(made.key), "X-Tenant-ID": tenant_id}
        assert (await manager.client.get("/v1/jobs", headers=headers)).status_code == status
    async with world.database.read() as session:
        rows = {(row.tenant_id, row.action) for row in await session.scalars(select(AuditEventRow))}
    assert rows == {("acme", "api_key.created"), ("globex", "api_key.granted")}


async def test_an_operator_makes_a_gateway_for_everybody(
    service: ApiKeyService, manager: Speaker, people: People
) -> None:
    """Design 8: that key, and no other, checks keys of every tenant."""
    made = await service.create(
        operator("create-key", "acme"), CreateApiKey(name="gateway", preset=Preset.GATEWAY), verifies_all=True
    )
    answer = await manager.client.post(
        "/v1/api-keys/verify", json={"key": people.stranger.text}, headers={"X-API-Key": str(made.key)}
    )
    assert (answer.status_code, answer.json()["code"]) == (200, "VALID")


async def test_a_tenant_that_does_not_exist_is_named(service: ApiKeyService, people: People) -> None:
    """For the key's own tenant and for a granted one."""
    assert people
    for who, more in ((operator("create-key", "nobody"), []), (operator("create-key", "acme"), ["nobody"])):
        with pytest.raises(DomainError, match="There is no tenant nobody"):
            await service.create(who, CreateApiKey(name="a"), tenant_ids=more)
