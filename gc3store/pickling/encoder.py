"""Objects to payloads."""

from __future__ import annotations

import copyreg
import pickle
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from typing import IO, Any

import cloudpickle
import xxhash

from gc3store.errors import UnloadableWarning
from gc3store.persistable import reference
from gc3store.pickling import reducers
from gc3store.pickling.checks import Check, check_for
from gc3store.pickling.reducers import (
    PROTOCOL,
    for_shells,
    is_persistable,
    plain_reduce,
    reduce_leaf,
    reduce_tagged,
)
from gc3store.support.large_files import open_spool
from gc3store.support.stacklevel import caller_stacklevel

__all__ = [
    "IN_BAND",
    "SPOOL",
    "STEP",
    "Encoded",
    "Encoder",
    "encode",
    "give_back",
    "take_encoder",
]

#: Buffers smaller than this stay in the stream, in bytes: the pickler's own frame size.
IN_BAND = 64 * 1024

#: How much of a stream is held in memory while it is written, in bytes; the rest is spooled to a file.
SPOOL = 8 * 1024 * 1024

#: Encoders that wrote a stream of at most this size are used again, in bytes.
SMALL = 8192

#: Buffers are copied and hashed in steps of this size, in bytes, which fits a processor's cache.
STEP = 1024 * 1024

#: The name as protocol 5 writes a short string.
_MAIN = pickle.SHORT_BINUNICODE + b"\x08__main__"


class Encoded:
    """The payload of one object, as the encoder leaves it to a store.

    A backend writes `stream` and `buffers`, or takes both in pieces from `parts`, and keeps `size` and
    `checksum` with them. The buffers are memory of the object itself: they must be written, or
    copied, before the call of the store returns.

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
    checksum : bytes
        The payload's checksum, 16 bytes; of what is large, computed when it is first asked for.
    targets : list
        The Persistables that the stream refers to, in the order of their positions.
    cloudpickled : bool
        Whether names of cloudpickle occur in the stream.
    """

    __slots__ = (
        "buffers",
        "checksum",
        "cloudpickled",
        "is_hashed",
        "size",
        "stream",
        "stream_size",
        "targets",
    )

    def __init__(
        self,
        stream: bytes | IO[bytes],
        stream_size: int,
        buffers: list[memoryview],
        targets: list[Any],
        cloudpickled: bool,
        checksum: bytes | None = None,
    ) -> None:
        self.stream = stream
        self.stream_size = stream_size
        self.buffers = buffers
        self.size = stream_size + sum(view.nbytes for view in buffers) if buffers else stream_size
        self.targets = targets
        self.cloudpickled = cloudpickled
        self.is_hashed = True
        if checksum is not None:
            self.checksum = checksum
        elif not buffers and type(stream) is bytes:
            self.checksum = xxhash.xxh3_128_digest(stream)
        else:
            self.is_hashed = False

    def __getattr__(self, name: str) -> Any:
        # Only called while there is no checksum yet: a property would cost every other payload a call.
        if name != "checksum":
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        for part in self.parts():
            deque(part, maxlen=0)  # each piece is hashed as it passes
        return self.checksum

    def close(self) -> None:
        """Give back a temporary file, of a payload that is not written after all."""
        if not isinstance(self.stream, bytes):
            self.stream.close()

    def parts(self) -> Iterator[Iterator[memoryview]]:
        """Yield the stream, then each buffer, as an iterator over pieces of at most `STEP` bytes.

        Each piece is hashed as it passes, while it is in the processor's cache: asking
        for `checksum` afterwards costs nothing. Every one must be used up.
        """
        hasher = xxhash.xxh3_128()
        yield self._pieces(self.stream, hasher)
        for view in self.buffers:
            yield self._pieces(view, hasher)
        if not self.is_hashed:
            self.checksum = hasher.digest()
            self.is_hashed = True

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
        self._root: Any = None
        self._refresh()

    def encode(self, obj: Any) -> Encoded:
        """Return the payload of `obj`.

        Raises
        ------
        Exception
            Whatever serializing it raised; `gc3store.pickling.explain` finds the culprit.

        Warns
        -----
        UnloadableWarning
            If something in it is known not to load again.
        """
        if self._generation != reducers.generation or self._registered != len(copyreg.dispatch_table):
            self._refresh()
        self._root = obj
        try:
            cls = type(obj)
            if cls.__module__ == "__main__":
                return self._encode_by_value(obj)
            try:
                self._pickler.dump(obj)
                if self._targets and cls in self._unreferring:
                    # The first of its class to refer to others: it may be part of a circle.
                    self._unreferring.remove(cls)
                    self._dispatch[cls] = self.referring_reducer(cls)
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
            if self._size < SMALL:
                self._pickler.clear_memo()
            else:  # a memo never shrinks again, and clearing it takes as long as it is large
                self._renew()
            if self._spool is None and not (self._buffers or self._targets or self._warnings):
                self._parts.clear()
                self._size, self._names_main = 0, False
            else:
                self._reset()

    def write(self, data: bytes) -> None:
        """Take a piece of the stream from the pickler."""
        # From the end: CPython looks for bytes two to five times as fast in this direction.
        if data.rfind(_MAIN) >= 0:
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
            self._unreferring.add(cls)
            return self._persistable_reducer(cls, refers=False)
        if cls.__module__ == "__main__":
            raise _CloudpickleNeededError
        for_payload = getattr(cls, "_reduce_for_payload", None)
        if for_payload is not None:
            return for_payload  # type: ignore[no-any-return]
        reduce: Callable[[Any], Any] = plain_reduce
        if cls in reducers.tagged:
            reduce = reduce_tagged
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

    def referring_reducer(self, cls: type) -> Callable[[Any], Any]:
        """Return how instances of a Persistable's class are written that refer to others."""
        reducer = self._referring.get(cls)
        if reducer is None:
            reducer = self._referring[cls] = self._persistable_reducer(cls, refers=True)
        return reducer

    def _persistable_reducer(self, cls: type, *, refers: bool) -> Callable[[Any], Any]:
        check = check_for(cls)

        def reduce(obj: Any) -> Any:
            if obj is self._root:
                reduced = reduce_leaf(obj)
                if check is not None:
                    reduced = self._checked(obj, reduced, check)
                return for_shells(reduced) if refers else reduced
            # The pickler's memo sees to it that this is asked once for each object.
            targets = self._targets
            targets.append(obj)
            return reference, (len(targets) - 1,)

        return reduce

    def _encode_by_value(self, obj: Any) -> Encoded:
        self._reset()
        self._names_main = False
        _ValuePickler(self, self._take_buffer).dump(obj)
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
        for message in self._warnings:
            warnings.warn(message, UnloadableWarning, stacklevel=caller_stacklevel())
        # An empty list is not handed over: the next object would put its own buffers into it.
        return Encoded(stream, self._size, self._buffers or [], self._targets or [], cloudpickled)

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

    def _renew(self) -> None:
        self._pickler = pickle.Pickler(self, PROTOCOL, buffer_callback=self._take_buffer)
        self._pickler.dispatch_table = self._dispatch

    def _refresh(self) -> None:
        self._generation, self._registered = reducers.generation, len(copyreg.dispatch_table)
        self._dispatch = _Dispatch(self)
        #: Persistables' classes none of whose instances refers to others yet.
        self._unreferring: set[type] = set()
        self._referring: dict[type, Callable[[Any], Any]] = {}
        self._renew()


class _ValuePickler(cloudpickle.Pickler):  # type: ignore[misc]
    """The pickler of cloudpickle, which knows of references."""

    def __init__(self, encoder: Encoder, take_buffer: Callable[[pickle.PickleBuffer], bool]) -> None:
        super().__init__(encoder, protocol=PROTOCOL, buffer_callback=take_buffer)
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
                return self._encoder.referring_reducer(cls)(obj)
            if hasattr(cls, "_reduce_for_payload"):
                return cls._reduce_for_payload(obj)
            if cls not in self._checks:
                self._checks[cls] = check_for(cls)
            check = self._checks[cls]
            if check is not None:
                return self._encoder._checked(obj, reduce_tagged(obj), check)
            if cls in reducers.tagged:
                return reduce_tagged(obj)
        return super().reducer_override(obj)


_pool: list[Encoder] = []


def encode(obj: Any) -> Encoded:
    """Return the payload of `obj`; safe from any thread, and from within a `__getstate__`."""
    encoder = _pool.pop() if _pool else Encoder()
    encoded = encoder.encode(obj)
    _pool.append(encoder)  # one that an error came out of is left to the garbage collector instead
    return encoded


def take_encoder() -> Encoder:
    """Return an encoder for the caller alone, until it is given back."""
    try:
        return _pool.pop()
    except IndexError:
        return Encoder()


def give_back(encoder: Encoder) -> None:
    """Let others use an encoder; one that an error came out of is left to the garbage collector instead."""
    _pool.append(encoder)
