"""Threads that answer requests one after the other."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

__all__ = ["Worker"]


class Worker:
    """Runs jobs in their order, in a thread that lives while there are any."""

    def __init__(self) -> None:
        self._jobs: deque[Callable[[], None]] = deque()
        self._running = False
        self._lock = threading.Lock()

    def put(self, job: Callable[[], None]) -> None:
        """Run a job after those that were put before it; it must not raise."""
        with self._lock:
            self._jobs.append(job)
            if not self._running:
                self._running = True
                threading.Thread(target=self._run, name="gc3store-browser", daemon=True).start()

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._jobs:
                    self._running = False
                    return
                job = self._jobs.popleft()
            job()
