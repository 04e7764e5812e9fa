"""The store in a directory: questions about its catalogue, on top of reading and writing."""

from __future__ import annotations

import builtins
import os
from collections.abc import Iterator, Sequence
from typing import Any

from gc3store.engine.looking import asked
from gc3store.filesystem.writing import Writing
from gc3store.format import record_from_json
from gc3store.query import Query
from gc3store.record import Record

__all__ = ["FilesystemStore"]


class FilesystemStore(Writing):
    """A store in a directory.

    Parameters
    ----------
    url : str or os.PathLike
        The directory, as a path or a ``file:`` URL; made by the first save.
    durable : bool
        Whether a save waits until the object is on stable storage. Without it an
        object still appears whole or not at all, also if the process is killed; only what was
        saved in the last seconds before a power cut may be gone, or be found damaged.
    read_only : bool
        Never write.
    columns : mapping of str to (str or callable), optional
        User columns, see `make_store`.

    Notes
    -----
    See `gc3store.filesystem` for the layout and for what is relied on. Many threads, processes
    and hosts may use one directory at the same time.

    Examples
    --------
    >>> import tempfile
    >>> store = FilesystemStore(tempfile.mkdtemp())
    >>> store.save({"energy": -1.75}, name="ground state")
    'dict.1'
    >>> store.load("dict.1"), store.find("ground state")
    ({'energy': -1.75}, ['dict.1'])
    """

    def _describe(self, id_: str) -> Record | None:
        entry = self._entry_of(id_)
        if entry is None:
            return None
        environment = self._environment_text(entry.get("environment"))
        entry = {**entry, "explicit": entry.get("explicit", False)}
        try:
            return record_from_json(entry, environment=environment, columns=self.columns)
        except (TypeError, ValueError, KeyError) as error:
            return Record(id=id_, error=f"damaged: {error}")

    def _state(self) -> str | None:
        return self._index.state()

    def _columns(self, query: Query, names: Sequence[str]) -> dict[str, builtins.list[Any]]:
        found = self._index.fields(names) if query == Query() else None
        return super()._columns(query, names) if found is None else found

    def _catalogue(self, query: Query) -> Iterator[Record]:
        return query.apply(self._index.records())

    def _ids(self, query: Query) -> builtins.list[str]:
        if query == Query():
            return self._index.ids()
        return super()._ids(query)

    def count(self, query: Query | None = None) -> int:
        """Return how many entries `query` asks for, its offset and limit aside."""
        query = asked(query)
        if not query.conditions and not query.words:
            return len(self._index.ids())
        return super().count(query)

    def _referrers(self, ids: Sequence[str]) -> dict[str, builtins.list[str]]:
        if not self._referring:
            if os.path.exists(f"{self._private}/no-references"):
                return {}
            self._referring = True
        found: dict[str, builtins.list[str]] = {}
        wanted = set(ids)
        for id_, references in self._index.references():
            for reference in references:
                if reference in wanted:
                    found.setdefault(reference, []).append(id_)
        return found

    def _by_origin(self) -> tuple[builtins.list[str], builtins.list[str]]:
        return self._index.by_origin()
