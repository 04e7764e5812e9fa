"""W4: one large array; time, and memory as the kernel sees it."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING, Any

from benchmarks.clock import interleave
from benchmarks.process import Worker
from benchmarks.workloads import Plan, Result

if TYPE_CHECKING:
    from benchmarks.contenders import Spec

__all__ = ["run"]


def run(plan: Plan) -> list[Result]:
    """Measure an array of 512 MiB and, where asked for, one of 3 GiB."""
    specs = plan.taking_part("array")
    results = [_measure(plan, plan.size(512, 8), specs, (plan.rounds + 1) // 2, "array")]
    if plan.huge:
        ours = [spec for spec in specs if spec.key in ("ours-sqlite", "ours-files", "ours-mapped", "dump")]
        results.append(_measure(plan, plan.size(3072, 16), ours, 1, "huge"))
    return results


def _measure(plan: Plan, mebibytes: int, specs: list[Spec], rounds: int, workload: str) -> Result:
    result = Result(
        workload,
        plan.where,
        f"W4. An array of {mebibytes:,} MiB (float64), ms",
        unit=("ms", 1e3),
        specs={spec.key: spec for spec in specs},
        floors={"bytes": "dump"},
        notes=[
            "Each save and each load in a new process; a save begins with the array in memory.",
            "Peak: what the kernel counted as resident at the highest, above what was resident before.",
        ],
    )
    tasks: Any = {}
    for spec in specs:

        def task(_: int, spec: Spec = spec) -> Any:
            plan.tell(f"W4 {plan.where}: {spec.label}, {spec.durability}")
            return _once(plan, spec, mebibytes)

        tasks[spec.key] = task
    interleave(
        tasks,
        result.table,
        rounds=rounds,
        seconds=plan.seconds,
        operations=["save", "load"],
        clock=plan.clock,
    )
    return result


def _once(plan: Plan, spec: Spec, mebibytes: int) -> Any:
    """Save in one process, load in another."""
    # A mapped load is a way of loading: the array is saved without it.
    saver = replace(spec, options={**spec.options, "mapped": False}) if spec.options.get("mapped") else spec
    home = Path(tempfile.mkdtemp(prefix="bench-array-", dir=plan.place))
    try:
        with Worker(saver, plan.place, keep=home) as worker:
            worker("make_array", mebibytes)
            before = worker.reset_peak()
            saved = worker("save_array")
            saved["peak"] = worker.peak() - before
        with Worker(spec, plan.place, keep=home) as worker:
            worker("import_numpy")
            before = worker.reset_peak()
            loaded = worker("load_array", saved["key"], mebibytes)
            loaded["peak"] = worker.peak() - before
            worker("check_array")
        return {"save": saved, "load": loaded}
    finally:
        rmtree(home, ignore_errors=True)
