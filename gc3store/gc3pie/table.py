"""A table that GC3Pie wrote: ``store(id INTEGER, data, state, ...)`` with any further columns.

What is relied on
-----------------
Each row is one object, its ID the number, `data` its pickle. Further columns hold
what a script wanted in them when it saved; here they are fields to filter and sort on, and
those named like an attribute are filled when an object is saved.

Every transaction opens a connection of its own: GC3Pie's processes come and go meanwhile.
"""

from __future__ import annotations

import builtins
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from types import NoneType
from typing import Any, ClassVar

import sqlalchemy as sa
import xxhash
from sqlalchemy.engine import URL

from gc3store.backend import Changes, PendingRecord, check_revision, not_found
from gc3store.columns import Function, columns_from_json, merged
from gc3store.engine.record_store import RecordStore
from gc3store.errors import OptionError, SaveError
from gc3store.filesystem.catalogue import CatalogueIndex
from gc3store.gc3pie.backend import GC3PieBackend
from gc3store.gc3pie.connections import Connections
from gc3store.gc3pie.extra_columns import ExtraColumns
from gc3store.gc3pie.numbers import next_numbers
from gc3store.gc3pie.records import NoPickle, entry_of_pickle, is_damaged
from gc3store.inspection.machine.templates import Templates
from gc3store.sql.dialect import dialect_for
from gc3store.sql.url import parse, shown, without_secrets
from gc3store.support.batching import split_by_count

__all__ = ["GC3PieTable", "GC3PieTableBackend"]

#: As for directories: what changed less than this ago may change again unseen, in nanoseconds.
_SETTLED = 2_000_000_000
_MANY = 500  # values in one IN list: below every database's limit


class GC3PieTableBackend(GC3PieBackend):
    """Records in a table that GC3Pie wrote.

    Parameters
    ----------
    url : URL
        The database.
    table_name : str
        The table.
    read_only, durable : bool
        As for every backend.
    timeout : float
        How long to wait for a database that another process is writing to, in seconds.
    user_columns : mapping of str to (str or callable)
        What the store is told to fill further columns with.
    extra_fields : mapping of str to callable
        The same, as GC3Pie has it.

    Attributes
    ----------
    table : sqlalchemy.Table
        The table.
    """

    atomic: ClassVar[bool] = True
    needs_own_id: ClassVar[bool] = False

    def __init__(
        self,
        url: URL,
        *,
        table_name: str,
        read_only: bool = False,
        durable: bool = True,
        timeout: float = 30.0,
        user_columns: Mapping[str, Any],
        extra_fields: Mapping[str, Callable[[Any], Any]],
    ) -> None:
        dialect = dialect_for(url, durable=durable, read_only=read_only, timeout=timeout)
        self._connections = Connections(url, dialect)
        place = f"{shown(without_secrets(self._connections.url))}#{table_name}"
        super().__init__(shown(url), place=place, read_only=read_only, durable=durable)
        self._table_name = table_name
        self._timeout = timeout
        with self._connections.reading() as connection:
            self.table = sa.Table(table_name, sa.MetaData(), autoload_with=connection)
        self._extra = ExtraColumns(self.table, extra_fields)
        self.column_names = self._extra.names
        for name in (*user_columns, *extra_fields):
            if name not in self.column_names:
                raise OptionError(
                    f"The table {table_name!r} has no column {name!r}, and GC3Pie gives a table its columns when it "
                    f"makes it; there are {', '.join(self.column_names) or 'none'}."
                )
        # A table does not say what its columns are filled with: as the store is told.
        self.stored_columns = {
            name: source if isinstance(source, str) else None for name, source in user_columns.items()
        }
        self.index = _Index(place, self, self._connections)

    def close(self) -> None:
        """Forget what was read."""
        super().close()
        self._connections.close()

    def after_fork(self) -> None:
        """Forget what belongs to the parent process."""
        super().after_fork()
        self._connections.forget()

    def reopening(self, *, with_password: bool) -> tuple[str, dict[str, Any]]:
        """Return the absolute URL and the options that open this table again."""
        url = self._connections.url
        options: dict[str, Any] = {
            "table_name": self._table_name,
            "durable": self.durable,
            "read_only": self.read_only,
            "timeout": self._timeout,
        }
        if not with_password:
            return without_secrets(url).render_as_string(), options
        options["extra_fields"] = {name: Function(value) for name, value in self._extra.functions.items()}
        return url.render_as_string(hide_password=False), options

    # Transactions.

    def begin(self) -> None:
        """Begin a transaction, over a connection of its own."""
        self._connections.begin()

    def commit(self) -> None:
        """End the transaction, and keep what was done."""
        self._connections.commit(self._note_committed)

    def _note_committed(self) -> None:
        self.committed = True

    def rollback(self) -> None:
        """End the transaction, if there is one, and undo what was done."""
        self._connections.rollback()

    def abandon(self, error: BaseException) -> None:
        """Undo all of the transaction; let nothing more be done in it."""
        self._connections.abandon(error)

    # Reading.

    def pickles(self, ids: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """Yield those records that exist, each with its pickle."""
        for part in split_by_count([id_ for id_ in ids if id_.isdecimal()], _MANY):
            yield from self._pickles(part)

    def _pickles(self, ids: Sequence[str]) -> list[tuple[str, bytes]]:
        table = self.table
        by_number = {int(id_): id_ for id_ in ids}
        statement = sa.select(table.c.id, _raw(table.c.data)).where(table.c.id.in_(list(by_number)))
        if self._connections.path is None and self._connections.is_writing():
            statement = statement.with_for_update()  # SQLite has locked the whole file
        with self._connections.reading() as connection:
            return [(by_number[number], _bytes(data)) for number, data in connection.execute(statement)]

    def entry_of(self, id_: str, templates: Templates | None = None) -> dict[str, Any] | None:
        """Return the catalogue entry of a record, damaged or not."""
        return self.entries_of([id_], templates).get(id_)

    def entries_of(self, ids: Iterable[str], templates: Templates | None = None) -> dict[str, dict[str, Any]]:
        """Return the catalogue entries of records, damaged or not, by ID."""
        table = self.table
        columns = [table.c.id, _raw(table.c.data), table.c.state, *self._extra.to_read()]
        found = {}
        for part in split_by_count([int(id_) for id_ in ids if id_.isdecimal()], _MANY):
            with self._connections.reading() as connection:
                rows = connection.execute(sa.select(*columns).where(table.c.id.in_(part))).mappings().all()
            for row in rows:
                id_ = str(row["id"])
                entry = found[id_] = entry_of_pickle(id_, _bytes(row["data"]), templates)
                entry["columns"] = self._extra.entry(row)
                entry.setdefault("state", row["state"])
        return found

    # Writing.

    def new_ids(self, prefixes: Sequence[str]) -> list[str]:
        """Return numbers from the counter of GC3Pie, above all in the table."""
        if not prefixes:
            return []
        highest = self._connections.writer.execute(sa.select(sa.func.max(self.table.c.id))).scalar()
        return [str(number) for number in next_numbers(len(prefixes), above=highest or 0)]

    def is_free(self, id_: str) -> bool:
        """Whether a record can be put back under an ID: a number that no row has."""
        return id_.isdecimal() and super().is_free(id_)

    def pickle_of(self, record: PendingRecord) -> bytes:
        """Return a record as GC3Pie has it; refuse those that it could not load from a table."""
        cls = None if record.mode == "put back" else _class_of(record)
        if cls is not None and not cls.__weakrefoffset__:  # GC3Pie keeps such a reference to what it loads
            raise SaveError(
                f"GC3Pie could not load an object of type {cls.__name__}, only instances of classes such as its own; "
                f"save it to a store of gc3store, for instance in another database.",
                id=record.id,
            )
        return super().pickle_of(record)

    def put(self, records: Sequence[tuple[PendingRecord, bytes]]) -> None:
        """Insert and update rows, in this order."""
        changed = [record for record, _ in records if record.mode == "changed"]
        found = self.revisions([str(record.id) for record in changed])
        for record in changed:  # before anything is written: the caller may go on with the transaction
            check_revision(str(record.id), record.expected, found.get(str(record.id)))
        table = self.table
        with self._connections.translated():
            for record, data in records:
                number = int(str(record.id))
                values = {
                    "data": _value(record, data),
                    "state": record.entry["state"] or "UNKNOWN",
                    **self._extra.values_of(record),
                }
                if record.mode == "changed":
                    statement: Any = sa.update(table).where(table.c.id == number).values(**values)
                else:
                    statement = sa.insert(table).values(id=number, **values)
                self._connections.writer.execute(statement)

    def delete(self, ids: Sequence[str]) -> None:
        """Delete rows, in this order."""
        table = self.table
        with self._connections.translated():
            for id_ in ids:
                statement = sa.delete(table).where(table.c.id == int(id_))
                if self._connections.writer.execute(statement).rowcount != 1:
                    raise not_found(id_)

    def update(self, changes: Mapping[str, Changes]) -> dict[str, bool]:
        """Fill further columns; there is no place for labels."""
        found = super().update(changes)
        filled = [id_ for id_ in found if changes[id_].columns]
        for id_, entry in self.entries_of(filled).items():
            change = changes[id_]
            old = columns_from_json(entry["columns"], list(change.columns))
            fitting: dict[str, Any] = {}
            for name, value in merged(old, change.columns, again=change.again).items():
                if value != old[name]:
                    fitting |= self._extra.fitting(name, value)
            if fitting:
                statement = sa.update(self.table).where(self.table.c.id == int(id_)).values(**fitting)
                with self._connections.translated():
                    self._connections.writer.execute(statement)
            found[id_] = bool(fitting)
        return found


class GC3PieTable(RecordStore):
    """An `SqlStore` of GC3Pie, in place.

    Parameters
    ----------
    url : sqlalchemy.engine.URL or str
        The database.
    table_name : str
        The table.
    durable : bool
        Whether a save waits until the object is on stable storage; else that is left to
        the database.
    read_only : bool
        Never write.
    timeout : float
        How long to wait for a database that another process is writing to, in seconds.
    columns : mapping of str to (str or callable), optional
        How to fill further columns of the table, as for stores of our own.
    extra_fields : mapping of str to callable, optional
        The same as GC3Pie has it: what can be called with an object for its value there. An object
        for which that fails is saved without.

    Notes
    -----
    Looking and loading change nothing, and leave no file beside that of an SQLite
    database. What is saved here GC3Pie can load again; what it saved is rewritten only where
    an object was changed and saved, or replaced. GC3Pie has no place for names and tags.
    """

    backend: GC3PieTableBackend

    def __init__(
        self,
        url: URL | str,
        *,
        table_name: str = "store",
        durable: bool = True,
        read_only: bool = False,
        trust: Any = "everything",
        timeout: float = 30.0,
        columns: Mapping[str, Any] | None = None,
        extra_fields: Mapping[str, Callable[[Any], Any]] | None = None,
    ) -> None:
        backend = GC3PieTableBackend(
            parse(url)[0] if isinstance(url, str) else url,
            table_name=table_name,
            durable=durable,
            read_only=read_only,
            timeout=timeout,
            user_columns=columns or {},
            extra_fields=extra_fields or {},
        )
        super().__init__(backend, trust=trust, columns=columns)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the table's further columns."""
        return tuple(self.backend.column_names)

    def load(self, id_: str, *, fresh: bool = False, missing: str = "error") -> Any:
        """Return the object with ID `id_`, each record being read once; see `RecordStore.load`."""
        with self._transaction.lock, self.backend.snapshot():
            return super().load(id_, fresh=fresh, missing=missing)


class _Index(CatalogueIndex):
    """The catalogue of such a table."""

    def __init__(self, place: str, backend: GC3PieTableBackend, connections: Connections) -> None:
        super().__init__(place, backend.entry_of)
        self._backend = backend
        self._connections = connections

    def _read_many(self, ids: Iterable[str]) -> Iterator[tuple[str, dict[str, Any] | None]]:
        templates = Templates()
        for part in split_by_count(ids, _MANY):
            found = self._backend.entries_of(part, templates)
            yield from ((id_, found.get(id_)) for id_ in part)

    def _version(self) -> tuple[int, bool] | None:
        path = self._connections.path
        if path is None or self._connections.is_writing():
            return 0, False  # nothing tells cheaply whether there is a change; the stamps do
        found, newest = [], 0
        for name in (path, path + "-wal"):
            with suppress(OSError):
                status = os.stat(name)
                found.append((name, status.st_mtime_ns, status.st_size, status.st_ino))
                newest = max(newest, status.st_mtime_ns)
        settled = time.time_ns() - newest > _SETTLED
        return xxhash.xxh3_64_intdigest(repr(found).encode()) >> 1, settled

    def _stamps(self) -> dict[str, str]:
        table = self._backend.table
        extra: list[Any] = [table.c[name] for name in self._backend.column_names]
        data: Any = table.c.data
        if self._connections.path is not None:  # a value there can be of another type than its column
            extra.append(sa.func.typeof(data))
            data = sa.cast(data, sa.LargeBinary)
        statement = sa.select(table.c.id, sa.func.md5(data), *extra).order_by(table.c.id)
        with self._connections.reading() as connection:
            return {str(row[0]): f"{row[1]}{row[2:] or ''}" for row in connection.execute(statement)}


def _raw(column: Any) -> Any:
    """Return a column as the driver gives it, of any type."""
    return sa.type_coerce(column, sa.types.NullType()).label(column.name)


def _bytes(data: Any) -> bytes:
    if data is None or isinstance(data, (bytes, bytearray, memoryview)):
        return bytes(data or b"")
    return NoPickle(str(data).encode("utf-8", "surrogateescape"))


def _value(record: PendingRecord, data: bytes) -> bytes | str:
    """Return what stands in the column `data` for a record."""
    if record.mode == "put back" and record.entry.get("error") and not is_damaged(data):
        return data.decode("utf-8", "surrogateescape")  # it was a string, which is not a pickle
    return data


def _class_of(record: PendingRecord) -> type | None:
    """Return an object's class, `None` where only its name is known and it is not built in."""
    if record.obj is not None:
        return type(record.obj)
    module, _, name = record.entry["cls"].rpartition(".")
    found = NoneType if name == "NoneType" else getattr(builtins, name, None)
    return found if module == "builtins" and isinstance(found, type) else None
