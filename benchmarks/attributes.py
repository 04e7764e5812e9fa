"""Attributes of 100,000 jobs as a table: by inspection, and by unpickling them with their real classes.

Run as ``python -m benchmarks.attributes [COUNT]``. Each way runs in a process of its own; its time and the peak of
its memory are printed. The jobs are those of the sample stores, each with attributes of its own.
"""

import json
import pickle
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SAMPLES = Path(__file__).parent.parent / "tests" / "data" / "gc3pie"
COLUMNS = ["temperature", "execution.exitcode", "energy", "magnetization", "jobname"]


def make(path, count):
    """Write a database of jobs as GC3Pie does."""
    samples = [p.read_bytes() for p in sorted((SAMPLES / "fs").glob("IsingRun.*"))]
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE store (id INTEGER PRIMARY KEY, data BLOB, state VARCHAR(128))")
        rows = ((i, samples[i % len(samples)], "TERMINATED") for i in range(1, count + 1))
        connection.executemany("INSERT INTO store VALUES (?, ?, ?)", rows)
    connection.close()


def inspection(path):
    from gc3store import make_store

    with make_store(path, read_only=True) as store:
        before = time.process_time()
        store.count()  # stores of GC3Pie have no catalogue: it is read from the pickles, once
        print("processor seconds for the catalogue:", round(time.process_time() - before, 2))
        return len(store.table(columns=COLUMNS))


def again(path):
    """The same in another process: what was read is remembered."""
    return inspection(path)


def streams(path):
    """By inspection, of pickles that are at hand: the same work as `unpickling` does."""
    import pandas as pd

    from gc3store.inspection.form import raw_attributes
    from gc3store.inspection.stream import run, transcribe

    rows = []
    for id_, data in sqlite3.connect(path).execute("SELECT id, data FROM store"):
        job = raw_attributes(run(transcribe(data)))
        execution = raw_attributes(job["execution"])
        rows.append(
            (
                id_,
                job["temperature"],
                execution["_exitcode"],
                job["energy"],
                job["magnetization"],
                job["jobname"],
            )
        )
    return len(pd.DataFrame(rows))


def unpickling(path):
    """With the real classes, all of them in memory, as a script would do it that needs a table of them."""
    import pandas as pd

    sys.path.insert(0, str(SAMPLES))
    jobs = {}
    for id_, data in sqlite3.connect(path).execute("SELECT id, data FROM store"):
        jobs[id_] = pickle.loads(data)
    return len(
        pd.DataFrame(
            [
                (id_, j.temperature, j.execution.exitcode, j.energy, j.magnetization, j.jobname)
                for id_, j in jobs.items()
            ]
        )
    )


def measure(way, path):
    import warnings

    warnings.simplefilter("ignore")
    import pandas as pd  # noqa: F401 - importing it is not a part of what is compared

    if way == "unpickling":
        sys.path.insert(0, str(SAMPLES))
        import ising  # noqa: F401
    else:
        from gc3store.inspection.stream import _lexer

        _lexer()
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start, cpu = time.perf_counter(), time.process_time()
    count = globals()[way](path)
    print(
        json.dumps(
            {
                "way": way,
                "jobs": count,
                "seconds": round(time.perf_counter() - start, 2),
                "processor seconds": round(time.process_time() - cpu, 2),
                "more memory, MB": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - base) // 1024,
            }
        )
    )


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as directory:
        path = str(Path(directory) / "jobs.db")
        make(path, count)
        import os

        environment = {**os.environ, "XDG_CACHE_HOME": directory}
        for way in ("unpickling", "streams", "inspection", "again"):
            subprocess.run(
                [sys.executable, "-m", "benchmarks.attributes", "--measure", way, path],
                check=True,
                env=environment,
            )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measure(*sys.argv[2:])
    else:
        main()
