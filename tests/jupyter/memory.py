"""Small stores for the notebook tests: everything a store can offer, kept in a dict."""

from __future__ import annotations

import pickle
import threading
from collections import Counter
from dataclasses import replace as changed
from datetime import UTC, datetime, timedelta

from gc3store.errors import ObjectNotFoundError, StoreUnavailableError
from gc3store.query import Query
from gc3store.record import Record
from gc3store.store import Store

EPOCH = datetime(2026, 11, 1, tzinfo=UTC)


class MemoryStore(Store):
    """Answers catalogue queries by `Query.apply`, as any store may; counts its calls."""

    capabilities = frozenset({"threads"})

    def __init__(self, url="memory://"):
        super().__init__(url)
        self.entries: dict[str, Record] = {}
        self.payloads: dict[str, bytes] = {}
        self.last = 0
        self.loads = 0
        self.down: str | None = None
        self.lock = threading.RLock()

    def _up(self):
        if self.down:
            raise StoreUnavailableError(self.down)

    def add(self, **fields):
        """Add an entry of the catalogue as it is, with a payload that loads to its ID."""
        with self.lock:
            self.last += 1
            prefix = fields.pop("prefix", "Run")
            id_ = fields.pop("id", f"{prefix}.{self.last}")
            when = EPOCH + timedelta(minutes=self.last)
            values = {"cls": f"study.{prefix}", "created": when, "modified": when, "size": 1000 + self.last}
            self.entries[id_] = Record(id=id_, **{**values, **fields})
            self.payloads[id_] = pickle.dumps(id_)
            return id_

    def save(self, obj, *, name=None, tags=(), origin=None):
        self._up()
        data = pickle.dumps(obj)
        cls = f"{type(obj).__module__}.{type(obj).__qualname__}"
        id_ = self.add(
            prefix=type(obj).__name__,
            name=name,
            tags=tuple(tags),
            cls=cls,
            size=len(data),
            origin=dict(origin or {}),
        )
        self.payloads[id_] = data
        return id_

    def load(self, id_):
        self._up()
        self.loads += 1
        try:
            return pickle.loads(self.payloads[id_])
        except KeyError:
            raise self._missing(id_) from None

    def replace(self, id_, obj):
        self._up()
        entry = self.describe(id_)
        self.payloads[id_] = pickle.dumps(obj)
        self.entries[id_] = changed(entry, revision=entry.revision + 1, size=len(self.payloads[id_]))

    def remove(self, id_):
        self._up()
        with self.lock:
            if self.entries.pop(id_, None) is None:
                raise self._missing(id_)
            del self.payloads[id_]

    def _missing(self, id_):
        return ObjectNotFoundError(f"There is no object {id_!r} in this store.", id=id_)

    def list(self, **filters):
        return [record.id for record in self.records(Query.build(filters))]

    def describe(self, id_):
        self._up()
        try:
            return self.entries[id_]
        except KeyError:
            raise self._missing(id_) from None

    def records(self, query=None):
        self._up()
        with self.lock:
            entries = sorted(self.entries.values(), key=lambda record: record.number)
        return (query or Query()).apply(entries)

    def count(self, query=None):
        return sum(1 for _ in self.records((query or Query()).but(offset=0, limit=None, order=())))

    def facets(self, field, query=None):
        rows = self.records((query or Query()).but(offset=0, limit=None, order=()))
        return dict(Counter(row[field] for row in rows))

    def update(self, id_, **labels):
        self._up()
        self.entries[id_] = changed(self.describe(id_), **labels)

    def export(self, id_):
        return pickle.dumps((self.describe(id_), self.payloads[id_]))

    def restore(self, data):
        self._up()
        entry, payload = pickle.loads(data)
        self.entries[entry.id], self.payloads[entry.id] = entry, payload
        return entry.id


class FourMethods(Store):
    """The least that a store can be."""

    def __init__(self, url=None):
        super().__init__(url)
        self.objects = {}
        self.last = 0

    def save(self, obj):
        self.last += 1
        id_ = f"{type(obj).__name__}.{self.last}"
        self.objects[id_] = obj
        return id_

    def load(self, id_):
        return self.objects[id_]

    def replace(self, id_, obj):
        self.objects[id_] = obj

    def remove(self, id_):
        del self.objects[id_]


class Lists(FourMethods):
    """Four methods and `list`."""

    def list(self):
        return list(self.objects)


class Million(MemoryStore):
    """A million records that exist only when looked at."""

    total = 1_000_000

    def __init__(self, url="memory://million"):
        super().__init__(url)
        self.asked = []

    def describe(self, id_):
        prefix, _, number = id_.rpartition(".")
        if prefix != "Run" or not 1 <= int(number) <= self.total:
            raise self._missing(id_)
        return self._record(int(number))

    def _record(self, number):
        when = EPOCH + timedelta(seconds=number)
        return Record(
            id=f"Run.{number}", name=f"run {number:07}", cls="study.Run", state="TERMINATED",
            size=number, created=when, modified=when,
        )  # fmt: skip

    def records(self, query=None):
        self._up()
        query = query or Query()
        self.asked.append(query)
        last = self.total if query.limit is None else min(self.total, query.offset + query.limit)
        if query.words or query.conditions:
            return query.apply(map(self._record, range(1, 20_001)))
        if query.order and query.order[0][1]:
            return (self._record(self.total - at) for at in range(query.offset, last))
        return (self._record(at + 1) for at in range(query.offset, last))

    def count(self, query=None):
        if query and len(query.conditions) == 1 and query.conditions[0].field == "number":
            return query.conditions[0].value - 1
        if query and (query.words or query.conditions):
            return sum(1 for _ in self.records(query.but(offset=0, limit=None, order=())))
        return self.total

    def facets(self, field, query=None):
        return {"study.Run" if field == "cls" else "TERMINATED": self.total}
