"""Saving: objects to drafts of records, and objects told which records they are."""

from __future__ import annotations

import builtins
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from gc3store.batches import Batches
from gc3store.environment import current_environment
from gc3store.errors import OptionError, StoreError, UnloadableWarning, UnpicklableError
from gc3store.finding import finder_for
from gc3store.identity import kind_of
from gc3store.ids import check_id, check_prefix
from gc3store.memory import MANY, Rest, many_objects
from gc3store.persistable import Persistable
from gc3store.placeholder import faithful
from gc3store.preview import preview
from gc3store.primitives import Draft, Stored, check_revision, not_found
from gc3store.progress import progress
from gc3store.record import Query
from gc3store.serialization import Encoded, decode, encode
from gc3store.settling import Settling
from gc3store.store import KEEP, _Keep

__all__ = ["Saving"]

_NO_LABELS: dict[str, Any] = {"name": KEEP, "tags": KEEP, "prefix": None, "origin": None}


class Saving(Settling):
    """How objects get into a store."""

    def save(
        self,
        obj: Any,
        *,
        name: str | _Keep | None = KEEP,
        tags: Iterable[str] | _Keep = KEEP,
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
        labels = self._labels(name, tags, prefix, origin)
        with self._saving():
            return self._save([obj], labels)[0][0]

    def save_many(self, objs: Iterable[Any]) -> builtins.list[str]:
        """Save several objects as one step, and return their IDs in the same order.

        In a directory each record is a step of its own.
        """
        ids: list[str] = []
        with self._saving(), self.transaction():
            batches = Batches(progress(objs, "saving"))
            for batch in batches:
                with many_objects(len(batch)):
                    saved, size = self._save(batch, _NO_LABELS)
                ids += saved
                batches.weigh(size)
        return ids

    def replace(
        self,
        id_: str,
        obj: Any,
        *,
        expected: int | None = None,
        name: str | _Keep | None = KEEP,
        tags: Iterable[str] | _Keep = KEEP,
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
        labels = self._labels(name, tags, None, origin)
        if expected is not None and not isinstance(expected, int):
            raise OptionError(f"A revision is a number, not {expected!r:.40}.", option="expected")
        with self._saving():
            self._check_writable()
            if self.uuid is None:
                raise not_found(id_)
            identity = self._identities.identity_of(obj, self.uuid)
            root = Draft(obj, None)
            root.id, root.expected = id_, expected
            taken = identity is None or identity.id == id_
            drafts = self._draft_all([root], {id(obj): root} if taken else {}, labels)
            self._write_and_settle(drafts, [d for d in drafts if d is not root or taken])

    def save_version(
        self,
        obj: Any,
        *,
        name: str,
        tags: Iterable[str] | _Keep = KEEP,
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
        labels = self._labels(name, tags, None, origin)
        with self._saving():
            self._check_writable()
            if kind_of(type(obj)).persistable:
                return self._save([obj], labels)[0][0]
            newest = next(self._catalogue(Query.build({"name": name}, order="-number", limit=1)), None)
            identity = self._identities.identity_of(obj, self.uuid)
            if identity is not None and (
                newest is None or (newest.id, newest.revision) != (identity.id, identity.revision)
            ):
                identity = None
            root = Draft(obj, identity)
            drafts = self._draft_all([root], {id(obj): root}, labels)
            with self._step():
                if newest is not None and (root.revision == 0 or self._holds(newest.id, root)):
                    root.id = newest.id
                    drafts = [draft for draft in drafts if draft is not root]
                    if tags is not KEEP:
                        self._relabel(newest.id, {"tags": labels["tags"]})
                else:
                    root.identity = root.id = root.expected = None
                    root.prefix = kind_of(type(obj)).prefix
                if drafts:
                    self._write_and_settle(drafts, drafts)
            return str(root.id)

    def _holds(self, id_: str, draft: Draft) -> bool:
        record = self._describe(id_)
        return (
            record is not None
            and record.checksum == draft.encoded.checksum.hex()
            and record.references == draft.reference_ids()
        )

    def _labels(
        self,
        name: str | _Keep | None,
        tags: Iterable[str] | _Keep,
        prefix: str | None,
        origin: Mapping[str, Any] | None,
    ) -> dict[str, Any]:
        """Return the catalogue fields that a caller gives, validated."""
        if name is KEEP and tags is KEEP and prefix is None and origin is None:
            return _NO_LABELS
        if not isinstance(name, (str, _Keep)) and name is not None:
            raise OptionError(f"A name is a text, not {type(name).__name__}.")
        if not isinstance(name, _Keep):
            name = _checked_text(name) or None
        if not isinstance(tags, _Keep):
            if isinstance(tags, str):
                raise OptionError(f"Tags are a list of texts: write tags=[{tags!r}].")
            tags = tuple(tags) if isinstance(tags, Iterable) else (tags,)
            if not all(isinstance(tag, str) for tag in tags):
                raise OptionError("Tags are a list of texts.")
            tags = tuple(dict.fromkeys(tags))
            for tag in tags:
                _checked_text(tag)
        if origin is not None:
            try:
                text = json.dumps(dict(origin))
            except (TypeError, ValueError) as error:
                raise OptionError(f"The origin must be something that JSON can write: {error}.") from error
        else:
            text = None
        return {
            "name": name,
            "tags": tags,
            "origin": text,
            "prefix": check_prefix(prefix) if prefix is not None else None,
        }

    def _save(self, objs: builtins.list[Any], labels: dict[str, Any]) -> tuple[builtins.list[str], int]:
        """Save objects as one step; return their IDs, and the bytes of all payloads that were made."""
        self._check_writable()
        uuid = self.uuid
        identity_of = self._identities.identity_of
        roots: builtins.list[Draft] = []
        known: dict[int, Draft] = {}
        for obj in objs:
            draft = known.get(id(obj)) if kind_of(type(obj)).trackable else None
            if draft is None:
                draft = known[id(obj)] = Draft(obj, identity_of(obj, uuid))
            roots.append(draft)
        unique = roots if len(roots) == 1 else builtins.list(dict.fromkeys(roots))
        drafts = self._draft_all(unique, known, labels)
        unchanged = [draft for draft in unique if not draft.revision]
        if not unchanged:
            self._write_and_settle(drafts, drafts)
        else:
            with self._step():
                self._confirm(unchanged, labels)
                if drafts:
                    self._write_and_settle(drafts, drafts)
        for draft in known.values():
            if not draft.revision:  # stored as it is, which is what its owner wanted to be sure of
                self._identities.mark_saved(draft.obj)
        size = sum([draft.encoded.size for draft in known.values()])
        return [draft.id for draft in roots], size  # type: ignore[misc]

    def _draft_all(
        self, roots: builtins.list[Draft], known: dict[int, Draft], labels: dict[str, Any]
    ) -> builtins.list[Draft]:
        """Serialize the graph from `roots` on; return the drafts that must be written.

        Those whose content is unchanged are left out, and get revision 0.
        """
        uuid = self.uuid
        identity_of = self._identities.identity_of
        queue = builtins.list(roots)
        all_new = True
        rest = Rest()
        try:
            for position, draft in enumerate(queue):  # the queue grows while it is walked
                if position == MANY:
                    rest.begin()
                obj = draft.obj
                try:
                    draft.encoded = encoded = faithful(obj, encode(obj))
                except Exception as error:
                    raise self._explained(error, draft, queue) from error
                if encoded.targets:
                    references: list[Draft] = []
                    for target in encoded.targets:
                        other = known.get(id(target))
                        if other is None:
                            # `known` holds each object through its draft, so no ID of one is used again
                            other = known[id(target)] = Draft(target, identity_of(target, uuid))
                            queue.append(other)
                        references.append(other)
                    draft.references = references
                if draft.identity is not None:
                    all_new = False
            changed = queue if all_new else self._changed(queue)
            self._describe_all(changed, set(map(id, roots)), labels)
            if self.columns:
                self._evaluate_columns(changed)
        finally:
            rest.end()
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

    def _describe_all(self, drafts: builtins.list[Draft], given: set[int], labels: dict[str, Any]) -> None:
        """Fill in the catalogue entries; `labels` are for those drafts whose `id` is in `given`."""
        common = {"environment": current_environment(self), "now": time.time_ns() // 1000}
        own = {**common, **labels, "explicit": True}
        others = {**common, **_NO_LABELS, "explicit": False}
        for draft in drafts:
            obj, encoded = draft.obj, draft.encoded
            kind = kind_of(type(obj))
            draft.fields = fields = (own if id(draft) in given else others).copy()
            fields["cls"] = kind.path
            fields["state"] = _state_of(obj)
            fields["size"] = encoded.size
            fields["preview"] = preview(obj) if kind.previewable else None
            fields["plain"] = not (encoded.targets or encoded.cloudpickled)
            if draft.id is None:
                draft.prefix = fields["prefix"] or kind.prefix

    @staticmethod
    def _explained(error: Exception, draft: Draft, queue: builtins.list[Draft]) -> Exception:
        """Return the error for an object that cannot be serialized."""
        if isinstance(error, (StoreError, UnloadableWarning, MemoryError)):
            return error
        from gc3store.diagnosis import find_culprit, path_to

        # The way from a root to this object, backwards: who refers to it first?
        chain = [draft]
        for other in reversed(queue):
            if any(reference is chain[-1] for reference in other.references):
                chain.append(other)
        chain.reverse()
        root = "obj"
        for referrer, referred in pairwise(chain):
            root = path_to(referrer.obj, referred.obj, root)
        path, what = find_culprit(draft.obj, error, root)
        return UnpicklableError(
            f"Cannot save this {type(chain[0].obj).__name__}: {path} {what}; "
            f"leave it out, for instance in __getstate__.",
            path=path,
        )

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

    def _confirm(self, drafts: builtins.list[Draft], labels: dict[str, Any]) -> None:
        """Check that unchanged objects are the newest, and give them their new labels."""
        revisions = self._revisions([str(d.id) for d in drafts])
        for draft in drafts:
            assert draft.identity is not None
            check_revision(str(draft.id), draft.identity.revision, revisions.get(str(draft.id)))
            changes = {k: labels[k] for k in ("name", "tags") if labels[k] is not KEEP}
            self._relabel(str(draft.id), {**changes, "explicit": True})
            self._identities.mark_saved(draft.obj)

    def update(
        self, id_: str, *, name: str | _Keep | None = KEEP, tags: Iterable[str] | _Keep = KEEP
    ) -> None:
        """Change an object's name or tags; neither its content nor its revision.

        Raises
        ------
        ObjectNotFoundError
            If there is no such object.
        """
        id_ = check_id(id_)
        labels = self._labels(name, tags, None, None)
        with self._lock:
            self._check_writable()
            if self.uuid is None:
                raise not_found(id_)
            with self._step():
                changes = {k: labels[k] for k in ("name", "tags") if labels[k] is not KEEP}
                if not self._relabel(id_, changes):
                    raise not_found(id_)

    def __setitem__(self, id_: str, obj: Any) -> None:
        self.replace(id_, obj)


class _StandIn(Persistable):
    """Takes the place of an object that is not at hand while a baseline is computed."""


def _checked_text(text: str | None) -> str | None:
    """Return a label if it can be stored everywhere."""
    if text is not None:
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise OptionError(f"{text!r:.60} has characters that are no text: {error.reason}.") from error
    return text


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
