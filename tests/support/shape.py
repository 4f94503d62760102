"""What every answer has in common: the error shape, the headers, the times. ``faults`` of a good answer is empty."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx2

from aitbc_server.errors import Code
from aitbc_server.problem import STATUS

TYPES = {"application/json", "application/problem+json", "text/html; charset=utf-8"}
PROBLEM_FIELDS = ["type", "title", "status", "detail", "code", "request_id"]
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
# What may be a time, however it is written: a date, or a date with a time of day.
_LIKE_A_TIME = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d.*)?")
_TIME_FIELD = re.compile(r"(time|from|to|.*_at)")

# RFC 9651: strings, with parameters whose values are integers here.
_ITEM = re.compile(r'"([ !#-\[\]-~]+)"((?:;[a-z]+=\d+)+)')
_TRIPLE = ("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset")


def faults(answer: httpx2.Response, *, checked: bool | None = None, no_credential: bool = False) -> list[str]:
    """Everything that is wrong about an answer; ``checked``: a right key was presented (None: not known)."""
    found = [*_common(answer), *_limits(answer, checked=checked)]
    if answer.status_code >= 400:
        found += [*_problem(answer), *_error_headers(answer, no_credential=no_credential)]
    elif answer.content and answer.headers["content-type"] == "application/json":
        found += _times(answer.json())
    return found


def _common(answer: httpx2.Response) -> Iterator[str]:
    headers = answer.headers
    if headers.get("x-content-type-options") != "nosniff":
        yield "no nosniff"
    if headers.get("cache-control") != "no-store":
        yield "no no-store"
    if "frame-ancestors 'none'" not in headers.get("content-security-policy", ""):
        yield "may be framed"
    if headers.get("referrer-policy") != "no-referrer":
        yield "tells referrers"
    if not re.fullmatch(r"req_[0-9a-f]+", headers.get("x-request-id", "")):
        yield "no request id"
    if answer.content and headers.get("content-type") not in TYPES:
        yield f"content type {headers.get('content-type')}"
    if len(answer.headers.get_list("content-type")) > 1:
        yield "two content types"


def _problem(answer: httpx2.Response) -> Iterator[str]:
    if answer.headers.get("content-type") == "application/json" and answer.url.path.startswith("/oauth/"):
        # There another standard says how errors look (RFC 6749, 5.2).
        if sorted(answer.json()) != ["error", "error_description"]:
            yield f"fields {list(answer.json())}"
    elif answer.headers.get("content-type") != "application/problem+json":
        yield "an error, but no problem"
    elif answer.request.method != "HEAD":
        problem = answer.json()
        fields = PROBLEM_FIELDS + (["errors"] if answer.status_code == 422 else [])
        if list(problem) == fields:
            yield from _values(problem, answer)
        else:
            yield f"fields {list(problem)}"


def _values(problem: dict[str, Any], answer: httpx2.Response) -> Iterator[str]:
    code = problem["code"]
    if code not in list(Code) or STATUS[Code(code)] != answer.status_code:
        yield f"code {code} with {answer.status_code}"
    if problem["status"] != answer.status_code or problem["type"] != f"urn:aitbc:error:{code}":
        yield f"status {problem['status']}, type {problem['type']}"
    if problem["request_id"] != answer.headers.get("x-request-id"):
        yield "another request id"
    if not problem["title"] or not problem["detail"]:
        yield "says nothing"
    named = problem.get("errors", [])
    if any(list(each) != ["field", "message"] or not all(each.values()) for each in named):
        yield f"errors {named}"
    if answer.status_code == 422 and not named:
        yield "names no field"


def _error_headers(answer: httpx2.Response, *, no_credential: bool) -> Iterator[str]:
    status, headers = answer.status_code, answer.headers
    challenge = headers.get("www-authenticate")
    if (challenge is not None) != (status == 401):
        yield f"challenge {challenge} with {status}"
    if challenge is not None and (not challenge.startswith("Bearer") or ("error=" in challenge) == no_credential):
        yield f"challenge {challenge}"
    if ("allow" in headers) != (status == 405):
        yield f"allow {headers.get('allow')} with {status}"
    if status in {429, 503} and not re.fullmatch(r"[1-9]\d*", headers.get("retry-after", "")):
        yield f"retry-after {headers.get('retry-after')}"


def _limits(answer: httpx2.Response, *, checked: bool | None) -> Iterator[str]:
    headers = answer.headers
    present = "ratelimit" in headers
    if any((name in headers) != present for name in ("ratelimit-policy", *_TRIPLE)):
        yield "some limit headers, but not all"
    elif checked is not None and present != checked:
        yield "no limit headers" if checked else "limit headers for nobody"
    elif present:
        yield from _consistency(headers)


def _consistency(headers: httpx2.Headers) -> Iterator[str]:
    policy, state = structured(headers["ratelimit-policy"]), structured(headers["ratelimit"])
    if policy is None or state is None or list(policy) != list(state):
        yield f"limits {headers['ratelimit-policy']} and {headers['ratelimit']}"
        return
    if any(set(each) != {"q", "w"} or each["w"] != 60 for each in policy.values()):
        yield f"policy {policy}"
    if any(set(each) != {"r", "t"} or each["t"] > 60 for each in state.values()):
        yield f"state {state}"
    tightest = min(state, key=lambda name: state[name]["r"])
    expected = [policy[tightest]["q"], state[tightest]["r"], state[tightest]["t"]]
    if [int(headers[name]) for name in _TRIPLE] != expected:
        yield f"triple {[headers[name] for name in _TRIPLE]}, not {expected}"


def structured(text: str) -> dict[str, dict[str, int]] | None:
    """A list of strings with integer parameters (RFC 9651, section 3.1); None for what is none."""
    items = {}
    for part in text.split(", "):
        item = _ITEM.fullmatch(part)
        if item is None:
            return None
        pairs = (pair.split("=") for pair in item[2][1:].split(";"))
        items[item[1]] = {name: int(value) for name, value in pairs}
    return items


def _times(value: Any, name: str = "") -> Iterator[str]:
    """Every time that is not RFC 3339 in UTC with milliseconds and ``Z``, wherever it stands."""
    if isinstance(value, dict):
        # A description's examples and patterns are no times.
        for key, child in value.items() if "openapi" not in value else ():
            yield from _times(child, key)
    elif isinstance(value, list):
        for child in value:
            yield from _times(child, name)
    elif isinstance(value, str) and (_LIKE_A_TIME.fullmatch(value) or _TIME_FIELD.fullmatch(name)):
        yield from () if TIME.fullmatch(value) else (f"time {name}={json.dumps(value)}",)


def without_id(answer: httpx2.Response) -> tuple[int, bytes, list[tuple[str, str]]]:
    """Status, body and headers without what must differ from answer to answer."""
    request_id = answer.headers["x-request-id"]
    moving = {"x-request-id", "date", "ratelimit", "x-ratelimit-remaining", "x-ratelimit-reset"}
    headers = [(name, value) for name, value in answer.headers.multi_items() if name not in moving]
    return answer.status_code, answer.content.replace(request_id.encode(), b"-"), sorted(headers)
