"""The interface of a store.

`Store` is what scripts, magics and the browser talk to. Four methods make one:
`~Store.save`, `~Store.load`, `~Store.replace` and `~Store.remove`; everything else
either follows from them or says plainly that this kind of store does not offer
it. The interface is that of GC3Pie's ``gc3libs.persistence.store``; what is new
here has a new name or is keyword-only.
"""

from __future__ import annotations

import builtins
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from html import escape
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from gc3store.errors import NotSupportedError, ObjectNotFoundError
from gc3store.ids import number_of
from gc3store.query import Query
from gc3store.record import Record
from gc3store.support.redaction import redact

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["KEEP", "Keep", "Store"]


class Keep:
    """The type of `KEEP`."""

    def __repr__(self) -> str:
        return "KEEP"


#: Stands for "leave it as it is" where `None` means "none".
KEEP: Final = Keep()


class Store(ABC):
    """Interface for storing and retrieving objects on permanent storage.

    Parameters
    ----------
    url : str, optional
        Where the objects are.

    Notes
    -----
    *Unpickling runs code.* `load` imports and calls what the stored bytes name;
    load only what you or people you trust have saved. Everything else that a store
    of this library offers, `list`, `describe`, `table`, ..., runs nothing.

    Examples
    --------
    Your own store needs four methods; with `list` it can be browsed too:

    >>> class Memory(Store):
    ...     def __init__(self, url=None):
    ...         super().__init__(url)
    ...         self.objects = {}
    ...     def save(self, obj):
    ...         id_ = f"{type(obj).__name__}.{len(self.objects) + 1}"
    ...         self.objects[id_] = obj
    ...         return id_
    ...     def load(self, id_):
    ...         return self.objects[id_]
    ...     def replace(self, id_, obj):
    ...         self.objects[id_] = obj
    ...     def remove(self, id_):
    ...         del self.objects[id_]
    >>> store = Memory()
    >>> store.load(store.save([1, 2]))
    [1, 2]
    >>> store.list()
    Traceback (most recent call last):
        ...
    gc3store.errors.NotSupportedError: A Memory store does not offer list().
    """

    #: What the store offers beyond the four methods; the names are those of methods.
    capabilities: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, url: str | None = None) -> None:
        self._url = url

    @property
    def url(self) -> str | None:
        """Where the objects are, without any password."""
        return None if self._url is None else redact(self._url)

    # What every store has.

    @abstractmethod
    def save(self, obj: Any) -> str:
        """Save an object and return its ID."""

    @abstractmethod
    def load(self, id_: str) -> Any:
        """Load a saved object given its ID, and return it."""

    @abstractmethod
    def replace(self, id_: str, obj: Any) -> None:
        """Replace the object already saved with the given ID with a copy of `obj`."""

    @abstractmethod
    def remove(self, id_: str) -> None:
        """Delete a given object from permanent storage, given its ID."""

    # What a store may leave as it is.

    def invalidate_cache(self) -> None:
        """Forget loaded objects: the next `load` reads from permanent storage."""

    def pre_fork(self) -> None:
        """Make preparations for forking the current process; does nothing by default."""

    def post_fork(self) -> None:
        """Restore what `pre_fork` suspended; does nothing by default."""

    def close(self) -> None:
        """Give back connections and files; does nothing by default."""

    # What a store may offer.

    def list(self, **filters: Any) -> list[str]:
        """Return the IDs of the saved objects.

        Parameters
        ----------
        **filters
            See `gc3store.query.Query.build`, for example
            ``list(state="TERMINATED", cls="IsingRun", order="-size", limit=10)``.
        """
        raise self._unsupported("list")

    def query(self, **filters: Any) -> Query:
        """Return the query that the keyword arguments of `list` mean."""
        known = {k: filters.pop(k) for k in ("query", "order", "offset", "limit") if k in filters}
        return Query.build(filters, columns=self.columns, **known)

    @property
    def columns(self) -> Sequence[str]:
        """Names of the store's user columns."""
        return ()

    def describe(self, id_: str) -> Record:
        """Return everything known of an object without loading it.

        Where a store only lists its IDs, this is the ID, and the class name that it begins with.
        """
        if not self.offers("list"):
            raise self._unsupported("describe")
        if id_ not in self.list():
            raise ObjectNotFoundError(f"There is no object {id_!r:.60} in this store.", id=id_)
        return _ListedRecord(id=id_, cls=id_.rpartition(".")[0])

    def records(self, query: Query | None = None) -> Iterator[Record]:
        """Yield the catalogue's entries that `query` asks for."""
        if not self.offers("list"):
            raise self._unsupported("records")
        ids = self.list()
        if self.offers("describe"):
            return (query or Query()).apply(self.describe(id_) for id_ in ids)
        return (query or Query()).apply(
            _ListedRecord(id=str(id_), cls=str(id_).rpartition(".")[0], revision=place)
            for place, id_ in enumerate(ids)
        )

    def count(self, query: Query | None = None) -> int:
        """Return how many entries `query` asks for, its offset and limit aside."""
        if query is None and self.offers("list"):
            return len(self.list())
        return sum(1 for _ in self.records((query or Query()).but(offset=0, limit=None, order=())))

    def facets(self, field: str, query: Query | None = None) -> dict[Any, int]:
        """Return how many of the entries that `query` asks for have which value of `field`."""
        records = self.records((query or Query()).but(offset=0, limit=None, order=()))
        counts: Counter[Any] = Counter()
        for record in records:
            counts.update(record.tags if field == "tags" else (record[field],))
        return dict(sorted(counts.items(), key=lambda item: (-item[1], str(item[0]))))

    def update(self, id_: str, *, name: Any = KEEP, tags: Any = KEEP) -> None:
        """Change an object's name or tags, leaving its content alone."""
        raise self._unsupported("update")

    def export(self, id_: str) -> bytes:
        """Return the record whole, not unpickled, for `restore`."""
        raise self._unsupported("export")

    def restore(self, data: bytes) -> str:
        """Put back what `export` returned, and return its ID."""
        raise self._unsupported("restore")

    def verify(self, id_: str) -> None:
        """Raise `gc3store.errors.CorruptRecordError` if an object's bytes are damaged."""
        raise self._unsupported("verify")

    def inspect(self, id_: str) -> Any:
        """Return what an object consists of, as inert values, without loading it."""
        raise self._unsupported("inspect")

    def references(self, id_: str) -> builtins.list[str]:
        """Return the IDs of the objects that this one refers to."""
        if not self.offers("describe"):
            raise self._unsupported("references")
        return builtins.list(self.describe(id_).references)

    def referrers(self, id_: str) -> builtins.list[str]:
        """Return the IDs of the objects that refer to this one."""
        if not (self.offers("describe") and self.offers("list")):
            raise self._unsupported("referrers")
        return [other for other in self.list() if id_ in self.describe(other).references]

    def table(self, **options: Any) -> pd.DataFrame:
        """Return a table with one row per object, indexed by ID."""
        raise self._unsupported("table")

    def fill_columns(self, names: Iterable[str] | None = None, **options: Any) -> int:
        """Record user columns of objects that have no value there yet; return how many got one."""
        raise self._unsupported("fill_columns")

    def transaction(self) -> AbstractContextManager[Any]:
        """Return a context in which all changes are one transaction."""
        raise self._unsupported("transaction")

    def find(self, name: str) -> builtins.list[str]:
        """Return the IDs of the objects saved under `name`, the newest first."""
        if not (self.offers("records") or self.offers("describe")):
            raise self._unsupported("find")
        return [record.id for record in self.records(Query.build({"name": name}, order="-number"))]

    # What follows from the above.

    def save_many(self, objs: Iterable[Any]) -> builtins.list[str]:
        """Save several objects, and return their IDs in the same order."""
        return [self.save(obj) for obj in objs]

    def load_many(self, ids: Iterable[str]) -> Iterator[Any]:
        """Yield the objects with the given IDs, in the same order."""
        return (self.load(id_) for id_ in ids)

    def remove_many(self, ids: Iterable[str]) -> None:
        """Remove several objects."""
        for id_ in ids:
            self.remove(id_)

    def __len__(self) -> int:
        return self.count()

    def __bool__(self) -> bool:
        return True  # an empty store is a store

    def __contains__(self, id_: object) -> bool:
        return id_ in self.list()

    def __iter__(self) -> Iterator[str]:
        return iter(self.list())

    def __getitem__(self, id_: str) -> Any:
        return self.load(id_)

    def __setitem__(self, id_: str, obj: Any) -> None:
        self.replace(id_, obj)

    def __delitem__(self, id_: str) -> None:
        self.remove(id_)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.url!r}>" if self.url else f"<{type(self).__name__}>"

    def _repr_html_(self) -> str:
        return f"<code>{escape(repr(self))}</code>"

    def offers(self, method: str) -> bool:
        """Whether the store has an own version of an optional method.

        >>> from gc3store.store import Store
        >>> Store.offers(Store, "list")  # a class can be asked as well
        False
        """
        cls = self if isinstance(self, type) else type(self)
        return getattr(cls, method) is not getattr(Store, method) or method in _DERIVED

    def _unsupported(self, method: str) -> NotSupportedError:
        return NotSupportedError(f"A {type(self).__name__} store does not offer {method}().")


class _ListedRecord(Record):
    """A record of which little but its ID is known; if the ID has no number, its place in the list stands for it."""

    __slots__ = ()

    @property
    def number(self) -> int:
        """The number in the ID, or the place in the list."""
        try:
            return number_of(self.id)
        except ValueError:
            return self.revision


_DERIVED: Collection[str] = ("save_many", "load_many", "remove_many")
