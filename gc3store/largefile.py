"""Files that large payloads pass through.

Payloads are passed on lazily, so that there is no one place to close such a file at. These
close as soon as nothing refers to them any more; Python's own warn when that happens.
"""

from __future__ import annotations

import io
import tempfile

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


def open_large(path: str) -> LargeFile:
    """Open a file for reading."""
    return LargeFile(io.FileIO(path))
