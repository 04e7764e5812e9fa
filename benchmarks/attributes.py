"""Attributes of stored jobs as a table: by inspection, beside unpickling them all with their real classes.

Run as ``python -m benchmarks.attributes [JOBS] [ROUNDS]``, by default 100,000 and 3. For each kind of store, a table
and a directory of GC3Pie and a database of our own, each round makes, in processes of their own and in
alternation:

* **unpickling**: read every pickle, load it with its real class, keep the objects, and make a table of five of their
  attributes, as a script would that has the classes;
* **streaming**: the same without keeping the objects, which is the least that real classes can do;
* **inspection**: ``store.table(columns=[...])`` with an empty cache: for GC3Pie's stores that includes reading the
  catalogue, which they do not have;
* **again**: the same in another process, which finds in the user's cache what was read.

Every job has values of its own. Printed are medians of the processor time and of the memory that was taken beyond
that of the imports, both read from outside (``wait4``, and the kernel's high-water mark), and the medians of the
ratios within the rounds.
"""

import json
import os
import pickle
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
SAMPLES = ROOT / "tests" / "data" / "gc3pie"
COLUMNS = ["temperature", "execution.exitcode", "energy", "magnetization", "jobname"]
KINDS = ["GC3Pie table", "GC3Pie directory", "own SQLite"]
WAYS = ["unpickling", "streaming", "inspection", "again"]


def jobs(count):
    """Yield the pickles of as many jobs, like those of the samples, each with values of its own."""
    import random

    sys.path.insert(0, str(SAMPLES))
    samples = [pickle.loads(p.read_bytes()) for p in sorted((SAMPLES / "fs").glob("IsingRun.*"))]
    numbers = random.Random(1)
    for n in range(1, count + 1):
        job = samples[n % len(samples)]
        job.temperature = numbers.uniform(1, 4)
        job.energy = numbers.uniform(-2, 0)
        job.magnetization = numbers.random()
        job.jobname = f"ising-{n}"
        job.execution._exitcode = numbers.choice([0, 0, 0, 1, None])
        for state in job.execution.timestamp:
            job.execution.timestamp[state] = numbers.uniform(1.7e9, 1.8e9)
        job.persistent_id = f"IsingRun.{n}"
        yield n, job


def make(kind, path, count):
    """Make a store; return what `make_store` takes."""
    if kind == "GC3Pie directory":
        path.mkdir()
        for n, job in jobs(count):
            (path / f"IsingRun.{n}").write_bytes(pickle.dumps(job, 4))
    elif kind == "GC3Pie table":
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE store (id INTEGER PRIMARY KEY, data BLOB, state VARCHAR(128))")
            rows = ((n, pickle.dumps(job, 4), "TERMINATED") for n, job in jobs(count))
            connection.executemany("INSERT INTO store VALUES (?, ?, ?)", rows)
        connection.close()
    else:
        from gc3store import make_store

        with make_store(f"sqlite:///{path}", durable=False) as store, store.transaction():
            for _, job in jobs(count):
                job.__dict__.pop("persistent_id")
                store.save(pickle.loads(pickle.dumps(job)))


def pickles(kind, path):
    if kind == "GC3Pie directory":
        for file in os.scandir(path):
            yield file.name, Path(file.path).read_bytes()
    else:
        statement = (
            "SELECT id, data FROM store"
            if kind == "GC3Pie table"
            else "SELECT id, data FROM gc3store JOIN gc3store_payload USING (number)"
        )
        yield from sqlite3.connect(path).execute(statement)


def row(id_, job):
    return id_, job.temperature, job.execution.exitcode, job.energy, job.magnetization, job.jobname


def unpickling(kind, path):
    import pandas as pd

    kept = {id_: pickle.loads(data) for id_, data in pickles(kind, path)}
    return len(pd.DataFrame([row(id_, job) for id_, job in kept.items()]))


def streaming(kind, path):
    import pandas as pd

    return len(pd.DataFrame([row(id_, pickle.loads(data)) for id_, data in pickles(kind, path)]))


def inspection(_kind, path):
    from gc3store import make_store

    with make_store(path, read_only=True) as store:
        return len(store.table(columns=COLUMNS))


again = inspection


def measured(way, kind, path):
    """Do it, after all imports; tell processor seconds and bytes before and after."""
    import warnings

    warnings.simplefilter("ignore")
    sys.path.insert(0, str(SAMPLES))
    import ising  # noqa: F401
    import pandas as pd  # noqa: F401
    import sqlalchemy  # noqa: F401

    print(json.dumps(time.process_time()), flush=True)
    sys.stdin.readline()  # now the high-water mark is reset
    count = globals()[way](kind, path)
    print(json.dumps([count, time.process_time()]), flush=True)
    sys.stdin.readline()


def run(way, kind, path, cache):
    """Return processor seconds and bytes of one way, in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.attributes", "--measure", way, kind, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
        env={**os.environ, "XDG_CACHE_HOME": str(cache)},
    )
    before = json.loads(process.stdout.readline())
    Path(f"/proc/{process.pid}/clear_refs").write_text("5")
    base = memory(process.pid)
    process.stdin.write("\n")
    process.stdin.flush()
    count, after = json.loads(process.stdout.readline())
    peak = memory(process.pid) - base
    process.communicate("\n")
    return count, after - before, peak


def memory(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def main(count=100_000, rounds=3):
    with tempfile.TemporaryDirectory() as place:
        cache = Path(place) / "cache"
        for number, kind in enumerate(KINDS):
            path = Path(place) / f"jobs{number}"
            make(kind, path, count)
            time.sleep(3)  # until its time tells whether it has changed
            found = {way: [] for way in WAYS}
            for _ in range(rounds):
                shutil.rmtree(cache, ignore_errors=True)
                for way in WAYS:
                    rows, seconds, megabytes = run(way, kind, path, cache)
                    assert rows == count
                    found[way].append((seconds, max(megabytes, 0.1)))
            report(kind, count, found)
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def report(kind, count, found):
    print(f"\n{count:,} jobs in a store of kind {kind!r}, medians of {len(found['again'])} rounds")
    print(f"{'':12}{'cpu s':>8}{'MB':>8}   {'time and memory, as parts of those of unpickling':50}")
    for way in WAYS:
        seconds, megabytes = (statistics.median(column) for column in zip(*found[way], strict=True))
        ratios = [
            statistics.median(
                mine[at] / real[at] for mine, real in zip(found[way], found["unpickling"], strict=True)
            )
            for at in (0, 1)
        ]
        print(f"{way:12}{seconds:8.2f}{megabytes:8.0f}   {ratios[0]:.3f}, 1/{1 / ratios[1]:.1f}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measured(*sys.argv[2:])
    else:
        main(*map(int, sys.argv[1:]))
