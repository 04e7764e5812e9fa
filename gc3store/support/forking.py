"""What a process does around a fork.

A child process has one thread, and the memory of its parent as it was at one moment. What other threads
were doing at that moment is never finished in the child. This matters for the locks of stores, and for
SQLite. During a call SQLite holds locks of its own, for which a child would wait for ever; and it keeps track of
which locks on files its process holds, while a child holds none of them. So a fork waits until no
thread is within a transaction or within a call of SQLite. Connections that are not in use are closed, in
the parent as well; each process makes new ones when it needs them.

A fork waits for `PATIENCE` at most, since another thread may be waiting for the process that is being forked.
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
    """What has to do with forks.

    Attributes
    ----------
    lock : RLock
        Held by the forking thread while the process forks.
    """

    lock: Any

    def is_busy(self) -> bool:
        """Whether another thread is within a call that must end first."""

    def close_idle(self) -> None:
        """Close what is not in use; called before a fork, when no other thread is at work."""

    def after_fork(self) -> None:
        """Forget what belongs to the parent process, and make a new lock; called in the child."""


class _Fork:
    """The fork that is about to take place, if one is."""

    def __init__(self) -> None:
        self.thread: int | None = None
        self.held: list[Any] = []
        self.over = threading.Event()


_registered: weakref.WeakSet[Forkable] = weakref.WeakSet()
_fork = _Fork()
#: By thread, how many contexts of `no_fork_during` it is in.
_inside: dict[int, int] = {}


def register(owner: Forkable) -> None:
    """Take care of an object around forks for as long as it exists."""
    _registered.add(owner)


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
    """Let no fork take place in the context; wait for one that is pending before the context begins."""
    me = get_ident()
    depth = _inside.get(me, 0)
    # First announce, then ask whether a fork is pending: a thread that forks does it the other way round.
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
    owners = list(_registered)
    deadline = time.monotonic() + PATIENCE
    locks = [owner.lock for owner in owners]
    _fork.held = [lock for lock in locks if lock.acquire(timeout=max(0.0, deadline - time.monotonic()))]
    _fork.over.clear()
    _fork.thread = get_ident()
    while _others_at_work(owners) and time.monotonic() < deadline:
        time.sleep(0.0005)
    for owner in owners:
        owner.close_idle()


def _others_at_work(owners: list[Forkable]) -> bool:
    return any(owner.is_busy() for owner in owners) or any(thread != get_ident() for thread in list(_inside))


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
    for owner in list(_registered):
        owner.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
