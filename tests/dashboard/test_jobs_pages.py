"""The Jobs pages as people without JavaScript use them: find a job, see what came of it, cancel it."""

from __future__ import annotations

import re
from typing import Any

import httpx2
import pytest
from tests.dashboard.conftest import People
from tests.support.browser import Page
from tests.support.installation import HOME, STRANGER, Installation
from tests.usage.world import Key

MINUTE_US = 60_000_000


class Program:
    """What submits jobs and runs them, with a key of its own."""

    def __init__(self, client: httpx2.AsyncClient, key: Key) -> None:
        self._client = client
        self._headers = {"X-API-Key": key.text}

    async def post(self, path: str, body: Any = None) -> Any:
        """An answer that must not be an error."""
        answer = await self._client.post(path, json=body if body is not None else {}, headers=self._headers)
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else None

    async def submit(self, payload: Any = None, **settings: Any) -> str:
        """The id of a new job."""
        body = {"payload": payload or {"text": "hello"}, **settings}
        job_id: str = (await self.post("/v1/jobs", body))["job_id"]
        return job_id

    async def take(self, miner_id: str = "rig-7") -> None:
        """Be a miner, and take the oldest job."""
        await self.post(f"/v1/miners/register?miner_id={miner_id}", {"region": "eu"})
        assert await self.post("/v1/miners/poll", {"max_wait_seconds": 0})


@pytest.fixture
async def program(installation: Installation, client: httpx2.AsyncClient) -> Program:
    """A program of acme's."""
    return Program(client, await installation.add_key(HOME, created_by="usr_owner"))


def jobs_on(page: Page) -> list[str]:
    """The ids of the jobs in the list, in its order."""
    return [link.removeprefix("/jobs/") for link in page.links if re.fullmatch(r"/jobs/job_\w+", link)]


async def test_no_jobs_yet(people: People) -> None:
    """It says where jobs come from, and offers a key to who may make one."""
    owner, viewer = await (await people("owner")).get("/jobs"), await (await people("viewer")).get("/jobs")
    for page in (owner, viewer):
        assert "No jobs yet" in page.text
        assert "aitbc jobs submit" in page.ids["command"]
        assert "/jobs" in page.links
    assert "/api-keys/new" in owner.links
    assert "/api-keys/new" not in viewer.links


async def test_jobs_are_found(
    people: People, program: Program, installation: Installation, client: httpx2.AsyncClient
) -> None:
    """Newest first in one list for both environments, with filters, and a way on; other tenants' are not there."""
    test = Program(client, await installation.add_key(HOME, "test"))
    stranger = Program(client, await installation.add_key(STRANGER))
    made = []
    for number in range(30):
        installation.clock.now_us += MINUTE_US
        made.append(await (test if number % 3 == 0 else program).submit(ttl_seconds=86400))
        await stranger.submit()
    await program.take()
    browser = await people("viewer")
    first = await browser.get("/jobs")
    [older] = [link for link in first.links if "cursor=" in link]
    second = await browser.get(older)
    assert jobs_on(first) + jobs_on(second) == made[::-1]
    assert set(jobs_on(await browser.get("/jobs?environment=test&state="))) == set(made[::3])
    assert jobs_on(await browser.get("/jobs?state=RUNNING")) == [made[1]]
    assert len(jobs_on(await browser.get("/jobs?state=QUEUED"))) == 25
    nothing = await browser.get("/jobs?state=FAILED&environment=live")
    assert "No job matches" in nothing.text
    assert dict(nothing.form("/jobs").fields) == {"state": "FAILED", "environment": "live"}
    assert (await browser.get("/jobs?state=LOST")).status == 422
    assert (await browser.get("/jobs?cursor=made-up")).status == 400


async def test_jobs_are_told_apart_by_what_their_programs_call_them(
    people: People, program: Program, installation: Installation
) -> None:
    """Name, type or model of the payload, where there is one; a payload is shown as text."""
    payloads: list[tuple[Any, str]] = [
        (
            {"name": "Night <b>report</b>", "type": "text-statistics", "model": "x"},
            "Night <b>report</b> text-statistics",
        ),
        ({"type": "inference", "model": "llama-3"}, "inference llama-3"),
        ({"name": {"a": 1}, "model": 7}, "7"),
        ({"name": " ", "type": "y" * 500}, "y" * 47 + "…"),
        ({"text": "hello"}, ""),
    ]
    browser = await people("viewer")
    for payload, words in payloads:
        installation.clock.now_us += 1_000_000
        job_id = await program.submit(payload)
        page = await browser.get("/jobs")
        assert f"Finished {words} {job_id}".replace("  ", " ") in page.text, payload
    page = await browser.get("/jobs")
    assert len(page.answer.content) < 60 * 1024
    assert "<b>film" not in page.answer.text


async def test_who_ended_a_job_stands_in_the_audit_log(people: People, program: Program) -> None:
    """A person who cancels a program's job, not the program itself."""
    owner = await people("owner")
    first, second = await program.submit(), await program.submit()
    await program.post(f"/v1/jobs/{first}/cancel")
    page = await owner.get(f"/jobs/{second}/cancel")
    await owner.submit(page, f"/jobs/{second}/cancel")
    late = await owner.submit(page, f"/jobs/{second}/cancel")
    assert late.status == 303
    log = await owner.get("/audit-log?action=job.canceled")
    assert log.text.count("cancelled the job") == 1
    assert f"owner@example.com cancelled the job {second}." in log.text
    [event] = [link for link in log.links if link.startswith("/audit-log/evt_")]
    assert "State QUEUED CANCELED" in (await owner.get(event)).text


async def test_a_job_is_followed_to_its_result(people: People, program: Program) -> None:
    """What was asked, who runs it, and what came of it, with its receipt, and the whole of it as a file."""
    job_id = await program.submit(
        {"name": "Report", "text": "to be"},
        constraints={"region": "eu", "min_vram_gb": 0},
        payment_amount=1.5,
        payment_currency="AIT",
    )
    browser = await people("viewer")
    page = await browser.get(f"/jobs/{job_id}")
    for words in ("Queued", "Live", "Waiting for a miner", "by a key", "1.5 AIT", "GPU memory", '"name": "Report"'):
        assert words in page.text
    await program.take()
    page = await browser.get(f"/jobs/{job_id}")
    for words in ("Running", "Taken by the miner rig-7 (attempt 1 of 3)", "Next sign of life"):
        assert words in page.text
    await program.post(f"/v1/miners/{job_id}/result", {"result": {"words": 2}, "metrics": {"seconds": 0.25}})
    page = await browser.get(f"/jobs/{job_id}")
    assert "Completed" in page.text
    assert '"words": 2' in page.ids["result"]
    assert "rcp_" in page.text
    assert '"seconds": 0.25' in page.ids["metrics"]
    file = (await browser.get(f"/jobs/{job_id}/result")).answer
    assert file.json() == {"words": 2}
    assert file.headers["content-disposition"] == f'attachment; filename="{job_id}-result.json"'
    assert file.headers["cache-control"] == "no-store"
    assert (await browser.get(f"/jobs/{job_id}/payload")).answer.json() == {"name": "Report", "text": "to be"}


async def test_a_job_that_failed_says_why(people: People, program: Program) -> None:
    """On the list and on its page; there is no result to fetch."""
    job_id = await program.submit()
    await program.take()
    await program.post(f"/v1/miners/{job_id}/fail", {"error_code": "oom", "error_message": "line 1\nline <2>"})
    browser = await people("developer")
    page = await browser.get(f"/jobs/{job_id}")
    assert "Why it failed" in page.text
    assert "oom: line 1 line <2>" in page.text
    assert "oom: line 1" in (await browser.get("/jobs")).text
    assert (await browser.get(f"/jobs/{job_id}/result")).status == 404
    assert f"/jobs/{job_id}/cancel" not in page.links


async def test_a_job_that_nobody_took_in_time(people: People, program: Program, installation: Installation) -> None:
    """It is expired from that very moment on, on the list too."""
    job_id = await program.submit(ttl_seconds=60)
    installation.clock.now_us += MINUTE_US
    browser = await people("viewer")
    assert "its time was over" in (await browser.get(f"/jobs/{job_id}")).text
    assert jobs_on(await browser.get("/jobs?state=EXPIRED")) == [job_id]


async def test_a_job_is_cancelled_after_a_question(people: People, program: Program) -> None:
    """ASVS 3.5.3: looking at the question changes nothing; a second answer says that it is over."""
    job_id = await program.submit()
    browser = await people("developer")
    page = await browser.get(f"/jobs/{job_id}")
    assert f"/jobs/{job_id}/cancel" in page.links
    question = await browser.get(f"/jobs/{job_id}/cancel")
    assert "This cannot be undone" in question.text
    assert "Queued" in (await browser.get(f"/jobs/{job_id}")).text
    shown = await browser.follow(await browser.submit(question, f"/jobs/{job_id}/cancel"))
    assert "The job is cancelled." in shown.text
    assert "Cancelled" in shown.text
    assert f"/jobs/{job_id}/cancel" not in shown.links
    again = await browser.follow(await browser.submit(question, f"/jobs/{job_id}/cancel"))
    assert "nothing to cancel" in again.text
    assert (await browser.get(f"/jobs/{job_id}/cancel")).status == 303


async def test_a_viewer_cancels_nothing(people: People, program: Program) -> None:
    """ASVS 8.2.1: neither is the button there, nor does the form work."""
    job_id = await program.submit()
    viewer, owner = await people("viewer"), await people("owner")
    page = await viewer.get(f"/jobs/{job_id}")
    assert f"/jobs/{job_id}/cancel" not in page.links
    assert (await viewer.get(f"/jobs/{job_id}/cancel")).status == 403
    token = next(value for form in page.forms for name, value in form.fields if name == "csrf")
    assert (await viewer.post(f"/jobs/{job_id}/cancel", {"csrf": token})).status == 403
    assert "Queued" in (await owner.get(f"/jobs/{job_id}")).text


async def test_another_tenants_job_is_a_random_id(people: People, program: Program) -> None:
    """ASVS 8.2.2: every page and form answers with the same bytes as for none; nothing happens to the job."""
    job_id = await program.submit()
    stranger = await people("stranger")
    for suffix in ("", "/payload", "/result", "/cancel"):
        theirs, none = await stranger.get(f"/jobs/{job_id}{suffix}"), await stranger.get(f"/jobs/job_none{suffix}")
        assert (theirs.status, none.status) == (404, 404)
        assert without_token(theirs) == without_token(none)
    token = next(value for form in theirs.forms for name, value in form.fields if name == "csrf")
    assert (await stranger.post(f"/jobs/{job_id}/cancel", {"csrf": token})).status == 404
    assert "Queued" in (await (await people("owner")).get(f"/jobs/{job_id}")).text


def without_token(page: Page) -> str:
    """The page but for its form tokens, no two of which are alike."""
    return re.sub(r'name="csrf" value="[^"]+"', "", page.answer.text)


@pytest.mark.parametrize(
    "text", ["<script>alert(1)</script>", "</pre><img src=x onerror=a>", "{{ 7 * 7 }}", "\u202eabc"]
)
async def test_what_a_job_holds_is_text(people: People, program: Program, text: str) -> None:
    """ASVS 1.2.1: names and values of the payload, the constraints, the result, the metrics and the error."""
    job_id = await program.submit({text: text}, constraints={"gpu": text}, ttl_seconds=86400)
    failed = await program.submit({"a": 1})
    await program.post("/v1/miners/register?miner_id=rig", {"capabilities": {"gpu": text}})
    for _ in range(2):
        job = (await program.post("/v1/miners/poll", {"max_wait_seconds": 0}))["job_id"]
        path = f"/v1/miners/{job}"
        if job == failed:
            await program.post(f"{path}/fail", {"error_code": "e", "error_message": text})
        else:
            await program.post(f"{path}/result", {"result": {text: text}, "metrics": {text: text}})
    browser = await people("owner")
    for where in (f"/jobs/{job_id}", f"/jobs/{failed}", "/jobs"):
        page = await browser.get(where)
        assert page.status == 200
        assert not [a for tag, a in page.elements if tag == "img" or (tag == "script" and not a.get("src"))]
        if where == f"/jobs/{job_id}":
            for part in ("payload", "result", "metrics"):
                assert (text.replace("\u202e", "\\u202e")) in page.ids[part]


async def test_a_large_job_fits_on_its_page(people: People, program: Program) -> None:
    """The page stays below 60 KB, shows the beginning, and leads to the whole as a file."""
    payload = {"text": '"<&\n' * 50_000}
    job_id = await program.submit(payload, constraints={"models": ["m" * 100] * 100})
    browser = await people("viewer")
    page = await browser.get(f"/jobs/{job_id}")
    assert len(page.answer.content) < 30_000
    assert "This is the beginning." in page.text
    assert f"/jobs/{job_id}/payload" in page.links
    assert (await browser.get(f"/jobs/{job_id}/payload")).answer.json() == payload
