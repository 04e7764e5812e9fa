"""Records to objects, each live object found again as long as it is current."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import takewhile
from typing import Any

from xxhash import xxh3_128_digest

from gc3store.backend import (
    Backend,
    OpenMode,
    ReplacedError,
    StoredRecord,
    corrupt,
    not_found,
    repeated,
)
from gc3store.engine.identity import KINDS, IdentityMap
from gc3store.engine.transaction import Transaction
from gc3store.errors import DanglingReferenceError, LoadError, StoreError
from gc3store.pickling import checksum_of, decode, encode, make_shell
from gc3store.pickling.explain import explain_missing
from gc3store.pickling.finder import finder_for
from gc3store.pickling.placeholders import (
    MissingReference,
    Placeholders,
    original_bytes_if_unchanged,
    remember_original,
)
from gc3store.pickling.trust import Trust
from gc3store.support.batching import MAX_BYTES, Batches, split_by_size
from gc3store.support.graph import components, dependents
from gc3store.support.memory import gc_paused
from gc3store.support.progress import Progress
from gc3store.support.renaming import names as renamed_names

__all__ = ["GraphReader"]


class GraphReader:
    """Loads objects, together with all that they refer to.

    Parameters
    ----------
    backend : Backend
        Where records are kept.
    transaction : Transaction
        Has the lock that is held while objects are made.
    identities : IdentityMap
        The live objects of the store.
    trust : Trust
        What may be imported.
    """

    def __init__(
        self, backend: Backend, transaction: Transaction, identities: IdentityMap, trust: Trust
    ) -> None:
        self._backend = backend
        self._transaction = transaction
        self._identities = identities
        self._trust = trust

    def load(self, id_: str) -> Any:
        """Return the object of a record: the live instance, as long as all that it reaches is as it was."""
        stored = self._backend.read_one(id_)
        with self._transaction.lock:
            if self._identities.store is None:
                self._transaction.locate()
            if stored.references != ():
                return self._load_graph([id_])[id_]
            if stored.id in self._identities.by_id:
                return self._load_leaf(stored)
            obj = self._decode(stored, ())
            self._bind(obj, stored, live=True)
            return obj

    def load_copy(
        self, id_: str, *, placeholders: Placeholders | None = None, mode: OpenMode = "copy"
    ) -> Any:
        """Return an independent copy of the object of a record."""
        with self._transaction.lock:
            if self._identities.store is None:
                self._transaction.locate()
            return self._load_graph([id_], _Copies(placeholders, mode))[id_]

    def _load_leaf(self, stored: StoredRecord) -> Any:
        """Return the object of a record that refers to no other: the live one, if it is current."""
        latest = self._identities.by_id.get(stored.id)
        if latest is None:
            obj = self._decode(stored, ())
        else:
            obj = latest()
            if obj is not None and latest.revision == stored.revision:
                return obj
            obj = self._decode(stored, ())
            self._identities.supersede({stored.id: (obj, stored.revision)})
        self._bind(obj, stored, live=True)
        return obj

    # Many.

    def load_many(self, wanted: Sequence[str]) -> Iterator[Any]:
        """Yield the objects of records, read in batches."""
        with Progress("loading", total=len(wanted)) as bar:
            batches = Batches(wanted)
            for batch in batches:
                with self._transaction.lock, gc_paused(len(batch)):
                    self._transaction.locate()
                    ids, records = self._read_batch(batch)
                    part, size = _first_part(ids, records)
                    batches.report_size(size, len(part))
                    loaded, failure = self._load_part(part, records)
                del records
                loaded.reverse()
                while loaded:  # what has been handed over is not held any longer
                    yield loaded.pop()
                    bar.done()
                if failure is not None:
                    raise failure

    def _read_batch(self, ids: list[str]) -> tuple[list[str], dict[str, StoredRecord]]:
        return repeated(lambda: self._read_within(ids))

    def _read_within(self, ids: list[str]) -> tuple[list[str], dict[str, StoredRecord]]:
        """Read records as long as they fit into the memory for a batch; return the first of `ids`, and these."""
        unique = list(dict.fromkeys(ids))
        records: dict[str, StoredRecord] = {}
        size = 0
        for stored in self._backend.read(unique):
            records[stored.id] = stored
            size += stored.size
            if size > MAX_BYTES and len(records) < len(unique):
                return list(takewhile(records.__contains__, ids)), records
        return ids, records

    def _load_part(
        self, ids: Sequence[str], records: dict[str, StoredRecord]
    ) -> tuple[list[Any], StoreError | None]:
        """Return the objects with the given IDs, as far as the first that cannot be loaded, and why not."""
        loaded: list[Any] = []
        unique = dict.fromkeys(ids)
        try:
            graphs = self._load_graphs([i for i in unique if i in records and records[i].references != ()])
            for id_ in ids:
                stored = records.get(id_)
                if stored is None:
                    raise not_found(id_)
                if id_ in graphs:
                    loaded.append(graphs[id_])
                    continue
                try:
                    loaded.append(self._load_leaf(stored))
                except ReplacedError:
                    loaded.append(self._load_again(id_))
        except StoreError as error:
            return loaded, error
        return loaded, None

    def _load_graphs(self, ids: list[str]) -> dict[str, Any]:
        try:
            return self._load_graph(ids) if ids else {}
        except ReplacedError:
            return {id_: self._load_again(id_) for id_ in ids}

    def _load_again(self, id_: str) -> Any:
        return repeated(lambda: self.load(id_))

    # Graphs.

    def _load_graph(self, roots: list[str], copies: _Copies | None = None) -> dict[str, Any]:
        """Return the objects with the given IDs, together with all that they refer to."""
        backend = self._backend
        with ExitStack() as stack:
            stack.enter_context(backend.snapshot())
            live = self._identities.live
            if copies is not None or not any(live(id_)[1] for id_ in roots):
                records = backend.read_graph(roots)
                revisions = {id_: stored.revision for id_, stored in records.items()}
                graph = {id_: stored.references or () for id_, stored in records.items()}
            else:
                records = {}
                nodes = backend.graph(roots)
                revisions = {id_: node.revision for id_, node in nodes.items()}
                graph = {id_: node.references for id_, node in nodes.items()}
            for id_ in roots:
                if id_ not in revisions:
                    raise not_found(id_)
            stack.enter_context(gc_paused(len(revisions)))
            objects, changed = self._current(revisions) if copies is None else ({}, set(revisions))
            for id_ in dependents(graph, changed):
                objects.pop(id_, None)
            if objects:
                graph = {id_: graph[id_] for id_ in _reached(graph, roots, objects)}
            if missing := [id_ for id_ in graph if id_ not in records]:
                records.update({stored.id: stored for stored in backend.read(missing)})
            self._make(roots, graph, records, objects, copies)
        return {id_: objects[id_] for id_ in roots}

    def _current(self, revisions: Mapping[str, int]) -> tuple[dict[str, Any], set[str]]:
        """Return the live objects among records that are as they were, and which records are not.

        If a live object dropped a part without being saved, the part may be gone: this does not count as a change.
        """
        objects: dict[str, Any] = {}
        changed = set()
        latest_known = self._identities.latest_known
        for id_, revision in revisions.items():
            identity = latest_known(id_)
            if identity is None or identity.revision != revision:
                changed.add(id_)
            elif (obj := identity()) is not None:
                objects[id_] = obj
        return objects, changed

    def _make(
        self,
        roots: list[str],
        graph: dict[str, tuple[str, ...]],
        records: dict[str, StoredRecord],
        objects: dict[str, Any],
        copies: _Copies | None,
    ) -> None:
        """Make the objects of the records in `graph`, each after those it refers to, and add them to `objects`."""
        if copies is not None and copies.placeholders is not None:
            copies.placeholders.referred = {id_ for references in graph.values() for id_ in references}
        made = [records[id_] for id_, references in graph.items() if not references]
        for stored in made:
            objects[stored.id] = self._decode(stored, (), copies)
            stored.references = ()
        graph = {id_: references for id_, references in graph.items() if references}
        for todo in components(graph, [id_ for id_ in roots if id_ in graph]):
            circular = len(todo) > 1 or todo[0] in graph[todo[0]]
            shells: dict[str, Any] = {}
            if circular:
                shells = self._make_shells(todo, graph, records, objects, copies)
                # An object that sets its state by a method of its own may call what it refers to.
                calling = {
                    id_: graph[id_] if hasattr(type(shell), "__setstate__") else ()
                    for id_, shell in shells.items()
                }
                todo = [id_ for part in components(calling, todo) for id_ in part]
            for id_ in todo:
                stored = records[id_]
                stored.references = references = graph[id_]
                targets = [_target(objects, other, id_, copies) for other in references]
                objects[id_] = self._decode(stored, targets, copies, shell=shells.get(id_))
                made.append(stored)
        if copies is None:
            known = self._identities.latest_known
            replacing = {s.id: (objects[s.id], s.revision) for s in made if known(s.id) is not None}
            self._identities.supersede(replacing)
        for stored in made:
            self._bind(objects[stored.id], stored, live=copies is None)

    def _make_shells(
        self,
        ids: list[str],
        graph: dict[str, tuple[str, ...]],
        records: dict[str, StoredRecord],
        objects: dict[str, Any],
        copies: _Copies | None,
    ) -> dict[str, Any]:
        """Make the empty instances of records that refer to each other, and add them to `objects`."""
        shells: dict[str, Any] = {}
        within = set(ids)
        for first in ids:
            path = {first: None}  # each after the one whose constructor needs it
            while path:
                id_ = next(reversed(path))
                if id_ not in shells:
                    known = _Known(graph[id_], objects, id_, within, copies)
                    try:
                        objects[id_] = shells[id_] = self._decode(
                            records[id_], known, copies, shell_only=True
                        )
                    except _NeededFirst as needed:
                        if needed.id in path:
                            raise LoadError(
                                f"{id_} cannot be loaded: its constructor needs an object that refers to it in turn.",
                                id=id_,
                            ) from None
                        path[needed.id] = None
                        continue
                del path[id_]
        return shells

    # One record.

    def _decode(
        self,
        stored: StoredRecord,
        references: Sequence[Any],
        copies: _Copies | None = None,
        *,
        shell: Any = None,
        shell_only: bool = False,
    ) -> Any:
        """Return the object of a record; errors say which record, and what to do."""
        placeholders = None
        if shell_only or shell is not None:
            source = stored.open_for_shells()
            placeholders = None if copies is None else copies.placeholders
        elif copies is not None:
            source, placeholders = stored.open(copies.mode), copies.placeholders
        else:
            source = stored if stored.opener is None else stored.opener("copy")
        if stored.checksum is not None:
            in_memory = not source.buffers and type(source.stream) in (bytes, memoryview)
            checksum = xxh3_128_digest(source.stream) if in_memory else checksum_of(source)
            if checksum != stored.checksum:
                raise corrupt(stored.id, "its checksum does not fit")
        try:
            if self._trust.everything and placeholders is None and not renamed_names:
                finder = None  # plain importing
            else:
                finder = finder_for(self._trust, stored.id, source, placeholders)
            if shell_only:
                return make_shell(source, references, finder=finder)
            obj = decode(source, references, shell=shell, finder=finder)
        except StoreError as error:
            if isinstance(error, LoadError):
                stored.check()  # if the bytes are damaged, then that is the reason
            raise
        except (ImportError, AttributeError) as error:
            stored.check()
            raise explain_missing(self._backend.entry(stored.id), stored.id, stored.open(), error) from error
        except Exception as error:
            stored.check()
            raise LoadError(
                f"{stored.id} could not be loaded: {type(error).__name__}: {error}. It is still stored.",
                id=stored.id,
            ) from error
        if placeholders is not None and placeholders.missing:
            original = source if source.persistent is None else stored.open_for_shells()
            remember_original(obj, original, references, placeholders.missing)
        return obj

    def _bind(self, obj: Any, stored: StoredRecord, *, live: bool) -> None:
        kind = KINDS[type(obj)]
        identity = self._identities.bind(
            obj, kind, stored.id, stored.revision, stored.checksum, stored.references or (), live=live
        )
        if identity is not None and (kind.changes or (kind.persistable and not self._backend.has_checksums)):
            # Its own methods ran while it was loaded, and may have changed it; or the store has no
            # checksum. What it is now counts as unchanged; later this could not be told any more.
            try:
                identity.checksum = original_bytes_if_unchanged(obj, encode(obj)).checksum
                identity.verified = True
            except Exception:  # noqa: BLE001  (it cannot be saved as it is; that is said then)
                identity.checksum = None


class _Copies:
    """How independent copies are made.

    Attributes
    ----------
    placeholders : Placeholders or None
        What takes the place of missing classes.
    mode : str
        How payloads are opened.
    """

    __slots__ = ("mode", "placeholders")

    def __init__(self, placeholders: Placeholders | None, mode: OpenMode) -> None:
        self.placeholders = placeholders
        self.mode = mode


def _target(objects: Mapping[str, Any], id_: str, referrer: str, copies: _Copies | None) -> Any:
    """Return the object that a record refers to."""
    try:
        return objects[id_]
    except KeyError:
        if copies is not None and copies.placeholders is not None:
            return MissingReference(id_)
        raise DanglingReferenceError(
            f"{referrer} refers to {id_}, which is no longer in the store; "
            f"inspect({referrer!r}) shows what is left of it.",
            id=referrer,
            missing=id_,
        ) from None


def _first_part(ids: list[str], records: dict[str, StoredRecord]) -> tuple[Sequence[str], int]:
    """Return the first of `ids` whose objects may be in memory together, and what these weigh."""

    def weight(id_: str) -> int:
        # What is too large for a row is not read yet, and fills a part by itself.
        return records[id_].size or MAX_BYTES if id_ in records else 0

    part = next(split_by_size(ids, weight), ids)
    return part, sum([weight(id_) for id_ in part])


def _reached(
    graph: Mapping[str, Sequence[str]], roots: Iterable[str], there: Mapping[str, Any]
) -> dict[str, None]:
    """Return what is reached from `roots` and is not `there`; what is there is not followed."""
    found: dict[str, None] = {}
    todo = list(roots)
    while todo:
        id_ = todo.pop()
        if id_ in graph and id_ not in there and id_ not in found:
            found[id_] = None
            todo += graph[id_]
    return found


class _NeededFirst(BaseException):
    """Ends the reading of a payload whose constructor needs an object that is still to be made."""

    def __init__(self, id_: str) -> None:
        self.id = id_


class _Known(Sequence[Any]):
    """The references of a record within a circle, as far as they exist."""

    def __init__(
        self,
        ids: Sequence[str],
        objects: dict[str, Any],
        referrer: str,
        circle: set[str],
        copies: _Copies | None,
    ) -> None:
        self._ids = ids
        self._objects = objects
        self._referrer = referrer
        self._circle = circle
        self._copies = copies

    def __len__(self) -> int:
        return len(self._ids)

    def __getitem__(self, index: Any) -> Any:
        id_ = self._ids[index]
        if id_ not in self._objects and id_ in self._circle:
            raise _NeededFirst(id_)
        return _target(self._objects, id_, self._referrer, self._copies)
