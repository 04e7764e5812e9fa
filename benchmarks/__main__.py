"""The command: ``python -m benchmarks``."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import gettempdir
from typing import Any

from benchmarks.contenders import SPECS, available
from benchmarks.environment import describe_machine, filesystem_of, gc3pie_python
from benchmarks.process import has_strace
from benchmarks.report import render
from benchmarks.targets import judge
from benchmarks.workloads import Plan, Result, array, bulk, catalogue, graph, hook, jobs

#: Workloads by name; whether they run in every place or only in the first.
_WORKLOADS: dict[str, tuple[Callable[[Plan], list[Result]], bool]] = {
    "jobs": (jobs.run, True),
    "bulk": (bulk.run, True),
    "graph": (graph.run, True),
    "array": (array.run, False),
    "hook": (hook.run, False),
    "catalogue": (catalogue.run, False),
}
_MEMORY = Path("/dev/shm")
_QUICK = 0.02


def _arguments(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="gc3store beside its peers and the floor."
    )
    parser.add_argument(
        "workloads", nargs="*", metavar="WORKLOAD", help=f"some of: {' '.join(_WORKLOADS)} (default: all)"
    )
    parser.add_argument(
        "--quick", action="store_true", help="a smoke run: everything, but small; judges nothing"
    )
    parser.add_argument(
        "--only",
        default="",
        metavar="KEYS",
        help=f"contenders, with commas: {', '.join(s.key for s in SPECS)}",
    )
    parser.add_argument(
        "--dir",
        action="append",
        type=Path,
        metavar="DIR",
        help="where to write; repeat for several (default: /dev/shm and the directory for temporary files)",
    )
    parser.add_argument("--scale", type=float, default=1.0, help="1 for the full sizes")
    parser.add_argument("--rounds", type=int, default=7, help="interleaved rounds (default: 7)")
    parser.add_argument(
        "--seconds", type=float, default=20.0, help="after how many a contender leaves a phase"
    )
    parser.add_argument(
        "--clock",
        choices=("wall", "cpu"),
        default="wall",
        help="cpu counts processor time only: steadier on a busy machine, blind to waiting for a disk",
    )
    parser.add_argument("--cpu", type=int, help="keep all workers on this processor")
    parser.add_argument("--nice", type=int, default=0, help="priority of the workers")
    parser.add_argument(
        "--no-gc3pie", action="store_true", help="leave GC3Pie out, and its environment unmade"
    )
    parser.add_argument("--huge", action="store_true", help="also store an array of 3 GiB")
    parser.add_argument(
        "--cold", action="store_true", help="also drop the system's caches (needs root; disturbs others)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every round here")
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="write the report here instead of standard output"
    )
    options = parser.parse_args(words)
    if unknown := set(options.workloads) - set(_WORKLOADS):
        parser.error(f"no such workload: {', '.join(sorted(unknown))}; there are {', '.join(_WORKLOADS)}")
    if unknown := set(filter(None, options.only.split(","))) - {spec.key for spec in SPECS}:
        parser.error(f"no such contender: {', '.join(sorted(unknown))}")
    if options.quick:
        options.scale, options.rounds, options.seconds = min(options.scale, _QUICK), 2, 2.0
    return options


def _places(options: argparse.Namespace) -> dict[str, Path]:
    """Return the directories to write in, by what the report calls them."""
    chosen = options.dir
    if not chosen:
        chosen = [
            path for path in (_MEMORY, Path(gettempdir())) if path.is_dir() and os.access(path, os.W_OK)
        ]
        if options.quick:
            chosen = chosen[:1]
    places: dict[str, Path] = {}
    for path in chosen:
        path.mkdir(parents=True, exist_ok=True)
        kind = filesystem_of(path)
        places[kind if kind not in places else f"{kind} {path}"] = path
    return places


def main(words: list[str] | None = None) -> int:
    """Measure, and write the report."""
    options = _arguments(words)
    if options.cpu is not None:
        os.sched_setaffinity(0, {options.cpu})
    if options.nice:
        os.nice(options.nice)
    start = time.monotonic()

    def tell(line: str) -> None:
        print(f"[{time.monotonic() - start:5.0f} s] {line}", file=sys.stderr, flush=True)

    if options.no_gc3pie:
        python, why_not = None, "left out"
    else:
        python, why_not = gc3pie_python(create=not options.quick)
    specs, missing = available(python, why_not, filter(None, options.only.split(",")))
    places = _places(options)
    results: list[Result] = []
    head = describe_machine()
    head["places"] = ", ".join(f"{where}: {place}" for where, place in places.items())
    head["clock"] = "as on the wall" if options.clock == "wall" else "processor time: waiting does not count"
    warnings = [f"{label}: {reason}" for label, reason in missing.items()]
    if options.quick or options.scale != 1:
        warnings.append("Smaller than full size: this shows that everything runs, its ratios judge nothing.")
    if not has_strace():
        warnings.append("Synchronisations were not counted: strace is not here, or may not be used.")
    disks = {where for where in places if not where.startswith("tmpfs")}

    def write() -> str:
        """Write what there is so far, so that a run that is stopped leaves something."""
        head["took"] = f"{time.monotonic() - start:.0f} s"
        verdicts = judge(results, disks)
        text = render(results, verdicts, head, warnings)
        if options.output:
            options.output.write_text(text)
        if options.json:
            options.json.write_text(json.dumps(_as_data(results, verdicts, head), indent=1))
        return text

    for number, (where, place) in enumerate(places.items()):
        plan = Plan(
            specs=specs,
            place=place,
            where=where,
            first=number == 0,
            scale=options.scale,
            rounds=options.rounds,
            seconds=options.seconds,
            clock=options.clock,
            syncs=has_strace(),
            cold=options.cold,
            huge=options.huge or options.quick,
            tell=tell,
        )
        for name, (run, everywhere) in _WORKLOADS.items():
            if (not options.workloads or name in options.workloads) and (everywhere or number == 0):
                results += run(plan)
                write()
    text = write()
    if not options.output:
        print(text)
    return 0


def _as_data(results: list[Result], verdicts: list[Any], head: dict[str, str]) -> dict[str, Any]:
    return {
        "machine": head,
        "targets": [dataclasses.asdict(verdict) for verdict in verdicts],
        "results": [
            {
                "workload": result.workload,
                "where": result.where,
                "title": result.title,
                "syncs": result.syncs,
                "seconds": {
                    operation: {key: dataclasses.asdict(series) for key, series in table.items()}
                    for operation, table in result.table.items()
                },
            }
            for result in results
        ],
    }


if __name__ == "__main__":
    with suppress(BrokenPipeError):
        sys.exit(main())
