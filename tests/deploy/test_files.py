"""The unit, the image and the operators' script in ``deploy/``: as far as they can be tried without the systems."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from tests.e2e.processes import environment

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
#: systemd's own measure of what a service may do, from 0 (nothing) to 10 (everything).
MOST_EXPOSED = 1.5


def instructions(dockerfile: str) -> list[tuple[str, str]]:
    """(instruction, what follows) of a Dockerfile."""
    joined = re.sub(r"\\\n\s*", " ", "\n".join(line for line in dockerfile.splitlines() if not line.startswith("#")))
    return [(word, rest) for line in joined.splitlines() if line.strip() for word, _, rest in [line.partition(" ")]]


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit, with a program that is there."""
    path = tmp_path / "aitbc.service"
    path.write_text((DEPLOY / "aitbc.service").read_text().replace("/opt/aitbc/bin/aitbc", sys.executable))
    return path


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze")
def test_systemd_takes_the_unit(unit: Path) -> None:
    """Every line means something to systemd, and the service may do next to nothing beyond its work."""
    # Paths of the runner's own, which systemd-analyze wants to write to, are not for a test.
    ran = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout + ran.stderr) == (0, "")
    security = ["systemd-analyze", "security", "--offline=true", f"--threshold={MOST_EXPOSED * 10:.0f}", str(unit)]
    measured = subprocess.run(security, capture_output=True, text=True, check=False)
    assert measured.returncode == 0, measured.stdout.splitlines()[-1]


def test_the_unit_keeps_the_secret_key_to_itself() -> None:
    """The key comes as a credential, never in the environment; a stop goes to the parent first. ASVS 13.3.1."""
    text = (DEPLOY / "aitbc.service").read_text()
    assert "LoadCredential=secret.key:/etc/aitbc/secret.key\nEnvironment=AITBC_SECRET_KEY_FILE=%d/secret.key\n" in text
    assert "KillMode=mixed\n" in text
    assert "AITBC_SECRET_KEY=" not in text


def test_the_unit_is_started_again_for_as_long_as_it_takes() -> None:
    """Starts that fail in a row, while a database is away, leave no node off: systemd would give up."""
    sections = (DEPLOY / "aitbc.service").read_text().split("\n[")
    assert "\nStartLimitIntervalSec=0\n" in next(each for each in sections if each.startswith("Unit]"))
    assert "\nRestart=always\n" in next(each for each in sections if each.startswith("Service]"))


def test_the_image_copies_what_is_there() -> None:
    """Each file that is copied is in the repository and let through to the build, and extras are declared."""
    steps = instructions((DEPLOY / "Dockerfile").read_text())
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {
        source
        for word, rest in steps
        if word == "COPY" and not rest.startswith("--from")
        for source in rest.split()[:-1]
    }
    assert copied == let_in
    assert all((ROOT / source).exists() for source in copied)
    extras = set(re.findall(r"--extra (\w+)", " ".join(rest for word, rest in steps if word == "RUN")))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert extras == {"server", "otel"} <= set(project["optional-dependencies"])


def test_the_image_runs_as_nobody_in_particular() -> None:
    """Not as root, without what built it, with a health check that asks whether requests may come."""
    steps = instructions((DEPLOY / "Dockerfile").read_text())
    last = steps[[number for number, (word, _) in enumerate(steps) if word == "FROM"][-1] :]
    given = dict(last)
    assert given["USER"] == "10001:10001"
    assert [rest for word, rest in last if word == "COPY"] == ["--from=build /opt/aitbc /opt/aitbc"]
    assert json.loads(given["ENTRYPOINT"]) + json.loads(given["CMD"]) == ["aitbc", "serve"]
    check = json.loads(given["HEALTHCHECK"].partition("CMD ")[2])
    assert check[:2] == ["python", "-c"]
    ran = subprocess.run([sys.executable, *check[1:]], env={"AITBC_PORT": "1"}, capture_output=True, check=False)
    assert b"Connection refused" in ran.stderr


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="there is no setpriv")
def test_operators_commands_run_with_the_services_settings(tmp_path: Path) -> None:
    """The script takes the service's file of settings, values with spaces included, and passes arguments through."""
    (tmp_path / "server.env").write_text(
        f'AITBC_DATA_DIR={tmp_path}/data\nAITBC_MAIL_FROM="AITBC <no-reply@example.com>"\n'
    )
    program = f'#!/bin/sh\necho "$AITBC_SECRET_KEY_FILE|$AITBC_MAIL_FROM|$*"\nexec {sys.executable} -m aitbc "$@"\n'
    (tmp_path / "program").write_text(program)
    (tmp_path / "program").chmod(0o755)
    user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
    env = environment(tmp_path) | {
        "AITBC_ENV_FILE": str(tmp_path / "server.env"),
        "AITBC_USER": user,
        "AITBC_PROGRAM": str(tmp_path / "program"),
    }
    env["AITBC_SECRET_KEY_FILE"] = str(tmp_path / "secret.key")
    (tmp_path / "secret.key").write_text("s" * 40)
    command = [str(DEPLOY / "aitbc-admin"), "create-tenant", "--id", "acme", "--plan", "free"]
    if os.getuid() != 0:
        pytest.skip("only root may become another user")
    ran = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    shown = f"{tmp_path}/secret.key|AITBC <no-reply@example.com>|admin create-tenant --id acme --plan free\n"
    assert ran.stdout == shown
    # The script's own variables mean nothing to the program, and it is not told of them.
    assert ran.stderr == f"Made a new database in {tmp_path}/data.\nCreated the tenant acme, plan free.\n"
