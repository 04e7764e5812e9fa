"""Records of any bytes: stores as GC3Pie has them, in which a file or a row is a pickle and nothing else."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from gc3store import Store, make_store

KINDS = ("directory", "table")


class RawStore:
    """A place for pickles, and the stores that were opened on it.

    Parameters
    ----------
    folder : Path
        An empty folder.
    kind : {"directory", "table"}
        Files in a directory, or rows of an SQLite table.
    """

    def __init__(self, folder: Path, kind: str) -> None:
        self.kind = kind
        self.path = folder if kind == "directory" else folder / "jobs.db"
        self.opened: list[Store] = []
        self._number = 0
        if kind == "table":
            self._execute(
                "CREATE TABLE store (id INTEGER NOT NULL PRIMARY KEY, data BLOB, state VARCHAR(128))"
            )

    def put(self, stream: bytes) -> str:
        """Make a record of these bytes, and return its ID."""
        self._number += 1
        if self.kind == "table":
            self._execute("INSERT INTO store VALUES (?, ?, 'NEW')", (self._number, stream))
            return str(self._number)
        id_ = f"Run.{self._number}"
        (self.path / id_).write_bytes(stream)
        return id_

    def open(self, **options: Any) -> Any:
        store = make_store(self.path, read_only=True, **options)
        self.opened.append(store)
        return store

    def inspect(self, stream: bytes) -> Any:
        """Return what a store shows of a record of these bytes."""
        id_ = self.put(stream)  # an empty directory is a store of another kind
        return self.open().inspect(id_)

    def _execute(self, statement: str, values: tuple[Any, ...] = ()) -> None:
        with closing(sqlite3.connect(self.path)) as connection, connection:
            connection.execute(statement, values)

    def close(self) -> None:
        while self.opened:
            self.opened.pop().close()


def short(text: str) -> bytes:
    """Return the opcode of a short text."""
    data = text.encode("utf-8", "surrogatepass")
    return b"\x8c" + bytes([len(data)]) + data


def named(module: str, name: str) -> bytes:
    """Return the opcodes that look up a name."""
    return short(module) + short(name) + b"\x93"


def called(function: bytes, *arguments: bytes) -> bytes:
    """Return the opcodes that call something."""
    return function + b"(" + b"".join(arguments) + b"tR"
