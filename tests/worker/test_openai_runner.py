"""Inference jobs against a real HTTP server that answers as an OpenAI-compatible one does."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from tests.sdk.scripted import Answer, Drop, ScriptedServer, scripted_server

from aitbc.worker import JobFailed, OpenAIRunner

USAGE = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
COMPLETION = {
    "model": "llama3:8b",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
    "usage": USAGE,
}
PROMPT = {"type": "inference", "prompt": "Hello", "model": "llama3"}


@pytest.fixture
def upstream() -> Iterator[ScriptedServer]:
    """The inference server."""
    with scripted_server() as running:
        yield running


def run(upstream: ScriptedServer, payload: dict[str, Any], path: str = "", **options: Any) -> Any:
    """The result, or the failure."""
    runner = OpenAIRunner(upstream.url + path, **options)
    try:
        return runner.run("job_1", payload, threading.Event())
    except JobFailed as failure:
        return failure
    finally:
        runner.close()


@pytest.mark.parametrize("path", ["", "/", "/v1", "/v1/"])
def test_a_prompt_is_answered(path: str, upstream: ScriptedServer) -> None:
    """It is sent as a chat of one message, with /v1 in the URL or not, and the key in its header."""
    upstream.answers(Answer(COMPLETION))
    assert run(upstream, PROMPT, path, api_key="sk-1") == {"text": "Hi", "model": "llama3:8b", "usage": USAGE}
    assert upstream.last.target == "/v1/chat/completions"
    assert upstream.last.headers["authorization"] == "Bearer sk-1"
    assert upstream.last.json == {
        "model": "llama3",
        "messages": [{"role": "user", "content": "Hello"}],
        "stream": False,
    }


def test_messages_and_settings_are_passed_on_and_nothing_else(upstream: ScriptedServer) -> None:
    """A job sets the temperature and the like; it cannot set what is the miner's."""
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]
    upstream.answers(Answer(COMPLETION))
    run(upstream, {"type": "chat", "messages": messages, "model": "m", "temperature": 0, "stream": True, "user": "x"})
    assert upstream.last.json == {"model": "m", "messages": messages, "stream": False, "temperature": 0}


def test_a_job_without_a_model_gets_the_first_that_is_offered(upstream: ScriptedServer) -> None:
    """And a job without a type is an inference job, if it has a prompt."""
    upstream.answers(Answer(COMPLETION))
    run(upstream, {"prompt": "Hello"}, models=["a", "b"])
    assert upstream.last.json["model"] == "a"


@pytest.mark.parametrize(
    ("payload", "models", "told"),
    [
        ({"type": "text-statistics", "text": "x"}, (), "inference"),
        ({"name": "i", "type": "ai-inference", "model": {"type": "python"}}, (), "unless it names its"),
        ({"type": "inference", "model": "m"}, (), 'without a "prompt"'),
        ({"type": "inference", "model": "m", "messages": []}, (), 'without a "prompt"'),
        ({"type": "inference", "prompt": "x", "model": "c"}, ("a", "b"), "only with a, b"),
    ],
)
def test_what_it_cannot_answer_is_refused_unasked(
    payload: dict[str, Any], models: tuple[str, ...], told: str, upstream: ScriptedServer
) -> None:
    """unsupported_job_type, naming what it can; the server is not asked."""
    failure = run(upstream, payload, models=models)
    assert failure.code == "unsupported_job_type"
    assert told in failure.message
    assert not upstream.requests


@pytest.mark.parametrize(
    ("step", "told"),
    [
        (Answer({"error": {"message": "model not found"}}, 404), "answered 404: model not found"),
        (Answer({"error": "busy"}, 503), "answered 503: busy"),
        (Answer(b"<html>", 500), "answered 500"),
        (Answer(b"", 302, {"Location": "http://127.0.0.1:1/"}), "answered 302"),
        (Answer(b"<html>"), "no chat completion"),
        (Answer({"choices": []}), "no chat completion"),
        (Answer({"choices": ["x"]}), "no chat completion"),
        (Answer(b"x" * 2_000_000), "over 1048576 bytes"),
        (Drop(), "no answer from the inference server"),
    ],
)
def test_its_errors_are_the_jobs(step: Any, told: str, upstream: ScriptedServer) -> None:
    """upstream_error, with what the server says and without its address."""
    upstream.answers(step)
    failure = run(upstream, PROMPT)
    assert failure.code == "upstream_error"
    assert told in failure.message
    assert "127.0.0.1" not in failure.message


def test_a_slow_server_is_not_waited_for_for_ever(upstream: ScriptedServer) -> None:
    """The timeout is upstream_error too."""
    from tests.sdk.scripted import Hang

    upstream.answers(Hang())
    assert "in time" in run(upstream, PROMPT, timeout_s=0.2).message


def test_tool_calls_come_back(upstream: ScriptedServer) -> None:
    """A model that calls a tool says no text."""
    calls = [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    upstream.answers(Answer({"choices": [{"message": {"content": None, "tool_calls": calls}}]}))
    assert run(upstream, PROMPT) == {"text": "", "model": "llama3", "usage": None, "tool_calls": calls}


def test_a_bad_url_is_refused_at_once() -> None:
    """Before a job comes."""
    with pytest.raises(ValueError, match="no address"):
        OpenAIRunner("localhost:11434")
