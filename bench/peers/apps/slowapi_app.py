# mypy: disable-error-code="import-not-found, untyped-decorator"
"""FastAPI with slowapi: a key is looked up by its SHA-256, its tenant is limited by a moving window in memory."""

import hashlib
import os
from pathlib import Path
from typing import Annotated

from fastapi import Depends, FastAPI, Header, HTTPException, Request, Response
from slowapi import Limiter, _rate_limit_exceeded_handler
from slowapi.errors import RateLimitExceeded


def made() -> FastAPI:
    """The app; the file BENCH_KEYS has a key and its tenant on each line."""
    lines = Path(os.environ["BENCH_KEYS"]).read_text(encoding="ascii").splitlines()
    tenants = {_digest(key): tenant for key, tenant in (line.split("\t") for line in lines)}
    limiter = Limiter(key_func=lambda request: request.state.tenant, strategy="moving-window", headers_enabled=True)
    app = FastAPI(openapi_url=None)
    app.state.limiter = limiter
    app.add_exception_handler(RateLimitExceeded, _rate_limit_exceeded_handler)

    async def key_is_known(request: Request, x_api_key: Annotated[str, Header()]) -> None:
        tenant = tenants.get(_digest(x_api_key))
        if tenant is None:
            raise HTTPException(401)
        request.state.tenant = tenant

    @app.get("/")
    async def ready() -> Response:
        return Response()

    @app.get("/check", dependencies=[Depends(key_is_known)])
    @limiter.limit("10000000/minute")
    async def check(request: Request) -> Response:
        return Response(b'{"ok":true}', media_type="application/json")

    return app


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
