"""A store's catalogue as the browser needs it, for stores of any kind.

What a store does not offer itself, the defaults of `Store` do from its list of IDs; a store
without a list can still load what the user names. What is missing is said in plain
sentences (`Catalogue.notes`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any

from gc3store.errors import NotSupportedError, ObjectNotFoundError
from gc3store.jupyter.fields import SHOWN_FIELDS
from gc3store.query import Condition, Query
from gc3store.record import Record

if TYPE_CHECKING:
    import pandas as pd

    from gc3store.store import Store

__all__ = ["Catalogue", "Selected"]

#: Columns of the table that `Catalogue.table` makes.
_TABLE = tuple(name for name in SHOWN_FIELDS if name != "id")


class Catalogue:
    """Answers questions about the records of `store`.

    Parameters
    ----------
    store : Store
        Any store, also one with just the four methods.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.queries = store.offers("records")
        self.lists = self.queries or store.offers("list")
        self.describes = store.offers("describe")

    @property
    def offers(self) -> dict[str, bool]:
        """What the browser can do with this store."""
        store = self.store
        return {
            "list": self.lists,
            "metadata": self.queries,
            "detail": self.describes,
            "label": self.describes and store.offers("update"),
            "undo": store.offers("export") and store.offers("restore"),
            "inspect": store.offers("inspect"),
        }

    @property
    def notes(self) -> list[str]:
        """What the store does not offer, a sentence each."""
        name = f"A {type(self.store).__name__} store"
        can = self.offers
        if not can["list"]:
            return [f"{name} cannot list its objects: load and remove them by their IDs."]
        notes = []
        if not can["metadata"]:
            notes.append(f"{name} keeps no names, states or sizes: search and sorting see only IDs.")
        if not can["undo"]:
            notes.append(f"{name} cannot put back what is removed: there is no undo.")
        if not can["label"]:
            notes.append(f"{name} cannot rename or tag.")
        return notes

    @property
    def columns(self) -> tuple[str, ...]:
        """The store's user columns."""
        return tuple(name for name in self.store.columns if name.isidentifier())

    def rows(self, query: Query) -> list[Record]:
        """Return the records that `query` asks for."""
        found = self.store.records(query)
        if hasattr(found, "close"):
            with closing(found):  # type: ignore[type-var]
                return list(found)
        return list(found)

    def count(self, query: Query | None = None) -> int:
        """Return how many records match, offset and limit aside."""
        return self.store.count(query)

    def facets(self, field: str, query: Query) -> dict[Any, int]:
        """Return how many of the matching records have which value of `field`."""
        return self.store.facets(field, query)

    def describe(self, id_: str) -> Record:
        """Return everything known of an object.

        Raises
        ------
        ObjectNotFoundError
            If the store knows of no object with this ID; a store that can neither
            describe nor list is taken at its word.
        """
        if self.lists or self.describes:
            return self.store.describe(id_)
        return Record(id=id_, cls=id_.rpartition(".")[0])

    def position(self, id_: str, query: Query) -> int | None:
        """Return how many of the records that `query` asks for come before `id_`.

        By counting, so that no list of IDs is made. Where two kinds of values are
        sorted in a way that comparison does not tell, the answer is near, not exact.
        """
        query = query.but(offset=0, limit=None)
        if not self.queries:
            for index, record in enumerate(self.rows(query)):
                if record.id == id_:
                    return index
            return None
        try:
            record = self.store.describe(id_)
        except ObjectNotFoundError:
            return None
        if not query.matches(record):
            return None
        before = Condition("number", "<", record.number)
        if not query.order:
            return self._count(query, before)
        (field, descending), *_ = query.order
        value = record[field]
        if field in ("id", "number"):
            return self._count(query, Condition(field, ">" if descending else "<", value))
        if value is None:
            return self._count(query, Condition(field, "!=", None)) + self._count(
                query, Condition(field, "=", None), before
            )
        return self._count(query, Condition(field, ">" if descending else "<", value)) + self._count(
            query, Condition(field, "=", value), before
        )

    def _count(self, query: Query, *conditions: Condition) -> int:
        return self.count(query.but(conditions=query.conditions + conditions))

    def change_token(self) -> tuple[int, str]:
        """Return how many records there are, and a string that changes when they do.

        Told by the newest number and, where looking for it is cheap, the newest change.
        """
        total = self.count()
        if not self.queries:
            return total, str(total)
        fields = ["number", "modified"] if total <= 20_000 else ["number"]
        newest = [self.rows(Query(order=((field, True),), limit=1)) for field in fields]
        newest_values = [found[0][field] for found, field in zip(newest, fields, strict=True) if found]
        return total, " ".join(map(str, [total, *newest_values]))

    def table(self, query: Query) -> pd.DataFrame:
        """Return the matching records as a table, one row each, indexed by ID."""
        import pandas as pd

        records = self.rows(query)
        names = [*_TABLE, *self.columns] if self.queries else ["cls"]
        data = {name: [_cell(record, name) for record in records] for name in names}
        index = pd.Index([record.id for record in records], name="id", dtype="object")
        return pd.DataFrame(data, index=index, columns=names)


def _cell(record: Record, name: str) -> Any:
    value = record.columns.get(name) if name not in _TABLE else record[name]
    return ", ".join(value) if isinstance(value, tuple) else value


class Selected:
    """The objects selected in a browser: some IDs, or a query and its exceptions.

    Behaves like a sequence of IDs, and asks the store only when looked into, so
    that a million selected objects cost nothing until they are used.

    Parameters
    ----------
    catalogue : Catalogue
        Where they are.
    ids : tuple of str
        The IDs, where single objects are selected.
    query : Query, optional
        All that match it are selected, but for the `ids`.
    """

    def __init__(self, catalogue: Catalogue, ids: tuple[str, ...] = (), query: Query | None = None) -> None:
        self._catalogue = catalogue
        self._ids = tuple(dict.fromkeys(ids))
        self._query = None if query is None else query.but(offset=0, limit=None)

    def __len__(self) -> int:
        if self._query is None:
            return len(self._ids)
        return max(0, self._catalogue.count(self._query) - sum(map(self._matches, self._ids)))

    def __bool__(self) -> bool:
        return bool(self._ids) if self._query is None else len(self) > 0

    def __iter__(self) -> Iterator[str]:
        if self._query is None:
            return iter(self._ids)
        return self._walk(self._query)

    def __contains__(self, id_: object) -> bool:
        if self._query is None or not isinstance(id_, str):
            return id_ in self._ids
        return id_ not in self._ids and self._matches(id_)

    def __getitem__(self, index: int) -> str:
        if self._query is None:
            return self._ids[index]
        if index < 0:
            index += len(self)
        for id_ in itertools.islice(self, max(index, 0), None):
            if index >= 0:
                return id_
        raise IndexError("Fewer objects are selected.")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Selected):
            return NotImplemented
        return (self._ids, self._query) == (other._ids, other._query)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        some = list(itertools.islice(self, 3))
        n = len(self)
        listed = f": {', '.join(some)}{', ...' if n > 3 else ''}" if some else ""
        return f"<Selected: {n:,} object{'s' if n != 1 else ''}{listed}>"

    def table(self) -> pd.DataFrame:
        """Return the selected records as a table."""
        if self._query is not None:
            table = self._catalogue.table(self._query)
            return table.drop(index=[id_ for id_ in self._ids if id_ in table.index])
        if not self._ids:
            return self._catalogue.table(Query(limit=0))
        condition = Condition("id", "in", self._ids)
        return self._catalogue.table(Query(conditions=(condition,)))

    def _matches(self, id_: str) -> bool:
        try:
            return self._query is None or self._query.matches(self._catalogue.describe(id_))
        except (ObjectNotFoundError, NotSupportedError):
            return False

    def _walk(self, query: Query) -> Iterator[str]:
        # By pages that begin after the last number seen: removing the objects
        # on the way neither skips one nor keeps a cursor open.
        left_out = set(self._ids)
        if not self._catalogue.queries:
            yield from [r.id for r in self._catalogue.rows(query.but(order=())) if r.id not in left_out]
            return
        last = -1
        while True:
            page = query.but(
                conditions=(*query.conditions, Condition("number", ">", last)), order=(), limit=2000
            )
            records = self._catalogue.rows(page)
            for record in records:
                if record.id not in left_out:
                    yield record.id
            if len(records) < 2000:
                return
            last = records[-1].number
