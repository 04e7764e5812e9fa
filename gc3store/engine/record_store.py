"""The store that keeps records: the same for every backend.

A `RecordStore` has a backend, which moves bytes; a writer and a reader, which turn objects into
records and back; an identity map, which knows which live object is which record; and a transaction.
Methods here check what callers give and hold the lock; the work is done by those parts.
"""

from __future__ import annotations

import builtins
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Self

from gc3store.backend import Backend, OpenMode, PendingRecord, ReplacedError, corrupt, not_found, repeated
from gc3store.columns import Failures, UserColumns
from gc3store.engine.backfill import Backfill
from gc3store.engine.export import Exporter
from gc3store.engine.identity import IdentityMap
from gc3store.engine.labels import NO_LABELS, Labels
from gc3store.engine.reader import GraphReader
from gc3store.engine.transaction import Transaction
from gc3store.engine.writer import GraphWriter
from gc3store.errors import DanglingReferenceWarning, OptionError, StoreError
from gc3store.ids import check_id, number_of
from gc3store.persistable import reduced_store
from gc3store.pickling import checksum_of
from gc3store.pickling.placeholders import Placeholders
from gc3store.pickling.trust import make_trust
from gc3store.query import Query
from gc3store.record import Record
from gc3store.store import KEEP, Keep, Store
from gc3store.support import batching
from gc3store.support.batching import Batches, split_by_size
from gc3store.support.graph import components
from gc3store.support.memory import gc_paused
from gc3store.support.progress import Progress, length_of
from gc3store.support.progress import progress as with_progress
from gc3store.support.retrying import ATTEMPTS, ROUNDS
from gc3store.support.stacklevel import caller_stacklevel

if TYPE_CHECKING:
    import pandas as pd

    from gc3store.inspection.globals import Global

__all__ = ["RecordStore"]


class RecordStore(Store):
    """A store that keeps records in a backend.

    Parameters
    ----------
    backend : Backend
        Where the records are kept.
    trust : {"everything", "nothing"} or list of str
        What `load` may import: anything (the default), nothing at all, or the exact names that are
        given, those of modules meaning the classes that they define.
    columns : mapping of str to (str or callable), optional
        User columns: names, each with the path or the function that gives an object's value.

    Attributes
    ----------
    backend : Backend
        Where the records are kept.
    trust : Trust
        What `load` may import.
    user_columns : UserColumns
        The user columns.
    """

    #: What a GC3Pie session says of the store, if one opened it.
    session: Any = None

    def __init__(
        self, backend: Backend, *, trust: Any = "everything", columns: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(backend.url)
        for name in ("durable", "read_only"):
            if not isinstance(value := getattr(backend, name), bool):
                raise OptionError(f"{name} is True or False, not {value!r:.40}.", option=name)
        self.backend = backend
        self.trust = make_trust(trust)
        self.user_columns = UserColumns(columns)
        self._identities = IdentityMap()
        self._transaction = Transaction(backend, self._identities, self.user_columns)
        self._writer = GraphWriter(
            backend, self._transaction, self._identities, self.user_columns, self.trust
        )
        self._reader = GraphReader(backend, self._transaction, self._identities, self.trust)
        self._exporter = Exporter(backend, self._transaction, self.user_columns)
        self._transaction.locate()

    # The store as a whole.

    @property
    def uuid(self) -> str | None:
        """The store's UUID; `None` as long as nothing was ever saved."""
        return self._transaction.locate()

    @property
    def read_only(self) -> bool:
        """Whether nothing is ever written."""
        return self.backend.read_only

    @property
    def durable(self) -> bool:
        """Whether `save` returns only when the object is on stable storage."""
        return self.backend.durable

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the store's user columns, as they were when it was opened."""
        return self.user_columns.names

    def adopt_columns(self, definitions: Mapping[str, str | None]) -> None:
        """Have user columns of another store as well, from the next transaction on, where there is a place for them."""
        if "columns" in self.backend.supports:
            self.user_columns.adopt(definitions)
            self.backend.columns = self.user_columns.names

    def offers(self, method: str) -> bool:
        """Whether the store offers an optional method."""
        return super().offers(method) and (method != "update" or "labels" in self.backend.supports)

    def transaction(self) -> Any:
        """Return a context in which all changes are one transaction: all are made, or none if it raises.

        In a directory each record is a transaction of its own. Transactions nest: the outermost
        counts. Other threads wait.

        An error of the database itself (no space left, a broken connection) undoes all of it, also
        where it is caught within the context: everything else that is tried there fails, and so does the end.
        Only if nothing was done before is there nothing to undo, and the transaction goes on.
        """
        return self._run_transaction()

    @contextmanager
    def _run_transaction(self) -> Iterator[Self]:
        with self._transaction.lock:
            self._transaction.check_writable()
            with self._transaction.run():
                yield self

    def invalidate_cache(self) -> None:
        """Forget which instances are live: the next `load` makes new ones."""
        with self._transaction.lock:
            self._identities.clear()

    def pre_fork(self) -> None:
        """Give back what a child process could not share; forks need no such call, though."""
        with self._transaction.lock:
            self.backend.close_idle()

    def close(self) -> None:
        """Give back connections and files."""
        with self._transaction.lock:
            self.backend.close()

    def __reduce__(self) -> tuple[Any, ...]:
        url, options = self.backend.reopening(with_password=True)
        options = {**options, "trust": self.trust.option, "columns": self.user_columns.portable}
        return reduced_store(self, url, options)

    def _reduce_for_payload(self) -> Any:
        url, options = self.backend.reopening(with_password=False)
        return reduced_store(self, url, {**options, "trust": self.trust.option})

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.url!r}>"

    def _repr_html_(self) -> str:
        from gc3store.tables.table import summary_html

        return summary_html(self)

    # Saving.

    def save(
        self,
        obj: Any,
        *,
        name: str | Keep | None = KEEP,
        tags: Iterable[str] | Keep = KEEP,
        prefix: str | None = None,
        origin: Mapping[str, Any] | None = None,
    ) -> str:
        """Save an object, and every changed Persistable that it reaches, and return its ID.

        Parameters
        ----------
        obj : Any
            Whatever pickle or cloudpickle can serialize.
        name : str, optional
            A label to find it by; any number of objects may have the same.
        tags : iterable of str, optional
            Labels to group by.
        prefix : str, optional
            What the ID of a new record begins with, by default the class name.
        origin : mapping, optional
            Where it comes from, as JSON can write it; shown by `describe`.

        Returns
        -------
        str
            The ID: a new one for an object that the store does not know, for others
            that of their record.

        Raises
        ------
        UnpicklableError
            If something in it cannot be serialized; the message names its path.
        ConflictError
            If the record was changed since this object was saved or loaded.

        Notes
        -----
        All or nothing: after an error the store and the objects are as they were.

        Warns
        -----
        ColumnWarning
            If a user column cannot be evaluated; it stays empty, and the object is saved.
        """
        if name is KEEP and tags is KEEP and prefix is None and origin is None:
            labels = NO_LABELS
        else:
            labels = Labels.of(name, tags, prefix, origin)
        with self._transaction.lock:
            # What an existing store has is known since it was opened.
            may_fail = self.user_columns.are_there or self._identities.store is None
            failures = Failures() if may_fail else None
            id_ = self._writer.save(obj, labels, failures)
        if failures is not None:
            failures.report()
        return id_

    def write_records(
        self, records: Sequence[PendingRecord], *, reserved: Callable[[], Any] | None = None
    ) -> None:
        """Write records of another store in one transaction; copying is made of this.

        Parameters
        ----------
        records : sequence of PendingRecord
            New records, as `gc3store.engine.export.read_for_export` gives them.
        reserved : callable, optional
            Called before anything is written, when records have IDs already, where the backend can do that.
        """
        with self._transaction.lock:
            self._transaction.check_writable()
            with self._transaction.run():
                for record in records if "columns" in self.backend.supports else ():
                    record.entry["columns"] = self.user_columns.known(record.entry["columns"])
                if reserved is not None and self.backend.reserve(records):
                    reserved()
                self._transaction.write(records, [])

    def save_many(self, objs: Iterable[Any]) -> builtins.list[str]:
        """Save several objects in one transaction, and return their IDs in the same order.

        They may come from a generator, and be more than memory holds: they are written in batches of 16 MiB
        of payloads, of 1000 objects or of what came within a second. What is given again, or reached again,
        within a batch is saved as it is at the end of that. In a directory each record is a transaction of its own.
        """
        ids: list[str] = []
        running = not isinstance(objs, (builtins.list, tuple))
        count = length_of(objs)
        source = iter(objs)
        with self._transaction.lock:
            failures = self._failures()
            with (
                self.transaction(),
                gc_paused(0 if running else count or 0),
                Progress("saving", total=count) as bar,
            ):
                while saved := self._writer.save_batch(source, failures, running=running):
                    ids += saved
                    bar.done(len(saved))
        if failures is not None:
            failures.report()
        return ids

    def replace(
        self,
        id_: str,
        obj: Any,
        *,
        expected: int | None = None,
        name: str | Keep | None = KEEP,
        tags: Iterable[str] | Keep = KEEP,
        origin: Mapping[str, Any] | None = None,
    ) -> None:
        """Let the record `id_` hold a copy of `obj`.

        Parameters
        ----------
        id_ : str
            ID of an existing record.
        obj : Any
            The new content. An object that has an ID of its own keeps it, one that has
            none is this record from now on.
        expected : int, optional
            The revision that the record must have now.
        name, tags, origin
            As for `save`; by default they stay.

        Raises
        ------
        ObjectNotFoundError
            If there is no such record.
        ConflictError
            If the record is not in the `expected` revision.
        """
        id_ = check_id(id_)
        labels = Labels.of(name, tags, None, origin)
        if expected is not None and not isinstance(expected, int):
            raise OptionError(f"A revision is a number, not {expected!r:.40}.", option="expected")
        with self._transaction.lock:
            failures = self._failures()
            self._writer.replace(id_, obj, expected, labels, failures)
        if failures is not None:
            failures.report()

    def save_version(
        self,
        obj: Any,
        *,
        name: str,
        tags: Iterable[str] | Keep = KEEP,
        origin: Mapping[str, Any] | None = None,
    ) -> str:
        """Save an object as the newest version under a name, unless the newest has just its content.

        Parameters
        ----------
        obj : Any
            As for `save`. A Persistable is saved as by `save`: it is one record, which
            is brought up to date. Anything else becomes a new record, also where it was
            saved before.
        name, tags, origin
            As for `save`.

        Returns
        -------
        str
            ID of the newest version, be it new or not.
        """
        labels = Labels.of(name, tags, None, origin)
        with self._transaction.lock:
            failures = self._failures()
            id_ = self._writer.save_version(obj, labels, failures)
        if failures is not None:
            failures.report()
        return id_

    def update(self, id_: str, *, name: str | Keep | None = KEEP, tags: Iterable[str] | Keep = KEEP) -> None:
        """Change an object's name or tags; neither its content nor its revision.

        Raises
        ------
        ObjectNotFoundError
            If there is no such object.
        """
        id_ = check_id(id_)
        labels = Labels.of(name, tags)
        with self._transaction.lock:
            self._writer.update(id_, labels)

    def __setitem__(self, id_: str, obj: Any) -> None:
        self.replace(id_, obj)

    def _failures(self) -> Failures | None:
        """Return what takes note of user columns that cannot be evaluated; `None` without such columns."""
        # What an existing store has is known since it was opened.
        return Failures() if self.user_columns.are_there or self._identities.store is None else None

    # Loading.

    def load(self, id_: str, *, fresh: bool = False, missing: str = "error") -> Any:
        """Return the object with ID `id_`.

        Parameters
        ----------
        id_ : str
            The ID.
        fresh : bool
            Return an independent copy of what is stored, also where there is a live
            instance.
        missing : {"error", "placeholder"}
            What to do where a class cannot be found, or an object that is referred to: raise, or put
            a placeholder there (`gc3store.pickling.placeholders`), which holds what was stored. What was loaded
            with placeholders is saved only unchanged. Implies an independent copy.

        Returns
        -------
        Any
            For a Persistable the live instance, if there is one, as long as its record
            and every record it reaches are as they were; otherwise new instances for
            what was changed and all that refers to it. Anything else is a copy of its own.

        Raises
        ------
        ObjectNotFoundError
            If there is no such object.
        UntrustedError
            If it names something that the store is not to import (``make_store(url, trust=...)``).
        LoadError
            If it cannot be made from what is stored: a missing class
            (`MissingClassError`), damaged bytes (`CorruptRecordError`), an object it refers
            to that is gone (`DanglingReferenceError`), or an error in its class.

        Notes
        -----
        Unpickling runs code that the stored bytes name; `describe` and `table` do not.
        """
        id_ = check_id(id_)
        if fresh or missing != "error":
            return self._load_copy(id_, missing)
        for _ in range(ATTEMPTS - 1):
            try:
                return self._reader.load(id_)
            except ReplacedError:
                pass
        return self._reader.load(id_)

    def _load_copy(self, id_: str, missing: str = "error", mode: OpenMode = "copy") -> Any:
        """Return an independent copy of an object."""
        if missing not in ("error", "placeholder"):
            raise OptionError(f"missing is 'error' or 'placeholder', not {missing!r}.", option="missing")

        def load() -> Any:
            placeholders = Placeholders() if missing == "placeholder" else None
            return self._reader.load_copy(id_, placeholders=placeholders, mode=mode)

        return repeated(load)

    def load_many(self, ids: Iterable[str]) -> Iterator[Any]:
        """Yield the objects with the given IDs, in the same order.

        They are read in batches, so that more can be walked through than memory holds.
        """
        return self._reader.load_many([check_id(id_) for id_ in ids])

    # Removing.

    def remove(self, id_: str, *, recursive: bool = False) -> None:
        """Delete the object with ID `id_`.

        Parameters
        ----------
        id_ : str
            The ID.
        recursive : bool
            Also delete what it refers to and nothing else does.

        Raises
        ------
        ObjectNotFoundError
            If there is no such object.

        Warns
        -----
        DanglingReferenceWarning
            If other objects refer to it; issued before anything is deleted.
        """
        id_ = check_id(id_)
        with self._transaction.lock:
            self._remove([id_], recursive=recursive)

    def remove_many(self, ids: Iterable[str]) -> None:
        """Delete several objects in one transaction (in a directory, each is one).

        Objects that only refer to each other cause no warning.
        """
        wanted = builtins.list(dict.fromkeys(check_id(id_) for id_ in ids))
        with self._transaction.lock:
            self._remove(wanted, recursive=False)

    def _remove(self, ids: builtins.list[str], *, recursive: bool) -> None:
        transaction, backend = self._transaction, self.backend
        transaction.check_writable()
        if not ids:
            return
        transaction.locate()
        present = backend.revisions(ids)
        for id_ in ids:
            if id_ not in present:
                raise not_found(id_)
        if recursive:
            ids = self._with_exclusive_children(ids)
        removed = set(ids)
        for id_, referrers in backend.referrers(ids).items():
            if left := [r for r in referrers if r not in removed]:
                shown = ", ".join(left[:5]) + (f" and {len(left) - 5} more" if len(left) > 5 else "")
                warnings.warn(
                    f"{id_} is being removed, and {shown} will refer to what is gone.",
                    DanglingReferenceWarning,
                    stacklevel=caller_stacklevel(),
                )
        with transaction.run(), Progress("removing", total=len(ids)) as bar:
            try:
                parts = Batches(ids)
                for part in parts:
                    transaction.delete(part)
                    parts.report_size(0)
                    bar.done(len(part))
                for id_ in ids:
                    self._identities.drop(id_)
            except BaseException:
                if not backend.atomic:  # what is gone is gone
                    existing = backend.revisions(ids)
                    for id_ in ids:
                        if id_ not in existing:
                            self._identities.drop(id_)
                raise

    def _with_exclusive_children(self, ids: builtins.list[str]) -> builtins.list[str]:
        """Return `ids` and what only they refer to, referrers first."""
        graph = {id_: node.references for id_, node in self.backend.graph(ids).items()}
        removed = set(graph)
        shared = {
            id_
            for id_, referrers in self.backend.referrers(builtins.list(graph)).items()
            if any(r not in removed for r in referrers)
        } - set(ids)
        todo = builtins.list(shared)
        while todo:  # what is used from elsewhere keeps all that it refers to
            for other in graph[todo.pop()]:
                if other in graph and other not in shared and other not in ids:
                    shared.add(other)
                    todo.append(other)
        order = [id_ for component in components(graph, ids) for id_ in component]
        return [id_ for id_ in reversed(order) if id_ not in shared]

    # The catalogue: nothing here reads a payload, or writes.

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
        query = self.query(**filters)
        self._transaction.locate()
        return self.backend.ids(query)

    def find(self, name: str) -> builtins.list[str]:
        """Return the IDs of the objects saved under `name`, the newest first."""
        self._transaction.locate()
        return self.backend.ids(Query.build({"name": str(name)}, order="-number"))

    def describe(self, id_: str) -> Record:
        """Return everything known of an object without loading it.

        Raises
        ------
        ObjectNotFoundError
            If there is no such object.
        """
        id_ = check_id(id_)
        self._transaction.locate()
        record = self.backend.entry(id_)
        if record is None:
            raise not_found(id_)
        return record

    def records(self, query: Query | None = None) -> Iterator[Record]:
        """Yield the catalogue's entries that `query` asks for; payloads are not read."""
        query = asked(query)
        self._transaction.locate()
        return self.backend.entries(query)

    def count(self, query: Query | None = None) -> int:
        """Return how many entries `query` asks for, its offset and limit aside."""
        query = asked(query)
        self._transaction.locate()
        return self.backend.count(query)

    def facets(self, field: str, query: Query | None = None) -> dict[Any, int]:
        """Return how many of the entries that `query` asks for have which value of `field`."""
        Query.build({field: None}, columns=self.columns)  # is there such a field?
        query = asked(query)
        self._transaction.locate()
        return self.backend.facets(field, query)

    def table(self, *, columns: Sequence[str] | None = None, **filters: Any) -> pd.DataFrame:
        """Return a table with one row per object, indexed by ID; nothing is unpickled.

        Parameters
        ----------
        columns : sequence of str, optional
            Which columns, by default all fields and user columns of the catalogue. What is neither is a path
            (`gc3store.paths`) to be read out of the objects, by inspection: ``temperature``,
            ``execution.exitcode``, ``results.energy``, ``tasks[0].jobname``. Values that were read
            before are cached, as long as the records are unchanged. Where an object lacks
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

        query = self.query(**filters)
        self._transaction.locate()
        return make_table(self, query, columns)

    def references(self, id_: str) -> builtins.list[str]:
        """Return the IDs of the objects that this one refers to, in the order of first use."""
        return builtins.list(self.describe(id_).references)

    def referrers(self, id_: str) -> builtins.list[str]:
        """Return the IDs of the objects that refer to this one, the oldest first."""
        id_ = check_id(id_)
        if id_ not in self:
            raise not_found(id_)
        return sorted(self.backend.referrers([id_]).get(id_, []), key=number_of)

    def orphans(self) -> builtins.list[str]:
        """Return the IDs of objects that were saved as parts of others which no longer lead to them.

        An object that was itself given to `save` is never an orphan, nor is anything that
        can be reached from one.
        """
        self._transaction.locate()
        roots, parts = self.backend.roots()
        reached = self.backend.graph(roots)
        return [id_ for id_ in parts if id_ not in reached]

    def verify(self, id_: str) -> None:
        """Read an object's bytes and compare their checksum; nothing is unpickled.

        Raises
        ------
        CorruptRecordError
            If they are damaged. Where a store keeps no checksums, not all damage shows.
        """
        id_ = check_id(id_)

        def read() -> None:
            stored = self.backend.read_one(id_)
            source = stored.open("pass")  # what has no checksum here is verified by that
            if stored.checksum is not None and checksum_of(source) != stored.checksum:
                raise corrupt(id_, "its checksum does not fit")
            stored.check()

        repeated(read)

    def __len__(self) -> int:
        return self.count()

    def __contains__(self, id_: object) -> bool:
        try:
            id_ = check_id(id_)
            self._transaction.locate()
            return bool(self.backend.revisions([id_]))
        except StoreError:
            return False

    # Looking inside: nothing here imports or calls what a payload names.

    def inspect(self, id_: str) -> Any:
        """Return what is in an object, without importing or calling anything that it names.

        Parameters
        ----------
        id_ : str
            The ID.

        Returns
        -------
        Any
            Plain values as themselves, everything else as inert values that can be walked like the object:
            ``job.execution.exitcode``, ``result["energy"]``, ``tasks[3]``. References to other stored
            objects are followed when an attribute of theirs is asked for.

        Raises
        ------
        ObjectNotFoundError
            If there is no such object.
        CorruptRecordError, InspectionError
            If its bytes are damaged, or made to harm a reader.

        See Also
        --------
        gc3store.inspection : the inert values, and comparing them.
        """
        from gc3store.inspection import read

        id_ = check_id(id_)
        payload = self.backend.read_one(id_).inert()
        references = payload.references
        if references is None:
            record = self.backend.entry(id_)
            references = () if record is None else tuple(record.references)
        try:
            return read(payload.stream, buffers=payload.buffers, references=references, follow=self.inspect)
        except StoreError as error:
            error.id = error.id or id_
            raise

    def imports(self, id_: str) -> builtins.list[Global]:
        """Return what loading an object would import, and what is known of each name.

        Nothing is imported in order to find out.

        Returns
        -------
        list of gc3store.inspection.globals.Global
            The names, each with whether it can be found here and now, whether the pickle calls it, and
            whether it is known to make values only, is a class, or can act.

        Raises
        ------
        ObjectNotFoundError
            If there is no such object.
        CorruptRecordError, InspectionError
            If its bytes are damaged, or made to harm a reader.
        """
        from gc3store.inspection.globals import globals_of

        id_ = check_id(id_)
        payload = self.backend.read_one(id_).inert()
        try:
            return globals_of(payload.stream, payload.buffers)
        except StoreError as error:
            error.id = error.id or id_
            raise

    def attributes(self, **filters: Any) -> pd.DataFrame:
        """Return which paths exist in how many objects of each class, with the types of what is there.

        Parameters
        ----------
        **filters
            As for `list`; ``limit=1000`` looks at so many objects only.

        Returns
        -------
        pandas.DataFrame
            A row for each class and path, with ``count`` (in how many objects), ``of`` (how many there
            are of the class), ``types`` and an ``example``; any ``path`` can be a column of `table`. For tasks
            of GC3Pie they include what `gc3store.inspection.jobs` makes of them: ``job.outcome``.
        """
        from gc3store.tables.suggestions import attributes

        self._transaction.locate()
        return attributes(self, filters)

    # Whole records.

    def export(self, id_: str) -> bytes:
        """Return the record whole, catalogue entry and payload, not unpickled.

        Of a damaged record these are all the bytes that there are, with the reason, so that
        it can be removed and put back, or be looked into.

        Raises
        ------
        ObjectNotFoundError
            If there is no such object.
        """
        return b"".join(self.export_pieces(id_))

    def export_pieces(self, id_: str) -> Iterator[bytes | memoryview]:
        """Yield what `export` returns piece by piece: however large it is, it needs no memory.

        What can go wrong goes wrong before the first piece.
        """
        return self._exporter.pieces(id_)

    def restore(self, data: bytes, *, references: Callable[[str], str] | None = None) -> str:
        """Put back what `export` returned, and return its ID.

        Parameters
        ----------
        data : bytes
            An exported record.
        references : callable, optional
            Returns, for an ID that the record refers to, the ID here; needed for a
            record of another store that refers to others.

        Returns
        -------
        str
            The ID that it had, where this store gave out that ID and it is free;
            otherwise a new one.

        Raises
        ------
        CorruptRecordError
            If the bytes are damaged, or are not an exported record; or of one that was damaged when it was
            exported and cannot be put back under its own ID.
        """
        with self._transaction.lock:
            return self._exporter.restore(data, references)

    # User columns.

    def fill_columns(
        self,
        names: Iterable[str] | None = None,
        *,
        again: bool = False,
        progress: bool = True,
        **filters: Any,
    ) -> int:
        """Record user columns of objects that have no value there yet, with a progress bar.

        Parameters
        ----------
        names : iterable of str, optional
            Which columns; by default all that can be filled.
        again : bool
            Also record what has a value: after a column has got another meaning, for instance.
        progress : bool
            Whether a bar shows how far it is, if it takes long.
        **filters
            Which objects, as for `list`.

        Returns
        -------
        int
            How many objects have got a value, or another one.

        Raises
        ------
        OptionError
            If there is no such column, or it is filled by a function that is not at hand.

        Warns
        -----
        ColumnWarning
            If a column cannot be evaluated, once for each column.

        Notes
        -----
        A path is read by inspection (`inspect`): no class is needed, and what only code of the object
        computes has no value. A function is called with the object, which is loaded for that. Content,
        revisions and times of the records stay as they are. After an interruption the same call goes on;
        a record that is replaced meanwhile is read again. Memory is bounded by the largest object.

        Examples
        --------
        >>> import tempfile
        >>> from gc3store import make_store
        >>> place = tempfile.mkdtemp()
        >>> make_store(place).save({"result": {"energy": -1.75}})
        'dict.1'
        >>> store = make_store(place, columns={"energy": "result.energy"})
        >>> store.fill_columns()
        1
        >>> store.list(query="energy:<-1.5")
        ['dict.1']
        """
        from gc3store.tables.path_reader import probes

        columns = self.user_columns.chosen(names)
        with self.transaction():
            pass  # the store has the columns from here on
        todo = [
            (record.id, record.size)
            for record in self.backend.entries(self.query(**filters))
            if again or any(record.columns.get(column.name) is None for column in columns)
        ]
        backfill = Backfill(columns, self._load_copy, lambda ids: probes(self, ids, show=False))
        filled = 0
        for _ in range(ROUNDS):
            if not todo or not columns:
                break
            left = []
            bar = with_progress(todo, "filling columns", show=progress)
            for batch in split_by_size(bar, itemgetter(1), max_count=batching.MAX_COUNT):
                found = backfill.evaluate(self.backend.revisions([id_ for id_, _ in batch]), again=again)
                with self._transaction.lock, self._transaction.run():
                    written = self.backend.update(found)
                filled += sum(written.values())
                left += [entry for entry in batch if entry[0] in found and entry[0] not in written]
            todo = left
        backfill.failures.report()
        return filled


def asked(query: Query | None) -> Query:
    """Return a query that a caller gave; by default the one for everything."""
    if query is None:
        return Query()
    if not isinstance(query, Query):
        raise OptionError(
            f"{query!r:.40} is not a query; make one with gc3store.query.Query.parse.", option="query"
        )
    return query
