"""Which columns a browser shows, how wide and in which order, remembered for each store."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import platformdirs

from gc3store.errors import UsageError

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
    directory : Path, optional
        Where layouts are kept.
    """

    def __init__(self, store: Store, directory: Path | None = None) -> None:
        directory = directory or platformdirs.user_cache_path("gc3store") / "browser"
        identity = f"{type(store).__module__}.{type(store).__qualname__} {store.url}"
        self.path = directory / f"{hashlib.sha256(identity.encode()).hexdigest()[:20]}.json"

    def read(self) -> list[list[Any]]:
        """Return ``[column, width in pixels, shown]`` for each column, or nothing; a width of 0 is as it fits."""
        try:
            return self.check(json.loads(self.path.read_text("utf-8")))
        except (OSError, ValueError, UsageError):
            return []

    def write(self, columns: object) -> None:
        """Keep a layout; of two browsers that do so at once, the later one wins."""
        text = json.dumps(self.check(columns))
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=self.path.parent, suffix=".tmp")
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    file.write(text)
                Path(temporary).replace(self.path)
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise
        except OSError:
            pass  # a home directory that cannot be written to takes nothing else away

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
