"""SQLite."""

from __future__ import annotations

import json
import os
import sqlite3
import warnings
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.engine import URL

from gc3store.errors import ReadOnlyError, StoreError, StoreFullError, StoreUnavailableError, StoreWarning
from gc3store.sql.dialect import Dialect
from gc3store.sql.query_cache import QueryCache
from gc3store.sql.statements import Sparse, Statements
from gc3store.sql.url import sqlite_path
from gc3store.support.sqlite_file import FileConnection, connect, needs_rollback
from gc3store.support.stacklevel import caller_stacklevel

__all__ = ["SQLite", "network_filesystem"]

#: Types of file systems that other hosts share, as Linux names them.
_NETWORK = {
    "9p", "afs", "beegfs", "ceph", "cifs", "coda", "fuse.beegfs", "fuse.ceph", "fuse.cvmfs2", "fuse.glusterfs",
    "fuse.juicefs", "fuse.s3fs", "fuse.sshfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "orangefs", "panfs",
    "pvfs2", "smb3", "smbfs", "virtiofs", "wekafs",
}  # fmt: skip


class _Connection(FileConnection):
    """A connection that keeps the number that it gave out last.

    Attributes
    ----------
    last : tuple of int and int
        The version that the database had for this connection then, and the number.
    version : int
        The version it has.
    cache : QueryCache
        What was found out about the catalogue as it was last looked at.
    """

    last = (-1, 0)
    version = -1

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.cache = QueryCache(None)


class SQLite(Dialect):
    """A database in a file.

    One process writes at a time: the lock on the file is waited for, up to ``timeout``
    seconds. Readers see one state of the file and do not wait (WAL). WAL needs
    memory shared between the processes, which a network file system does not give:
    there the rollback journal is used, and a warning says so.

    SQLite keeps two more files beside a file with a WAL while it is open. Where it cannot,
    see `gc3store.support.sqlite_file`, what was read is given away only if the file was not
    changed meanwhile; if it was, it is opened and read again.
    """

    paramstyle: ClassVar[str] = "qmark"
    counter: ClassVar[bool] = True
    locks_rows: ClassVar[bool] = False
    untyped: ClassVar[bool] = True
    binary: ClassVar[type] = bytearray  # of bytes, it asks first whether they adapt to something else

    #: Whether invalid UTF-8 was found, which all connections replace from then on.
    _has_invalid_text = False

    def __init__(self, url: URL, **options: Any) -> None:
        self.path = sqlite_path(url)
        super().__init__(url, **options)
        if os.path.isdir(self.path):
            raise StoreUnavailableError(f"{self.path} is a directory; open it without 'sqlite:'.")
        directory = os.path.dirname(self.path)
        if not os.path.isdir(directory):
            raise StoreUnavailableError(
                f"There is no directory {directory} to keep a database in; create it."
            )
        self.network = network_filesystem(directory)
        if self.network is not None and not self.read_only:
            warnings.warn(
                f"{self.path} is on a network file system ({self.network}), where SQLite relies on locks that "
                f"many of these do not keep: let one host write at a time, or keep the store in a directory "
                f"(file:///...) or on a database server (postgresql://...).",
                StoreWarning,
                stacklevel=caller_stacklevel(),
            )

    def connect(self) -> sqlite3.Connection:
        """Return a new connection; the file is created if need be."""
        connection = connect(
            self.path, _Connection, timeout=self.timeout, read_only=self.read_only, create=self.writes
        )
        connection.create_function("gc3store_fold", 1, _fold, deterministic=True)
        if self._has_invalid_text:
            connection.text_factory = _text
        # Some builds overwrite what is removed, which makes removing as slow as saving.
        connection.execute("PRAGMA secure_delete=OFF")
        # A write-ahead log that a very large transaction made grow does not stay so large.
        connection.execute("PRAGMA journal_size_limit=67108864")
        # More than FULL where there is a rollback journal: after a power cut, one whose removal is not on
        # stable storage would be there again, and undo what was committed.
        connection.execute(f"PRAGMA synchronous={'EXTRA' if self.durable else 'NORMAL'}")
        return connection

    def is_frozen(self, connection: Any) -> bool:
        """Whether the file was opened as one that does not change."""
        return connection.snapshot is not None

    def is_current(self, connection: Any) -> bool:
        """Whether it has not changed since."""
        current: bool = connection.is_current()
        return current

    def exists(self) -> bool:
        """Whether there is a file."""
        return os.path.exists(self.path)

    def absolute_url(self) -> URL:
        """Return the URL with an absolute path."""
        return self.url.set(database=self.path)

    def begin(self, connection: Any) -> None:
        """Begin a transaction that writes, by waiting for the only lock there is."""
        connection.execute("BEGIN IMMEDIATE")
        # A statement cannot be repeated here: what was written before it would be written twice.
        connection.text_factory = _text

    def commit(self, connection: Any) -> None:
        """End a transaction, and keep what was done."""
        connection.execute("COMMIT")
        if not self._has_invalid_text:
            connection.text_factory = str

    def begin_snapshot(self, connection: Any) -> None:
        """Begin a transaction that reads."""
        connection.execute("BEGIN")

    def is_lost(self, connection: Any, error: Exception) -> bool:
        """Return False: there is no connection to a server."""
        return False

    def replace_invalid_text(self, connection: Any, error: Exception) -> bool:
        """Replace invalid UTF-8 (one wrong bit of a disk is enough), in all later connections, too.

        Not done from the beginning: decoding in Python would make listing a large store take twice as long.
        """
        if connection.text_factory is _text or "Could not decode to UTF-8" not in str(error):
            return False
        self._has_invalid_text = True
        connection.text_factory = _text
        return True

    def is_missing_table(self, error: Exception) -> bool:
        """Whether SQLite says so."""
        return "no such table" in str(error) or "no such column" in str(error)

    def translate(self, error: Exception, *, writing: bool) -> StoreError:
        """Return what an error of SQLite means."""
        text = str(error)
        if "full" in text:
            return StoreFullError(
                f"There is no space left for {self.where}; what was stored is intact. Make room and try again."
            )
        if needs_rollback(error):
            return StoreUnavailableError(
                f"{self.where} was being written to by a process that was killed; open it once without read_only, "
                "and SQLite puts back what was there before."
            )
        if "readonly" in text or "read-only" in text:
            return ReadOnlyError(f"{self.where} cannot be written: you lack the permission.")
        if "unable to open" in text and not self.exists():
            return StoreUnavailableError(f"There is no file {self.path} any more; it was moved or removed.")
        if "locked" in text or "busy" in text:
            return self.busy()
        if "not a database" in text or "malformed" in text:
            return StoreUnavailableError(f"{self.where} is not a database, or a damaged one: {text}.")
        if "too big" in text:
            return self.too_large(error)
        return self.unavailable(error)

    def query_cache(self, connection: Any) -> QueryCache:
        """Return what is known; the version changes with what others commit, the number with what is done here."""
        version = connection.execute("PRAGMA data_version").fetchone()[0], connection.total_changes
        if connection.cache.version != version:
            connection.cache = QueryCache(version)
        found: QueryCache = connection.cache
        return found

    def listed(self, column: Any, name: str) -> Any:
        """Return the condition, for a list as JSON."""
        values = sa.func.json_each(sa.bindparam(name)).table_valued("value")
        return column.in_(sa.select(values.c.value))

    def numbers(self, values: Sequence[int]) -> str:
        """Return a list as JSON."""
        return json.dumps(list(values))

    def has_word(self, column: Any, word: str) -> Any:
        """Return the condition that `word` occurs in `column`, in any script."""
        if word.isascii():
            # LIKE takes no notice of case there; lower() on every value would cost five times as much.
            return column.contains(word, autoescape=True)
        # SQLite itself knows ASCII only, and does not replace invalid UTF-8.
        folded = sa.func.gc3store_fold(sa.cast(column, sa.LargeBinary), type_=sa.Text())
        return self.contains(folded, word.casefold())

    def create(self, connection: Any, statements: Statements, fill: Callable[[], None]) -> None:
        """Make the tables in one transaction."""
        if os.path.getsize(self.path) == 0:
            connection.execute(f"PRAGMA journal_mode={'DELETE' if self.network else 'WAL'}")
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in statements.create:
                connection.execute(statement)
            fill()
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")

    def columns_of(self, connection: Any, table: str) -> list[str]:
        """Return the names of a table's columns."""
        rows = connection.execute("SELECT name FROM pragma_table_info(?) ORDER BY cid", (table,))
        return [row[0] for row in rows]

    def allocate(self, connection: Any, statements: Statements, count: int) -> Sequence[int]:
        """Return the numbers that follow the highest one; no other process can write meanwhile."""
        last = self.last_number(connection, statements)
        connection.last = connection.version, last + count
        return range(last + 1, last + 1 + count)

    def last_number(self, connection: Any, statements: Statements) -> int:
        """Return the highest number that was given out.

        What this connection gave out last, as long as no other has written anything.
        """
        version = connection.execute("PRAGMA data_version").fetchone()[0]
        known, last = connection.last
        if known != version:
            last = int(connection.execute(statements.last_number).fetchone()[0])
        connection.version = version
        return int(last)

    def has_ended(self, connection: Any) -> bool:
        """Whether no transaction is open: the library keeps one open until it is committed."""
        return not connection.in_transaction

    def rollback(self, connection: Any) -> None:
        """End a transaction, and undo what was done; also that numbers were given out."""
        connection.last = (-1, 0)
        super().rollback(connection)
        if not self._has_invalid_text:
            connection.text_factory = str

    def retire(self, connection: Any, statements: Statements, number: int) -> None:
        """Note a number whose record will not show any more that it was given out."""
        connection.execute(statements.retire, (number, number))

    def insert_sparse(self, connection: Any, statement: Sparse, rows: Sequence[tuple[Any, ...]]) -> None:
        """Write rows, those in which something is missing by a statement of their own."""
        if len(rows) == 1:
            connection.execute(*statement.fit(rows[0]))
        else:
            for text, part in statement.parts(rows):
                connection.executemany(text, part)

    update_sparse = insert_sparse

    def read_chunks(self, connection: Any, statements: Statements, number: int) -> Any:
        """Yield the chunks of a record as SQLite finds them."""
        return connection.execute(statements.read_chunks, (number, 0, 2**62))


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _fold(data: bytes | None) -> str | None:
    return None if data is None else _text(data).casefold()


def network_filesystem(path: str, *, mounts: str = "/proc/self/mountinfo") -> str | None:
    """Return the type of the file system at `path` if other hosts share it, else `None`.

    Linux tells; elsewhere the answer is always `None`.

    Parameters
    ----------
    path : str
        An existing file or directory.
    mounts : str
        The file that lists what is mounted where.
    """
    try:
        with open(mounts, encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read().splitlines()
    except OSError:
        return None
    path = os.path.realpath(path)
    best, found = "", None
    for line in lines:
        before, dash, after = line.partition(" - ")
        fields = before.split(" ")
        if not dash or len(fields) < 5:
            continue
        point = fields[4]
        for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
            point = point.replace(code, character)
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):  # the last one mounted at a place is the one seen
            best, found = point, after.split(" ")[0]
    return found if found in _NETWORK else None
