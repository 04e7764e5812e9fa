"""Batches of as many records as fit into a little memory, and as make a round trip not matter."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Generic, TypeVar

__all__ = ["BYTES", "MOST", "Batches", "by_size"]

T = TypeVar("T")

#: How many bytes of payloads are handled at a time.
BYTES = 16 * 1024 * 1024

#: How many records are handled at a time at most: enough for a round trip not to matter.
MOST = 1000

#: How many times as large as the one before a batch is at most.
_GROWTH = 16


class Batches(Generic[T]):
    """Takes items a batch at a time, as many as the weight of those before lets expect to fit.

    The first batch is a single item, since nothing is known of the weights then, and one may
    be as large as memory allows; those after it grow step by step.

    Examples
    --------
    >>> batches = Batches(range(3000))
    >>> sizes = []
    >>> for batch in batches:
    ...     sizes.append(len(batch))
    ...     batches.weigh(100 * len(batch))
    >>> sizes
    [1, 16, 256, 1000, 1000, 727]
    """

    def __init__(self, items: Iterable[T]) -> None:
        self._items = iter(items)
        self._again: Iterator[T] = iter(())
        self._batch: list[T] = []
        self._next = 1

    def __iter__(self) -> Iterator[list[T]]:
        while batch := list(islice(chain(self._again, self._items), self._next)):
            self._batch = batch
            yield batch

    def weigh(self, size: int, count: int | None = None) -> None:
        """Say how many bytes the payloads of the batch had that was taken last.

        Or only those of its first `count` items, where it was too large: the others come again.
        """
        if count is None:
            count = len(self._batch)
        elif count < len(self._batch):
            self._again = iter([*self._batch[count:], *self._again])
        self._next = max(1, min(MOST, _GROWTH * count, BYTES * count // max(size, 1)))


def by_size(items: Sequence[T], size_of: Callable[[T], int]) -> Iterator[Sequence[T]]:
    """Yield `items` in parts of at most `BYTES` together, or of one item that is larger.

    >>> list(by_size([1, 2, BYTES, 3], lambda size: size))
    [[1, 2], [16777216], [3]]
    """
    sizes = list(map(size_of, items))
    if items and sum(sizes) <= BYTES:
        yield items
        return
    start = total = 0
    for stop, size in enumerate(sizes):
        if total + size > BYTES and stop > start:
            yield items[start:stop]
            start, total = stop, 0
        total += size
    if start < len(items):
        yield items[start:]
