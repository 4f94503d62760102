"""The line that says that the server is ready, and the ones that say what is unwise."""

from __future__ import annotations

import logging
from ipaddress import ip_address

from aitbc._version import __version__
from aitbc_server.logging import READY_LOGGER
from aitbc_server.settings import Settings

logger = logging.getLogger(READY_LOGGER)


def announced(settings: Settings, url: str) -> None:
    """Log where the server answers."""
    loopback = ip_address(settings.host).is_loopback
    if not loopback and not settings.public_url.startswith("https://"):
        logger.warning(
            "keys travel unencrypted to %s: put a proxy with TLS before the server and name its address"
            " with AITBC_PUBLIC_URL=https://...",
            settings.host,
        )
    if not settings.sends_mail:
        logger.info(
            "no mail can be sent, because AITBC_SMTP_URL is not set: people cannot sign up by themselves;"
            " `aitbc admin create-user` makes their accounts"
        )
    database = "PostgreSQL" if settings.database_url else "SQLite"
    logger.info(
        "aitbc %s is ready on %s",
        __version__,
        url,
        extra={"url": url, "data_dir": str(settings.data_dir.absolute()), "database": database},
    )
