"""Numbers for new records, each given out once by any number of processes and hosts."""

from __future__ import annotations

import os
import time
from contextlib import suppress

from gc3store.errors import StoreUnavailableError
from gc3store.filesystem.layout import Layout
from gc3store.filesystem.records import Records
from gc3store.format import Damaged
from gc3store.ids import number_of
from gc3store.support.files import is_abandoned
from gc3store.support.retrying import CLAIMS

__all__ = ["Numbers"]


class Numbers:
    """The numbers that a directory gives out; before the first, it is tidied.

    Parameters
    ----------
    layout : Layout
        The directory.
    records : Records
        Its records.
    """

    def __init__(self, layout: Layout, records: Records) -> None:
        self._layout = layout
        self._records = records
        self._next: int | None = None
        self._floor = 0  # above all numbers that existed when the first was given out

    def allocate(self, count: int) -> int:
        """Return the first of `count` numbers that were never given out before."""
        private = self._layout.private
        for _ in range(CLAIMS):
            if self._next is None:
                self._next = self._find_next()
            first = max(self._next, self._floor)
            try:
                os.rename(f"{private}/next-{self._next}", f"{private}/next-{first + count}")
            except FileNotFoundError:
                self._next = None  # another process was faster
                continue
            self._next = first + count
            return first
        raise StoreUnavailableError(f"{private} is too busy to give out an ID; try again.")

    def was_given(self, number: int) -> bool:
        """Whether a number was given out before."""
        if self._next is None or number >= max(self._next, self._floor):
            self._next = self._find_next()  # other processes may have given out more
        return number < max(self._next, self._floor)

    def _find_next(self) -> int:
        layout = self._layout
        if not self._floor:
            self._tidy()
            # After a power cut the newest renames may be missing in one directory and not
            # in the other: never go below what exists.
            self._floor = max(map(number_of, layout.ids()), default=0) + 1
        for _ in range(CLAIMS):  # the file may be renamed while the folder is listed
            for name in os.listdir(layout.private):
                if name.startswith("next-"):
                    return int(name[5:])
        raise StoreUnavailableError(
            f"{layout.private} has lost its file next-N; create it, with a number above all that were ever given out."
        )

    def _tidy(self) -> None:
        """Delete what processes left behind that were killed while they wrote."""
        abandoned = []
        with suppress(OSError), os.scandir(os.path.join(self._layout.private, "tmp")) as files:
            abandoned = [file.path for file in files if is_abandoned(file.path)]
        if not abandoned:
            return
        for path in abandoned:
            with suppress(OSError):
                os.unlink(path)
        # A payload of one of them may have reached its place without its record.
        with suppress(OSError), os.scandir(os.path.join(self._layout.private, "data")) as files:
            for file in files:
                head = self._records.head(file.name.rpartition("-")[0])
                try:
                    used = head is not None and head.entry().get("data") == file.name
                except Damaged:
                    used = True  # as far as can be told
                if not used and time.time() - file.stat().st_mtime > 3600:
                    os.unlink(file.path)
