"""Saving: what a store is asked to keep, and under which labels."""

from __future__ import annotations

import builtins
import json
from collections.abc import Iterable, Mapping
from typing import Any

from gc3store.engine.drafting import NO_LABELS, Drafting
from gc3store.engine.identity import kind_of
from gc3store.engine.primitives import Draft, check_revision, not_found
from gc3store.errors import OptionError
from gc3store.ids import check_id, check_prefix
from gc3store.query import Query
from gc3store.store import KEEP, _Keep
from gc3store.support.memory import Rest, many_objects
from gc3store.support.progress import Progress, length_of

__all__ = ["Saving"]


class Saving(Drafting):
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
            return self._save(obj, labels)

    def save_many(self, objs: Iterable[Any]) -> builtins.list[str]:
        """Save several objects as one step, and return their IDs in the same order.

        They may come from a generator, and be more than memory holds: they are written in batches of 16 MiB
        of payloads, of 1000 objects or of what came within a second. What is given again, or reached again,
        within a batch is saved as it is at the end of that. In a directory each record is a step of its own.
        """
        ids: list[str] = []
        running = not isinstance(objs, (builtins.list, tuple))
        count = length_of(objs)
        source = iter(objs)
        with (
            self._saving(),
            self.transaction(),
            many_objects(0 if running else count or 0),
            Progress("saving", total=count) as bar,
        ):
            while saved := self._save_batch(source, running=running):
                ids += saved
                bar.done(len(saved))
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
                return self._save(obj, labels)
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
            return NO_LABELS
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

    def _save(self, obj: Any, labels: dict[str, Any]) -> str:
        """Save an object as one step, and return its ID."""
        self._check_writable()
        root = Draft(obj, self._identities.identity_of(obj, self.uuid))
        queue = [root]
        rest = Rest()
        try:
            self._serialize(queue, {id(obj): root}, rest)
            self._save_drafts(queue, [root], labels)
        finally:
            rest.end()
        return root.id  # type: ignore[return-value]

    def _save_batch(self, objs: Iterable[Any], *, running: bool) -> builtins.list[str]:
        """Save as many objects as may be in memory together as one step, and return their IDs."""
        self._check_writable()
        roots: builtins.list[Draft] = []
        rest = Rest()
        try:
            queue = self._take_in(objs, roots, rest, running=running)
            if roots:
                self._save_drafts(queue, roots, NO_LABELS)
        finally:
            rest.end()
        return [draft.id for draft in roots]  # type: ignore[misc]

    def _save_drafts(
        self, queue: builtins.list[Draft], roots: builtins.list[Draft], labels: dict[str, Any]
    ) -> None:
        """Write what has changed of a graph that was serialized."""
        drafts = self._to_write(queue, roots, labels)
        if len(drafts) == len(queue):
            self._write_and_settle(drafts, drafts)
            return
        unchanged = [draft for draft in dict.fromkeys(roots) if not draft.revision]
        if not unchanged:
            self._write_and_settle(drafts, drafts)
        else:
            with self._step():
                self._check_newest(unchanged)
                if drafts:
                    self._write_and_settle(drafts, drafts)
                self._confirm(unchanged, labels)
        for draft in queue:
            if draft.kind.marked and not draft.revision:  # stored as its owner wanted to be sure that it is
                self._identities.mark_saved(draft.obj)

    def _check_newest(self, drafts: builtins.list[Draft]) -> None:
        """Check that unchanged objects are as they are stored."""
        revisions = self._revisions([str(d.id) for d in drafts])
        for draft in drafts:
            assert draft.identity is not None
            check_revision(str(draft.id), draft.identity.revision, revisions.get(str(draft.id)))

    def _confirm(self, drafts: builtins.list[Draft], labels: dict[str, Any]) -> None:
        """Give unchanged objects their new labels."""
        changes = {k: labels[k] for k in ("name", "tags") if labels[k] is not KEEP}
        for draft in drafts:
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


def _checked_text(text: str | None) -> str | None:
    """Return a label if it can be stored everywhere."""
    if text is not None:
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise OptionError(f"{text!r:.60} has characters that are no text: {error.reason}.") from error
    return text
