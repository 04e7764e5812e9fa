"""Keep any Python object from a script or a notebook, and find it again.

>>> import tempfile
>>> from gc3store import make_store
>>> store = make_store(tempfile.mkdtemp())
>>> id_ = store.save({"temperature": 2.27, "magnetization": 0.63}, name="near critical")
>>> store.load(id_)
{'temperature': 2.27, 'magnetization': 0.63}

`make_store` opens a store in a directory or a database, `Persistable` marks objects that
are stored once and referred to, ``%load_ext gc3store`` brings the magics into a notebook,
and `browse` shows a store there.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from gc3store import errors
from gc3store.errors import *  # noqa: F403
from gc3store.jupyter.origin import running_origin
from gc3store.persistable import Persistable
from gc3store.query import Query
from gc3store.record import Record
from gc3store.registry import make_store, register
from gc3store.store import Store
from gc3store.support.provenance import set_place
from gc3store.support.renaming import rename

if TYPE_CHECKING:
    from gc3store.copying import copy
    from gc3store.filesystem import FilesystemStore
    from gc3store.sql import SqlStore as SqlStore

__version__ = "0.1.0"

set_place(running_origin)  # stores know nothing of notebooks

__all__ = [
    "FilesystemStore",
    "Persistable",
    "Query",
    "Record",
    "Store",
    "browse",
    "copy",
    "make_store",
    "register",
    "rename",
    *errors.__all__,
]


def browse(store: Any = None, **options: Any) -> Any:
    """Show a store in a notebook; see `gc3store.jupyter.browser`.

    Parameters
    ----------
    store : Store, str or os.PathLike, optional
        The store or where it is; by default the one that the magics use.
    """
    from gc3store.jupyter.browser import browse as browse_

    return browse_(store, **options)


def load_ipython_extension(ipython: Any) -> None:
    """Bring the magics into a notebook: ``%load_ext gc3store``."""
    from gc3store.jupyter import load_ipython_extension as load

    load(ipython)


def unload_ipython_extension(ipython: Any) -> None:
    """Take the magics away again: ``%unload_ext gc3store``."""
    from gc3store.jupyter import unload_ipython_extension as unload

    unload(ipython)


#: Names whose modules import the engine, or SQLAlchemy: imported when they are first used.
_LAZY = {
    "FilesystemStore": "gc3store.filesystem",
    "SqlStore": "gc3store.sql",
    "copy": "gc3store.copying",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_LAZY[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
