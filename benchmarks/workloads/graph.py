"""W3: a container and its children, and chains; every object a record of its own."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from benchmarks.clock import interleave
from benchmarks.process import Worker
from benchmarks.workloads import Plan, Result

__all__ = ["run"]


def run(plan: Plan) -> list[Result]:
    """Measure the container and, in the first place only, the chains."""
    return [_containers(plan), _chains(plan)] if plan.first else [_containers(plan)]


def _containers(plan: Plan) -> Result:
    count = plan.size(10_000, 100)
    specs = plan.taking_part("graph")
    result = Result(
        "graph",
        plan.where,
        f"W3. A container and its {count:,} children, ms",
        unit=("ms", 1e3),
        specs={spec.key: spec for spec in specs},
        notes=[
            "'again': the container is saved again, nothing having changed; floor: pickling the children,",
            "which is what finding changes by content costs. GC3Pie and ZODB trust a flag instead.",
        ],
    )
    plan.tell(f"W3 {plan.where}: container")
    with ExitStack() as stack:
        workers = {spec.key: stack.enter_context(Worker(spec, plan.place)) for spec in specs}
        tasks: Any = {key: lambda _, worker=worker: worker("graph", count) for key, worker in workers.items()}
        interleave(
            tasks,
            result.table,
            rounds=plan.rounds,
            seconds=plan.seconds,
            operations=["save", "load", "again"],
            clock=plan.clock,
        )
    return result


def _chains(plan: Plan) -> Result:
    """Measure a short chain with everybody, a long one with those who managed the short one."""
    full = plan.size(1_000_000, 2_000)
    lengths = (full // 10, full)
    specs = plan.taking_part("chain")
    result = Result(
        "chain",
        plan.where,
        f"W3. Chains of {lengths[0]:,} and {lengths[1]:,} objects, each referring to the next, µs per object",
        specs={spec.key: spec for spec in specs},
        floors={spec.key: spec.key for spec in specs},
        notes=[
            "One run each. Linear: the time per object does not grow with the length.",
            "Peers run the shorter one only.",
        ],
    )
    for length, size in zip(lengths, ("short", "long"), strict=True):
        for spec in specs:
            if size == "long" and not spec.key.startswith("ours"):
                continue
            if (
                size == "long"
                and (series := result.table.get("save short", {}).get(spec.key))
                and series.failure
            ):
                continue
            plan.tell(f"W3 {plan.where}: chain of {length:,}, {spec.label}")
            with Worker(spec, plan.place) as worker:

                def task(_: int, worker: Worker = worker, length: int = length, size: str = size) -> Any:
                    timings = worker("chain", length)
                    return {f"{operation} {size}": timing for operation, timing in timings.items()}

                names = [f"save {size}", f"load {size}"]
                interleave({spec.key: task}, result.table, rounds=1, operations=names, clock=plan.clock)
    return result
