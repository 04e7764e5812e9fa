"""What a place to keep records must be able to do.

A backend moves bytes. It knows no live objects and decides nothing about them: which object is
which record, what has changed and what refers to what is the work of `gc3store.engine`, the same
for every backend. An author of a backend implements the abstract methods of `Backend`; every
other method has a default that is slow and correct.

The store is a subclass of `gc3store.engine.RecordStore` whose constructor makes the backend::

    class MyStore(RecordStore):
        def __init__(self, url, *, durable=True, read_only=False, trust="everything", columns=None):
            backend = MyBackend(url, durable=durable, read_only=read_only)
            super().__init__(backend, trust=trust, columns=columns)

`gc3store.register`, or the entry-point group ``gc3store.stores``, lets `gc3store.make_store` find it by the scheme
of the URL, and `gc3store.testing.StoreContract` tests it.

These make the work short: `PendingRecord.entry_after` and `gc3store.format.entry_to_json` give the
catalogue entry that is to be kept, `Changes.apply_to` changes it, and `gc3store.format.record_from_json`
makes a `Record` of it; `gc3store.query.Query.apply` answers queries; `gc3store.ids.make_id` and
`gc3store.ids.number_of` make IDs and take them apart; `check_revision` and `not_found` raise and make the errors.
Errors of the place itself are raised as those of `gc3store.errors`, mostly `StoreUnavailableError`.

Data flow of a save: objects → pending records → `Backend.write`. Of a load: `Backend.read` →
stored records → objects.
"""

from __future__ import annotations

import builtins
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from operator import attrgetter
from typing import Any, ClassVar, Literal, NamedTuple, TypeVar

from gc3store.columns import columns_to_json, merged
from gc3store.errors import (
    ConflictError,
    CorruptRecordError,
    ObjectNotFoundError,
    ReadOnlyError,
    StoreError,
    StoreUnavailableError,
)
from gc3store.pickling import Encoded, Source
from gc3store.query import Query
from gc3store.record import ENTRY_FIELDS, FIELDS, Record, to_microseconds
from gc3store.store import KEEP
from gc3store.support.graph import dependents
from gc3store.support.retrying import retried

__all__ = [
    "Backend",
    "Changes",
    "Inert",
    "Node",
    "OpenMode",
    "PendingRecord",
    "PutBackError",
    "ReplacedError",
    "StoredRecord",
    "check_revision",
    "corrupt",
    "mark_stored",
    "not_found",
    "repeated",
    "replaced",
]

_T = TypeVar("_T")

#: How the payload of a record is to be opened: ``copy`` gives buffers of its own; ``r`` and ``c`` map large
#: buffers into memory, read-only or copy-on-write; ``pass`` is for passing bytes on, so that large
#: buffers need no memory.
OpenMode = Literal["copy", "r", "c", "pass"]


class ReplacedError(StoreUnavailableError):
    """A record was replaced, or removed, between asking for it and reading its payload."""


class PutBackError(StoreError):
    """A record cannot be put back under its own ID: the ID is taken, or was never given out here."""


class PendingRecord:
    """A record that is about to be written.

    Attributes
    ----------
    obj : Any
        The object; `None` where only its bytes are known (export, copy).
    mode : {"new", "changed", "put back"}
        What is to be done: a new record gets an ID from the backend. A changed one replaces the
        record with its `id`, which must be in revision `expected`, if that is not `None`. One that
        is put back keeps its `id` and `revision`; it is always written alone.
    id : str or None
        ID of the record; a backend sets it for a new one.
    prefix : str
        What the ID of a new record begins with.
    revision : int
        The revision that is written; a backend sets it unless the record is put back.
    expected : int or None
        The revision that must be stored now; `None` overwrites any.
    encoded : Encoded
        The payload.
    references : sequence of (str or PendingRecord)
        What the payload refers to, by position.
    entry : dict
        The catalogue entry, by the names of `gc3store.record.ENTRY_FIELDS`. Times are in microseconds, the
        origin is JSON text, ``columns`` are the values of user columns by name. `KEEP` as name or tags
        keeps what a changed record has. ``created`` is missing unless the record is put back or copied;
        `entry_after` completes all this. Two more are kept beside the payload: ``plain``, see
        `StoredRecord`, and ``environment``, by which `gc3store.support.provenance.environment_text`
        gives a string for `gc3store.format.record_from_json`, or `None`.
    stored : bool
        Set by the backend as the last thing that it does for a record that is really there.
    identity, kind
        For the engine: which record the object is, and what its class means to a store.
    """

    __slots__ = (
        "encoded",
        "entry",
        "expected",
        "id",
        "identity",
        "kind",
        "mode",
        "obj",
        "prefix",
        "references",
        "revision",
        "stored",
    )

    def __init__(self, obj: Any = None, *, id: str | None = None, prefix: str = "") -> None:  # noqa: A002
        self.obj = obj
        self.mode: Literal["new", "changed", "put back"] = "new"
        self.id = id
        self.prefix = prefix
        self.revision = 1
        self.expected: int | None = None
        self.encoded: Encoded = None  # type: ignore[assignment]
        self.references: Sequence[str | PendingRecord] = ()
        self.entry: dict[str, Any] = {}
        self.stored = False
        self.identity: Any = None
        self.kind: Any = None

    def reference_ids(self) -> tuple[str, ...]:
        """Return the IDs that the record refers to, once all have one."""
        if not self.references:
            return ()
        return tuple([r if isinstance(r, str) else str(r.id) for r in self.references])

    def entry_after(self, before: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return the complete catalogue entry, with what it keeps of the entry that it replaces.

        Parameters
        ----------
        before : mapping or None
            The entry that is replaced, as `gc3store.format.entry_to_json` returned it; `None` for a
            record that replaces nothing.
        """
        before = before or {}
        entry = {"created": self.entry["modified"], **self.entry}
        if "created" in before:
            entry["created"] = before["created"]
        if before.get("explicit"):
            entry["is_root"] = True
        for name in ("name", "tags"):
            if entry[name] is KEEP:
                entry[name] = before.get(name)
        return entry


class Inert(NamedTuple):
    """A payload as it is read without running it.

    Attributes
    ----------
    stream : bytes-like
        The pickle stream.
    buffers : sequence of buffers
        Its out-of-band buffers.
    references : tuple of str or None
        What its references by number refer to; `None` where that must be asked for.
    """

    stream: Any
    buffers: Sequence[Any]
    references: tuple[str, ...] | None


class StoredRecord(Source):
    """A record as a backend hands it over for loading.

    Attributes
    ----------
    id : str
        The record's ID.
    revision : int
        Its revision.
    references : tuple of str or None
        IDs that the payload refers to, by position; `None` where asking for them needs another
        question, and there are some.
    checksum : bytes or None
        What the payload's checksum must be; `None` where opening the record verifies it, or where the
        backend keeps no checksums.
    stream : bytes or memoryview
        The pickle stream, unless there is an `opener`.
    plain : bool
        Whether it needs none of our hooks for reading, as the entry said when it was saved.
    size : int
        How many bytes of its payload are in memory.
    opener : callable or None
        Takes an `OpenMode` and returns the payload, where there is more to it than a stream in memory.
    """

    __slots__ = ("checksum", "id", "opener", "references", "revision", "size")

    def __init__(
        self,
        id_: str,
        revision: int,
        references: tuple[str, ...] | None,
        checksum: bytes | None,
        stream: bytes | memoryview,
        *,
        plain: bool = False,
        opener: Callable[[OpenMode], Source] | None = None,
    ) -> None:
        self.id = id_
        self.revision = revision
        self.references = references
        self.checksum = checksum
        self.stream = stream
        self.size = len(stream)
        self.plain = plain
        self.buffers = self.persistent = None
        self.opener = opener

    def open(self, mode: OpenMode = "copy") -> Source:
        """Return the payload: the record itself, unless there is more than a stream in memory."""
        return self if self.opener is None else self.opener(mode)

    def open_for_shells(self) -> Source:
        """Return the payload in a form whose root can be an instance that was made before."""
        return self.open()

    def inert(self) -> Inert:
        """Return the payload as inspection reads it."""
        source = self.open()
        stream = source.stream
        return Inert(
            stream.read() if hasattr(stream, "read") else stream, source.buffers or (), self.references
        )

    def check(self) -> None:
        """Raise `CorruptRecordError` if the bytes are damaged in a way that no checksum shows."""


class Changes(NamedTuple):
    """What is to be changed in a catalogue entry, leaving payload and revision alone.

    Attributes
    ----------
    fields : mapping
        New values of ``name``, ``tags`` and ``is_root``.
    columns : mapping
        New values of user columns.
    expected : int or None
        The revision that the record must be in; `None` for any.
    again : bool
        Whether new values of columns replace those that are there.
    """

    fields: Mapping[str, Any] = {}
    columns: Mapping[str, Any] = {}
    expected: int | None = None
    again: bool = False

    def apply_to(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        """Return a catalogue entry with the changes; both as `gc3store.format.entry_to_json` returns entries."""
        new: dict[str, Any] = {}
        for name, value in self.fields.items():
            new[ENTRY_FIELDS[name].key] = list(value) if name == "tags" else value
        if self.columns:
            new["columns"] = columns_to_json(
                merged(entry.get("columns") or {}, self.columns, again=self.again)
            )
        return {name: value for name, value in {**entry, **new}.items() if value or name not in new}


class Node(NamedTuple):
    """A record in the graph of references: its revision, and what it refers to by position."""

    revision: int
    references: tuple[str, ...]


class Backend(ABC):
    """A place where records are kept.

    Parameters
    ----------
    url : str
        Where the records are, without any password.
    read_only : bool
        Never write, not even what is missing.
    durable : bool
        Whether a transaction is committed only when it is on stable storage.

    Attributes
    ----------
    uuid : str or None
        The UUID of the store; `None` as long as nothing was ever saved, as far as is known. `locate` looks again.
    stored_columns : mapping of str to (str or None)
        The user columns that the store has, by name: the path, or `None` for a function. Set by `locate`.
    columns : sequence of str
        Names of the user columns; each entry has a value, or `None`, for each. Set by the engine.
    is_writable : bool
        Whether anything can be written; otherwise `check_writable` raises the reason.
    committed : bool
        Of an atomic backend: set to False by the engine before a transaction, and to True by `commit` as the
        last thing that it does.

    Notes
    -----
    A store calls a backend with its lock held, but for reading: many threads may read at once.
    """

    #: Whether what is written between `begin` and `commit` is written as a whole or not at all.
    atomic: ClassVar[bool] = False

    #: What the backend has a place for: ``labels`` (names, tags, origins), ``columns`` (new user
    #: columns), ``mapping`` (large arrays as memory maps).
    supports: ClassVar[frozenset[str]] = frozenset({"labels", "columns"})

    #: Whether records have checksums. Without them, the engine computes one of each object that it loads.
    has_checksums: ClassVar[bool] = True

    #: Whether it can happen that `commit` does not learn whether the transaction was committed.
    has_doubts: bool = False

    def __init__(self, url: str, *, read_only: bool = False, durable: bool = True) -> None:
        self.url = url
        self.read_only = read_only
        self.durable = durable
        self.uuid: str | None = None
        self.stored_columns: Mapping[str, str | None] = {}
        self.columns: Sequence[str] = ()
        self.is_writable = not read_only
        self.committed = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.url!r}>"

    # The primitives.

    @abstractmethod
    def locate(self) -> None:
        """Look for the store; set `uuid` and `stored_columns` if it exists by now."""

    @abstractmethod
    def begin(self) -> None:
        """Begin a transaction; make the store if there is none."""

    @abstractmethod
    def commit(self) -> None:
        """End the transaction, and keep what was done.

        Raises
        ------
        OutcomeUnknownError
            If it cannot be told whether it was committed; `take_doubt` returns something then.
        """

    @abstractmethod
    def rollback(self) -> None:
        """End the transaction, if there is one, and undo what was done, where `atomic`."""

    @abstractmethod
    def write(self, records: Sequence[PendingRecord]) -> None:
        """Write records, and set `id` and `revision` of each.

        The numbers in the IDs of new records grow, and none is given twice, not even that of a record
        that was removed, or written in a transaction that was undone. What can be refused is refused
        before anything is changed: the caller may go on with the transaction then.

        Where the backend is not `atomic`, it also sets `stored` of each record that is really there,
        after an error too. A record is never visible before the records that it refers to.

        Raises
        ------
        ObjectNotFoundError, ConflictError
            If a changed record does not exist, or is in another revision (`check_revision`).
        PutBackError
            If a record cannot be put back; nothing was changed then.
        """

    @abstractmethod
    def delete(self, ids: Sequence[str]) -> None:
        """Delete records, in this order.

        Raises
        ------
        ObjectNotFoundError
            If one does not exist.
        """

    @abstractmethod
    def update(self, changes: Mapping[str, Changes]) -> dict[str, bool]:
        """Change catalogue entries.

        Returns
        -------
        dict of str to bool
            For each record that exists and is in the expected revision, whether it was changed.
        """

    @abstractmethod
    def read(self, ids: Sequence[str]) -> Iterator[StoredRecord]:
        """Yield the records with the given IDs, in any order, without those that do not exist."""

    @abstractmethod
    def referrers(self, ids: Sequence[str]) -> dict[str, list[str]]:
        """Return which records refer to each of `ids`."""

    @abstractmethod
    def entry(self, id_: str) -> Record | None:
        """Return the whole catalogue entry of a record, damaged or not; `None` if there is no such record."""

    @abstractmethod
    def entries(self, query: Query) -> Iterator[Record]:
        """Yield the catalogue entries that `query` asks for; what only `entry` shows may be missing."""

    # What has a default.

    def read_one(self, id_: str) -> StoredRecord:
        """Return a record.

        Raises
        ------
        ObjectNotFoundError
            If there is no such record.
        """
        for stored in self.read([id_]):
            return stored
        raise not_found(id_)

    def read_graph(self, ids: Sequence[str]) -> dict[str, StoredRecord]:
        """Return the records with the given IDs and all that they reach, their references known."""
        found: dict[str, StoredRecord] = {}
        level = list(dict.fromkeys(ids))
        while level:
            following: dict[str, None] = {}
            for stored in self.read(level):
                found[stored.id] = stored
                if stored.references is None:
                    record = self.entry(stored.id)
                    stored.references = () if record is None else tuple(record.references)
                following.update(dict.fromkeys(stored.references))
            level = [id_ for id_ in following if id_ not in found]
        return found

    def graph(self, ids: Sequence[str]) -> dict[str, Node]:
        """Return revisions and references of the records with the given IDs, and of all that they reach."""
        return {
            id_: Node(stored.revision, stored.references or ())
            for id_, stored in self.read_graph(ids).items()
        }

    def revisions(self, ids: Sequence[str]) -> dict[str, int]:
        """Return the revisions of those records that exist."""
        return {stored.id: stored.revision for stored in self.read(ids)}

    def raw(self, id_: str) -> bytes:
        """Return what there is of the payload of a record, damaged or not, as it is."""
        return bytes(self.read_one(id_).inert().stream)

    def ids(self, query: Query) -> builtins.list[str]:
        """Return the IDs that `query` asks for."""
        return [record.id for record in self.entries(query)]

    def values(self, query: Query, names: Sequence[str]) -> dict[str, builtins.list[Any]]:
        """Return fields and user columns of the entries that `query` asks for; times in microseconds."""
        records = list(self.entries(query))
        found = {
            name: list(map(attrgetter(name), records))
            if name in FIELDS
            else [record.columns.get(name) for record in records]
            for name in names
        }
        for name in ("created", "modified"):
            if name in found:
                found[name] = [None if time is None else to_microseconds(time) for time in found[name]]
        return found

    def count(self, query: Query) -> int:
        """Return how many entries `query` asks for, its offset and limit aside."""
        return sum(1 for _ in self.entries(query.but(offset=0, limit=None, order=())))

    def facets(self, field: str, query: Query) -> dict[Any, int]:
        """Return how many of the entries that `query` asks for have which value of `field`."""
        counts: dict[Any, int] = {}
        for record in self.entries(query.but(offset=0, limit=None, order=())):
            values = record.tags if field == "tags" else (record[field],)
            for value in values:
                counts[value] = counts.get(value, 0) + 1
        return dict(sorted(counts.items(), key=lambda item: (-item[1], str(item[0]))))

    def roots(self) -> tuple[builtins.list[str], builtins.list[str]]:
        """Return the IDs of what was given to `save` itself, and of what was saved as a part."""
        roots: builtins.list[str] = []
        parts: builtins.list[str] = []
        for id_ in self.ids(Query()):
            record = self.entry(id_)
            if record is not None:
                (roots if record.is_root else parts).append(id_)
        return roots, parts

    def version(self) -> str | None:
        """Return a string that changes whenever anything in the store does; `None` where that costs too much."""
        return None

    def snapshot(self) -> AbstractContextManager[Any]:
        """Return a context in which reading shows one state, where the backend can do that."""
        return nullcontext()

    def define_columns(self, definitions: Mapping[str, str | None]) -> None:
        """Let the store have these user columns, besides those that it has; make it if there is none.

        Called outside of transactions.
        """
        raise NotImplementedError

    def reserve(self, records: Sequence[PendingRecord]) -> bool:
        """Give new records their IDs before they are written; whether that is possible."""
        return False

    def abandon(self, error: BaseException) -> None:
        """Undo all of a transaction that goes on, where `atomic`; let nothing more be done in it."""

    def take_doubt(self) -> Any:
        """Return what `resolve` needs to know of a commit whose outcome is unknown, once; else `None`."""
        return None

    def resolve(self, doubt: Any) -> bool:
        """Whether a transaction whose outcome was unknown was committed."""
        raise NotImplementedError

    def check_writable(self) -> None:
        """Raise the error that says why nothing can be written, if that is so."""
        if self.read_only:
            raise ReadOnlyError(
                f"{self.url} was opened for reading; open it without read_only=True to write."
            )

    def reopening(self, *, with_password: bool) -> tuple[str, dict[str, Any]]:
        """Return the absolute URL and the options that open this place again."""
        return self.url, {"durable": self.durable, "read_only": self.read_only}

    def close(self) -> None:
        """Give back connections and files."""

    # Around forks, see `gc3store.support.forking`.

    def is_busy(self) -> bool:
        """Whether another thread is within a call that a fork must not cut in two."""
        return False

    def close_idle(self) -> None:
        """Close what is not in use; called before a fork."""

    def after_fork(self) -> None:
        """Forget what belongs to the parent process; called in the child."""


# Errors.


def not_found(id_: str) -> ObjectNotFoundError:
    """Return the error for an ID that is not in a store."""
    return ObjectNotFoundError(f"There is no object {id_!r} in this store; list() gives the IDs.", id=id_)


def corrupt(id_: str, reason: str) -> CorruptRecordError:
    """Return the error for a record whose bytes are damaged."""
    return CorruptRecordError(f"The record of {id_} is damaged: {reason}; restore it from a backup.", id=id_)


def replaced(id_: str) -> ReplacedError:
    """Return the error for a record that was replaced while it was being read."""
    return ReplacedError(f"{id_} was replaced while it was being read; load it again.", id=id_)


def repeated(read: Callable[[], _T]) -> _T:
    """Read something, and read it again if it was replaced meanwhile."""
    return retried(read, ReplacedError)


def check_revision(id_: str, expected: int | None, found: int | None) -> None:
    """Raise the error that fits where a record is not in the revision that was expected.

    Parameters
    ----------
    id_ : str
        The record.
    expected : int or None
        The revision that it should be in; `None` for any.
    found : int or None
        The revision that it is in; `None` if it does not exist.
    """
    if found is None:
        if expected is None:
            raise not_found(id_)
        raise ConflictError(
            f"{id_} was removed since this object was saved or loaded; save a copy of it to keep it.",
            id=id_,
            expected=expected,
            found=None,
        )
    if expected is not None and expected != found:
        raise ConflictError(
            f"{id_} is in revision {found} by now, and this change was made to revision {expected}; "
            f"load it again and repeat the change.",
            id=id_,
            expected=expected,
            found=found,
        )


def mark_stored(written: Iterable[tuple[PendingRecord, bool]]) -> None:
    """Set `stored` of those records that are to stay although their batch failed, where it is not atomic.

    A record that was replaced cannot be put back, and may refer to new ones. So if one was replaced,
    what has its place keeps it, except for new records that refer to others which have none.

    Parameters
    ----------
    written : iterable of (PendingRecord, bool)
        The records, each with whether it has its place.
    """
    written = list(written)
    new = {str(record.id) for record, _ in written if record.mode == "new"}
    if not any(placed and record.id not in new for record, placed in written):
        return
    graph = {str(record.id): record.reference_ids() for record, _ in written}
    missing = {str(record.id) for record, placed in written if record.id in new and not placed}
    incomplete = dependents(graph, missing) & new
    for record, placed in written:
        record.stored = placed and record.id not in incomplete
