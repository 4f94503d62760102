"""Loads of the same credential share a query, and nobody is served with what was read before they came."""

from __future__ import annotations

import asyncio
import random

import pytest
from tests.gate.factories import key, tenant

from aitbc_server.gate.cache import CredentialCache
from aitbc_server.gate.credential import Credential
from aitbc_server.gate.loads import Loads, SourceUnavailableError

TEXT = b"a secret"


class SlowDatabase:
    """Reads when it is told to, and answers when it is told to."""

    def __init__(self) -> None:
        self.version = 0
        self.is_away = False
        self.began: list[asyncio.Event] = []
        self._reads: list[asyncio.Event] = []
        self._answers: list[asyncio.Event] = []

    def may_exist(self, text: bytes) -> bool:
        """See ``CredentialSource``."""
        return True

    async def load(self, text: bytes) -> Credential | None:
        """See ``CredentialSource``."""
        read, answer = asyncio.Event(), asyncio.Event()
        self._reads.append(read)
        self._answers.append(answer)
        await read.wait()
        record = key(tenant("alice"), name=str(self.version))
        await answer.wait()
        if self.is_away:
            raise SourceUnavailableError("away")
        return Credential(record) if text == TEXT else None

    @property
    def queries(self) -> int:
        """How many were begun."""
        return len(self._reads)

    def go_on(self, number: int) -> None:
        """A query makes its next step: it reads, or it answers what it read."""
        (self._answers if self._reads[number].is_set() else self._reads)[number].set()

    def finish(self) -> None:
        """All queries read and answer."""
        for event in [*self._reads, *self._answers]:
            event.set()


class Scene:
    """Loads of one credential."""

    def __init__(self) -> None:
        self.database = SlowDatabase()
        self.cache = CredentialCache()
        self.loads = Loads(self.database, self.cache)

    def request(self, text: bytes = TEXT) -> asyncio.Task[Credential | None]:
        """Somebody asks."""
        return asyncio.create_task(self.loads.load(text, self.cache.digest(text)))

    def change(self) -> int:
        """A change is committed, and the caches forget; returns the version that everybody has to see from now on."""
        self.database.version += 1
        self.cache.drop(["alice"])
        return self.database.version


async def settle() -> None:
    for _ in range(6):
        await asyncio.sleep(0)


async def test_concurrent_requests_share_one_query() -> None:
    """A hundred requests with the same new key cost the database one query."""
    scene = Scene()
    requests = [scene.request() for _ in range(100)]
    await settle()
    scene.database.finish()
    found = await asyncio.gather(*requests)
    assert scene.database.queries == 1
    assert all(each is found[0] for each in found)
    assert scene.cache.get(scene.cache.digest(TEXT)) is found[0]


async def test_different_credentials_do_not_share() -> None:
    """Another text is another question."""
    scene = Scene()
    requests = [scene.request(), scene.request(b"wrong")]
    await settle()
    scene.database.finish()
    right, wrong = await asyncio.gather(*requests)
    assert right is not None
    assert wrong is None
    assert scene.database.queries == 2


async def test_who_comes_after_a_drop_does_not_join_an_earlier_load() -> None:
    """It would get what was true before the change. ASVS 8.3.2."""
    scene = Scene()
    early = scene.request()
    await settle()
    scene.database.go_on(0)
    await settle()
    version = scene.change()
    late = scene.request()
    await settle()
    scene.database.finish()
    found_early, found_late = await asyncio.gather(early, late)
    assert scene.database.queries == 2
    assert found_early is not None
    assert found_late is not None
    assert (found_early.record.name, found_late.record.name) == ("0", str(version))
    assert scene.cache.get(scene.cache.digest(TEXT)) is found_late


async def test_an_error_reaches_everybody_who_waits_and_is_not_kept() -> None:
    """The next request asks again."""
    scene = Scene()
    scene.database.is_away = True
    requests = [scene.request(), scene.request()]
    await settle()
    scene.database.finish()
    for request in requests:
        with pytest.raises(SourceUnavailableError):
            await request
    scene.database.is_away = False
    again = scene.request()
    await settle()
    scene.database.finish()
    assert await again is not None


async def test_who_gives_up_does_not_take_the_query_away() -> None:
    """A client that hangs up must not fail the others that wait for the same key."""
    scene = Scene()
    first, second = scene.request(), scene.request()
    await settle()
    first.cancel()
    await settle()
    scene.database.finish()
    assert await second is not None
    assert first.cancelled()


async def test_an_error_that_nobody_waits_for_is_no_warning() -> None:
    """Everybody hung up, then the database failed: nothing is left to complain at shutdown."""
    scene = Scene()
    scene.database.is_away = True
    request = scene.request()
    await settle()
    request.cancel()
    await settle()
    scene.database.finish()
    await settle()
    assert scene.loads._running == {}


async def test_a_stopped_loop_leaves_nothing_running() -> None:
    """A load that is cancelled itself is over too."""
    scene = Scene()
    request = scene.request()
    await settle()
    _, load = scene.loads._running[scene.cache.digest(TEXT)]
    load.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    assert scene.loads._running == {}
    assert scene.cache._loads == 0


@pytest.mark.parametrize("seed", range(300))
async def test_any_order_of_requests_queries_and_changes_is_safe(seed: int) -> None:
    """Whoever asks after a change was answered sees it, whatever loads were under way."""
    random_, scene = random.Random(seed), Scene()
    announced, asked = 0, []
    for _ in range(30):
        die = random_.random()
        if die < 0.4:
            asked.append((announced, scene.request()))
        elif die < 0.8 and scene.database.queries:
            scene.database.go_on(random_.randrange(scene.database.queries))
        else:
            announced = scene.change()
        if random_.random() < 0.8:
            await settle()
        cached = scene.cache.get(scene.cache.digest(TEXT))
        assert cached is None or int(cached.record.name) >= announced
    while not all(task.done() for _, task in asked):
        scene.database.finish()
        await settle()
    for at_least, task in asked:
        found = await task
        assert found is not None
        assert int(found.record.name) >= at_least
