"""An index for searching a large catalogue in SQLite, in the user's cache directory.

Searching goes through every entry, which takes a good part of a second for a million
of them. The index knows which groups of three characters each entry has; so it can
name the few entries that may contain a word, and the catalogue is asked about these
alone. What it names too much costs a little time; what it left out would be missing. It is
therefore used only while the database is known to be as it was when the index was
brought up to date, and else brought up to date in the background while searches do
without.

The index can be thrown away at any time, and the store is never written to.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import xxhash

from gc3store.support.forking import no_fork_during

__all__ = ["SearchIndex"]

#: Stores that gave out fewer numbers are searched quickly enough without.
WORTHWHILE = 30_000
#: Entries that the catalogue is asked about one by one; a word that more of them have is
#: found soon by going through them all.
MOST = 20_000
#: Days after which an index that nobody used is removed.
KEEP_DAYS = 30

_CREATE = """
CREATE TABLE IF NOT EXISTS found.entry (number INTEGER PRIMARY KEY, text TEXT NOT NULL);
CREATE VIRTUAL TABLE IF NOT EXISTS found.trigram USING fts5(
    text, content='entry', content_rowid='number', tokenize='trigram', detail='none', columnsize=0);
CREATE TEMP TABLE changed (number INTEGER PRIMARY KEY);
"""


class _Database(Protocol):
    """What is needed of the kind of database that the store is in."""

    path: str

    def connect(self) -> Any: ...


class SearchIndex:
    """Knows which entries of a catalogue may contain some words.

    Parameters
    ----------
    database : SQLite
        Where the catalogue is.
    table : str
        Its name, quoted.
    """

    def __init__(self, database: _Database, table: str) -> None:
        self._database = database
        self._table = table
        self._lock = threading.Lock()
        self._watcher: Any = None  # a connection to the store, which sees that others changed it
        self._watchers = 0  # so far
        self._reader: Any = None  # a connection to the index
        self._fresh: Any = None  # what the store looked like when the index was brought up to date
        self._thread: threading.Thread | None = None
        self._working: Any = None  # the connection of that thread
        self._closed = False

    @no_fork_during()
    def candidates(self, words: Iterable[str]) -> list[int] | None:
        """Return the numbers of all entries that may contain all `words`.

        `None` if the index cannot tell: not yet, or because they are too many.
        """
        wanted = _expression(words)
        if not wanted:
            return None
        with self._lock:
            if self._closed:
                return None
            try:
                version = self._version()
                if version != self._fresh:
                    self._catch_up(version)
                    return None
                if self._reader is None:
                    self._reader = _connect(f"file:{quote(str(self.path()))}?mode=ro")
                found = self._reader.execute(
                    "SELECT rowid FROM trigram WHERE trigram MATCH ? LIMIT ?", (wanted, MOST + 1)
                ).fetchall()
            except sqlite3.Error:
                self._fresh = None
                self._disconnect()
                return None
        return None if len(found) > MOST else [row[0] for row in found]

    @no_fork_during()
    def prepare(self) -> None:
        """Bring the index up to date in the background, if it is not and that is worthwhile."""
        with self._lock:
            if self._closed:
                return
            try:
                version = self._version()
                if version != self._fresh:
                    self._catch_up(version)
            except sqlite3.Error:
                self._fresh = None
                self._disconnect()

    def path(self) -> Path:
        """Return where the index is."""
        from platformdirs import user_cache_path

        place = f"{os.path.realpath(self._database.path)} {self._table}"
        digest = xxhash.xxh3_64_hexdigest(place.encode("utf-8", "surrogateescape"))
        return user_cache_path("gc3store") / f"search-{digest}.db"

    def wait(self) -> None:
        """Wait until the index is as up to date as it is being brought."""
        thread = self._thread
        if thread is not None:
            thread.join()

    def interrupt(self) -> None:
        """Cut short what is going on; it begins anew when the index is needed again."""
        with self._lock:
            if self._working is not None:
                self._working.interrupt()

    def rest(self) -> None:
        """Close what is open; it is opened again when needed."""
        with self._lock:
            self._disconnect()

    def close(self) -> None:
        """Stop what is going on, and let the index be."""
        with self._lock:
            self._closed = True
        self.interrupt()
        self.wait()
        with self._lock:
            self._disconnect()

    def _disconnect(self) -> None:
        for connection in (self._watcher, self._reader):
            if connection is not None:
                connection.close()
        self._watcher = self._reader = None

    def _version(self) -> Any:
        """Return what changes when the store does."""
        if self._watcher is None:
            self._watcher = self._database.connect()
            self._watchers += 1
        # Each connection counts by itself.
        return self._watchers, self._watcher.execute("PRAGMA data_version").fetchone()[0]

    # Bringing it up to date.

    def _catch_up(self, version: Any) -> None:
        if self._thread is not None and self._thread.is_alive():
            return
        last = self._watcher.execute(f"SELECT max(number) FROM {self._table}").fetchone()[0]
        if (last or 0) < WORTHWHILE:
            return
        self._thread = threading.Thread(
            target=self._work, args=(version,), name="gc3store search index", daemon=True
        )
        self._thread.start()

    @no_fork_during()
    def _work(self, version: Any) -> None:
        path = self.path()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _remove_unused(path)
            with closing(self._database.connect()) as connection:
                self._update(connection, path)
        except sqlite3.DatabaseError as error:
            if not isinstance(error, sqlite3.OperationalError):  # no database, or a damaged one
                _remove(path)
            return
        except OSError:
            return  # no place for an index: searches do without
        with self._lock:
            self._fresh = version

    def _update(self, connection: Any, path: Path) -> None:
        connection.execute("ATTACH ? AS found", (f"file:{quote(str(path))}?mode=rwc",))
        connection.execute("PRAGMA found.journal_mode=WAL")
        connection.execute("PRAGMA found.synchronous=NORMAL")
        connection.executescript(_CREATE)
        with self._lock:
            if self._closed:
                return
            self._working = connection
        try:
            connection.execute("BEGIN")
            # Locks the index, and only it; so the states of the store that processes
            # bring it up to follow one another.
            connection.execute("DELETE FROM found.entry WHERE number < 0")
            self._take_changes(connection)
            connection.execute("COMMIT")
            os.utime(path)
        finally:
            with self._lock:
                self._working = None

    def _take_changes(self, connection: Any) -> None:
        text = "r.id || char(10) || coalesce(r.name, '') || char(10) || r.cls || char(10) || coalesce(r.tags, '')"
        record = f"main.{self._table} r"
        entry = "found.entry e USING (number)"
        run = connection.execute
        run(f"INSERT INTO changed SELECT number FROM {record} LEFT JOIN {entry} WHERE e.text IS NOT {text}")
        gone = f"SELECT e.number FROM found.entry e LEFT JOIN {record} USING (number) WHERE r.number IS NULL"
        run(f"INSERT INTO changed {gone}")
        before = f"SELECT 'delete', number, e.text FROM changed JOIN {entry}"
        run(f"INSERT INTO found.trigram (trigram, rowid, text) {before}")
        run("DELETE FROM found.entry WHERE number IN (SELECT number FROM changed)")
        run(f"INSERT INTO found.entry SELECT number, {text} FROM changed JOIN {record} USING (number)")
        run(f"INSERT INTO found.trigram (rowid, text) SELECT number, e.text FROM changed JOIN {entry}")


def _connect(uri: str) -> Any:
    return sqlite3.connect(uri, uri=True, timeout=0, check_same_thread=False, isolation_level=None)


def _expression(words: Iterable[str]) -> str:
    """Return what the index is asked for: all groups of three characters of the words.

    Only of those in ASCII: of others, the index and the catalogue do not agree what
    upper and lower case are.
    """
    groups = {word[i : i + 3].lower() for word in words if word.isascii() for i in range(len(word) - 2)}
    return " AND ".join('"' + group.replace('"', '""') + '"' for group in sorted(groups) if "\0" not in group)


def _remove_unused(but: Path) -> None:
    """Remove indexes of stores that were not searched for long."""
    for path in but.parent.glob("search-*.db"):
        with suppress(OSError):
            if path != but and time.time() - path.stat().st_mtime > KEEP_DAYS * 86400:
                _remove(path)


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
