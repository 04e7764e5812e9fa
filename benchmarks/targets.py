"""What gc3store has set itself to reach, each with the figure that was measured."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from benchmarks.clock import Series, ratio
from benchmarks.contenders import SPECS

if TYPE_CHECKING:
    from benchmarks.workloads import Result

__all__ = ["TARGETS", "Target", "Verdict", "judge"]


@dataclass(frozen=True)
class Target:
    """A limit on a ratio, a time or a number.

    Attributes
    ----------
    text : str
        What is measured.
    workload, operation, key : str
        Where the figure stands in the results.
    limit : float
        The most it may be.
    against : str
        The contender that the ratio is to; empty for a limit of its own.
    kind : {"ratio", "ms", "syncs", "peak"}
        What is limited; a peak is in MiB.
    base_workload, base_operation : str
        Where the other side of a ratio stands, where this is another place.
    only : str
        ``"disk"`` where the figure means something only on a filesystem that has to
        synchronise; ``"tmpfs"`` the other way round.
    """

    text: str
    workload: str
    operation: str
    key: str
    limit: float
    against: str = ""
    kind: str = "ratio"
    base_workload: str = ""
    base_operation: str = ""
    only: str = ""


@dataclass
class Verdict:
    """What became of a target.

    Attributes
    ----------
    text, against, limit : str
        The target, in words.
    measured : dict of str to str
        The figure, by place.
    met : bool or None
        Whether it is met wherever it applies; `None` if it was not measured.
    """

    text: str
    against: str
    limit: str
    measured: dict[str, str] = field(default_factory=dict)
    met: bool | None = None


def _targets() -> Iterator[Target]:
    for key, floor, label in (
        ("ours-sqlite", "sqlite", "SQLite"),
        ("ours-sqlite-durable", "sqlite-full", "SQLite durable"),
    ):
        yield Target(f"{label}: save", "jobs", "save", key, 2.2, floor)
        yield Target(f"{label}: load", "jobs", "load", key, 1.6, floor)
        yield Target(f"{label}: replace", "jobs", "replace", key, 2.4, floor)
        yield Target(f"{label}: remove", "jobs", "remove", key, 2.4, floor)
    yield Target(
        "SQLite durable: synchronisations a save", "jobs", "save", "ours-sqlite-durable", 1, kind="syncs"
    )
    yield Target("SQLite durable: save", "jobs", "save", "ours-sqlite-durable", 0.15, "gc3pie-sql")
    yield Target("SQLite durable: load", "jobs", "load", "ours-sqlite-durable", 0.04, "gc3pie-sql")
    for key, floor, rows, label in (
        ("ours-sqlite", "sqlite", "rows", "SQLite bulk"),
        ("ours-sqlite-durable", "sqlite-full", "rows-durable", "SQLite bulk durable"),
    ):
        yield Target(f"{label}: save", "bulk", "save", key, 2.2, floor)
        yield Target(f"{label}: save", "bulk", "save", key, 1.2, rows)
        yield Target(f"{label}: load", "bulk", "load", key, 1.6, floor)
        yield Target(f"{label}: replace", "bulk", "replace", key, 2.5, floor)
        yield Target(f"{label}: change what was loaded, save", "bulk", "change", key, 2.5, floor)
    # Peers of equal durability: none is to be faster.
    for operation in ("save", "load", "replace", "remove"):
        yield Target(f"SQLite: {operation}", "jobs", operation, "ours-sqlite", 1.0, "diskcache")
        yield Target(f"SQLite bulk: {operation}", "bulk", operation, "ours-sqlite", 1.0, "diskcache")
    yield Target("SQLite bulk: change", "bulk", "change", "ours-sqlite", 1.0, "diskcache")
    yield Target(
        "SQLite bulk durable: save",
        "bulk",
        "save",
        "ours-sqlite-durable",
        0.03,
        "gc3pie-sql",
        base_workload="jobs",
    )
    yield Target("files durable: save", "jobs", "save", "ours-files-durable", 1.1, "fsync", only="disk")
    yield Target("files: save", "jobs", "save", "ours-files", 2.0, "write")
    yield Target("files: save", "jobs", "save", "ours-files", 0.3, "gc3pie-files")
    yield Target("files: load", "jobs", "load", "ours-files", 1.2, "write")
    yield Target("files: remove", "jobs", "remove", "ours-files", 2.5, "write")
    yield Target("files: load", "jobs", "load", "ours-files", 0.5, "gc3pie-files")
    for key, floor, label in (
        ("ours-sqlite", "sqlite", "graph, SQLite"),
        ("ours-sqlite-durable", "sqlite-full", "graph, SQLite durable"),
    ):
        yield Target(f"{label}: save", "graph", "save", key, 2.2, floor)
        yield Target(f"{label}: load", "graph", "load", key, 1.7, floor)
        yield Target(f"{label}: save", "graph", "save", key, 0.4, "zodb")
        yield Target(f"{label}: load", "graph", "load", key, 0.4, "zodb")
        yield Target(f"{label}: again", "graph", "again", key, 1.3, "pickle", base_operation="save")
    yield Target(
        "graph, SQLite durable: save", "graph", "save", "ours-sqlite-durable", 0.01, "gc3pie-sql", only="disk"
    )
    yield Target("graph, SQLite durable: load", "graph", "load", "ours-sqlite-durable", 0.04, "gc3pie-sql")
    for key, label in (("ours-sqlite", "chain, SQLite"), ("ours-files", "chain, files")):
        for operation in ("save", "load"):
            text = f"{label}: {operation}, per object, ten times as long"
            yield Target(
                text, "chain", f"{operation} long", key, 1.25, key, base_operation=f"{operation} short"
            )
    yield Target("hook: 1M ints", "hook", "1M ints", "ours", 1.05, "plain")
    yield Target("hook: 200k dicts", "hook", "200k dicts", "ours", 1.05, "plain")
    yield Target("hook: 100k instances", "hook", "100k instances", "ours", 1.1, "plain")
    yield Target("hook: one small job", "hook", "one job", "ours", 1.2, "plain")
    yield Target("array, files: save", "array", "save", "ours-files", 1.15, "dump")
    yield Target("array, files durable: save", "array", "save", "ours-files-durable", 1.15, "dump-fsync")
    yield Target("array, files: memory of a save, MiB", "array", "save", "ours-files", 4, kind="peak")
    yield Target("array, files: load", "array", "load", "ours-files", 0.6, "dump")
    yield Target("array, files: mapped load, ms", "array", "load", "ours-mapped", 1.0, kind="ms")
    yield Target("array, SQLite durable: save", "array", "save", "ours-sqlite-durable", 0.5, "gc3pie-sql")
    yield Target("array, SQLite durable: load", "array", "load", "ours-sqlite-durable", 0.35, "gc3pie-sql")
    yield Target("array, SQLite: memory of a save, MiB", "array", "save", "ours-sqlite", 8, kind="peak")
    yield Target("array of 3 GiB, files: memory of a save, MiB", "huge", "save", "ours-files", 4, kind="peak")
    yield Target(
        "array of 3 GiB, SQLite: memory of a save, MiB", "huge", "save", "ours-sqlite", 8, kind="peak"
    )
    yield Target("a million records: list()", "catalogue", "list()", "ours-sqlite", 1.1, "raw")
    yield Target("a million records: table()", "catalogue", "table()", "ours-sqlite", 0.85, "raw")
    for part in ("start", "middle", "end"):
        for order in ("", " newest first", " by size", " by class"):
            text = f"a million records: window of 100, {part}{order}, ms"
            yield Target(text, "catalogue", f"window {part}{order}", "ours-sqlite", 2.0, kind="ms")
    yield Target("a million records: count(), ms", "catalogue", "count()", "ours-sqlite", 10.0, kind="ms")
    for operation in ("list()", "table()"):
        yield Target(f"100,000 files: second {operation}", "files", operation, "ours-files", 0.3, "raw")
        yield Target(
            f"100,000 files: second {operation}",
            "files",
            operation,
            "ours-files",
            0.05,
            "raw",
            base_operation="cold",
        )


TARGETS: tuple[Target, ...] = tuple(_targets())


def judge(results: Iterable[Result], disks: set[str]) -> list[Verdict]:
    """Return what became of each target; `disks` are the places that are no tmpfs."""
    found = {(result.workload, result.where): result for result in results}
    places = list(dict.fromkeys(where for _, where in found))
    return [_judge(target, found, places, disks) for target in TARGETS]


def _judge(
    target: Target, found: dict[tuple[str, str], Result], places: list[str], disks: set[str]
) -> Verdict:
    verdict = Verdict(target.text, _against(target, found, places), f"{target.limit:g}")
    outcomes = []
    for where in places:
        result = found.get((target.workload, where))
        if result is None:
            continue
        value = _value(target, result, found.get((target.base_workload or target.workload, where)))
        applies = not target.only or (target.only == "disk") == (where in disks)
        if value is None:
            continue
        digits = 3 if target.kind == "ratio" and target.limit < 0.1 else 2 if target.kind != "peak" else 0
        verdict.measured[where] = f"{value:.{digits}f}" + ("" if applies else " (for information)")
        if applies:
            outcomes.append(round(value, 6) <= target.limit)
    if outcomes:
        verdict.met = all(outcomes)
    return verdict


def _against(target: Target, found: dict[tuple[str, str], Result], places: list[str]) -> str:
    if not target.against:
        return ""
    if target.base_operation and target.against == target.key:
        return target.base_operation
    for where in places:
        result = found.get((target.base_workload or target.workload, where))
        if result and (target.against in result.specs or target.against in result.labels):
            label = result.label(target.against)
            if target.workload in ("catalogue", "files"):
                label = {"list()": "raw sqlite3", "table()": "pandas.read_sql"}.get(target.operation, label)
            if target.workload == "files":
                label = "reading the headers, " + (target.base_operation or "warm")
            return label
    return next((spec.label for spec in SPECS if spec.key == target.against), target.against)


def _value(target: Target, result: Result, other: Result | None) -> float | None:
    if target.kind == "syncs":
        return result.syncs.get(target.operation, {}).get(target.key)
    series = result.table.get(target.operation, {}).get(target.key)
    if series is None or not series.rounds:
        return None
    if target.kind == "ms":
        return series.median * 1e3
    if target.kind == "peak":
        return max(series.peak) / 2**20
    base: Series | None = None
    if other is not None:
        base = other.table.get(target.base_operation or target.operation, {}).get(target.against)
    if base is None or not base.rounds:
        return None
    if target.base_workload or target.workload == "chain" or target.base_operation == "cold":
        return series.median / base.median  # rounds of two measurements are no pairs
    return ratio(series, base)
