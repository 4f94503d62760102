"""What `aitbc dev` prints: where it is, the keys, and lines to paste into another terminal."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

_TEXT = "To be, or not to be, that is the question."

_CURL = """\
JOB=$(curl -s "$AITBC_BASE_URL/v1/jobs" -H "X-API-Key: $CLIENT_API_KEY" -H "Content-Type: application/json" \\
  -d '{"type": "text-statistics", "text": "TEXT"}' | grep -o 'job_[0-9A-Za-z]\\{20\\}')
curl -sf --retry 20 --retry-delay 1 --retry-all-errors \\
  "$AITBC_BASE_URL/v1/jobs/$JOB/result" -H "X-API-Key: $CLIENT_API_KEY"; echo"""

_PYTHON = """\
from aitbc import AITBCClient
client = AITBCClient()
job = client.jobs.create({"type": "text-statistics", "text": "TEXT"})
client.jobs.wait_for_completion(job.job_id)
print(client.jobs.result(job.job_id).result)"""


def banner(url: str, keys: Mapping[str, str], env_file: Path, *, tenant: str, miner: bool, bold: bool) -> str:
    """The text, aligned, with nothing that cannot be copied."""
    title = f"AITBC is running on {url}"
    rows = [
        # Pages live under one name, so that there is one set of cookies (design section 10).
        ("Dashboard", url.replace("127.0.0.1", "localhost")),
        ("Tenant", f"{tenant}, plan pro: 600 requests a minute"),
        ("Client key", keys["CLIENT_API_KEY"]),
        ("Miner key", keys["MINER_API_KEY"]),
        ("Manager key", keys["MANAGER_API_KEY"]),
        ("Miner", "runs jobs of type text-statistics" if miner else "none; `aitbc miners run` starts one"),
    ]
    sections = [
        ("Load the keys in another terminal (AITBC_API_KEY is the manager's):", _load(env_file)),
        ("Submit a job with curl:", _CURL.replace("TEXT", _TEXT)),
        ("Or in Python:", _PYTHON.replace("TEXT", _TEXT)),
    ]
    lines = ["", _strong(title, bold) + "  (Ctrl-C stops it)", ""]
    lines += [f"  {label + ':':<13}{value}" for label, value in rows]
    for heading, body in sections:
        lines += ["", _strong(heading, bold), "", body]
    return "\n".join([*lines, ""])


def _load(env_file: Path) -> str:
    lines = [f"set -a; . {shlex.quote(_for_sourcing(env_file))}; set +a"]
    if sys.prefix != sys.base_prefix:
        lines.insert(0, f"source {shlex.quote(_shown(Path(sys.prefix) / 'bin' / 'activate'))}")
    return "\n".join(lines)


def _shown(path: Path) -> str:
    """The path from here where it lies below, else as a whole."""
    relative = os.path.relpath(path)
    return str(path.absolute()) if relative.startswith(os.pardir) else relative


def _for_sourcing(path: Path) -> str:
    # A name without a slash would be looked for in PATH.
    shown = _shown(path)
    return shown if "/" in shown else f"./{shown}"


def _strong(text: str, bold: bool) -> str:
    return f"\x1b[1m{text}\x1b[0m" if bold else text
