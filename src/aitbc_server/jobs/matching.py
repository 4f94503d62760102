"""Which miner may be given which job: pure. What a job asks for in, what a miner says of itself, yes or no.

Capabilities are the miner's own JSON and may have any shape: what cannot be read offers nothing, so it never
fits a constraint and never fails.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

_VERSION = re.compile(r"\d{1,9}(?:\.\d{1,9}){0,5}")
_MB_PER_GB = 1024


class _Gpu(NamedTuple):
    name: str
    vram_gb: float | None


def matches(constraints: Mapping[str, Any], capabilities: Mapping[str, Any], region: str | None) -> bool:
    """Whether a miner with these capabilities, in this region, may run a job with these constraints.

    All constraints must hold; one that is null, empty or 0 GB asks for nothing, one that is unknown holds for
    nobody. ``gpu`` is part of a GPU's name, ``cuda`` the least version, ``min_vram_gb`` what one GPU (the one
    that ``gpu`` names) must have, ``models`` are all needed, ``max_price`` is the most that the miner may ask.
    Names are compared without regard to case.
    """
    asked = {name: value for name, value in constraints.items() if value not in (None, "", [])}
    return all(name in _CHECKS and _CHECKS[name](value, asked, capabilities, region) for name, value in asked.items())


def named_types(capabilities: Mapping[str, Any]) -> frozenset[str]:
    """The job types that a miner says it runs, as ``aitbc miners run --type`` does; none: it says nothing of them."""
    value = capabilities.get("types")
    return frozenset(name for name in value if isinstance(name, str)) if isinstance(value, list) else frozenset()


def _gpu(wanted: Any, asked: Mapping[str, Any], capabilities: Mapping[str, Any], region: str | None) -> bool:
    return any(_is_named(gpu, wanted) for gpu in _gpus(capabilities))


def _vram(wanted: Any, asked: Mapping[str, Any], capabilities: Mapping[str, Any], region: str | None) -> bool:
    least_gb = _number(wanted)
    if least_gb is None or least_gb <= 0:
        return least_gb is not None
    name = asked.get("gpu")
    found = [gpu.vram_gb for gpu in _gpus(capabilities) if name is None or _is_named(gpu, name)]
    # A miner may state its memory once for all its GPUs, or without naming any.
    stated = [vram_gb for vram_gb in found if vram_gb is not None]
    overall = _memory_gb(capabilities, ("vram", "gpu_memory"))
    if not stated and overall is not None:
        stated = [overall]
    return any(vram_gb >= least_gb for vram_gb in stated)


def _cuda(wanted: Any, asked: Mapping[str, Any], capabilities: Mapping[str, Any], region: str | None) -> bool:
    least, offered = _version(wanted), _version(capabilities.get("cuda"))
    return least is not None and offered is not None and offered >= least


def _models(wanted: Any, asked: Mapping[str, Any], capabilities: Mapping[str, Any], region: str | None) -> bool:
    offered = _names(capabilities.get("models"))
    return isinstance(wanted, list) and all(isinstance(name, str) and name.casefold() in offered for name in wanted)


def _region(wanted: Any, asked: Mapping[str, Any], capabilities: Mapping[str, Any], region: str | None) -> bool:
    return isinstance(wanted, str) and region is not None and region.casefold() == wanted.casefold()


def _price(wanted: Any, asked: Mapping[str, Any], capabilities: Mapping[str, Any], region: str | None) -> bool:
    # Who names no price is not taken to work for nothing.
    price = _number(capabilities.get("price", capabilities.get("price_per_hour")))
    most = _number(wanted)
    return price is not None and most is not None and price <= most


_Check = Callable[[Any, Mapping[str, Any], Mapping[str, Any], "str | None"], bool]
_CHECKS: dict[str, _Check] = {
    "gpu": _gpu,
    "cuda": _cuda,
    "min_vram_gb": _vram,
    "models": _models,
    "region": _region,
    "max_price": _price,
}


def _gpus(capabilities: Mapping[str, Any]) -> list[_Gpu]:
    """The GPUs under ``gpu`` or ``gpus``: a name, an object with ``name`` or ``model``, or a list of these."""
    found = []
    for key in ("gpu", "gpus"):
        value = capabilities.get(key)
        for item in value if isinstance(value, list) else [value]:
            name, details = _named(item), item if isinstance(item, dict) else {}
            if name is not None:
                found.append(_Gpu(name, _memory_gb(details, ("memory", "vram"))))
    return found


def _is_named(gpu: _Gpu, wanted: Any) -> bool:
    return isinstance(wanted, str) and wanted.casefold() in gpu.name.casefold()


def _names(value: Any) -> set[str]:
    """The names in a list of names or of objects that have one, in folded case."""
    named = [_named(item) for item in value] if isinstance(value, list) else [_named(value)]
    return {name.casefold() for name in named if name is not None}


def _named(item: Any) -> str | None:
    name = item.get("name", item.get("model")) if isinstance(item, dict) else item
    return name if isinstance(name, str) else None


def _memory_gb(details: Mapping[str, Any], names: tuple[str, ...]) -> float | None:
    """The memory that an object states as ``<name>_gb`` or ``<name>_mb``."""
    for name in names:
        gb, mb = _number(details.get(f"{name}_gb")), _number(details.get(f"{name}_mb"))
        if gb is not None:
            return gb
        if mb is not None:
            return mb / _MB_PER_GB
    return None


def _number(value: Any) -> float | None:
    try:
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
    except OverflowError:
        return None


def _version(value: Any) -> tuple[int, ...] | None:
    """``"12.4"`` or 12.4 as (12, 4), without zeros at its end, so that 12 and 12.0 are the same."""
    text = str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not _VERSION.fullmatch(text):
        return None
    numbers = [int(part) for part in text.split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)
