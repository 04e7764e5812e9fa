"""W2: the same jobs, each operation one transaction."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from benchmarks.clock import interleave
from benchmarks.process import Worker
from benchmarks.workloads import Plan, Result

if TYPE_CHECKING:
    from benchmarks.contenders import Spec

__all__ = ["run"]


def run(plan: Plan) -> list[Result]:
    """Measure transactions of 10,000 jobs."""
    count = plan.size(10_000, 100)
    specs = plan.taking_part("bulk")
    specs += [_rows(spec) for spec in specs if spec.key in ("ours-sqlite", "ours-sqlite-durable")]
    result = Result(
        "bulk",
        plan.where,
        f"W2. {count:,} jobs in one transaction, µs per object",
        specs={spec.key: spec for spec in specs},
        notes=[
            "'the same rows' is executemany of all rows that gc3store writes, same tables and indexes;",
            "the jobs are pickled, the rest of the rows is ready. GC3Pie has no bulk interface: see W1.",
            "change: what was loaded is changed and saved again; replace: by other objects.",
        ],
    )
    plan.tell(f"W2 {plan.where}")
    with ExitStack() as stack:
        workers = {spec.key: stack.enter_context(Worker(spec, plan.place)) for spec in specs}
        tasks: Any = {key: lambda _, worker=worker: worker("bulk", count) for key, worker in workers.items()}
        interleave(
            tasks,
            result.table,
            rounds=plan.rounds,
            seconds=plan.seconds,
            operations=["save", "load", "change", "replace", "remove"],
            clock=plan.clock,
        )
    return [result]


def _rows(spec: Spec) -> Spec:
    return replace(
        spec,
        key=spec.key.replace("ours-sqlite", "rows"),
        label="raw sqlite3, the same rows",
        target="benchmarks.contenders.rows:Rows",
        options={"durable": spec.options["durable"]},
    )
