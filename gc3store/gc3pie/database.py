"""Databases in which GC3Pie keeps a table: finding it, making it, and connections to it.

SQLite does not mind what type a value has; that is seen to here.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from hashlib import md5
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import URL

from gc3store.errors import StoreUnavailableError
from gc3store.sql.url import parse
from gc3store.support.forking import no_fork_during
from gc3store.support.sqlite_file import FileConnection, connect, needs_rollback

__all__ = ["OWN", "create_gc3pie_table", "engine_for", "is_gc3pie_table", "is_sqlite"]

#: The columns that every such table has.
OWN: Final = ("id", "data", "state")


@no_fork_during()
def is_gc3pie_table(url: URL, name: str | None = None, *, read_only: bool = True) -> bool:
    """Whether a database has a table of GC3Pie: of that name, or by default ``store`` and none of ours.

    False also if the database cannot be reached. Unless `read_only`, SQLite
    first undoes what a process left half done that was killed while it wrote, as it must before
    anything can be read.
    """
    try:
        engine = engine_for(url)
        with engine.connect() as connection:
            inspector = sa.inspect(connection)
            if name is None and inspector.has_table("gc3store_meta"):
                return False
            name = name or "store"
            if not inspector.has_table(name):
                return False
            return {column["name"] for column in inspector.get_columns(name)} >= set(OWN)
    except (sa.exc.SQLAlchemyError, ImportError, StoreUnavailableError) as error:
        if not read_only and needs_rollback(getattr(error, "orig", None)):
            with closing(sqlite3.connect(os.path.expanduser(url.database or ""))) as connection:
                connection.execute("SELECT count(*) FROM sqlite_master")
            return is_gc3pie_table(url, name)
        return False  # who opens it next says why


def create_gc3pie_table(place: str, name: str | None, columns: Sequence[sa.Column[Any]]) -> None:
    """Make a table as GC3Pie does, with further columns, unless there is a store in the database.

    Parameters
    ----------
    place : str
        URL of the database; ``#table=NAME`` names the table.
    name : str, optional
        The table.
    columns : sequence of Column
        What it has besides `id`, `data` and `state`.
    """
    url, fragment = parse(place)
    engine = sa.create_engine(url, poolclass=sa.pool.NullPool) if is_sqlite(url) else engine_for(url)
    with engine.begin() as connection:
        inspector = sa.inspect(connection)
        name = name or fragment or "store"
        if not inspector.has_table(name) and not inspector.has_table("gc3store_meta"):
            own = (
                sa.Column("id", sa.Integer(), primary_key=True, nullable=False),
                sa.Column("data", sa.LargeBinary()),
                sa.Column("state", sa.String(length=128)),
            )
            extra = [sa.Column(column.name, column.type) for column in columns]
            sa.Table(name, sa.MetaData(), *own, *extra).create(connection)


def is_sqlite(url: URL) -> bool:
    """Whether a database is a file."""
    return url.get_backend_name() == "sqlite"


def engine_for(url: URL, timeout: float = 30.0, *, write: bool = False) -> sa.Engine:
    """Return an engine that opens a connection when asked and closes it when given back."""
    if not is_sqlite(url):
        return sa.create_engine(url, poolclass=sa.pool.NullPool)
    path = os.path.abspath(url.database or "")
    return sa.create_engine(
        "sqlite://", creator=_opener(path, timeout, write), poolclass=sa.pool.NullPool, isolation_level=None
    )


def _opener(path: str, timeout: float, write: bool) -> Callable[[], sqlite3.Connection]:
    def open_() -> sqlite3.Connection:
        connection = connect(path, FileConnection, timeout=timeout, read_only=not write)
        connection.text_factory = lambda text: text.decode("utf-8", "surrogateescape")
        connection.create_function("md5", 1, _md5, deterministic=True)
        return connection

    return open_


def _md5(data: Any) -> str | None:
    return None if data is None else md5(data, usedforsecurity=False).hexdigest()
