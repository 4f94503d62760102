"""The SDK's calls, from the signatures and docstrings of its resources."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

from msgspec import UNSET
from tools.docs.pages import from_docstring

from aitbc.resources.api_keys import ApiKeys
from aitbc.resources.audit import AuditLog
from aitbc.resources.jobs import Jobs
from aitbc.resources.miners import Miners
from aitbc.resources.usage import UsageCounts

MAX_LINE = 100

RESOURCES: dict[str, type[Any]] = {
    "jobs": Jobs,
    "miners": Miners,
    "api_keys": ApiKeys,
    "usage": UsageCounts,
    "audit": AuditLog,
}


def reference() -> str:
    """A section for each resource, and in it one for each call, in the order of the code."""
    return "\n\n".join(section for name, resource in RESOURCES.items() for section in _resource(name, resource))


def _resource(name: str, resource: type[Any]) -> Iterator[str]:
    yield f"## `client.{name}`\n\n{_text(resource)}"
    for method_name, method in vars(resource).items():
        if inspect.isfunction(method) and not method_name.startswith("_"):
            yield f"### `{name}.{method_name}`\n\n```python\n{_signature(name, method)}\n```\n\n{_text(method)}"


def _signature(resource: str, method: Callable[..., Any]) -> str:
    signature = inspect.signature(method)
    shown = []
    for name, parameter in signature.parameters.items():
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and "*" not in shown:
            shown.append("*")
        if name != "self":
            shown.append(_parameter(parameter))
    line = f"client.{resource}.{method.__name__}({', '.join(shown)})"
    if len(line) > MAX_LINE:
        line = "\n".join([line.partition("(")[0] + "(", *(f"    {each}," for each in shown), ")"])
    return f"{line} -> {_answer(str(signature.return_annotation))}"


def _parameter(parameter: inspect.Parameter) -> str:
    annotation = str(parameter.annotation).replace(" | UnsetType", "")
    if parameter.default is inspect.Parameter.empty:
        return f"{parameter.name}: {annotation}"
    # "..." for what stays as it is unless it is passed.
    default = "..." if parameter.default is UNSET else repr(parameter.default)
    return f"{parameter.name}: {annotation} = {default}"


def _answer(annotation: str) -> str:
    """What the call gives back: ``Call[Page[Job]]`` is iterated over."""
    inner = re.fullmatch(r"(?:Call|Flow)\[(.*)\]", annotation)
    answer = inner[1] if inner else annotation
    page = re.fullmatch(r"Page\[(.*)\]", answer)
    return f"Iterator[{page[1]}]" if page else answer


def _text(documented: Any) -> str:
    return from_docstring(inspect.getdoc(documented) or "")
