"""Many processes on one server's store, some of them killed: no object is lost, doubled or torn.

Each process notes every operation before it begins and after it ended, with the time. What is
in the store in the end must be explained by some order of the operations that agrees with
those intervals; an operation that was never noted as ended may have happened or not.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import time

import pytest

from gc3store import ConflictError, ObjectNotFoundError, make_store
from gc3store.ids import number_of
from tests.servers import KINDS, database

pytestmark = pytest.mark.server

SHARED = 3  # records that everybody replaces
PROCESSES = 4


def work(url: str, shared: list[str], counter: str, log: str, seed: int, seconds: float) -> None:
    rng = random.Random(seed)
    store = make_store(url)
    with open(log, "a", buffering=1) as notes:

        def noted(op: str, call, **facts):
            start = time.monotonic()
            key = f"{seed}-{start}"
            notes.write(json.dumps({"key": key, "op": op, "start": start, **facts}) + "\n")
            try:
                result, outcome = call(), "done"
            except ConflictError:
                result, outcome = None, "conflict"
            except ObjectNotFoundError:
                result, outcome = None, "missing"
            notes.write(
                json.dumps({"key": key, "end": time.monotonic(), "outcome": outcome, "id": result}) + "\n"
            )
            return result

        mine: list[str] = []
        n = 0
        deadline = time.monotonic() + seconds  # from here on: a crowded machine starts processes slowly
        while time.monotonic() < deadline:
            n += 1
            value = [seed, n]
            match rng.randrange(6):
                case 0 | 1:
                    id_ = noted("save", lambda v=value: store.save(v), value=value)
                    mine.append(id_)
                case 2:
                    id_ = rng.choice(shared)
                    noted("replace", lambda i=id_, v=value: store.replace(i, v), value=value, target=id_)
                case 3:
                    revision, count = store.describe(counter).revision, None
                    count = store.load(counter)["count"]
                    changed = {"count": count + 1, "pad": b"x" * rng.choice([10, 1_200_000])}
                    noted(
                        "increment",
                        lambda r=revision, c=changed: store.replace(counter, c, expected=r),
                        target=counter,
                    )
                case 4 if mine:
                    id_ = mine.pop(rng.randrange(len(mine)))
                    noted("remove", lambda i=id_: store.remove(i), target=id_)
                case _:
                    assert set(shared) <= set(store.list())
    store.close()


@pytest.mark.parametrize("kind", KINDS)
def test_outcomes_are_explained_by_some_order(kind, tmp_path):
    seconds = float(os.environ.get("GC3STORE_RACE_SECONDS", "5"))
    with database(kind) as url, make_store(url) as store:
        shared = store.save_many([[0, i] for i in range(SHARED)])
        counter = store.save({"count": 0, "pad": b""})
        logs = [str(tmp_path / f"log{i}") for i in range(PROCESSES)]
        fork = multiprocessing.get_context("fork")
        workers = [
            fork.Process(target=work, args=(url, shared, counter, log, seed, seconds))
            for seed, log in enumerate(logs, 1)
        ]
        for worker in workers:
            worker.start()
        begun = time.monotonic() + 60
        while time.monotonic() < begun and not all(os.path.exists(log) and lines_of(log)[5:] for log in logs):
            time.sleep(0.05)
        time.sleep(seconds * 0.3)
        for killed in workers[:2]:
            os.kill(killed.pid, signal.SIGKILL)
        for worker in workers:
            worker.join()
        assert [worker.exitcode for worker in workers[2:]] == [0, 0]
        operations = read(logs)
        explain(store, operations, [*shared, counter], counter, shared)
        assert sum(op["outcome"] == "done" for op in operations) > 10


def lines_of(log):
    with open(log) as notes:
        return notes.read().splitlines()


def read(logs):
    operations = {}
    for log in logs:
        for line in lines_of(log):
            try:
                note = json.loads(line)
            except ValueError:
                continue  # the writer was killed in the middle of the line
            operations.setdefault(note["key"], {"outcome": "unknown", "end": float("inf")}).update(note)
    return [op for op in operations.values() if "op" in op]


def explain(store, operations, given, counter, shared):
    saved = [op for op in operations if op["op"] == "save"]
    ids = [op["id"] for op in saved if op["outcome"] == "done"]
    assert len(set(ids)) == len(ids)  # none was given twice
    assert len({number_of(i) for i in [*ids, *given]}) == len(ids) + len(given)
    removed = {op["target"] for op in operations if op["op"] == "remove" and op["outcome"] == "done"}
    maybe_removed = {op["target"] for op in operations if op["op"] == "remove" and op["outcome"] == "unknown"}
    present = set(store.list())
    content = dict(zip(sorted(present), store.load_many(sorted(present)), strict=True))  # none is torn
    for op in saved:
        if op["outcome"] == "done" and op["id"] not in removed | maybe_removed:
            assert content[op["id"]] == op["value"], "lost"
    assert not removed & present, "came back"
    unknown = [op["value"] for op in saved if op["outcome"] == "unknown"]
    for id_ in present - set(ids) - set(given):
        assert content[id_] in unknown, "out of nothing"
        unknown.remove(content[id_])  # and not twice
    for id_ in shared:
        writes = [op for op in operations if op["op"] == "replace" and op["target"] == id_]
        done = [op for op in writes if op["outcome"] == "done"]
        last_start = max((op["start"] for op in done), default=0)
        possible = [op["value"] for op in writes if op["end"] >= last_start]
        assert content[id_] in (possible if done else [[0, given.index(id_)], *possible]), "not the last one"
    increments = [op for op in operations if op["op"] == "increment"]
    certain = sum(op["outcome"] == "done" for op in increments)
    possible = certain + sum(op["outcome"] == "unknown" for op in increments)
    assert certain <= content[counter]["count"] <= possible, "an update was lost"
    assert store.describe(counter).revision == content[counter]["count"] + 1
