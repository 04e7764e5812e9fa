"""Records into rows."""

from __future__ import annotations

import builtins
import json
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gc3store.columns import columns_to_json, merged
from gc3store.engine.primitives import Draft, check_revision, not_found
from gc3store.errors import StoreUnavailableError
from gc3store.format import load_json
from gc3store.ids import make_id, number_of
from gc3store.pickling import STEP, Encoded
from gc3store.sql.columns import columns_text, value_rows
from gc3store.sql.session import SessionStore
from gc3store.sql.statements import Statements
from gc3store.store import KEEP
from gc3store.support.batching import by_size
from gc3store.support.provenance import current_environment, environment_text

__all__ = ["CHUNKED", "PLAIN", "REFERS", "SqlWriting"]

#: Flags of a payload: readable by a plain unpickler; refers to other records; cut into chunks.
PLAIN, REFERS, CHUNKED = 1, 2, 4


def _flags(row: Any) -> int:
    """Return the flags in what `_locked_rows` gives; of what is damaged, all of them."""
    return row[2] if type(row[2]) is int else -1


class SqlWriting(SessionStore):
    """A store as far as writing is concerned.

    A step locks the rows that it is going to change, in the order of their numbers, and
    checks their revisions then. So of two changes of one record made at the same
    moment the second waits for the first and fails with `ConflictError`, or follows it.
    """

    _statements: Statements
    _uuid: str | None = None

    def __init__(
        self, url: str, *, read_only: bool, durable: bool, trust: Any, columns: Mapping[str, Any] | None
    ) -> None:
        super().__init__(url, read_only=read_only, durable=durable, trust=trust, columns=columns)
        self._environments: set[str] = set()  # certain to be in the database
        self._new_environments: set[str] = set()  # will be, if the step is not undone
        self._written: builtins.list[_Written] = []  # in the current step
        self._deleted: builtins.list[str] = []
        self._doubts: builtins.list[tuple[builtins.list[_Written], builtins.list[str]]] = []
        self._adopted: dict[int, _Written] = {}

    # Steps.

    def _prepare_step(self) -> None:
        self._written, self._deleted = [], []
        if self._user_columns.has_pending:
            self._run(self._define_columns)
            self._user_columns.defined()
        if self._backend.locks_rows:
            # By itself: within the step, everybody else who wants to note the same would
            # have to wait for the end of it.
            digest = current_environment(self)
            if digest not in self._environments:
                self._run(lambda connection: self._ensure_environment(connection, digest))
                self._committed()

    def _committed(self) -> None:
        if self._new_environments:
            self._environments |= self._new_environments
            self._new_environments.clear()

    def _undone(self) -> None:
        self._new_environments.clear()

    def _took_place(self) -> bool:
        return self._happened(self._written, self._deleted)

    def _happened(self, written: builtins.list[_Written], deleted: builtins.list[str]) -> bool:
        """Whether a step took place; waits as long as the server is still busy with it."""
        statements, backend = self._statements, self._backend

        def probe(connection: Any) -> bool:
            if written and written[0].fresh:
                # Takes its place, if the row is not there; waits, if that is not decided yet.
                try:
                    connection.execute(
                        statements.claim_payload, (number_of(written[0].id), *statements.empty_payload)
                    )
                except backend.dialect.dbapi.IntegrityError:  # type: ignore[union-attr]
                    return True
                return False
            if not written and not deleted:
                return True
            id_ = written[0].id if written else deleted[0]
            rows = connection.execute(statements.before, (backend.numbers([number_of(id_)]),)).fetchall()
            if not written:
                return not rows
            return any(row[0] == id_ and row[1] >= written[0].revision for row in rows)

        session = self._session()
        if session.begun:
            session.close()
        try:
            session.kind, session.used = "step", False
            return self._run(probe)
        finally:
            self._end(session)

    def _note_doubt(self) -> None:
        if self._written or self._deleted:
            self._doubts.append((self._written, self._deleted))

    def _resolve_doubts(self) -> None:
        """Find out about earlier steps what could not be found out then."""
        while self._doubts:
            written, deleted = self._doubts[0]
            if self._happened(written, deleted):
                held = [w.obj for w in written]  # so that none goes from here on
                existing = [w for w in written if w.exists]
                self._settle(existing)  # type: ignore[arg-type]
                for id_ in deleted:
                    self._identities.drop(id_)
                self._adopted = {id(w.obj): w for w in existing if w.fresh}
                del held
            del self._doubts[0]

    def _check_writable(self) -> None:
        if self.read_only:
            raise self._not_writable()
        if self._doubts:
            self._resolve_doubts()

    # Records.

    def _write(self, drafts: builtins.list[Draft]) -> None:
        fresh = [draft for draft in drafts if draft.id is None]
        if self._adopted:
            fresh = [draft for draft in fresh if not self._adopt(draft)]
        old = [draft for draft in drafts if draft.id is not None] if len(fresh) < len(drafts) else []

        known = self._environments

        def work(connection: Any) -> None:
            try:
                for draft in drafts:
                    digest = draft.fields["environment"]
                    if digest not in known and digest is not None:
                        self._ensure_environment(connection, digest)
                # First what can be refused: the caller may go on with a transaction in which this was.
                found = self._checked_rows(connection, old) if old else {}
                if fresh:
                    self._insert(connection, fresh)
                if old:
                    self._overwrite(connection, old, found)
            except BaseException:
                for draft in fresh:
                    draft.id = None
                raise

        self._run(work)
        if self._backend.locks_rows:
            new = set(map(id, fresh))
            self._written += [_Written(draft, id(draft) in new) for draft in drafts]

    def _adopt(self, draft: Draft) -> bool:
        """Take the ID of a save that was in doubt, of the very same object, and took place."""
        before = self._adopted.pop(id(draft.obj), None)
        if before is None or before.obj is not draft.obj:
            return False
        draft.id, draft.expected = before.id, before.revision
        return True

    def _insert(self, connection: Any, drafts: builtins.list[Draft]) -> None:
        """Insert new records, under numbers of their own."""
        numbers: builtins.list[int] = []
        # What a part of them takes up in memory is given back before the next one is made ready.
        for part in by_size(drafts, _size_in_row) if len(drafts) > 1 else (drafts,):
            numbers += self._insert_payloads(connection, part)
        for draft, number in zip(drafts, numbers, strict=True):
            draft.id = make_id(draft.prefix, number)
            draft.revision = 1
        self._insert_records(connection, drafts, numbers)

    def _insert_payloads(self, connection: Any, drafts: Sequence[Draft]) -> Sequence[int]:
        """Insert the payloads of new records; return the numbers that these have from now on."""
        statements, backend = self._statements, self._backend
        if not backend.counter and not any(self._is_chunked(draft.encoded) for draft in drafts):
            rows = [self._payload_row(connection, draft, 0) for draft in drafts]
            return backend.insert_payloads(connection, statements, rows)
        numbers = backend.allocate(connection, statements, len(drafts))
        pairs = zip(numbers, drafts, strict=True)
        if backend.fills:
            connection.executemany(
                statements.update_payload.full, [(*self._payload_row(connection, d, n), n) for n, d in pairs]
            )
        else:
            rows = [(n, *self._payload_row(connection, d, n)) for n, d in pairs]
            backend.insert_sparse(connection, statements.insert_payload, rows)
        return numbers

    def _insert_records(self, connection: Any, drafts: builtins.list[Draft], numbers: Sequence[int]) -> None:
        records, references = [], []
        values: builtins.list[tuple[Any, ...]] = []
        for draft, number in zip(drafts, numbers, strict=True):
            fields = draft.fields
            name, tags, now = fields["name"], fields["tags"], fields["now"] or 0  # lost, if it was damaged
            text = None
            if fields.get("columns"):
                columns = self._user_columns.known(fields["columns"])
                text = columns_text(columns)
                values += value_rows(number, columns)
            records.append(
                (
                    number,
                    draft.id,
                    None if name is KEEP else name,
                    fields["cls"],
                    fields["state"],
                    json.dumps(tags, ensure_ascii=False) if tags is not KEEP and tags else None,
                    fields["size"],
                    fields.get("created", now) or 0,
                    now,
                    draft.revision,
                    1 if fields["explicit"] else 0,
                    text,
                )
            )
            if draft.references:
                references += self._reference_rows(draft, number)
        self._backend.insert_sparse(connection, self._statements.insert_record, records)
        if references:
            self._backend.insert(connection, self._statements.insert_reference, references)
        if values:
            self._backend.insert(connection, self._statements.insert_value, values)

    def _insert_as(self, draft: Draft) -> bool:
        number = number_of(str(draft.id))
        statements, backend = self._statements, self._backend

        def work(connection: Any) -> bool:
            last = backend.last_number(connection, statements)
            taken = connection.execute(statements.labels, (number,)).fetchone()
            if number > last or taken is not None:
                return False
            connection.execute(
                statements.claim_payload, (number, *self._payload_row(connection, draft, number))
            )
            self._insert_records(connection, [draft], [number])
            return True

        return self._run(work)

    def _checked_rows(self, connection: Any, drafts: builtins.list[Draft]) -> dict[str, Any]:
        """Return the rows of records that are to be replaced, as `_locked_rows`; they are as was expected."""
        found = self._locked_rows(connection, [str(d.id) for d in drafts])
        for draft in drafts:
            id_ = str(draft.id)
            row = found.get(id_)
            if row is None or draft.expected not in (None, row[1]):
                check_revision(id_, draft.expected, None if row is None else row[1])
            assert row is not None
            revision = row[1]
            draft.revision = revision + 1 if type(revision) is int and revision > 0 else 1
        return found

    def _overwrite(self, connection: Any, drafts: builtins.list[Draft], found: Mapping[str, Any]) -> None:
        statements, backend = self._statements, self._backend
        records, payloads, references = [], [], []
        values: builtins.list[tuple[Any, ...]] = []
        for draft in drafts:
            id_, fields = str(draft.id), draft.fields
            number = number_of(id_)
            before = found[id_]
            flags, columns_before = _flags(before), before[3]
            if before[2] is None:  # its payload is missing
                connection.execute(statements.claim_payload, (number, *statements.empty_payload))
            text = None
            if fields.get("columns"):
                columns = self._user_columns.known(fields["columns"])
                text = columns_text(columns)
                values += value_rows(number, columns)
            if flags & REFERS:
                connection.execute(statements.delete_references, (number,))
            if flags & CHUNKED:
                connection.execute(statements.delete_chunks, (number,))
            if columns_before is not None:
                connection.execute(statements.delete_values, (number,))
            records.append(
                (
                    fields["cls"],
                    fields["state"],
                    fields["size"],
                    fields["now"],
                    draft.revision,
                    1 if fields["explicit"] else 0,
                    text,
                    number,
                )
            )
            payloads.append((*self._payload_row(connection, draft, number), number))
            if draft.references:
                references += self._reference_rows(draft, number)
            if fields["name"] is not KEEP or fields["tags"] is not KEEP:
                changes = {k: fields[k] for k in ("name", "tags") if fields[k] is not KEEP}
                self._relabel_row(connection, str(draft.id), changes)
        backend.update_sparse(connection, statements.update_record, records)
        backend.update_sparse(connection, statements.update_payload, payloads)
        if references:
            backend.insert(connection, statements.insert_reference, references)
        if values:
            backend.insert(connection, statements.insert_value, values)

    def _locked_rows(self, connection: Any, ids: Sequence[str]) -> dict[str, Any]:
        """Return ID, revision, flags and user columns of records, which nobody else can change any more."""
        each = [number_of(id_) for id_ in ids]
        if len(ids) == 1:
            row = connection.execute(self._statements.before_one, each).fetchone()
            rows = [] if row is None else [row]
        else:
            numbers = self._backend.numbers(each)
            rows = connection.execute(self._statements.before, (numbers,)).fetchall()
        if len(rows) < len(ids):  # those whose payloads are missing can still be replaced and removed
            numbers = self._backend.numbers(each)
            rows = [*rows, *connection.execute(self._statements.before_lost, (numbers,)).fetchall()]
        return {row[0]: row for row in rows}

    def _is_chunked(self, encoded: Encoded) -> bool:
        return encoded.size >= self._backend.inline or not isinstance(encoded.stream, bytes)

    def _payload_row(self, connection: Any, draft: Draft, number: int) -> tuple[Any, ...]:
        encoded, fields, binary = draft.encoded, draft.fields, self._backend.binary
        flags = PLAIN if fields["plain"] else 0
        if draft.references:
            flags |= REFERS
        sizes = None
        data: Any = encoded.stream
        if self._is_chunked(encoded):
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
            fields["preview"],
            fields["environment"],
            fields["origin"],
            binary(data),
        )

    def _write_chunks(self, connection: Any, number: int, encoded: Encoded) -> None:
        insert, size = self._statements.insert_chunk, self._backend.chunk
        position = 0
        for part in encoded.parts():
            for piece in part:
                for start in range(0, piece.nbytes, size):
                    connection.execute(insert, (number, position, piece[start : start + size]))
                    position += 1

    @staticmethod
    def _reference_rows(draft: Draft, number: int) -> builtins.list[tuple[int, int, int]]:
        return [(number, position, number_of(id_)) for position, id_ in enumerate(draft.reference_ids())]

    def _delete(self, ids: Sequence[str]) -> None:
        statements, backend = self._statements, self._backend

        def work(connection: Any) -> None:
            found = self._locked_rows(connection, ids)
            for id_ in ids:
                if id_ not in found:
                    raise not_found(id_)
            numbers = [number_of(id_) for id_ in ids]
            backend.retire(connection, statements, max(numbers))
            schema, delete = statements.schema, statements.delete_all
            further = [
                (schema.reference, [id_ for id_ in ids if _flags(found[id_]) & REFERS]),
                (schema.chunk, [id_ for id_ in ids if _flags(found[id_]) & CHUNKED]),
                (schema.value, [id_ for id_ in ids if found[id_][3] is not None]),
            ]
            for table, some in further:
                if some:
                    connection.execute(delete[table.name], (backend.numbers([number_of(i) for i in some]),))
            connection.execute(delete[schema.payload.name], (backend.numbers(numbers),))
            connection.execute(delete[schema.record.name], (backend.numbers(numbers),))

        self._run(work)
        if backend.locks_rows:
            self._deleted += ids

    def _relabel(self, id_: str, changes: Mapping[str, Any]) -> bool:
        return self._run(lambda connection: self._relabel_row(connection, id_, changes))

    def _relabel_row(self, connection: Any, id_: str, changes: Mapping[str, Any]) -> bool:
        number = number_of(id_)
        row = connection.execute(self._statements.labels, (number,)).fetchone()
        if row is None or row[0] != id_:
            return False
        before = dict(zip(("name", "tags", "explicit"), row[1:], strict=True))
        new = dict(changes)
        if "tags" in new:
            new["tags"] = json.dumps(new["tags"], ensure_ascii=False) if new["tags"] else None
        new["explicit"] = int(bool(before["explicit"] or new.get("explicit", 0)))
        # What stays as it is is not written: it may be what is left of something damaged.
        changed = tuple(name for name, value in before.items() if name in new and new[name] != value)
        if changed:
            values = [new[name] for name in changed]
            connection.execute(self._statements.relabel[changed], (*values, number))
        return True

    # User columns.

    def _define_columns(self, connection: Any) -> None:
        for name, path in self._user_columns.pending().items():
            connection.execute(self._statements.insert_column, (name, path))
            connection.execute(self._statements.update_column, (path, name))

    def _fill(self, values: Mapping[str, tuple[int, dict[str, Any]]], *, again: bool) -> dict[str, bool]:
        statements = self._statements

        def work(connection: Any) -> dict[str, bool]:
            filled = {}
            rows: builtins.list[tuple[Any, ...]] = []
            for id_, revision, _, text in self._locked_rows(connection, builtins.list(values)).values():
                if id_ not in values or revision != values[id_][0]:
                    continue
                number = number_of(id_)
                old = load_json(text) if text else {}
                columns = columns_to_json(merged(old, values[id_][1], again=again))
                filled[id_] = columns != old
                if not filled[id_]:
                    continue
                connection.execute(statements.fill, (columns_text(columns), number))
                if text is not None:
                    connection.execute(statements.delete_values, (number,))
                rows += value_rows(number, columns)
            self._backend.insert(connection, statements.insert_value, rows)
            return filled

        return self._run(work)

    def _ensure_environment(self, connection: Any, digest: str) -> None:
        if digest in self._new_environments:
            return
        if connection.execute(self._statements.environment, (digest,)).fetchone() is None:
            connection.execute(self._statements.insert_environment, (digest, environment_text(digest)))
        self._new_environments.add(digest)

    def _create_tables(self, fill: Callable[[Any], None]) -> None:
        """Make the tables, unless what is there under their names is not ours."""

        def work(connection: Any) -> None:
            for table in self._statements.schema.tables:
                there = self._backend.columns_of(connection, table.name)
                missing = [column.name for column in table.c if column.name not in there]
                if there and missing:
                    raise StoreUnavailableError(
                        f"{self._backend.where} has a table {table.name!r} that is not one of a store (it has no "
                        f"column {missing[0]!r}); choose another name: make_store(url, table_name='...')."
                    )
            self._backend.create(connection, self._statements, lambda: fill(connection))

        self._run(work)


def _size_in_row(draft: Draft) -> int:
    """Return how many bytes of a payload are copied before they are written, at most."""
    return min(draft.encoded.size, STEP)


class _Written:
    """What is remembered of a record that a step wrote, until the step is certain.

    Its object is not kept alive by that if it can be helped: a step can be more than memory holds.
    """

    __slots__ = ("_obj", "encoded", "fresh", "id", "identity", "kind", "references", "revision")

    def __init__(self, draft: Draft, fresh: bool) -> None:
        self._obj: Any = weakref.ref(draft.obj) if draft.kind.trackable else draft.obj
        self.kind = draft.kind
        self.identity = draft.identity
        self.id = str(draft.id)
        self.revision = draft.revision
        self.references = draft.reference_ids()
        self.fresh = fresh
        self.encoded = _Checksum(draft.encoded.checksum)

    @property
    def obj(self) -> Any:
        """The object, as long as it exists."""
        return self._obj() if self.kind.trackable else self._obj

    @property
    def exists(self) -> bool:
        """Whether the object does."""
        return not self.kind.trackable or self._obj() is not None

    def reference_ids(self) -> tuple[str, ...]:
        return self.references


class _Checksum:
    __slots__ = ("checksum",)

    def __init__(self, checksum: bytes) -> None:
        self.checksum = checksum
