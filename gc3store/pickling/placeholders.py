"""Stand-ins for classes that are missing here, which carry what their objects held.

``store.load(id_, missing="placeholder")`` makes everything whose class can be imported as it is,
and the rest as instances of classes made here: of the same name, with the attributes that were
saved, and none of the methods. They can be looked at, changed and saved. What is written names the
missing class again, not the placeholder; and an object that was not changed is written as the
very bytes that it was loaded from. What cannot be recognized when it is saved again (a list, a dict, a
tuple with placeholders in it) is written anew, as it would be with the real classes: in the same bytes
but for what any loading changes, such as the order of a set of texts, or which equal texts are
one object. A change that could not be written is an error.
"""

from __future__ import annotations

import copyreg
import pickle
import sys
import threading
import weakref
from collections.abc import Iterator, Sequence
from typing import IO, Any

from gc3store.errors import SaveError
from gc3store.inspection.form import raw_class
from gc3store.inspection.machine.names import callee
from gc3store.inspection.machine.stream import run, transcribe
from gc3store.inspection.text import text
from gc3store.persistable import IDENTITY, Persistable, named, provide
from gc3store.pickling import (
    STEP,
    Encoded,
    Source,
    accepts_id,
    encode,
    may_have_ids,
    tag_class,
    without_ids,
)
from gc3store.support.text import clean

__all__ = ["MissingReference", "Placeholder", "Placeholders", "faithful"]

#: What the attributes begin with that are a placeholder's own.
_PRIVATE = "_Placeholder__"
_ROOTS = ("gc3store.persistable.new", "gc3store.persistable.construct")


class _Meta(type):
    """A class, or function, that is missing; calling it makes a placeholder too."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        made: Any = cls.__new__(cls, *args, **kwargs)  # type: ignore[arg-type]
        made.__dict__["_Placeholder__called"] = True
        return made


class Placeholder(metaclass=_Meta):
    """An object whose class is missing: its attributes, items and arguments, and no methods."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """Make a placeholder of what the class would have been given."""
        made: Any = object.__new__(cls)
        made.__dict__["_Placeholder__args"] = args
        made.__dict__["_Placeholder__kwargs"] = kwargs
        return made

    def __setstate__(self, state: Any) -> None:
        parts = _attributes_in(state)
        # What it was like is kept: which attributes were slots, and what is no attribute at all.
        self.__dict__["_Placeholder__state"] = state if parts is None else _outline(state)
        for part in parts or ():
            self.__dict__.update(
                # as the unpickler does: texts that are the same object are written once
                (sys.intern(k) if type(k) is str else k, v)
                for k, v in part.items()
                if isinstance(k, str)
            )

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

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        known = self.__dict__
        args, kwargs = known["_Placeholder__args"], known["_Placeholder__kwargs"]
        made: tuple[Any, ...]
        if "_Placeholder__made" in known:
            made = known["_Placeholder__made"]
        elif known.get("_Placeholder__called"):
            if kwargs:
                raise SaveError(
                    f"A {type(self).__name__} that was called with keywords cannot be saved again."
                )
            made = (type(self), args)
        elif kwargs:
            made = (copyreg.__newobj_ex__, (type(self), args, kwargs))  # type: ignore[attr-defined]
        else:
            made = (copyreg.__newobj__, (type(self), *args))  # type: ignore[attr-defined]
        return (*made, Placeholder._own_state(self), *Placeholder._own_content(self))

    def _own(self) -> dict[str, Any]:
        """Return the attributes, without what this library has put there."""
        own = {k: v for k, v in self.__dict__.items() if not k.startswith(_PRIVATE) and k != IDENTITY}
        return without_ids(own) if may_have_ids(type(self)) else own

    def _own_state(self) -> Any:
        own = Placeholder._own(self)
        state = self.__dict__.get("_Placeholder__state")
        if state is None:
            return own or None
        parts = _attributes_in(state)
        if parts is None:
            if own:
                raise SaveError(
                    f"The change of {', '.join(sorted(own))} cannot be saved: the class "
                    f"{type(self).__qualname__} keeps what an object holds in a form of its own, "
                    f"{clean(text(state, limit=100))}, which only the class itself can change."
                )
            return state
        if isinstance(state, dict):
            return _as_now(state, own)
        # Attributes and slots: each name stays where it was, new ones are attributes.
        attributes, slots = state
        rest = {k: v for k, v in own.items() if k not in (slots or ())}
        return (
            _as_now(attributes, rest) if attributes is not None else rest or None,
            _as_now(slots, {k: v for k, v in own.items() if k in slots}) if slots is not None else None,
        )

    def _own_content(self) -> tuple[Iterator[Any] | None, Iterator[Any] | None]:
        items, pairs = self.__dict__.get("_Placeholder__items"), self.__dict__.get("_Placeholder__pairs")
        return (iter(items) if items else None, iter(pairs) if pairs else None)

    def __repr__(self) -> str:
        cls = type(self)
        name = f"<placeholder for {clean(f'{cls.__module__}.{cls.__qualname__}')}"
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
        known = self.__dict__
        shown = Placeholder._own(self)
        state = known.get("_Placeholder__state")
        if state is not None and _attributes_in(state) is None:
            shown["(state)"] = state
        for name in ("args", "kwargs", "items", "pairs"):
            if known.get(f"_Placeholder__{name}"):
                shown[f"({name})"] = known[f"_Placeholder__{name}"]
        return shown


_showing = threading.local()


def _attributes_in(state: Any) -> tuple[dict[Any, Any], ...] | None:
    """Return the dictionaries of attributes in a state; `None` if it is in a form of its own."""
    parts = state if isinstance(state, tuple) and len(state) == 2 else (state,)
    found = tuple(part for part in parts if isinstance(part, dict))
    if not found or any(part is not None and not isinstance(part, dict) for part in parts):
        return None
    names = [k for part in found for k in part if isinstance(k, str)]
    if len(set(names)) < len(names) or any(name.startswith(_PRIVATE) for name in names):
        return None  # which is which could not be told any more
    return found


def _outline(state: Any) -> Any:
    """Return a state without the values of attributes; they are not to be kept alive by it."""
    if isinstance(state, tuple):
        return tuple(None if part is None else _names_of(part) for part in state)
    return _names_of(state) if any(not isinstance(k, str) for k in state) else _NAMES_ONLY


def _names_of(part: dict[Any, Any]) -> dict[Any, Any]:
    return {k: None if isinstance(k, str) else v for k, v in part.items()}


#: The outline of most states.
_NAMES_ONLY: dict[Any, Any] = {}


def _as_now(before: dict[Any, Any], own: dict[str, Any]) -> dict[Any, Any]:
    """Return a state with the attributes as they are now, in the order that it had."""
    kept = {
        k: own[k] if isinstance(k, str) else v
        for k, v in before.items()
        if not isinstance(k, str) or k in own
    }
    return {**kept, **own}


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

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise AttributeError(f"the method {self.name} of {self.owner!r} is missing here")

    def __repr__(self) -> str:
        return f"<placeholder for the method {clean(self.name)} of {clean(repr(self.owner))}>"

    def __reduce__(self) -> Any:
        return getattr, (self.owner, self.name)


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
        raise SaveError(
            f"What referred to {self.id}, which is gone, cannot be saved; set it to something else."
        )


_classes: dict[tuple[str, str, bool], type] = {}


def _placeholder_class(module: str, name: str, *, persistable: bool) -> type:
    # As in a module: a name that occurs several times is one object, and written once.
    module, name = sys.intern(str(module)), sys.intern(str(name))
    key = (module, name, persistable)
    if key not in _classes:
        bases: tuple[type, ...] = (Placeholder, Persistable) if persistable else (Placeholder,)
        _classes[key] = _Meta(name, bases, {"__module__": module, "__qualname__": name})
    return _classes[key]


provide("placeholder_class", lambda module, name: _placeholder_class(module, name, persistable=False))
# What payloads name for a moment while they are written.
copyreg.pickle(_Meta, lambda cls: (named, (cls.__module__, cls.__qualname__)))


class Placeholders:
    """Makes placeholders while an object is loaded.

    Attributes
    ----------
    used : bool
        Whether any was needed since `begin`.
    root : str
        The class of the payload's root, where that is a record of its own.
    referred : set of str
        The IDs that other records refer to.
    """

    def __init__(self) -> None:
        self.used = False
        self.referred: set[str] = set()
        self.root = ""

    def begin(self, id_: str, source: Source) -> None:
        """Get ready for the payload of a record: find out whether its root is one wherever it occurs."""
        if hasattr(source.stream, "read"):
            source.stream = source.stream.read()
        self.used = False
        raw = run(transcribe(source.stream, source.buffers))
        wrapped = type(raw) is list and callee(raw[0]) in _ROOTS
        persistable = wrapped or source.persistent is not None or id_ in self.referred
        self.root = raw_class(raw) if persistable else ""

    def make(self, module: str, name: str, *, root: bool) -> type:
        """Return a class to stand for one that is missing, be it that of the root or not."""
        self.used = True
        return _placeholder_class(module, name, persistable=root)

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
            self.used = True
            if isinstance(owner, type):
                return self.make(owner.__module__, f"{owner.__qualname__}.{name}", root=False)
            return MissingAttribute(owner, name)


#: Functions that make an instance of a class that they are given, and for which it has to be the real one.
_RECONSTRUCTORS = {
    ("copyreg", "_reconstructor"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy.core.multiarray", "_reconstruct"),
}


def _reconstructed(function: Any, cls: Any, *args: Any) -> Any:
    if not isinstance(cls, _Meta):
        return function(cls, *args)
    shown = args
    if function is copyreg._reconstructor:  # type: ignore[attr-defined]
        shown = () if args[0] is object else args[1:]
    made: Any = Placeholder.__new__(cls, *shown)  # type: ignore[arg-type]
    made.__dict__["_Placeholder__made"] = (function, (cls, *args))
    return made


class _Original:
    """The payload that an object with placeholders came from."""

    __slots__ = ("buffers", "checksum", "obj", "stream", "targets")

    def __init__(self, obj: Any, source: Source, targets: Sequence[Any], checksum: bytes) -> None:
        key = id(obj)
        self.obj = weakref.ref(obj, lambda _: _originals.pop(key, None))
        self.stream = bytes(source.stream)
        self.buffers = [memoryview(buffer).cast("B") for buffer in source.buffers or ()]
        self.targets = list(targets)
        self.checksum = checksum


_originals: dict[int, _Original] = {}
#: How a stream names `gc3store.persistable.named` for the first time.
_NAMED = pickle.SHORT_BINUNICODE + b"\x05named"


def keep_original(obj: Any, source: Source, targets: Sequence[Any]) -> None:
    """Remember which bytes an object was loaded from, and what it looks like unchanged."""
    cls = type(obj)
    if cls.__weakrefoffset__ == 0:  # a list, say: nothing tells when it is gone
        return
    if not issubclass(cls, Persistable) and accepts_id(cls):
        tag_class(cls)  # it is told its ID next, and that is no change
    try:
        checksum = encode(obj).checksum
    except Exception:  # noqa: BLE001  (it cannot be saved as it is; that is said then)
        return
    _originals[id(obj)] = _Original(obj, source, targets, checksum)


def faithful(obj: Any, encoded: Encoded) -> Encoded:
    """Return the payload to write for an object: where it is unchanged, that which it was loaded from.

    A payload with placeholders in it names the classes that they stand for.
    """
    if not _classes:
        return encoded
    original = _originals.get(id(obj))
    if original is not None and original.obj() is obj and original.checksum == encoded.checksum:
        return Encoded(
            original.stream,
            len(original.stream),
            original.buffers,
            original.targets,
            b"cloudpickle" in original.stream,
        )
    if not _names_placeholders(encoded.stream):
        return encoded
    if isinstance(encoded.stream, bytes):
        stream = encoded.stream
    else:
        encoded.stream.seek(0)
        stream = encoded.stream.read()
    stream = _with_real_names(stream)
    return Encoded(stream, len(stream), encoded.buffers, encoded.targets, encoded.cloudpickled)


def _names_placeholders(stream: bytes | IO[bytes]) -> bool:
    if isinstance(stream, bytes):
        return _NAMED in stream
    stream.seek(0)
    end = b""
    while piece := stream.read(STEP):
        if _NAMED in end + piece:
            return True
        end = piece[-len(_NAMED) :]
    return False


def _with_real_names(stream: bytes) -> bytes:
    from gc3store.gc3pie.program import Editor, Program

    program = Program(stream)
    editor = Editor(program)
    for node in program.calls:
        function, arguments = node.parts
        if function.node.kind != "global" or function.node.value != (named.__module__, named.__name__):
            continue
        # The pickler has written both texts as it would for the class itself. Around them it is
        # STACK_GLOBAL in place of the function, the tuple and the call.
        editor.remove(function.first, arguments.first)
        editor.remove(arguments.node.at, node.at + 1)
        editor.insert(node.at, pickle.STACK_GLOBAL)
    return editor.stream()
