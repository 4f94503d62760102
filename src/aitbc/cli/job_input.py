"""From what was typed to the body of a new job."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import click

from aitbc.cli.options import combined, parse_json_object
from aitbc.cli.times import DurationType

F = TypeVar("F", bound=Callable[..., Any])

_MAX_BYTES = 1 << 20  # What the server takes; a larger file is refused before it is sent.

# As the server bounds it.
TTL = DurationType(at_least="1s", at_most="7d")


@dataclass(frozen=True, kw_only=True)
class SubmitFields:
    """The options of ``jobs submit`` that describe the job; None or empty: not given."""

    name: str | None = None
    type_: str | None = None
    text: str | None = None
    text_file: str | None = None
    prompt: str | None = None
    model: str | None = None
    assignments: tuple[str, ...] = ()
    gpu: str | None = None
    cuda: str | None = None
    min_vram_gb: float | None = None
    required_models: tuple[str, ...] = ()
    region: str | None = None
    max_price: float | None = None
    ttl: timedelta | None = None


def submit_fields(function: F) -> F:
    """The options for SubmitFields."""
    return combined(
        click.option("--name", metavar="TEXT", help="The job's name, for people."),
        click.option("--type", "type_", metavar="TYPE", help="What kind of work it is, such as text-statistics."),
        click.option("--text", metavar="TEXT", help="The text to work on."),
        click.option("--text-file", metavar="FILE", help="The same from a file; - is standard input."),
        click.option("--prompt", metavar="TEXT", help="The prompt of an inference job."),
        click.option("--model", metavar="NAME", help="The model of an inference job."),
        click.option(
            "--set",
            "assignments",
            multiple=True,
            metavar="NAME=VALUE",
            help="Any other field; the value is JSON, or else text. May be repeated.",
        ),
        click.option("--gpu", metavar="NAME", help="Only a miner with this GPU."),
        click.option("--cuda", metavar="VERSION", help="Only a miner with this CUDA."),
        click.option("--min-vram-gb", type=float, metavar="N", help="Only a miner with so much video memory."),
        click.option(
            "--require-model",
            "required_models",
            multiple=True,
            metavar="NAME",
            help="Only a miner with this model.",
        ),
        click.option("--region", metavar="NAME", help="Only a miner in this region."),
        click.option("--max-price", type=float, metavar="N", help="Only a miner at this price or less."),
        click.option("--ttl", type=TTL, metavar="DURATION", help="When it expires. [default: 15m]"),
    )(function)


def build_job(source: str | None, fields: SubmitFields) -> dict[str, Any]:
    """The body for POST /v1/jobs. Raises click.UsageError for what cannot be one."""
    job = parse_source(source) if source is not None else {}
    payload = _payload_fields(fields)
    constraints = _given(
        gpu=fields.gpu,
        cuda=fields.cuda,
        min_vram_gb=fields.min_vram_gb,
        models=list(fields.required_models) or None,
        region=fields.region,
        max_price=fields.max_price,
    )
    if not job and not payload:
        raise click.UsageError("there is no job: give options such as --type and --text, JSON text, a file, or -")
    if "payload" not in job:
        job = {"payload": job}
    if payload:
        job["payload"] = _object(job["payload"], "payload") | payload
    if constraints:
        job["constraints"] = _object(job.get("constraints") or {}, "constraints") | constraints
    if fields.ttl is not None:
        job["ttl_seconds"] = int(fields.ttl.total_seconds())
    return job


def parse_source(source: str) -> dict[str, Any]:
    """The JSON object that JOB means: the text itself, a file's, or standard input's."""
    text = source if source.lstrip().startswith(("{", "[")) else read_text(source)
    try:
        return parse_json_object(text)
    except ValueError as error:
        where = "standard input" if source == "-" else "the argument" if text is source else source
        raise click.UsageError(f"{where} does not hold a job as JSON: {error}") from error


def read_text(name: str) -> str:
    """The UTF-8 text of the file ``name``, or of standard input where it is ``-``; at most 1 MiB."""
    try:
        if name == "-":
            data = sys.stdin.buffer.read(_MAX_BYTES + 1)
        else:
            with Path(name).open("rb") as file:
                data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise click.UsageError(f"cannot read {name}: {error.strerror or error}") from error
    except ValueError as error:
        raise click.UsageError(f"{name!r} is neither JSON nor a file's name") from error
    if len(data) > _MAX_BYTES:
        raise click.UsageError(f"{name} is larger than 1 MiB, which is the most that the server takes")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise click.UsageError(f"{name} is not UTF-8 text") from error


def _payload_fields(fields: SubmitFields) -> dict[str, Any]:
    if fields.text is not None and fields.text_file is not None:
        raise click.UsageError("--text and --text-file exclude each other")
    text = read_text(fields.text_file) if fields.text_file is not None else fields.text
    assigned = dict(_assignment(one) for one in fields.assignments)
    return assigned | _given(name=fields.name, type=fields.type_, text=text, prompt=fields.prompt, model=fields.model)


def _assignment(text: str) -> tuple[str, Any]:
    import json

    name, equals, value = text.partition("=")
    if not name or not equals:
        raise click.UsageError(f"--set {text!r}: write --set NAME=VALUE")
    try:
        return name, json.loads(value)
    except (ValueError, RecursionError):
        return name, value


def _given(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _object(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise click.UsageError(f"{name} must be a JSON object to add options to it")
    return value
