"""The backend that keeps records as rows of a database.

Tables, with the names they have by default
--------------------------------------------
``gc3store``
    The catalogue, narrow so that walking through a million entries is fast.
``gc3store_payload``
    The rest of each record: what only `describe` shows, and the payload. Small
    payloads stand in the row; those of a megabyte or more are cut into
``gc3store_chunk``
    rows of a megabyte at most, so that no limit of a database on rows or packets is ours.
``gc3store_reference``
    Which record refers to which, by position.
``gc3store_environment``
    Who wrote records, where and with what, see `gc3store.support.provenance`.
``gc3store_meta``
    One row: the store's UUID and the version of this schema; in SQLite also the highest
    number whose record was removed.

``gc3store_column``, ``gc3store_value``
    The user columns that the catalogue has, see `gc3store.columns`: names with paths, and
    the values to filter and sort on.

SQLAlchemy gives URLs, dialects, table definitions and compiled statements; these are
compiled once and run on the driver's own cursor. What differs between databases is
behind one interface, `gc3store.sql.dialect`.
"""

from __future__ import annotations

import builtins
import uuid as uuid_module
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar

from gc3store.backend import Backend, Changes, Node, PendingRecord, StoredRecord, not_found
from gc3store.errors import (
    OptionError,
    OutcomeUnknownError,
    SchemaVersionError,
    StoreError,
    StoreUnavailableError,
)
from gc3store.query import Query
from gc3store.record import FIELDS, Record
from gc3store.sql.catalogue import UNREADABLE, Catalogue
from gc3store.sql.dialect import dialect_for
from gc3store.sql.reading import RecordReader
from gc3store.sql.session import Session
from gc3store.sql.statements import VERSION, Statements, check_table_name
from gc3store.sql.url import parse, without_secrets
from gc3store.sql.writing import Probe, RecordWriter
from gc3store.support.provenance import current_environment

__all__ = ["SqlBackend"]


class SqlBackend(Backend):
    """Records as rows of a database.

    Parameters
    ----------
    url : str
        A URL as SQLAlchemy has them; a fragment ``#table=NAME`` says the same as `table_name`.
    durable, read_only : bool
        As for `Backend`.
    table_name : str, optional
        Name of the catalogue, and beginning of the names of the other tables, by default ``gc3store``.
    timeout : float
        How long to wait for others, in seconds.

    Attributes
    ----------
    dialect : Dialect
        The kind of database, and how to reach it.
    session : Session
        The connections to it.
    statements : Statements
        The statements on its tables.
    """

    atomic: ClassVar[bool] = True

    def __init__(
        self,
        url: str,
        *,
        durable: bool = True,
        read_only: bool = False,
        table_name: str | None = None,
        timeout: float = 30.0,
    ) -> None:
        parsed, fragment = parse(url)
        if None not in (fragment, table_name) and fragment != table_name:
            raise OptionError(f"The URL asks for table {fragment!r}, and table_name for {table_name!r}.")
        table = check_table_name(next((n for n in (table_name, fragment) if n is not None), "gc3store"))
        self.dialect = dialect_for(parsed, durable=durable, read_only=read_only, timeout=timeout)
        super().__init__(self.dialect.where, read_only=read_only, durable=durable)
        self.has_doubts = self.dialect.locks_rows
        self.statements = Statements.of(table, self.dialect)
        self.session = Session(self.dialect)
        self._reader = RecordReader(self.session, self.dialect, self.statements)
        self._writer = RecordWriter(self.session, self.dialect, self.statements)
        self._catalogue = Catalogue(self.session, self.dialect, self.statements, self._reader)
        self._doubt: Probe | None = None
        self._newer: int | None = None  # version of the schema, if later than ours

    # The store.

    def locate(self) -> None:
        """Look for the store in the database."""
        dialect, statements = self.dialect, self.statements
        if not dialect.exists():
            return

        def read(connection: Any) -> Any:
            try:
                return connection.execute(statements.meta).fetchone()
            except dialect.error as error:
                if not dialect.is_missing_table(error):
                    raise
                return None

        row = self.session.run(read)
        if row is None:
            return
        if row[1] > VERSION:
            self.read_only = True
            self.is_writable = False
            self._newer = row[1]
        self.stored_columns = dict(self.session.execute(statements.columns))
        self.uuid = row[0]

    def check_writable(self) -> None:
        """Raise the error that says why nothing can be written, if that is so."""
        if self._newer is not None:
            raise SchemaVersionError(
                f"{self.url} was written in version {self._newer} of the schema; upgrade gc3store to write to it."
            )
        super().check_writable()

    def define_columns(self, definitions: Mapping[str, str | None]) -> None:
        """Let the store have these user columns; make the store if there is none."""
        self._make_ready()
        self._writer.define_columns(definitions)
        self.stored_columns = {**self.stored_columns, **definitions}

    def _make_ready(self) -> None:
        """Leave what an interrupt kept from ending, and make the store if there is none."""
        self.session.clear()
        self.dialect.writes = True
        if self.uuid is None:
            self.locate()
        if self.uuid is None:
            self._writer.create_tables(self._insert_meta)  # unless another process does so at the same moment
            self.locate()

    def _insert_meta(self, connection: Any) -> None:
        if connection.execute(self.statements.meta).fetchone() is None:
            row: tuple[Any, ...] = (str(uuid_module.uuid4()), VERSION)
            connection.execute(self.statements.insert_meta, (*row, 0) if self.dialect.counter else row)

    def reopening(self, *, with_password: bool) -> tuple[str, dict[str, Any]]:
        """Return the absolute URL and the options that open this store again."""
        url = self.dialect.absolute_url()
        options = {
            "durable": self.durable,
            "read_only": self.dialect.read_only,
            "table_name": self.statements.schema.name,
            "timeout": self.dialect.timeout,
        }
        if not with_password:
            url = without_secrets(url)
        return url.render_as_string(hide_password=False), options

    def close(self) -> None:
        """Close all connections; a closed store cannot be used any more."""
        self.session.close()

    def is_busy(self) -> bool:
        """Whether another thread is within a call of the driver."""
        return self.session.is_busy()

    def close_idle(self) -> None:
        """Close connections that are not in use."""
        self.session.close_idle()

    def after_fork(self) -> None:
        """Forget the connections of the parent process."""
        self.session.after_fork()

    # Transactions.

    def begin(self) -> None:
        """Begin a transaction; make the store if there is none."""
        if self.uuid is None:
            self._make_ready()
        self.dialect.writes = True
        if self.has_doubts:
            self._writer.note_environment(current_environment(self))
        self._writer.probe = None
        if self._writer.new_environments:  # those of a transaction that was undone
            self._writer.new_environments = set()
        self.session.begin()

    def commit(self) -> None:
        """End the transaction, and keep what was done."""
        session, dialect, link = self.session, self.dialect, self.session.link()
        if link.failed is not None:
            raise session.undone_by(link.failed)
        try:
            if link.in_transaction:
                dialect.commit(link.connection)
            self.committed = True
        except dialect.error as error:
            if not dialect.is_lost(link.connection, error):
                translated = session.translate(error)
                session.end()
                raise translated from dialect.fit_to_show(error)
            link.mode = ""
            link.close()
            self._find_out(error)
            self.committed = True
        except BaseException:
            # Interrupted while the answer was awaited: what follows on this connection is undefined.
            if link.in_transaction and dialect.has_ended(link.connection):
                self.committed = True
            elif self.has_doubts:
                self._doubt = self._writer.probe
            link.close()
            raise
        finally:
            link.mode, link.in_transaction = "", False
        if self._writer.new_environments:
            self._writer.committed()

    def _find_out(self, error: Exception) -> None:
        """Find out whether a transaction was committed; raise the error that fits if not."""
        probe = self._writer.probe
        if probe is None:  # only entries were changed, which shows in no revision
            raise OutcomeUnknownError(
                f"The connection to {self.url} broke during a commit: the entries were changed or not. Make the "
                f"same change again."
            ) from self.dialect.fit_to_show(error)
        try:
            if self._writer.was_committed(probe):
                return
        except StoreError:
            self._doubt = probe
            raise OutcomeUnknownError(
                f"The connection to {self.url} broke during a commit, and could not be made again: it was "
                f"saved or not. Try again with the same object: it will not be saved twice."
            ) from self.dialect.fit_to_show(error)
        raise StoreUnavailableError(
            f"The connection to {self.url} broke during a commit, and nothing was changed; try again."
        ) from self.dialect.fit_to_show(error)

    def take_doubt(self) -> Probe | None:
        """Return what `resolve` needs to know of a commit whose outcome is unknown, once; else `None`."""
        doubt, self._doubt = self._doubt, None
        return doubt

    def resolve(self, doubt: Probe) -> bool:
        """Whether a transaction whose outcome was unknown was committed."""
        return self._writer.was_committed(doubt)

    def rollback(self) -> None:
        """End the transaction, if there is one, and undo what was done."""
        self.session.end()

    def abandon(self, error: BaseException) -> None:
        """Undo all of a transaction that goes on; let nothing more be done in it."""
        self.session.abandon(error)

    def snapshot(self) -> AbstractContextManager[Any]:
        """Return a context in which reading shows one state of the database."""
        return self.session.snapshot()

    # Writing.

    def write(self, records: Sequence[PendingRecord]) -> None:
        """Write records, and set `id` and `revision` of each."""
        self._writer.write(records)

    def delete(self, ids: Sequence[str]) -> None:
        """Delete records."""
        self._writer.delete(ids)

    def update(self, changes: Mapping[str, Changes]) -> dict[str, bool]:
        """Change catalogue entries, leaving payloads and revisions alone."""
        return self._writer.update(changes)

    # Reading.

    def read_one(self, id_: str) -> StoredRecord:
        """Return a record."""
        if self.uuid is None:
            self.locate()
            if self.uuid is None:
                raise not_found(id_)
        return self._reader.read_one(id_)

    def read(self, ids: Sequence[str]) -> Iterator[StoredRecord]:
        """Yield the records with the given IDs, in any order, without those that do not exist."""
        return self._reader.read(ids) if ids and self.uuid is not None else iter(())

    def read_graph(self, ids: Sequence[str]) -> dict[str, StoredRecord]:
        """Return the records with the given IDs and all that they reach, in a constant number of statements."""
        return self._catalogue.read_graph(ids) if self.uuid is not None else {}

    def raw(self, id_: str) -> bytes:
        """Return what there is of the payload of a record, damaged or not, as it is."""
        return self._reader.raw(id_)

    # The catalogue.

    def graph(self, ids: Sequence[str]) -> dict[str, Node]:
        """Return revisions and references of the records with the given IDs, and of all that they reach."""
        return self._catalogue.graph(ids) if self.uuid is not None else {}

    def revisions(self, ids: Sequence[str]) -> dict[str, int]:
        """Return the revisions of those records that exist."""
        return self._catalogue.revisions(ids) if self.uuid is not None else {}

    def referrers(self, ids: Sequence[str]) -> dict[str, builtins.list[str]]:
        """Return which records refer to each of `ids`."""
        return self._catalogue.referrers(ids) if self.uuid is not None else {}

    def roots(self) -> tuple[builtins.list[str], builtins.list[str]]:
        """Return the IDs of what was given to `save` itself, and of what was saved as a part."""
        return self._catalogue.roots() if self.uuid is not None else ([], [])

    def entry(self, id_: str) -> Record | None:
        """Return the whole catalogue entry of a record, damaged or not; `None` if there is no such record."""
        return self._catalogue.entry(id_, self.columns) if self.uuid is not None else None

    def entries(self, query: Query) -> Iterator[Record]:
        """Yield the catalogue entries that `query` asks for."""
        return self._catalogue.entries(query, self.columns) if self.uuid is not None else iter(())

    def ids(self, query: Query) -> builtins.list[str]:
        """Return the IDs that `query` asks for."""
        return self._catalogue.ids(query) if self.uuid is not None else []

    def values(self, query: Query, names: Sequence[str]) -> dict[str, builtins.list[Any]]:
        """Return fields and user columns of the entries that `query` asks for; times in microseconds."""
        if self.uuid is None:
            return {name: [] for name in names}
        try:
            return self._catalogue.values(query, names)
        except UNREADABLE:
            # Entry by entry, so that each that is damaged stands by itself.
            return super().values(query, names)

    def count(self, query: Query) -> int:
        """Return how many entries `query` asks for, its offset and limit aside."""
        return self._catalogue.count(query) if self.uuid is not None else 0

    def facets(self, field: str, query: Query) -> dict[Any, int]:
        """Return how many of the entries that `query` asks for have which value of `field`."""
        if self.uuid is None:
            return {}
        if field in ("tags", "created", "modified", "error") or field not in FIELDS:
            return super().facets(field, query)
        return self._catalogue.facets(field, query)
