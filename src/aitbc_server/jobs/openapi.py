"""The two forms of a new job's body, for the OpenAPI; ``submission.py`` reads them."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from aitbc.schemas.jobs import CreateJob, JobSettings


class ShortJob(JobSettings, forbid_unknown_fields=False):
    """The short form: the fields are the payload, but for the four that say what they say in CreateJob.

    There is at least one, and none is named `payload`.
    """


_A_PAYLOAD_OF_ITS_OWN = {
    "allOf": [
        {"not": {"required": ["payload"]}},
        {"not": {"propertyNames": {"enum": list(JobSettings.__struct_fields__)}}},
    ]
}

FORMS = (CreateJob, Annotated[ShortJob, Meta(extra_json_schema=_A_PAYLOAD_OF_ITS_OWN)])
