"""What a miner says of itself, as options."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from aitbc.cli.options import IntRange, combined

F = TypeVar("F", bound=Callable[..., Any])


def miner_properties(function: F) -> F:
    """The options of registering and running a miner."""
    return combined(
        click.option("--miner-id", metavar="ID", help="Its name among the key's miners. [default: the host's name]"),
        click.option(
            "--type", "types", multiple=True, metavar="TYPE", help="A type of job that it runs; may be repeated."
        ),
        click.option("--model", "models", multiple=True, metavar="NAME", help="A model that it has; may be repeated."),
        click.option("--gpu", metavar="NAME", help='Its GPU, such as "RTX 4090".'),
        click.option("--cuda", metavar="VERSION", help="Its CUDA version."),
        click.option("--vram-gb", type=click.FloatRange(min=0), metavar="N", help="Its video memory in GB."),
        click.option("--price", type=click.FloatRange(min=0), metavar="N", help="What it asks for a job."),
        click.option("--region", metavar="NAME", help="Where it is."),
        click.option(
            "--concurrency",
            type=IntRange(1, 1000),
            default=1,
            show_default=True,
            metavar="N",
            help="How many jobs it runs at once.",
        ),
    )(function)


def capabilities_from(
    *,
    types: tuple[str, ...] = (),
    models: tuple[str, ...] = (),
    gpu: str | None = None,
    cuda: str | None = None,
    vram_gb: float | None = None,
    price: float | None = None,
) -> dict[str, Any]:
    """The capabilities that the server matches constraints against; what was not given is left out."""
    offers = {
        "types": list(types),
        "models": list(models),
        "gpu": gpu,
        "cuda": cuda,
        "vram_gb": vram_gb,
        "price": price,
    }
    return {name: value for name, value in offers.items() if value not in (None, [])}
