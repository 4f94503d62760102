"""Every setting of the server: its variable, how its text is read, and what the reference says of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from aitbc_server import setting_types as types
from aitbc_server.valkey import urls


class Setting(NamedTuple):
    """One variable: the field that it fills, and its documentation for the reference.

    ``parse`` raises ValueError; the user then reads ``expected`` and what was given, unless it is ``secret``.
    """

    name: str
    field: str
    parse: Callable[[str], Any]
    expected: str
    meaning: str
    default: str
    example: str
    secret: bool = False


SETTINGS: tuple[Setting, ...] = (
    Setting(
        "AITBC_DATA_DIR",
        "data_dir",
        types.folder,
        "the path of a folder",
        "Where the server keeps its files: the SQLite database, the secret key, the usage journal. "
        "It is made where there is none.",
        ".aitbc",
        "/var/lib/aitbc",
    ),
    Setting(
        "AITBC_DATABASE_URL",
        "database_url",
        types.database_url,
        "an address such as postgresql://user:password@host/database",
        "A PostgreSQL database to use in place of the SQLite file in the data folder. Behind the address may stand "
        "what other clients of PostgreSQL take there: `?sslmode=verify-full&sslrootcert=/etc/aitbc/ca.pem`, "
        "`application_name`, `connect_timeout` in seconds, several `host=name:port`. There is no channel binding.",
        "(SQLite in the data folder)",
        "postgresql://aitbc@/aitbc?host=/run/postgresql",
        secret=True,
    ),
    Setting(
        "AITBC_DATABASE_CONNECTIONS",
        "database_connections",
        types.connections,
        "a whole number from 5 to 1000",
        "How many connections to PostgreSQL one process has for requests at most; it has two more for itself, three in "
        "a fleet. All processes together must stay below the database's max_connections: `aitbc admin doctor` "
        "compares those of one node.",
        "20",
        "40",
    ),
    Setting(
        "AITBC_STATEMENT_TIMEOUT_SECONDS",
        "statement_timeout_s",
        types.timeout,
        "seconds from 0.1 to 3600, or 0 for no limit",
        "After how long PostgreSQL gives one statement of the server up; the request is answered with 503. "
        "A PostgreSQL that hangs and cannot do so is waited for a second longer; without a limit, for as long as it "
        "hangs.",
        "30",
        "10",
    ),
    Setting(
        "AITBC_LOCK_TIMEOUT_SECONDS",
        "lock_timeout_s",
        types.timeout,
        "seconds from 0.1 to 3600, or 0 for no limit",
        "How long a statement of the server waits for a row or table that another one holds on PostgreSQL; "
        "then the request is answered with 503.",
        "5",
        "2",
    ),
    Setting(
        "AITBC_SECRET_KEY_FILE",
        "secret_key_file",
        types.path,
        "the path of a file",
        "A file with the secret keys, one a line, newest first, each of 32 characters or more. "
        "Everything that proves an API key right derives from them.",
        "secret.key in the data folder, made where there is none",
        "/run/secrets/aitbc",
    ),
    Setting(
        "AITBC_SECRET_KEY",
        "secret_key",
        types.secret_key,
        "secret keys of 32 characters or more, separated by commas, newest first",
        "The secret keys themselves, in place of a file.",
        "(none)",
        "made by `openssl rand -base64 48`",
        secret=True,
    ),
    Setting(
        "AITBC_HOST",
        "host",
        types.host,
        "an IP address or localhost",
        "The address to listen on; 0.0.0.0 or :: for all of the machine's.",
        "127.0.0.1",
        "0.0.0.0",  # noqa: S104 - an example in the documentation
    ),
    Setting(
        "AITBC_PORT",
        "port",
        types.port,
        "a port number from 0 to 65535",
        "The port to listen on; 0 takes any that is free.",
        "8000",
        "8443",
    ),
    Setting(
        "AITBC_PUBLIC_URL",
        "public_url",
        types.public_url,
        "an address such as https://api.example.com",
        "Under which address clients reach the server, when a proxy stands before it.",
        "(none)",
        "https://api.example.com",
    ),
    Setting(
        "AITBC_TRUSTED_PROXIES",
        "trusted_proxies",
        types.networks,
        "IP addresses or networks, separated by commas",
        "The proxies whose X-Forwarded-For is believed. From everybody else the header is ignored.",
        "(none)",
        "10.0.0.0/8, 127.0.0.1",
    ),
    Setting(
        "AITBC_CORS_ORIGINS",
        "cors_origins",
        types.origins,
        "origins such as https://app.example.com, separated by commas",
        "The sites whose pages may call the API from a browser. Pages of all others may not.",
        "(none)",
        "https://app.example.com, https://admin.example.com",
    ),
    Setting(
        "AITBC_MAX_FAILURES_PER_MINUTE",
        "max_failures_per_minute",
        types.count,
        "a whole number from 1 to 1000000",
        "How many wrong API keys one client address may send in a minute before its guesses are slowed down.",
        "30",
        "100",
    ),
    Setting(
        "AITBC_MAX_KEYS_PER_TENANT",
        "max_keys_per_tenant",
        types.count,
        "a whole number from 1 to 1000000",
        "How many API keys a tenant may have that are neither revoked nor expired. Keys that operators make or import "
        "count, and are never refused.",
        "1000",
        "5000",
    ),
    Setting(
        "AITBC_LEASE_SECONDS",
        "lease_s",
        types.seconds,
        "seconds from 1 to 86400",
        "How long a miner keeps a job without a sign of life before another one gets it.",
        "60",
        "120",
    ),
    Setting(
        "AITBC_SIGN_UP",
        "sign_up",
        types.sign_up,
        "open, invite or closed",
        "Who may make an account: everybody (open), who is invited by an operator or by a member of a tenant (invite), "
        "or only who an operator makes one for (closed).",
        "invite; for `aitbc dev`: open",
        "open",
    ),
    Setting(
        "AITBC_BREACHED_PASSWORD_CHECK",
        "breached_password_check",
        types.switch,
        "on or off",
        "Whether new passwords are looked up at api.pwnedpasswords.com, which learns five digits of a digest and never "
        "the password. Without it, and where it does not answer, common passwords are refused all the same.",
        "off",
        "on",
    ),
    Setting(
        "AITBC_LOG_LEVEL",
        "log_level",
        types.log_level,
        "debug, info, warning or error",
        "How much is logged.",
        "info",
        "warning",
    ),
    Setting(
        "AITBC_SMTP_URL",
        "smtp",
        types.smtp_server,
        "an address such as smtp://user:password@mail.example.com:587",
        "The mail server that sends mails to people. smtps:// is TLS from the first byte; smtp:// insists on STARTTLS, "
        "but for a server on this machine or with `?tls=off` behind the address. The server's certificate is checked. "
        "It needs AITBC_MAIL_FROM, and AITBC_PUBLIC_URL, which the links in mails lead to. "
        "Without it nobody can sign up or set a forgotten password anew.",
        "(none: no mail is sent)",
        "smtps://aitbc:password@mail.example.com",
        secret=True,
    ),
    Setting(
        "AITBC_MAIL_FROM",
        "mail_from",
        types.mail_from,
        "an e-mail address, with a name or without, such as AITBC <no-reply@example.com>",
        "Who mails come from.",
        "(none)",
        "AITBC <no-reply@example.com>",
    ),
    Setting(
        "AITBC_WORKERS",
        "workers",
        types.workers,
        "a whole number from 1 to 256",
        "How many processes serve requests on the one port. More than one needs AITBC_DATABASE_URL and "
        "AITBC_VALKEY_URL, in which they share what they know. Each has its metrics on an address of its own: "
        "the port of AITBC_METRICS_ADDRESS, and those that follow it.",
        "1",
        "4",
    ),
    Setting(
        "AITBC_VALKEY_URL",
        "valkey_url",
        types.valkey_url,
        urls.EXPECTED,
        "The Valkey or Redis server, or the Sentinels or the cluster, in which several nodes share limits, counts and "
        "revocations. The nodes share a PostgreSQL database too. It is one installation's alone: a server with another "
        "database does not start on it.",
        "(none)",
        "valkey://valkey.internal:6379",
        secret=True,
    ),
    Setting(
        "AITBC_METRICS_ADDRESS",
        "metrics_address",
        types.listening_address,
        "an IP address and a port, such as 127.0.0.1:9464",
        "Where Prometheus may read metrics, apart from the API. Nothing asks for a key there: "
        "choose an address that only your monitoring reaches.",
        "(none: no metrics)",
        "127.0.0.1:9464",
    ),
    Setting(
        "AITBC_TRACES_URL",
        "traces_url",
        types.http_url,
        "an address such as http://127.0.0.1:4318/v1/traces",
        "Where traces are sent, by OTLP over HTTP. It needs `pip install 'aitbc[otel]'`.",
        "(none: no traces)",
        "http://127.0.0.1:4318/v1/traces",
        secret=True,
    ),
    Setting(
        "AITBC_TRACED_SHARE",
        "traced_share",
        types.share,
        "a number from 0 to 1",
        "Which part of all requests and jobs is traced; which ones is drawn by lot.",
        "0.01",
        "0.1",
    ),
    Setting(
        "AITBC_ON_STORE_FAILURE",
        "on_store_failure",
        types.on_store_failure,
        "alone or deny",
        "What a node does while Valkey is away: keep limits by itself (alone), or refuse every request (deny).",
        "alone",
        "deny",
    ),
    Setting(
        "AITBC_USAGE_MINUTES_KEPT_DAYS",
        "usage_minutes_kept_days",
        types.days,
        "a whole number of days from 1 to 36500",
        "For how many days usage is kept by the minute. Charts of an hour and refusals of the last week are made of "
        "that. Older usage is there by the hour and by the day.",
        "7",
        "31",
    ),
    Setting(
        "AITBC_USAGE_HOURS_KEPT_DAYS",
        "usage_hours_kept_days",
        types.days,
        "a whole number of days from 1 to 36500",
        "For how many days usage is kept by the hour; no fewer than minutes are kept.",
        "90",
        "366",
    ),
    Setting(
        "AITBC_USAGE_DAYS_KEPT_DAYS",
        "usage_days_kept_days",
        types.days_or_for_ever,
        "a whole number of days from 1 to 36500, or forever",
        "For how many days usage is kept by the day; no fewer than hours are kept.",
        "forever",
        "731",
    ),
)
