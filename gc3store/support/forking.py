"""What a process does around a fork.

A child has one thread, and the memory of its parent as it was at one moment. What other threads were
in the middle of then never ends there. Two things of that kind matter here: the locks of
stores, and SQLite. Within its calls SQLite holds locks of its own for a moment, which a child would wait
for in vain; and it keeps in memory which locks on files its process holds, while children hold
none of them. So at the moment of a fork no thread is in a step or within a call of SQLite, and connections
that nobody uses are closed, in the parent as well; each process makes new ones when it needs them.

None of this at any price: another thread may be waiting for what is being forked, so that after
`PATIENCE` the fork takes place as things are.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from threading import get_ident
from typing import Any, Protocol

__all__ = ["PATIENCE", "Forkable", "is_pending", "no_fork_during", "register", "wait"]

#: How long a fork waits for other threads, in seconds.
PATIENCE = 10.0


class Forkable(Protocol):
    """What a store has to do with forks."""

    _lock: Any

    def _is_at_work(self) -> bool:
        """Whether another thread is within a call that must end first."""

    def _rest(self) -> None:
        """Close what nobody uses; called before a fork, when no other thread is at work."""

    def _forked(self) -> None:
        """Forget what belongs to the parent process; called in the child."""


class _Fork:
    """The fork that is about to take place, if one is."""

    def __init__(self) -> None:
        self.thread: int | None = None
        self.held: list[Any] = []
        self.over = threading.Event()


_stores: weakref.WeakSet[Any] = weakref.WeakSet()
_fork = _Fork()
#: How deep threads are in what must not be cut in two.
_inside: dict[int, int] = {}


def register(store: Forkable) -> None:
    """Take care of a store for as long as it exists."""
    _stores.add(store)


def is_pending() -> bool:
    """Whether another thread is about to fork, so that this one must not begin anything."""
    return _fork.thread is not None and _fork.thread != get_ident()


def wait() -> None:
    """Wait until the fork that is pending has taken place."""
    deadline = time.monotonic() + PATIENCE
    while is_pending() and time.monotonic() < deadline:
        _fork.over.wait(0.05)


@contextmanager
def no_fork_during() -> Iterator[None]:
    """Let no fork take place meanwhile; before it begins, wait for one that is about to."""
    me = get_ident()
    depth = _inside.get(me, 0)
    # First said, then asked: whoever forks asks in the opposite order.
    _inside[me] = depth + 1
    try:
        if not depth and is_pending():
            del _inside[me]
            wait()
            _inside[me] = 1
        yield
    finally:
        if depth:
            _inside[me] = depth
        else:
            _inside.pop(me, None)


def _before() -> None:
    stores = list(_stores)
    deadline = time.monotonic() + PATIENCE
    locks = [store._lock for store in stores]
    _fork.held = [lock for lock in locks if lock.acquire(timeout=max(0.0, deadline - time.monotonic()))]
    _fork.over.clear()
    _fork.thread = get_ident()
    while _others_at_work(stores) and time.monotonic() < deadline:
        time.sleep(0.0005)
    for store in stores:
        store._rest()


def _others_at_work(stores: list[Any]) -> bool:
    return any(store._is_at_work() for store in stores) or any(
        thread != get_ident() for thread in list(_inside)
    )


def _after_in_parent() -> None:
    held, _fork.held = _fork.held, []
    _fork.thread = None
    _fork.over.set()
    for lock in held:
        lock.release()


def _after_in_child() -> None:
    global _fork
    _fork = _Fork()
    for thread in list(_inside):
        if thread != get_ident():
            del _inside[thread]
    for store in list(_stores):
        store._lock = threading.RLock()
        store._depth = 0
        store._forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
