"""A whole backend, with records in memory: a model for authors of backends.

`MemoryBackend` is what an author writes, and `MemoryStore` is the store that is made of it; all else is
the work of `RecordStore`. The rows themselves are in a `tests.memory_place.Place`, which any number of
processes can use at the same time, as they can use a database server.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from multiprocessing.connection import Client, Connection
from typing import Any

from gc3store.backend import (
    Backend,
    Changes,
    OpenMode,
    PendingRecord,
    PutBackError,
    StoredRecord,
    check_revision,
    not_found,
)
from gc3store.engine import RecordStore
from gc3store.errors import StoreUnavailableError
from gc3store.format import entry_to_json, record_from_json
from gc3store.ids import make_id, number_of
from gc3store.pickling import Source
from gc3store.query import Query
from gc3store.record import Record
from gc3store.support.provenance import environment_text

from .memory_place import Row


class MemoryBackend(Backend):
    """Records in a `Place`, written as a whole or not at all."""

    atomic = True

    def __init__(self, url: str, *, read_only: bool = False, durable: bool = True) -> None:
        super().__init__(url, read_only=read_only, durable=durable)
        # The transaction that goes on: what it changes is kept here until the commit.
        self._connection: Connection | None = None
        self._token = 0
        self._changes: dict[int, Row | None] = {}
        self._is_sent = False
        self._thread = 0
        self._failure: BaseException | None = None

    def _connect(self) -> Connection:
        try:
            return Client(self.url.removeprefix("memory://"))
        except OSError as error:
            raise StoreUnavailableError(f"{self.url} cannot be reached: {error}.") from error

    def _ask(self, question: str, *arguments: Any) -> Any:
        with self._connect() as connection:
            connection.send((question, *arguments))
            return connection.recv()

    def locate(self) -> None:
        self.uuid, self.stored_columns = self._ask("store")

    def define_columns(self, definitions: Mapping[str, str | None]) -> None:
        self._ask("make_store", definitions)
        self.locate()

    # Transactions.

    def begin(self) -> None:
        if self.uuid is None:
            self.define_columns({})
        self._changes, self._is_sent, self._failure = {}, False, None
        self._thread = threading.get_ident()
        self._connection = self._connect()
        self._connection.send(["begin"])
        self._token = self._connection.recv()  # waits until no other transaction goes on

    def commit(self) -> None:
        changes, connection = self._changed(), self._connection
        assert connection is not None
        self._is_sent = True
        connection.send(changes)
        connection.recv()
        self.committed = True
        self._end()

    def rollback(self) -> None:
        if self._connection is not None:
            self._connection.close()
            if self._is_sent:  # an interrupt came during the commit
                self.committed = self._ask("was_committed", self._token)
            self._end()

    def _end(self) -> None:
        assert self._connection is not None
        self._changes = {}
        self._connection.close()
        self._connection = None

    def abandon(self, error: BaseException) -> None:
        self._failure = error
        self._changes = {}

    def after_fork(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self.abandon(StoreUnavailableError("The transaction belongs to the parent process."))

    def _changed(self) -> dict[int, Row | None]:
        """Return what the transaction has changed until now."""
        if self._failure is not None:
            raise StoreUnavailableError(f"The transaction was undone: {self._failure}") from self._failure
        return self._changes

    # Writing.

    def write(self, records: Sequence[PendingRecord]) -> None:
        changes = self._changed()
        before = {row.entry["id"]: row.entry for row in self._rows([r.id for r in records if r.id])}
        for record in records:  # first what can be refused: the caller may go on with the transaction then
            if record.mode == "changed":
                found = before.get(str(record.id), {}).get("revision")
                check_revision(str(record.id), record.expected, found)
                record.revision = before[str(record.id)]["revision"] + 1
            elif record.mode == "put back":
                self._check_free(str(record.id))
        new = [record for record in records if record.mode == "new"]
        for number, record in enumerate(new, self._ask("allocate", len(new))):
            record.id, record.revision = make_id(record.prefix, number), 1
        # All have their IDs by now, also those that others refer to.
        changes.update({number_of(str(r.id)): _row(r, before.get(str(r.id))) for r in records})

    def _check_free(self, id_: str) -> None:
        number = number_of(id_)
        if number >= self._ask("allocate", 0):
            raise PutBackError(f"{id_} was never given out here, so nothing can be put back there.", id=id_)
        if self._by_number([number]):
            raise PutBackError(f"The number of {id_} is taken, so nothing can be put back there.", id=id_)

    def delete(self, ids: Sequence[str]) -> None:
        changes = self._changed()
        existing = {row.entry["id"] for row in self._rows(ids, payloads=False)}
        for id_ in ids:
            if id_ not in existing:
                raise not_found(id_)
        changes.update({number_of(id_): None for id_ in ids})

    def update(self, changes: Mapping[str, Changes]) -> dict[str, bool]:
        updated, changed = {}, {}
        for row in self._rows(list(changes)):
            id_, change = row.entry["id"], changes[row.entry["id"]]
            if change.expected in (None, row.entry["revision"]):
                new = row._replace(entry=change.apply_to(row.entry))
                updated[number_of(id_)], changed[id_] = new, new != row
        self._changed().update(updated)
        return changed

    # Reading.

    def _by_number(self, numbers: Collection[int] | None, payloads: bool = False) -> dict[int, Row]:
        """Return rows in the order of their numbers; a transaction sees what it has changed."""
        rows: dict[int, Row | None] = self._ask("rows", numbers, payloads)
        if self._thread == threading.get_ident():
            rows |= {n: row for n, row in self._changes.items() if numbers is None or n in numbers}
        return {number: row for number, row in sorted(rows.items()) if row is not None}

    def _rows(self, ids: Collection[str] | None = None, payloads: bool = True) -> list[Row]:
        rows = self._by_number(None if ids is None else {number_of(id_) for id_ in ids}, payloads)
        return [row for row in rows.values() if ids is None or row.entry["id"] in ids]

    def read(self, ids: Sequence[str]) -> Iterator[StoredRecord]:
        return map(_stored, self._rows(ids))

    def referrers(self, ids: Sequence[str]) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for row in self._rows(payloads=False):
            for id_ in set(ids).intersection(row.entry.get("references", ())):
                found.setdefault(id_, []).append(row.entry["id"])
        return found

    def entry(self, id_: str) -> Record | None:
        return next((self._record(row) for row in self._rows([id_], payloads=False)), None)

    def entries(self, query: Query) -> Iterator[Record]:
        return query.apply(map(self._record, self._rows(payloads=False)))

    def _record(self, row: Row) -> Record:
        return record_from_json(row.entry, environment=row.entry["environment"], columns=self.columns)


def _row(record: PendingRecord, before: Mapping[str, Any] | None) -> Row:
    """Return the row of a record, which has `before` as its entry so far, if it is changed."""
    stream, *buffers = (b"".join(part) for part in record.encoded.parts())
    environment = record.entry["environment"]
    entry = {
        **entry_to_json(record.entry_after(before), id=record.id, references=record.reference_ids()),
        "revision": record.revision,
        "checksum": record.encoded.checksum.hex(),
        "environment": environment_text(environment) if environment else None,
        "plain": record.entry["plain"],
    }
    return Row(entry, stream, buffers)


def _stored(row: Row) -> StoredRecord:
    entry = row.entry
    plain = entry["plain"]

    def opened(mode: OpenMode) -> Source:
        return Source(row.stream, [bytearray(buffer) for buffer in row.buffers], plain=plain)

    return StoredRecord(
        entry["id"],
        entry["revision"],
        tuple(entry.get("references", ())),
        bytes.fromhex(entry["checksum"]),
        row.stream,
        plain=plain,
        opener=opened if row.buffers else None,
    )


class MemoryStore(RecordStore):
    """A store in a `Place`."""

    def __init__(
        self,
        url: str,
        *,
        durable: bool = True,
        read_only: bool = False,
        trust: Any = "everything",
        columns: Mapping[str, Any] | None = None,
    ) -> None:
        backend = MemoryBackend(url, durable=durable, read_only=read_only)
        super().__init__(backend, trust=trust, columns=columns)
