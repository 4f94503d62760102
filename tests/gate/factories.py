"""Records, clocks and the gate's surroundings for tests: fakes with memory, no mocks of call lists."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_network
from typing import Any

from aitbc.schemas.scopes import PRESET_SCOPES, Preset
from aitbc_server.gate.cache import CredentialCache
from aitbc_server.gate.counter import UsageCounter
from aitbc_server.gate.credential import Credential
from aitbc_server.gate.decision import Facts
from aitbc_server.gate.gate import Decision, Gate
from aitbc_server.gate.guesses import GuessLimiter
from aitbc_server.gate.limiter import Verdict
from aitbc_server.gate.loads import SourceUnavailableError
from aitbc_server.gate.operations import Operation
from aitbc_server.gate.records import KeyRecord, TenantRecord, limit_set, tenant_record
from aitbc_server.gate.store import Store, StoreUnavailableError, Taken
from aitbc_server.gate.store_memory import MemoryStore

START_US = 1_790_000_000_000_000
SECOND_US = 1_000_000
ANY = Operation("things.any")

DOCUMENT = (
    b'{"id":"key_%b","name":"%b","masked":"aitbc_live_%b_\xe2\x80\xa6abcd","environment":"%b","preset":null,'
    b'"scopes":["jobs:read"],"tenant_id":"%b","tenant_ids":[],"status":"active",'
    b'"created_at":"2026-11-24T00:00:00.000Z","created_by":null,"expires_at":null,"allowed_ips":[],'
    b'"limit_per_minute":null,"metadata":{},"secret_created_at":"2026-11-24T00:00:00.000Z"'
)


class FakeClock:
    """A clock that tests turn, in microseconds."""

    def __init__(self, now_us: int = START_US) -> None:
        self.now_us = now_us

    def __call__(self) -> int:
        """See ``Clock``."""
        return self.now_us

    def step(self, seconds: float) -> None:
        """Go on (or back) by so many seconds."""
        self.now_us += round(seconds * SECOND_US)


class FakeSource:
    """Knows credentials by their text; may be away. ``asked`` is every text that it was asked for.

    Texts that begin with "malformed" cannot be keys.
    """

    def __init__(self) -> None:
        self.credentials: dict[bytes, Credential] = {}
        self.asked: list[bytes] = []
        self.is_away = False

    def may_exist(self, text: bytes) -> bool:
        """See ``CredentialSource``."""
        return not text.startswith(b"malformed")

    async def load(self, text: bytes) -> Credential | None:
        """See ``CredentialSource``."""
        self.asked.append(text)
        if self.is_away:
            raise SourceUnavailableError("away")
        return self.credentials.get(text)

    async def load_all(self, texts: Sequence[bytes]) -> list[Credential | None]:
        """See ``ManySource``."""
        return [await self.load(text) for text in texts]


class FakeUses:
    """Remembers last uses, and says of every key that it was never used."""

    def __init__(self) -> None:
        self.uses: list[tuple[str, str | None]] = []
        self.refused: list[str] = []

    def used(self, credential: Credential, now_us: int, client_ip: str | None) -> None:
        """See ``UseRecorder``."""
        self.uses.append((credential.record.kid, client_ip))

    def previous_refused(self, credential: Credential, now_us: int) -> None:
        """See ``UseRecorder``."""
        self.refused.append(credential.record.kid)

    def document_tail(self, credential: Credential) -> bytes:
        """See ``LastUse``."""
        return b',"last_used_at":null,"last_used_ip":null,"previous_secret":null}'


class RemoteStore:
    """A store that is not in this process's memory: the memory store behind a wait. May be away."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self.is_away = False

    async def take(self, *args: Any) -> Taken:
        """See ``Store.take``."""
        if self.is_away:
            raise StoreUnavailableError("away")
        return await self._store.take(*args)

    async def look(self, *args: Any) -> tuple[Verdict, ...]:
        """See ``Store.look``."""
        if self.is_away:
            raise StoreUnavailableError("away")
        return await self._store.look(*args)


class GateParts:
    """A gate and everything around it."""

    def __init__(self, store: Store | None = None, max_failures: int = 30) -> None:
        self.clock = FakeClock()
        self.source = FakeSource()
        self.uses = FakeUses()
        self.counter = UsageCounter()
        self.cache = CredentialCache()
        self.memory = MemoryStore(self.clock, self.counter)
        self.gate = self.make_gate(
            store=self.memory if store is None else store,
            source=self.source,
            cache=self.cache,
            guesses=GuessLimiter(max_failures),
            recorder=self.uses,
            clock=self.clock,
        )

    def make_gate(self, **parts: Any) -> Gate:
        """The gate of these parts."""
        return Gate(**parts)

    def add(self, text: bytes, credential: Credential) -> bytes:
        """Let the source know a credential; returns its text."""
        self.source.credentials[text] = credential
        return text

    def counts(self) -> dict[tuple[str, str, str], int]:
        """Decisions so far by (kid, operation, outcome)."""
        found: dict[tuple[str, str, str], int] = {}
        for count in self.counter.totals():
            usage_id, operation, outcome = count.key
            place = (usage_id[2], operation, outcome)
            found[place] = found.get(place, 0) + count.decisions
        return found


def tenant(tenant_id: str = "alice", limit: int = 60, plan: str = "free", *, suspended: bool = False) -> TenantRecord:
    """A tenant."""
    return tenant_record(tenant_id, f"{tenant_id}'s own", plan, limit, suspended=suspended)


def key(
    of: TenantRecord | None = None,
    kid: str = "kid000000001",
    *,
    environment: str = "live",
    granted: Iterable[TenantRecord] = (),
    scopes: Iterable[str] = PRESET_SCOPES[Preset.CLIENT],
    networks: Iterable[str] = (),
    limit: int | None = None,
    name: str = "a key",
    **fields: Any,
) -> KeyRecord:
    """A key that may do everything that ``scopes`` say."""
    home = of or tenant()
    values: dict[str, Any] = {
        "kid": kid,
        "environment": environment,
        "tenant": home,
        "granted": {each.id: each for each in granted},
        "scopes": frozenset(scopes),
        "revoked": False,
        "enabled": True,
        "expires_at_us": None,
        "networks": tuple(ip_network(network) for network in networks),
        "limit_per_minute": limit,
        "verifies_all": False,
        "limit_set": limit_set(home, kid, limit),
        "document": DOCUMENT % (kid.encode(), name.encode(), kid.encode(), environment.encode(), home.id.encode()),
        "metadata": b"{}",
    }
    return KeyRecord(**values | fields)


def facts(
    operation: Operation = ANY, *, key_id: str | None = None, tenant_id: str | None = None, ip: str | None = "192.0.2.1"
) -> Facts:
    """What a request says of itself."""
    return Facts(operation, key_id, tenant_id, ip)


async def decided_early(gate: Gate, text: bytes, asked: Facts, cost: int) -> Decision:
    """A decision as the middleware comes by it where a request may be answered early."""
    told: asyncio.Future[Decision | None] = asyncio.get_running_loop().create_future()

    def decided(decision: Decision | Exception | None) -> None:
        if told.done():
            return
        if isinstance(decision, Exception):
            told.set_exception(decision)
        else:
            told.set_result(decision)

    gate.check_early(text, asked, cost, decided)
    return await told or await gate.check(text, asked, cost)


class Answered:
    """An answer as an ASGI server got it."""

    def __init__(self, messages: list[Mapping[str, Any]]) -> None:
        starts = [message for message in messages if message["type"] == "http.response.start"]
        assert len(starts) == 1, messages
        self.status: int = starts[0]["status"]
        self.pairs: list[tuple[bytes, bytes]] = list(starts[0]["headers"])
        self.headers = {name.decode(): value.decode() for name, value in self.pairs}
        self.body: bytes = b"".join(message.get("body", b"") for message in messages)

    @property
    def json(self) -> Any:
        """The body, parsed."""
        import json

        return json.loads(self.body)


async def call(
    app: Any,
    method: str = "GET",
    path: str = "/",
    headers: Iterable[tuple[str, str]] = (),
    *,
    body: bytes | Iterable[bytes] = b"",
    peer: str | None = "192.0.2.1",
) -> Answered:
    """One request, as an ASGI server hands it over; names of headers in lower case."""
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
    return await call_raw(app, method, path, raw, body=body, peer=peer)


async def call_raw(
    app: Any,
    method: str,
    path: str,
    headers: list[tuple[bytes, bytes]],
    *,
    body: bytes | Iterable[bytes] = b"",
    peer: str | None = "192.0.2.1",
) -> Answered:
    """``call`` with headers in bytes."""
    chunks = [body] if isinstance(body, bytes) else list(body)
    incoming = [
        {"type": "http.request", "body": chunk, "more_body": number + 1 < len(chunks)}
        for number, chunk in enumerate(chunks)
    ]
    messages: list[Mapping[str, Any]] = []

    async def receive() -> Mapping[str, Any]:
        return incoming.pop(0) if incoming else {"type": "http.disconnect"}

    async def send(message: Mapping[str, Any]) -> None:
        messages.append(message)

    path, _, query = path.partition("?")
    scope = {"type": "http", "method": method, "path": path, "headers": headers, "query_string": query.encode()}
    await app({**scope, "client": None if peer is None else (peer, 50000)}, receive, send)
    return Answered(messages)
