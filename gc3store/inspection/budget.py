"""How much may be made of a stream beyond what it holds.

A few bytes of a pickle can ask for another copy of a long text, or for a set of the
items of a list that a thousand others were made of. No honest pickle does: what it
copies, it copies once. So what is touched for the first time is free, being in
proportion to the stream, and each time after that is charged to an allowance that is in
proportion to it too, *before* anything is done. A value that the allowance does not
suffice for is shown as the call that would have made it, with the shared argument once.
"""

from __future__ import annotations

from typing import Any, Final

__all__ = ["Budget", "CannotConvert"]

#: What may be spent on a stream however small: some hundredths of a second.
_BASE: Final = 16 << 20


class CannotConvert(Exception):  # noqa: N818 - it is caught at each call that is converted
    """The arguments are not those of a plain value, or it would cost too much to make it."""


class Budget:
    """An allowance of work.

    Parameters
    ----------
    size : int
        Bytes of the stream and of its buffers.

    Examples
    --------
    >>> budget, items = Budget(0), [0] * 1000
    >>> budget.touch(items, 1 << 24)  # once is free
    >>> budget.touch(items, 1 << 24), budget.left
    (None, 0)
    >>> budget.touch(items, 1)
    Traceback (most recent call last):
    ...
    gc3store.inspection.budget.CannotConvert
    """

    __slots__ = ("_touched", "left")

    def __init__(self, size: int) -> None:
        self.left = _BASE + 2 * size
        self._touched: set[int] = set()

    def charge(self, cost: int) -> None:
        """Pay for what is about to be done: about a nanosecond, or a byte, for each unit.

        Raises
        ------
        CannotConvert
            If the allowance does not suffice.
        """
        if cost > self.left:
            raise CannotConvert
        self.left -= cost

    def touch(self, raw: Any, cost: int) -> None:
        """Pay for reading or copying what is in `raw`, which stays alive; the first time is free."""
        if id(raw) in self._touched:
            self.charge(cost)
        else:
            self._touched.add(id(raw))
