"""GC3Pie as a client: its sessions and engines on our stores, unchanged.

GC3Pie makes its stores of two classes, `FilesystemStore` and `SqlStore`, which it looks up
in its own modules whenever one is opened. `install` puts the two classes of this module in
their place. They open what is there with `gc3store.make_store` (a new place becomes a
store of ours, what GC3Pie wrote is used in place) and take, return and raise what GC3Pie
expects. Everything else that our stores offer is there too: ``session.store.table()``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

import gc3libs.exceptions
import gc3libs.persistence
import gc3libs.persistence.filesystem
import gc3libs.persistence.sql
import gc3libs.persistence.store
import sqlalchemy as sa
from gc3libs.url import Url

from gc3store.errors import StoreError
from gc3store.gc3pie.database import create_gc3pie_table, is_gc3pie_table
from gc3store.gc3pie.directory import is_gc3pie_directory
from gc3store.gc3pie.table import GC3PieTable
from gc3store.registry import make_store, open_file, open_sql
from gc3store.sql.url import parse
from gc3store.store import Store
from gc3store.support.urls import file_url

__all__ = ["FilesystemStore", "SqlStore", "patch", "restore"]

#: Options of ours that can be given where GC3Pie takes options; it ignores those it does not know.
_OPTIONS = frozenset({"durable", "read_only", "timeout"})


class _ClientStore(gc3libs.persistence.store.Store):  # type: ignore[misc]
    """One of our stores as GC3Pie has its own."""

    def __init__(self, url: Any, store: Store, idfactory: Any) -> None:
        super().__init__(url)
        self._gc3store = store
        self.idfactory = _Reserving() if idfactory is None else idfactory
        self._prefix: str | None = getattr(idfactory, "_prefix", None)

    def list(self, **filters: Any) -> list[str]:
        """Return the IDs of the saved objects, also only some: see `gc3store.Store.list`."""
        return self._gc3store.list(**filters)

    def load(self, id_: Any) -> Any:
        """Return the object with an ID."""
        with _translated():
            return self._gc3store.load(str(id_))

    def remove(self, id_: Any) -> None:
        """Delete an object."""
        with _translated():
            self._gc3store.remove(str(id_))

    def replace(self, id_: Any, obj: Any) -> None:
        """Replace the object with an ID by a copy of `obj`."""
        with _translated():
            self._gc3store.replace(str(id_), obj)

    def save(self, obj: Any) -> str:
        """Save an object and what it refers to, as far as it was changed, and return its ID."""
        with _translated():
            if self._prefix is None:
                return self._gc3store.save(obj)
            return self._gc3store.save(obj, prefix=self._prefix)  # type: ignore[call-arg]

    def invalidate_cache(self) -> None:
        """Forget which instances are live."""
        self._gc3store.invalidate_cache()

    def pre_fork(self) -> None:
        """Give back connections; they are opened again when needed."""
        self._gc3store.pre_fork()

    def post_fork(self) -> None:
        """Do nothing: what `pre_fork` gave back is opened again when needed."""
        self._gc3store.post_fork()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._gc3store, name)

    def __len__(self) -> int:
        return len(self._gc3store)

    def __bool__(self) -> bool:
        return True  # GC3Pie asks whether there is a store

    def __contains__(self, id_: object) -> bool:
        return str(id_) in self._gc3store

    def __iter__(self) -> Iterator[str]:
        return iter(self._gc3store)

    def __repr__(self) -> str:
        return repr(self._gc3store)


class FilesystemStore(_ClientStore):
    """In place of GC3Pie's own: a directory.

    Parameters
    ----------
    directory : str or Url
        The directory; by default the one for jobs in GC3Pie's configuration directory.
    idfactory : IdFactory, optional
        Its prefix, if it has one, begins the IDs of what is saved.
    extra_fields : mapping of Column or str to callable, optional
        User columns of a store of ours. Files that GC3Pie wrote have no place for them, so there
        they are ignored, as GC3Pie's own class does.
    **extra_args
        ``durable`` and ``read_only`` as in `gc3store.make_store`; others are ignored, as
        GC3Pie's own class does.
    """

    def __init__(
        self,
        directory: Any = None,
        idfactory: Any = None,
        extra_fields: Mapping[Any, Callable[[Any], Any]] | None = None,
        **extra_args: Any,
    ) -> None:
        if directory is None:
            directory = gc3libs.defaults.JOBS_DIR
        path = os.path.abspath(directory.path if isinstance(directory, Url) else os.fspath(directory))
        theirs = not os.path.exists(os.path.join(path, ".gc3store")) and is_gc3pie_directory(path)
        fields = None if theirs else _by_name(extra_fields)
        options = _ours(extra_args, "durable", "read_only")
        store = open_file(file_url(path), columns=fields, **options)
        super().__init__(Url(scheme="file", path=path), store, idfactory)
        self._directory = path


class SqlStore(_ClientStore):
    """In place of GC3Pie's own: a database.

    Parameters
    ----------
    url : str or Url
        The database, as GC3Pie writes it: the path of an SQLite file is absolute.
    table_name : str, optional
        Name of the table, or of the first of our tables.
    idfactory : IdFactory, optional
        Its prefix, if it has one, begins the IDs of what is saved.
    extra_fields : mapping of Column or str to callable, optional
        What to record in further columns. With columns of SQLAlchemy, as GC3Pie takes them, a
        new database becomes a table as GC3Pie's own; in a store of ours they are user columns.
    create : bool
        Whether such a table is made; all else is created by the first save anyway.
    **extra_args
        ``durable``, ``read_only`` and ``timeout`` as in `gc3store.make_store`; others are
        ignored, as GC3Pie's own class does.
    """

    def __init__(
        self,
        url: Any,
        table_name: str | None = None,
        idfactory: Any = None,
        extra_fields: Mapping[Any, Callable[[Any], Any]] | None = None,
        create: bool = True,
        **extra_args: Any,
    ) -> None:
        url = Url(url)
        options = _ours(extra_args, *_OPTIONS)
        place = _sqlalchemy_url(url)
        columns = [column for column in extra_fields or () if isinstance(column, sa.Column)]
        if columns and create:
            create_gc3pie_table(place, table_name, columns)
        fields = _by_name(extra_fields)
        database, fragment = parse(place)
        name = table_name or fragment
        store: Store
        if fields and is_gc3pie_table(database, name):
            store = GC3PieTable(database, table_name=name or "store", extra_fields=fields, **options)
        else:
            store = open_sql(place, table_name=table_name, columns=fields, **options)
        super().__init__(url, store, None if isinstance(store, GC3PieTable) else idfactory)
        self.table_name = table_name or "store"
        self._place = place.partition("#")[0]

    @property
    def _engine(self) -> Any:
        """The database, for scripts that ask it questions of their own."""
        return sa.create_engine(self._place, poolclass=sa.pool.NullPool)

    @property
    def _tables(self) -> Any:
        """The table with the columns `id` and `state`."""
        store: Any = self._gc3store
        backend = store.backend
        return backend.table if isinstance(store, GC3PieTable) else backend.statements.schema.record


class _Reserving:
    """What remains of an `IdFactory`: our stores reserve numbers by themselves."""

    def reserve(self, n: int) -> None:
        """Do nothing."""


def _by_name(extra_fields: Mapping[Any, Callable[[Any], Any]] | None) -> dict[str, Callable[[Any], Any]]:
    return {str(getattr(column, "name", column)): value for column, value in (extra_fields or {}).items()}


def _ours(given: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: given[name] for name in names if name in given}


def _sqlalchemy_url(url: Any) -> str:
    """Return a URL of GC3Pie as SQLAlchemy has it; the fragment stays."""
    if url.scheme != "sqlite":
        return str(url)
    path = "/" + url.path.lstrip("/")
    return f"sqlite:///{path}" + (f"#{url.fragment}" if url.fragment else "")


@contextmanager
def _translated() -> Iterator[None]:
    """Raise our errors as errors of GC3Pie's too, which its own code catches."""
    try:
        yield
    except StoreError as error:
        raise _both(type(error)).of(error) from error  # type: ignore[arg-type]


@cache
def _both(cls: type[StoreError]) -> Any:
    class Both(gc3libs.exceptions.LoadError, cls):  # type: ignore[misc,valid-type]
        @classmethod
        def of(this, error: StoreError) -> StoreError:  # noqa: N804
            made: StoreError = Exception.__new__(this)
            made.args = error.args
            made.__dict__.update(error.__dict__)
            return made

        def __str__(self) -> str:
            return str(self.message)

    Both.__name__ = Both.__qualname__ = cls.__name__
    return Both


_originals: dict[tuple[Any, str], Any] = {}


def patch() -> None:
    """Put our classes where GC3Pie looks for its own."""
    if _originals:
        return
    for module, name, ours in (
        (gc3libs.persistence.filesystem, "FilesystemStore", FilesystemStore),
        (gc3libs.persistence, "FilesystemStore", FilesystemStore),
        (gc3libs.persistence.sql, "SqlStore", SqlStore),
        (gc3libs.persistence.store, "make_store", _make_store),
        (gc3libs.persistence, "make_store", _make_store),
    ):
        _originals[module, name] = getattr(module, name)
        setattr(module, name, ours)


def restore() -> None:
    """Give GC3Pie its own classes back."""
    while _originals:
        (module, name), original = _originals.popitem()
        setattr(module, name, original)


def _make_store(uri: Any, *args: Any, **extra_args: Any) -> Any:
    """Open the store at a location, as GC3Pie's `make_store` does, and also those that ours knows."""
    url = Url(uri)
    scheme = url.scheme.partition("+")[0]
    original = _originals[gc3libs.persistence.store, "make_store"]
    if scheme == "file" or scheme in gc3libs.persistence.store._registered_store_ctors:
        return original(uri, *args, **extra_args)
    if scheme in ("sqlite", "postgresql", "postgres", "mysql", "mariadb"):
        return SqlStore(url, *args, **extra_args)
    return _ClientStore(url, make_store(str(uri), *args, **extra_args), None)
