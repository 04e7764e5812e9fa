"""What was found out about a catalogue, for as long as its database stays as it is.

Scrolling through a sorted table asks for a hundred entries here and a hundred there, all of
the same order. A database without an index for that order sorts each time, or walks over
all that comes before. The numbers of a million entries in their order take up 8 MB; with
these at hand, a window anywhere is a look at a hundred rows by their keys.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Hashable, Iterable
from itertools import chain, islice
from typing import TypeVar, overload

__all__ = ["QueryCache", "packed_numbers"]

T = TypeVar("T")

#: Bytes of all that is kept of one connection.
_ROOM = 64 * 1024 * 1024
#: Entries of an order that is kept at most.
_LONGEST = 4_000_000
#: Queries whose uses are counted.
_NOTED = 1000
#: Bytes that a result takes up besides numbers, and a row of one, about.
_SMALL = 1024


class QueryCache:
    """Results of queries on one version of a database.

    Parameters
    ----------
    version : hashable
        What is another one after any change of the database.

    Examples
    --------
    >>> cache = QueryCache(1)
    >>> [cache.get("how many?", lambda: 42, min_uses=2) for _ in range(3)]
    [None, 42, 42]
    """

    def __init__(self, version: Hashable) -> None:
        self.version = version
        self._found: dict[Hashable, object] = {}  # the one used last comes last
        self._uses: dict[Hashable, int] = {}
        self._size = 0

    @overload
    def get(self, key: Hashable, find: Callable[[], T]) -> T: ...

    @overload
    def get(self, key: Hashable, find: Callable[[], T], *, min_uses: int) -> T | None: ...

    def get(self, key: Hashable, find: Callable[[], T], *, min_uses: int = 1) -> T | None:
        """Return the result of a query, or `None` as long as it was not asked for `min_uses` times.

        Parameters
        ----------
        key : hashable
            What tells the query from others.
        find : callable
            Finds the result, which is cached from then on.
        min_uses : int
            How often the query must be asked before it is worth its cost to find the result.
        """
        if key in self._found:
            result = self._found[key] = self._found.pop(key)
            return result  # type: ignore[return-value]
        if len(self._uses) > _NOTED:
            self._uses.clear()
        uses = self._uses[key] = self._uses.get(key, 0) + 1
        if uses < min_uses:
            return None
        found = find()
        if _size_of(found) <= _ROOM // 2:
            self._found[key] = found
            self._size += _size_of(found)
        for oldest in list(self._found):
            if self._size <= _ROOM:
                break
            self._size -= _size_of(self._found.pop(oldest))
        return found


def _size_of(result: object) -> int:
    if isinstance(result, array):
        return _SMALL + result.itemsize * len(result)
    return _SMALL * (1 + len(result) if isinstance(result, list) else 1)


def packed_numbers(rows: Iterable[tuple[int]]) -> array[int] | None:
    """Return the numbers in rows of one column; `None` if they are too many to be kept."""
    numbers = array("q", islice(chain.from_iterable(rows), _LONGEST + 1))
    return numbers if len(numbers) <= _LONGEST else None
