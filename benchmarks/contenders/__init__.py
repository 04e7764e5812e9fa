"""Who takes part, what each promises about a power cut, and whom it is compared with."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

__all__ = ["SPECS", "Spec", "available"]

_NONE = "nothing synchronised"


@dataclass(frozen=True)
class Spec:
    """One contender.

    Attributes
    ----------
    key : str
        Its short name; ``--only`` takes it.
    label : str
        Its name in tables.
    target : str
        ``module:class`` of its `~benchmarks.contenders.base.Contender`.
    durability : str
        What it does before it reports an object as saved.
    floor : str
        Key of the floor that promises the same.
    workloads : frozenset of str
        What it takes part in.
    options : dict
        Passed to the class.
    needs : str
        Module that must be installed.
    python : Path or None
        Interpreter that runs it, `None` for this one.
    """

    key: str
    label: str
    target: str
    durability: str
    floor: str
    workloads: frozenset[str]
    options: dict[str, Any] = field(default_factory=dict)
    needs: str = ""
    python: Path | None = None


def _spec(
    key: str, label: str, target: str, durability: str, floor: str, workloads: str, **rest: Any
) -> Spec:
    needs = rest.pop("needs", "")
    return Spec(
        key=key,
        label=label,
        target=f"benchmarks.contenders.{target}",
        durability=durability,
        floor=floor,
        workloads=frozenset(workloads.split()),
        options=rest,
        needs=needs,
    )


_NORMAL, _FULL = "WAL, synchronous=NORMAL", "WAL, synchronous=FULL"

#: In the order of the tables.
SPECS: tuple[Spec, ...] = (
    _spec("pickle", "pickle alone", "floor:Pickle", "not stored", "pickle", "jobs graph"),
    _spec("sqlite", "raw sqlite3", "floor:Sqlite", _NORMAL, "sqlite", "jobs bulk graph", durable=False),
    _spec(
        "sqlite-full", "raw sqlite3", "floor:Sqlite", _FULL, "sqlite-full", "jobs bulk graph", durable=True
    ),
    _spec(
        "sqlite-single",
        "raw sqlite3, one by one",
        "floor:Sqlite",
        _NORMAL,
        "sqlite",
        "graph",
        durable=False,
        bulk=False,
    ),
    _spec("write", "raw open/write", "floor:Files", _NONE, "write", "jobs graph", method="plain"),
    _spec("rename", "raw temp + rename", "floor:Files", _NONE, "write", "jobs", method="rename"),
    _spec(
        "fsync",
        "raw temp + fsync + rename + fsync dir",
        "floor:Files",
        "file and directory fsync",
        "fsync",
        "jobs graph",
        method="fsync",
    ),
    _spec("bytes", "raw write of the bytes", "floor:RawBytes", _NONE, "dump", "array"),
    _spec("dump", "pickle.dump to a file", "floor:PickleFile", _NONE, "dump", "array", durable=False),
    _spec(
        "dump-fsync",
        "pickle.dump + fsync + rename + fsync dir",
        "floor:PickleFile",
        "file and directory fsync",
        "dump-fsync",
        "array",
        durable=True,
    ),
    _spec("lmdb", "raw lmdb", "floor:Lmdb", "sync at each commit", "sqlite-full", "jobs", needs="lmdb"),
    _spec(
        "ours-sqlite",
        "**gc3store, SQLite**",
        "ours:Ours",
        "durable=False",
        "sqlite",
        "jobs bulk graph chain array",
        needs="gc3store",
        kind="sqlite",
        durable=False,
    ),
    _spec(
        "ours-sqlite-durable",
        "**gc3store, SQLite**",
        "ours:Ours",
        "durable",
        "sqlite-full",
        "jobs bulk graph array",
        needs="gc3store",
        kind="sqlite",
        durable=True,
    ),
    _spec(
        "ours-sqlite-plain",
        "**gc3store, SQLite**, jobs of a plain class",
        "ours:Ours",
        "durable=False",
        "sqlite",
        "jobs bulk",
        needs="gc3store",
        kind="sqlite",
        durable=False,
        plain=True,
    ),
    _spec(
        "ours-files",
        "**gc3store, files**",
        "ours:Ours",
        "durable=False",
        "write",
        "jobs bulk graph chain array",
        needs="gc3store",
        kind="files",
        durable=False,
    ),
    _spec(
        "ours-files-durable",
        "**gc3store, files**",
        "ours:Ours",
        "durable",
        "fsync",
        "jobs graph array",
        needs="gc3store",
        kind="files",
        durable=True,
    ),
    _spec(
        "ours-mapped",
        "**gc3store, files**, loaded as a memory map",
        "ours:Ours",
        "durable=False",
        "dump",
        "array",
        needs="gc3store",
        kind="files",
        durable=False,
        mapped=True,
    ),
    _spec(
        "gc3pie-files",
        "GC3Pie FilesystemStore",
        "gc3pie:Gc3Pie",
        _NONE,
        "write",
        "jobs graph chain array",
        kind="files",
    ),
    _spec(
        "gc3pie-sql",
        "GC3Pie SqlStore",
        "gc3pie:Gc3Pie",
        "DELETE journal, synchronous=FULL",
        "sqlite-full",
        "jobs graph chain array",
        kind="sql",
    ),
    _spec("shelve", "shelve", "peers:Shelve", _NONE, "write", "jobs"),
    _spec(
        "diskcache", "diskcache", "peers:DiskCache", _NORMAL, "sqlite", "jobs bulk array", needs="diskcache"
    ),
    _spec(
        "sqlitedict",
        "sqlitedict, commit per operation",
        "peers:SqliteDict",
        "DELETE journal, synchronous=OFF",
        "sqlite",
        "jobs bulk",
        needs="sqlitedict",
    ),
    _spec(
        "zodb",
        "ZODB",
        "peers:Zodb",
        "fsync at each commit",
        "sqlite-full",
        "jobs bulk graph chain array",
        needs="ZODB",
    ),
    _spec("joblib", "joblib", "peers:Joblib", _NONE, "write", "jobs array", needs="joblib"),
)


def available(
    gc3pie: Path | None, why_not: str, only: Iterable[str] = ()
) -> tuple[list[Spec], dict[str, str]]:
    """Return the contenders that can run here, and why the others cannot."""
    chosen, missing = [], {}
    wanted = set(only)
    for spec in SPECS:
        if wanted and spec.key not in wanted:
            continue
        if spec.key.startswith("gc3pie"):
            if gc3pie is None:
                missing[spec.label] = why_not
                continue
            spec = replace(spec, python=gc3pie)
        elif spec.needs and importlib.util.find_spec(spec.needs) is None:
            missing[spec.label] = f"{spec.needs} is not installed"
            continue
        chosen.append(spec)
    return chosen, missing
