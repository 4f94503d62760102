"""Settings: every mistake is named in one go, no secret is ever shown, nothing is ignored in silence."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

import pytest

from aitbc_server.secret_keys import SecretKeyError
from aitbc_server.setting_rows import SETTINGS
from aitbc_server.settings import SettingError, Settings, unknown

SECRET = "s" * 32

GOOD = {
    "AITBC_DATA_DIR": "/srv/aitbc",
    "AITBC_DATABASE_URL": "postgresql://aitbc:pw@db.example.com/aitbc",
    "AITBC_SECRET_KEY": f"{SECRET},{'t' * 40}",
    "AITBC_HOST": "localhost",
    "AITBC_PORT": "0",
    "AITBC_PUBLIC_URL": "https://api.example.com/",
    "AITBC_TRUSTED_PROXIES": "10.0.0.0/8, ::1",
    "AITBC_MAX_FAILURES_PER_MINUTE": "5",
    "AITBC_LEASE_SECONDS": "2.5",
    "AITBC_LOG_LEVEL": "WARNING",
    "AITBC_SMTP_URL": "smtps://aitbc:pw@mail.example.com",
    "AITBC_MAIL_FROM": "AITBC <no-reply@example.com>",
    "AITBC_SIGN_UP": "Closed",
    "AITBC_BREACHED_PASSWORD_CHECK": "on",
    "AITBC_WORKERS": "1",
}


def problems(**environ: str) -> list[str]:
    """What is wrong with these variables."""
    with pytest.raises(SettingError) as caught:
        Settings.from_env(environ)
    return caught.value.problems


def test_nothing_needs_to_be_set() -> None:
    """Without any variable the server listens on this machine only; an empty variable counts as not set."""
    assert Settings.from_env({}) == Settings()
    assert Settings.from_env({"AITBC_PORT": "", "AITBC_SECRET_KEY": ""}) == Settings()
    assert (Settings().host, Settings().port) == ("127.0.0.1", 8000)


def test_every_variable_reaches_its_field() -> None:
    """Each setting is read, in the form that the server works with."""
    settings = Settings.from_env(GOOD)
    assert settings.data_dir == Path("/srv/aitbc")
    assert (settings.host, settings.port, settings.public_url) == ("127.0.0.1", 0, "https://api.example.com")
    assert settings.trusted_proxies == (ip_network("10.0.0.0/8"), ip_network("::1"))
    assert (settings.max_failures_per_minute, settings.lease_s, settings.log_level) == (5, 2.5, "warning")
    assert settings.smtp is not None
    assert (settings.smtp.host, str(settings.mail_from)) == ("mail.example.com", "AITBC <no-reply@example.com>")
    assert (settings.sign_up, settings.breached_password_check) == ("closed", True)
    assert len(settings.load_secret_keys().versions) == 2
    assert {setting.field for setting in SETTINGS} <= set(Settings.__struct_fields__)


def test_all_mistakes_are_named_at_once() -> None:
    """One line for each: which, what was expected, what was given."""
    found = problems(AITBC_PORT="80a", AITBC_HOST="nowhere", AITBC_LOG_LEVEL="loud", AITBC_LEASE_SECONDS="nan")
    assert found == [
        "AITBC_HOST: expected an IP address or localhost; got 'nowhere'",
        "AITBC_PORT: expected a port number from 0 to 65535; got '80a'",
        "AITBC_LEASE_SECONDS: expected seconds from 1 to 86400; got 'nan'",
        "AITBC_LOG_LEVEL: expected debug, info, warning or error; got 'loud'",
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AITBC_PORT", "65536"),
        ("AITBC_PORT", "-1"),
        ("AITBC_PORT", "8_0"),
        ("AITBC_PORT", "\u0668\u0660"),
        ("AITBC_HOST", "::1::"),
        ("AITBC_DATA_DIR", "/etc/passwd"),
        ("AITBC_DATA_DIR", "a\0b"),
        ("AITBC_DATABASE_URL", "sqlite:///other.db"),
        ("AITBC_DATABASE_URL", "mysql://db/aitbc"),
        ("AITBC_DATABASE_URL", "postgresql://db"),
        ("AITBC_DATABASE_URL", "nonsense"),
        ("AITBC_SECRET_KEY", "short"),
        ("AITBC_PUBLIC_URL", "api.example.com"),
        ("AITBC_PUBLIC_URL", "https://"),
        ("AITBC_PUBLIC_URL", "https://api.example.com/path"),
        ("AITBC_PUBLIC_URL", "https://user@api.example.com"),
        ("AITBC_PUBLIC_URL", "https://api.example.com:0"),
        ("AITBC_TRUSTED_PROXIES", "10.0.0.1/8"),
        ("AITBC_TRUSTED_PROXIES", "proxy.example.com"),
        ("AITBC_MAX_FAILURES_PER_MINUTE", "0"),
        ("AITBC_LEASE_SECONDS", "0.5"),
        ("AITBC_LEASE_SECONDS", "soon"),
        ("AITBC_LOG_LEVEL", "trace"),
        ("AITBC_WORKERS", "2"),
        ("AITBC_WORKERS", "0"),
        ("AITBC_VALKEY_URL", "http://127.0.0.1"),
        ("AITBC_VALKEY_URL", "valkey+sentinel://127.0.0.1"),
        ("AITBC_ON_STORE_FAILURE", "shrug"),
    ],
)
def test_what_cannot_be_is_refused(name: str, value: str) -> None:
    """A value that the server would misread, or that this release cannot honour, stops the start."""
    assert [problem.partition(":")[0] for problem in problems(**{name: value})] == [name]


def test_no_secret_is_shown() -> None:
    """ASVS 16.2.5: neither a message nor the settings' repr holds a secret."""
    found = problems(
        AITBC_SECRET_KEY="hunter2",
        AITBC_DATABASE_URL="mysql://root:hunter2@db/x",
        AITBC_VALKEY_URL="http://:hunter2@c",
    )
    assert len(found) == 3
    assert "hunter2" not in "".join(found)
    assert SECRET not in repr(Settings.from_env(GOOD))
    assert "pw" not in repr(Settings.from_env(GOOD))


def test_two_places_for_the_secret_key_are_one_too_many(tmp_path: Path) -> None:
    """Which of the two would hold is not left to chance."""
    assert problems(AITBC_SECRET_KEY=SECRET, AITBC_SECRET_KEY_FILE=str(tmp_path / "key")) == [
        "AITBC_SECRET_KEY and AITBC_SECRET_KEY_FILE: expected one of them; got both"
    ]


def test_a_named_secret_key_file_is_never_made(tmp_path: Path) -> None:
    """A path with a typing error must not give birth to a new secret key, under which no API key works."""
    settings = Settings.from_env({"AITBC_SECRET_KEY_FILE": str(tmp_path / "typo")})
    with pytest.raises(SecretKeyError, match="typo cannot be read: no such file"):
        settings.load_secret_keys()
    assert not (tmp_path / "typo").exists()
    (tmp_path / "typo").write_text(f"{SECRET}\n# the old one:\n{'o' * 32}\n", encoding="utf-8")
    assert len(settings.load_secret_keys().versions) == 2


def test_the_default_secret_key_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    """Without a setting the key is in the data folder, 0600, and the same at the next start (ASVS 13.3.1)."""
    settings = Settings(data_dir=tmp_path)
    version = settings.load_secret_keys().newest
    assert settings.own_secret_key_file.stat().st_mode & 0o777 == 0o600
    assert settings.load_secret_keys().newest == version


def test_unknown_variables_are_warned_about_with_what_was_meant() -> None:
    """A setting with a typing error has no effect, and is not passed over; other programs' variables are."""
    environ = {"AITBC_PROT": "1", "AITBC_FLUX": "1", "AITBC_API_KEY": "k", "AITBC_BASE_URL": "u", "PATH": "/bin"}
    environ |= {"AITBC_TENANT_ID": "t", "AITBC_PROFILE": "p", "AITBC_PORT": "1"}
    assert unknown(environ) == [
        "AITBC_FLUX has no effect: there is no such setting",
        "AITBC_PROT has no effect: there is no such setting; did you mean AITBC_PORT?",
    ]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://u@/db?host=/run/pg", "postgresql+asyncpg://u@/db?host=%2Frun%2Fpg"),
        ("postgres://u@h/db", "postgresql+asyncpg://u@h/db"),
        ("postgresql://u@h/db?sslmode=require", "postgresql+asyncpg://u@h/db?sslmode=require"),
        ("", "sqlite+aiosqlite:///d/aitbc.db"),
    ],
)
def test_database_urls_as_people_write_them(url: str, expected: str) -> None:
    """The address is what every other PostgreSQL client takes; without one, SQLite is in the data folder."""
    settings = Settings(data_dir=Path("d"), database_url=url)
    assert settings.sqlalchemy_url.render_as_string(hide_password=False) == expected


def test_a_mail_server_needs_to_know_who_sends_and_where_links_lead() -> None:
    """Said when the server starts, not by a mail that arrives with a link to nowhere."""
    assert problems(AITBC_SMTP_URL="smtp://mail.example.com") == [
        "AITBC_MAIL_FROM: expected beside AITBC_SMTP_URL, such as AITBC <no-reply@example.com>; it is not set",
        "AITBC_PUBLIC_URL: expected beside AITBC_SMTP_URL, for the links in mails; it is not set",
    ]
    found = problems(AITBC_SMTP_URL="smtp://mail.example.com", AITBC_MAIL_FROM="nobody", AITBC_PUBLIC_URL="nowhere")
    assert [line.partition(":")[0] for line in found] == ["AITBC_PUBLIC_URL", "AITBC_MAIL_FROM"]


FLEET = {"AITBC_DATABASE_URL": "postgresql://db/aitbc", "AITBC_VALKEY_URL": "valkey://store", "AITBC_WORKERS": "2"}


@pytest.mark.parametrize(
    "environ",
    [
        {"AITBC_METRICS_ADDRESS": "127.0.0.1:8000"},
        {"AITBC_METRICS_ADDRESS": "0.0.0.0:8000"},
        {"AITBC_METRICS_ADDRESS": "[::]:8000"},
        {"AITBC_METRICS_ADDRESS": "[::ffff:127.0.0.1]:8000"},
        {"AITBC_METRICS_ADDRESS": "127.0.0.1:9", "AITBC_HOST": "::", "AITBC_PORT": "9"},
        {"AITBC_METRICS_ADDRESS": "127.0.0.1:7999"} | FLEET,
    ],
)
def test_metrics_are_not_on_the_address_of_the_api(environ: dict[str, str]) -> None:
    """Two listeners on one port cannot be: not at one address, not where one is all of them, not for any worker."""
    [problem] = problems(**environ)
    assert problem.startswith("AITBC_METRICS_ADDRESS: expected another port than that of the API, AITBC_PORT, which is")
    assert problem.endswith(f"got {environ['AITBC_METRICS_ADDRESS'].replace('::ffff:127.0.0.1', '::ffff:7f00:1')}")


def test_every_worker_has_a_port_for_its_metrics() -> None:
    """Behind the last port there is none: the operating system would choose one that nobody knows."""
    [problem] = problems(AITBC_METRICS_ADDRESS="127.0.0.1:65535", **FLEET)
    assert problem == (
        "AITBC_METRICS_ADDRESS: expected a port up to 65534, as each of the 2 workers has the next one;"
        " got 127.0.0.1:65535"
    )


@pytest.mark.parametrize(
    "environ",
    [
        {"AITBC_METRICS_ADDRESS": "127.0.0.1:65535"},
        {"AITBC_METRICS_ADDRESS": "127.0.0.1:65534"} | FLEET,
        {"AITBC_METRICS_ADDRESS": "127.0.0.1:0", "AITBC_PORT": "0"},
        {"AITBC_METRICS_ADDRESS": "127.0.0.1:8001"} | FLEET,
        {"AITBC_METRICS_ADDRESS": "127.0.0.1:8000", "AITBC_HOST": "10.0.0.1"},
    ],
)
def test_metrics_may_be_beside_the_api(environ: dict[str, str]) -> None:
    """On another port, or at another address of the machine."""
    assert Settings.from_env(environ).metrics_address


@pytest.mark.parametrize("url", ["http://mail", "smtp://user@mail", "smtps://user:hidden@mail?tls=off"])
def test_a_wrong_mail_server_is_named_without_its_password(url: str) -> None:
    """ASVS 16.2.5: the value is not shown."""
    [problem] = problems(AITBC_SMTP_URL=url)
    assert problem.startswith("AITBC_SMTP_URL: expected an address such as smtp://")
    assert "hidden" not in problem


def test_strangers_get_an_account_only_where_somebody_says_so() -> None:
    """ASVS 6.3.2: by default an account needs an invitation; on a development server there is nobody to give one."""
    assert Settings().sign_up_policy == "invite"
    assert Settings(dev=True).sign_up_policy == "open"
    assert Settings(sign_up="open").sign_up_policy == "open"
    for name, text in (("AITBC_SIGN_UP", "everybody"), ("AITBC_BREACHED_PASSWORD_CHECK", "1")):
        [problem] = problems(**{name: text})
        assert problem.startswith(f"{name}: expected o")
        assert problem.endswith(f"got '{text}'")


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        (Settings(), "http://localhost:8000"),
        (Settings(host="0.0.0.0", port=81), "http://localhost:81"),  # noqa: S104
        (Settings(host="10.0.0.1"), "http://10.0.0.1:8000"),
        (Settings(host="2001:db8::1"), "http://[2001:db8::1]:8000"),
        (Settings(public_url="https://api.example.com"), "https://api.example.com"),
    ],
)
def test_links_in_mails_lead_to_where_people_reach_the_server(settings: Settings, url: str) -> None:
    """The public address where there is one, else the one that it listens on."""
    assert settings.site_url == url
