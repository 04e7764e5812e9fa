"""Batches of as many records as fit into a little memory, and as make a round trip not matter."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import Final, Generic, TypeVar

__all__ = ["MAX_BYTES", "MAX_COUNT", "Batches", "split_by_count", "split_by_size"]

T = TypeVar("T")

#: How many bytes of payloads are handled at a time.
MAX_BYTES: Final = 16 * 1024 * 1024

#: How many records are handled at a time at most: enough for a round trip not to matter.
MAX_COUNT: Final = 1000

#: How many times as large as the one before a batch is at most.
_GROWTH: Final = 16


class Batches(Generic[T]):
    """Takes items a batch at a time, as many as the sizes of those before lets expect to fit.

    The first batch is a single item, since nothing is known of the sizes then, and one may
    be as large as memory allows; those after it grow step by step.

    Examples
    --------
    >>> batches = Batches(range(3000))
    >>> sizes = []
    >>> for batch in batches:
    ...     sizes.append(len(batch))
    ...     batches.report_size(100 * len(batch))
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

    def report_size(self, size: int, count: int | None = None) -> None:
        """Report how large the batch was that was taken last.

        Parameters
        ----------
        size : int
            How many bytes its payloads have.
        count : int, optional
            How many of its first items these are, where the batch was too large: the others come again.
        """
        if count is None:
            count = len(self._batch)
        elif count < len(self._batch):
            self._again = iter([*self._batch[count:], *self._again])
        self._next = max(1, min(MAX_COUNT, _GROWTH * count, MAX_BYTES * count // max(size, 1)))


def split_by_size(
    items: Iterable[T], size_of: Callable[[T], int], *, max_count: int | None = None
) -> Iterator[list[T]]:
    """Yield `items` in parts of at most `MAX_BYTES` together, or of one item that is larger.

    Parameters
    ----------
    items : iterable
        The items; one more is taken than is in the part.
    size_of : callable
        Returns how many bytes an item has.
    max_count : int, optional
        How many items are in a part at most.

    Examples
    --------
    >>> list(split_by_size([1, 2, MAX_BYTES, 3], lambda size: size))
    [[1, 2], [16777216], [3]]
    """
    part: list[T] = []
    total = 0
    for item in items:
        size = size_of(item)
        if part and (total + size > MAX_BYTES or len(part) == max_count):
            yield part
            part, total = [], 0
        part.append(item)
        total += size
    if part:
        yield part


def split_by_count(items: Iterable[T], count: int) -> Iterator[list[T]]:
    """Yield `items` in parts of at most `count`.

    >>> list(split_by_count(range(5), 2))
    [[0, 1], [2, 3], [4]]
    """
    source = iter(items)
    while part := list(islice(source, count)):
        yield part
