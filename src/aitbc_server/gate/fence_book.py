"""Which fence token each tenant's cached records rest on, in a fleet.

What holds at every moment: a record in the cache was read from the database after the token that the book has of its
tenants was read from the store. A new token drops the tenant's records first, and the cache's tickets keep a load that
began earlier from putting an older one back. tests/fleet/fence_model.py has the whole protocol as a model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from aitbc_server.gate.cache import MAX_CREDENTIALS, CredentialCache

# No token of the store is like this, so that comparing it always brings the present one.
_UNKNOWN = ""


class FenceBook:
    """The tokens that this node knows, by tenant, of one connection to the store.

    Beyond ``max_tokens``, those of tenants without a record in the cache are forgotten: an unknown token costs one more
    question to the store, and never lets an old record pass.
    """

    def __init__(self, cache: CredentialCache, max_tokens: int = MAX_CREDENTIALS) -> None:
        self._cache = cache
        self._max = self._room = max_tokens
        self._tokens: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._tokens)

    def expected(self, home_id: str, acting_id: str) -> dict[str, str]:
        """The tokens to compare for a record that is in the cache now: of the key's own tenant and the acting one."""
        tokens = self._tokens
        expected = {home_id: tokens.get(home_id, _UNKNOWN)}
        if acting_id != home_id:
            expected[acting_id] = tokens.get(acting_id, _UNKNOWN)
        return expected

    def renew(self, tokens: Mapping[str, str]) -> None:
        """The store has these tokens. Whatever was read under another one is forgotten."""
        changed = [tenant_id for tenant_id, token in tokens.items() if self._tokens.get(tenant_id) != token]
        if changed:
            self._cache.drop(changed)
            if len(self._tokens) + len(changed) > self._room:
                self._make_room()
            # After making room: these tenants' records are about to be loaded, and are asked about with these tokens.
            self._tokens.update((tenant_id, tokens[tenant_id]) for tenant_id in changed)

    def forget(self, concerns: Callable[[str], bool] | None = None) -> None:
        """The connection is a new one: its server may have tokens of another time, under which nothing was read.

        ``concerns`` says whether that server has a tenant's token; None: it has all of them.
        """
        if concerns is None:
            self._tokens.clear()
            self._cache.drop_all()
            return
        tenant_ids = [tenant_id for tenant_id in self._tokens if concerns(tenant_id)]
        for tenant_id in tenant_ids:
            del self._tokens[tenant_id]
        self._cache.drop(tenant_ids)

    def _make_room(self) -> None:
        self._tokens = {each: token for each, token in self._tokens.items() if self._cache.rests_on(each)}
        # Where most of them are in use, all are not looked through for each new one.
        self._room = max(self._max, 2 * len(self._tokens))
