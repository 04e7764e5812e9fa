"""The process of one contender: runs what it is told, and times it.

Started as ``python -m benchmarks.worker MODULE:CLASS OPTIONS``. Each line of standard
input is a JSON list of a method of `Worker` and its arguments, each line of standard
output the JSON answer: what the method returned, ``{"not offered": ...}`` or
``{"error": ...}``. Imports nothing but the standard library by itself.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

from benchmarks.contenders.base import Contender, NotOffered
from benchmarks.samples import describes

__all__ = ["Worker"]

Timing = dict[str, float]


def timed(function: Callable[..., Any], *args: Any, count: int = 1) -> tuple[Timing, Any]:
    """Call `function`; return seconds per item, by the clock and of this process, and the result."""
    gc.collect()
    cpu, wall = time.process_time(), time.perf_counter()
    result = function(*args)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {"wall": wall / count, "cpu": cpu / count}, result


class Worker:
    """What a contender can be told to do."""

    def __init__(self, contender: Contender) -> None:
        self.contender = contender
        self.keys: list[Any] = []
        self.objects: Any = None

    def close(self) -> None:
        self.contender.close()

    # One by one.

    def save(self, count: int) -> Timing:
        """Save the next `count` jobs, one by one."""
        save = self.contender.save
        jobs = [self.contender.job(len(self.keys) + i) for i in range(count)]
        timing, keys = timed(lambda: [save(job) for job in jobs], count=count)
        self.keys += keys
        return timing

    def load(self, start: int, count: int) -> Timing:
        """Load `count` jobs, dropping each at once; see that they are what was saved."""
        load, keys = self.contender.load, self.keys[start : start + count]
        self.contender.forget()

        def run() -> None:
            for key in keys:
                load(key)

        timing, _ = timed(run, count=count)
        self.contender.forget()
        if not describes(load(keys[0]), start):
            raise AssertionError("loaded another object than was saved")
        return timing

    def list(self, expected: int) -> Timing:
        timing, keys = timed(self.contender.list)
        if len(keys) < expected:
            raise AssertionError(f"{len(keys)} keys listed, not {expected}")
        return timing

    def replace(self, start: int, count: int) -> Timing:
        """Replace `count` jobs by others that are much like them."""
        replace, keys = self.contender.replace, self.keys[start : start + count]
        jobs = [self.contender.job(start + i) for i in range(count)]
        for job in jobs:
            job.returncode = 2
        pairs = list(zip(keys, jobs, strict=True))

        def run() -> None:
            for key, job in pairs:
                replace(key, job)

        return timed(run, count=count)[0]

    def remove(self, start: int, count: int) -> Timing:
        remove, keys = self.contender.remove, self.keys[start : start + count]

        def run() -> None:
            for key in keys:
                remove(key)

        return timed(run, count=count)[0]

    # Many in one transaction.

    def bulk(self, count: int) -> dict[str, Timing]:
        """Save, load, change, replace and remove `count` jobs, each in one transaction."""
        contender, timings = self.contender, {}
        contender.prepare(count)
        jobs = [contender.job(i) for i in range(count)]
        timings["save"], keys = timed(contender.save_many, jobs, count=count)
        del jobs
        contender.forget()
        try:
            timings["load"], loaded = timed(contender.load_many, keys, count=count)
            if len(loaded) != count or not describes(loaded[-1], count - 1):
                raise AssertionError("loaded other objects than were saved")
            for job in loaded:
                job.returncode = 3
            timings["change"], _ = timed(contender.change_many, keys, loaded, count=count)
            del loaded, job
            contender.forget()
            jobs = [contender.job(i) for i in range(count)]
            for job in jobs:
                job.returncode = 2
            timings["replace"], _ = timed(contender.replace_many, keys, jobs, count=count)
            del jobs
            timings["remove"], _ = timed(contender.remove_many, keys, count=count)
        except (NotOffered, NotImplementedError):
            pass
        return timings

    # Graphs.

    def graph(self, count: int) -> dict[str, Timing]:
        """Save a container of `count` children, save it again unchanged, load it."""
        contender, timings = self.contender, {}
        container = contender.container([contender.job(i) for i in range(count)])
        timings["save"], key = timed(contender.save_graph, container)
        timings["again"], _ = timed(contender.save_graph, container)
        del container
        gc.collect()
        contender.forget()
        timings["load"], loaded = timed(contender.load_graph, key)
        if len(loaded.children) != count or not describes(loaded.children[count // 2], count // 2):
            raise AssertionError("loaded another graph than was saved")
        del loaded
        contender.forget()
        return timings

    def chain(self, length: int) -> dict[str, Timing]:
        """Save and load a linked list; seconds per node."""
        contender, timings = self.contender, {}
        head = contender.chain(length)
        timings["save"], key = timed(contender.save_chain, head, count=length)
        _unlink(head)
        del head
        gc.collect()
        contender.forget()
        timings["load"], head = timed(contender.load_chain, key, count=length)
        last = _unlink(head)
        if last != length - 1:
            raise AssertionError(f"the chain ends at {last}")
        del head
        contender.forget()
        return timings

    # One large array.

    def make_array(self, mebibytes: int) -> None:
        """Make an array of random numbers, as `array` saves it."""
        import numpy as np

        self.objects = np.random.default_rng(mebibytes).random(mebibytes << 17)

    def save_array(self) -> dict[str, Any]:
        timing, key = timed(self.contender.save_array, self.objects)
        return {**timing, "key": key}

    def load_array(self, key: Any, mebibytes: int) -> Timing:
        import numpy as np

        timing, array = timed(self.contender.load_array, key)
        self.objects = array  # kept until memory has been read
        if array.shape != (mebibytes << 17,):
            raise AssertionError(f"loaded an array of shape {array.shape}")
        self.expected = np.random.default_rng(mebibytes).random(8)
        return timing

    def check_array(self) -> None:
        """See that what was loaded is what was saved; reads the first values only."""
        if not (self.objects[:8] == self.expected).all():
            raise AssertionError("loaded other numbers than were saved")

    def import_numpy(self) -> None:
        import numpy as np

        np.zeros(1)

    # Whatever a workload has of its own: a function of a module, given this worker.

    def call(self, function: str, *args: Any) -> Any:
        module, _, name = function.partition(":")
        return getattr(importlib.import_module(module), name)(self, *args)


def _unlink(node: Any) -> int:
    """Take a linked list apart, so that dropping it is no recursion; return its last number."""
    number = -1
    while node is not None:
        number, following = node.number, node.next
        node.next = None
        if hasattr(node, "_p_invalidate"):
            node._p_invalidate()  # ZODB: this was no change to be committed
        node = following
    return number


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints goes elsewhere
    specification, options = sys.argv[1], json.loads(sys.argv[2])
    module, _, name = specification.partition(":")
    worker: Worker | None = None
    for line in sys.stdin:
        method, *args = json.loads(line)
        try:
            if worker is None:
                worker = Worker(getattr(importlib.import_module(module), name)(**options))
            answer: Any = {"value": getattr(worker, method)(*args)}
        except (NotOffered, NotImplementedError) as reason:
            answer = {"not offered": str(reason)}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"[:500]}
        print(json.dumps(answer), file=answers, flush=True)
        if method == "close":
            break


if __name__ == "__main__":
    main()
