"""Progress bars on what takes longer than people like to wait without a sign."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sized
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

__all__ = ["progress", "without_bars"]

T = TypeVar("T")

#: Seconds before a bar appears: nobody wants one for what is over in a moment.
DELAY = 1.5

_allowed: ContextVar[bool] = ContextVar("_allowed", default=True)


@contextmanager
def without_bars() -> Iterator[None]:
    """Show no bar in the context, whatever it calls."""
    token = _allowed.set(False)
    try:
        yield
    finally:
        _allowed.reset(token)


def progress(items: Iterable[T], what: str, *, total: int | None = None, show: bool = True) -> Iterable[T]:
    """Return `items` with a progress bar that appears if walking through them takes long.

    Parameters
    ----------
    items : iterable
        What is being worked on, one after the other.
    what : str
        A word for the work, shown before the bar.
    total : int, optional
        How many there are, where `items` cannot tell.
    show : bool
        `False` for no bar at all.

    Examples
    --------
    >>> list(progress(range(3), "counting"))
    [0, 1, 2]
    """
    if not (show and _allowed.get()):
        return items
    if total is None and isinstance(items, Sized):
        total = len(items)
    return _watched(iter(items), what, total)


def _watched(items: Iterator[T], what: str, total: int | None) -> Iterator[T]:
    # What is over in a moment, as nearly everything is, does not even import the bar.
    late = time.monotonic() + DELAY
    done = 0
    for item in items:
        yield item
        done += 1
        if time.monotonic() >= late:
            break
    else:
        return
    if done == total:
        return
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a prettier bar needs other packages
        from tqdm.auto import tqdm

    with tqdm(desc=what, total=total, initial=done, leave=False, dynamic_ncols=True) as bar:
        for item in items:
            yield item
            bar.update()
