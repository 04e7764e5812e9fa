"""A table that GC3Pie wrote: ``store(id INTEGER, data, state, ...)`` with any further columns.

What is relied on
-----------------
Each row is one object, its ID the number, `data` its pickle. Further columns hold
what a script wanted in them when it saved; here they are fields to filter and sort on, and
those named like an attribute are filled when an object is saved.

Every step opens a connection of its own: GC3Pie's processes come and go meanwhile.
"""

from __future__ import annotations

import builtins
import os
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from itertools import islice
from types import NoneType
from typing import Any, ClassVar

import sqlalchemy as sa
import xxhash
from sqlalchemy.engine import URL

from gc3store.columns import Function, columns_from_json, columns_to_json, merged, plain
from gc3store.engine.primitives import Draft, check_revision, not_found
from gc3store.errors import LoadError, OptionError, SaveError
from gc3store.filesystem.catalogue import CatalogueIndex
from gc3store.gc3pie.database import OWN, engine_for, is_sqlite
from gc3store.gc3pie.numbers import next_numbers
from gc3store.gc3pie.records import GC3PieRecords, NoPickle
from gc3store.inspection.form import raw_attributes
from gc3store.inspection.machine.stream import run, transcribe
from gc3store.inspection.machine.templates import Templates
from gc3store.inspection.summary import summary
from gc3store.persistable import reduced_store
from gc3store.sql.dialect import backend_for
from gc3store.sql.url import parse, shown, without_secrets
from gc3store.support.forking import no_fork_during

__all__ = ["GC3PieTable"]

#: As for directories: what changed less than this ago may change again unseen, in nanoseconds.
_SETTLED = 2_000_000_000
_MANY = 500  # values in one IN list: below every database's limit


class GC3PieTable(GC3PieRecords):
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

    atomic_batches: ClassVar[bool] = True
    _must_name: ClassVar[bool] = False

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
        self._sa_url = url = parse(url)[0] if isinstance(url, str) else url
        super().__init__(shown(url), durable=durable, read_only=read_only, trust=trust, columns=columns)
        self._backend = backend_for(url, durable=durable, read_only=read_only, timeout=timeout)
        self._table_name = table_name
        self._timeout = timeout
        self._path = os.path.abspath(url.database or "") if is_sqlite(url) else None
        place = f"{shown(without_secrets(self._absolute_url()))}#{table_name}"
        self._uuid = str(uuid.uuid5(uuid.NAMESPACE_URL, place))
        self._engine = engine_for(url, timeout=timeout)
        self._writer: Any = None
        with self._reading() as connection:
            self._table = sa.Table(table_name, sa.MetaData(), autoload_with=connection)
        self._extra = tuple(c.name for c in self._table.columns if c.name not in OWN)
        self._index = _Index(self, place)
        self._index.columns = self._extra
        self._extra_fields = dict(extra_fields or {})
        for name in (*self._user_columns.names, *self._extra_fields):
            if name not in self._extra:
                raise OptionError(
                    f"The table {table_name!r} has no column {name!r}, and GC3Pie gives a table its columns when it "
                    f"makes it; there are {', '.join(self._extra) or 'none'}."
                )

    def __reduce__(self) -> tuple[Any, ...]:
        url = self._absolute_url()
        options = {**self._options(), "columns": self._user_columns.portable}
        options["extra_fields"] = {name: Function(value) for name, value in self._extra_fields.items()}
        return reduced_store(self, url.render_as_string(hide_password=False), options)

    def _reduce_for_payload(self) -> Any:
        return reduced_store(self, without_secrets(self._absolute_url()).render_as_string(), self._options())

    def _absolute_url(self) -> URL:
        return self._sa_url.set(database=self._path or self._sa_url.database)

    def _options(self) -> dict[str, Any]:
        return {
            "table_name": self._table_name,
            "durable": self.durable,
            "read_only": self.read_only,
            "trust": self.trust.option,
            "timeout": self._timeout,
        }

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the table's further columns."""
        return self._extra

    def close(self) -> None:
        """Forget what was read; a closed store can still be used."""
        with self._lock:
            self._index.close()
            self._engine.dispose()

    def pre_fork(self) -> None:
        """Do nothing: no connection stays open between steps."""

    def _forked(self) -> None:
        self._seen = None
        self._writer = None
        self._index.forget_connection()

    # Connections.

    @contextmanager
    def _reading(self) -> Iterator[Any]:
        if self._writer is not None:  # within a step: what it has written shows
            yield self._writer
            return
        with self._translated(), no_fork_during():
            if self._path is None:
                with self._engine.connect() as connection:
                    yield connection
            else:
                with engine_for(self._sa_url, timeout=self._timeout).connect() as connection:
                    yield connection

    def _begin(self) -> None:
        with self._translated():
            engine = (
                self._engine if self._path is None else engine_for(self._sa_url, self._timeout, write=True)
            )
            self._writer = engine.connect()
            if self._path is not None:
                self._writer.exec_driver_sql(f"PRAGMA synchronous={'EXTRA' if self.durable else 'NORMAL'}")
                self._writer.exec_driver_sql("BEGIN IMMEDIATE")

    def _commit(self) -> None:
        writer = self._writer
        driver = writer.connection.driver_connection
        with self._translated():
            try:
                driver.execute("COMMIT") if self._path is not None else writer.commit()
                self._kept += 1
            except (sa.exc.DBAPIError, sqlite3.Error):
                raise  # where the disk is full, the transaction has ended as well, and nothing was kept
            except BaseException:
                if self._path is not None and not driver.in_transaction:
                    self._kept += 1  # interrupted right behind it
                raise
            finally:
                self._writer = None
                writer.close()

    def _rollback(self) -> None:
        writer, self._writer = self._writer, None
        if writer is None:  # not begun, or the commit failed and closed it
            return
        with suppress(sa.exc.DBAPIError):
            writer.exec_driver_sql("ROLLBACK") if self._path is not None else writer.rollback()
        writer.close()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sa.exc.NoSuchTableError as error:
            raise self._backend.unavailable(error) from error
        except (sa.exc.DBAPIError, sqlite3.Error) as error:
            theirs: Any = getattr(error, "orig", None) or error
            raise self._backend.translate(
                theirs, writing=self._writer is not None
            ) from self._backend.fit_to_show(error)

    # Reading.

    def _data(self, ids: Sequence[str]) -> dict[str, bytes]:
        numbers = {int(id_): id_ for id_ in ids if id_.isdecimal()}
        found: dict[str, bytes] = {}
        wanted = builtins.list(numbers)
        table = self._table
        with self._reading() as connection:
            for start in range(0, len(wanted), _MANY):
                part = wanted[start : start + _MANY]
                statement = sa.select(table.c.id, _raw(table.c.data)).where(table.c.id.in_(part))
                if self._writer is not None and self._path is None:
                    statement = statement.with_for_update()  # SQLite has locked the whole file
                for number, data in connection.execute(statement):
                    found[numbers[number]] = _bytes(data)
        return found

    def _entry_of(self, id_: str, templates: Templates | None = None) -> dict[str, Any] | None:
        return self._entries([id_], templates).get(id_)

    def _entries(self, ids: Sequence[str], templates: Templates | None = None) -> dict[str, dict[str, Any]]:
        """Return the catalogue entries of at most `_MANY` records."""
        table = self._table
        columns = [table.c.id, _raw(table.c.data), *(table.c[name] for name in ("state", *self._extra))]
        numbers = [int(id_) for id_ in ids if id_.isdecimal()]
        found = {}
        with self._reading() as connection:
            for number, data, state, *extra in connection.execute(
                sa.select(*columns).where(table.c.id.in_(numbers))
            ):
                entry = found[str(number)] = self._entry(str(number), _bytes(data), templates)
                entry["columns"] = columns_to_json(
                    {name: _plain(value) for name, value in zip(self._extra, extra, strict=True)}
                )
                entry.setdefault("state", state)
        return found

    # Writing.

    def _new_ids(self, prefixes: Sequence[str]) -> builtins.list[str]:
        if not prefixes:
            return []
        highest = self._writer.execute(sa.select(sa.func.max(self._table.c.id))).scalar()
        return [str(number) for number in next_numbers(len(prefixes), above=highest or 0)]

    def _payload(self, draft: Draft, *, back: bool = False) -> bytes:
        cls = None if back else _class_of(draft)
        if cls is not None and not cls.__weakrefoffset__:  # GC3Pie keeps such a reference to what it loads
            raise SaveError(
                f"GC3Pie could not load an object of type {cls.__name__}, only instances of classes such as its own; "
                f"save it to a store of gc3store, for instance in another database.",
                id=draft.id,
            )
        return super()._payload(draft, back=back)

    def _put(self, records: Sequence[tuple[Draft, bytes]], fresh: set[str]) -> None:
        table = self._table
        with self._translated():
            existing = [draft for draft, _ in records if draft.id not in fresh]
            found = self._revisions([str(draft.id) for draft in existing])
            for draft in existing:  # before anything is written: the caller may go on with the transaction
                check_revision(str(draft.id), draft.expected, found.get(str(draft.id)))
            for draft, data in records:
                values = {"data": data, "state": draft.fields["state"] or "UNKNOWN", **self._extra_of(draft)}
                if draft.id in fresh:
                    self._writer.execute(sa.insert(table).values(id=int(draft.id), **values))
                else:
                    where = table.c.id == int(str(draft.id))
                    self._writer.execute(sa.update(table).where(where).values(**values))

    def _extra_of(self, draft: Draft) -> dict[str, Any]:
        """Return values for the further columns: the object's attributes of the same names."""
        columns = draft.fields.get("columns") or {}
        if not self._extra:
            return {}
        attributes = getattr(draft.obj, "__dict__", {})
        stream = draft.encoded.stream
        if (
            draft.obj is None and isinstance(stream, bytes) and not draft.fields.get("error")
        ):  # it comes as bytes
            attributes = raw_attributes(run(transcribe(stream, draft.encoded.buffers)))
        found: dict[str, Any] = {}
        for name in self._extra:
            value = columns.get(name, attributes.get(name))
            if name in self._extra_fields and draft.obj is not None:
                try:
                    value = self._extra_fields[name](draft.obj)
                except Exception:  # noqa: BLE001  (as GC3Pie has it: no reason not to save)
                    continue
            found |= self._fitting(name, value)
        return found

    def _fitting(self, name: str, value: Any) -> dict[str, Any]:
        if isinstance(value, datetime):
            value = value.astimezone().replace(tzinfo=None)  # these columns know no zones
        fits = isinstance(value, (str, int, float, bool, datetime)) and self._fits(name, value)
        return {name: value} if fits else {}

    def _fits(self, name: str, value: Any) -> bool:
        try:
            kind: type = self._table.c[name].type.python_type
        except NotImplementedError:
            return True
        return isinstance(value, (int, float) if kind in (int, float) else kind)

    def _fill(self, values: Mapping[str, tuple[int, dict[str, Any]]], *, again: bool) -> dict[str, bool]:
        table = self._table
        filled: dict[str, bool] = {}
        with self._translated():
            before = self._revisions(builtins.list(values))
            known = self._entries(builtins.list(before))
            for id_, (revision, new) in values.items():
                if before.get(id_) != revision:
                    continue
                old = columns_from_json(known[id_]["columns"], builtins.list(new))
                columns = merged(old, new, again=again)
                fitting: dict[str, Any] = {}
                for name, value in columns.items():
                    if value != old[name]:
                        fitting |= self._fitting(name, value)
                filled[id_] = bool(fitting)
                if fitting:
                    self._writer.execute(sa.update(table).where(table.c.id == int(id_)).values(**fitting))
        return filled

    def _insert_as(self, draft: Draft) -> bool:
        if not str(draft.id).isdecimal() or self._data([str(draft.id)]):
            return False
        data: Any = self._payload(draft, back=True)
        if draft.fields.get("error") and not _is_damaged(data):  # it was a text, which is no pickle
            data = data.decode("utf-8", "surrogateescape")
        self._put([(draft, data)], {str(draft.id)})
        return True

    def _delete(self, ids: Sequence[str]) -> None:
        with self._translated():
            for id_ in ids:
                done = self._writer.execute(sa.delete(self._table).where(self._table.c.id == int(id_)))
                if done.rowcount != 1:
                    raise not_found(id_)


class _Index(CatalogueIndex):
    """The catalogue of such a table."""

    def __init__(self, store: GC3PieTable, place: str) -> None:
        super().__init__(place, store._entry_of)
        self._store = store

    def _read_many(self, ids: Iterable[str]) -> Iterator[tuple[str, dict[str, Any] | None]]:
        source = iter(ids)
        templates = Templates()
        while part := builtins.list(islice(source, _MANY)):
            found = self._store._entries(part, templates)
            yield from ((id_, found.get(id_)) for id_ in part)

    def _version(self) -> tuple[int, bool] | None:
        path = self._store._path
        if path is None or self._store._writer is not None:
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
        table = self._store._table
        extra: builtins.list[Any] = [table.c[name] for name in self._store._extra]
        if self._store._path is not None:  # a value there can be of another type than its column
            extra.append(sa.func.typeof(table.c.data))
        data = sa.cast(table.c.data, sa.LargeBinary) if self._store._path else table.c.data
        statement = sa.select(table.c.id, sa.func.md5(data), *extra).order_by(table.c.id)
        with self._store._reading() as connection:
            return {str(row[0]): f"{row[1]}{row[2:] or ''}" for row in connection.execute(statement)}


def _raw(column: Any) -> Any:
    """Return a column as the driver gives it, whatever type it ought to be of."""
    return sa.type_coerce(column, sa.types.NullType())


def _bytes(data: Any) -> bytes:
    if data is None or isinstance(data, (bytes, bytearray, memoryview)):
        return bytes(data or b"")
    return NoPickle(str(data).encode("utf-8", "surrogateescape"))


def _is_damaged(data: bytes) -> bool:
    try:
        summary(data)
    except LoadError:
        return True
    return False


def _plain(value: Any) -> Any:
    """Return a column's value as our catalogues have it; what they cannot hold is left out."""
    try:
        return plain(value)
    except (ValueError, OverflowError):
        return None


def _class_of(draft: Draft) -> type | None:
    """Return an object's class, `None` where only its name is known and it is not built in."""
    if draft.obj is not None:
        return type(draft.obj)
    module, _, name = draft.fields["cls"].rpartition(".")
    found = NoneType if name == "NoneType" else getattr(builtins, name, None)
    return found if module == "builtins" and isinstance(found, type) else None
