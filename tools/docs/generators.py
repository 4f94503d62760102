"""Which page has which generated part."""

from __future__ import annotations

from collections.abc import Callable

from tools.docs import api, cli, permissions, sdk, settings

GENERATORS: dict[str, Callable[[], str]] = {
    "reference/api.md": api.reference,
    "reference/cli.md": cli.reference,
    "reference/permissions.md": permissions.reference,
    "reference/sdk.md": sdk.reference,
    "reference/settings.md": settings.reference,
}
