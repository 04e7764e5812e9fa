"""W6: looking through many records without loading any.

The functions that run in a worker time gc3store and the raw way in turn, on the very
same database or directory.
"""

from __future__ import annotations

import gc
import os
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING, Any

from benchmarks.clock import Series
from benchmarks.process import Failed, Worker
from benchmarks.workloads import Plan, Result

if TYPE_CHECKING:
    from benchmarks.contenders import Spec

__all__ = ["run"]

_BATCH = 20_000
_HEADER = 256  # bytes that a reader of headers would read of each file

Ways = dict[str, Callable[[], Any]]


def run(plan: Plan) -> list[Result]:
    """Measure a million records in SQLite and 100,000 in files."""
    results = []
    for key, title, full, least, function in (
        ("catalogue", "W6. {:,} records in SQLite, ms", 1_000_000, 2_000, "measure_sqlite"),
        ("files", "W6. {:,} records in files, ms", 100_000, 1_000, "measure_files"),
    ):
        wanted = "ours-sqlite" if key == "catalogue" else "ours-files"
        spec = next((spec for spec in plan.specs if spec.key == wanted), None)
        if spec is None:
            continue
        count = plan.size(full, least)
        result = Result(key, plan.where, title.format(count), unit=("ms", 1e3), specs={spec.key: spec})
        result.floors = {spec.key: "raw", "raw": "raw"}
        result.labels = {"raw": "the raw way"}
        _measure(plan, spec, count, function, result)
        results.append(result)
    return results


def _measure(plan: Plan, spec: Spec, count: int, function: str, result: Result) -> None:
    home = Path(tempfile.mkdtemp(prefix="bench-catalogue-", dir=plan.place))
    try:
        plan.tell(f"W6 {plan.where}: making {count:,} records")
        with Worker(spec, plan.place, keep=home) as worker:
            build = worker("call", f"{__name__}:build", count)
        result.notes.append(f"Made with save_many in {build:.1f} s ({build / count * 1e6:.1f} µs a record).")
        if plan.cold and function == "measure_files":
            os.sync()
            Path("/proc/sys/vm/drop_caches").write_text("3")
        plan.tell(f"W6 {plan.where}: looking at {count:,} records")
        # A new process: nothing of what building left in memory helps.
        with Worker(replace(spec), plan.place, keep=home) as worker:
            times = worker("call", f"{__name__}:{function}", count, plan.rounds, plan.clock, plan.cold)
        for operation, ways in times.items():
            for key, outcome in ways.items():
                series = result.table.setdefault(operation, {}).setdefault(key, Series())
                if isinstance(outcome, str):
                    series.failure = outcome
                else:
                    series.rounds = dict(enumerate(outcome))
    except Failed as failure:
        result.notes.append(f"failed: {failure}")
        result.table.setdefault("all", {})[spec.key] = Series(failure=str(failure))
    finally:
        rmtree(home, ignore_errors=True)


def build(worker: Any, count: int) -> float:
    """Save `count` small jobs of two classes and several states; return the seconds it took."""
    from benchmarks.contenders.ours import Container, Job

    store = worker.contender.store
    seconds = 0.0
    for start in range(0, count, _BATCH):
        jobs = []
        for number in range(start, min(count, start + _BATCH)):
            job = Container() if number % 5 == 0 else Job()
            job.state = ("TERMINATED", "RUNNING", "NEW")[number % 3]
            job.data = "x" * (number % 97)
            jobs.append(job)
        begin = time.perf_counter()
        store.save_many(jobs)
        seconds += time.perf_counter() - begin
    return seconds


def _in_turn(ways: Ways, rounds: int, clock: str) -> dict[str, Any]:
    """Time each of `ways` `rounds` times, in turn."""
    now = time.perf_counter if clock == "wall" else time.process_time
    times: dict[str, Any] = {key: [] for key in ways}
    for number in range(rounds):
        for key in sorted(ways, reverse=number % 2 == 1):
            if isinstance(times[key], str):
                continue
            gc.collect()
            start = now()
            try:
                result = ways[key]()
            except Exception as error:
                times[key] = f"{type(error).__name__}: {error}"[:200]
            else:
                times[key].append(now() - start)
                del result
    return times


def _check(ways: Ways, count: int) -> None:
    for key, way in ways.items():
        if (found := len(way())) != count:
            raise AssertionError(f"{key} found {found} entries, not {count}")


def measure_sqlite(worker: Any, count: int, rounds: int, clock: str, cold: bool) -> dict[str, Any]:
    """Time lists, tables, windows and counts of a store on SQLite; runs in a worker."""
    import pandas as pd

    from gc3store.query import Query

    store = worker.contender.store
    raw = sqlite3.connect(worker.contender.directory / "store.db")
    columns = {row[1] for row in raw.execute("PRAGMA table_info(gc3store)")}
    shown = ["number", "id", "name", "cls", "state", "tags", "size", "created", "modified", "revision"]
    select = ", ".join(column for column in shown if column in columns)
    order = "number" if "number" in columns else "id"
    times: dict[str, Any] = {}

    lists: Ways = {
        "ours-sqlite": store.list,
        "raw": lambda: [id_ for (id_,) in raw.execute(f"SELECT id FROM gc3store ORDER BY {order}")],
    }
    _check(lists, count)
    times["list()"] = _in_turn(lists, rounds, clock)

    query = f"SELECT {select} FROM gc3store ORDER BY {order}"
    tables: Ways = {"ours-sqlite": store.table, "raw": lambda: pd.read_sql(query, raw)}
    _check(tables, count)
    times["table()"] = _in_turn(tables, min(rounds, 5), clock)

    for name, arguments in _windows(count):
        build_query = {k: v for k, v in arguments.items() if k != "filters"}
        asked = Query.build(arguments.get("filters"), **build_query)
        sort = arguments.get("order", "number")
        direction = "DESC" if sort.startswith("-") else "ASC"
        where = "WHERE state = 'RUNNING'" if arguments.get("filters") else ""
        statement = (
            f"SELECT {select} FROM gc3store {where} ORDER BY {sort.lstrip('-')} {direction} "
            f"LIMIT {arguments['limit']} OFFSET {arguments['offset']}"
        )
        ways: Ways = {
            "ours-sqlite": lambda asked=asked: list(store.records(asked)),
            "raw": lambda statement=statement: raw.execute(statement).fetchall(),
        }
        times[f"window {name}, first"] = _in_turn({"ours-sqlite": ways["ours-sqlite"]}, 1, clock)
        times[f"window {name}"] = _in_turn(ways, rounds, clock)

    times["count()"] = _in_turn(
        {"ours-sqlite": store.count, "raw": lambda: raw.execute("SELECT count(*) FROM gc3store").fetchone()},
        rounds,
        clock,
    )
    running = Query.build({"state": "RUNNING"})
    times["count(state)"] = _in_turn(
        {
            "ours-sqlite": lambda: store.count(running),
            "raw": lambda: raw.execute("SELECT count(*) FROM gc3store WHERE state = 'RUNNING'").fetchone(),
        },
        rounds,
        clock,
    )
    times["facets(state)"] = _in_turn(
        {
            "ours-sqlite": lambda: store.facets("state"),
            "raw": lambda: raw.execute("SELECT state, count(*) FROM gc3store GROUP BY state").fetchall(),
        },
        rounds,
        clock,
    )
    return times


def _windows(count: int) -> Iterator[tuple[str, dict[str, Any]]]:
    for label, order in (
        ("", "number"),
        (" newest first", "-number"),
        (" by size", "-size"),
        (" by class", "cls"),
    ):
        for part, offset in (("start", 0), ("middle", count // 2), ("end", count - 100)):
            yield f"{part}{label}", {"order": order, "offset": offset, "limit": 100}
    yield (
        "middle, state=RUNNING",
        {"order": "number", "offset": count // 6, "limit": 100, "filters": {"state": "RUNNING"}},
    )


def measure_files(worker: Any, count: int, rounds: int, clock: str, cold: bool) -> dict[str, Any]:
    """Time lists and tables of a store in files; runs in a worker, and first of all when cold."""
    store = worker.contender.store
    directory = str(worker.contender.directory / "store")
    times: dict[str, Any] = {}

    def headers() -> int:
        found = 0
        with os.scandir(directory) as entries:
            for entry in entries:
                if entry.name.endswith(".gc3"):
                    with open(entry.path, "rb") as file:
                        file.read(_HEADER)
                    found += 1
        return found

    if cold:
        times["cold"] = _in_turn({"raw": headers}, 1, clock)
    times["first list()"] = _in_turn({"ours-files": store.list}, 1, clock)
    times["first table()"] = _in_turn({"ours-files": store.table}, 1, clock)
    if len(store.list()) != count or headers() != count:
        raise AssertionError(f"{len(store.list())} IDs and {headers()} files, not {count}")
    raw: Ways = {"raw": headers}
    times["list()"] = _in_turn({"ours-files": store.list, **raw}, rounds, clock)
    times["table()"] = _in_turn({"ours-files": store.table, **raw}, rounds, clock)
    times["count()"] = _in_turn({"ours-files": store.count, **raw}, min(3, rounds), clock)
    times["listdir alone"] = _in_turn({"raw": lambda: os.listdir(directory)}, rounds, clock)
    return times
