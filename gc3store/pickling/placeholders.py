"""Stand-ins for classes that are missing here, which carry what their objects held.

``store.load(id_, missing="placeholder")`` makes everything whose class can be imported as it is,
and the rest as instances of classes made here: of the same name, with the attributes that were
saved, and without methods. They are there to be looked at. A record that was loaded with placeholders
is saved only as the very bytes that it was loaded from, as long as it is unchanged; anything else that
contains a placeholder is refused, because only the missing class knows how its objects are written.
"""

from __future__ import annotations

import copyreg
import mmap
import pickle
import re
import threading
import weakref
from collections.abc import Sequence
from typing import Any

from gc3store.inspection.globals import globals_of
from gc3store.inspection.machine.names import callee
from gc3store.inspection.machine.rewrite import rewrite, run
from gc3store.inspection.raw_tree import raw_class
from gc3store.inspection.text import text
from gc3store.persistable import IDENTITY, Persistable, named, provide
from gc3store.pickling.decoder import Source
from gc3store.pickling.encoder import Encoded, Encoder
from gc3store.pickling.reducers import accepts_id, may_have_ids, tag_class, without_ids
from gc3store.support.text import clean

__all__ = [
    "MissingReference",
    "Placeholder",
    "PlaceholderError",
    "Placeholders",
    "missing_name",
    "original_bytes_if_unchanged",
    "remember_original",
]

#: What the attributes begin with that are a placeholder's own.
_PRIVATE = "_Placeholder__"
_ROOTS = ("gc3store.persistable.new", "gc3store.persistable.construct")


class PlaceholderError(Exception):
    """An object contains a placeholder and cannot be saved; `gc3store.pickling.explain` says where.

    Attributes
    ----------
    missing : str
        A class that is missing; empty where only the placeholder itself tells.
    """

    def __init__(self, missing: str = "") -> None:
        super().__init__(missing)
        self.missing = missing


class _Meta(type):
    """A class, or function, that is missing; calling it makes a placeholder too."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return cls.__new__(cls, *args, **kwargs)  # type: ignore[arg-type]


class Placeholder(metaclass=_Meta):
    """An object whose class is missing: its attributes, items and arguments, and no methods."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """Make a placeholder of what the class would have been given."""
        made: Any = object.__new__(cls)
        made.__dict__["_Placeholder__args"] = args
        made.__dict__["_Placeholder__kwargs"] = kwargs
        return made

    def __setstate__(self, state: Any) -> None:
        parts = state if isinstance(state, tuple) and len(state) == 2 else (state,)
        if all(part is None or isinstance(part, dict) for part in parts) and parts != (None, None):
            for part in parts:  # attributes, and what is in slots
                self.__dict__.update(part or {})
        else:
            self.__dict__["_Placeholder__state"] = state

    def append(self, item: Any) -> None:
        """Add an item, as for a list."""
        self.__dict__.setdefault("_Placeholder__items", []).append(item)

    def extend(self, items: Any) -> None:
        """Add items, as for a list."""
        self.__dict__.setdefault("_Placeholder__items", []).extend(items)

    def __setitem__(self, key: Any, value: Any) -> None:
        self.__dict__.setdefault("_Placeholder__pairs", []).append((key, value))

    def __getitem__(self, key: Any) -> Any:
        for k, value in reversed(self.__dict__.get("_Placeholder__pairs", ())):
            if k == key:
                return value
        items = self.__dict__.get("_Placeholder__items", self.__dict__["_Placeholder__args"])
        if isinstance(key, (int, slice)):
            return items[key]
        raise KeyError(key)

    def __repr__(self) -> str:
        name = f"<placeholder for {clean(missing_name(self))}"
        # Others in it are only named. Each would have its own bounds otherwise, and what refers
        # to each other in circles would be shown for ever.
        if getattr(_showing, "on", False):
            return f"{name} ...>"
        _showing.on = True
        try:
            return f"{name}: {text(Placeholder._shown(self))}>"
        finally:
            _showing.on = False

    def _shown(self) -> Any:
        """Return what it holds: the attributes, and what else there is under names of its own."""
        shown = {
            name: value
            for name, value in self.__dict__.items()
            if not (isinstance(name, str) and name.startswith(_PRIVATE)) and name != IDENTITY
        }
        if may_have_ids(type(self)):
            shown = without_ids(shown)
        for name in ("state", "args", "kwargs", "items", "pairs"):
            value = self.__dict__.get(_PRIVATE + name)
            if value or (name == "state" and _PRIVATE + name in self.__dict__):
                shown[f"({name})"] = value
        return shown


_showing = threading.local()


class MissingAttribute:
    """Stands for a method that is missing, of an object or a class.

    Attributes
    ----------
    owner : object
        What it is a method of.
    name : str
        Its name.
    """

    __slots__ = ("__weakref__", "name", "owner")

    def __init__(self, owner: Any, name: str) -> None:
        self.owner = owner
        self.name = name
        met.add(missing_name(self))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise AttributeError(f"the method {self.name} of {self.owner!r} is missing here")

    def __repr__(self) -> str:
        return f"<placeholder for the method {clean(self.name)} of {clean(repr(self.owner))}>"

    def __reduce__(self) -> Any:
        return _missing_attribute, (self.owner, self.name)


# A record that is such a class, or method, says of itself what it would if nothing were missing.
for _cls, _name in ((_Meta, "type"), (MissingAttribute, "method")):
    _cls.__module__, _cls.__name__, _cls.__qualname__ = "builtins", _name, _name


class MissingReference:
    """Stands for an object that is no longer in the store.

    Attributes
    ----------
    id : str
        Its ID.
    """

    def __init__(self, id_: str) -> None:
        self.id = id_

    def __repr__(self) -> str:
        return f"<{self.id}, which is no longer in the store>"

    def __reduce__(self) -> Any:
        raise TypeError(f"a reference to {self.id}, which is no longer in the store, cannot be pickled")


def missing_name(obj: Any) -> str:
    """Return which class, function or method a placeholder stands for; empty for anything else.

    Parameters
    ----------
    obj : Any
        An object; placeholders among them are instances, classes and methods.
    """
    if isinstance(obj, MissingAttribute):
        owner = obj.owner if isinstance(obj.owner, type) else type(obj.owner)
        return f"{owner.__module__}.{owner.__qualname__}.{obj.name}"
    cls = obj if isinstance(obj, _Meta) else type(obj)
    return f"{cls.__module__}.{cls.__qualname__}" if isinstance(cls, _Meta) else ""


_classes: dict[tuple[str, str, bool], type] = {}

#: The names of all placeholders of this process. As long as there are none, saving need not look for them.
met: set[str] = set()


def _placeholder_class(module: str, name: str, persistable: bool) -> type:
    key = (str(module), str(name), persistable)
    if key not in _classes:
        bases: tuple[type, ...] = (Placeholder, Persistable) if persistable else (Placeholder,)
        _classes[key] = _Meta(key[1], bases, {"__module__": key[0], "__qualname__": key[1]})
        met.add(missing_name(_classes[key]))
    return _classes[key]


def _missing_attribute(owner: Any, name: str) -> MissingAttribute:
    return MissingAttribute(owner, name)


def _reduce_class(cls: type) -> tuple[Any, ...]:
    return named, (cls.__module__, cls.__qualname__)


copyreg.pickle(_Meta, _reduce_class)
provide("placeholder_class", lambda module, name: _placeholder_class(module, name, persistable=False))


class Placeholders:
    """Makes placeholders while an object is loaded.

    Attributes
    ----------
    missing : str
        The first name since `begin` that a placeholder was needed for; empty if there was none.
    root : str
        The class of the payload's root, where that is a record of its own.
    referred : set of str
        The IDs that other records refer to.
    """

    def __init__(self) -> None:
        self.missing = ""
        self.referred: set[str] = set()
        self.root = ""

    def begin(self, id_: str, source: Source) -> None:
        """Get ready for the payload of a record: find out whether its root is one wherever it occurs."""
        if hasattr(source.stream, "read"):
            source.stream = source.stream.read()
        self.missing = ""
        raw = run(rewrite(source.stream, source.buffers))
        wrapped = type(raw) is list and callee(raw[0]) in _ROOTS
        persistable = wrapped or source.persistent is not None or id_ in self.referred
        self.root = raw_class(raw) if persistable else ""

    def make(self, module: str, name: str, *, root: bool) -> type:
        """Return a class to stand for one that is missing, be it that of the root or not."""
        self.missing = self.missing or f"{module}.{name}"
        return _placeholder_class(module, name, root)

    def wrapped(self, module: str, name: str, found: Any) -> Any:
        """Return what was found under a name, in such a form that it can do with placeholders."""
        if (module, name) == ("builtins", "getattr"):
            return self._attribute
        if (module, name) in _RECONSTRUCTORS:
            return lambda *args: _reconstructed(found, *args)
        return found

    def _attribute(self, owner: Any, name: str) -> Any:
        # Nested classes are written so before protocol 4, and methods of objects always.
        try:
            return getattr(owner, name)
        except AttributeError:
            if isinstance(owner, type):
                return self.make(owner.__module__, f"{owner.__qualname__}.{name}", root=False)
            found = MissingAttribute(owner, name)
            self.missing = self.missing or missing_name(found)
            return found


#: Functions that make an instance of a class that they are given, and for which it has to be the real one.
_RECONSTRUCTORS = {
    ("copyreg", "_reconstructor"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy.core.multiarray", "_reconstruct"),
}


def _reconstructed(function: Any, cls: Any, *args: Any) -> Any:
    if not isinstance(cls, _Meta):
        return function(cls, *args)
    if function is copyreg._reconstructor:  # type: ignore[attr-defined]
        args = () if args[0] is object else args[1:]
    return Placeholder.__new__(cls, *args)  # type: ignore[arg-type]


class _Original:
    """The payload that an object with placeholders came from."""

    __slots__ = ("buffers", "checksum", "missing", "obj", "stream", "targets")

    def __init__(
        self, obj: Any, source: Source, targets: Sequence[Any], missing: str, checksum: bytes | None
    ) -> None:
        key = id(obj)
        self.obj = weakref.ref(obj, lambda _: _originals.pop(key, None))
        self.stream = bytes(source.stream)
        self.buffers = [memoryview(buffer).cast("B") for buffer in source.buffers or ()]
        self.targets = list(targets)
        self.missing = missing
        self.checksum = checksum


_originals: dict[int, _Original] = {}


def remember_original(obj: Any, source: Source, targets: Sequence[Any], missing: str) -> None:
    """Keep the bytes that an object with placeholders was loaded from, and what it looks like unchanged.

    Parameters
    ----------
    obj : Any
        The object. One that allows no weak reference (a list, a dict) is not kept track of,
        and cannot be saved.
    source : Source
        Its payload, in memory.
    targets : sequence
        The objects that it refers to, by position.
    missing : str
        A name that is missing.
    """
    cls = type(obj)
    if cls.__weakrefoffset__ == 0:
        return
    if not issubclass(cls, Persistable) and accepts_id(cls):
        tag_class(cls)  # it is told its ID next, which does not count as a change
    try:
        checksum = _checksum_now(obj)
    except Exception:  # noqa: BLE001  (what cannot be compared counts as changed)
        checksum = None
    _originals[id(obj)] = _Original(obj, source, targets, missing, checksum)


def original_bytes_if_unchanged(obj: Any, encoded: Encoded) -> Encoded:
    """Return the payload to write for an object.

    That is the given one, or the bytes that the object was loaded from with placeholders.

    Parameters
    ----------
    obj : Any
        The object.
    encoded : Encoded
        What it serializes to now.

    Raises
    ------
    PlaceholderError
        If it was loaded with placeholders and changed since, or contains a placeholder otherwise.
    """
    if not met:
        return encoded
    original = _originals.get(id(obj))
    if original is not None and original.obj() is obj:
        encoded.close()
        if original.checksum != _checksum_now(obj):
            raise PlaceholderError(original.missing)
        return Encoded(
            original.stream,
            len(original.stream),
            original.buffers,
            original.targets,
            b"cloudpickle" in original.stream,
        )
    if _mentions_placeholders(encoded):
        encoded.close()
        raise PlaceholderError
    return encoded


def _checksum_now(obj: Any) -> bytes:
    # A new encoder: how one writes a class depends on the objects that it wrote before.
    return Encoder().encode(obj).checksum


#: What payloads name while they are made, in the place of classes and of methods that are missing.
_MARKS = {f"{function.__module__}.{function.__name__}" for function in (named, _missing_attribute)}
#: How a stream of protocol 5 has the names of these functions when they first occur.
_WRITTEN = re.compile(
    b"|".join(
        pickle.SHORT_BINUNICODE + bytes([len(name)]) + name
        for name in (mark.rpartition(".")[2].encode() for mark in sorted(_MARKS))
    )
)


def _mentions_placeholders(encoded: Encoded) -> bool:
    stream = encoded.stream
    if not isinstance(stream, bytes):
        stream.flush()
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as view:
            if _WRITTEN.search(view) is None:
                return False
            stream = bytes(view)
    elif _WRITTEN.search(stream) is None:
        return False
    # This may also be a string that an object holds.
    return any(entry.path in _MARKS for entry in globals_of(stream, encoded.buffers))
