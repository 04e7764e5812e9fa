"""Opening SQLite files, also where SQLite may not keep files of its own beside them.

Whether a file is a database is asked of SQLite, which knows what else this process has open: a process
that closes any descriptor of a file loses all its POSIX locks on it, those of other descriptors included
(https://www.sqlite.org/howtocorrupt.html, section 2.2).
"""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from typing import TypeVar
from urllib.parse import quote

from gc3store.errors import StoreUnavailableError

__all__ = ["FileConnection", "connect", "is_sqlite_file", "needs_rollback"]

#: Two changes of a file with this much time between them differ in their times, in nanoseconds.
#: Linux takes the time from a clock that ticks 100 to 1000 times a second; some file systems keep seconds.
_TICK, _COARSE_TICK = 20_000_000, 2_000_000_000


class FileConnection(sqlite3.Connection):
    """A connection to a database that may have been opened as a file that does not change.

    Attributes
    ----------
    path : str
        The file, without links.
    snapshot : tuple of int, optional
        What the file looked like, if SQLite was told that it does not change (``immutable``).
    """

    path = ""
    snapshot: tuple[int, ...] | None = None

    def is_current(self) -> bool:
        """Whether the file, if it was opened as one that does not change, is still as it was then."""
        if self.snapshot is None:
            return True
        return _size_of_wal(self.path) == 0 and _look(self.path) == self.snapshot


_C = TypeVar("_C", bound=FileConnection)


def connect(
    path: str, factory: type[_C], *, timeout: float, read_only: bool = False, create: bool = False
) -> _C:
    """Return a connection to an SQLite file, in autocommit mode.

    SQLite needs two more files beside a database in write-ahead mode. Where they are missing and cannot be
    made, as in a directory that cannot be written, the database is opened as a file that does not change.
    A reader of such a connection asks afterwards whether it `FileConnection.is_current`.

    Parameters
    ----------
    path : str
        The file.
    factory : type
        The class of the connection.
    timeout : float
        How long to wait for locks, in seconds.
    read_only : bool
        Whether nothing can be written over the connection.
    create : bool
        Whether the file is created if there is none.

    Raises
    ------
    sqlite3.Error
        If SQLite cannot open the file, or it is not a database.
    StoreUnavailableError
        If some of what was committed is in a write-ahead log that cannot be read.
    """
    path = os.path.realpath(path)
    # A read-only connection leaves the two files behind; one that could write removes them again.
    # If there are files already, it is their contents that must stay as they are.
    in_use = any(os.path.exists(f"{path}-{end}") for end in ("wal", "journal"))
    mode = "ro" if read_only and in_use else "rwc" if create else "rw"
    connection = _open(path, factory, f"mode={mode}", timeout)
    try:
        if read_only:
            connection.execute("PRAGMA query_only=ON")
        connection.execute("PRAGMA schema_version").fetchone()
        return connection
    except BaseException as error:
        connection.close()
        if not _lacks_files(error):
            raise
        reason = error
    while True:
        if _size_of_wal(path):
            raise StoreUnavailableError(
                f"The write-ahead log {path}-wal holds changes of this database and cannot be read: ask for the "
                f"permission to write to its directory, or open the database once with that permission."
            ) from reason
        snapshot = _look(path)
        connection = _open(path, factory, "mode=ro&immutable=1", timeout)
        connection.snapshot = snapshot
        if connection.is_current():
            return connection
        connection.close()


def _open(path: str, factory: type[_C], options: str, timeout: float) -> _C:
    connection = sqlite3.connect(
        f"file:{quote(path)}?{options}",
        uri=True,
        timeout=timeout,
        isolation_level=None,
        check_same_thread=False,
        factory=factory,
    )
    connection.path = path
    return connection


def _lacks_files(error: BaseException) -> bool:
    name = getattr(error, "sqlite_errorname", "")
    return name.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY")) and not needs_rollback(error)


def needs_rollback(error: BaseException | None) -> bool:
    """Whether a database cannot be read before what a killed process left half done is undone."""
    return getattr(error, "sqlite_errorname", None) == "SQLITE_READONLY_ROLLBACK"


def _size_of_wal(path: str) -> int:
    try:
        return os.stat(f"{path}-wal").st_size
    except OSError:
        return 0


def _look(path: str) -> tuple[int, ...]:
    """Return what differs after any change of a file; waits until the last change is a tick of the clock ago."""
    while True:
        try:
            status = os.stat(path)
        except FileNotFoundError:
            return ()
        tick = _TICK if status.st_mtime_ns % 1_000_000_000 else _COARSE_TICK
        age = time.time_ns() - status.st_mtime_ns
        if not 0 <= age < tick:
            return status.st_ino, status.st_size, status.st_mtime_ns
        time.sleep((tick - age) / 1e9)


def is_sqlite_file(path: str) -> bool:
    """Whether there is an SQLite database at `path`, also a damaged one."""
    try:
        if not os.path.isfile(path) or os.path.getsize(path) == 0:
            return False
        with closing(_open(os.path.realpath(path), FileConnection, "mode=ro&immutable=1", 0)) as connection:
            connection.execute("PRAGMA schema_version").fetchone()
    except sqlite3.Error as error:
        return error.sqlite_errorname == "SQLITE_CORRUPT"
    except OSError:
        return False
    return True
