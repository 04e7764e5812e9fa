"""Which columns a browser shows, how wide and in which order, kept for each store."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from gc3store.errors import UsageError
from gc3store.support.cache import CachedFile

if TYPE_CHECKING:
    from gc3store.store import Store

__all__ = ["Layout"]


class Layout:
    """The column layout of one store's browser, kept in the user's cache directory.

    The store itself is not written to, and a layout that cannot be kept or read is
    no error: the browser then looks as it does for a new store.

    Parameters
    ----------
    store : Store
        Whose columns they are; stores are told apart by kind and location.
    """

    def __init__(self, store: Store) -> None:
        identity = f"{type(store).__module__}.{type(store).__qualname__} {store.url}"
        self._file = CachedFile("browser", identity)

    def read(self) -> list[list[Any]]:
        """Return ``[column, width in pixels, shown]`` for each column, or nothing; a width of 0 is as it fits."""
        try:
            return self.check(json.loads(self._file.read() or b"[]"))
        except (ValueError, UsageError):
            return []

    def write(self, columns: object) -> None:
        """Keep a layout; of two browsers that do so at once, the later one wins."""
        self._file.write(json.dumps(self.check(columns)).encode())

    @staticmethod
    def check(columns: object) -> list[list[Any]]:
        """Return `columns` if they are a layout, else raise `UsageError`."""
        if isinstance(columns, list) and len(columns) <= 200:
            for entry in columns:
                match entry:
                    case [str(name), int(width), bool()] if len(name) <= 100 and 0 <= width <= 4000:
                        continue
                break
            else:
                return columns
        raise UsageError("A layout is a list of columns, each a name, a width and whether it is shown.")
