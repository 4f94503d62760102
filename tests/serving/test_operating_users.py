"""Operators' commands for accounts, beside a running server."""

from __future__ import annotations

import re

import httpx2
from tests.e2e.processes import ServerProcess, admin

EMAIL, PASSWORD = "ann@example.com", "unhappy-violet-otter"
SESSION = "__Host-aitbc-session"


def send(server: ServerProcess, path: str, cookies: dict[str, str], **fields: str) -> httpx2.Response:
    """Open a page and send its form; cookies are kept by hand, for no browser would take these over HTTP."""
    page = _request(server, "GET", path, cookies)
    token = re.search(r'name="csrf" value="([^"]+)"', page.text)
    assert token is not None, page.text
    action = path.partition("?")[0]
    return _request(server, "POST", action, cookies, data={"csrf": token[1], **fields})


def _request(
    server: ServerProcess, method: str, path: str, cookies: dict[str, str], data: dict[str, str] | None = None
) -> httpx2.Response:
    headers = {"cookie": "; ".join(f"{name}={value}" for name, value in cookies.items()), "origin": server.url}
    answer = httpx2.request(method, f"{server.url}{path}", headers=headers, data=data)
    for line in answer.headers.get_list("set-cookie"):
        name, _, rest = line.partition("=")
        cookies[name] = rest.partition(";")[0]
    return answer


def test_from_the_command_line_to_a_session_and_out_again(server: ServerProcess) -> None:
    """ASVS 6.4.1, 7.4.2, 7.4.5: a link, once; ended sessions and disabled accounts are out with the next request."""
    made = server.admin("create-user", "--email", EMAIL, "--operator")
    assert (made["email"], made["is_operator"], made["status"]) == (EMAIL, True, "invited")
    # The server took any port that was free, and wrote down which.
    assert made["link"].startswith(f"http://localhost:{server.port}/reset-password?token=")
    path = "/reset-password?" + made["link"].partition("?")[2]
    cookies: dict[str, str] = {}
    done = send(server, path, cookies, token=path.partition("=")[2], password=PASSWORD)
    assert (done.status_code, done.headers["location"]) == (303, "/")
    assert _request(server, "GET", path, {}).status_code == 404
    assert _request(server, "GET", "/settings", cookies).status_code == 200
    assert server.admin("end-sessions", "--email", EMAIL) == {"email": EMAIL, "ended_sessions": 1}
    assert _request(server, "GET", "/settings", cookies).status_code == 303
    cookies.clear()
    assert send(server, "/sign-in", cookies, email=EMAIL, password=PASSWORD).status_code == 303
    assert _request(server, "GET", "/settings", cookies).status_code == 200
    assert server.admin("disable-user", "--email", EMAIL)["status"] == "disabled"
    assert _request(server, "GET", "/settings", cookies).status_code == 303
    assert send(server, "/sign-in", {}, email=EMAIL, password=PASSWORD).status_code == 422
    assert server.admin("enable-user", "--email", EMAIL)["status"] == "active"
    assert send(server, "/sign-in", {}, email=EMAIL, password=PASSWORD).status_code == 303
    assert server.admin("verify-audit")["findings"] == []


def test_what_people_read(server: ServerProcess) -> None:
    """The link alone on standard output; mistakes are named; the password of an account in use is nobody's to set."""
    variables = {**server.variables, "AITBC_PUBLIC_URL": "https://aitbc.example"}
    made = admin(server.data_dir, "create-user", "--email", EMAIL, variables=variables)
    assert re.fullmatch(r"https://aitbc\.example/reset-password\?token=[\w-]{43}\n", made.stdout)
    assert "Created the user ann@example.com." in made.stderr
    path = "/reset-password?" + made.stdout.strip().partition("?")[2]
    send(server, path, {}, token=path.partition("=")[2], password=PASSWORD)
    for arguments, words in (
        (("create-user", "--email", EMAIL), "error: There is an account with the address ann@example.com already."),
        (("create-user", "--email", "ann"), "error: email: must look like ann@example.com"),
        (
            ("disable-user", "--email", "bob@example.com"),
            "error: There is no account with the address bob@example.com.",
        ),
    ):
        ran = admin(server.data_dir, *arguments, variables=variables)
        assert ran.returncode != 0
        assert ran.stdout == ""
        assert words in ran.stderr
    ended = admin(server.data_dir, "end-sessions", "--email", EMAIL, variables=variables)
    assert ended.stderr.strip() == "ann@example.com is signed out: 1 session ended."
