"""Where the keys of ``aitbc login`` are kept: in the system's keyring, or in a file that only its owner can read.

A key is kept together with the server that it is for, and is never handed out for another one: whoever points the
command line elsewhere, by a variable or an option, must not send it there.
"""

from __future__ import annotations

import json
import stat
import sys
from pathlib import Path
from typing import Any

from aitbc.cli.errors import CommandError
from aitbc.cli.profiles import config_folder, read_toml, write_private

KEYRING, FILE = "keyring", "file"
_SERVICE = "aitbc"


def credentials_file() -> Path:
    """The file of those that have no keyring."""
    return config_folder() / "credentials.toml"


def shown(store: str) -> str:
    """Where a key is, in words."""
    return "the system's keyring" if store == KEYRING else str(credentials_file())


def store_key(profile: str, base_url: str, key: str) -> str:
    """Keep a key, in the keyring where there is one that works. Returns which of the two."""
    keyring = _keyring()
    if keyring is not None:
        try:
            keyring.set_password(_SERVICE, _entry(profile, base_url), key)
            # Some take what they do not keep.
            if keyring.get_password(_SERVICE, _entry(profile, base_url)) == key:
                _change_file(profile, None)
                return KEYRING
        except Exception:  # noqa: S110 - each backend raises its own; the file is there for all of them
            pass
    _change_file(profile, {"base_url": base_url, "api_key": key})
    return FILE


def stored_key(profile: str, base_url: str, store: str) -> str | None:
    """The key of a profile for this very server; None where there is none. Raises CommandError."""
    if store == FILE:
        entry = read_toml(credentials_file()).get(profile)
        if not isinstance(entry, dict) or entry.get("base_url") != base_url:
            return None
        _check_private(credentials_file())
        key = entry.get("api_key")
        return key if isinstance(key, str) else None
    keyring = _keyring()
    if keyring is None:
        raise CommandError(
            f"the key of the profile {profile} is in the system's keyring, which cannot be reached",
            hint="`pip install 'aitbc[keyring]'` lets this Python reach it; or `aitbc login` again",
        )
    try:
        found = keyring.get_password(_SERVICE, _entry(profile, base_url))
    except Exception as error:
        raise CommandError(f"the system's keyring does not answer: {error}", hint="unlock it, and try again") from error
    return found if isinstance(found, str) else None


def forget_key(profile: str, base_url: str, store: str) -> None:
    """Keep the key no longer. One that is not there is no error."""
    if store == FILE:
        _change_file(profile, None)
        return
    keyring = _keyring()
    if keyring is None:
        raise CommandError("the key is in the system's keyring, which cannot be reached: it was not forgotten")
    try:
        if keyring.get_password(_SERVICE, _entry(profile, base_url)) is not None:
            keyring.delete_password(_SERVICE, _entry(profile, base_url))
    except Exception as error:
        raise CommandError(f"the system's keyring did not forget the key: {error}") from error


def _entry(profile: str, base_url: str) -> str:
    return f"{profile} {base_url}"


def _keyring() -> Any:
    """The package ``keyring``, where it is installed and has found a keyring that works."""
    try:
        import keyring
        import keyring.errors
    except ImportError:
        return None
    try:
        # 0 and less: a backend that only fails.
        return keyring if keyring.get_keyring().priority > 0 else None
    except Exception:
        return None


def _change_file(profile: str, entry: dict[str, str] | None) -> None:
    path = credentials_file()
    entries = read_toml(path)
    if entry is None and profile not in entries:
        return
    entries = {name: value for name, value in entries.items() if name != profile}
    if entry is not None:
        entries[profile] = entry
    write_private(path, _HEAD + "".join(_section(name, value) for name, value in entries.items()))


_HEAD = "# Written by `aitbc login`. Whoever reads this can use your API keys.\n"


def _section(name: str, values: dict[str, str]) -> str:
    lines = [f"{field} = {json.dumps(value, ensure_ascii=False)}" for field, value in values.items()]
    return "\n".join(["", f"[{json.dumps(name)}]", *lines, ""])


def _check_private(path: Path) -> None:
    """Raises CommandError for a file of keys that others can read, as SSH does."""
    if sys.platform != "win32" and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise CommandError(f"others can read {path}, which holds API keys", hint=f"chmod 600 {path}")
