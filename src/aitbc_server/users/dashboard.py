"""The pages of accounts."""

from __future__ import annotations

from aitbc_server.users import email_pages, entrance, settings_pages

ROUTES = [*entrance.ROUTES, *settings_pages.ROUTES, *email_pages.ROUTES]
