"""Objects to pending records: what a save writes, and what it leaves as it is."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

from gc3store.backend import Backend, Changes, PendingRecord, StoredRecord, check_revision, not_found
from gc3store.columns import Failures, UserColumns
from gc3store.engine.identity import KINDS, IdentityMap
from gc3store.engine.labels import NO_LABELS, Labels
from gc3store.engine.transaction import Transaction
from gc3store.errors import NotSupportedError, StoreError, UnloadableWarning
from gc3store.persistable import Persistable
from gc3store.pickling import Encoded, decode, encode, give_back, placeholders, take_encoder
from gc3store.pickling.explain import explain_unpicklable
from gc3store.pickling.finder import finder_for
from gc3store.pickling.placeholders import original_bytes_if_unchanged
from gc3store.pickling.trust import Trust
from gc3store.query import Query
from gc3store.store import KEEP
from gc3store.support.batching import MAX_BYTES, MAX_COUNT
from gc3store.support.memory import GC_PAUSE_MIN, GCPause
from gc3store.support.preview import preview
from gc3store.support.provenance import current_environment

__all__ = ["GraphWriter"]

#: After how many seconds the objects of a batch that were taken by then are saved.
PATIENCE = 1.0


class GraphWriter:
    """Writes objects, and every changed Persistable that they reach.

    Called with the store's lock held.

    Parameters
    ----------
    backend : Backend
        Where records are kept.
    transaction : Transaction
        How they are written.
    identities : IdentityMap
        The live objects of the store.
    columns : UserColumns
        The user columns of the store.
    trust : Trust
        What may be imported when a stored payload is compared with an object.
    """

    def __init__(
        self,
        backend: Backend,
        transaction: Transaction,
        identities: IdentityMap,
        columns: UserColumns,
        trust: Trust,
    ) -> None:
        self._backend = backend
        self._transaction = transaction
        self._identities = identities
        self._columns = columns
        self._trust = trust

    def save(self, obj: Any, labels: Labels, failures: Failures | None) -> str:
        """Save an object in one transaction, and return its ID."""
        if labels is not NO_LABELS or not self._backend.is_writable or self._transaction.has_doubts:
            self._check(labels)
        root = self._pending(obj)
        try:
            root.encoded = encoded = encode(obj)
            if placeholders.met:
                root.encoded = encoded = original_bytes_if_unchanged(obj, encoded)
        except Exception as error:
            raise _explained(error, root, [root]) from error
        if not encoded.targets and root.identity is None:
            # A single new record, as most are: the same as below, without what is there for graphs.
            _fill_entry(root, labels, current_environment(self._backend), time.time_ns() // 1000)
            if self._columns.are_there:
                self._evaluate_columns([root], failures or Failures())
            single = (root,)
            self._transaction.write(single, single)
            return root.id  # type: ignore[return-value]
        queue = [root]
        known = {id(obj): root}
        pause = GCPause()
        try:
            if encoded.targets:
                self._refer(root, queue, known, None)
            self._serialize(queue, known, pause, 1)
            self._write(queue, [root], labels, failures)
        finally:
            pause.end()
        return root.id  # type: ignore[return-value]

    def save_batch(self, objs: Iterable[Any], failures: Failures | None, *, running: bool) -> list[str]:
        """Save as many objects as may be in memory together, and return their IDs.

        Parameters
        ----------
        objs : iterable
            The objects.
        failures : Failures or None
            Takes note of columns that cannot be evaluated.
        running : bool
            Whether other code runs between two of `objs`. It may change what was serialized before.
        """
        self._check(NO_LABELS)
        roots: list[PendingRecord] = []
        pause = GCPause()
        try:
            queue = self._take_in(objs, roots, pause, running=running)
            if roots:
                self._write(queue, roots, NO_LABELS, failures)
        finally:
            pause.end()
        return [record.id for record in roots]  # type: ignore[misc]

    def replace(
        self, id_: str, obj: Any, expected: int | None, labels: Labels, failures: Failures | None
    ) -> None:
        """Let the record `id_` hold a copy of `obj`."""
        self._check(labels)
        if self._transaction.locate() is None:
            raise not_found(id_)
        identity = self._identities.identity_of(obj)
        root = self._pending(obj, known=False)
        root.mode, root.id, root.expected = "changed", id_, expected
        taken = identity is None or identity.id == id_
        records = self._serialized([root], {id(obj): root} if taken else {}, labels, failures)
        self._transaction.write(records, [record for record in records if record is not root or taken])

    def save_version(self, obj: Any, labels: Labels, failures: Failures | None) -> str:
        """Save an object as the newest version under a name, unless the newest has just its content."""
        self._check(labels)
        if KINDS[type(obj)].persistable:
            return self.save(obj, labels, failures)
        self._transaction.locate()
        newest = next(
            iter(self._backend.entries(Query.build({"name": labels.name}, order="-number", limit=1))), None
        )
        root = self._pending(obj)
        identity = root.identity
        if identity is not None and (
            newest is None or (newest.id, newest.revision) != (identity.id, identity.revision)
        ):
            root = self._pending(obj, known=False)
        records = self._serialized([root], {id(obj): root}, labels, failures)
        with self._transaction.run():
            if newest is not None and (root.revision == 0 or self._holds(newest.id, root)):
                root.id = newest.id
                records = [record for record in records if record is not root]
                if labels.tags is not KEEP:
                    self._backend.update({newest.id: Changes({"tags": labels.tags})})
            else:
                root.mode, root.identity, root.id, root.expected = "new", None, None, None
                root.prefix = root.kind.prefix
            if records:
                self._transaction.write(records, records)
        return str(root.id)

    def update(self, id_: str, labels: Labels) -> None:
        """Change an object's name or tags."""
        self._check(labels)
        if self._transaction.locate() is None:
            raise not_found(id_)
        with self._transaction.run():
            if id_ not in self._backend.update({id_: Changes(labels.changes())}):
                raise not_found(id_)

    def _check(self, labels: Labels) -> None:
        if not self._backend.is_writable or self._transaction.has_doubts:
            self._transaction.check_writable()
        if labels is not NO_LABELS and "labels" not in self._backend.supports:
            if labels.origin or (labels.name and labels.name is not KEEP):
                raise self._without_labels()
            if labels.tags and labels.tags is not KEEP:
                raise self._without_labels()

    def _without_labels(self) -> NotSupportedError:
        return NotSupportedError(
            f"{self._backend.url} has no place for names, tags and origins; copy its objects to a store that has "
            f"one, in order to label them."
        )

    def _pending(self, obj: Any, *, known: bool = True) -> PendingRecord:
        """Return the record of an object that is to be saved: a new one, if the object is not `known`."""
        record = PendingRecord(obj)
        record.kind = KINDS[type(obj)]
        if self._identities.store is None:
            self._transaction.locate()
        identity = self._identities.identity_of(obj) if known else None
        if identity is not None:
            self._identify(record, identity)
        return record

    @staticmethod
    def _identify(record: PendingRecord, identity: Any) -> None:
        """Say which record an object is, in the revision that it has now."""
        record.identity = identity
        if identity is None:
            record.mode, record.id, record.expected = "new", None, None
        else:
            record.mode, record.id, record.expected = "changed", identity.id, identity.revision

    def _holds(self, id_: str, record: PendingRecord) -> bool:
        stored = self._backend.entry(id_)
        return (
            stored is not None
            and stored.checksum == record.encoded.checksum.hex()
            and tuple(stored.references) == record.reference_ids()
        )

    # From objects to payloads.

    def _serialized(
        self,
        roots: list[PendingRecord],
        known: dict[int, PendingRecord],
        labels: Labels,
        failures: Failures | None,
    ) -> list[PendingRecord]:
        """Serialize the graph from `roots` on; return the records that must be written."""
        queue = list(roots)
        pause = GCPause()
        try:
            self._serialize(queue, known, pause)
            return self._to_write(queue, roots, labels, failures)
        finally:
            pause.end()

    def _take_in(
        self,
        objs: Iterable[Any],
        roots: list[PendingRecord],
        pause: GCPause,
        *,
        running: bool,
    ) -> list[PendingRecord]:
        """Serialize as many of `objs` as may be in memory together; return the records of all that they reach.

        Parameters
        ----------
        objs : iterable
            The objects.
        roots : list of PendingRecord
            Filled with the records of those that were taken, in order.
        pause : GCPause
            Begun if there are many.
        running : bool
            Whether other code runs between two of `objs`. It may change what was serialized before.
        """
        queue: list[PendingRecord] = []
        known: dict[int, PendingRecord] = {}
        before = _Before(self._identities.changes) if running else None
        late = time.monotonic() + PATIENCE
        start = size = 0
        for obj in objs:
            record = known.get(id(obj))
            if record is None or not record.kind.trackable:
                record = known[id(obj)] = self._pending(obj)
                queue.append(record)
            elif before is not None:
                before.again[record] = None
            roots.append(record)
            size += self._serialize(queue, known, pause, start, before)
            if before is not None:
                before.records.update(queue[start:])
                pause.end()  # not while other code runs
            start = len(queue)
            if size >= MAX_BYTES or len(roots) >= MAX_COUNT or time.monotonic() >= late:
                break
        if before is not None:
            self._catch_up(before, queue, known, pause)
        first = dict.fromkeys(roots)
        if len(queue) == len(first):
            return queue
        return [*first, *[record for record in queue if record not in first]]

    def _serialize(
        self,
        queue: list[PendingRecord],
        known: dict[int, PendingRecord],
        pause: GCPause,
        start: int = 0,
        before: _Before | None = None,
    ) -> int:
        """Serialize the objects of a queue from a position on; return the bytes of their payloads.

        What they reach and is not `known` is added to the queue.
        """
        size = 0
        position = start
        encoder = take_encoder()
        encode = encoder.encode
        while position < len(queue):  # the queue grows while it is walked
            record = queue[position]
            position += 1
            if position == GC_PAUSE_MIN:
                pause.begin()
            try:
                record.encoded = encoded = encode(record.obj)
                if placeholders.met:
                    record.encoded = encoded = original_bytes_if_unchanged(record.obj, encoded)
            except Exception as error:
                raise _explained(error, record, queue) from error
            size += encoded.size
            if encoded.targets:
                self._refer(record, queue, known, before)
            elif record.references:
                record.references = ()
        give_back(encoder)
        return size

    def _refer(
        self,
        record: PendingRecord,
        queue: list[PendingRecord],
        known: dict[int, PendingRecord],
        before: _Before | None,
    ) -> None:
        """Fill in what a record refers to; see `_serialize`."""
        references: list[PendingRecord] = []
        for target in record.encoded.targets:
            other = known.get(id(target))
            if other is None:
                # `known` holds each object through its record, so no ID of one is used again
                other = known[id(target)] = self._pending(target)
                queue.append(other)
            elif before is not None and other in before.records:
                before.again[other] = None
            references.append(other)
        record.references = references

    def _catch_up(
        self, before: _Before, queue: list[PendingRecord], known: dict[int, PendingRecord], pause: GCPause
    ) -> None:
        """Re-serialize objects of a queue that user code may have changed, and note what it saved."""
        if len(queue) >= GC_PAUSE_MIN:
            pause.begin()
        if self._identities.changes != before.changes:  # something was saved meanwhile
            for record in queue:
                identity = self._identities.identity_of(record.obj)
                revision = None if identity is None else identity.revision
                if identity is not record.identity or revision != record.expected:
                    self._identify(record, identity)
                    before.again[record] = None
        while before.again:
            part = [*before.again]
            found = set(part)
            for record in part:  # grows while it is walked
                further = [other for other in record.references if other not in found]
                found.update(further)  # type: ignore[arg-type]
                part += dict.fromkeys(further)  # type: ignore[arg-type]
            before.records -= found
            before.again = {}
            count = len(part)
            self._serialize(part, known, pause, 0, before)
            queue += part[count:]

    # From payloads to the records that are written.

    def _write(
        self,
        queue: list[PendingRecord],
        roots: list[PendingRecord],
        labels: Labels,
        failures: Failures | None,
    ) -> None:
        """Write what has changed of a graph that was serialized."""
        records = self._to_write(queue, roots, labels, failures)
        if len(records) == len(queue):
            self._transaction.write(records, records)
            return
        unchanged = [record for record in dict.fromkeys(roots) if not record.revision]
        if not unchanged:
            self._transaction.write(records, records)
        else:
            with self._transaction.run():
                self._check_newest(unchanged)
                if records:
                    self._transaction.write(records, records)
                self._confirm(unchanged, labels)
        for record in queue:
            if record.kind.marked and not record.revision:  # stored as its owner wanted to be sure that it is
                self._identities.mark_saved(record.obj)

    def _check_newest(self, records: list[PendingRecord]) -> None:
        """Check that unchanged objects are as they are stored."""
        revisions = self._backend.revisions([str(record.id) for record in records])
        for record in records:
            check_revision(str(record.id), record.identity.revision, revisions.get(str(record.id)))

    def _confirm(self, records: list[PendingRecord], labels: Labels) -> None:
        """Give unchanged objects their new labels."""
        changes = Changes({**labels.changes(), "is_root": True})
        self._backend.update({str(record.id): changes for record in records})
        for record in records:
            self._identities.mark_saved(record.obj)

    def _to_write(
        self,
        queue: list[PendingRecord],
        roots: Sequence[PendingRecord],
        labels: Labels,
        failures: Failures | None,
    ) -> list[PendingRecord]:
        """Return the serialized records that must be written, with their catalogue entries.

        Those whose content is unchanged are left out, and get revision 0.
        """
        changed = queue
        for record in queue:
            if record.identity is not None:
                changed = self._changed(queue)
                break
        self._fill_entries(changed, set(roots), labels)
        if self._columns.are_there:
            self._evaluate_columns(changed, failures or Failures())
        return changed

    def _changed(self, records: list[PendingRecord]) -> list[PendingRecord]:
        """Return those that differ from what is stored; the others get revision 0."""
        self._verify_baselines(records)
        changed = []
        for record in records:
            if _is_unchanged(record):
                record.revision = 0
            else:
                changed.append(record)
        return changed

    def _fill_entries(self, records: list[PendingRecord], roots: set[PendingRecord], labels: Labels) -> None:
        """Fill in the catalogue entries; `labels` are for the `roots`, which were given to be saved."""
        environment, now = current_environment(self._backend), time.time_ns() // 1000
        for record in records:
            if record in roots:
                _fill_entry(record, labels, environment, now)
            else:
                _fill_entry(record, NO_LABELS, environment, now, is_root=False)

    def _evaluate_columns(self, records: Iterable[PendingRecord], failures: Failures) -> None:
        """Add the values of user columns to what is about to be written."""
        failures.unfilled += self._columns.unfilled()
        for record in records:
            record.entry["columns"] = self._columns.values_of(record.obj, failures, record)

    # Whether an object has changed.

    def _verify_baselines(self, records: list[PendingRecord]) -> None:
        """Find out what loaded objects that seem changed would serialize to unchanged.

        Loading can change the bytes an object serializes to (sets, shared strings), and
        this must not look like a change of its own. The stored payload is loaded
        once more, into objects that are used for nothing else, and serialized again.
        """
        doubtful = {
            record.identity.id: record
            for record in records
            if record.identity is not None
            and record.identity.checksum is not None
            and not record.identity.verified
            and not _is_unchanged(record)
        }
        if not doubtful:
            return
        for stored in self._backend.read(list(doubtful)):
            identity = doubtful[stored.id].identity
            if stored.revision != identity.revision:
                continue
            stand_ins = [self._stand_in(id_) for id_ in identity.references]
            try:
                encoded = self._recode(stored, stand_ins)
            except Exception:  # noqa: BLE001  (then it is written again, which is allowed)
                continue
            again = {id(stand_in): id_ for stand_in, id_ in zip(stand_ins, identity.references, strict=True)}
            if tuple(again.get(id(target)) for target in encoded.targets) == identity.references:
                identity.checksum = encoded.checksum
                identity.verified = True

    def _recode(self, stored: StoredRecord, stand_ins: Sequence[Any]) -> Encoded:
        """Return the payload that a stored object has after it was loaded."""
        source = stored.open()
        finder = finder_for(self._trust, stored.id, source, None)
        return encode(decode(source, stand_ins, finder=finder))

    def _stand_in(self, id_: str) -> Any:
        obj, _ = self._identities.live(id_)
        return obj if obj is not None else _StandIn()


def _fill_entry(
    record: PendingRecord, labels: Labels, environment: str, now: int, *, is_root: bool = True
) -> None:
    """Fill in the catalogue entry of a record: here the values of its fields are made."""
    obj, encoded, kind = record.obj, record.encoded, record.kind
    record.entry = {
        "name": labels.name,
        "tags": labels.tags,
        "origin": labels.origin,
        "is_root": is_root,
        "environment": environment,
        "modified": now,
        "cls": kind.path,
        "state": _state_of(obj),
        "size": encoded.size,
        "preview": preview(obj) if kind.previewable else None,
        "plain": not (encoded.targets or encoded.cloudpickled),
    }
    if record.id is None:
        record.prefix = labels.prefix or kind.prefix


def _is_unchanged(record: PendingRecord) -> bool:
    identity = record.identity
    if identity is None or identity.checksum is None:
        return False
    return bool(
        identity.checksum == record.encoded.checksum and identity.references == record.reference_ids()
    )


def _explained(error: Exception, record: PendingRecord, queue: list[PendingRecord]) -> Exception:
    """Return the error for an object that cannot be serialized."""
    if isinstance(error, (StoreError, UnloadableWarning, MemoryError)):
        return error
    # The way from a root to this object, backwards: what refers to it first?
    chain = [record]
    for other in reversed(queue):
        if any(reference is chain[-1] for reference in other.references):
            chain.append(other)
    return explain_unpicklable([other.obj for other in reversed(chain)], error)


class _Before:
    """The records that were serialized before other code ran, and those that were met `again` after it did.

    And how many changes there had been of which object is which record.
    """

    __slots__ = ("again", "changes", "records")

    def __init__(self, changes: int) -> None:
        self.changes = changes
        self.records: set[PendingRecord] = set()
        self.again: dict[PendingRecord, None] = {}


class _StandIn(Persistable):
    """Takes the place of an object that is not at hand while a baseline is computed."""


def _state_of(obj: Any) -> str | None:
    """Return the state of a job: ``obj.execution.state``, or ``obj.state``, if it is a string."""
    attributes = getattr(obj, "__dict__", None)
    if type(attributes) is not dict:
        return None
    execution = attributes.get("execution")
    if execution is not None:
        inner = getattr(execution, "__dict__", None)
        if isinstance(inner, dict):
            state = inner.get("state", inner.get("_state"))
            if isinstance(state, str):
                return _as_text(state)
    state = attributes.get("state")
    return _as_text(state) if isinstance(state, str) else None


def _as_text(state: str) -> str:
    if type(state) is str and state.isascii():
        return state
    return str.__str__(state).encode("utf-8", "backslashreplace").decode()
