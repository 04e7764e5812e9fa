"""The catalogue of a directory, cached.

Reading the heads of 100,000 files takes long, above all on a network file system.
What was read once is cached in memory, and in the user's cache directory (`gc3store.support.cache`).

A directory whose modification time is as it was has no new, replaced or removed
file: all three rename or unlink in it. Otherwise the files' own times, sizes and
inode numbers tell which must be read again. A time that was too young when it was
seen proves nothing, since clocks tick coarsely: such a state is not relied on.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from gc3store.filesystem.layout import id_of
from gc3store.format import dump_json, load_json, record_from_json
from gc3store.ids import number_of
from gc3store.record import ENTRY_FIELDS, Record
from gc3store.support.cache import CacheDatabase
from gc3store.support.forking import no_fork_during
from gc3store.support.progress import progress

__all__ = ["CatalogueIndex", "DirectoryIndex"]

#: A modification time must be older than this when it is seen, in nanoseconds, for a
#: later change to show in it. File systems tick in steps of up to two seconds (FAT;
#: network servers one); a local Linux one in 10 ms at most.
_SETTLED = 2_000_000_000

#: Directories with fewer records are not cached on disk.
_WORTHWHILE = 500

#: The types of values that are the same in an entry and in tables, by the kind of field.
_TYPES: dict[str, type] = {"string": str, "integer": int, "bytes": int, "time": int}

_SCHEMA = """
CREATE TABLE entry (id TEXT PRIMARY KEY, number INTEGER, stamp TEXT, entry TEXT) WITHOUT ROWID;
CREATE TABLE state (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID
"""


class CatalogueIndex(ABC):
    """Catalogue entries that must be collected from the records themselves.

    Parameters
    ----------
    place : str
        Where the records are; tells copies on disk apart.
    read : callable
        Returns the catalogue entry of the record with a given ID, `None` if it is gone.
    """

    def __init__(self, place: str, read: Callable[[str], dict[str, Any] | None]) -> None:
        self._place = place
        self._read = read
        self._lock = threading.RLock()
        self._modified = -1  # the version of the whole when it was last walked through, if settled
        self._entries: dict[str, tuple[str, dict[str, Any]]] = {}  # by ID: stamp, entry
        self._order: list[str] = []
        self._records: dict[str, Record] = {}
        self._loaded = False
        self._unsaved: set[str] = set()  # IDs of entries that changed since they were last saved
        self._columns: tuple[str, ...] = ()  # the user columns that `_records` have

    def ids(self) -> list[str]:
        """Return all IDs, the lowest number first."""
        with self._lock:
            self._refresh()
            return self._order.copy()

    def records(self, columns: Sequence[str] = ()) -> Iterator[Record]:
        """Yield all entries, with these user columns, the lowest number first."""
        columns = tuple(columns)
        with self._lock:
            self._refresh()
            if columns != self._columns:
                self._columns, self._records = columns, {}
            order, entries, records = self._order.copy(), self._entries, self._records
        for id_ in order:
            record = records.get(id_)
            if record is None:
                found = entries.get(id_)
                if found is None:
                    continue
                try:
                    record = record_from_json({**found[1], "references": (), "origin": None}, columns=columns)
                except (TypeError, ValueError, KeyError, OverflowError) as error:
                    record = Record(id=id_, error=f"damaged: {error}")
                records[id_] = record
            yield record

    def references(self) -> Iterator[tuple[str, list[str]]]:
        """Yield each record that refers to others, with their IDs."""
        with self._lock:
            self._refresh()
            for id_ in self._order:
                references = self._entries[id_][1].get("references")
                if references:
                    yield id_, references

    def referrers(self, ids: Sequence[str]) -> dict[str, list[str]]:
        """Return which records refer to each of `ids`."""
        found: dict[str, list[str]] = {}
        wanted = set(ids)
        for id_, references in self.references():
            for reference in wanted.intersection(references):
                found.setdefault(reference, []).append(id_)
        return found

    def roots(self) -> tuple[list[str], list[str]]:
        """Return the IDs of what was given to `save` itself, and of what was saved as a part."""
        roots: list[str] = []
        parts: list[str] = []
        with self._lock:
            self._refresh()
            for id_ in self._order:
                (roots if self._entries[id_][1].get("explicit") else parts).append(id_)
        return roots, parts

    def entry(self, id_: str) -> dict[str, Any] | None:
        """Return the entry of one record, `None` if there is no such record."""
        with self._lock:
            self._refresh()
            found = self._entries.get(id_)
            return None if found is None else found[1]

    def fields(self, names: Sequence[str]) -> dict[str, list[Any]] | None:
        """Return fields of all records, the lowest number first; `None` where that takes a look at each.

        Times are in microseconds.
        """
        with self._lock:
            self._refresh()
            entries = [self._entries[id_][1] for id_ in self._order]
            found: dict[str, list[Any]] = {"id": self._order.copy()}
        for name in names:
            if name == "id":
                continue
            field = ENTRY_FIELDS.get(name)
            if field is None or field.kind not in _TYPES or name == "error":
                return None
            values = [entry.get(field.key, field.default) for entry in entries]
            if not set(map(type, values)) <= {_TYPES[field.kind], type(field.default)}:
                return None  # a damaged entry: `records` says what is wrong with it
            found[name] = values
        return found

    def state(self) -> str | None:
        """Return a string that changes whenever a record does; `None` where it would not be reliable."""
        version = self._version()
        return None if version is None or not version[1] else str(version[0])

    def close(self) -> None:
        """Forget everything."""
        with self._lock:
            self._entries, self._records, self._order = {}, {}, []
            self._unsaved = set()
            self._modified = -1
            self._loaded = False

    def after_fork(self) -> None:
        """Forget what belongs to the parent process."""
        self._lock = threading.RLock()

    @abstractmethod
    def _version(self) -> tuple[int, bool] | None:
        """Return a number that changes with any record, and whether it can be relied on.

        `None` where there is nothing.
        """

    @abstractmethod
    def _stamps(self) -> dict[str, str]:
        """Return, for each record, a string that changes whenever the record does."""

    def _read_many(self, ids: Iterable[str]) -> Iterator[tuple[str, dict[str, Any] | None]]:
        """Yield the entries of records, `None` for those that are gone."""
        return ((id_, self._read(id_)) for id_ in ids)

    def _refresh(self) -> None:
        version = self._version()
        if version is None:
            self.close()
            return
        modified, settled = version
        if modified == self._modified:
            return
        if not self._loaded:
            self._loaded = True
            self._load_cache()
            if modified == self._modified:
                return
        self._unsaved |= self._walk()
        if any("error" in entry for _, entry in self._entries.values()):
            settled = False  # it may have been read while it was being written
        self._modified = modified if settled else -1
        # As long as it goes on changing, writing down each little change would take longer than
        # reading a few entries again.
        if len(self._order) >= _WORTHWHILE and (settled or len(self._unsaved) > len(self._order) // 10):
            self._save_cache(self._unsaved)
            self._unsaved = set()

    def _walk(self) -> set[str]:
        """Bring the entries up to date; return the IDs of those that changed."""
        stamps = self._stamps()
        entries = self._entries
        gone = {id_ for id_ in entries if id_ not in stamps}
        for id_ in gone:
            del entries[id_]
            self._records.pop(id_, None)
        changed = [id_ for id_, stamp in stamps.items() if id_ not in entries or entries[id_][0] != stamp]
        for id_, entry in self._read_many(progress(changed, "reading the catalogue")):
            if entry is None:
                gone.add(id_)
                entries.pop(id_, None)
            else:
                entries[id_] = (stamps[id_], entry)
            self._records.pop(id_, None)
        if gone or changed:
            self._order = sorted(entries, key=number_of)
        return gone.union(changed)

    # The copy on disk.

    def _cached(self) -> CacheDatabase:
        return CacheDatabase("catalogues", self._place, _SCHEMA)

    @no_fork_during()
    def _load_cache(self) -> None:
        cached = self._cached()
        if not os.path.exists(cached.path):
            return
        try:
            with cached.connected() as connection:
                state = dict(connection.execute("SELECT key, value FROM state"))
                rows = connection.execute("SELECT id, stamp, entry FROM entry ORDER BY number").fetchall()
                entries = load_json("[" + ",".join([row[2] for row in rows]) + "]")
                self._entries = {row[0]: (row[1], entry) for row, entry in zip(rows, entries, strict=True)}
                self._order = [row[0] for row in rows]
                self._modified = int(state.get("modified", "-1"))
        except (OSError, sqlite3.Error, ValueError, TypeError):
            self._entries, self._order, self._modified = {}, [], -1

    @no_fork_during()
    def _save_cache(self, changed: set[str]) -> None:
        with suppress(OSError, sqlite3.Error), self._cached().connected() as connection:
            connection.execute("BEGIN IMMEDIATE")
            if connection.execute("SELECT count(*) FROM entry").fetchone()[0] == 0:
                changed = set(self._order)
            connection.executemany(
                "DELETE FROM entry WHERE id = ?", ((i,) for i in changed if i not in self._entries)
            )
            connection.executemany(
                "INSERT OR REPLACE INTO entry VALUES (?, ?, ?, ?)",
                (
                    (id_, number_of(id_), self._entries[id_][0], dump_json(self._entries[id_][1]).decode())
                    for id_ in changed
                    if id_ in self._entries
                ),
            )
            if connection.execute("SELECT count(*) FROM entry").fetchone()[0] != len(self._entries):
                connection.execute("DELETE FROM entry")  # another process had another view: start anew
                modified = -1
            else:
                modified = self._modified
            connection.execute("INSERT OR REPLACE INTO state VALUES ('modified', ?)", (str(modified),))
            connection.execute("COMMIT")


class DirectoryIndex(CatalogueIndex):
    """Catalogue entries of the records in a directory.

    Parameters
    ----------
    path : str
        The directory.
    read : callable
        Returns the catalogue entry of the record with a given ID, `None` if it is gone.
    """

    def __init__(self, path: str, read: Callable[[str], dict[str, Any] | None]) -> None:
        super().__init__(os.path.realpath(path), read)
        self._path = path

    @staticmethod
    def _id_of(name: str) -> str | None:
        """Return the ID of the record in a file, `None` if there is no record in it."""
        return id_of(name)

    def _version(self) -> tuple[int, bool] | None:
        try:
            now = time.time_ns()
            modified = os.stat(self._path).st_mtime_ns
        except (FileNotFoundError, NotADirectoryError):
            return None
        return modified, now - modified > _SETTLED

    def _stamps(self) -> dict[str, str]:
        stamps: dict[str, str] = {}
        now = time.time_ns()
        with os.scandir(self._path) as found:
            for file in found:
                id_ = self._id_of(file.name)
                if id_ is None:
                    continue
                try:
                    status = file.stat()
                except OSError:
                    continue  # removed meanwhile
                stamp = f"{status.st_mtime_ns}.{status.st_size}.{status.st_ino}"
                # A file replaced twice within one tick can have the size and the inode number that it had.
                young = now - status.st_mtime_ns <= _SETTLED
                stamps[id_] = f"{stamp}.{now}" if young else stamp
        return stamps
