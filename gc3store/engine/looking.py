"""Looking at a store: nothing here reads a payload, or writes."""

from __future__ import annotations

import builtins
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from gc3store.engine.primitives import Primitives, corrupt, not_found, repeated
from gc3store.errors import OptionError, StoreError
from gc3store.ids import check_id, number_of
from gc3store.pickling import checksum_of
from gc3store.query import Query
from gc3store.record import Record
from gc3store.support.memory import passing_through

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Looking", "asked"]


def asked(query: Query | None) -> Query:
    """Return a query that a caller gave; by default the one for everything."""
    if query is None:
        return Query()
    if not isinstance(query, Query):
        raise OptionError(
            f"{query!r:.40} is no query; make one with gc3store.query.Query.parse.", option="query"
        )
    return query


class Looking(Primitives):
    """The catalogue of a store, and the store as a mapping."""

    def list(self, **filters: Any) -> builtins.list[str]:
        """Return the IDs of the saved objects, the oldest first.

        Parameters
        ----------
        **filters
            ``query``, ``order``, ``offset`` and ``limit`` as in `Query.build`; all else
            are fields and the values they must have: ``list(cls="IsingRun",
            state=["NEW", "RUNNING"], order="-size", limit=10)``.

        Raises
        ------
        InvalidQueryError
            If a field does not exist.
        """
        return self._ids(self.query(**filters))

    def query(self, **filters: Any) -> Query:
        """Return the query that the keyword arguments of `list` mean."""
        known = {k: filters.pop(k) for k in ("query", "order", "offset", "limit") if k in filters}
        return Query.build(filters, columns=self.columns, **known)

    def find(self, name: str) -> builtins.list[str]:
        """Return the IDs of the objects saved under `name`, the newest first."""
        return self._ids(Query.build({"name": str(name)}, order="-number"))

    def describe(self, id_: str) -> Record:
        """Return everything known of an object without loading it.

        Raises
        ------
        ObjectNotFoundError
            If there is no such object.
        """
        record = self._describe(check_id(id_))
        if record is None:
            raise not_found(id_)
        return record

    def records(self, query: Query | None = None) -> Iterator[Record]:
        """Yield the catalogue's entries that `query` asks for; payloads are not read."""
        return self._catalogue(asked(query))

    def count(self, query: Query | None = None) -> int:
        """Return how many entries `query` asks for, its offset and limit aside."""
        return sum(1 for _ in self._catalogue(asked(query).but(offset=0, limit=None, order=())))

    def facets(self, field: str, query: Query | None = None) -> dict[Any, int]:
        """Return how many of the entries that `query` asks for have which value of `field`."""
        Query.build({field: None}, columns=self.columns)  # is there such a field?
        counts: dict[Any, int] = {}
        for record in self._catalogue(asked(query).but(offset=0, limit=None, order=())):
            values = record.tags if field == "tags" else (record[field],)
            for value in values:
                counts[value] = counts.get(value, 0) + 1
        return dict(sorted(counts.items(), key=lambda item: (-item[1], str(item[0]))))

    def table(self, *, columns: Sequence[str] | None = None, **filters: Any) -> pd.DataFrame:
        """Return a table with one row per object, indexed by ID; nothing is unpickled.

        Parameters
        ----------
        columns : sequence of str, optional
            Which columns, by default all fields and user columns of the catalogue. What is neither is a path
            (`gc3store.paths`) to be read out of the objects, by inspection: ``temperature``,
            ``execution.exitcode``, ``results.energy``, ``tasks[0].jobname``. Values that were read
            before are remembered, as long as the records are unchanged. Where an object lacks
            the path the value is missing.
        **filters
            As for `list`.

        Raises
        ------
        InvalidQueryError
            If a field does not exist or a path cannot be understood.

        Warns
        -----
        StoreWarning
            If none of the objects has such a path; the message suggests one that they have.
        """
        from gc3store.tables.table import make_table

        return make_table(self, self.query(**filters), columns)

    def references(self, id_: str) -> builtins.list[str]:
        """Return the IDs of the objects that this one refers to, in the order of first use."""
        return builtins.list(self.describe(id_).references)

    def referrers(self, id_: str) -> builtins.list[str]:
        """Return the IDs of the objects that refer to this one, the oldest first."""
        id_ = check_id(id_)
        if id_ not in self:
            raise not_found(id_)
        return sorted(self._referrers([id_]).get(id_, []), key=number_of)

    def orphans(self) -> builtins.list[str]:
        """Return the IDs of objects that were saved as parts of others which no longer lead to them.

        An object that was itself given to `save` is never an orphan, nor is anything that
        can be reached from one.
        """
        explicit, parts = self._by_origin()
        reached, _, _ = self._closure(explicit)
        return [id_ for id_ in parts if id_ not in reached]

    def verify(self, id_: str) -> None:
        """Read an object's bytes and compare their checksum; nothing is unpickled.

        Raises
        ------
        CorruptRecordError
            If they are damaged.
        """
        id_ = check_id(id_)

        def read() -> None:
            stored = self._fetch(id_)
            source = stored.open()  # large payloads are verified whenever they are opened for copying
            if stored.checksum is not None and checksum_of(source) != stored.checksum:
                raise corrupt(id_, "its checksum does not fit")

        with passing_through():
            repeated(read)

    # The mapping protocol.

    def __len__(self) -> int:
        return self.count()

    def __contains__(self, id_: object) -> bool:
        try:
            return bool(self._revisions([check_id(id_)]))
        except StoreError:
            return False

    def _ids(self, query: Query) -> builtins.list[str]:
        return [record.id for record in self._catalogue(query)]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.url!r}>"

    def _repr_html_(self) -> str:
        from gc3store.tables.table import summary_html

        return summary_html(self)
