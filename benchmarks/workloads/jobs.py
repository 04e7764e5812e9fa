"""W1: jobs saved, loaded, listed, replaced and removed one by one."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from benchmarks.clock import interleave
from benchmarks.process import Failed, Skipped, Worker
from benchmarks.samples import JOB_SIZE
from benchmarks.workloads import Plan, Result

if TYPE_CHECKING:
    from benchmarks.contenders import Spec

__all__ = ["run"]

_OPERATIONS = ("save", "load", "replace", "remove")


def run(plan: Plan) -> list[Result]:
    """Measure slices of jobs until there are 10,000, each contender in turn."""
    slices = max(4, 2 * plan.rounds)
    count = plan.size(10_000, 40) // slices
    specs = plan.taking_part("jobs")
    result = Result(
        "jobs",
        plan.where,
        f"W1. {count * slices:,} jobs of {JOB_SIZE} bytes, one by one, µs per operation",
        specs={spec.key: spec for spec in specs},
        notes=[
            f"{slices} interleaved slices of {count} jobs. Pickling is part of every figure. list: in ms."
        ],
    )
    with ExitStack() as stack:
        workers = {spec.key: stack.enter_context(Worker(spec, plan.place)) for spec in specs}
        saved = dict.fromkeys(workers, 0)

        def save(key: str) -> Mapping[str, Any]:
            timing = workers[key]("save", count)
            saved[key] += 1
            return {"save": timing}

        def operate(operation: str, key: str, number: int) -> Mapping[str, Any]:
            if number >= saved[key]:
                raise Skipped("not saved")
            return {operation: workers[key](operation, number * count, count)}

        def listing(key: str) -> Mapping[str, Any]:
            return {"list": workers[key]("list", saved[key] * count)}

        plan.tell(f"W1 {plan.where}: save")
        tasks: Any = {key: lambda _, key=key: save(key) for key in workers}
        interleave(
            tasks, result.table, rounds=slices, seconds=plan.seconds, operations=["save"], clock=plan.clock
        )
        alive = [key for key in workers if saved[key]]
        for operation in ("load", "list", "replace", "remove"):
            plan.tell(f"W1 {plan.where}: {operation}")
            if operation == "list":
                tasks = {key: lambda _, key=key: listing(key) for key in alive}
                interleave(tasks, result.table, rounds=plan.rounds, operations=["list"], clock=plan.clock)
            else:
                tasks = {key: lambda n, key=key, op=operation: operate(op, key, n) for key in alive}
                interleave(
                    tasks,
                    result.table,
                    rounds=slices,
                    seconds=plan.seconds,
                    operations=[operation],
                    clock=plan.clock,
                )
    if plan.syncs:
        plan.tell(f"W1 {plan.where}: synchronisations")
        for spec in specs:
            count_syncs(spec, plan, result)
    return [result]


def count_syncs(spec: Spec, plan: Plan, result: Result, count: int = 20) -> None:
    """Count the synchronisations of `count` operations of each kind, after as many to warm up."""
    with Worker(spec, plan.place, count_syncs=True) as worker:
        try:
            worker("save", count)
            before = worker.syncs()
            worker("save", count)
            result.syncs.setdefault("save", {})[spec.key] = (worker.syncs() - before) / count
            for operation in ("replace", "remove"):
                before = worker.syncs()
                worker(operation, 0, count)
                result.syncs.setdefault(operation, {})[spec.key] = (worker.syncs() - before) / count
        except (Failed, Skipped):
            return
