"""Numbers for new records, each given out once by any number of processes and hosts."""

from __future__ import annotations

import os
import time
from contextlib import suppress

from gc3store.errors import (
    StoreUnavailableError,
)
from gc3store.filesystem.reading import Reading
from gc3store.format import Damaged
from gc3store.ids import number_of
from gc3store.support.files import (
    is_abandoned,
)

__all__ = ["Numbering"]


class Numbering(Reading):
    """How a directory gives out numbers, and what it tidies before the first."""

    def _allocate(self, count: int) -> int:
        """Return the first of `count` numbers that no one else was or will be given."""
        for _ in range(10_000):
            if self._next is None:
                self._next = self._find_next()
            first = max(self._next, self._floor)
            try:
                os.rename(f"{self._private}/next-{self._next}", f"{self._private}/next-{first + count}")
            except FileNotFoundError:
                self._next = None  # another process was faster
                continue
            self._next = first + count
            return first
        raise StoreUnavailableError(f"{self._private} is too busy to give out an ID; try again.")

    def _tidy(self) -> None:
        """Remove what processes left behind that were killed while they wrote."""
        abandoned = []
        with suppress(OSError), os.scandir(self._tmp) as files:
            abandoned = [file.path for file in files if is_abandoned(file.path)]
        if not abandoned:
            return
        for path in abandoned:
            with suppress(OSError):
                os.unlink(path)
        # A payload of one of them may have reached its place without its record.
        with suppress(OSError), os.scandir(os.path.join(self._private, "data")) as files:
            for file in files:
                head = self._head(file.name.rpartition("-")[0])
                try:
                    used = head is not None and head.entry().get("data") == file.name
                except Damaged:
                    used = True  # for all that can be told
                if not used and time.time() - file.stat().st_mtime > 3600:
                    os.unlink(file.path)

    _floor = 0

    def _find_next(self) -> int:
        if not self._floor:
            self._tidy()
            # After a power cut the newest renames may be missing in one directory and not
            # in the other: never go below what exists.
            numbers = [number_of(id_) for id_ in self._index.ids_in_directory()]
            self._floor = max(numbers, default=0) + 1
        for _ in range(1000):
            for name in os.listdir(self._private):
                if name.startswith("next-"):
                    return int(name[5:])
        raise StoreUnavailableError(
            f"{self._private} has lost its file next-N; create it, with a number above all that were ever given out."
        )
