"""Connections to a database in which GC3Pie keeps a table."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import get_ident
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL

from gc3store.errors import StoreError, StoreUnavailableError
from gc3store.gc3pie.database import engine_for, is_sqlite
from gc3store.sql.dialect import Dialect
from gc3store.support.forking import no_fork_during

__all__ = ["Connections"]


class Connections:
    """Opens a connection for each question, and one for each transaction.

    None stays open between them: GC3Pie's processes come and go meanwhile.

    Parameters
    ----------
    url : URL
        The database.
    dialect : Dialect
        What its errors mean.

    Attributes
    ----------
    url : URL
        The database, with an absolute path if it is a file.
    path : str or None
        The file, if the database is one.
    """

    def __init__(self, url: URL, dialect: Dialect) -> None:
        self.path = os.path.abspath(url.database or "") if is_sqlite(url) else None
        self.url = url.set(database=self.path or url.database)
        self._dialect = dialect
        self._engine = engine_for(self.url, dialect.timeout)
        self._writing_engine = self._engine
        if self.path is not None:
            self._writing_engine = engine_for(self.url, dialect.timeout, write=True)
        self._connection: Any = None
        self._thread: int | None = None
        self._failure: BaseException | None = None

    def is_writing(self) -> bool:
        """Whether this thread is in a transaction."""
        return self._connection is not None and self._thread == get_ident()

    @property
    def writer(self) -> Any:
        """The connection of the transaction that this thread is in."""
        if self._failure is not None:
            raise StoreUnavailableError(
                f"Nothing more can be done in this transaction, which was undone: {self._failure}"
            ) from self._failure
        return self._connection

    @contextmanager
    def reading(self) -> Iterator[Any]:
        """Give a connection to read over; within a transaction, what it has written shows."""
        if self.is_writing():
            with self.translated():
                yield self.writer
        else:
            with self.translated(), no_fork_during(), self._engine.connect() as connection:
                yield connection

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Raise errors of the database as errors of our tree."""
        try:
            yield
        except sa.exc.NoSuchTableError as error:
            raise self._dialect.unavailable(error) from error
        except (sa.exc.DBAPIError, sqlite3.Error) as error:
            theirs: Any = getattr(error, "orig", None) or error
            translated = self._dialect.translate(theirs, writing=self.is_writing())
            if self.is_writing() and self._has_ended():
                self._failure = translated  # what is done from here on would be committed by itself
            raise translated from self._dialect.fit_to_show(error)

    # Transactions.

    def begin(self) -> None:
        """Begin a transaction that writes."""
        self._failure = None
        with self.translated():
            self._thread = get_ident()
            self._connection = connection = self._writing_engine.connect()
            if self.path is not None:
                level = "EXTRA" if self._dialect.durable else "NORMAL"
                connection.exec_driver_sql(f"PRAGMA synchronous={level}")
                connection.exec_driver_sql("BEGIN IMMEDIATE")

    def commit(self, note_committed: Callable[[], None]) -> None:
        """End the transaction, and keep what was done.

        Parameters
        ----------
        note_committed : callable
            Called as soon as it is known that the transaction is committed.
        """
        connection = self.writer
        driver = connection.connection.driver_connection
        with self.translated():
            try:
                driver.execute("COMMIT") if self.path is not None else connection.commit()
                note_committed()
            except (sa.exc.DBAPIError, sqlite3.Error):
                raise  # where the disk is full, the transaction has ended as well, and nothing was kept
            except BaseException:
                if self.path is not None and not driver.in_transaction:
                    note_committed()  # interrupted right behind it
                raise
            finally:
                self._connection = None
                connection.close()

    def rollback(self) -> None:
        """End the transaction, if there is one, and undo what was done."""
        connection, self._connection = self._connection, None
        self._failure = None
        if connection is None:  # not begun, or the commit failed and closed it
            return
        self._undo(connection)
        connection.close()

    def abandon(self, error: BaseException) -> None:
        """Undo what was done, and let nothing more be done in the transaction."""
        if self._failure is None:
            self._undo(self._connection)
            reason = error if isinstance(error, StoreError) else f"{type(error).__name__}: {error}"
            self._failure = StoreUnavailableError(f"{reason}".rstrip(": "))

    def forget(self) -> None:
        """Leave a transaction of the parent process to it; called in the child."""
        self._connection = None
        self._failure = None

    def close(self) -> None:
        """Give back what the engines hold."""
        self._engine.dispose()
        self._writing_engine.dispose()

    def _undo(self, connection: Any) -> None:
        with suppress(sa.exc.DBAPIError):
            connection.exec_driver_sql("ROLLBACK") if self.path is not None else connection.rollback()

    def _has_ended(self) -> bool:
        return self.path is not None and not self._connection.connection.driver_connection.in_transaction
