"""Files in the user's cache directory.

What takes long to find out about a store is kept there, never in the store itself, where looking must
leave no trace. Deleting a file, or the whole directory, loses nothing. A file that is damaged, or that another
version wrote, counts as missing. Where nothing can be written (a full disk, a read-only directory), work goes on
without a cache.

Each kind of file has a folder of its own. A folder takes a bounded space: the files that were not used for
longest are deleted first.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final

import xxhash

__all__ = ["MAX_BYTES", "CacheDatabase", "CachedFile", "cache_path"]

#: How many bytes the files of one kind may take together.
MAX_BYTES: Final = 512 << 20

#: SQLite's own files beside a database.
_BESIDE: Final = ("", "-journal", "-wal", "-shm")


def cache_path(kind: str, key: str, suffix: str) -> Path:
    """Return where a file is kept.

    Parameters
    ----------
    kind : str
        What the file is for; names its folder.
    key : str
        What the file is about, such as the place of a store.
    suffix : str
        How the name of the file ends.
    """
    from platformdirs import user_cache_path

    digest = xxhash.xxh3_128_hexdigest(key.encode("utf-8", "surrogatepass"))
    return user_cache_path("gc3store") / kind / f"{digest}{suffix}"


class CachedFile:
    """A small file that is replaced as a whole, so that any number of processes may use it at once.

    Parameters
    ----------
    kind, key : str
        See `cache_path`.
    version : int
        The version of what is in the file.
    """

    def __init__(self, kind: str, key: str, *, version: int = 1) -> None:
        self.path = cache_path(kind, key, ".cache")
        self._about = f"{version} {key}\n".encode("utf-8", "surrogatepass")

    def read(self) -> bytes | None:
        """Return what was written last; `None` if there is nothing, or it is damaged."""
        try:
            head, _, content = self.path.read_bytes().partition(b"\n")
        except OSError:
            return None
        if head != self._head(content):
            return None
        with suppress(OSError):
            os.utime(self.path)
        return content

    def write(self, content: bytes) -> None:
        """Keep `content`, if that is possible; of two processes that do so at once, the later one wins."""
        with suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            descriptor, temporary = tempfile.mkstemp(dir=self.path.parent)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(self._head(content) + b"\n" + content)
                os.replace(temporary, self.path)
            except BaseException:
                os.unlink(temporary)
                raise
            _make_room(self.path)

    def _head(self, content: bytes) -> bytes:
        """Return the checksum that fits the content, the version and the key."""
        hasher = xxhash.xxh3_128(self._about)
        hasher.update(content)
        return hasher.hexdigest().encode()


class CacheDatabase:
    """An SQLite file that is changed bit by bit.

    Parameters
    ----------
    kind, key : str
        See `cache_path`.
    schema : str
        Statements that make its tables.
    version : int
        The version of the schema; a file of another version is deleted.
    keep : bool
        Never delete it to make room: a process relies on it while it is open.

    Notes
    -----
    As with all of SQLite, no fork may take place during a call, see `gc3store.support.forking`.
    """

    def __init__(self, kind: str, key: str, schema: str, *, version: int = 1, keep: bool = False) -> None:
        self.path = cache_path(kind, key, ".db")
        self._schema = schema
        self._version = version
        self._keep = keep

    def open(self) -> sqlite3.Connection:
        """Open the file; make it if there is none.

        The connection does not begin transactions by itself.

        Raises
        ------
        OSError, sqlite3.Error
            If that cannot be done, for instance since another process has locked it.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if not self._keep:
            _make_room(self.path)
        try:
            return self._connect()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):  # locked, or cannot be opened
                raise
            self.discard()
            return self._connect()

    @contextmanager
    def connected(self) -> Iterator[sqlite3.Connection]:
        """Open the file in a context; delete it if it turns out to be damaged.

        Raises
        ------
        OSError, sqlite3.Error
            As for `open`, and what is raised in the context.
        """
        try:
            with closing(self.open()) as connection:
                yield connection
        except sqlite3.OperationalError:
            raise
        except (sqlite3.Error, ValueError, TypeError):
            self.discard()
            raise

    def discard(self) -> None:
        """Delete the file."""
        with suppress(OSError):
            _remove(str(self.path))

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=1, isolation_level=None)
        try:
            found = connection.execute("PRAGMA user_version").fetchone()[0]
            if found not in (0, self._version):
                raise sqlite3.DatabaseError(f"{self.path} has version {found}")
            if not found:
                connection.executescript(
                    f"BEGIN IMMEDIATE; {self._schema}; PRAGMA user_version={self._version:d}; COMMIT"
                )
            else:
                with suppress(OSError):  # it may belong to another user
                    os.utime(self.path)
        except BaseException:
            connection.close()
            raise
        return connection


def _make_room(newest: Path) -> None:
    """Delete the files of a folder that were not used for longest, if all together are too large."""
    found: list[tuple[float, int, str]] = []
    with os.scandir(newest.parent) as files:
        for file in files:
            with suppress(OSError):
                status = file.stat()
                found.append((status.st_mtime, status.st_size, file.path))
    total = sum(size for _, size, _ in found)
    for _, size, path in sorted(found):
        if total <= MAX_BYTES:
            break
        if not path.startswith(str(newest)):
            with suppress(OSError):
                _remove(path)
                total -= size


def _remove(path: str) -> None:
    for suffix in _BESIDE:
        with suppress(FileNotFoundError):
            os.unlink(path + suffix)
