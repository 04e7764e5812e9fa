"""A store of a million small objects, for measuring the browser: ``python -m benchmarks.browser_store FILE [COUNT]``.

One object is saved; the others are copies of its rows under names, states, tags, sizes
and times of their own, written by one statement. They can be loaded like any other.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import time

from gc3store import make_store

COPIES = """
WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < :count)
INSERT INTO gc3store (number, id, name, cls, state, tags, size, created, modified, revision, explicit)
SELECT i, iif(i % 1000, 'IsingRun.', 'FiniteSizeStudy.') || i,
       printf('%dx%d T=%.3f seed %d', 1 << (3 + i % 5), 1 << (3 + i % 5), 1.5 + (i * 7919 % 1000) / 500.0,
              i * 2654435761 % 1000003),
       iif(i % 1000, 'ising.IsingRun', 'ising.FiniteSizeStudy'),
       substr('TERMINATEDTERMINATEDTERMINATEDRUNNING   FAILED    NEW       ', 1 + 10 * (i * 31 % 6), 10),
       iif(i % 7, NULL, '["critical"]'), 4000 + i * 40503 % 100000, created + i * 1000000,
       modified + i * 1000000, 1, explicit
FROM n, (SELECT created, modified, explicit FROM gc3store WHERE number = 1)
"""


def build(path: str, count: int = 1_000_000) -> float:
    """Write the store and return how many seconds it took."""
    start = time.perf_counter()
    with make_store(f"sqlite:///{path}") as store:
        store.save([0.0] * 10, name="8x8 T=1.500 seed 1")
    db = sqlite3.connect(path)
    with db:
        db.execute(
            "UPDATE gc3store SET created = created - 2000000000000, modified = modified - 2000000000000"
        )
        db.execute(COPIES, {"count": count})
        db.execute("UPDATE gc3store SET state = trim(state) WHERE state LIKE '% '")
        columns = "flags, checksum, stream_size, buffers, preview, environment, origin, data"
        db.execute(
            f"INSERT INTO gc3store_payload (number, {columns}) SELECT c.number, {columns} FROM gc3store c, "
            "(SELECT * FROM gc3store_payload WHERE number = 1) WHERE c.number > 1"
        )
        db.execute("UPDATE gc3store_meta SET last_number = ?", (count,))
    db.close()
    return time.perf_counter() - start


if __name__ == "__main__":
    where = sys.argv[1]
    if os.path.exists(where):
        sys.exit(f"{where} exists already")
    print(f"{build(where, int(sys.argv[2]) if sys.argv[2:] else 1_000_000):.1f} s")
