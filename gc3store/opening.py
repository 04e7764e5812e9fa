"""Opening what is at a location: which of our stores it is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gc3store.errors import MissingDependencyError
from gc3store.filesystem import FilesystemStore, path_of
from gc3store.store import Store

if TYPE_CHECKING:
    from gc3store.gc3pie.session import SessionDirectory

__all__ = ["open_file", "open_sql"]


def open_file(
    url: str,
    *,
    durable: bool = True,
    read_only: bool = False,
    trust: Any = "everything",
    columns: Mapping[str, Any] | None = None,
) -> Store:
    """Open the store in a directory: ours, one that GC3Pie wrote, or that of a GC3Pie session."""
    path = path_of(url)
    if not os.path.isdir(path) or os.path.exists(os.path.join(path, ".gc3store")):
        return FilesystemStore(url, durable=durable, read_only=read_only, trust=trust, columns=columns)
    from gc3store.gc3pie.directory import GC3PieDirectory, is_gc3pie_directory
    from gc3store.gc3pie.session import is_session, read_session

    if is_session(path):
        session = read_session(path)
        open_ = open_sql if session.store_url.partition(":")[0] != "file" else open_file
        store: Any = open_(
            session.store_url, durable=durable, read_only=read_only, trust=trust, columns=columns
        )
        store.session = session if store.url == session.store_url else _discreet(session)
        return store  # type: ignore[no-any-return]
    if is_gc3pie_directory(path):
        return GC3PieDirectory(url, durable=durable, read_only=read_only, trust=trust, columns=columns)
    return FilesystemStore(url, durable=durable, read_only=read_only, trust=trust, columns=columns)


def _discreet(session: SessionDirectory) -> SessionDirectory:
    """Return what a session says without the password to its database."""
    from gc3store.sql.url import parse, shown

    place, table = parse(session.store_url)
    return replace(session, store_url=shown(place) + (f"#table={table}" if table else ""))


def open_sql(
    url: str,
    *,
    durable: bool = True,
    read_only: bool = False,
    trust: Any = "everything",
    table_name: str | None = None,
    timeout: float = 30.0,
    columns: Mapping[str, Any] | None = None,
) -> Store:
    """Open the store in a database: ours, or a table that GC3Pie wrote.

    ``#table=NAME`` at the end of the URL, as GC3Pie has it, means the option `table_name`.
    """
    try:
        from gc3store.sql import SqlStore
        from gc3store.sql.url import parse
    except ImportError as error:
        raise MissingDependencyError(
            "A store in a database needs SQLAlchemy: pip install 'gc3store[sql]'."
        ) from error
    place, fragment = parse(url)
    name = fragment if table_name is None else table_name
    sqlite = place.get_backend_name() == "sqlite"
    # A file is looked into first, since even a reader can leave files beside it; a server
    # is asked by the store itself, which has something to say if it does not answer.
    if not (sqlite and _is_gc3pie(place, name, read_only)):
        store = SqlStore(
            url,
            durable=durable,
            read_only=read_only,
            trust=trust,
            table_name=table_name,
            timeout=timeout,
            columns=columns,
        )
        if sqlite or store.uuid is not None or not _is_gc3pie(place, name, read_only):
            return store
        store.close()
    from gc3store.gc3pie.table import GC3PieTable

    return GC3PieTable(
        place,
        durable=durable,
        read_only=read_only,
        trust=trust,
        table_name=name or "store",
        timeout=timeout,
        columns=columns,
    )


def _is_gc3pie(url: Any, table_name: str | None, read_only: bool) -> bool:
    if url.get_backend_name() == "sqlite" and not os.path.isfile(os.path.expanduser(url.database or "")):
        return False
    from gc3store.gc3pie.database import is_gc3pie_table

    return is_gc3pie_table(url, table_name, read_only=read_only)
