"""Batches of as many records as fit into a little memory, and as make a round trip not matter."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Generic, TypeVar

__all__ = ["BYTES", "MOST", "Batches", "by_size"]

T = TypeVar("T")

#: How many bytes of payloads are handled at a time.
BYTES = 16 * 1024 * 1024

#: How many records are handled at a time at most: enough for a round trip not to matter.
MOST = 1000

_FIRST = 16


class Batches(Generic[T]):
    """Takes items a batch at a time, as many as the weight of those before lets expect to fit.

    The first batch is small, since nothing is known of the weights then.

    Examples
    --------
    >>> batches = Batches(range(3000))
    >>> sizes = []
    >>> for batch in batches:
    ...     sizes.append(len(batch))
    ...     batches.weigh(100 * len(batch))
    >>> sizes
    [16, 1000, 1000, 984]
    """

    def __init__(self, items: Iterable[T]) -> None:
        self._items = iter(items)
        self._count = 0
        self._next = _FIRST

    def __iter__(self) -> Iterator[list[T]]:
        while batch := list(islice(self._items, self._next)):
            self._count = len(batch)
            yield batch

    def weigh(self, size: int) -> None:
        """Say how many bytes the payloads of the batch had that was taken last."""
        self._next = max(1, min(MOST, BYTES * self._count // max(size, 1)))


def by_size(items: Sequence[T], size_of: Callable[[T], int]) -> Iterator[Sequence[T]]:
    """Yield `items` in parts of at most `BYTES` together, or of one item that is larger.

    >>> list(by_size([1, 2, BYTES, 3], lambda size: size))
    [[1, 2], [16777216], [3]]
    """
    start = total = 0
    for stop, item in enumerate(items):
        size = size_of(item)
        if total + size > BYTES and stop > start:
            yield items[start:stop]
            start, total = stop, 0
        total += size
    if start < len(items):
        yield items[start:]
