"""Answers inference jobs from any server that speaks OpenAI's chat completions API."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from aitbc.worker.runner import JobFailed, JsonObject, unsupported

if TYPE_CHECKING:
    import httpx2

JOB_TYPES = ("inference", "ai-inference", "chat", "completion")
DEFAULT_TIMEOUT_S = 600.0

# What a job may set of the upstream's request. All else stays with whoever runs the miner.
_PASSED_ON = frozenset(
    [
        "temperature",
        "top_p",
        "max_tokens",
        "max_completion_tokens",
        "stop",
        "seed",
        "presence_penalty",
        "frequency_penalty",
        "response_format",
        "tools",
        "tool_choice",
        "reasoning_effort",
    ]
)
_MAX_ANSWER_BYTES = 1 << 20
_SHOWN_OF_ERROR = 500


class OpenAIRunner:
    """Posts to ``{base_url}/v1/chat/completions``; ``base_url`` may end in ``/v1`` or not.

    ``models`` are those that it offers; a job for another one is refused, a job that names none gets the
    first. Empty: whatever the job names. May be shared between threads. Raises ValueError for a bad URL.
    """

    job_types: Sequence[str] = JOB_TYPES

    def __init__(
        self,
        base_url: str,
        *,
        api_key: str | None = None,
        models: Sequence[str] = (),
        timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> None:
        import httpx2

        self.url = _endpoint(base_url)
        self.models = tuple(models)
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        # Redirects are not followed: the key is for this server alone.
        self._http = httpx2.Client(headers=headers, timeout=timeout_s, follow_redirects=False)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def run(self, job_id: str, payload: JsonObject, cancelled: threading.Event) -> JsonObject:
        """Ask the upstream server. Its errors are the job's: ``upstream_error``. Raises JobFailed."""
        import httpx2

        request = self._request(payload)
        try:
            with self._http.stream("POST", self.url, json=request) as response:
                body = _read(response)
        except httpx2.TimeoutException as error:
            raise JobFailed("upstream_error", "the inference server did not answer in time") from error
        except httpx2.HTTPError as error:
            # Its message may name the address, which is not the client's to know.
            raise JobFailed(
                "upstream_error", f"no answer from the inference server ({type(error).__name__})"
            ) from error
        if not response.is_success:
            raise JobFailed("upstream_error", f"the inference server answered {response.status_code}{_reason(body)}")
        return _result(body, str(request["model"]))

    def _request(self, payload: JsonObject) -> JsonObject:
        if payload.get("type", JOB_TYPES[0]) not in JOB_TYPES:
            raise unsupported(payload, JOB_TYPES)
        passed_on = {name: value for name, value in payload.items() if name in _PASSED_ON}
        return {"model": self._model(payload), "messages": _messages(payload), "stream": False} | passed_on

    def _model(self, payload: JsonObject) -> str:
        model = payload.get("model", self.models[0] if self.models else None)
        if not isinstance(model, str) or not model:
            raise unsupported(payload, JOB_TYPES, ' unless it names its "model", a string')
        if self.models and model not in self.models:
            raise unsupported(payload, JOB_TYPES, f" with the model {model!r}, only with {', '.join(self.models)}")
        return model


def _endpoint(base_url: str) -> str:
    parts = urlsplit(base_url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"{base_url!r} is no address such as http://127.0.0.1:11434")
    root = base_url.rstrip("/")
    return f"{root}/chat/completions" if root.endswith("/v1") else f"{root}/v1/chat/completions"


def _messages(payload: JsonObject) -> list[Any]:
    messages, prompt = payload.get("messages"), payload.get("prompt")
    if isinstance(messages, list) and messages:
        return messages
    if isinstance(prompt, str):
        return [{"role": "user", "content": prompt}]
    raise unsupported(payload, JOB_TYPES, ' without a "prompt" (a string) or "messages" (a list)')


def _read(response: httpx2.Response) -> bytes:
    body = bytearray()
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) > _MAX_ANSWER_BYTES:
            raise JobFailed("upstream_error", f"the inference server's answer is over {_MAX_ANSWER_BYTES} bytes")
    return bytes(body)


def _reason(body: bytes) -> str:
    """What the upstream server says went wrong, in OpenAI's shape or another."""
    try:
        error = json.loads(body)["error"]
        message = error["message"] if isinstance(error, Mapping) else error
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    return f": {message[:_SHOWN_OF_ERROR]}" if isinstance(message, str) else ""


def _result(body: bytes, model: str) -> JsonObject:
    try:
        answer = json.loads(body)
        message = answer["choices"][0]["message"]
        result = {
            "text": message.get("content") or "",
            "model": answer.get("model", model),
            "usage": answer.get("usage"),
        }
        if message.get("tool_calls"):
            result["tool_calls"] = message["tool_calls"]
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        raise JobFailed("upstream_error", "the inference server's answer is no chat completion") from error
    return result
