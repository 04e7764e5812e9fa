"""Progress bars on what takes longer than people like to wait without a sign."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Iterable, Iterator, Sized
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Self, TypeVar

__all__ = ["Progress", "length_of", "progress", "without_bars"]

T = TypeVar("T")

#: Seconds before a bar appears: what is over in a moment needs none.
DELAY = 1.5

_allowed: ContextVar[bool] = ContextVar("_allowed", default=True)


@contextmanager
def without_bars() -> Iterator[None]:
    """Show no bar in the context, also in what it calls."""
    token = _allowed.set(False)
    try:
        yield
    finally:
        _allowed.reset(token)


class Progress:
    """Counts what is done, with a bar that appears if it takes long; to be used in a ``with`` block.

    Parameters
    ----------
    what : str
        A word for the work, shown before the bar.
    total : int, optional
        How many there are to do, if that is known.
    show : bool
        `False` for no bar at all.

    Examples
    --------
    >>> with Progress("counting", total=3) as bar:
    ...     for number in range(3):
    ...         bar.done()
    """

    def __init__(self, what: str, *, total: int | None = None, show: bool = True) -> None:
        self._what = what
        self._total = total
        self._count = 0
        self._bar: Any = None
        # What is over in a moment, as nearly everything is, does not even import the bar.
        self._late = time.monotonic() + DELAY if show and _allowed.get() else math.inf

    def __enter__(self) -> Self:
        return self

    def done(self, count: int = 1) -> None:
        """Say that so many more have been dealt with."""
        self._count += count
        if self._bar is not None:
            self._bar.update(count)
        elif time.monotonic() >= self._late and self._count != self._total:
            self._bar = _bar(self._what, self._total, self._count)

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.close()


def _bar(what: str, total: int | None, done: int) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a prettier bar needs other packages
        from tqdm.auto import tqdm

    return tqdm(desc=what, total=total, initial=done, leave=False, dynamic_ncols=True)


def length_of(items: object) -> int | None:
    """Return how many items there are, `None` if that shows only when one has walked through them.

    >>> length_of([1, 2]), length_of(iter([1, 2]))
    (2, None)
    """
    return len(items) if isinstance(items, Sized) else None


def progress(items: Iterable[T], what: str, *, total: int | None = None, show: bool = True) -> Iterator[T]:
    """Yield `items`, with a progress bar that appears if dealing with them takes long.

    An item counts as done when the next one is asked for. Parameters as for `Progress`; `total` is
    for `items` that cannot tell how many they are.

    Examples
    --------
    >>> list(progress(range(3), "counting"))
    [0, 1, 2]
    """
    with Progress(what, total=length_of(items) if total is None else total, show=show) as bar:
        for item in items:
            yield item
            bar.done()
