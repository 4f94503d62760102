"""What every feature is built on: the database and the ways to read, change and record."""

from __future__ import annotations

from functools import partial

from aitbc_server.api_keys.credentials.digests import SecretDigests
from aitbc_server.api_keys.revocations import RevocationFile
from aitbc_server.audit.service import AuditLog
from aitbc_server.clock import Clock
from aitbc_server.db.engine import Database, Tuning
from aitbc_server.db.fences import Fences, LocalFences, SharedFences
from aitbc_server.db.installation_id import installation_id
from aitbc_server.db.unit_of_work import UnitsOfWork
from aitbc_server.fleet import SharedStore
from aitbc_server.gate.cache import CredentialCache
from aitbc_server.gate.numbers import NodeNumbers
from aitbc_server.idempotency.service import IdempotencyKeys
from aitbc_server.mail.outbox import Mailbox
from aitbc_server.pagination import Cursors
from aitbc_server.settings import Settings
from aitbc_server.tracing.tracer import tracer_to


class Foundation:
    """Made once for a server. Nothing is opened yet: the database is when it is first used."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self.settings = settings
        self.clock = clock
        self.secret_keys = settings.load_secret_keys()
        self.database = Database(
            settings.sqlalchemy_url,
            Tuning(settings.database_connections, settings.statement_timeout_s, settings.lock_timeout_s),
        )
        self.cache = CredentialCache()
        # None: this process shares nothing with others.
        self.shared = self._shared_store()
        self.tracer = tracer_to(settings.traces_url, settings.traced_share) if settings.traces_url else None
        self.numbers = NodeNumbers() if settings.metrics_address else None
        revoked = RevocationFile(settings.data_dir)
        self.units = UnitsOfWork(self.database, self._fences(), clock, note_ended=revoked.note)
        self.digests = SecretDigests(self.secret_keys)
        self.audit = AuditLog(self.secret_keys, clock)
        self.cursors = Cursors(self.secret_keys)
        self.idempotency = IdempotencyKeys(self.units)
        self.mailbox = Mailbox(self.secret_keys, clock, works=settings.sends_mail)

    def _shared_store(self) -> SharedStore | None:
        if not self.settings.valkey_url:
            return None
        return SharedStore(self.settings.valkey_url, self.cache, partial(installation_id, self.database))

    def _fences(self) -> Fences:
        if self.shared is None:
            return LocalFences(self.cache.drop)
        return SharedFences(self.shared.raise_fences, self.cache.drop)
