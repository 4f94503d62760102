"""What tests do inside of the servers that they start: watch decisions, shorten windows, die at a chosen point.

Each function is called in a server's process before its command: ``start_fleet(4, record_decisions)``.
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tests.support.warm import PLUGINS

from aitbc_server import fleet
from aitbc_server.gate import limiter, store_valkey
from aitbc_server.gate.shared_store import Question, Stale
from aitbc_server.gate.store import Taken
from aitbc_server.gate.store_memory import MemoryStore

#: What ``short_windows`` makes of 60 s.
SHORT_WINDOW_US = 2_000_000

#: How long ``patient`` nodes wait for the store; ``stalls`` holds them up for longer.
PATIENCE_S = 1.0

DECISIONS = "decisions.log"
DIE_AFTER_COMMIT = "die-after-commit"
DIE_AFTER_FENCE = "die-after-fence"
#: Holds the process id of the store.
STORE_DIES_AFTER_COMMIT = "store-dies-after-commit"


def named(*plugins: Callable[[], None]) -> dict[str, str]:
    """The variable that makes a server call these."""
    return {PLUGINS: ",".join(f"{each.__module__}:{each.__name__}" for each in plugins)}


def data_dir() -> Path:
    """The folder of the server that this process is about to be."""
    folder = Path(os.environ["AITBC_DATA_DIR"])
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def wrap(owner: Any, name: str, wrapper: Callable[[Any], Any]) -> None:
    """Put another thing, made from what is there, in its place."""
    setattr(owner, name, wrapper(getattr(owner, name)))


class _Recorder:
    """Writes decisions down. The script says its time once for all of a batch, which is read right afterwards."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)
        self._at_us: dict[int, int] = {}
        self._now_us = 0

    def learning(self, learn_time: Any) -> Any:
        def learned(store: Any, store_us: int) -> None:
            self._now_us = store_us
            learn_time(store, store_us)

        return learned

    def reading(self, read: Any) -> Any:
        def was_read(*arguments: Any) -> Any:
            answer = read(*arguments)
            taken = answer if isinstance(answer, Taken | Stale) else answer[0]
            self._at_us[id(taken)] = self._now_us
            return answer

        return was_read

    def asking(self, ask: Any) -> Any:
        def asked(store: Any, tell: Any, question: Question, **named: Any) -> Any:
            def told(answer: Any) -> None:
                at_us = self._at_us.pop(id(answer), 0)
                # Below 0 nothing is decided.
                if isinstance(answer, Taken) and question.limit_set.limits and question.cost >= 0:
                    self._write("shared", question.tenant_id, at_us, answer, question.cost)
                tell(answer)

            return ask(store, told, question, **named)

        return asked

    def taking_alone(self, take: Any) -> Any:
        def noted(store: Any, clock_us: int, tenant_id: str, limits: Any, cost: int) -> Any:
            taken = take(store, clock_us, tenant_id, limits, cost)
            self._write("alone", tenant_id, clock_us, taken, cost)
            return taken

        return noted

    def _write(self, how: str, tenant_id: str, at_us: int, taken: Taken, cost: int) -> None:
        left = min((level.remaining for level in taken.levels), default=0)
        self._file.write(f"{how} {tenant_id} {at_us} {taken.allowed:d} {taken.retry_after_us} {cost} {left}\n".encode())


def record_decisions() -> None:
    """Write every decision on limits to a file, with the time of the clock that decided: the store's, or this node's.

    A line for each: ``shared`` or ``alone``, tenant, time in us, 1 (allowed) or 0, microseconds until a retry, cost,
    what is left.
    """
    recorder = _Recorder(data_dir() / DECISIONS)
    wrap(store_valkey.ValkeyStore, "_learn_time", recorder.learning)
    wrap(store_valkey, "read", recorder.reading)
    wrap(store_valkey.ValkeyStore, "ask", recorder.asking)
    wrap(MemoryStore, "take_uncounted", recorder.taking_alone)


#: The length of the window, where a script says it, for ``change_scripts``.
WINDOW_US = r"(WINDOW_US\b[^=\n]*= )60000000"


def change_scripts(pattern: str, new: str) -> None:
    """Another text where one of the scripts is as the pattern says. Raises AssertionError where none is."""
    found = []

    def reading(read: Any) -> Any:
        def changed(name: str) -> str:
            text, times = re.subn(pattern, new, read(name))
            found.append(times)
            return text

        return changed

    wrap(store_valkey, "lua", reading)
    for name in ("take.lua", "state.lua"):
        vars(store_valkey)["lua"](name)
    assert any(found), f"no script says {pattern}"


def short_windows() -> None:
    """Windows of 2 s in place of 60 s, in the scripts and in memory: several of them pass in a quick test."""
    limiter.WINDOW_US = SHORT_WINDOW_US
    change_scripts(WINDOW_US, rf"\g<1>{SHORT_WINDOW_US}")


def patient() -> None:
    """Wait for the store up to 1 s in place of 0.25 s: on a machine that is busy with other tests, it may be slow."""

    def beginning(begin: Any) -> Any:
        def begun(*arguments: Any, **named: Any) -> None:
            begin(*arguments, **named | {"timeout_s": PATIENCE_S})

        return begun

    wrap(store_valkey.ValkeyStore, "__init__", beginning)


def die_after_commit() -> None:
    """SIGKILL between a commit and its fence, once there is a file of that name in the data folder."""
    wanted = data_dir() / DIE_AFTER_COMMIT

    def announcing(announce: Any) -> Any:
        async def dying(self: Any, tenant_ids: Iterable[str]) -> Any:
            if wanted.exists():
                os.kill(os.getpid(), signal.SIGKILL)
            return await announce(self, tenant_ids)

        return dying

    wrap(fleet.SharedStore, "raise_fences", announcing)


def die_after_fence() -> None:
    """SIGKILL between a fence that is set and the answer, once there is a file of that name in the data folder."""
    wanted = data_dir() / DIE_AFTER_FENCE

    def announcing(announce: Any) -> Any:
        async def dying(self: Any, tenant_ids: Iterable[str]) -> Any:
            announced = await announce(self, tenant_ids)
            if wanted.exists():
                os.kill(os.getpid(), signal.SIGKILL)
            return announced

        return dying

    wrap(fleet.SharedStore, "raise_fences", announcing)


def store_dies_after_commit() -> None:
    """SIGKILL to the store between a commit and its fence, once there is a file of that name in the data folder."""
    wanted = data_dir() / STORE_DIES_AFTER_COMMIT

    def announcing(announce: Any) -> Any:
        async def killing(self: Any, tenant_ids: Iterable[str]) -> Any:
            if wanted.exists():
                os.kill(int(wanted.read_text()), signal.SIGKILL)
                wanted.unlink()
            return await announce(self, tenant_ids)

        return killing

    wrap(fleet.SharedStore, "raise_fences", announcing)


def stalls() -> None:
    """Now and then the process is held up for longer than it waits for the store, with calls on their way."""
    sent = 0

    def sending(send: Any) -> Any:
        def slow(*arguments: Any, **named: Any) -> None:
            nonlocal sent
            send(*arguments, **named)
            sent += 1
            if sent % 150 == 0:
                time.sleep(PATIENCE_S + 0.1)

        return slow

    wrap(store_valkey.ValkeyStore, "send", sending)
