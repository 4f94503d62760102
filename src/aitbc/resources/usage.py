"""``client.usage``: how many requests the tenant made, and how they were answered."""

from __future__ import annotations

from aitbc._call import Call, Time, query
from aitbc._methods import M, Resource, operation
from aitbc.schemas.usage import Granularity, GroupBy, Usage


class UsageCounts(Resource[M]):
    """Usage of the key's tenant in its environment."""

    @operation
    def get(
        self,
        from_: Time | None = None,
        to: Time | None = None,
        granularity: Granularity | str | None = None,
        group_by: GroupBy | str | None = None,
    ) -> Call[Usage]:
        """Counts over time: ``client.usage.get(granularity="day", group_by="key").totals.total``.

        The range holds ``from_`` and not ``to``; the server says which it takes where none is given. Raises
        ValidationError for a range or a grouping that is not valid.
        """
        return Call(
            "GET",
            "/v1/usage",
            Usage,
            query=usage_query(from_, to, granularity, group_by),
            idempotent=True,
        )


def usage_query(
    from_: Time | None, to: Time | None, granularity: Granularity | str | None, group_by: GroupBy | str | None
) -> dict[str, str]:
    """The query that the tenant's and a key's usage share."""
    return query(from_=from_, to=to, granularity=granularity, group_by=group_by)
