"""Objects to payloads and back.

A payload is a standard pickle stream of protocol 5, with its large buffers
(arrays, frames) out of band beside it. Persistables inside the object are
written as calls of `gc3store.persistable.reference` with a position in the
record's list of references; so a payload holds no IDs, and a plain
`pickle.Unpickler`, given the buffers, reads it by itself.

How references are found
------------------------
``Pickler.persistent_id`` would be called for every single object, integers
included. A private ``dispatch_table`` is asked once per *class* instead, and only
for instances that the pickler has no built-in way for: ``__missing__`` looks at
the class, and remembers the reducer for it. For all classes but Persistables that
is ``__reduce_ex__`` itself, called from C.

Which serializer
----------------
The C pickler writes what can be imported by name. What a notebook or a script
defines, lambdas and local classes need cloudpickle, which stores them by value;
whether it is needed shows in the class of an instance, at the latest in the
finished stream (functions are named in it), so that nothing ordinary is pickled
twice. Where the live ``__main__`` has a class of the same name, loading uses
that one.
"""

from __future__ import annotations

import copyreg
import io
import pickle
import sys
import types
import warnings
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from operator import methodcaller
from typing import IO, Any

import xxhash

from gc3store import persistable
from gc3store.calls import outside
from gc3store.errors import SaveError, StoreError, UnloadableWarning
from gc3store.largefile import open_spool
from gc3store.loadability import Check, check_for
from gc3store.persistable import IDENTITY, Persistable, construct, new, reference

__all__ = [
    "IN_BAND",
    "Encoded",
    "Encoder",
    "Finder",
    "Source",
    "accepts_id",
    "checksum_of",
    "decode",
    "encode",
    "inherits",
    "is_persistable",
    "make_shell",
    "tag_class",
]

#: Buffers smaller than this stay in the stream, in bytes: the pickler's own frame size.
IN_BAND = 64 * 1024

#: How much of a stream is held in memory while it is written, in bytes; the rest is spooled to a file.
SPOOL = 8 * 1024 * 1024

#: Encoders that wrote a stream of at most this size are used again, in bytes.
SMALL = 8192

#: Buffers are copied and hashed in steps of this size, in bytes, which fits a processor's cache.
STEP = 1024 * 1024

_PROTOCOL = 5
_MAIN = b"__main__"
_plain_reduce = methodcaller("__reduce_ex__", _PROTOCOL)

#: How a reader turns a name in a payload into an object: ``finder(module, name, default)``.
Finder = Callable[[str, str, Callable[[str, str], Any]], Any]


# Classes.


def is_persistable(cls: type) -> bool:
    """Whether instances of `cls` are records of their own: ours, and those of GC3Pie."""
    if issubclass(cls, Persistable):
        return True
    return any(base.__name__ == "Persistable" and base.__module__ in _FOREIGN for base in cls.__mro__)


_FOREIGN = ("gc3libs.persistence.serialization",)


def accepts_id(cls: type) -> bool:
    """Whether plain instances of `cls` are told their ID in instance attributes.

    Those with an instance dict and object's own ``__setattr__``, of no standard-library
    type: elsewhere setting an attribute could mean something, as in a data frame.
    """
    return (
        inherits(cls, "__setattr__", object)
        and cls.__dictoffset__ != 0
        and not issubclass(cls, (type, types.FunctionType, types.ModuleType))
        and not any(hasattr(cls, name) for name in ("persistent_id", "_id"))
        # `__main__` counts as a standard module, yet what a notebook defines is the user's own
        and (cls.__module__ == "__main__" or cls.__module__.partition(".")[0] not in sys.stdlib_module_names)
    )


def inherits(cls: type, name: str, base: type) -> bool:
    """Whether attribute `name` of `cls` is the one that `base` has."""
    return getattr(cls, name) is getattr(base, name)


_tagged: weakref.WeakSet[type] = weakref.WeakSet()
_generation = 0


def tag_class(cls: type) -> None:
    """Note that instances of `cls` may carry our ID attributes, which payloads must not."""
    global _generation
    if cls not in _tagged:
        _tagged.add(cls)
        _generation += 1


def _without_ids(state: Any) -> Any:
    # Ours are there only as a pair; a user's own `_id` alone is left in place.
    if type(state) is dict and IDENTITY not in state and "persistent_id" not in state:
        return state
    if isinstance(state, tuple) and len(state) == 2 and isinstance(state[0], dict):
        return (_without_ids(state[0]), state[1])
    if isinstance(state, dict):
        id_ = state.get("persistent_id")
        if IDENTITY in state or id_ is not None:
            state = dict(state)
            state.pop(IDENTITY, None)
            if id_ is not None:
                del state["persistent_id"]
                if state.get("_id") == id_:
                    del state["_id"]
    return state


def _reduce(obj: Any) -> Any:
    reducer = copyreg.dispatch_table.get(type(obj))
    return reducer(obj) if reducer is not None else obj.__reduce_ex__(_PROTOCOL)


def _reduce_tagged(obj: Any) -> Any:
    reduced = _reduce(obj)
    if isinstance(reduced, tuple) and len(reduced) > 2:
        reduced = (*reduced[:2], _without_ids(reduced[2]), *reduced[3:])
    return reduced


def _reduce_leaf(obj: Any) -> tuple[Any, ...]:
    """Return how a Persistable that refers to no other is written at the root of its payload."""
    reducer = copyreg.dispatch_table.get(type(obj))
    reduced: Any = obj.__reduce_ex__(_PROTOCOL) if reducer is None else reducer(obj)
    if isinstance(reduced, str):
        raise SaveError(f"A {type(obj).__name__} that pickles as the global {reduced!r} cannot be a record.")
    if len(reduced) > 2:
        given = reduced[2]
        state = _without_ids(given)
        if not isinstance(obj, Persistable):
            state = _as_saved(state)
        if state is not given:
            return (reduced[0], reduced[1], state, *reduced[3:])
    return reduced  # type: ignore[no-any-return]


def _as_saved(state: Any) -> Any:
    """Return the state of an object of GC3Pie without its mark that it must be saved."""
    if isinstance(state, dict) and (state.get("changed") is True or state.get("_changed") is True):
        return {k: False if k in ("changed", "_changed") else value for k, value in state.items()}
    return state


def _for_shells(reduced: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return how a Persistable that refers to others is written at the root of its payload.

    In a form whose first step makes the empty instance by a function of ours, so that
    a reader can put one there that it made before: see `make_shell`.
    """
    function, args, *rest = reduced
    if function is copyreg.__newobj__:  # type: ignore[attr-defined]
        return (new, args, *rest)
    return (construct, (function, *args), *rest)


# Writing.


class Encoded:
    """The payload of one object, as the encoder leaves it to a store.

    Attributes
    ----------
    stream : bytes or IO[bytes]
        The pickle stream; a temporary file where it is large.
    stream_size : int
        Its length, in bytes.
    buffers : list of memoryview
        Out-of-band buffers, views of the object's own memory.
    size : int
        Bytes of stream and buffers together.
    targets : list
        The Persistables that the stream refers to, in the order of their positions.
    cloudpickled : bool
        Whether names of cloudpickle occur in the stream.
    """

    __slots__ = (
        "_checksum",
        "buffers",
        "cloudpickled",
        "size",
        "stream",
        "stream_size",
        "targets",
        "warnings",
    )

    def __init__(
        self,
        stream: bytes | IO[bytes],
        stream_size: int,
        buffers: list[memoryview],
        targets: list[Any],
        cloudpickled: bool,
        warnings: Sequence[str] = (),
    ) -> None:
        self.stream = stream
        self.stream_size = stream_size
        self.buffers = buffers
        self.size = stream_size + sum(view.nbytes for view in buffers) if buffers else stream_size
        self.targets = targets
        self.cloudpickled = cloudpickled
        self.warnings = warnings
        self._checksum: bytes | None = None

    @property
    def checksum(self) -> bytes:
        """The payload's checksum, 16 bytes; computed when first asked for."""
        if self._checksum is None:
            if not self.buffers and isinstance(self.stream, bytes):
                self._checksum = xxhash.xxh3_128_digest(self.stream)
            else:
                for part in self.parts():
                    deque(part, maxlen=0)  # each piece is hashed as it passes
        return self._checksum  # type: ignore[return-value]

    def parts(self) -> Iterator[Iterator[memoryview]]:
        """Yield the stream, then each buffer, as an iterator over pieces of at most `STEP` bytes.

        Each piece is hashed as it passes, while it is in the processor's cache: asking
        for `checksum` afterwards costs nothing. Every one must be used up.
        """
        hasher = xxhash.xxh3_128()
        yield self._pieces(self.stream, hasher)
        for view in self.buffers:
            yield self._pieces(view, hasher)
        self._checksum = hasher.digest()

    @staticmethod
    def _pieces(source: Any, hasher: Any) -> Iterator[memoryview]:
        if hasattr(source, "read"):
            source.seek(0)
            while piece := source.read(STEP):
                hasher.update(piece)
                yield memoryview(piece)
        else:
            view = memoryview(source)
            for start in range(0, view.nbytes, STEP):
                piece = view[start : start + STEP]
                hasher.update(piece)
                yield piece


class _CloudpickleNeededError(Exception):
    """What is being written cannot be imported by name."""


class _Dispatch(dict[type, Callable[[Any], Any]]):
    """The pickler's table of reducers, filled class by class as they are met."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self._encoder = encoder

    def __missing__(self, cls: type) -> Callable[[Any], Any]:
        reducer = self._encoder.reducer_for(cls)
        if reducer is None:
            raise KeyError(cls)  # a class with a metaclass: the pickler writes its name
        self[cls] = reducer
        return reducer


class Encoder:
    """Writes payloads; one object at a time, any number after each other.

    Not safe for use by several threads at once; `encode` lends one out of a pool.
    """

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0
        self._spool: IO[bytes] | None = None
        self._names_main = False
        self._buffers: list[memoryview] = []
        self._targets: list[Any] = []
        self._warnings: list[str] = []
        self._checks: dict[type, Check] = {}  # for classes of Persistables
        self._root: Any = None
        self._pickler = pickle.Pickler(self, _PROTOCOL, buffer_callback=self._take_buffer)
        self._refresh()

    def encode(self, obj: Any) -> Encoded:
        """Return the payload of `obj`.

        Raises
        ------
        Exception
            Whatever serializing it raised; `gc3store.diagnosis` finds the culprit.
        """
        if self._generation != _generation or self._registered != len(copyreg.dispatch_table):
            self._refresh()
        self._root = obj
        try:
            cls = type(obj)
            if cls.__module__ == "__main__":
                return self._encode_by_value(obj)
            try:
                self._pickler.dump(obj)
                if self._targets and self._dispatch.get(cls) == self._reduce_unreferring:
                    # The first of its class to refer to others: it may be part of a circle.
                    self._dispatch[cls] = self._reduce_persistable
                    self._reset()
                    self._pickler.clear_memo()
                    self._pickler.dump(obj)
            except Exception:  # noqa: BLE001
                # Whatever the reason: cloudpickle can write more, and if it cannot
                # either its error is the one to report.
                return self._encode_by_value(obj)
            if self._names_main:
                return self._encode_by_value(obj)
            return self._finish(cloudpickled=False)
        finally:
            self._root = None
            self._reset()
            self._pickler.clear_memo()

    def write(self, data: bytes) -> None:
        """Take a piece of the stream from the pickler."""
        if _MAIN in data:
            self._names_main = True
        self._size += len(data)
        if self._spool is not None:
            self._spool.write(data)
            return
        self._parts.append(data)
        if self._size > SPOOL:
            self._spool = open_spool()
            self._spool.writelines(self._parts)
            self._parts.clear()

    def reducer_for(self, cls: type) -> Callable[[Any], Any] | None:
        """Return how instances of `cls` are written, `None` for classes that are written by name."""
        if issubclass(cls, type):
            return copyreg.dispatch_table.get(cls)
        if is_persistable(cls):
            if (check := check_for(cls)) is not None:
                self._checks[cls] = check
            return self._reduce_unreferring
        if cls.__module__ == "__main__":
            raise _CloudpickleNeededError
        for_payload = getattr(cls, "_reduce_for_payload", None)
        if for_payload is not None:
            return for_payload  # type: ignore[no-any-return]
        reduce: Callable[[Any], Any] = _plain_reduce
        if cls in _tagged:
            reduce = _reduce_tagged
        elif cls in copyreg.dispatch_table:
            return copyreg.dispatch_table[cls]
        check = check_for(cls)
        return reduce if check is None else lambda obj: self._checked(obj, reduce(obj), check)

    def _checked(self, obj: Any, reduced: Any, check: Check) -> Any:
        """Return how an object is written, with a warning if it would not load again."""
        reduced, reason = check(reduced)
        if reason is not None:
            cls = type(obj)
            self._warnings.append(
                f"This {cls.__module__}.{cls.__qualname__} will probably not load again: {reason}."
            )
        return reduced

    def _reduce_unreferring(self, obj: Any) -> Any:
        if obj is self._root:
            reduced = _reduce_leaf(obj)
            if self._checks and (check := self._checks.get(type(obj))) is not None:
                return self._checked(obj, reduced, check)
            return reduced
        return self._reduce_persistable(obj)

    def _reduce_persistable(self, obj: Any) -> Any:
        if obj is self._root:
            reduced = _reduce_leaf(obj)
            check = self._checks.get(type(obj))
            return _for_shells(reduced if check is None else self._checked(obj, reduced, check))
        # The pickler's memo sees to it that this is asked once for each object.
        targets = self._targets
        targets.append(obj)
        return reference, (len(targets) - 1,)

    def _encode_by_value(self, obj: Any) -> Encoded:
        import cloudpickle

        self._reset()
        self._names_main = False
        pickler_class = _value_pickler_class(cloudpickle.Pickler)
        pickler_class(self, self._take_buffer, self).dump(obj)
        return self._finish(cloudpickled=True)

    def _take_buffer(self, buffer: pickle.PickleBuffer) -> bool:
        try:
            view = buffer.raw()
        except BufferError:
            return True  # not contiguous: into the stream
        if view.nbytes < IN_BAND:
            return True
        self._buffers.append(view)
        return False

    def _finish(self, *, cloudpickled: bool) -> Encoded:
        stream: bytes | IO[bytes]
        if self._spool is not None:
            stream, self._spool = self._spool, None
        else:
            stream = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        # An empty list is not handed over: the next object would put its own buffers into it.
        buffers, targets, warnings = self._buffers or [], self._targets or [], self._warnings or ()
        return Encoded(stream, self._size, buffers, targets, cloudpickled, warnings)

    def _reset(self) -> None:
        self._parts.clear()
        if self._spool is not None:
            self._spool.close()
            self._spool = None
        if self._buffers:
            self._buffers = []
        if self._targets:
            self._targets = []
        if self._warnings:
            self._warnings = []
        self._size = 0
        self._names_main = False

    def _refresh(self) -> None:
        self._generation, self._registered = _generation, len(copyreg.dispatch_table)
        self._pickler.dispatch_table = self._dispatch = _Dispatch(self)


_value_pickler: type | None = None


def _value_pickler_class(base: Any) -> Any:
    """Return a cloudpickle pickler that knows of references; made on first use."""
    global _value_pickler
    if _value_pickler is None:

        class ValuePickler(base):  # type: ignore[misc]
            def __init__(self, file: Any, take_buffer: Any, encoder: Encoder) -> None:
                super().__init__(file, protocol=_PROTOCOL, buffer_callback=take_buffer)
                self._encoder = encoder
                self._checks: dict[type, Check | None] = {}

            def reducer_override(self, obj: Any) -> Any:
                cls = type(obj)
                if issubclass(cls, type):
                    if cls in copyreg.dispatch_table:
                        return copyreg.dispatch_table[cls](obj)
                    # Pickling an instance leaves this note in its class; a class that is
                    # written before must not differ from the same one written after.
                    copyreg._slotnames(obj)  # type: ignore[attr-defined]
                else:
                    if is_persistable(cls):
                        return self._encoder._reduce_persistable(obj)
                    if hasattr(cls, "_reduce_for_payload"):
                        return cls._reduce_for_payload(obj)
                    if cls not in self._checks:
                        self._checks[cls] = check_for(cls)
                    check = self._checks[cls]
                    if check is not None:
                        return self._encoder._checked(obj, _reduce_tagged(obj), check)
                    if cls in _tagged:
                        return _reduce_tagged(obj)
                return super().reducer_override(obj)

        _value_pickler = ValuePickler
    return _value_pickler


_pool: list[Encoder] = []


def encode(obj: Any) -> Encoded:
    """Return the payload of `obj`; safe from any thread, and from within a `__getstate__`."""
    try:
        encoder = _pool.pop()
    except IndexError:
        encoder = Encoder()
    encoded = encoder.encode(obj)
    if (
        encoded.stream_size < SMALL
    ):  # a pickler's memo never shrinks again, and clearing it takes as long as it is large
        _pool.append(encoder)
    if encoded.warnings:
        for message in encoded.warnings:
            warnings.warn(message, UnloadableWarning, stacklevel=outside())
    return encoded


# Reading.


class Source:
    """A payload as a store hands it over for reading.

    Attributes
    ----------
    stream : bytes, memoryview or IO[bytes]
        The pickle stream; a file is read from where it stands.
    buffers : list of buffers, or None
        The out-of-band buffers, writable where the objects' memory was.
    plain : bool
        Whether nothing in it concerns us: neither references nor cloudpickle.
    persistent : sequence of str, or None
        For a payload of GC3Pie: the persistent IDs in it, by their position in the record's
        list of references.
    """

    __slots__ = ("buffers", "persistent", "plain", "stream")

    def __init__(
        self,
        stream: Any,
        buffers: Sequence[Any] | None = None,
        *,
        plain: bool = False,
        persistent: Sequence[str] | None = None,
    ) -> None:
        self.stream = stream
        self.buffers = buffers
        self.plain = plain
        self.persistent = persistent

    def file(self) -> IO[bytes]:
        """Return the stream as a file, from its beginning."""
        if hasattr(self.stream, "read"):
            return self.stream  # type: ignore[no-any-return]
        return io.BytesIO(self.stream)


class _Reader(pickle.Unpickler):
    """Resolves references, and lets live classes of the notebook win."""

    def __init__(self, source: Source, references: Sequence[Any], finder: Finder | None) -> None:
        super().__init__(source.file(), buffers=source.buffers)
        self._references = references
        self._persistent = {id_: i for i, id_ in enumerate(source.persistent or ())}
        self._finder = finder
        self._kept: list[type] = []
        self.make: Callable[..., Any] | None = None

    def persistent_load(self, id_: Any) -> Any:
        position = self._persistent.get(str(id_))
        if position is None:
            raise pickle.UnpicklingError(f"the payload refers to {id_}, which is not among its references")
        return self._references[position]

    def find_class(self, module: str, name: str) -> Any:
        if module == "gc3store.persistable":
            if name == "reference":
                return self._references.__getitem__
            if self.make is not None and name in ("new", "construct"):
                return self._make_with(getattr(persistable, name))
        elif module == "cloudpickle.cloudpickle":
            if name == "_make_skeleton_class":
                return self._skeleton
            if name == "_class_setstate":
                return self._set_class_state
        elif module == "__mp_main__":
            module = "__main__"  # the name that a spawned worker knows the main script by
        if self._finder is not None:
            return self._finder(module, name, super().find_class)
        return super().find_class(module, name)

    def _make_with(self, function: Callable[..., Any]) -> Callable[..., Any]:
        make = self.make
        assert make is not None
        return lambda *args: make(function, *args)

    def _skeleton(self, metaclass: Any, name: str, bases: Any, kwds: Any, tracker: Any, extra: Any) -> Any:
        from cloudpickle import cloudpickle

        live = (
            getattr(sys.modules.get("__main__"), name, None) if kwds.get("__module__") == "__main__" else None
        )
        if not (isinstance(live, type) and live.__module__ == "__main__" and live.__qualname__ == name):
            # The class itself, where it was saved by this very process: as it is now,
            # and not set back to what it was then.
            live = getattr(cloudpickle, "_DYNAMIC_CLASS_TRACKER_BY_ID", {}).get(tracker)
        if live is not None:
            self._kept.append(live)
            return live
        return cloudpickle._make_skeleton_class(metaclass, name, bases, kwds, tracker, extra)

    def _set_class_state(self, cls: type, state: Any) -> type:
        if any(cls is kept for kept in self._kept):
            return cls
        from cloudpickle import cloudpickle

        return cloudpickle._class_setstate(cls, state)  # type: ignore[no-any-return]


def decode(
    source: Source, references: Sequence[Any] = (), *, shell: Any = None, finder: Finder | None = None
) -> Any:
    """Return the object that a payload describes.

    Parameters
    ----------
    source : Source
        The payload.
    references : sequence
        The objects that the record refers to, by position.
    shell : object, optional
        The instance to fill in, as `make_shell` made it.
    finder : callable, optional
        How to resolve names; by default they are imported.

    Raises
    ------
    Exception
        Whatever reading it, or the classes' own methods, raised.
    """
    if source.plain and finder is None:
        if isinstance(source.stream, (bytes, memoryview)):
            return pickle.loads(source.stream, buffers=source.buffers)
        return pickle.load(source.file(), buffers=source.buffers)
    reader = _Reader(source, references, finder)
    if shell is not None:
        reader.make = lambda *_: shell
    return reader.load()


class _ShellMade(BaseException):
    """Ends the reading of a payload as soon as its root exists."""

    def __init__(self, shell: Any) -> None:
        self.shell = shell


def make_shell(source: Source, references: Sequence[Any] = (), *, finder: Finder | None = None) -> Any:
    """Return the empty instance that a Persistable's payload begins with.

    Reads just so far. Where objects refer to each other in a circle, such shells
    are handed out first and filled in by `decode` afterwards.
    """

    def make(function: Callable[..., Any], *args: Any) -> Any:
        raise _ShellMade(function(*args))

    reader = _Reader(source, references, finder)
    reader.make = make
    try:
        reader.load()
    except _ShellMade as made:
        return made.shell
    raise StoreError("The payload does not begin with the object itself.")


def checksum_of(source: Source) -> bytes:
    """Return the checksum of a payload that is all in memory; as `Encoded.checksum`."""
    if not source.buffers and not hasattr(source.stream, "read"):
        return xxhash.xxh3_128_digest(source.stream)
    hasher = xxhash.xxh3_128()
    for part in (source.stream, *(source.buffers or ())):
        view = memoryview(part).cast("B")
        for start in range(0, view.nbytes, STEP):
            hasher.update(view[start : start + STEP])
    return hasher.digest()
