"""What opens what is at a location: constructors by scheme, and which of the stores of this package it is."""

from __future__ import annotations

import difflib
import importlib
import inspect
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from gc3store import persistable
from gc3store.errors import InvalidURLError, MissingDependencyError, OptionError, UnknownSchemeError
from gc3store.store import Store
from gc3store.support.sqlite_file import is_sqlite_file
from gc3store.support.urls import file_url

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint, EntryPoints

    from gc3store.gc3pie.session import SessionDirectory

__all__ = ["known_schemes", "make_store", "open_file", "open_sql", "register", "schemes"]

Constructor = Callable[..., Store]

#: Where the store classes of this package are that pickled stores name.
_CLASSES = {
    "FilesystemStore": "gc3store.filesystem:FilesystemStore",
    "GC3PieDirectory": "gc3store.gc3pie.directory:GC3PieDirectory",
    "GC3PieTable": "gc3store.gc3pie.table:GC3PieTable",
    "SqlStore": "gc3store.sql:SqlStore",
}

_registered: dict[str, Constructor] = {}

#: The constructors that were registered or used so far; a read-only view.
schemes: Mapping[str, Constructor] = MappingProxyType(_registered)

_GROUP = "gc3store.stores"

#: What can be a scheme here; a single letter is a drive.
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]+")


def register(scheme: str, constructor: Constructor) -> None:
    """Register the constructor of the stores whose URLs begin with `scheme`.

    Parameters
    ----------
    scheme : str
        What stands before the colon of the URL, in upper or lower case: a letter, and one or more
        letters, digits, ``-``, ``_`` and ``.``.
    constructor : callable
        Called with the URL and the further arguments of `make_store`; typically a class.

    Notes
    -----
    Silently replaces an earlier registration, those of this package included. A package
    can also offer a store through the entry-point group ``gc3store.stores``.

    Examples
    --------
    >>> from gc3store import FilesystemStore, make_store, register
    >>> register("scratch", lambda url, **options: FilesystemStore("/tmp/scratch", **options))
    >>> make_store("scratch://")
    <FilesystemStore 'file:///tmp/scratch'>
    """
    if not isinstance(scheme, str) or not _SCHEME.fullmatch(scheme):
        raise InvalidURLError(
            f"{scheme!r:.60} cannot be the scheme of a URL: take a letter, and then letters, digits, '-', '_' and '.'."
        )
    if not callable(constructor):
        raise OptionError(
            f"The constructor for {scheme!r} must be callable, not {type(constructor).__name__}."
        )
    _registered[scheme.lower()] = constructor


def make_store(uri: str | os.PathLike[str], *args: Any, **kwargs: Any) -> Store:
    """Open the store at a location.

    Parameters
    ----------
    uri : str or os.PathLike
        A URL: ``file:///directory``, ``sqlite:///file.db``, or that of another database as
        SQLAlchemy has it; or a path: that of an SQLite file or of a directory.
    *args, **kwargs
        Passed to the constructor registered for the URL's scheme. All stores of this package take
        ``durable``, ``read_only``, ``trust`` and ``columns``.

        ``columns={"energy": "result.energy", "n": len}`` gives the catalogue columns of your own: names,
        each with a path (`gc3store.paths`) or a function of an object. Their values are recorded whenever an
        object is saved, and `list`, `table` and search can filter and sort on them. The store keeps names
        and paths, so that they need not be given again; it cannot keep functions. For objects saved before,
        `fill_columns` records them. What fails stays empty, with a `ColumnWarning`, and never hinders saving.
        Values are booleans, numbers, strings and times, as they were when the record itself was saved.

    Returns
    -------
    Store
        The store. Nothing is created before the first save.

    Raises
    ------
    UnknownSchemeError
        If no store is registered for the scheme; the message lists those that are.
    MissingDependencyError
        If a package is not installed that is needed for it.
    OptionError
        If the constructor does not take an argument.
    StoreUnavailableError
        If there is something else at that place, or it cannot be reached.

    Examples
    --------
    >>> import os, tempfile
    >>> directory = tempfile.mkdtemp()
    >>> with make_store(directory) as store:
    ...     store.save([1, 2, 3])
    'list.1'
    >>> make_store("flie:///tmp")
    Traceback (most recent call last):
        ...
    gc3store.errors.UnknownSchemeError: There is no store for 'flie:' URLs; did you mean 'file:'? There are ...
    """
    # What is wrong is not quoted: there may be a password in it.
    if not isinstance(uri, (str, os.PathLike)):
        raise InvalidURLError(
            f"A store is at a URL or a path: a string, not an object of type {type(uri).__name__}."
        )
    text = os.fsdecode(uri)
    if not text or "\0" in text:
        what = "has a NUL character in it, which neither has" if text else "is empty"
        raise InvalidURLError(f"A store is at a URL or a path, and this {what}.")
    scheme = _scheme_of(text) if isinstance(uri, str) else None
    if scheme is None:
        path = os.path.abspath(os.path.expanduser(text))
        if os.path.isfile(path) and is_sqlite_file(path):
            scheme, text = "sqlite", "sqlite:///" + path
        else:
            scheme, text = "file", file_url(path)
    constructor = _constructor(scheme)
    try:
        inspect.signature(constructor).bind(text, *args, **kwargs)
    except TypeError as error:
        raise _bad_option(scheme, constructor, kwargs, error) from error
    except ValueError:
        pass  # some callables written in C have no signature
    return constructor(text, *args, **kwargs)


def _scheme_of(text: str) -> str | None:
    """Return the scheme of a URL without what follows a ``+``, `None` for a path."""
    scheme, colon, rest = text.partition(":")
    if not colon or os.sep in scheme or len(scheme) < 2:  # C:\\data is a path
        return None
    base = scheme.partition("+")[0]
    if rest.startswith("//") or base.lower() in known_schemes():
        return base.lower() if base else None
    return None


def known_schemes() -> set[str]:
    """Return the schemes of this package, of other packages and those registered."""
    return {*_registered, *_BUILT_IN, *(entry.name.lower() for entry in _entry_points())}


def _constructor(scheme: str) -> Constructor:
    if scheme in _registered:
        return _registered[scheme]
    for entry in _entry_points():
        if entry.name.lower() == scheme:
            register(scheme, _offered(entry))
            return _registered[scheme]
    if scheme in _BUILT_IN:
        _registered[scheme] = _BUILT_IN[scheme]  # looking for other packages takes a hundred times as long
        return _registered[scheme]
    known = sorted(known_schemes())
    near = difflib.get_close_matches(scheme, known, n=1)
    hint = f"did you mean {near[0] + ':'!r}? There" if near else "there"
    raise UnknownSchemeError(
        f"There is no store for {scheme + ':'!r} URLs; {hint} are {', '.join(k + ':' for k in known)}.",
        scheme=scheme,
        known=known,
    )


def _entry_points() -> EntryPoints:
    # Importing this module takes longer than importing gc3store.
    metadata = importlib.import_module("importlib.metadata")
    found: EntryPoints = metadata.entry_points(group=_GROUP)
    return found


def _offered(entry: EntryPoint) -> Constructor:
    """Return the constructor that another package offers."""
    package = "another package" if entry.dist is None else f"the package {entry.dist.name}"
    try:
        constructor = entry.load()
        if not callable(constructor):
            raise TypeError(f"{entry.value} is not callable")
    except Exception as error:  # code of others runs here
        if isinstance(error, ModuleNotFoundError) and error.name:
            what = f"needs a module that is not installed: install {error.name!r}"
        else:
            what = f"cannot be used here: reinstall or upgrade it ({type(error).__name__}: {error})"
        raise MissingDependencyError(
            f"{entry.name}: URLs are for stores of {package}, which {what}."
        ) from error
    return constructor  # type: ignore[no-any-return]


def _bad_option(
    scheme: str, constructor: Constructor, kwargs: Mapping[str, Any], error: TypeError
) -> OptionError:
    takes = [
        name
        for name, parameter in inspect.signature(constructor).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    ]
    for name in kwargs:
        if name not in inspect.signature(constructor).parameters:
            near = difflib.get_close_matches(name, takes, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(takes) or 'none'}."
            return OptionError(f"{scheme}: stores have no option {name!r}; {hint}", option=name)
    return OptionError(f"{scheme}: stores cannot be opened like this: {error}.")


def open_file(
    url: str,
    *,
    durable: bool = True,
    read_only: bool = False,
    trust: Any = "everything",
    columns: Mapping[str, Any] | None = None,
) -> Store:
    """Open the store in a directory: ours, one that GC3Pie wrote, or that of a GC3Pie session."""
    from gc3store.filesystem import FilesystemStore, path_of

    options: dict[str, Any] = {"durable": durable, "read_only": read_only, "trust": trust, "columns": columns}
    path = path_of(url)
    if not os.path.isdir(path) or os.path.exists(os.path.join(path, ".gc3store")):
        return FilesystemStore(url, **options)
    from gc3store.gc3pie.directory import GC3PieDirectory, is_gc3pie_directory
    from gc3store.gc3pie.session import is_session, read_session

    if is_session(path):
        session = read_session(path)
        open_ = open_sql if session.store_url.partition(":")[0] != "file" else open_file
        store: Any = open_(session.store_url, **options)
        store.session = session if store.url == session.store_url else _without_password(session)
        return store  # type: ignore[no-any-return]
    return (GC3PieDirectory if is_gc3pie_directory(path) else FilesystemStore)(url, **options)


def _without_password(session: SessionDirectory) -> SessionDirectory:
    """Return the facts of a session without the password to its database."""
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
    options: dict[str, Any] = {
        "durable": durable,
        "read_only": read_only,
        "trust": trust,
        "timeout": timeout,
        "columns": columns,
    }
    is_sqlite = place.get_backend_name() == "sqlite"
    # A file is examined first, since even a reader can leave files beside it. A server is asked by
    # the store itself, whose error is better if the server does not answer.
    if not (is_sqlite and _is_gc3pie(place, name, read_only)):
        store = SqlStore(url, table_name=table_name, **options)
        if is_sqlite or store.uuid is not None or not _is_gc3pie(place, name, read_only):
            return store
        store.close()
    from gc3store.gc3pie.table import GC3PieTable

    return GC3PieTable(place, table_name=name or "store", **options)


def _is_gc3pie(url: Any, table_name: str | None, read_only: bool) -> bool:
    if url.get_backend_name() == "sqlite" and not os.path.isfile(os.path.expanduser(url.database or "")):
        return False
    from gc3store.gc3pie.database import is_gc3pie_table

    return is_gc3pie_table(url, table_name, read_only=read_only)


#: What opens the stores of this package, by scheme.
_BUILT_IN: Mapping[str, Constructor] = {
    "file": open_file,
    **dict.fromkeys(("sqlite", "postgresql", "postgres", "mysql", "mariadb"), open_sql),
}


def _reopened(kind: str | type[Store], location: str, options: Mapping[str, Any]) -> Store:
    if isinstance(kind, str):
        module, _, name = _CLASSES[kind].partition(":")
        kind = getattr(importlib.import_module(module), name)
    return kind(location, **options)  # type: ignore[operator]


persistable.provide("opener", _reopened)
