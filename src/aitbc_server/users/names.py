"""What people are called on pages that show who did something: by their address, as in the audit log."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sqlalchemy import select

from aitbc_server.db.unit_of_work import UnitsOfWork
from aitbc_server.users.model import UserRow


class UserNames:
    """Looks addresses up by id. Names are what people choose, and two may choose the same."""

    def __init__(self, units: UnitsOfWork) -> None:
        self._units = units

    async def __call__(self, user_ids: Collection[str]) -> Mapping[str, str]:
        """The addresses of those that are people's ids, and still here; one query for all of them."""
        wanted = {each for each in user_ids if each.startswith("usr_")}
        if not wanted:
            return {}
        async with self._units.read() as session:
            rows = await session.execute(select(UserRow.id, UserRow.email).where(UserRow.id.in_(wanted)))
            return {row[0]: row[1] for row in rows}
