"""What a server needs of accounts, put together."""

from __future__ import annotations

from aitbc_server.dev.keys import TENANT as DEV_TENANT
from aitbc_server.foundation import Foundation
from aitbc_server.users.accounts import Accounts


def accounts_of(base: Foundation) -> Accounts:
    """The accounts of this server. On a development server the first person owns the tenant that is there already."""
    return Accounts(
        base.settings,
        base.units,
        base.secret_keys,
        base.audit,
        base.mailbox,
        first_account_owns=DEV_TENANT if base.settings.dev else None,
    )
