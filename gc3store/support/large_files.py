"""Files that large payloads pass through.

Payloads are passed on lazily, so that there is no one place to close such a file at. These
close as soon as nothing refers to them any more; Python's own warn when that happens.
"""

from __future__ import annotations

import io
import os
import tempfile
from typing import Any

__all__ = ["LargeFile", "Spool", "open_large", "open_spool"]


class Spool(io.BufferedRandom):
    """A temporary file; make one with `open_spool`."""

    def __del__(self) -> None:
        self.close()


def open_spool() -> Spool:
    """Open a new temporary file."""
    return Spool(tempfile.TemporaryFile(prefix="gc3store-", buffering=0))


class LargeFile(io.BufferedReader):
    """A file open for reading; make one with `open_large`."""

    def __del__(self) -> None:
        self.close()


class _Beginning(io.FileIO):
    """A file as if it ended after `size` bytes."""

    def __init__(self, path: str, size: int) -> None:
        super().__init__(path)
        self._size = size

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        if whence == os.SEEK_END:
            return super().seek(self._size + offset)
        return super().seek(offset, whence)

    def readinto(self, buffer: Any, /) -> int:
        return super().readinto(memoryview(buffer)[: max(0, self._size - self.tell())])

    def readall(self) -> bytes:
        pieces = []
        while piece := super().read(max(0, self._size - self.tell())):
            pieces.append(piece)
        return b"".join(pieces)


def open_large(path: str, size: int) -> LargeFile:
    """Open a file for reading as far as its first `size` bytes; its descriptor reads all of it."""
    return LargeFile(_Beginning(path, size))
