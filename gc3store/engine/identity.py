"""Which live objects are which records of one store."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import Any, NamedTuple

from gc3store.ids import prefix_for
from gc3store.persistable import IDENTITY, CarriedIdentity, Identity, Persistable
from gc3store.pickling import accepts_id, inherits, is_persistable, tag_class
from gc3store.support.preview import has_preview

__all__ = ["KINDS", "IdentityMap", "Kind", "kind_of"]


class Kind(NamedTuple):
    """What a class means to a store.

    Attributes
    ----------
    persistable : bool
        Whether its instances are records of their own wherever they occur.
    takes_id : bool
        Whether instances are told their ID in instance attributes.
    trackable : bool
        Whether an instance can be recognized when it is saved again.
    previewable : bool
        Whether instances may have a preview.
    path : str
        The class as ``module.Class``.
    prefix : str
        What IDs of instances begin with.
    changes : bool
        Whether methods of the class run while an instance is unpickled, and may change it.
    marked : bool
        Whether an instance says by its attribute ``changed``, as in GC3Pie, that it must be saved.
    tagged : bool
        Whether some instance was told its ID.
    """

    persistable: bool
    takes_id: bool
    trackable: bool
    previewable: bool
    path: str
    prefix: str
    changes: bool
    marked: bool
    tagged: bool = False


class _Kinds(dict[type, Kind]):
    """What classes mean to a store, worked out when first asked for."""

    def __missing__(self, cls: type) -> Kind:
        persistable = is_persistable(cls)
        own = issubclass(cls, Persistable)
        kind = Kind(
            persistable,
            not own and (persistable or accepts_id(cls)),
            cls.__weakrefoffset__ != 0,
            has_preview(cls),
            f"{cls.__module__}.{cls.__qualname__}",
            prefix_for(cls),
            persistable and (hasattr(cls, "__setstate__") or not inherits(cls, "__reduce_ex__", object)),
            persistable and not own,
        )
        if len(self) > 1000:  # classes made again and again must not pile up here
            self.clear()
        self[cls] = kind
        return kind


#: What each class means to a store.
KINDS = _Kinds()


def kind_of(cls: type) -> Kind:
    """Return what class `cls` means to a store."""
    return KINDS[cls]


class IdentityMap:
    """The live objects of one store, by record and by object; both weakly.

    What is left of objects that are gone is swept away now and then: a weak reference that
    calls back costs more than all the rest that is done for an object.

    Changes can be undone as long as `begin` is not followed by `commit`, so that a
    failed batch leaves no object with an ID that does not exist. Not safe for
    concurrent changes: the store holds its lock.
    """

    def __init__(self) -> None:
        #: UUID of the store; `None` as long as there is none.
        self.store: str | None = None
        self._by_object: dict[int, Identity] = {}
        #: By the ID of a Persistable's record, the identity of its last live instance.
        self.by_id: dict[str, Identity] = {}
        self._others: dict[str, list[Identity]] = {}
        #: Which records may have a live instance that refers to one; `None` until it is asked.
        self._referrers: dict[str, set[str]] | None = None
        #: Functions with the arguments that undo a change. None of these keeps an object alive that
        #: can be referred to weakly: a long transaction must not pile up all that passed through it.
        self._undo: list[tuple[Any, ...]] | None = None
        self._undoing: list[tuple[Any, ...]] = []  # what is left of them, last first
        #: Counts what was noted: as long as it stays the same, all is as it was.
        self.changes = 0
        self._room = _ROOM  # for how many more before it is swept

    def live(self, id_: str) -> Any:
        """Return the live instance of a Persistable's record and its identity, or `None` twice."""
        identity = self.by_id.get(id_)
        if identity is not None:
            obj = identity()
            if obj is not None:
                return obj, identity
        return None, None

    def latest_known(self, id_: str) -> Identity | None:
        """Return the identity of the last live instance of a Persistable's record, as far as it is known.

        The instance may be gone; that is forgotten only where no live one has a record that reaches this one.
        """
        return self.by_id.get(id_)

    def identity_of(self, obj: Any) -> Identity | None:
        """Return which record `obj` is in the store, `None` if it is new there."""
        store = self.store
        if store is None:
            return None
        kind = KINDS[type(obj)]
        if not kind.trackable:
            return None
        if kind.persistable:
            carried = obj.__dict__.get(IDENTITY)
            if carried is not None and carried.store == store and carried.is_of(obj):
                if type(carried) is Identity:
                    return carried
                # Not live: what is live here may be newer. It will be when it is saved.
                return self.bind(obj, kind, carried.id, carried.revision, None, (), live=False)
        tracked = self._by_object.get(id(obj))
        return tracked if tracked is not None and tracked() is obj else None

    def bind(
        self,
        obj: Any,
        kind: Kind,
        id_: str,
        revision: int,
        checksum: bytes | None,
        references: tuple[str, ...],
        *,
        verified: bool = False,
        live: bool = True,
    ) -> Identity | None:
        """Note that `obj`, of a class of `kind`, is record `id_` in `revision`, and tell the object.

        Returns `None` for objects that cannot be told apart from equal ones later (a
        list, an int): they are new on each save.
        """
        if not kind.trackable:
            if kind.takes_id:
                if self._undo is not None:
                    self._undo.append((_tell_again, obj, *_told(obj.__dict__)))
                self._tell(obj, kind, id_)
            return None
        self.changes += 1
        identity = Identity(obj)
        identity.store = self.store  # type: ignore[assignment]
        identity.id = id_
        identity.revision = revision
        identity.checksum = checksum
        identity.references = references
        identity.verified = verified
        key = id(obj)
        if self._undo is not None:
            told = _told(obj.__dict__) if kind.takes_id or kind.persistable else None
            self._undo.append((self._unbind, identity, self._by_object.get(key), self.by_id.get(id_), told))
        self._by_object[key] = identity
        if kind.persistable:
            obj.__dict__[IDENTITY] = identity
            if live:
                self.by_id[id_] = identity
                if self._referrers is not None:
                    self._note_references(identity)
        else:
            self._others.setdefault(id_, []).append(identity)
        if kind.takes_id:
            attributes = obj.__dict__
            if (
                (kind.persistable or kind.tagged)
                and "persistent_id" not in attributes
                and "_id" not in attributes
            ):
                attributes["_id"] = attributes["persistent_id"] = id_  # as `_tell`, for what is new
            else:
                self._tell(obj, kind, id_)
        self._room -= 1
        if self._room < 0:
            self._sweep()
        return identity

    def _make_live(self, identity: Identity) -> None:
        self.by_id[identity.id] = identity
        if self._referrers is not None:
            self._note_references(identity)

    def _note_references(self, identity: Identity) -> None:
        assert self._referrers is not None
        for id_ in identity.references:
            self._referrers.setdefault(id_, set()).add(identity.id)

    def _sweep(self) -> None:
        """Forget the objects that are gone."""
        self._by_object = {key: i for key, i in self._by_object.items() if i() is not None}
        live = {id_: i for id_, i in self.by_id.items() if i() is not None}
        # What a live object has dropped without being saved may be gone; whether it is as it was still counts.
        reached = [id_ for i in live.values() for id_ in i.references if id_ not in live]
        while reached:
            id_ = reached.pop()
            if id_ not in live and (gone := self.by_id.get(id_)) is not None:
                live[id_] = gone
                reached += gone.references
        self.by_id = live
        self._referrers = None
        self._others = {
            id_: alive
            for id_, found in self._others.items()
            if (alive := [i for i in found if i() is not None])
        }
        self._room = max(_ROOM, 2 * len(self._by_object))

    @staticmethod
    def _tell(obj: Any, kind: Kind, id_: str) -> None:
        """Let an object know its ID by its attributes."""
        if not kind.persistable and not kind.tagged:
            tag_class(type(obj))
            KINDS[type(obj)] = kind._replace(tagged=True)
        attributes = obj.__dict__
        before = attributes.get("persistent_id")
        if "_id" not in attributes or attributes["_id"] == before:
            attributes["_id"] = id_
        attributes["persistent_id"] = id_

    def advance(
        self, identity: Identity, revision: int, checksum: bytes | None, references: tuple[str, ...]
    ) -> None:
        """Note that the object was written as `revision`, and is the live instance now."""
        if self._undo is not None:
            before = (identity.revision, identity.checksum, identity.references, identity.verified)
            self._undo.append((self._set_back, identity, before, self.by_id.get(identity.id)))
        self.changes += 1
        identity.revision = revision
        identity.checksum = checksum
        identity.references = references
        identity.verified = True
        obj = identity()
        if obj is not None and kind_of(type(obj)).persistable:
            self._make_live(identity)

    def supersede(self, replacements: Mapping[str, tuple[object, int]]) -> None:
        """Prepare for objects to become the live instances of their records.

        Parameters
        ----------
        replacements : mapping of str to (object, int)
            The objects and their revisions, by ID. What refers to the instances that they replace
            still refers to those, so it is live no longer.
        """
        superseded = set()
        for id_, (obj, revision) in replacements.items():
            live = self.by_id.get(id_)
            if live is None or (old := live()) is obj:
                continue
            if old is not None or live.revision != revision:
                superseded.add(id_)
        if not superseded:
            return
        for id_ in self._reaching(superseded):
            if id_ in replacements:
                continue
            if self._undo is not None:
                self._undo.append((self._make_live, self.by_id[id_]))
            del self.by_id[id_]

    def _reaching(self, changed: set[str]) -> set[str]:
        """Return the records whose live instances lead to one of `changed`, those themselves included."""
        if self._referrers is None:
            self._referrers = {}
            for identity in list(self.by_id.values()):
                self._make_live(identity)
        found, todo = set(changed), list(changed)
        while todo:
            id_ = todo.pop()
            for referrer in self._referrers.get(id_, set()) - found:
                live = self.by_id.get(referrer)
                if live is not None and id_ in live.references:  # still
                    found.add(referrer)
                    todo.append(referrer)
        return found

    def mark_saved(self, obj: Any) -> None:
        """Take away GC3Pie's mark, the attribute `changed`, that an object must be saved."""
        if kind_of(type(obj)).marked and getattr(obj, "changed", None) is True:
            if self._undo is not None:
                self._undo.append((_mark_changed, weakref.ref(obj)))
            obj.changed = False

    def drop(self, id_: str) -> None:
        """Note that the record is gone: its live objects have no ID any more."""
        self.changes += 1
        identities = list(self._others.get(id_, ()))
        if id_ in self.by_id:
            identities.append(self.by_id[id_])
        for gone in identities:
            obj = gone()
            if obj is None:
                continue
            if self._undo is not None:
                self._undo.append((self._rebind, gone))
            if self._by_object.get(id(obj)) is gone:
                del self._by_object[id(obj)]
            _strip(obj, id_)
        # Last: until then, what was interrupted can be done again.
        self._others.pop(id_, None)
        self.by_id.pop(id_, None)

    def _rebind(self, identity: Identity) -> None:
        obj = identity()
        if obj is not None:
            self.bind(
                obj,
                kind_of(type(obj)),
                identity.id,
                identity.revision,
                identity.checksum,
                identity.references,
                verified=identity.verified,
            )

    def clear(self) -> None:
        """Forget which instances are live: the next load makes new ones."""
        self.by_id.clear()

    def begin(self) -> None:
        """Start to note how to undo changes."""
        if self._undoing:
            self.rollback()  # which an interrupt has kept from ending
        self._undo = []

    def commit(self) -> None:
        """Keep the changes since `begin`."""
        self._undo = None

    def rollback(self) -> None:
        """Undo the changes since `begin`; all of them, also if an interrupt comes in between."""
        if self._undo:
            self._undoing = self._undo
        self._undo = interrupted = None
        while self._undoing:
            try:
                while self._undoing:
                    function, *args = self._undoing[-1]
                    function(*args)  # done twice, it does what it does once
                    self._undoing.pop()
            except KeyboardInterrupt as error:
                interrupted = error
        if interrupted is not None:
            raise interrupted

    def _unbind(
        self, identity: Identity, before: Identity | None, live: Identity | None, told: _Told | None
    ) -> None:
        if self.by_id.get(identity.id) is identity:
            del self.by_id[identity.id]
        if live is not None and live() is not None:
            self._make_live(live)
        if others := self._others.pop(identity.id, None):
            self._others[identity.id] = [other for other in others if other is not identity]
        obj = identity()
        if obj is None:
            return
        self._by_object.pop(id(obj), None)
        if before is not None and before() is obj:
            self._by_object[id(obj)] = before
        if told is not None:
            _tell_again(obj, *told)

    def _set_back(self, identity: Identity, before: tuple[Any, ...], live: Identity | None) -> None:
        identity.revision, identity.checksum, identity.references, identity.verified = before
        if live is not None and live() is not None:
            self._make_live(live)
        elif self.by_id.get(identity.id) is identity:
            del self.by_id[identity.id]


#: How many identities are made at least between sweeps.
_ROOM = 1000

#: What an object's attributes said of its ID before: identity, `persistent_id`, `_id`.
_Told = tuple[Any, Any, Any]
_NAMES = (IDENTITY, "persistent_id", "_id")


def _told(attributes: dict[str, Any]) -> _Told:
    get = attributes.get
    return get(IDENTITY), get("persistent_id"), get("_id")


def _tell_again(obj: Any, *told: Any) -> None:
    for name, value in zip(_NAMES, told, strict=True):
        if value is not None:
            obj.__dict__[name] = value
        else:
            obj.__dict__.pop(name, None)


def _mark_changed(ref: weakref.ref[Any]) -> None:
    obj = ref()
    if obj is not None:
        obj.changed = True


def _strip(obj: Any, id_: str) -> None:
    attributes = getattr(obj, "__dict__", None)
    if not isinstance(attributes, dict):
        return
    carried = attributes.get(IDENTITY)
    if isinstance(carried, (Identity, CarriedIdentity)) and carried.id == id_:
        del attributes[IDENTITY]
    if attributes.get("persistent_id") == id_:
        del attributes["persistent_id"]
        if attributes.get("_id") == id_:
            del attributes["_id"]
