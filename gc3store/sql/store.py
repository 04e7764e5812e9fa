"""The store in a database."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gc3store.engine.record_store import RecordStore
from gc3store.sql.backend import SqlBackend

__all__ = ["SqlStore"]


class SqlStore(RecordStore):
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
    trust, columns
        See `RecordStore`.

    Notes
    -----
    A batch (a graph of objects, `save_many`, a `transaction`) is one transaction.
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

    backend: SqlBackend

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
        backend = SqlBackend(
            url, durable=durable, read_only=read_only, table_name=table_name, timeout=timeout
        )
        super().__init__(backend, trust=trust, columns=columns)
