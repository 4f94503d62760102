"""Constraints against capabilities."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitbc_server.jobs.matching import matches

RIG: dict[str, Any] = {
    "gpu": "NVIDIA GeForce RTX 4090",
    "cuda": "12.4",
    "vram_gb": 24,
    "models": ["llama3:8b", "Mistral-7B"],
    "price": 0.5,
}
TWO_GPUS: dict[str, Any] = {"gpus": [{"name": "RTX 4090", "memory_mb": 24576}, {"model": "A100", "memory_gb": 80}]}

FITS: list[tuple[dict[str, Any], dict[str, Any], str | None]] = [
    ({}, {}, None),
    ({"gpu": None, "cuda": "", "models": [], "min_vram_gb": 0}, {}, None),
    ({"gpu": "rtx 4090"}, RIG, None),
    ({"gpu": "A100"}, {"gpu": ["T4", "A100-SXM"]}, None),
    ({"gpu": "a100"}, TWO_GPUS, None),
    ({"gpu": "4090"}, {"gpu": {"name": "RTX 4090"}}, None),
    ({"cuda": "12"}, RIG, None),
    ({"cuda": "12.4.0"}, RIG, None),
    ({"cuda": "9.2"}, RIG, None),
    ({"cuda": "12.1"}, {"cuda": 12.1}, None),
    ({"min_vram_gb": 24}, RIG, None),
    ({"min_vram_gb": 24}, {"vram_mb": 24576}, None),
    ({"min_vram_gb": 16}, {"gpu_memory_gb": 16}, None),
    ({"min_vram_gb": 80}, TWO_GPUS, None),
    ({"min_vram_gb": 24, "gpu": "4090"}, TWO_GPUS, None),
    ({"models": ["llama3:8b", "mistral-7b"]}, RIG, None),
    ({"models": ["phi"]}, {"models": [{"name": "Phi"}]}, None),
    ({"region": "EU-west"}, {}, "eu-west"),
    ({"max_price": 0.5}, RIG, None),
    ({"max_price": 1}, {"price_per_hour": 1}, None),
    ({"max_price": 0}, {"price": 0}, None),
    ({"gpu": "4090", "cuda": "11.8", "min_vram_gb": 20, "models": ["llama3:8b"], "region": "x"}, RIG, "X"),
]
FITS_NOT: list[tuple[dict[str, Any], dict[str, Any], str | None]] = [
    ({"gpu": "A100"}, RIG, None),
    ({"gpu": "A100"}, {}, None),
    ({"gpu": 7}, RIG, None),
    ({"cuda": "12.5"}, RIG, None),
    ({"cuda": "12.10"}, RIG, None),
    ({"cuda": "newest"}, RIG, None),
    ({"cuda": "12"}, {"cuda": True}, None),
    ({"cuda": "12"}, {"cuda": "twelve"}, None),
    ({"min_vram_gb": 25}, RIG, None),
    ({"min_vram_gb": 1}, {}, None),
    ({"min_vram_gb": "8"}, RIG, None),
    ({"min_vram_gb": 80, "gpu": "4090"}, TWO_GPUS, None),
    ({"min_vram_gb": 100}, {**TWO_GPUS, "vram_gb": 104}, None),
    ({"models": ["llama3:8b", "phi"]}, RIG, None),
    ({"models": "llama3:8b"}, RIG, None),
    ({"models": ["phi"]}, {"models": 3}, None),
    ({"region": "eu"}, {"region": "eu"}, None),
    ({"region": "eu"}, {}, "eu-west"),
    ({"max_price": 0.49}, RIG, None),
    ({"max_price": 100}, {}, None),
    ({"max_price": 100}, {"price": "1"}, None),
    ({"max_price": 100}, {"price": 10**400}, None),
    ({"colour": "red"}, {"colour": "red"}, None),
]


@pytest.mark.parametrize(("constraints", "capabilities", "region"), FITS)
def test_a_miner_that_offers_what_is_asked_fits(
    constraints: dict[str, Any], capabilities: dict[str, Any], region: str | None
) -> None:
    """Every shape in which miners state what they have is understood."""
    assert matches(constraints, capabilities, region)


@pytest.mark.parametrize(("constraints", "capabilities", "region"), FITS_NOT)
def test_a_miner_that_lacks_something_does_not_fit(
    constraints: dict[str, Any], capabilities: dict[str, Any], region: str | None
) -> None:
    """Less than asked, nothing said, or something that cannot be read: the job is not given."""
    assert not matches(constraints, capabilities, region)


_ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
_KEYS = st.sampled_from(
    ["gpu", "gpus", "cuda", "models", "vram_gb", "vram_mb", "price", "price_per_hour", "min_vram_gb", "max_price"]
)


@given(
    constraints=st.dictionaries(_KEYS | st.just("region"), _ANY_JSON, max_size=4),
    capabilities=st.dictionaries(_KEYS, _ANY_JSON, max_size=6),
    region=st.none() | st.text(max_size=5),
)
def test_no_shape_crashes(constraints: dict[str, Any], capabilities: dict[str, Any], region: str | None) -> None:
    """Capabilities are a stranger's JSON: whatever they hold, the answer is yes or no."""
    assert matches(constraints, capabilities, region) in {True, False}
