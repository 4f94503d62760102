"""Reading a new job: the full form with ``payload``, or the short form whose fields are the payload."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from aitbc.schemas.jobs import CreateJob, JobSettings
from aitbc_server.errors import invalid
from aitbc_server.json_limits import check_json, check_text
from aitbc_server.validation import refused

# What the short form says of the job and not to its miner.
_SETTINGS = JobSettings.__struct_fields__


def parse_job(body: Mapping[str, Any]) -> CreateJob:
    """The job that was asked for. Raises ``validation_error`` that names the field."""
    for name, value in body.items():
        check_text("body", name)
        check_json(name, value)
    try:
        return msgspec.convert(body if "payload" in body else _full_form(body), CreateJob)
    except msgspec.ValidationError as error:
        raise refused(error, CreateJob) from error


def _full_form(body: Mapping[str, Any]) -> dict[str, Any]:
    payload = {name: value for name, value in body.items() if name not in _SETTINGS}
    if not payload:
        raise invalid("payload", "there is no job here: send its fields, or the full form with payload")
    return {"payload": payload, **{name: body[name] for name in _SETTINGS if name in body}}
