"""What a kind of store has to be able to do, and what passes to and from it.

The primitives move records; each is one step. They check nothing that was checked
before, and raise errors of the tree. What is built on them, the same for all
stores, is in `gc3store.engine.saving`, `gc3store.engine.loading` and `gc3store.engine.looking`.
"""

from __future__ import annotations

import builtins
import threading
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from operator import attrgetter
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from gc3store.columns import Failures, UserColumns
from gc3store.engine.identity import IdentityMap, kind_of
from gc3store.errors import (
    ConflictError,
    CorruptRecordError,
    ObjectNotFoundError,
    OptionError,
    ReadOnlyError,
    StoreError,
    StoreUnavailableError,
)
from gc3store.persistable import Identity
from gc3store.pickling import Encoded, Source
from gc3store.pickling.trust import make_trust
from gc3store.query import Query
from gc3store.record import FIELDS, Record, to_microseconds
from gc3store.store import Store

if TYPE_CHECKING:
    from gc3store.gc3pie.session import SessionDirectory
    from gc3store.pickling.placeholders import Placeholders

__all__ = [
    "Draft",
    "Primitives",
    "ReplacedError",
    "Stored",
    "check_revision",
    "corrupt",
    "not_found",
    "repeated",
    "replaced",
]

_T = TypeVar("_T")


class ReplacedError(StoreUnavailableError):
    """A record was replaced, or removed, between asking for it and reading its payload."""


class Draft:
    """A record about to be written.

    Attributes
    ----------
    obj : Any
        The object itself.
    kind : Kind
        What its class means to a store.
    identity : Identity or None
        Which record it is; `None` for a new one.
    id : str or None
        ID of the record; filled in by the store for a new one.
    prefix : str
        What a new ID begins with.
    revision : int
        The revision that is being written; filled in by the store.
    expected : int or None
        The revision that must be in the store now; `None` for a new record or to overwrite any.
    encoded : Encoded
        The payload.
    references : list of str or Draft
        What the payload refers to, by position.
    fields : dict
        The rest of the catalogue entry; for an existing record `KEEP` keeps a label. ``columns`` are
        the values of user columns by name.
    in_place : bool
        Set by a store whose batches are not one step, if one fails: whether the record is there all the same.
    """

    __slots__ = (
        "encoded",
        "expected",
        "fields",
        "id",
        "identity",
        "in_place",
        "kind",
        "obj",
        "prefix",
        "references",
        "revision",
    )

    def __init__(self, obj: Any, identity: Identity | None) -> None:
        self.obj = obj
        self.kind = kind_of(type(obj))
        self.identify(identity)
        self.prefix = ""
        self.revision = 1
        self.encoded: Encoded = None  # type: ignore[assignment]
        self.references: Sequence[str | Draft] = ()
        self.fields: dict[str, Any] = {}
        self.in_place = False

    def identify(self, identity: Identity | None) -> None:
        """Say which record the object is, in the revision that it has now."""
        self.identity = identity
        self.id: str | None = identity.id if identity is not None else None
        self.expected: int | None = identity.revision if identity is not None else None

    def reference_ids(self) -> tuple[str, ...]:
        """Return the IDs that the record refers to, once all have one."""
        if not self.references:
            return ()
        return tuple(r if isinstance(r, str) else str(r.id) for r in self.references)


class Stored(Source):
    """A record as a store hands it over for loading.

    Attributes
    ----------
    id : str
        The record's ID.
    revision : int
        Its revision.
    references : tuple of str
        IDs that the payload refers to, by position; `None` where asking for them is
        another step, and there are some.
    checksum : bytes or None
        What the payload's checksum must be; `None` where it need not be verified.
    size : int
        How many bytes of its payload are in memory.
    opener : callable, optional
        What returns the payload, where there is more to it than a stream that is in memory.
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
        opener: Callable[[], Source] | None = None,
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

    def open(self) -> Source:
        """Return the payload: itself, unless there is more to it than a stream that is in memory."""
        return self if self.opener is None else self.opener()


class Primitives(Store):
    """A store as far as bytes are concerned, and what all parts of it share.

    Parameters
    ----------
    url : str
        Where the records are.
    read_only : bool
        Never write, not even what is missing.
    durable : bool
        Whether `save` returns only when the object is on stable storage.
    trust : {"everything", "nothing"} or list of str
        What `load` may import: anything (the default), nothing at all, or the exact names that are
        given, those of modules meaning the classes that they define.
    columns : mapping of str to (str or callable), optional
        User columns: names, each with the path or the function that gives an object's value.
    """

    #: Whether a batch of records is written in one step.
    atomic_batches: ClassVar[bool] = False

    #: What the GC3Pie session says that the store was opened by, if it was.
    session: SessionDirectory | None = None

    def __init__(
        self,
        url: str,
        *,
        read_only: bool = False,
        durable: bool = True,
        trust: Any = "everything",
        columns: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(url)
        for name, value in (("durable", durable), ("read_only", read_only)):
            if not isinstance(value, bool):
                raise OptionError(f"{name} is True or False, not {value!r:.40}.", option=name)
        self.read_only = read_only
        self.durable = durable
        self._lock = threading.RLock()
        self._identities = IdentityMap()
        self.trust = make_trust(trust)
        self._placeholders: Placeholders | None = None  # while objects are loaded with such
        self._depth = 0  # of nested steps
        self._kept = (
            0  # how many steps, or batches that are none, were written to their end, as far as can be told
        )
        self._user_columns = UserColumns(columns)
        self._failures = Failures()  # of columns of what is being saved

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the store's user columns, as they were when it was opened."""
        return self._user_columns.names

    def _learn_columns(self, stored: Mapping[str, str | None]) -> None:
        """Take note of the columns that the store has."""
        self._user_columns.learn(stored)
        if self.read_only and (pending := self._user_columns.pending()):
            raise ReadOnlyError(
                f"{self!r} has no such column {next(iter(pending))!r}, and cannot be given one while it is open "
                f"for reading only."
            )

    def _adopt_columns(self, definitions: Mapping[str, str | None]) -> None:
        """Have the columns of another store as well, from the next step on."""
        self._user_columns.adopt(definitions)

    # Steps.

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        """Make all changes within the context one step, or none if it raises.

        In a directory each record is a step of its own. Transactions nest: the outermost
        counts. Other threads wait.

        An error of the database itself (no space left, a broken connection) undoes all of it, also
        where it is caught within the context: whatever else is tried there fails, and so does the end.
        Only if nothing was done before is there nothing to undo, and the transaction goes on.
        """
        with self._lock:
            self._check_writable()
            with self._step():
                yield self

    @contextmanager
    def _step(self) -> Iterator[None]:
        """One step on the store and on the identities of the objects in memory."""
        if self._depth:
            yield
            return
        try:
            self._depth = 1
            yield from self._outermost_step()
            self._depth = 0
        except BaseException:
            # Nothing may come by this: whoever took a step that is over for one that is going on
            # would write without a transaction.
            self._depth = 0
            raise

    def _outermost_step(self) -> Iterator[None]:
        kept = self._kept
        try:  # from here on: an interrupt may come anywhere
            if self.atomic_batches:  # elsewhere what was written stays written
                self._identities.begin()
            self._begin()
            yield
            self._commit()
        except BaseException:
            try:
                self._rollback()
            finally:
                if self._kept == kept:
                    self._identities.rollback()
                else:  # the interrupt came when it was done
                    self._identities.commit()
            raise
        self._identities.commit()

    def invalidate_cache(self) -> None:
        """Forget which instances are live: the next `load` makes new ones."""
        with self._lock:
            self._identities.clear()

    def pre_fork(self) -> None:
        """Give back what a child process could not share; forks need no such call, though."""
        self.close()

    def _check_writable(self) -> None:
        if self.read_only:
            raise self._not_writable()

    def _not_writable(self) -> StoreError:
        """Return the error that says why the store can only be read."""
        return ReadOnlyError(f"{self!r} was opened for reading; open it without read_only=True to write.")

    # What a concrete store implements.

    @property
    @abstractmethod
    def uuid(self) -> str | None:
        """The store's UUID; `None` as long as nothing was ever saved."""

    @abstractmethod
    def _read(self, ids: Sequence[str]) -> Iterator[Stored]:
        """Yield the records with the given IDs, in any order, without those that are missing."""

    def _fetch(self, id_: str) -> Stored:
        for stored in self._read([id_]):
            return stored
        raise not_found(id_)

    @abstractmethod
    def _remains(self, id_: str) -> bytes:
        """Return what there is of the payload of a damaged record, or of all of it, as it is."""

    @abstractmethod
    def _write(self, drafts: builtins.list[Draft]) -> None:
        """Write records, and fill in the `id` and `revision` of each draft.

        New ones get the next numbers, in order. For others `expected`, if not `None`,
        must be the stored revision, else `ConflictError`; a missing one is
        `ObjectNotFoundError` where nothing was expected of it.

        Where batches are not one step, `_kept` counts what this wrote to the end. If it fails, an interrupt
        included, no new draft has an `id` whose record is not there, and `in_place` is set where one is.
        """

    @abstractmethod
    def _insert_as(self, draft: Draft) -> bool:
        """Write a record that was exported, under the `id` and in the `revision` of the draft.

        One with an ``error`` among its fields was damaged, and must be damaged again.

        Whether that was possible: not if the ID is taken, or was never given out here.
        """

    @abstractmethod
    def _delete(self, ids: Sequence[str]) -> None:
        """Delete records, in the order given."""

    @abstractmethod
    def _revisions(self, ids: Sequence[str]) -> dict[str, int]:
        """Return the revisions of those records that exist."""

    @abstractmethod
    def _closure(
        self, roots: Sequence[str], *, whole: bool = False
    ) -> tuple[dict[str, int], dict[str, tuple[str, ...]], dict[str, Stored]]:
        """Return the revisions and references of the `roots` and all that they reach.

        Also the records themselves: all of them if `whole` is wanted, otherwise those
        that had to be read anyway.
        """

    @abstractmethod
    def _referrers(self, ids: Sequence[str]) -> dict[str, builtins.list[str]]:
        """Return which records refer to each of `ids`."""

    @abstractmethod
    def _by_origin(self) -> tuple[builtins.list[str], builtins.list[str]]:
        """Return the IDs of what was given to `save` itself, and of what was saved as a part."""

    @abstractmethod
    def _relabel(self, id_: str, changes: Mapping[str, Any]) -> bool:
        """Change the name or tags of a record, or that it was saved explicitly; whether it exists."""

    @abstractmethod
    def _fill(self, values: Mapping[str, tuple[int, dict[str, Any]]], *, again: bool) -> dict[str, bool]:
        """Set user columns of records that are still in the given revisions.

        Returns for those whether there was a change. What has a value keeps it unless `again`; then `None` clears it.
        """

    @abstractmethod
    def _describe(self, id_: str) -> Record | None:
        """Return the whole catalogue entry of a record."""

    @abstractmethod
    def _catalogue(self, query: Query) -> Iterator[Record]:
        """Yield the entries that `query` asks for."""

    def _columns(self, query: Query, names: Sequence[str]) -> dict[str, builtins.list[Any]]:
        """Return fields of the entries that `query` asks for, as columns; times in microseconds."""
        records = builtins.list(self._catalogue(query))
        found = {
            name: builtins.list(map(attrgetter(name), records))
            if name in FIELDS
            else [r.columns.get(name) for r in records]
            for name in names
        }
        for name in ("created", "modified"):
            if name in found:
                found[name] = [None if time is None else to_microseconds(time) for time in found[name]]
        return found

    def _state(self) -> str | None:
        """Return a text that changes whenever anything in the store does; `None` where none is at hand."""
        return None

    def _begin(self) -> None:
        """Begin a step."""

    def _commit(self) -> None:
        """End a step."""

    def _rollback(self) -> None:
        """Undo a step."""

    def _abandon(self, error: BaseException) -> None:
        """Undo all of a step that goes on, where it is one, and let nothing more be done in it."""

    @contextmanager
    def _snapshot(self) -> Iterator[None]:
        """Read in a state that no other process changes meanwhile, where there is such a thing."""
        yield

    # Around forks, see `gc3store.support.forking`.

    def _is_at_work(self) -> bool:
        """Whether another thread is within a call that a fork must not cut in two."""
        return False

    def _rest(self) -> None:
        """Close what nobody uses; called before a fork, when no other thread is at work."""

    def _forked(self) -> None:
        """Forget what belongs to the parent process; called in the child."""


def not_found(id_: str) -> ObjectNotFoundError:
    """Return the error for an ID that is not in a store."""
    return ObjectNotFoundError(f"There is no object {id_!r} in this store; list() gives the IDs.", id=id_)


def corrupt(id_: str, reason: str) -> CorruptRecordError:
    """Return the error for a record whose bytes are damaged."""
    return CorruptRecordError(f"The record of {id_} is damaged: {reason}; restore it from a backup.", id=id_)


#: How often what was replaced while it was being read is read again.
_AGAIN = 20


def repeated(read: Callable[[], _T]) -> _T:
    """Read something, and once more, as it is by then, if it was replaced meanwhile."""
    for _ in range(_AGAIN):
        try:
            return read()
        except ReplacedError:
            pass
    return read()


def replaced(id_: str) -> ReplacedError:
    """Return the error for a record that is not any more what it was when it was asked for."""
    return ReplacedError(f"{id_} was replaced while it was being read; load it again.", id=id_)


def check_revision(id_: str, expected: int | None, found: int | None) -> None:
    """Raise the error that fits where a record is not in the revision it should be in."""
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
