"""Fixtures for the accounts of people."""

from __future__ import annotations

import pytest
from tests.users.people import People
from tests.users.world import World

from aitbc_server.db.engine import Database


@pytest.fixture
def people(database: Database) -> People:
    """A database without people in it."""
    return People(database)


@pytest.fixture
def world(database: Database) -> World:
    """The services of accounts over a database without people in it."""
    return World(database)
