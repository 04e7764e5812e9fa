"""Records into rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from gc3store.backend import Changes, PendingRecord, PutBackError, check_revision, not_found
from gc3store.columns import columns_to_json, merged
from gc3store.errors import StoreUnavailableError
from gc3store.format import load_json
from gc3store.ids import make_id, number_of
from gc3store.pickling import STEP, Encoded
from gc3store.sql.columns import columns_text, value_rows
from gc3store.sql.dialect import Dialect
from gc3store.sql.session import Session
from gc3store.sql.statements import CHUNKED, PLAIN, REFERS, Statements
from gc3store.store import KEEP
from gc3store.support.batching import split_by_size
from gc3store.support.provenance import environment_text

__all__ = ["Probe", "RecordWriter"]


class Probe(NamedTuple):
    """A record that shows whether a transaction was committed.

    Attributes
    ----------
    id : str
        Its ID.
    revision : int or None
        The revision that was written; `None` if the record was deleted.
    is_new : bool
        Whether it was not there before.
    """

    id: str
    revision: int | None
    is_new: bool


class RecordWriter:
    """Writes, changes and deletes records.

    A transaction locks the rows that it is going to change, in the order of their numbers, and
    checks their revisions then. So of two changes of one record made at the same
    moment the second waits for the first and fails with `ConflictError`, or follows it.

    Parameters
    ----------
    session : Session
        Where statements are run.
    dialect : Dialect
        The database.
    statements : Statements
        The statements on the store's tables.

    Attributes
    ----------
    probe : Probe or None
        What shows whether the current transaction was committed.
    new_environments : set of str
        Digests of environments that are stored once the current transaction is committed.
    """

    def __init__(self, session: Session, dialect: Dialect, statements: Statements) -> None:
        self._session = session
        self._dialect = dialect
        self._statements = statements
        self._environments: set[str] = set()  # certain to be in the database
        self.new_environments: set[str] = set()  # there once the transaction is committed
        self.probe: Probe | None = None

    # Transactions.

    def committed(self) -> None:
        """Take note that the transaction was committed."""
        if self.new_environments:
            self._environments |= self.new_environments
            self.new_environments = set()

    def was_committed(self, probe: Probe) -> bool:
        """Whether a transaction was committed; waits as long as the server is still busy with it."""
        session, statements, dialect = self._session, self._statements, self._dialect
        number = number_of(probe.id)

        def look(connection: Any) -> bool:
            if probe.is_new:
                # Takes its place, if the row is not there; waits, if that is not decided yet.
                try:
                    connection.execute(statements.claim_payload, (number, *statements.empty_payload))
                except dialect.sqlalchemy.dbapi.IntegrityError:  # type: ignore[union-attr]
                    return True
                return False
            rows = connection.execute(statements.before, (dialect.numbers([number]),)).fetchall()
            if probe.revision is None:
                return not rows
            return any(row[0] == probe.id and row[1] >= probe.revision for row in rows)

        session.begin()
        try:
            return session.run(look)
        finally:
            session.end()

    # Writing.

    def write(self, records: Sequence[PendingRecord]) -> None:
        """Write records, and set `id` and `revision` of each."""
        if len(records) == 1:
            record = records[0]
            new = records if record.mode == "new" else ()
            changed = records if record.mode == "changed" else ()
        else:
            new = [record for record in records if record.mode == "new"]
            changed = [record for record in records if record.mode == "changed"]

        def work(connection: Any) -> set[str]:
            try:
                if len(records) == 1 and records[0].entry["environment"] in self._environments:
                    environments: set[str] = set()
                else:
                    environments = self._ensure_environments(connection, records)
                # First what can be refused: the caller may go on with a transaction in which this was.
                found = self._checked_rows(connection, changed) if changed else {}
                if new:
                    self._insert(connection, new)
                elif not changed:
                    self._put_back(connection, records[0])
                if changed:
                    self._overwrite(connection, changed, found)
            except BaseException:
                for record in new:
                    record.id = None
                raise
            return environments

        if environments := self._session.run(work):
            self.new_environments |= environments
        if self.probe is None and self._dialect.locks_rows:
            record = records[0]
            self.probe = Probe(str(record.id), record.revision, record.mode == "new")

    def _insert(self, connection: Any, records: Sequence[PendingRecord]) -> None:
        """Insert new records, under numbers of their own."""
        if len(records) == 1:
            numbers = self._insert_payloads(connection, records)
        else:
            numbers = []
            # What a part of them takes up in memory is given back before the next one is made ready.
            for part in split_by_size(records, _size_in_row):
                numbers += self._insert_payloads(connection, part)
        for record, number in zip(records, numbers, strict=True):
            record.id = make_id(record.prefix, number)
            record.revision = 1
        self._insert_records(connection, records, numbers)

    def _insert_payloads(self, connection: Any, records: Sequence[PendingRecord]) -> Sequence[int]:
        """Insert the payloads of new records; return the numbers that these have from now on."""
        statements, dialect = self._statements, self._dialect
        if not dialect.counter and not any(self._is_chunked(record.encoded) for record in records):
            rows = [self._payload_row(connection, record, 0) for record in records]
            return dialect.insert_payloads(connection, statements, rows)
        numbers = dialect.allocate(connection, statements, len(records))
        if len(records) == 1 and not dialect.fills:
            row = (numbers[0], *self._payload_row(connection, records[0], numbers[0]))
            dialect.insert_sparse(connection, statements.insert_payload, (row,))
            return numbers
        pairs = zip(numbers, records, strict=True)
        if dialect.fills:
            connection.executemany(
                statements.update_payload.full, [(*self._payload_row(connection, r, n), n) for n, r in pairs]
            )
        else:
            rows = [(n, *self._payload_row(connection, r, n)) for n, r in pairs]
            dialect.insert_sparse(connection, statements.insert_payload, rows)
        return numbers

    def _insert_records(
        self, connection: Any, records: Sequence[PendingRecord], numbers: Sequence[int]
    ) -> None:
        rows: list[tuple[Any, ...]] = []
        references: list[tuple[int, int, int]] = []
        values: list[tuple[Any, ...]] = []
        for record, number in zip(records, numbers, strict=True):
            entry = record.entry
            name, tags, modified = entry["name"], entry["tags"], entry["modified"] or 0  # lost, if damaged
            columns = entry.get("columns")
            if columns:
                values += value_rows(number, columns)
            rows.append(
                (
                    number,
                    record.id,
                    None if name is KEEP else name,
                    entry["cls"],
                    entry["state"],
                    json.dumps(tags, ensure_ascii=False) if tags is not KEEP and tags else None,
                    entry["size"],
                    entry.get("created", modified) or 0,
                    modified,
                    record.revision,
                    1 if entry["is_root"] else 0,
                    columns_text(columns) if columns else None,
                )
            )
            if record.references:
                references += _reference_rows(record, number)
        self._dialect.insert_sparse(connection, self._statements.insert_record, rows)
        if references:
            self._dialect.insert(connection, self._statements.insert_reference, references)
        if values:
            self._dialect.insert(connection, self._statements.insert_value, values)

    def _put_back(self, connection: Any, record: PendingRecord) -> None:
        statements, id_ = self._statements, str(record.id)
        number = number_of(id_)
        if number > self._dialect.last_number(connection, statements):
            raise PutBackError(f"{id_} was never given out here, so nothing can be put back there.", id=id_)
        if connection.execute(statements.labels, (number,)).fetchone() is not None:
            raise PutBackError(f"The number of {id_} is taken, so nothing can be put back there.", id=id_)
        row = self._payload_row(connection, record, number)
        connection.execute(statements.claim_payload, (number, *row))
        self._insert_records(connection, [record], [number])

    def _checked_rows(self, connection: Any, records: Sequence[PendingRecord]) -> dict[str, Any]:
        """Return the rows of records that are to be replaced, as `_locked_rows`; they are as was expected."""
        found = self._locked_rows(connection, [str(record.id) for record in records])
        for record in records:
            id_ = str(record.id)
            row = found.get(id_)
            if row is None or record.expected not in (None, row[1]):
                check_revision(id_, record.expected, None if row is None else row[1])
            assert row is not None
            revision = row[1]
            record.revision = revision + 1 if type(revision) is int and revision > 0 else 1
        return found

    def _overwrite(self, connection: Any, records: Sequence[PendingRecord], found: Mapping[str, Any]) -> None:
        statements, dialect = self._statements, self._dialect
        rows: list[tuple[Any, ...]] = []
        payloads: list[tuple[Any, ...]] = []
        references: list[tuple[int, int, int]] = []
        values: list[tuple[Any, ...]] = []
        for record in records:
            id_, entry = str(record.id), record.entry
            number = number_of(id_)
            before = found[id_]
            flags, columns_before = _flags(before), before[3]
            if before[2] is None:  # its payload is missing
                connection.execute(statements.claim_payload, (number, *statements.empty_payload))
            columns = entry.get("columns")
            if columns:
                values += value_rows(number, columns)
            if flags & REFERS:
                connection.execute(statements.delete_references, (number,))
            if flags & CHUNKED:
                connection.execute(statements.delete_chunks, (number,))
            if columns_before is not None:
                connection.execute(statements.delete_values, (number,))
            rows.append(
                (
                    entry["cls"],
                    entry["state"],
                    entry["size"],
                    entry["modified"],
                    record.revision,
                    1 if entry["is_root"] else 0,
                    columns_text(columns) if columns else None,
                    number,
                )
            )
            payloads.append((*self._payload_row(connection, record, number), number))
            if record.references:
                references += _reference_rows(record, number)
            if entry["name"] is not KEEP or entry["tags"] is not KEEP:
                changes = {k: entry[k] for k in ("name", "tags") if entry[k] is not KEEP}
                self._relabel(connection, id_, changes)
        dialect.update_sparse(connection, statements.update_record, rows)
        dialect.update_sparse(connection, statements.update_payload, payloads)
        if references:
            dialect.insert(connection, statements.insert_reference, references)
        if values:
            dialect.insert(connection, statements.insert_value, values)

    def _locked_rows(self, connection: Any, ids: Sequence[str]) -> dict[str, Any]:
        """Return ID, revision, flags and user columns of records, locked until the end of the transaction."""
        each = [number_of(id_) for id_ in ids]
        if len(ids) == 1:
            row = connection.execute(self._statements.before_one, each).fetchone()
            rows = [] if row is None else [row]
        else:
            numbers = self._dialect.numbers(each)
            rows = connection.execute(self._statements.before, (numbers,)).fetchall()
        if len(rows) < len(ids):  # those whose payloads are missing can still be replaced and removed
            numbers = self._dialect.numbers(each)
            rows = [*rows, *connection.execute(self._statements.before_lost, (numbers,)).fetchall()]
        return {row[0]: row for row in rows}

    # Payloads.

    def _is_chunked(self, encoded: Encoded) -> bool:
        return encoded.size >= self._dialect.inline or not isinstance(encoded.stream, bytes)

    def _payload_row(self, connection: Any, record: PendingRecord, number: int) -> tuple[Any, ...]:
        encoded, entry, binary = record.encoded, record.entry, self._dialect.binary
        flags = PLAIN if entry["plain"] else 0
        if record.references:
            flags |= REFERS
        sizes = None
        data: Any = encoded.stream
        if type(data) is not bytes or encoded.size >= self._dialect.inline:  # as `_is_chunked`
            flags |= CHUNKED
            data = b""
            self._write_chunks(connection, number, encoded)
        if encoded.buffers:
            sizes = json.dumps([view.nbytes for view in encoded.buffers])
            if not flags & CHUNKED:
                data = b"".join((data, *encoded.buffers))
        return (
            flags,
            binary(encoded.checksum),
            encoded.stream_size,
            sizes,
            entry["preview"],
            entry["environment"],
            entry["origin"],
            binary(data),
        )

    def _write_chunks(self, connection: Any, number: int, encoded: Encoded) -> None:
        insert, size = self._statements.insert_chunk, self._dialect.chunk
        position = 0
        for part in encoded.parts():
            for piece in part:
                for start in range(0, piece.nbytes, size):
                    connection.execute(insert, (number, position, piece[start : start + size]))
                    position += 1

    # Deleting.

    def delete(self, ids: Sequence[str]) -> None:
        """Delete records."""
        statements, dialect = self._statements, self._dialect

        def work(connection: Any) -> None:
            found = self._locked_rows(connection, ids)
            for id_ in ids:
                if id_ not in found:
                    raise not_found(id_)
            numbers = [number_of(id_) for id_ in ids]
            dialect.retire(connection, statements, max(numbers))
            schema, delete = statements.schema, statements.delete_all
            further = [
                (schema.reference, [id_ for id_ in ids if _flags(found[id_]) & REFERS]),
                (schema.chunk, [id_ for id_ in ids if _flags(found[id_]) & CHUNKED]),
                (schema.value, [id_ for id_ in ids if found[id_][3] is not None]),
            ]
            for table, some in further:
                if some:
                    connection.execute(delete[table.name], (dialect.numbers([number_of(i) for i in some]),))
            connection.execute(delete[schema.payload.name], (dialect.numbers(numbers),))
            connection.execute(delete[schema.record.name], (dialect.numbers(numbers),))

        self._session.run(work)
        if ids and self.probe is None and dialect.locks_rows:
            self.probe = Probe(ids[0], None, False)

    # Changing entries.

    def update(self, changes: Mapping[str, Changes]) -> dict[str, bool]:
        """Change catalogue entries, leaving payloads and revisions alone.

        Returns
        -------
        dict of str to bool
            For each record that exists and is in the expected revision, whether it was changed.
        """

        def work(connection: Any) -> dict[str, bool]:
            with_revision = [id_ for id_, c in changes.items() if c.columns or c.expected is not None]
            rows = self._locked_rows(connection, with_revision) if with_revision else {}
            found: dict[str, bool] = {}
            values: list[tuple[Any, ...]] = []
            for id_, change in changes.items():
                row = rows.get(id_)
                if change.columns or change.expected is not None:
                    if row is None or change.expected not in (None, row[1]):
                        continue
                    found[id_] = bool(change.columns) and self._fill(connection, id_, change, row[3], values)
                if change.fields or id_ not in found:
                    is_changed = self._relabel(connection, id_, change.fields)
                    if is_changed is not None:
                        found[id_] = is_changed or found.get(id_, False)
            if values:
                self._dialect.insert(connection, self._statements.insert_value, values)
            return found

        return self._session.run(work)

    def _relabel(self, connection: Any, id_: str, changes: Mapping[str, Any]) -> bool | None:
        """Change name, tags or that it is a root; return whether there was a change, `None` without a record."""
        number = number_of(id_)
        row = connection.execute(self._statements.labels, (number,)).fetchone()
        if row is None or row[0] != id_:
            return None
        before = dict(zip(("name", "tags", "explicit"), row[1:], strict=True))
        new = {key: changes[key] for key in ("name", "tags") if key in changes}
        if "tags" in new:
            new["tags"] = json.dumps(new["tags"], ensure_ascii=False) if new["tags"] else None
        new["explicit"] = int(bool(before["explicit"] or changes.get("is_root")))
        # What stays as it is is not written: it may be what is left of something damaged.
        changed = tuple(name for name, value in before.items() if name in new and new[name] != value)
        if changed:
            values = [new[name] for name in changed]
            connection.execute(self._statements.relabel[changed], (*values, number))
        return bool(changed)

    def _fill(
        self,
        connection: Any,
        id_: str,
        change: Changes,
        before: str | None,
        values: list[tuple[Any, ...]],
    ) -> bool:
        """Change user columns; whether there was a change. Rows for the table of values are added to `values`."""
        number = number_of(id_)
        old = load_json(before) if before else {}
        columns = columns_to_json(merged(old, change.columns, again=change.again))
        if columns == old:
            return False
        connection.execute(self._statements.fill, (columns_text(columns), number))
        if before is not None:
            connection.execute(self._statements.delete_values, (number,))
        values += value_rows(number, columns)
        return True

    # What a store has once.

    def define_columns(self, definitions: Mapping[str, str | None]) -> None:
        """Let the store have these user columns."""

        def work(connection: Any) -> None:
            for name, path in definitions.items():
                connection.execute(self._statements.insert_column, (name, path))
                connection.execute(self._statements.update_column, (path, name))

        self._session.run(work)

    def note_environment(self, digest: str) -> None:
        """Store a description of this process, by itself.

        Within a transaction, all others that want to store the same would have to wait for its end.
        """
        if digest not in self._environments:
            self._session.run(lambda connection: self._ensure_environment(connection, digest))
            self._environments.add(digest)

    def _ensure_environments(self, connection: Any, records: Iterable[PendingRecord]) -> set[str]:
        """Store the descriptions of processes that records mention; return the digests of those."""
        known, new = self._environments, self.new_environments
        found: set[str] = set()
        for record in records:
            digest = record.entry["environment"]
            if digest not in known and digest is not None and digest not in new and digest not in found:
                self._ensure_environment(connection, digest)
                found.add(digest)
        return found

    def _ensure_environment(self, connection: Any, digest: str) -> None:
        if connection.execute(self._statements.environment, (digest,)).fetchone() is None:
            connection.execute(self._statements.insert_environment, (digest, environment_text(digest)))

    def create_tables(self, fill: Callable[[Any], None]) -> None:
        """Make the tables, unless what is there under their names is not ours."""

        def work(connection: Any) -> None:
            for table in self._statements.schema.tables:
                there = self._dialect.columns_of(connection, table.name)
                missing = [column.name for column in table.c if column.name not in there]
                if there and missing:
                    raise StoreUnavailableError(
                        f"{self._dialect.where} has a table {table.name!r} that is not one of a store (it has no "
                        f"column {missing[0]!r}); choose another name: make_store(url, table_name='...')."
                    )
            self._dialect.create(connection, self._statements, lambda: fill(connection))

        self._session.run(work)


def _flags(row: Any) -> int:
    """Return the flags in what `_locked_rows` gives; of what is damaged, all of them."""
    return row[2] if type(row[2]) is int else -1


def _reference_rows(record: PendingRecord, number: int) -> list[tuple[int, int, int]]:
    return [(number, position, number_of(id_)) for position, id_ in enumerate(record.reference_ids())]


def _size_in_row(record: PendingRecord) -> int:
    """Return how many bytes of a payload are copied before they are written, at most."""
    return min(record.encoded.size, STEP)
