"""Memory for large buffers, and for very many objects."""

from __future__ import annotations

import gc
import mmap
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

__all__ = ["MANY", "Rest", "is_passing", "many_objects", "passing_through", "room_for"]

#: How many objects are very many.
MANY = 1000

_LARGE = 1024 * 1024


def room_for(size: int) -> Any:
    """Return writable memory for `size` bytes; if large, it is not touched before it is filled.

    >>> len(room_for(3)), len(room_for(2**20))
    (3, 1048576)
    """
    if size < _LARGE:
        return bytearray(size)
    if is_passing():
        with suppress(OSError, AttributeError):  # no space there, or no way to be sure of it
            return _room_on_disk(size)
    if not hasattr(mmap, "MAP_PRIVATE"):
        return mmap.mmap(-1, size)
    # Private: what a forked child writes into an array must not show in its parent.
    room = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):  # where the kernel has no huge pages
            room.madvise(mmap.MADV_HUGEPAGE)
    return room


_passing = threading.local()


@contextmanager
def passing_through() -> Iterator[None]:
    """Let large payloads that are read in the context take no memory: they are only passed on.

    What `room_for` returns then is a temporary file's, which the system writes out when
    memory is short; files of payloads are mapped, not copied.
    """
    before = is_passing()
    _passing.on = True
    try:
        yield
    finally:
        _passing.on = before


def is_passing() -> bool:
    """Whether this thread is in the context of `passing_through`."""
    return getattr(_passing, "on", False)


def _room_on_disk(size: int) -> mmap.mmap:
    with tempfile.TemporaryFile(prefix="gc3store-", buffering=0) as file:
        os.posix_fallocate(file.fileno(), 0, size)  # a file with holes could turn out not to fit
        return mmap.mmap(file.fileno(), size)


class Rest:
    """As `many_objects`, for a number of objects that shows only while they are made."""

    __slots__ = ("_context",)

    def __init__(self) -> None:
        self._context: Any = None

    def begin(self) -> None:
        """Let the garbage collector rest, if it does not yet."""
        if self._context is not None:
            return
        self._context = many_objects(MANY)
        self._context.__enter__()

    def end(self) -> None:
        """Let it go on, if it was resting."""
        context, self._context = self._context, None
        if context is not None:
            context.__exit__(None, None, None)


_pauses = 0
_lock = threading.Lock()


@contextmanager
def many_objects(count: int) -> Iterator[None]:
    """Let the garbage collector rest while very many objects are made at once.

    Each of its full passes would walk through all that were made so far; a graph of
    50,000 records loads 1.6 times as fast without.
    """
    global _pauses
    if count < MANY:
        yield
        return
    with _lock:
        resting = _pauses > 0 or gc.isenabled()
        if resting:
            _pauses += 1
            gc.disable()
    try:
        yield
    finally:
        if resting:
            with _lock:
                _pauses -= 1
                if _pauses == 0:
                    gc.enable()
