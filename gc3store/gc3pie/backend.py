"""What directories and tables of GC3Pie have in common as places where records are kept.

GC3Pie keeps one pickle per object and no catalogue: class, state and references are
read from the pickles, by a reader that runs nothing, and cached in memory and in the
user's cache directory. It counts no revisions: a record's revision is a fingerprint of its
bytes. It has no place for names, tags and origins.
"""

from __future__ import annotations

import threading
import uuid
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, ClassVar

from gc3store.backend import Backend, Changes, PendingRecord, PutBackError, StoredRecord, not_found
from gc3store.errors import SaveError
from gc3store.filesystem.catalogue import CatalogueIndex
from gc3store.format import record_from_json
from gc3store.gc3pie.convert import to_gc3pie
from gc3store.gc3pie.records import GC3PieRecord, fingerprint
from gc3store.inspection.machine.templates import Templates
from gc3store.query import Query
from gc3store.record import Record
from gc3store.support.graph import components

__all__ = ["GC3PieBackend"]


class GC3PieBackend(Backend):
    """Base of the backends for what GC3Pie wrote.

    Parameters
    ----------
    url : str
        Where the records are, without any password.
    place : str
        The same, the same for every way to write it; the store's UUID is made of this.
    read_only, durable : bool
        As for every backend.

    Attributes
    ----------
    index : CatalogueIndex
        The catalogue. A subclass sets it.
    column_names : sequence of str
        Names of the user columns that records have.
    """

    supports: ClassVar[frozenset[str]] = frozenset()
    has_checksums: ClassVar[bool] = False

    #: Whether GC3Pie loads only objects that hold their ID in an attribute.
    needs_own_id: ClassVar[bool]

    index: CatalogueIndex

    def __init__(self, url: str, *, place: str, read_only: bool, durable: bool) -> None:
        super().__init__(url, read_only=read_only, durable=durable)
        self.column_names: Sequence[str] = ()
        self._uuid_of_place = str(uuid.uuid5(uuid.NAMESPACE_URL, place))
        self._read_once = _ReadOnce()

    # Bytes: what a subclass implements.

    @abstractmethod
    def pickles(self, ids: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """Yield those records that exist, each with its pickle."""

    @abstractmethod
    def entry_of(self, id_: str, templates: Templates | None = None) -> dict[str, Any] | None:
        """Return the catalogue entry of a record, damaged or not; `None` if it is gone."""

    @abstractmethod
    def new_ids(self, prefixes: Sequence[str]) -> list[str]:
        """Return IDs that were never given to an object, and never will be."""

    @abstractmethod
    def put(self, records: Sequence[tuple[PendingRecord, bytes]]) -> None:
        """Write pickles, in this order; see `write`."""

    # The store.

    def locate(self) -> None:
        """Give the store a UUID that is made of where it is: GC3Pie gives it none."""
        self.uuid = self._uuid_of_place

    def close(self) -> None:
        """Forget what was read."""
        self.index.close()

    def after_fork(self) -> None:
        """Forget what belongs to the parent process."""
        self.index.after_fork()

    # Reading.

    def read(self, ids: Sequence[str]) -> Iterator[StoredRecord]:
        """Yield records; those that were read in the same snapshot are not read again."""
        known = self._read_once.records
        if known is None:
            return (GC3PieRecord(id_, data) for id_, data in self.pickles(ids))
        for id_, data in self.pickles([id_ for id_ in ids if id_ not in known]):
            known[id_] = GC3PieRecord(id_, data)
        return (known[id_] for id_ in ids if id_ in known)

    def snapshot(self) -> AbstractContextManager[Any]:
        """Return a context in which each record is read only once; it shows no state of the whole store."""
        return self._read_once.run()

    def revisions(self, ids: Sequence[str]) -> dict[str, int]:
        """Return the fingerprints of the pickles, by ID."""
        return {id_: fingerprint(data) for id_, data in self.pickles(ids)}

    def raw(self, id_: str) -> bytes:
        """Return the pickle of a record as it is, damaged or not."""
        for _, data in self.pickles([id_]):
            return data
        raise not_found(id_)

    # The catalogue.

    def entry(self, id_: str) -> Record | None:
        """Return the catalogue entry of a record, damaged or not."""
        entry = self.entry_of(id_)
        return None if entry is None else record_from_json(entry, columns=self.column_names)

    def entries(self, query: Query) -> Iterator[Record]:
        """Yield the catalogue entries that `query` asks for, from the index."""
        return query.apply(self.index.records(self.column_names))

    def ids(self, query: Query) -> list[str]:
        """Return the IDs that `query` asks for."""
        return self.index.ids() if query == Query() else super().ids(query)

    def values(self, query: Query, names: Sequence[str]) -> dict[str, list[Any]]:
        """Return fields and user columns of the entries that `query` asks for."""
        found = self.index.fields(names) if query == Query() else None
        return super().values(query, names) if found is None else found

    def referrers(self, ids: Sequence[str]) -> dict[str, list[str]]:
        """Return which records refer to each of `ids`, as far as the index knows."""
        found: dict[str, list[str]] = {}
        wanted = set(ids)
        for id_, references in self.index.references():
            for reference in wanted.intersection(references):
                found.setdefault(reference, []).append(id_)
        return found

    def roots(self) -> tuple[list[str], list[str]]:
        """Return the IDs of records that no other refers to, and of those that others refer to."""
        # It is not recorded what was saved by itself: a record that nothing refers to was.
        parts = {id_ for _, references in self.index.references() for id_ in references}
        ids = self.index.ids()
        return [id_ for id_ in ids if id_ not in parts], [id_ for id_ in ids if id_ in parts]

    def version(self) -> str | None:
        """Return a string that changes whenever the index would."""
        return self.index.state()

    # Writing.

    def reserve(self, records: Sequence[PendingRecord]) -> bool:
        """Give new records their IDs, from the counter of GC3Pie."""
        for record, id_ in zip(records, self.new_ids([r.prefix for r in records]), strict=True):
            record.id = id_
        return True

    def write(self, records: Sequence[PendingRecord]) -> None:
        """Write records, those that others refer to first; see `Backend.write`."""
        for record in records:
            if record.mode == "put back" and not self.is_free(str(record.id)):
                raise PutBackError(f"{record.id} cannot be put back: its ID is taken.", id=record.id)
        ordered = _referenced_first(records)
        self.reserve([record for record in records if record.id is None])
        pickles = [(record, self.pickle_of(record)) for record in ordered]
        for record, data in pickles:
            record.revision = fingerprint(data)
        self.put(pickles)

    def is_free(self, id_: str) -> bool:
        """Whether a record can be put back under an ID."""
        return not self.revisions([id_])

    def pickle_of(self, record: PendingRecord) -> bytes:
        """Return a record as GC3Pie has it."""
        stream = record.encoded.stream
        if not isinstance(stream, bytes):
            stream.seek(0)
            stream = stream.read()
        if record.entry.get("error"):  # damaged when it was exported
            return stream
        # A record that was here before is put back whether GC3Pie loads it or not.
        named = self.needs_own_id and record.mode != "put back"
        kind = record.kind
        return to_gc3pie(
            stream,
            id=str(record.id),
            references=record.reference_ids(),
            buffers=record.encoded.buffers,
            named=named or (None if kind is None else kind.persistable or kind.takes_id),
        )

    def update(self, changes: Mapping[str, Changes]) -> dict[str, bool]:
        """Change nothing: GC3Pie has no place for labels. Columns are the concern of tables."""
        revisions = self.revisions(list(changes))
        return {
            id_: False  # there is no place for labels
            for id_, change in changes.items()
            if id_ in revisions and change.expected in (None, revisions[id_])
        }


class _ReadOnce(threading.local):
    """The records that a thread has read since its snapshot began.

    Attributes
    ----------
    records : dict or None
        The records by ID; `None` outside of snapshots.
    """

    records: dict[str, StoredRecord] | None = None

    @contextmanager
    def run(self) -> Iterator[None]:
        if self.records is not None:
            yield
            return
        self.records = {}
        try:
            yield
        finally:
            self.records = None


def _referenced_first(records: Sequence[PendingRecord]) -> list[PendingRecord]:
    """Return records in the order to write them in.

    Raises the error for objects that refer to each other: GC3Pie would load them without end.
    """
    graph: dict[PendingRecord, list[PendingRecord]] = {}
    queue = list(records)
    for record in queue:  # the queue grows while it is walked
        if record not in graph:
            graph[record] = [other for other in record.references if isinstance(other, PendingRecord)]
            queue += graph[record]
    ordered = []
    for part in components(graph, records):
        if len(part) > 1:
            names = " and ".join(record.id or f"a new {record.prefix}" for record in part[:3])
            raise SaveError(
                f"{names} refer to each other in a circle, which GC3Pie could not load again; "
                f"save them to a store of gc3store, for instance in another directory.",
                id=part[0].id,
            )
        ordered += part
    wanted = set(records)
    return [record for record in ordered if record in wanted]
