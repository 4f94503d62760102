"""Profiles: under a name, which server to use, for which tenant, and where the key of ``aitbc login`` is kept.

They are in ``config.toml``, which people may edit and share; keys are elsewhere (see ``key_store.py``).
"""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aitbc.cli.errors import EXIT_USAGE, CommandError

DEFAULT_PROFILE = "default"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_FIELDS = ("base_url", "tenant", "key_store", "key_id")


@dataclass(frozen=True)
class Profile:
    """What is known under a name. ``key_store`` says where its key is, None: it has none; ``key_id`` is public."""

    name: str
    base_url: str | None = None
    tenant: str | None = None
    key_store: str | None = None
    key_id: str | None = None


def config_folder() -> Path:
    """``~/.config/aitbc``, or where the system or ``XDG_CONFIG_HOME`` says."""
    if sys.platform == "win32":
        base = os.environ.get("APPDATA") or str(Path.home() / "AppData" / "Roaming")
    else:
        base = os.environ.get("XDG_CONFIG_HOME") or ""
        # A relative path is to be ignored (XDG Base Directory Specification).
        if not base.startswith("/"):
            base = str(Path.home() / ".config")
    return Path(base) / "aitbc"


def config_file() -> Path:
    """Where the profiles are."""
    return config_folder() / "config.toml"


def check_profile_name(name: str) -> str:
    """A name that can stand in a file and in a shell. Raises CommandError."""
    if _NAME.fullmatch(name) is None:
        raise CommandError(
            f"{name!r} is no name for a profile: it has letters, digits, dots, hyphens and underscores, 64 at most",
            exit_code=EXIT_USAGE,
        )
    return name


def load_profile(name: str) -> Profile | None:
    """The profile of this name, None where there is none. Raises CommandError for a file that cannot be read."""
    section = read_toml(config_file()).get("profiles", {})
    found = section.get(name) if isinstance(section, dict) else None
    if found is None:
        return None
    if not isinstance(found, dict) or not all(isinstance(found.get(field, ""), str) for field in _FIELDS):
        raise CommandError(f"{config_file()}: the profile {name} is not written as it should be", hint=_FORM)
    return Profile(name, **{field: found.get(field) or None for field in _FIELDS})


def profile_names() -> list[str]:
    """Every profile that there is."""
    section = read_toml(config_file()).get("profiles", {})
    return sorted(section) if isinstance(section, dict) else []


def save_profile(profile: Profile) -> None:
    """Write the profile, and leave everything else in the file as it is, comments too."""
    values = {field: getattr(profile, field) for field in _FIELDS}
    lines = [f"{field} = {json.dumps(value, ensure_ascii=False)}" for field, value in values.items() if value]
    section = "\n".join([_header(profile.name), *lines]) + "\n"
    before, after = _around(profile.name)
    write_private(
        config_file(), "\n".join(part.strip("\n") + "\n" for part in (before, section, after) if part.strip())
    )


def read_toml(path: Path) -> dict[str, Any]:
    """The file's content; empty where there is none. Raises CommandError."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{path} cannot be read: {error}") from error
    import tomllib

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CommandError(f"{path} is not valid TOML: {error}", hint=_FORM) from error


def write_private(path: Path, text: str) -> None:
    """Replace a file as a whole or not at all, for its owner's eyes only (0600). Raises CommandError."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
            fresh.replace(path)
        except BaseException:
            fresh.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror or error}") from error


_FORM = 'a profile looks like this:\n  [profiles.work]\n  base_url = "https://aitbc.example.com"\n  tenant = "acme"'


def _header(name: str) -> str:
    return f"[profiles.{json.dumps(name)}]" if "." in name else f"[profiles.{name}]"


def _around(name: str) -> tuple[str, str]:
    """The file's text before and after this profile's own lines."""
    path = config_file()
    # Whoever wrote something that cannot be read keeps it.
    read_toml(path)
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
    headers = {f"profiles.{name}", f'profiles."{name}"', f"profiles.'{name}'"}
    start = next((n for n, line in enumerate(lines) if _table_of(line) in headers), None)
    if start is None:
        return "".join(lines), ""
    end = next((n for n in range(start + 1, len(lines)) if _table_of(lines[n]) is not None), len(lines))
    return "".join(lines[:start]), "".join(lines[end:])


def _table_of(line: str) -> str | None:
    """The name of the table that begins with this line."""
    match = re.match(r"\s*\[([^\[\]]+)\]\s*(#.*)?$", line)
    return None if match is None else re.sub(r"\s", "", match[1])
