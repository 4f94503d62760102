"""nginx + Lua, as the gateways built on it check a key and limit its tenant: in memory, or with Valkey.

Best configuration: one worker on one core, no access log, connections kept alive on both sides; keys are looked up in
a Lua table of the worker (quicker than a shared dict), the script is called by its digest over a pool of connections.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Literal

from bench.common.processes import Server, free_port, running
from bench.peers import debian

NAME = "nginx"
PATH = "/check"

PACKAGES = (
    "nginx",
    "libnginx-mod-http-lua",
    "libnginx-mod-http-ndk",
    "libluajit2-5.1-2",
    "libpcre3",
    "lua-nginx-redis",
    "lua-resty-core",
    "lua-resty-lrucache",
)

Variant = Literal["memory", "gcra", "exact"]

LUA = Path(__file__).with_name("lua")

_CONFIG = """\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr error;
load_module {root}/usr/lib/nginx/modules/ndk_http_module.so;
load_module {root}/usr/lib/nginx/modules/ngx_http_lua_module.so;
events {{ worker_connections 4096; use epoll; multi_accept on; }}
http {{
    access_log off;
    default_type application/json;
    keepalive_timeout 600s;
    keepalive_requests 1000000000;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    lua_package_path "{lua}/?.lua;{root}/usr/share/lua/5.1/?.lua;;";
    lua_shared_dict windows 64m;
    init_by_lua_block {{
        require "resty.core"
        bench = {{keys_file = "{keys}", valkey_port = {valkey_port}, script = "{script}"}}
        bench.check = require "{variant}"
    }}
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        location = / {{ return 200 "ready"; }}
        location = /check {{ content_by_lua_block {{ bench.check() }} }}
    }}
}}
"""


def installed() -> Path:
    """nginx, unpacked. Raises MissingPeerError."""
    return debian.unpacked(NAME, PACKAGES)


def versions() -> dict[str, str]:
    """Of what is installed."""
    return debian.versions(installed(), ("nginx", "libnginx-mod-http-lua", "libluajit2-5.1-2", "lua-nginx-redis"))


def running_nginx(
    variant: Variant,
    known: Iterable[Sequence[str]],
    folder: Path,
    *,
    core: int,
    store: Server | None = None,
    script: str = "",
) -> AbstractContextManager[Server]:
    """Run it on ``core``. ``known`` are key, tenant and what else the variant's Lua reads, for each key.

    ``folder`` is empty and its own; ``store`` is a Valkey that knows ``script``, named by its digest.
    """
    root, port, keys = installed(), free_port(), folder / "keys.txt"
    folder.mkdir(exist_ok=True)
    keys.write_text("".join("\t".join(words) + "\n" for words in known), encoding="ascii")
    config = folder / "nginx.conf"
    config.write_text(
        _CONFIG.format(
            folder=folder,
            root=root,
            lua=LUA,
            keys=keys,
            port=port,
            variant=variant,
            valkey_port=store.port if store else 0,
            script=script,
        ),
        encoding="utf-8",
    )
    return running(
        [str(root / "usr/sbin/nginx"), "-p", str(folder), "-c", str(config), "-e", "stderr"],
        core=core,
        port=port,
        env={"LD_LIBRARY_PATH": debian.library_path(root)},
        beside=[store] if store else [],
    )
