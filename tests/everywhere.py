"""A store of each kind for a test: a directory, SQLite, and a database on each server."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Place, place_in
from tests.servers import KINDS as SERVERS
from tests.servers import connect, database

#: Kinds of stores, as parameters of a test.
KINDS = (*("directory", "sqlite"), *(pytest.param(kind, marks=pytest.mark.server) for kind in SERVERS))


@contextmanager
def place_of(kind: str, folder: Path) -> Iterator[Place]:
    """A place for a store, with nothing there yet; all that was opened is closed in the end."""
    if kind not in SERVERS:
        place = place_in(folder, kind)
        try:
            yield place
        finally:
            for store in place.opened:
                store.close()
        return
    with database(kind) as url:
        place = Place(kind, url, folder, [])
        try:
            yield place
        finally:
            for store in place.opened:
                store.close()


def execute(place: Place, statement: str) -> list[Any]:
    """Return the rows that a statement finds in the database of a place, by a connection of the test's own."""
    if place.kind == "sqlite":
        with closing(sqlite3.connect(place.path)) as connection, connection:
            return connection.execute(statement).fetchall()
    connection = connect(place.url)
    try:
        cursor = connection.execute(statement)
        return list(cursor.fetchall()) if cursor.description else []
    finally:
        connection.close()
