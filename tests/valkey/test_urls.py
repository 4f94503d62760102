"""What AITBC_VALKEY_URL may say, and what it means."""

from __future__ import annotations

from pathlib import Path

import pytest
import trustme

from aitbc_server.settings import SettingError, Settings
from aitbc_server.valkey import urls
from aitbc_server.valkey.connection import Address
from aitbc_server.valkey.urls import Target


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("valkey://store", Target("single", (Address("store"),))),
        ("redis://10.0.0.1:7000/3", Target("single", (Address("10.0.0.1", 7000, database=3),))),
        ("valkey://me:p%40ss@[::1]:7000", Target("single", (Address("::1", 7000, username="me", password="p@ss"),))),
        ("valkey://:secret@store", Target("single", (Address("store", password="secret"),))),
        ("unix:///run/valkey.sock?db=2", Target("single", (Address(path="/run/valkey.sock", database=2),))),
        (
            "valkey+sentinel://:secret@a,b:7000/main/2",
            Target(
                "sentinel",
                (Address("a", 26379, password="secret"), Address("b", 7000, password="secret")),
                "main",
                Address(password="secret", database=2),
            ),
        ),
        (
            "valkey+sentinel://:secret@a/main?sentinel_username=watch&sentinel_password=other",
            Target(
                "sentinel",
                (Address("a", 26379, username="watch", password="other"),),
                "main",
                Address(password="secret"),
            ),
        ),
        (
            "valkey+sentinel://:secret@a/main?sentinel_password=",
            Target("sentinel", (Address("a", 26379),), "main", Address(password="secret")),
        ),
        (
            "redis+cluster://me:secret@a,b:7000",
            Target(
                "cluster",
                (Address("a", username="me", password="secret"), Address("b", 7000, username="me", password="secret")),
                server=Address(username="me", password="secret"),
            ),
        ),
    ],
)
def test_an_address_is_read(url: str, target: Target) -> None:
    """Each form, with all that may stand in it."""
    assert urls.parse(url) == target


@pytest.mark.parametrize(
    "url",
    [
        "",
        "store:6379",
        "http://store",
        "valkey://",
        "valkey://a,b",
        "valkey://store/one",
        "valkey://store:port",
        "valkey+ring://a",
        "valkey+sentinel://a",
        "valkey+cluster://a,",
        "valkey+cluster://a/1",
        "unix://",
        "unix+cluster:///run/valkey.sock",
        "unix:///run/valkey.sock?database=2",
        "valkey://store?ca_file=/etc/ca.pem",
        "valkey+cluster://a?sentinel_password=x",
        "valkeys://store?ca_file=/nowhere/ca.pem",
        "valkeys://store?insecure=1",
        "valkey://store/3/4",
        "valkey://store/-1",
        "valkey://store/1_0",
        "valkey://store/\u0663",
        "valkey://store:0",
        "unix:///run/valkey.sock?db=99999999999999",
    ],
)
def test_what_is_no_address_is_refused(url: str) -> None:
    """Nothing is guessed, and no option is passed over in silence."""
    with pytest.raises(ValueError):  # noqa: PT011 - whoever reads the setting says what is expected
        urls.parse(url)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("valkey://:hunter2\n@store", "line break"),
        ("valkey://:hunter2\0@store", "line break"),
        ("valkey://:hunter2%ZZ@store", "%25"),
        ("valkey://:hunter2%@store", "%25"),
        ("valkey://:hunter2%FF@store", "UTF-8"),
        ("unix://:hunter2%FF@/run/valkey.sock", "UTF-8"),
        ("valkey://:hunter2@store/99999999999999", "a database is a whole number"),
        ("valkey://:hunter2@valkey..internal", "two dots"),
        ("valkey+cluster://:hunter2@a,b..c", "two dots"),
        ("valkey://:hunter2@xn--\xfc", "foreign letters"),
        ("valkey://:hunter2@val key", "space"),
    ],
)
def test_a_mistake_is_explained_and_nothing_of_the_address_is_shown(url: str, why: str) -> None:
    """What would be read as another password or fail at each try is refused at the start. ASVS 16.2.5."""
    with pytest.raises(SettingError) as refused:
        Settings.from_env({"AITBC_VALKEY_URL": url})
    [problem] = refused.value.problems
    assert why in problem.partition("got a value that is not shown here: ")[2]
    assert "hunter2" not in problem


def test_tls_takes_an_authority_and_a_certificate_of_ones_own(tmp_path: Path) -> None:
    """As most installations have them. ASVS 12.3.2."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    own = authority.issue_cert("node")
    own.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "node.pem"))
    target = urls.parse(f"valkeys+cluster://a,b?ca_file={tmp_path}/ca.pem&cert_file={tmp_path}/node.pem")
    assert target.server.tls is not None
    assert {seed.tls for seed in target.seeds} == {target.server.tls}
    assert len(target.server.tls.get_ca_certs()) == 1
    assert urls.parse("rediss://store").seeds[0].tls is not None
    (tmp_path / "broken.pem").write_text("no certificate")
    with pytest.raises(ValueError, match="files for TLS that can be read"):
        urls.parse(f"valkeys://a?ca_file={tmp_path}/broken.pem")
