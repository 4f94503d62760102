"""The pages of jobs: the list, one job with what was asked and what came of it, and the question before it is ended."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import msgspec
from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from aitbc.schemas.jobs import FINAL_STATES, JobState
from aitbc.schemas.scopes import Environment, Scope
from aitbc_server.actor import Actor
from aitbc_server.dashboard.downloads import download
from aitbc_server.dashboard.excerpts import cut, excerpt
from aitbc_server.dashboard.forms import Form, query_of
from aitbc_server.dashboard.pages import AnyRequest, Page, Pages, for_page
from aitbc_server.errors import Code, DomainError, not_found
from aitbc_server.gate.operations import Audience, Operation
from aitbc_server.jobs.history import history
from aitbc_server.jobs.service import JobService
from aitbc_server.usage.activity import UsageActivity

LIST = Operation("dashboard.jobs", Scope.JOBS_READ, audience=Audience.PERSON)
SHOW = Operation("dashboard.job", Scope.JOBS_READ, audience=Audience.PERSON)
PAYLOAD = Operation("dashboard.job_payload", Scope.JOBS_READ, audience=Audience.PERSON)
RESULT = Operation("dashboard.job_result", Scope.JOBS_READ, audience=Audience.PERSON)
CANCEL_FORM = Operation("dashboard.job_cancel_form", Scope.JOBS_WRITE, audience=Audience.PERSON)
CANCEL = Operation("dashboard.cancel_job", Scope.JOBS_WRITE, audience=Audience.PERSON)

#: What each state is called: words for people, who also spell differently.
STATES = {
    JobState.QUEUED: "Queued",
    JobState.RUNNING: "Running",
    JobState.COMPLETED: "Completed",
    JobState.FAILED: "Failed",
    JobState.CANCELED: "Cancelled",
    JobState.EXPIRED: "Expired",
}

_ON_A_PAGE = 25
_FILTERS = ("state", "environment")

Jobs = NamedDependency[JobService]
CallingActor = NamedDependency[Actor]
AllPages = NamedDependency[Pages]


@get("/jobs", **for_page(LIST))
async def jobs_page(request: AnyRequest, actor: CallingActor, pages: AllPages, jobs: Jobs) -> Page:
    """The tenant's jobs of both environments, newest first, with filters."""
    query = query_of(request)
    found = await jobs.list_records(
        actor,
        state=query.choice("state", JobState),
        environment=query.choice("environment", Environment),
        limit=_ON_A_PAGE,
        cursor=query.line("cursor") or None,
    )
    return pages.render(
        request,
        "jobs/list.html",
        jobs=found.items,
        states=STATES,
        query=query,
        filtered=any(query.line(name) for name in _FILTERS),
        next=None if found.next_cursor is None else _address(query, cursor=found.next_cursor),
        first=_address(query) if query.has("cursor") else None,
    )


@get("/jobs/{job_id:str}", **for_page(SHOW))
async def job_page(
    request: AnyRequest,
    job_id: FromPath[str],
    actor: CallingActor,
    pages: AllPages,
    jobs: Jobs,
    usage_activity: NamedDependency[UsageActivity],
) -> Page:
    """One job: what was asked, how it went, what came of it."""
    job = await jobs.details(actor, job_id)
    return pages.render(
        request,
        "jobs/show.html",
        job=job,
        states=STATES,
        key_name=(await usage_activity.key_names(actor, [job.key_id])).get(job.key_id),
        steps=history(job),
        payload=excerpt(job.payload),
        constraints=[(_title(name), value) for name, value in job.constraints.items()],
        result=None if job.result is None else excerpt(job.result),
        metrics=excerpt(job.metrics, 2_000) if job.metrics else None,
        error=None if job.error is None else cut(job.error, 4_000),
        may_cancel=actor.may(Scope.JOBS_WRITE) and job.state not in FINAL_STATES,
    )


@get("/jobs/{job_id:str}/payload", **for_page(PAYLOAD))
async def job_payload(job_id: FromPath[str], actor: CallingActor, jobs: Jobs) -> Response[bytes]:
    """The whole payload, as a file."""
    job = await jobs.details(actor, job_id)
    return download(msgspec.json.encode(job.payload), f"{job.job_id}-payload.json", "application/json")


@get("/jobs/{job_id:str}/result", **for_page(RESULT))
async def job_result(job_id: FromPath[str], actor: CallingActor, jobs: Jobs) -> Response[bytes]:
    """The whole result, as a file. Raises ``not_found`` where there is none."""
    job = await jobs.details(actor, job_id)
    if job.result is None:
        raise not_found()
    return download(msgspec.json.encode(job.result), f"{job.job_id}-result.json", "application/json")


@get("/jobs/{job_id:str}/cancel", **for_page(CANCEL_FORM))
async def cancel_page(
    request: AnyRequest, job_id: FromPath[str], actor: CallingActor, pages: AllPages, jobs: Jobs
) -> Page | Response[bytes]:
    """The question before a job is ended."""
    job = await jobs.details(actor, job_id)
    if job.state in FINAL_STATES:
        return _too_late(pages, job_id)
    return pages.render(request, "jobs/cancel.html", job=job, states=STATES)


@post("/jobs/{job_id:str}/cancel", **for_page(CANCEL))
async def cancel(job_id: FromPath[str], actor: CallingActor, pages: AllPages, jobs: Jobs) -> Response[bytes]:
    """End the job. Where it has ended in the meantime, its page says how."""
    try:
        await jobs.cancel(actor, job_id)
    except DomainError as error:
        if error.code is not Code.CONFLICT:
            raise
        return _too_late(pages, job_id)
    return pages.redirect(f"/jobs/{job_id}", "The job is cancelled. No result of it will be taken any more.")


def _too_late(pages: Pages, job_id: str) -> Response[bytes]:
    return pages.redirect(f"/jobs/{job_id}", "The job has ended already, so there is nothing to cancel.", "warning")


def _title(constraint: str) -> str:
    words = {"gpu": "GPU", "cuda": "CUDA", "min_vram_gb": "GPU memory", "max_price": "Highest price"}
    return words.get(constraint, constraint.replace("_", " ").capitalize())


def _address(query: Form, **more: str) -> str:
    """The list's address with the same filters."""
    kept: dict[str, Any] = {name: query.line(name) for name in _FILTERS} | more
    chosen = {name: value for name, value in kept.items() if value}
    return f"/jobs?{urlencode(chosen)}" if chosen else "/jobs"


ROUTES = [jobs_page, job_page, job_payload, job_result, cancel_page, cancel]
