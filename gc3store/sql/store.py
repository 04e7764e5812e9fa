"""Records as rows of a database.

Tables, with the names they have by default
--------------------------------------------
``gc3store``
    The catalogue, narrow so that walking through a million entries is fast.
``gc3store_payload``
    The rest of each record: what only `describe` shows, and the payload. Small
    payloads stand in the row; those of `INLINE` bytes or more are cut into
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

import uuid as uuid_module
from collections.abc import Mapping
from typing import Any, ClassVar

from gc3store.errors import OptionError, SchemaVersionError, StoreError
from gc3store.persistable import reduced_store
from gc3store.sql.catalogue import SqlCatalogue
from gc3store.sql.dialect import backend_for
from gc3store.sql.statements import VERSION, Statements, check_table_name
from gc3store.sql.url import parse, without_secrets

__all__ = ["SqlStore"]


class SqlStore(SqlCatalogue):
    """A store in a database: SQLite, PostgreSQL, MariaDB or MySQL.

    Parameters
    ----------
    url : str
        A URL as SQLAlchemy has them. ``sqlite:///jobs.db`` is relative to the working
        directory, ``sqlite:////data/jobs.db`` absolute;
        ``postgresql://user@host/database``, ``mariadb://user@host/database``. A fragment
        ``#table=NAME`` says the same as `table_name`.
    durable : bool
        Whether a save waits until the object is on stable storage.
    read_only : bool
        Never write, and create nothing.
    table_name : str
        Name of the catalogue, and beginning of the names of the other tables, by default
        ``gc3store``: several stores can share a database.
    timeout : float
        How long to wait for others: for a database that another process is writing to,
        for a row that another process is changing, for a server to answer; in seconds.
    columns : mapping of str to (str or callable), optional
        User columns, see `make_store`.

    Notes
    -----
    A batch (a graph of objects, `save_many`, a `transaction`) is one step.
    Many threads, processes and hosts may use one database at the same time.

    A server that was restarted between two calls is not noticed; one that stays away is
    a `StoreUnavailableError`, after ten seconds at most. Where a connection breaks
    during a commit, it is made again in order to see what became of the commit; only
    where that fails too, `OutcomeUnknownError` is raised, and trying again is safe.

    Examples
    --------
    >>> import os, tempfile
    >>> store = SqlStore("sqlite:///" + os.path.join(tempfile.mkdtemp(), "jobs.db"))
    >>> store.save({"energy": -1.75}, name="ground state")
    'dict.1'
    >>> store.load("dict.1"), store.find("ground state")
    ({'energy': -1.75}, ['dict.1'])
    >>> store.close()
    """

    atomic_batches: ClassVar[bool] = True

    def __init__(
        self,
        url: str,
        *,
        durable: bool = True,
        read_only: bool = False,
        trust: Any = "everything",
        table_name: str | None = None,
        timeout: float = 30.0,
        columns: Mapping[str, Any] | None = None,
    ) -> None:
        parsed, fragment = parse(url)
        if None not in (fragment, table_name) and fragment != table_name:
            raise OptionError(f"The URL asks for table {fragment!r}, and table_name for {table_name!r}.")
        self._table = check_table_name(next((n for n in (table_name, fragment) if n is not None), "gc3store"))
        self._backend = backend_for(parsed, durable=durable, read_only=read_only, timeout=timeout)
        super().__init__(
            self._backend.where, durable=durable, read_only=read_only, trust=trust, columns=columns
        )
        self._statements = Statements.of(self._table, self._backend)
        self._uuid: str | None = None
        self._load_meta()

    def __reduce__(self) -> tuple[Any, ...]:
        url = self._backend.absolute_url()
        options = {**self._options(), "columns": self._user_columns.portable}
        return reduced_store(self, url.render_as_string(hide_password=False), options)

    def _reduce_for_payload(self) -> Any:
        url = without_secrets(self._backend.absolute_url())
        return reduced_store(self, url.render_as_string(), self._options())

    def _options(self) -> dict[str, Any]:
        return {
            "durable": self.durable,
            "read_only": self._backend.read_only,
            "trust": self.trust.option,
            "table_name": self._table,
            "timeout": self._backend.timeout,
        }

    # The store as a whole.

    @property
    def uuid(self) -> str | None:
        """The store's UUID; `None` as long as nothing was ever saved."""
        if self._uuid is None:
            self._load_meta()
        return self._uuid

    def _load_meta(self) -> None:
        if not self._backend.exists():
            return

        def work(connection: Any) -> Any:
            try:
                return connection.execute(self._statements.meta).fetchone()
            except self._backend.error as error:
                if not self._backend.is_missing_table(error):
                    raise
                return None

        row = self._run(work)
        if row is not None:
            self._uuid = row[0]
            if row[1] > VERSION:
                self.read_only = True
                self._newer = row[1]
            self._learn_columns(dict(self._execute(self._statements.columns)))

    def _forget_meta(self) -> None:
        self._uuid = None

    _newer: int | None = None

    def _not_writable(self) -> StoreError:
        if self._newer is None:
            return super()._not_writable()
        return SchemaVersionError(
            f"{self.url} was written in version {self._newer} of the schema; upgrade gc3store to write to it."
        )

    def _prepare_step(self) -> None:
        if self._uuid is None and self.uuid is None:
            self._create()
        super()._prepare_step()

    def _create(self) -> None:
        """Make the tables, unless another process does so at the same moment."""

        def fill(connection: Any) -> None:
            if connection.execute(self._statements.meta).fetchone() is None:
                row: tuple[Any, ...] = (str(uuid_module.uuid4()), VERSION)
                connection.execute(self._statements.insert_meta, (*row, 0) if self._backend.counter else row)

        self._create_tables(fill)
        self._load_meta()
