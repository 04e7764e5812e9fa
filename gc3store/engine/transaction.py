"""Transactions of a store: on the backend, and on the identities of the objects in memory."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from gc3store.backend import Backend, PendingRecord
from gc3store.columns import UserColumns
from gc3store.engine.identity import IdentityMap
from gc3store.errors import ReadOnlyError
from gc3store.persistable import Identity
from gc3store.support.forking import register

__all__ = ["Transaction"]


class Transaction:
    """What a store does to its backend as a whole or not at all.

    After any failure, interrupts included, one rule holds: an object is bound to its record if the
    record is stored, and otherwise it has the identity that it had before.

    Parameters
    ----------
    backend : Backend
        Where records are kept.
    identities : IdentityMap
        The live objects of the store.
    columns : UserColumns
        The user columns of the store.

    Attributes
    ----------
    lock : RLock
        Held by a thread while it uses the store, but for plain reading.
    depth : int
        1 within a transaction, however deep it is nested; otherwise 0.
    has_doubts : bool
        Whether it is unknown of an earlier transaction whether it was committed.
    """

    def __init__(self, backend: Backend, identities: IdentityMap, columns: UserColumns) -> None:
        self.lock = threading.RLock()
        self.depth = 0
        self._backend = backend
        self._identities = identities
        self._columns = columns
        backend.columns = columns.names
        #: Where a commit can be in doubt, what the transaction has written and deleted.
        self._written: list[_Written] = []
        self._deleted: list[str] = []
        self._doubts: list[tuple[Any, list[_Written], list[str]]] = []
        self.has_doubts = False
        #: Records that were saved in doubt and are stored, by the object: a save of the same object updates them.
        self._uncertain: dict[int, _Written] = {}
        register(self)

    def locate(self) -> str | None:
        """Return the store's UUID; look for the store if it was not there before."""
        backend = self._backend
        if self._identities.store is None:
            if backend.uuid is None:
                backend.locate()
            if backend.uuid is not None:
                self._learn()
        return backend.uuid

    def _learn(self) -> None:
        """Take note of the store that is there now."""
        self._identities.store = self._backend.uuid
        self._columns.learn(self._backend.stored_columns)
        self._backend.columns = self._columns.names
        if self._backend.read_only and (pending := self._columns.pending()):
            raise ReadOnlyError(
                f"{self._backend.url} has no such column {next(iter(pending))!r}, and cannot be given one while it "
                f"is open for reading only."
            )

    def check_writable(self) -> None:
        """Raise the error that says why nothing can be written; settle what was in doubt."""
        self._backend.check_writable()
        if self._doubts:
            self._settle_doubts()

    # Whole transactions.

    @contextmanager
    def run(self) -> Iterator[None]:
        """Make one transaction of all that is done in the context; transactions nest, the outermost counts."""
        if self.depth:
            yield
            return
        try:
            self.depth = 1
            yield from self._outermost()
            self.depth = 0
        except BaseException:
            # Also where an interrupt comes at the end: a later transaction must not be taken for a nested one.
            self.depth = 0
            raise

    def _outermost(self) -> Iterator[None]:
        backend, identities = self._backend, self._identities
        backend.committed = False
        try:  # from here on, an interrupt may come anywhere
            if backend.atomic:  # elsewhere what was written stays written
                identities.begin()
            self._begin()
            yield
            backend.commit()
        except BaseException:
            try:
                self._note_doubt()
                self._roll_back()
            finally:
                if backend.atomic and backend.committed:  # the interrupt came after the commit
                    identities.commit()
                else:
                    identities.rollback()
            raise
        identities.commit()

    def _begin(self) -> None:
        backend = self._backend
        if backend.has_doubts:
            self._written, self._deleted = [], []
        if self._columns.has_pending:
            definitions = self._columns.pending()
            backend.define_columns(definitions)
            if self._identities.store is None:
                # A store that has ours alone keeps them in the order in which they were given.
                if backend.stored_columns.keys() <= definitions.keys():
                    self._identities.store = backend.uuid
                else:
                    self._learn()
            self._columns.defined()
        backend.begin()
        if self._identities.store is None:
            self._learn()

    def _roll_back(self) -> None:
        """Let the backend undo the transaction, also if an interrupt comes while it does."""
        try:
            self._backend.rollback()
        except BaseException:
            self._backend.rollback()
            raise

    # Writing.

    def write(self, records: Sequence[PendingRecord], bound: Sequence[PendingRecord]) -> None:
        """Write records, in the transaction that goes on or in one of their own, and bind objects to them.

        Parameters
        ----------
        records : sequence of PendingRecord
            What to write.
        bound : sequence of PendingRecord
            Those whose objects are these records from now on.
        """
        backend, nested, written = self._backend, self.depth, False
        if self._uncertain:
            self._reuse_ids(records)
        if not nested:
            backend.committed = False  # before an interrupt can be taken for one behind a commit
        try:
            if nested:
                backend.write(records)
                written = True
            else:
                if self._columns.has_pending or backend.has_doubts or self._identities.store is None:
                    self._begin()
                else:  # as most are
                    backend.begin()
                backend.write(records)
                if backend.has_doubts:
                    self._note_written(records)
                backend.commit()
            if nested and backend.has_doubts:
                self._note_written(records)
            self.bind(bound)
        except BaseException as error:
            try:
                if not nested:
                    self._note_doubt()
                    self._roll_back()
                elif written:  # objects would not know that they are stored
                    backend.abandon(error)
            finally:
                if not backend.atomic:
                    self.bind([record for record in bound if record.stored], confirmed=False)
                elif not nested and backend.committed:
                    self.bind(bound)
            raise

    def delete(self, ids: Sequence[str]) -> None:
        """Delete records, within a transaction."""
        self._backend.delete(ids)
        if self._backend.has_doubts:
            self._deleted += ids

    def bind(self, records: Sequence[PendingRecord] | Sequence[_Written], *, confirmed: bool = True) -> None:
        """Bind objects to their records after a write.

        As long as it is not `confirmed` that the records stay, their objects count as changed.
        """
        identities = self._identities
        if not records or identities.store is None:
            return
        replacing = {}
        for record in records:
            if record.id in identities.by_id:
                replacing[str(record.id)] = record.obj, record.revision
        if replacing:
            identities.supersede(replacing)
        for record in records:
            references = record.reference_ids() if record.references else ()
            checksum = record.encoded.checksum if confirmed else None
            if record.identity is None:
                identities.bind(
                    record.obj,
                    record.kind,
                    record.id,  # type: ignore[arg-type]
                    record.revision,
                    checksum,
                    references,
                    verified=confirmed,
                )
            else:
                identities.advance(record.identity, record.revision, checksum, references)
            if confirmed and record.kind.marked:
                identities.mark_saved(record.obj)

    # Commits whose outcome is unknown.

    def _note_written(self, records: Sequence[PendingRecord]) -> None:
        self._written += [_Written(record) for record in records]

    def _note_doubt(self) -> None:
        """Keep what is needed to find out later whether a transaction was committed."""
        doubt = self._backend.take_doubt()
        if doubt is not None and (self._written or self._deleted):
            self._doubts.append((doubt, self._written, self._deleted))
            self.has_doubts = True
        self._written, self._deleted = [], []

    def _settle_doubts(self) -> None:
        """Find out about earlier transactions what could not be found out then."""
        while self._doubts:
            doubt, written, deleted = self._doubts[0]
            if self._backend.resolve(doubt):
                held = [record.obj for record in written]  # so that no object goes from here on
                existing = [record for record in written if record.exists]
                self.bind(existing)
                for id_ in deleted:
                    self._identities.drop(id_)
                self._uncertain = {id(record.obj): record for record in existing if record.is_new}
                del held
            del self._doubts[0]
        self.has_doubts = False

    def _reuse_ids(self, records: Sequence[PendingRecord]) -> None:
        """Let objects whose save was in doubt, and is stored, update the record that they have."""
        for record in records:
            if record.mode != "new":
                continue
            before = self._uncertain.pop(id(record.obj), None)
            if before is not None and before.obj is record.obj:
                record.mode = "changed"
                record.id, record.expected = before.id, before.revision

    # Around forks, see `gc3store.support.forking`.

    def is_busy(self) -> bool:
        """Whether another thread is within a call that a fork must not cut in two."""
        return self._backend.is_busy()

    def close_idle(self) -> None:
        """Close what is not in use."""
        self._backend.close_idle()

    def after_fork(self) -> None:
        """Forget what belongs to the parent process."""
        self.lock = threading.RLock()
        self.depth = 0
        self._backend.after_fork()


class _Written:
    """What is kept of a record until its transaction is known to be committed.

    Its object is not kept alive by that, if it can be helped: a transaction can be more than memory holds.
    """

    __slots__ = ("_obj", "encoded", "id", "identity", "is_new", "kind", "references", "revision")

    def __init__(self, record: PendingRecord) -> None:
        self.kind: Any = record.kind
        trackable = self.kind is not None and self.kind.trackable
        self._obj: Any = weakref.ref(record.obj) if trackable else record.obj
        self.identity: Identity | None = record.identity
        self.id = str(record.id)
        self.revision = record.revision
        self.references: tuple[str, ...] = record.reference_ids()
        self.is_new = record.mode == "new"
        self.encoded = _Checksum(record.encoded.checksum)

    @property
    def obj(self) -> Any:
        """The object, as long as it exists."""
        return self._obj() if self.kind is not None and self.kind.trackable else self._obj

    @property
    def exists(self) -> bool:
        """Whether there is an object, and it still exists."""
        return self.kind is not None and (not self.kind.trackable or self._obj() is not None)

    def reference_ids(self) -> tuple[str, ...]:
        return self.references


class _Checksum:
    __slots__ = ("checksum",)

    def __init__(self, checksum: bytes) -> None:
        self.checksum = checksum
