"""One writer and eight on each database server, beside plain SQLAlchemy inserts of the same bytes.

    python -m benchmarks.servers [--objects 200] [--rounds 3]

Each writer is a process of its own that saves objects one by one, each a transaction. The
plain writers insert the pickles into a table of two columns with `sqlalchemy.insert`
in ``engine.begin()``. Both are measured in turns; the table shows the medians in
microseconds per object (of all writers together) and their ratio.
"""

from __future__ import annotations

import argparse
import multiprocessing
import pickle
import secrets
import statistics
import time

import sqlalchemy as sa

from gc3store import make_store
from gc3store.sql.url import parse
from tests.servers import KINDS, database


def job(number: int) -> dict:
    return {
        "jobname": f"run-{number}",
        "state": "TERMINATED",
        "exitcode": 0,
        "log": "x" * 600,
        "number": number,
    }


def ours(url: str, table: str, objects: int, ready, go) -> None:
    store = make_store(url, table_name=table)
    store.save("warm")
    ready.release()
    go.wait()
    for number in range(objects):
        store.save(job(number))
    store.close()


def plain(url: str, table: str, objects: int, ready, go) -> None:
    engine = sa.create_engine(parse(url)[0])
    data = sa.LargeBinary(2**24)
    jobs = sa.Table(
        table, sa.MetaData(), sa.Column("id", sa.BigInteger, primary_key=True), sa.Column("data", data)
    )
    with engine.begin() as connection:
        connection.execute(sa.insert(jobs).values(data=b"warm"))
    ready.release()
    go.wait()
    for number in range(objects):
        with engine.begin() as connection:
            connection.execute(sa.insert(jobs).values(data=pickle.dumps(job(number), 5)))
    engine.dispose()


def measure(writer, url: str, table: str, writers: int, objects: int) -> float:
    """Return seconds per object, all writers together."""
    context = multiprocessing.get_context("fork")
    ready, go = context.Semaphore(0), context.Event()
    workers = [context.Process(target=writer, args=(url, table, objects, ready, go)) for _ in range(writers)]
    for worker in workers:
        worker.start()
    for _ in workers:
        ready.acquire()
    start = time.perf_counter()
    go.set()
    for worker in workers:
        worker.join()
    assert not any(worker.exitcode for worker in workers)
    return (time.perf_counter() - start) / (writers * objects)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print(f"{'server':12} {'writers':>7} {'gc3store us':>12} {'plain us':>9} {'ratio':>6}")
    for kind in KINDS:
        with database(kind) as url:
            for writers in (1, 8):
                figures: dict = {ours: [], plain: []}
                for _ in range(options.rounds):
                    for writer, found in figures.items():
                        table = f"t{secrets.token_hex(4)}"
                        prepare(writer, url, table)
                        found.append(measure(writer, url, table, writers, options.objects // writers))
                a, b = (statistics.median(figures[writer]) * 1e6 for writer in (ours, plain))
                print(f"{kind:12} {writers:7} {a:12.0f} {b:9.0f} {a / b:6.2f}", flush=True)


def prepare(writer, url: str, table: str) -> None:
    """Make the tables, so that this is not measured."""
    if writer is ours:
        with make_store(url, table_name=table) as store:
            store.save("first")
        return
    engine = sa.create_engine(parse(url)[0])
    columns = sa.Column("id", sa.BigInteger, primary_key=True), sa.Column("data", sa.LargeBinary(2**24))
    sa.Table(table, sa.MetaData(), *columns).create(engine)
    engine.dispose()


if __name__ == "__main__":
    main()
