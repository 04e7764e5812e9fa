"""Stand-ins for classes that are missing here, which carry what their objects held.

``store.load(id_, missing="placeholder")`` makes everything whose class can be imported as it is,
and the rest as instances of classes made here: of the same name, with the attributes that were
saved, and none of the methods. They can be looked at, changed and saved. What is written names the
missing class again, not the placeholder; and an object that was not changed is written as the
very bytes that it was loaded from.
"""

from __future__ import annotations

import copyreg
import weakref
from collections.abc import Iterator, Sequence
from typing import Any

from gc3store.errors import SaveError
from gc3store.inspection.display import text
from gc3store.inspection.form import raw_class
from gc3store.inspection.naming import callee
from gc3store.inspection.stream import run, transcribe
from gc3store.persistable import Persistable
from gc3store.serialization import Encoded, Source

__all__ = ["MissingReference", "Placeholder", "Placeholders", "faithful", "named"]

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
        if isinstance(state, dict) and all(isinstance(name, str) for name in state):
            self.__dict__.update(state)
        else:
            self.__dict__["_Placeholder__state"] = state
            for part in state if isinstance(state, tuple) and len(state) == 2 else ():
                if isinstance(part, dict):
                    self.__dict__.update((k, v) for k, v in part.items() if isinstance(k, str))

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
        if known.get("_Placeholder__called"):
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

    def _own_state(self) -> Any:
        own = {k: v for k, v in self.__dict__.items() if not k.startswith("_Placeholder__")}
        if "_Placeholder__state" not in self.__dict__:
            return own or None
        state = self.__dict__["_Placeholder__state"]
        if isinstance(state, tuple) and len(state) == 2:
            # Attributes and slots: each name stays where it was, new ones are attributes.
            slots = state[1] if isinstance(state[1], dict) else {}
            rest = {k: v for k, v in own.items() if k not in slots}
            return (rest or state[0], {k: own[k] for k in slots if k in own} if slots else state[1])
        return state

    def _own_content(self) -> tuple[Iterator[Any] | None, Iterator[Any] | None]:
        items, pairs = self.__dict__.get("_Placeholder__items"), self.__dict__.get("_Placeholder__pairs")
        return (iter(items) if items else None, iter(pairs) if pairs else None)

    def __repr__(self) -> str:
        cls = type(self)
        own = {k: v for k, v in self.__dict__.items() if not k.startswith("_Placeholder__")}
        return f"<placeholder for {cls.__module__}.{cls.__qualname__}: {text(own)}>"


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
    key = (module, name, persistable)
    if key not in _classes:
        bases: tuple[type, ...] = (Placeholder, Persistable) if persistable else (Placeholder,)
        _classes[key] = _Meta(name, bases, {"__module__": module, "__qualname__": name})
    return _classes[key]


def named(module: str, name: str) -> Any:
    """Return a placeholder class; what payloads name for a moment while they are written."""
    return _placeholder_class(module, name, persistable=False)


copyreg.pickle(_Meta, lambda cls: (named, (cls.__module__, cls.__qualname__)))


class Placeholders:
    """Makes placeholders while an object is loaded.

    Attributes
    ----------
    used : bool
        Whether any was needed since `begin`.
    """

    def __init__(self) -> None:
        self.used = False
        self._root = ""

    def begin(self, source: Source) -> None:
        """Get ready for a payload: find out whether its root is a record of its own."""
        if hasattr(source.stream, "read"):
            source.stream = source.stream.read()
        self.used = False
        raw = run(transcribe(source.stream, source.buffers))
        wrapped = type(raw) is list and callee(raw[0]) in _ROOTS
        self._root = raw_class(raw) if wrapped or source.persistent is not None else ""

    def make(self, module: str, name: str) -> type:
        """Return a class to stand for one that is missing."""
        self.used = True
        return _placeholder_class(module, name, persistable=f"{module}.{name}" == self._root)


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


def keep_original(obj: Any, source: Source, targets: Sequence[Any], encoded: Encoded) -> None:
    """Remember which bytes an object was loaded from, and what it looks like unchanged."""
    try:
        _originals[id(obj)] = _Original(obj, source, targets, encoded.checksum)
    except TypeError:  # a list, say: nothing tells when it is gone
        return


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
            encoded.warnings,
        )
    if isinstance(encoded.stream, bytes) and b"gc3store.placeholder" in encoded.stream:
        stream = _with_real_names(encoded.stream)
        return Encoded(
            stream, len(stream), encoded.buffers, encoded.targets, encoded.cloudpickled, encoded.warnings
        )
    return encoded


def _with_real_names(stream: bytes) -> bytes:
    from gc3store.gc3pie.program import Editor, Program

    program = Program(stream)
    editor = Editor(program)
    for node in program.calls:
        function, arguments = node.parts
        if function.node.kind != "global" or function.node.value != ("gc3store.placeholder", "named"):
            continue
        module, name = (part.node.value for part in arguments.node.parts)
        if "\n" in module + name:
            raise SaveError(f"A class cannot be called {name!r}.")
        editor.remove(function.first, node.at + 1)
        editor.insert(node.at, f"c{module}\n{name}\n".encode())
    return editor.stream()
