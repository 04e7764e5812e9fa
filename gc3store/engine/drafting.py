"""Objects to drafts of records: what a save writes, and what it leaves as it is."""

from __future__ import annotations

import builtins
import time
from collections.abc import Iterable, Sequence
from typing import Any

from gc3store.engine.primitives import Draft, Stored
from gc3store.engine.settling import Settling
from gc3store.errors import StoreError, UnloadableWarning
from gc3store.persistable import Persistable
from gc3store.pickling import Encoded, decode, encode, give_back, take_encoder
from gc3store.pickling.explain import explain_unpicklable
from gc3store.pickling.finder import finder_for
from gc3store.pickling.placeholders import original_bytes_if_unchanged
from gc3store.store import KEEP
from gc3store.support.batching import BYTES, MOST
from gc3store.support.memory import MANY, Rest
from gc3store.support.preview import preview
from gc3store.support.provenance import current_environment

__all__ = ["NO_LABELS", "Drafting"]

#: After how many seconds the objects of a batch that were taken by then are saved.
PATIENCE = 1.0

NO_LABELS: dict[str, Any] = {"name": KEEP, "tags": KEEP, "prefix": None, "origin": None}


class Drafting(Settling):
    """How a graph of objects becomes drafts."""

    def _draft_all(
        self, roots: builtins.list[Draft], known: dict[int, Draft], labels: dict[str, Any]
    ) -> builtins.list[Draft]:
        """Serialize the graph from `roots` on; return the drafts that must be written."""
        queue = builtins.list(roots)
        rest = Rest()
        try:
            self._serialize(queue, known, rest)
            return self._to_write(queue, roots, labels)
        finally:
            rest.end()

    def _take_in(
        self,
        objs: Iterable[Any],
        roots: builtins.list[Draft],
        rest: Rest,
        *,
        running: bool,
    ) -> builtins.list[Draft]:
        """Serialize as many of `objs` as may be in memory together; return the drafts of all that they reach.

        Parameters
        ----------
        objs : iterable
            The objects.
        roots : list of Draft
            Filled with the drafts of those that were taken, in order.
        rest : Rest
            Begun if there are many.
        running : bool
            Whether other code runs between two of `objs`. It may change what was serialized before.
        """
        uuid = self.uuid
        identity_of = self._identities.identity_of
        queue: builtins.list[Draft] = []
        known: dict[int, Draft] = {}
        before = _Before(self._identities.changes) if running else None
        late = time.monotonic() + PATIENCE
        start = size = 0
        for obj in objs:
            draft = known.get(id(obj))
            if draft is None or not draft.kind.trackable:
                draft = known[id(obj)] = Draft(obj, identity_of(obj, uuid))
                queue.append(draft)
            elif before is not None:
                before.again[draft] = None
            roots.append(draft)
            size += self._serialize(queue, known, rest, start, before)
            if before is not None:
                before.drafts.update(queue[start:])
                rest.end()  # not while other code runs
            start = len(queue)
            if size >= BYTES or len(roots) >= MOST or time.monotonic() >= late:
                break
        if before is not None:
            self._catch_up(before, queue, known, rest)
        first = dict.fromkeys(roots)
        if len(queue) == len(first):
            return queue
        return [*first, *[draft for draft in queue if draft not in first]]

    def _serialize(
        self,
        queue: builtins.list[Draft],
        known: dict[int, Draft],
        rest: Rest,
        start: int = 0,
        before: _Before | None = None,
    ) -> int:
        """Serialize the drafts of a queue from a position on; return the bytes of their payloads.

        What they reach and is not `known` is added to the queue.
        """
        size = 0
        position = start
        encoder = take_encoder()
        encode = encoder.encode
        while position < len(queue):  # the queue grows while it is walked
            draft = queue[position]
            position += 1
            if position == MANY:
                rest.begin()
            try:
                draft.encoded = encoded = original_bytes_if_unchanged(draft.obj, encode(draft.obj))
            except Exception as error:
                raise self._explained(error, draft, queue) from error
            size += encoded.size
            if encoded.targets:
                self._refer(draft, queue, known, before)
            elif draft.references:
                draft.references = ()
        give_back(encoder)
        return size

    def _refer(
        self,
        draft: Draft,
        queue: builtins.list[Draft],
        known: dict[int, Draft],
        before: _Before | None,
    ) -> None:
        """Fill in what a draft refers to; see `_serialize`."""
        uuid = self.uuid
        identity_of = self._identities.identity_of
        references: builtins.list[Draft] = []
        for target in draft.encoded.targets:
            other = known.get(id(target))
            if other is None:
                # `known` holds each object through its draft, so no ID of one is used again
                other = known[id(target)] = Draft(target, identity_of(target, uuid))
                queue.append(other)
            elif before is not None and other in before.drafts:
                before.again[other] = None
            references.append(other)
        draft.references = references

    def _catch_up(
        self, before: _Before, queue: builtins.list[Draft], known: dict[int, Draft], rest: Rest
    ) -> None:
        """Bring drafts of a queue up to date, after other code ran: what it saved, and what it may have changed."""
        if len(queue) >= MANY:
            rest.begin()
        if self._identities.changes != before.changes:  # something was saved meanwhile
            uuid = self.uuid
            for draft in queue:
                identity = self._identities.identity_of(draft.obj, uuid)
                revision = None if identity is None else identity.revision
                if identity is not draft.identity or revision != draft.expected:
                    draft.identify(identity)
                    before.again[draft] = None
        while before.again:
            part = [*before.again]
            found = set(part)
            for draft in part:  # grows while it is walked
                further = [other for other in draft.references if other not in found]
                found.update(further)  # type: ignore[arg-type]
                part += dict.fromkeys(further)  # type: ignore[arg-type]
            before.drafts -= found
            before.again = {}
            count = len(part)
            self._serialize(part, known, rest, 0, before)
            queue += part[count:]

    def _to_write(
        self, queue: builtins.list[Draft], roots: Sequence[Draft], labels: dict[str, Any]
    ) -> builtins.list[Draft]:
        """Return the serialized drafts that must be written, with their catalogue entries.

        Those whose content is unchanged are left out, and get revision 0.
        """
        changed = queue
        for draft in queue:
            if draft.identity is not None:
                changed = self._changed(queue)
                break
        self._describe_all(changed, set(roots), labels)
        if self._user_columns:
            self._evaluate_columns(changed)
        return changed

    def _changed(self, drafts: builtins.list[Draft]) -> builtins.list[Draft]:
        """Return those that differ from what is stored; the others get revision 0."""
        self._verify_baselines(drafts)
        changed = []
        for draft in drafts:
            if self._is_unchanged(draft):
                draft.revision = 0
            else:
                changed.append(draft)
        return changed

    def _describe_all(self, drafts: builtins.list[Draft], given: set[Draft], labels: dict[str, Any]) -> None:
        """Fill in the catalogue entries; `labels` are for those drafts that were `given` to be saved."""
        environment, now = current_environment(self), time.time_ns() // 1000
        prefix = labels["prefix"]
        for draft in drafts:
            obj, encoded, kind = draft.obj, draft.encoded, draft.kind
            is_given = draft in given
            draft.fields = fields = labels.copy() if is_given else NO_LABELS.copy()
            fields["explicit"] = is_given
            fields["environment"] = environment
            fields["now"] = now
            fields["cls"] = kind.path
            fields["state"] = _state_of(obj)
            fields["size"] = encoded.size
            fields["preview"] = preview(obj) if kind.previewable else None
            fields["plain"] = not (encoded.targets or encoded.cloudpickled)
            if draft.id is None:
                draft.prefix = prefix if is_given and prefix else kind.prefix

    @staticmethod
    def _explained(error: Exception, draft: Draft, queue: builtins.list[Draft]) -> Exception:
        """Return the error for an object that cannot be serialized."""
        if isinstance(error, (StoreError, UnloadableWarning, MemoryError)):
            return error
        # The way from a root to this object, backwards: who refers to it first?
        chain = [draft]
        for other in reversed(queue):
            if any(reference is chain[-1] for reference in other.references):
                chain.append(other)
        return explain_unpicklable([other.obj for other in reversed(chain)], error)

    def _is_unchanged(self, draft: Draft) -> bool:
        identity = draft.identity
        if identity is None or identity.checksum is None:
            return False
        return identity.checksum == draft.encoded.checksum and identity.references == draft.reference_ids()

    def _verify_baselines(self, drafts: builtins.list[Draft]) -> None:
        """Find out what loaded objects that seem changed would serialize to unchanged.

        Loading can change the bytes an object serializes to (sets, shared strings), and
        this must not look like a change of its own. The stored payload is loaded
        once more, into objects that nobody else sees, and serialized again.
        """
        doubtful = {
            d.identity.id: d
            for d in drafts
            if d.identity is not None
            and d.identity.checksum is not None
            and not d.identity.verified
            and not self._is_unchanged(d)
        }
        if not doubtful:
            return
        for stored in self._read(builtins.list(doubtful)):
            draft = doubtful[stored.id]
            identity = draft.identity
            assert identity is not None
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

    def _recode(self, stored: Stored, stand_ins: Sequence[Any]) -> Encoded:
        """Return the payload that a stored object has after it was loaded."""
        source = stored.open()
        finder = finder_for(self.trust, stored.id, source, None)
        return encode(decode(source, stand_ins, finder=finder))

    def _stand_in(self, id_: str) -> Any:
        obj, _ = self._identities.live(id_)
        return obj if obj is not None else _StandIn()


class _Before:
    """The drafts that were serialized before other code ran, and those that were met `again` after it did.

    And how many changes there had been of which object is which record.
    """

    __slots__ = ("again", "changes", "drafts")

    def __init__(self, changes: int) -> None:
        self.changes = changes
        self.drafts: set[Draft] = set()
        self.again: dict[Draft, None] = {}


class _StandIn(Persistable):
    """Takes the place of an object that is not at hand while a baseline is computed."""


def _state_of(obj: Any) -> str | None:
    """Return the state of a job: ``obj.execution.state``, or ``obj.state``, if it is a text."""
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
