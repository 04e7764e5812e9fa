"""What directories and tables of GC3Pie have in common as stores.

GC3Pie keeps one pickle per object and no catalogue: class, state and references are
read from the pickles, by a reader that runs nothing, and remembered in memory and in the
user's cache directory. It counts no revisions: a record's revision is a fingerprint of its
bytes.
"""

from __future__ import annotations

import builtins
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import xxhash

from gc3store.engine.identity import kind_of
from gc3store.engine.inspecting import Payload
from gc3store.engine.primitives import Draft, Stored, corrupt, not_found
from gc3store.engine.record_store import RecordStore
from gc3store.errors import LoadError, NotSupportedError, SaveError
from gc3store.filesystem.catalogue import CatalogueIndex
from gc3store.format import record_from_json
from gc3store.gc3pie.convert import from_gc3pie, to_gc3pie
from gc3store.ids import check_id
from gc3store.inspection.machine.templates import Templates
from gc3store.inspection.summary import Summary, summary
from gc3store.pickling import Source, encode
from gc3store.pickling.placeholders import original_bytes_if_unchanged, remember_original
from gc3store.query import Query
from gc3store.record import Record
from gc3store.store import KEEP, _Keep
from gc3store.support.graph import components

__all__ = ["GC3PieRecords", "fingerprint"]


def fingerprint(data: bytes) -> int:
    """Return a number that stands for the bytes of a record, in place of a revision.

    >>> fingerprint(b"one") == fingerprint(b"one") != fingerprint(b"another")
    True
    """
    return xxhash.xxh3_64_intdigest(data) >> 16 or 1


class NoPickle(bytes):
    """What a record has in place of a pickle: something that is not of bytes."""


class _Stored(Stored):
    """A record of GC3Pie: ``open`` gives its payload as one of ours, `data` as it is."""

    __slots__ = ("data",)

    def __init__(self, id_: str, data: bytes, references: tuple[str, ...]) -> None:
        super().__init__(id_, fingerprint(data), references, None, data, opener=self._converted)
        self.data = data

    def _converted(self) -> Source:
        stream, _ = from_gc3pie(self.data, id=self.id)
        return Source(stream)


class GC3PieRecords(RecordStore):
    """Base of the stores that GC3Pie wrote, opened in place.

    A subclass says how the bytes of records are read, written and deleted.
    """

    #: Set by subclasses.
    _index: CatalogueIndex
    _uuid: str
    #: Whether GC3Pie loads only objects that hold their ID in an attribute.
    _must_name: ClassVar[bool]
    #: What the interface has and stores of GC3Pie have no place for.
    _absent: ClassVar[frozenset[str]] = frozenset({"update"})

    def offers(self, method: str) -> bool:
        """Whether the store has an own version of an optional method."""
        return method not in self._absent and super().offers(method)

    @property
    def uuid(self) -> str:
        """An identifier made of where the store is: GC3Pie gives it none."""
        return self._uuid

    # Bytes: what a subclass implements.

    @abstractmethod
    def _data(self, ids: Sequence[str]) -> dict[str, bytes]:
        """Return the pickles of those records that exist."""

    @abstractmethod
    def _new_ids(self, prefixes: Sequence[str]) -> builtins.list[str]:
        """Return IDs that nobody else was or will be given."""

    @abstractmethod
    def _put(self, records: Sequence[tuple[Draft, bytes]], fresh: set[str]) -> None:
        """Write pickles, those in `fresh` as new ones; referenced ones come first.

        Checks for others that they are in the `expected` revision of the draft. Where this is not one
        step, it counts and marks what is there as `Primitives._write` does.
        """

    # Reading.

    def load(self, id_: str, *, fresh: bool = False, missing: str = "error") -> Any:
        """Return the object with ID `id_`; see `RecordStore.load`."""
        with self._lock, self._snapshot():
            return super().load(id_, fresh=fresh, missing=missing)

    _seen: dict[str, _Stored] | None = None

    @contextmanager
    def _snapshot(self) -> Iterator[None]:
        # Not one state of the whole store, but each record is read just once.
        if self._seen is not None:
            yield
            return
        self._seen = {}
        try:
            yield
        finally:
            self._seen = None

    def _inert_payloads(self, ids: Sequence[str]) -> Iterator[tuple[str, Payload]]:
        # Inspection reads references where they stand in the stream.
        return ((id_, Payload(data, (), ())) for id_, data in self._data(ids).items())

    def _read(self, ids: Sequence[str]) -> Iterator[Stored]:
        seen = self._seen if self._seen is not None else {}
        missing = [id_ for id_ in ids if id_ not in seen]
        if missing:
            for id_, data in self._data(missing).items():
                seen[id_] = _Stored(id_, data, _references(id_, data))
        return (seen[id_] for id_ in ids if id_ in seen)

    def _decode(
        self, stored: Stored, references: Sequence[Any], *, shell: Any = None, shell_only: bool = False
    ) -> Any:
        if shell is not None or shell_only or not isinstance(stored, _Stored):
            return super()._decode(stored, references, shell=shell, shell_only=shell_only)
        if isinstance(stored.data, NoPickle):
            _summary(stored.id, stored.data)  # or a text that looks like a pickle would be loaded
        # As it is: only members of a circle must be in a form that shells can be put in.
        source = Source(stored.data, persistent=stored.references)
        plain = Stored(
            stored.id, stored.revision, stored.references, None, stored.data, opener=lambda: source
        )
        try:
            obj = super()._decode(plain, references)
        except LoadError:
            _summary(stored.id, stored.data)  # if it is damaged, then that is the reason
            raise
        if self._placeholders is not None and self._placeholders.missing:
            stream, ids = from_gc3pie(stored.data, id=stored.id)
            targets = dict(zip(stored.references or (), references, strict=True))
            remember_original(obj, Source(stream), [targets[id_] for id_ in ids], self._placeholders.missing)
        return obj

    def _bind_loaded(self, obj: Any, stored: Stored, *, live: bool) -> None:
        super()._bind_loaded(obj, stored, live=live)
        identity = self._identities.identity_of(obj, self.uuid)
        if identity is not None and identity.checksum is None and kind_of(type(obj)).persistable:
            # There is no checksum in the store to compare it with later.
            try:
                identity.checksum = original_bytes_if_unchanged(obj, encode(obj)).checksum
                identity.verified = True
            except Exception:  # noqa: BLE001  (it cannot be saved as it is; that is said then)
                identity.checksum = None

    def _closure(
        self, roots: Sequence[str], *, whole: bool = False
    ) -> tuple[dict[str, int], dict[str, tuple[str, ...]], dict[str, Stored]]:
        records: dict[str, Stored] = {}
        graph: dict[str, tuple[str, ...]] = {}
        level = builtins.list(dict.fromkeys(roots))
        while level:
            following: dict[str, None] = {}
            for stored in self._read(level):
                records[stored.id] = stored
                graph[stored.id] = stored.references or ()
                following.update(dict.fromkeys(graph[stored.id]))
            level = [id_ for id_ in following if id_ not in records]
        return {id_: stored.revision for id_, stored in records.items()}, graph, records

    def _remains(self, id_: str) -> bytes:
        found = self._data([id_])
        if id_ not in found:
            raise not_found(id_)
        return found[id_]

    def _revisions(self, ids: Sequence[str]) -> dict[str, int]:
        return {id_: fingerprint(data) for id_, data in self._data(ids).items()}

    def verify(self, id_: str) -> None:
        """Read an object's bytes to the end; nothing is unpickled.

        Raises
        ------
        CorruptRecordError
            If they are damaged. GC3Pie keeps no checksums, so not all damage shows.
        """
        stored = self._fetch(check_id(id_))
        assert isinstance(stored, _Stored)
        _summary(stored.id, stored.data)

    # The catalogue.

    def _entry_of(self, id_: str, templates: Templates | None = None) -> dict[str, Any] | None:
        """Return the catalogue entry of a record, damaged or not; `None` if it is gone."""
        data = self._data([id_]).get(id_)
        return None if data is None else self._entry(id_, data, templates)

    def _entry(self, id_: str, data: bytes, templates: Templates | None = None) -> dict[str, Any]:
        entry: dict[str, Any] = {"id": id_, "size": len(data), "revision": fingerprint(data)}
        try:
            found = _summary(id_, data, templates)
        except LoadError as error:
            entry["error"] = str(error)
            return entry
        entry["cls"] = found.cls
        if found.state is not None:
            entry["state"] = found.state
        if found.references:
            entry["references"] = found.references
        return entry

    def _describe(self, id_: str) -> Record | None:
        entry = self._entry_of(id_)
        return None if entry is None else record_from_json(entry, columns=self.columns)

    def _state(self) -> str | None:
        return self._index.state()

    def _columns(self, query: Query, names: Sequence[str]) -> dict[str, builtins.list[Any]]:
        found = self._index.fields(names) if query == Query() else None
        return super()._columns(query, names) if found is None else found

    def _catalogue(self, query: Query) -> Iterator[Record]:
        return query.apply(self._index.records())

    def _referrers(self, ids: Sequence[str]) -> dict[str, builtins.list[str]]:
        found: dict[str, builtins.list[str]] = {}
        wanted = set(ids)
        for id_, references in self._index.references():
            for reference in wanted.intersection(references):
                found.setdefault(reference, []).append(id_)
        return found

    def _by_origin(self) -> tuple[builtins.list[str], builtins.list[str]]:
        # It is not recorded what was saved by itself: what nothing refers to was.
        parts = {id_ for _, references in self._index.references() for id_ in references}
        ids = self._index.ids()
        return [id_ for id_ in ids if id_ not in parts], [id_ for id_ in ids if id_ in parts]

    def _adopt_columns(self, definitions: Mapping[str, str | None]) -> None:
        """Do nothing: there are the columns that a table was made with, and no others."""

    # Writing.

    def _labels(
        self,
        name: str | _Keep | None,
        tags: Iterable[str] | _Keep,
        prefix: str | None,
        origin: Mapping[str, Any] | None,
    ) -> dict[str, Any]:
        if origin is not None or any(given and given is not KEEP for given in (name, tags)):
            raise self._without_labels()
        return super()._labels(KEEP, KEEP, prefix, None)

    def _relabel(self, id_: str, changes: Mapping[str, Any]) -> bool:
        if changes.keys() & {"name", "tags"}:
            raise self._without_labels()
        return bool(self._data([id_]))

    def _without_labels(self) -> NotSupportedError:
        return NotSupportedError(
            f"{self!r} is a store of GC3Pie, which has no place for names, tags and origins; "
            f"copy its objects to a store of gc3store to label them."
        )

    _reserved: frozenset[str] = frozenset()

    def _reserve(self, drafts: Sequence[Draft]) -> None:
        """Give new records their IDs, before they are written within the same step."""
        for draft, id_ in zip(drafts, self._new_ids([d.prefix for d in drafts]), strict=True):
            draft.id = id_
        self._reserved = frozenset(str(draft.id) for draft in drafts)

    def _write(self, drafts: builtins.list[Draft]) -> None:
        ordered = _referenced_first(drafts)
        fresh = [draft for draft in drafts if draft.id is None or draft.id in self._reserved]
        self._reserved = frozenset()
        kept = self._kept
        try:
            unnamed = [draft for draft in fresh if draft.id is None]
            for draft, id_ in zip(unnamed, self._new_ids([d.prefix for d in unnamed]), strict=True):
                draft.id = id_
            records = [(draft, self._payload(draft)) for draft in ordered]
            for draft, data in records:
                draft.revision = fingerprint(data)
            self._put(records, {str(draft.id) for draft in fresh})
        except BaseException:
            if self._kept == kept:
                for draft in fresh:
                    if not draft.in_place:
                        draft.id = None
            raise

    def _payload(self, draft: Draft, *, back: bool = False) -> bytes:
        """Return a record as GC3Pie has it; `back` if it is one that was here before, whether GC3Pie loads it or not."""
        kind = None if draft.obj is None else kind_of(type(draft.obj))
        stream = draft.encoded.stream
        if not isinstance(stream, bytes):
            stream.seek(0)
            stream = stream.read()
        if draft.fields.get("error"):  # damaged when it was exported
            return stream
        return to_gc3pie(
            stream,
            id=str(draft.id),
            references=draft.reference_ids(),
            buffers=draft.encoded.buffers,
            named=(self._must_name and not back)
            or (None if kind is None else kind.persistable or kind.takes_id),
        )


def _referenced_first(drafts: Sequence[Draft]) -> builtins.list[Draft]:
    """Return records in the order to write them in.

    Raises the error for objects that refer to each other: GC3Pie would load them without end.
    """
    graph: dict[Draft, builtins.list[Draft]] = {}
    queue = builtins.list(drafts)
    for draft in queue:  # the queue grows while it is walked
        if draft not in graph:
            graph[draft] = [other for other in draft.references if isinstance(other, Draft)]
            queue += graph[draft]
    ordered = []
    for part in components(graph, drafts):
        if len(part) > 1:
            names = " and ".join(draft.id or f"a new {draft.prefix}" for draft in part[:3])
            raise SaveError(
                f"{names} refer to each other in a circle, which GC3Pie could not load again; "
                f"save them to a store of gc3store, for instance in another directory.",
                id=part[0].id,
            )
        ordered += part
    wanted = set(drafts)
    return [draft for draft in ordered if draft in wanted]


def _summary(id_: str, data: bytes, templates: Templates | None = None) -> Summary:
    if isinstance(data, NoPickle):
        raise corrupt(id_, "it holds a text or a number in place of the bytes of a pickle")
    try:
        return summary(data, templates=templates)
    except LoadError as error:
        raise corrupt(id_, str(error).rstrip(".")) from error


def _references(id_: str, data: bytes) -> tuple[str, ...]:
    if b"Q" not in data and b"P" not in data:  # the opcodes of persistent IDs
        return ()
    return _summary(id_, data).references
