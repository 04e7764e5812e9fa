"""How often something is tried again that other processes got in the way of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

__all__ = ["ATTEMPTS", "CLAIMS", "ROUNDS", "retried"]

_T = TypeVar("_T")

#: How often one record is read that is replaced while it is being read.
ATTEMPTS: Final = 20

#: How often all those of many records are gone through again that were changed meanwhile.
ROUNDS: Final = 5

#: How often a process tries to be the first of many that want the same; each time another one was.
CLAIMS: Final = 10_000


def retried(call: Callable[[], _T], on: type[Exception], *, attempts: int = ATTEMPTS) -> _T:
    """Call something, and call it again if it raises an error.

    Parameters
    ----------
    call : callable
        Takes no arguments.
    on : type
        The error after which it is called again.
    attempts : int
        How often it is called at most; the last error is raised.
    """
    for _ in range(attempts - 1):
        try:
            return call()
        except on:
            pass
    return call()
