"""Progress bars on what takes longer than people like to wait without a sign."""

from __future__ import annotations

from collections.abc import Iterable, Sized
from typing import TypeVar

__all__ = ["progress"]

T = TypeVar("T")

#: Seconds before a bar appears: nobody wants one for what is over in a moment.
DELAY = 1.5

#: Fewer items than this never show a bar.
FEW = 200


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
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    if not show or (total is not None and total < FEW):
        return items
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a prettier bar needs other packages
        from tqdm.auto import tqdm

    return tqdm(items, desc=what, total=total, delay=DELAY, leave=False, dynamic_ncols=True)
