"""The address of a PostgreSQL database as people have it from their provider, and what they read where it is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from tests.e2e.processes import admin, start
from tests.support.postgres import PostgresServer

from aitbc_server.db.addresses import ensure_taken, for_driver, shown
from aitbc_server.db.engine import Database, Tuning
from aitbc_server.serving import checks
from aitbc_server.serving.errors import StartError
from aitbc_server.setting_faults import NotTakenError
from aitbc_server.settings import Settings

SECRET_KEY = "one-secret-key-for-every-node-of-this-fleet"


def database_at(url: str, **tuning: Any) -> Database:
    """As a server opens it."""
    return Database(Settings(database_url=url).sqlalchemy_url, Tuning(**tuning))


def with_parameters(url: str, **parameters: str) -> str:
    """The address with more behind it, as a person adds it."""
    url = url.replace("+asyncpg", "")
    return url + ("&" if urlsplit(url).query else "?") + "&".join(f"{name}={text}" for name, text in parameters.items())


def taken(url: str) -> str:
    """Why a setting is refused; empty: it is not."""
    try:
        ensure_taken(make_url(url))
    except NotTakenError as error:
        return str(error)
    return ""


async def test_the_name_of_the_application_reaches_postgresql(postgres_url: str) -> None:
    """Beside the limits of time that the server itself asks for, which stay."""
    url = with_parameters(postgres_url, application_name="aitbc-node-1", connect_timeout="7")
    database = database_at(url, statement_timeout_s=9.0)
    async with database.read() as session:
        assert await session.scalar(text("SHOW application_name")) == "aitbc-node-1"
        assert await session.scalar(text("SHOW statement_timeout")) == "9s"
    await database.close()


@pytest.mark.parametrize(
    ("query", "left", "arguments"),
    [
        ("", "", {}),
        ("host=/run/pg", "host=/run/pg", {}),
        ("application_name=x", "", {"server_settings": {"application_name": "x"}}),
        ("connect_timeout=3", "", {"timeout": 3}),
        ("sslmode=require", "", {"dsn": "postgresql://?sslmode=require"}),
        ("ssl=require", "", {"dsn": "postgresql://?sslmode=require"}),
        (
            "sslmode=verify-full&sslrootcert=/etc/ca.pem",
            "",
            {"dsn": "postgresql://?sslmode=verify-full&sslrootcert=%2Fetc%2Fca.pem"},
        ),
    ],
)
def test_what_the_driver_gets(query: str, left: str, arguments: Mapping[str, Any]) -> None:
    """Each parameter in the driver's own form, and what SQLAlchemy knows itself stays where it is."""
    url, found = for_driver(make_url(f"postgresql+asyncpg://u@h/db?{query}"))
    assert found == arguments
    assert url.render_as_string().partition("?")[2].replace("%2F", "/") == left


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("channel_binding=require", "it has the parameter channel_binding behind the address, and what is known"),
        ("p%40ss=x", "it has a parameter behind the address"),
        ("sslmode=hunter2", "its parameter sslmode is none of disable, allow, prefer, require, verify-ca, verify-full"),
        ("target_session_attrs=hunter2", "its parameter target_session_attrs is none of any, primary"),
        ("port=hunter2", "its parameter port is no whole number"),
        ("connect_timeout=hunter2", "its parameter connect_timeout is no whole number"),
        ("sslrootcert=/hunter2", "its parameter sslrootcert names no file that can be read"),
        ("connect_timeout=0", "its parameter connect_timeout is no number of seconds from 1 to 3600"),
        ("application_name=hunter2&application_name=b", "it has the parameter application_name twice"),
    ],
)
def test_what_is_not_known_is_named_without_its_value(query: str, why: str) -> None:
    """The value may be a secret. ASVS 16.2.5."""
    said = taken(f"postgresql://u@h/db?{query}")
    assert said.startswith(why)
    assert "hunter2" not in said
    assert "p@ss" not in said


def test_what_providers_hand_out_is_taken() -> None:
    """Several hosts, files of certificates, and what only tells of itself."""
    tls = f"sslmode=verify-full&sslrootcert={__file__}"
    for query in ("host=a:1&host=b:2", tls, "user=u&password=p", "connect_timeout=10"):
        assert not taken(f"postgresql://u@h/db?{query}")


@pytest.mark.parametrize("command", ["serve", "doctor", "migrate"])
def test_every_command_names_the_parameter(tmp_path: Path, command: str) -> None:
    """One line and exit code 2, and never a traceback."""
    variables = {"AITBC_DATABASE_URL": "postgresql://u:hunter2@h/db?channel_binding=require"}
    if command == "serve":
        server = start("serve", data_dir=tmp_path / "data", variables=variables)
        code, said = server.process.wait(60), server.text()
    else:
        ran = admin(tmp_path / "data", command, variables=variables)
        code, said = ran.returncode, ran.stderr
    assert code == 2
    assert said.startswith("error: AITBC_DATABASE_URL: expected an address such as ")
    assert "channel_binding" in said
    assert "hunter2" not in said
    assert "Traceback" not in said


async def refusal(url: str) -> StartError:
    """What whoever starts on this address reads."""
    database = database_at(url)
    with pytest.raises(StartError) as refused:
        await checks.ensure_schema(database, may_migrate=False)
    await database.close()
    return refused.value


async def test_the_address_is_shown_as_it_was_written_without_its_password(postgres: PostgresServer) -> None:
    """With what to do about a database, a role and a host that are not there."""
    url = postgres.get_uri("nowhere")
    refused = await refusal(with_parameters(url, application_name="x", sslpassword="hunter2"))
    assert str(refused).startswith("the database postgresql://postgres:")
    assert "application_name=x" in str(refused)
    assert "hunter2" not in str(refused)
    assert 'database "nowhere" does not exist' in str(refused)
    assert "createdb" in (refused.hint or "")
    refused = await refusal(url.replace("postgres:@", "nobody@").replace("/nowhere", "/postgres"))
    assert 'role "nobody" does not exist' in str(refused)
    assert "createuser" in (refused.hint or "")
    refused = await refusal("postgresql://u:hunter2@127.0.0.1:1/db?sslmode=prefer")
    assert str(refused).startswith("the database postgresql://u:***@127.0.0.1:1/db?sslmode=prefer cannot be used: ")
    assert "start PostgreSQL there" in (refused.hint or "")
    refused = await refusal("postgresql://u@host.invalid/db")
    assert "no machine is known" in (refused.hint or "")


def test_passwords_are_not_shown_wherever_they_stand() -> None:
    """Before the host or behind the address."""
    url = make_url("postgresql+asyncpg://u:secret1@/db?host=/run/pg&password=secret2&sslpassword=secret3")
    assert shown(url) == "postgresql://u:***@/db?host=/run/pg&password=***&sslpassword=***"
