"""Payloads back to objects."""

from __future__ import annotations

import io
import pickle
import sys
from collections.abc import Callable, Sequence
from typing import IO, Any

import xxhash
from cloudpickle import cloudpickle

from gc3store import persistable
from gc3store.errors import StoreError
from gc3store.pickling.encoder import STEP

__all__ = ["Finder", "Source", "checksum_of", "decode", "make_shell"]

#: How a reader turns a name in a payload into an object: ``finder(module, name, default)``.
Finder = Callable[[str, str, Callable[[str, str], Any]], Any]


class Source:
    """A payload as a store hands it over for reading.

    The counterpart of `gc3store.pickling.Encoded`. A backend makes one of what it has read; the
    decoder reads a file once, from where it stands, and the objects may keep the memory of the buffers.

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


class _LiveClasses:
    """Lets the live classes of a notebook win over those in a payload.

    An object of its own: a reader keeps what it hands out, and one that handed out methods
    of itself would keep all that it read alive until the garbage is collected.
    """

    def __init__(self) -> None:
        self._kept: list[type] = []

    def skeleton(self, metaclass: Any, name: str, bases: Any, kwds: Any, tracker: Any, extra: Any) -> Any:
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

    def set_state(self, cls: type, state: Any) -> type:
        if any(cls is kept for kept in self._kept):
            return cls
        return cloudpickle._class_setstate(cls, state)  # type: ignore[no-any-return]


class _Reader(pickle.Unpickler):
    """Resolves references and names."""

    def __init__(self, source: Source, references: Sequence[Any], finder: Finder | None) -> None:
        super().__init__(source.file(), buffers=source.buffers)
        self._references = references
        self._persistent = {id_: i for i, id_ in enumerate(source.persistent or ())}
        self._finder = finder
        self._classes = _LiveClasses()
        self.make: Callable[..., Any] | None = None

    def persistent_load(self, id_: Any) -> Any:
        position = self._persistent.get(str(id_))
        if position is None:
            raise pickle.UnpicklingError(f"the payload refers to {id_}, which is not among its references")
        return self._references[position]

    def find_class(self, module: str, name: str) -> Any:
        module, name = persistable.current_name(module, name)
        if module == "gc3store.persistable":
            if name == "reference":
                return self._references.__getitem__
            if self.make is not None and name in ("new", "construct"):
                return self._make_with(getattr(persistable, name))
        elif module == "cloudpickle.cloudpickle":
            if name == "_make_skeleton_class":
                return self._classes.skeleton
            if name == "_class_setstate":
                return self._classes.set_state
        elif module == "__mp_main__":
            module = "__main__"  # the name that a spawned worker knows the main script by
        if self._finder is not None:
            return self._finder(module, name, super().find_class)
        return super().find_class(module, name)

    def _make_with(self, function: Callable[..., Any]) -> Callable[..., Any]:
        make = self.make
        assert make is not None
        return lambda *args: make(function, *args)


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
        in_memory = isinstance(source.stream, (bytes, memoryview))
        start = 0 if in_memory else source.stream.tell()
        try:
            if in_memory:
                return pickle.loads(source.stream, buffers=source.buffers)
            return pickle.load(source.stream, buffers=source.buffers)
        except (ImportError, AttributeError) as error:
            # Pickle's own reader, which is the fastest, knows nothing of names of ours that have moved.
            if "gc3store." not in str(error):
                raise
        if not in_memory:
            source.stream.seek(start)
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
