"""W5: what the hook that finds references costs while pickling, beside the plain C Pickler.

The functions that run in a worker need the standard library only.
"""

from __future__ import annotations

import gc
import io
import pickle
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.workloads import Plan, Result

__all__ = ["measure", "run"]

_SAMPLES = ("1M ints", "200k dicts", "100k instances", "one job")


def run(plan: Plan) -> list[Result]:
    """Measure every hook on every sample, in one process for each interpreter."""
    from dataclasses import replace

    from benchmarks.clock import Series
    from benchmarks.contenders import SPECS
    from benchmarks.process import Failed, Worker
    from benchmarks.workloads import Result

    labels = {
        "plain": "pickle.Pickler(stream, 5)",
        "dumps": "pickle.dumps",
        "persistent_id": "the leanest persistent_id in Python",
        "cloudpickle": "cloudpickle.dumps",
        "ours": "**gc3store**, Encoder",
        "gc3pie": "GC3Pie's Pickler",
    }
    result = Result(
        "hook",
        plan.where,
        "W5. Pickling in memory, ms",
        unit=("ms", 1e3),
        labels=labels,
        floors=dict.fromkeys(labels, "plain"),
        notes=[
            "GC3Pie's ratio is to the plain Pickler in its own process.",
            "Processor time. One job: ms for 1000 of them, one after the other.",
        ],
    )
    pickle_alone = next(spec for spec in SPECS if spec.key == "pickle")
    contenders = [replace(pickle_alone, key="hook")]
    gc3pie = next((spec.python for spec in plan.specs if spec.key == "gc3pie-files"), None)
    if gc3pie is not None:
        contenders.append(replace(pickle_alone, key="hook", python=gc3pie))
    for sample in _SAMPLES:
        plan.tell(f"W5: {sample}")
        for spec in contenders:
            wanted = (
                ["plain", "gc3pie"]
                if spec.python
                else ["plain", "dumps", "persistent_id", "cloudpickle", "ours"]
            )
            with Worker(spec, plan.place) as worker:
                try:
                    times = worker("call", f"{__name__}:measure", sample, plan.scale, plan.rounds + 2, wanted)
                except Failed as failure:
                    result.notes.append(f"{sample}: {failure}")
                    continue
            for key, rounds in times.items():
                if key == "plain" and spec.python:
                    continue
                # What was measured beside GC3Pie is carried over to the other process by its ratio.
                series = result.table.setdefault(sample, {}).setdefault(key, Series())
                for number, seconds in enumerate(rounds):
                    if spec.python:
                        base = result.table[sample]["plain"].rounds[number]
                        seconds = seconds / times["plain"][number] * base
                    series.rounds[number] = seconds
    return [result]


def measure(worker: Any, sample: str, scale: float, rounds: int, wanted: list[str]) -> dict[str, list[float]]:
    """Time each way of pickling `sample`, in turn; runs in a worker."""
    from benchmarks.samples import sample_for_pickling

    obj = sample_for_pickling(sample, scale)
    repeat = max(10, round(1000 * scale)) if sample == "one job" else 1
    ways = {name: way for name in wanted if (way := _WAYS[name]()) is not None}
    times: dict[str, list[float]] = {name: [] for name in ways}
    gc.collect()
    gc.freeze()
    for number in range(rounds):
        for name in sorted(ways, reverse=number % 2 == 1):
            dump = ways[name]
            # Processor time: nothing here waits, and what else runs does not count.
            start = time.process_time()
            for _ in range(repeat):
                dump(obj)
            times[name].append((time.process_time() - start) * (1000 / repeat if repeat > 1 else 1))
    return times


def _plain() -> Callable[[Any], Any]:
    def dump(obj: Any) -> bytes:
        stream = io.BytesIO()
        pickle.Pickler(stream, 5).dump(obj)
        return stream.getvalue()

    return dump


def _dumps() -> Callable[[Any], Any]:
    return lambda obj: pickle.dumps(obj, 5)


class _Lean(pickle.Pickler):
    def persistent_id(self, obj: Any) -> None:
        return None


def _persistent_id() -> Callable[[Any], Any]:
    def dump(obj: Any) -> bytes:
        stream = io.BytesIO()
        _Lean(stream, 5).dump(obj)
        return stream.getvalue()

    return dump


def _cloudpickle() -> Callable[[Any], Any] | None:
    try:
        import cloudpickle
    except ImportError:
        return None
    return lambda obj: cloudpickle.dumps(obj, 5)


def _ours() -> Callable[[Any], Any] | None:
    try:
        from gc3store.pickling import Encoder
    except ImportError:
        return None
    encoder = Encoder()
    return lambda obj: encoder.encode(obj).stream


def _gc3pie() -> Callable[[Any], Any] | None:
    from gc3libs.persistence.serialization import make_pickler

    def dump(obj: Any) -> bytes:
        stream = io.BytesIO()
        make_pickler(None, stream, obj).dump(obj)
        return stream.getvalue()

    return dump


_WAYS: dict[str, Callable[[], Callable[[Any], Any] | None]] = {
    "plain": _plain,
    "dumps": _dumps,
    "persistent_id": _persistent_id,
    "cloudpickle": _cloudpickle,
    "ours": _ours,
    "gc3pie": _gc3pie,
}
