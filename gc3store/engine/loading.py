"""Loading: records to objects, each live object found again as long as it is current."""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import takewhile
from typing import Any

from gc3store.engine.identity import kind_of
from gc3store.engine.primitives import Primitives, ReplacedError, Stored, corrupt, not_found, repeated
from gc3store.errors import DanglingReferenceError, LoadError, OptionError, StoreError
from gc3store.ids import check_id
from gc3store.pickling import checksum_of, decode, encode, make_shell
from gc3store.pickling.finder import finder_for
from gc3store.pickling.placeholders import MissingReference, original_bytes_if_unchanged, remember_original
from gc3store.support.batching import BYTES, Batches, by_size
from gc3store.support.graph import components, dependents
from gc3store.support.memory import many_objects
from gc3store.support.progress import Progress

__all__ = ["Loading"]


class Loading(Primitives):
    """How objects get out of a store."""

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
        if missing != "error":
            return repeated(lambda: self._load_with_placeholders(id_, missing))
        return repeated(lambda: self._load_one(id_, fresh=fresh))

    def _load_one(self, id_: str, *, fresh: bool) -> Any:
        stored = self._fetch(id_)
        with self._lock:
            if stored.references != ():
                return self._load_graph([id_], fresh=fresh)[id_]
            if not fresh:
                return self._load_leaf(stored)
            obj = self._decode(stored, ())
            self._bind_loaded(obj, stored, live=False)
            return obj

    def _load_leaf(self, stored: Stored) -> Any:
        """Return the object in a record that refers to no other: the live one, if it is current."""
        last = self._identities.last(stored.id)
        if last is None:
            obj = self._decode(stored, ())
        else:
            obj = last()
            if obj is not None and last.revision == stored.revision:
                return obj
            obj = self._decode(stored, ())
            self._identities.make_way({stored.id: (obj, stored.revision)})
        self._bind_loaded(obj, stored, live=True)
        return obj

    def _load_with_placeholders(self, id_: str, missing: str) -> Any:
        if missing != "placeholder":
            raise OptionError(f"missing is 'error' or 'placeholder', not {missing!r}.", option="missing")
        from gc3store.pickling.placeholders import Placeholders

        with self._lock:
            self._placeholders = Placeholders()
            try:
                return self._load_graph([id_], fresh=True)[id_]
            finally:
                self._placeholders = None

    def load_many(self, ids: Iterable[str]) -> Iterator[Any]:
        """Yield the objects with the given IDs, in the same order.

        They are read in batches, so that more can be walked through than memory holds.
        """
        wanted = [check_id(id_) for id_ in ids]
        return self._load_batches(wanted)

    def _load_batches(self, wanted: builtins.list[str]) -> Iterator[Any]:
        with Progress("loading", total=len(wanted)) as bar:
            batches = Batches(wanted)
            for batch in batches:
                with self._lock, many_objects(len(batch)):
                    ids, records = self._read_batch(batch)
                    part, size = _first_part(ids, records)
                    batches.weigh(size, len(part))
                    loaded, failure = self._load_part(part, records)
                del records
                loaded.reverse()
                while loaded:  # what has been handed over is not held any longer
                    yield loaded.pop()
                    bar.done()
                if failure is not None:
                    raise failure

    def _read_batch(self, ids: builtins.list[str]) -> tuple[builtins.list[str], dict[str, Stored]]:
        return repeated(lambda: self._read_within(ids))

    def _read_within(self, ids: builtins.list[str]) -> tuple[builtins.list[str], dict[str, Stored]]:
        """Read records as long as they fit into the memory for a batch; return the first of `ids`, and these."""
        unique = builtins.list(dict.fromkeys(ids))
        records: dict[str, Stored] = {}
        size = 0
        for stored in self._read(unique):
            records[stored.id] = stored
            size += stored.size
            if size > BYTES and len(records) < len(unique):
                return builtins.list(takewhile(records.__contains__, ids)), records
        return ids, records

    def _load_part(
        self, ids: Sequence[str], records: dict[str, Stored]
    ) -> tuple[builtins.list[Any], StoreError | None]:
        """Return the objects with the given IDs, as far as the first that cannot be loaded, and why not."""
        loaded: builtins.list[Any] = []
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
                    loaded.append(self.load(id_))
        except StoreError as error:
            return loaded, error
        return loaded, None

    def _load_graphs(self, ids: builtins.list[str]) -> dict[str, Any]:
        try:
            return self._load_graph(ids, fresh=False) if ids else {}
        except ReplacedError:
            return {id_: self.load(id_) for id_ in ids}

    def _load_graph(self, roots: builtins.list[str], *, fresh: bool) -> dict[str, Any]:
        """Return the objects with the given IDs, together with all that they refer to."""
        with ExitStack() as stack:
            stack.enter_context(self._snapshot())
            live = self._identities.live
            whole = fresh or not any(live(id_)[1] for id_ in roots)
            revisions, graph, records = self._closure(roots, whole=whole)
            for id_ in roots:
                if id_ not in revisions:
                    raise not_found(id_)
            stack.enter_context(many_objects(len(revisions)))
            objects, changed = ({}, set(revisions)) if fresh else self._current(revisions)
            for id_ in dependents(graph, changed):
                objects.pop(id_, None)
            if objects:
                graph = {id_: graph[id_] for id_ in _reached(graph, roots, objects)}
            if missing := [id_ for id_ in graph if id_ not in records]:
                records.update({stored.id: stored for stored in self._read(missing)})
            self._make(roots, graph, records, objects, live=not fresh)
        return {id_: objects[id_] for id_ in roots}

    def _current(self, revisions: Mapping[str, int]) -> tuple[dict[str, Any], set[str]]:
        """Return the live objects among records that are as they were, and which records are not.

        Of what a live object dropped without being saved, the instance may be gone: that is no change.
        """
        objects: dict[str, Any] = {}
        changed = set()
        last = self._identities.last
        for id_, revision in revisions.items():
            identity = last(id_)
            if identity is None or identity.revision != revision:
                changed.add(id_)
            elif (obj := identity()) is not None:
                objects[id_] = obj
        return objects, changed

    def _make(
        self,
        roots: builtins.list[str],
        graph: dict[str, tuple[str, ...]],
        records: dict[str, Stored],
        objects: dict[str, Any],
        *,
        live: bool,
    ) -> None:
        """Make the objects of the records in `graph`, each after those it refers to, and add them to `objects`."""
        if self._placeholders is not None:
            self._placeholders.referred = {id_ for references in graph.values() for id_ in references}
        made = [records[id_] for id_, references in graph.items() if not references]
        for stored in made:
            objects[stored.id] = self._decode(stored, ())
            stored.references = ()
        graph = {id_: references for id_, references in graph.items() if references}
        for todo in components(graph, [id_ for id_ in roots if id_ in graph]):
            circular = len(todo) > 1 or todo[0] in graph[todo[0]]
            shells: dict[str, Any] = {}
            if circular:
                shells = self._make_shells(todo, graph, records, objects)
                # Whoever sets its state by a method of its own may call what it refers to.
                calling = {
                    id_: graph[id_] if hasattr(type(shell), "__setstate__") else ()
                    for id_, shell in shells.items()
                }
                todo = [id_ for part in components(calling, todo) for id_ in part]
            for id_ in todo:
                stored = records[id_]
                stored.references = references = graph[id_]
                targets = [self._target(objects, other, id_) for other in references]
                objects[id_] = self._decode(stored, targets, shell=shells.get(id_))
                made.append(stored)
        if live:
            is_known = self._identities.last
            taking = {s.id: (objects[s.id], s.revision) for s in made if is_known(s.id) is not None}
            self._identities.make_way(taking)
        for stored in made:
            self._bind_loaded(objects[stored.id], stored, live=live)

    def _make_shells(
        self,
        ids: builtins.list[str],
        graph: dict[str, tuple[str, ...]],
        records: dict[str, Stored],
        objects: dict[str, Any],
    ) -> dict[str, Any]:
        """Make the empty instances of records that refer to each other, and add them to `objects`."""
        shells: dict[str, Any] = {}
        within = set(ids)
        for first in ids:
            path = {first: None}  # each after the one whose constructor needs it
            while path:
                id_ = next(reversed(path))
                if id_ not in shells:
                    known = _Known(self, graph[id_], objects, id_, within)
                    try:
                        objects[id_] = shells[id_] = self._decode(records[id_], known, shell_only=True)
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

    def _target(self, objects: dict[str, Any], id_: str, referrer: str) -> Any:
        try:
            return objects[id_]
        except KeyError:
            if self._placeholders is not None:
                return MissingReference(id_)
            raise DanglingReferenceError(
                f"{referrer} refers to {id_}, which is no longer in the store; "
                f"inspect({referrer!r}) shows what is left of it.",
                id=referrer,
                missing=id_,
            ) from None

    def _bind_loaded(self, obj: Any, stored: Stored, *, live: bool) -> None:
        uuid = self.uuid
        assert uuid is not None
        kind = kind_of(type(obj))
        identity = self._identities.bind(
            obj, kind, uuid, stored.id, stored.revision, stored.checksum, stored.references or (), live=live
        )
        if identity is not None and kind.changes:
            # Its own methods ran while it was loaded, and may have changed it. What it is
            # now counts as unchanged; later this could not be told any more.
            try:
                identity.checksum = original_bytes_if_unchanged(obj, encode(obj)).checksum
                identity.verified = True
            except Exception:  # noqa: BLE001  (it cannot be saved as it is; that is said then)
                identity.checksum = None

    def _decode(
        self, stored: Stored, references: Sequence[Any], *, shell: Any = None, shell_only: bool = False
    ) -> Any:
        """Return the object in a record; errors say which record, and what to do."""
        source = stored if stored.opener is None else stored.opener()
        if stored.checksum is not None and checksum_of(source) != stored.checksum:
            raise corrupt(stored.id, "its checksum does not fit")
        placeholders = self._placeholders
        try:
            finder = finder_for(self.trust, stored.id, source, placeholders)
            if shell_only:
                return make_shell(source, references, finder=finder)
            obj = decode(source, references, shell=shell, finder=finder)
        except StoreError:
            raise
        except (ImportError, AttributeError) as error:
            from gc3store.pickling.explain import explain_missing

            raise explain_missing(self._describe(stored.id), stored.id, stored.open(), error) from error
        except Exception as error:
            raise LoadError(
                f"{stored.id} could not be loaded: {type(error).__name__}: {error}. It is still stored.",
                id=stored.id,
            ) from error
        if placeholders is not None and placeholders.missing and source.persistent is None:
            remember_original(obj, source, references, placeholders.missing)
        return obj


def _first_part(ids: builtins.list[str], records: dict[str, Stored]) -> tuple[Sequence[str], int]:
    """Return the first of `ids` whose objects may be in memory together, and what these weigh."""

    def weight(id_: str) -> int:
        # What is too large for a row is not read yet, and fills a part by itself.
        return records[id_].size or BYTES if id_ in records else 0

    part = next(by_size(ids, weight), ids)
    return part, sum([weight(id_) for id_ in part])


def _reached(
    graph: Mapping[str, Sequence[str]], roots: Iterable[str], there: Mapping[str, Any]
) -> dict[str, None]:
    """Return what is reached from `roots` and is not `there`; from what is there nothing further is."""
    found: dict[str, None] = {}
    todo = builtins.list(roots)
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
        self, store: Loading, ids: Sequence[str], objects: dict[str, Any], referrer: str, circle: set[str]
    ) -> None:
        self._store = store
        self._ids = ids
        self._objects = objects
        self._referrer = referrer
        self._circle = circle

    def __len__(self) -> int:
        return len(self._ids)

    def __getitem__(self, index: Any) -> Any:
        id_ = self._ids[index]
        if id_ not in self._objects and id_ in self._circle:
            raise _NeededFirst(id_)
        return self._store._target(self._objects, id_, self._referrer)
