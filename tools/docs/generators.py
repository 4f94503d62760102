"""Which page has which generated part."""

from __future__ import annotations

from collections.abc import Callable

from tools.docs import api, permissions, sdk, settings

from aitbc.cli._reference import reference as cli_reference

GENERATORS: dict[str, Callable[[], str]] = {
    "reference/api.md": api.reference,
    "reference/cli.md": cli_reference,
    "reference/permissions.md": permissions.reference,
    "reference/sdk.md": sdk.reference,
    "reference/settings.md": settings.reference,
}
