"""Limit windows over a graceful restart: written at the stop, read and removed at the start."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from aitbc_server.clock import Clock
from aitbc_server.gate.limiter import WINDOW_US
from aitbc_server.gate.store_memory import MemoryStore, SavedWindow

logger = logging.getLogger(__name__)

_decoder = msgspec.msgpack.Decoder(list[SavedWindow])


@asynccontextmanager
async def kept_windows(store: MemoryStore, path: Path, clock: Clock) -> AsyncIterator[None]:
    """Give ``store`` the windows of the run before, and keep its own for the next one."""
    store.restore(_read(path, clock()))
    yield
    try:
        _write(path, store.save())
    except OSError as error:
        logger.error("the limit windows could not be kept for the next start: %s", error)


def _read(path: Path, now_us: int) -> list[SavedWindow]:
    """The windows that still hold something; the file is gone afterwards, so that none is used twice."""
    try:
        data = path.read_bytes()
        path.unlink()
    except FileNotFoundError:
        return []
    try:
        saved = _decoder.decode(data)
    except msgspec.DecodeError as error:
        logger.warning("%s is damaged and ignored: limit windows start empty (%s)", path, error)
        return []
    return [window for window in saved if window.last_us > now_us - WINDOW_US]


def _write(path: Path, windows: list[SavedWindow]) -> None:
    fresh = path.with_suffix(".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.msgpack.encode(windows))
    fresh.replace(path)
