"""A power cut while a directory gets its first reference, or its first user column: what was said to be stored is.

As in `tests.test_power_cut`, whose history has each of them early: here are the parts of
the catalogue that are kept beside the records.
"""

from __future__ import annotations

import os
import random
import shutil
from contextlib import suppress

import pytest

from gc3store import make_store
from gc3store.testing import FreshProcess, Node, Point, in_fresh_process
from tests.disk import OPTIONS, Disk
from tests.tracing import trace, wait_at

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")


def first_references(path):
    """Save a record without references, and then one with; what is stored then refers to it."""
    with make_store(path) as store:
        child = Node("child")
        store.save(child)
        mark(1)
        store.save(Node("parent", child))
        mark(2)
        store.save(Node("another parent", child))
        mark(3)


def first_columns(path):
    """Save a record without columns, and then some with."""
    with make_store(path) as store:
        store.save(Point(1, "text"))
        mark(1)
    with make_store(path, columns={"x": "x", "y": "y"}) as store:
        store.save(Point(2, "text"))
        mark(2)
        store.save(Point(3, "other text"))
        mark(3)


def mark(number):
    with suppress(FileNotFoundError):
        os.mkdir(f"/mark/{number}")


def check_references(path, done):
    with make_store(path, durable=False) as store:
        ids = store.list()
        assert len(ids) >= done
        for id_ in ids[1:]:
            assert store.references(id_) == [ids[0]]
            assert store.load(id_, fresh=True).links[0].value == "child"
        if ids:
            assert store.referrers(ids[0]) == ids[1:]
            with make_store(path, read_only=True) as reader:
                assert reader.referrers(ids[0]) == ids[1:]
            other = store.save(Node("later", store.load(ids[0])))
            assert store.referrers(ids[0]) == [*ids[1:], other]


def check_columns(path, done):
    with make_store(path, durable=False) as store:
        records = list(store.records())
        assert [record.error for record in records] == [None] * len(records)
        assert len(records) >= done
        for number, record in enumerate(records, 1):
            assert store.load(record.id).x == number
            if number > 1 and done > 1:
                assert record.columns == {"x": number, "y": "text" if number == 2 else "other text"}
        if done > 1:
            assert set(store.columns) == {"x", "y"}
            assert store.list(x=2) == [records[1].id]
    with make_store(path, durable=False, columns={"x": "x", "y": "y"}) as store:
        later = store.save(Point(9, "later"))
        assert store.describe(later).columns == {"x": 9, "y": "later"}
        assert store.list(x=9) == [later]


HISTORIES = {"references": (first_references, check_references), "columns": (first_columns, check_columns)}


def live(name, path, gate):
    wait_at(gate)
    HISTORIES[name][0](path)


def problems_of(name, cases):
    """Return what is wrong with each of the states that a power cut may have left."""
    problems = []
    for place, done in cases:
        try:
            HISTORIES[name][1](place, done)
        except Exception as error:
            problems.append(f"{place} after {done}: {type(error).__name__}: {error}")
    return problems


@pytest.mark.parametrize("name", HISTORIES)
def test_at_any_moment(tmp_path, name):
    folder, gate = tmp_path / "disk", tmp_path / "gate"
    folder.mkdir()
    os.mkfifo(gate)
    disk = Disk(folder)
    child = FreshProcess(live, name, folder / "objects", str(gate))
    lines = trace(child, gate, *OPTIONS)
    child.result()
    cases, seen, done = [], set(), 0
    for number, marked in enumerate(disk.play(lines)):
        if marked is not None:
            done = int(marked)
        for chance in (None, random.Random(2 * number), random.Random(2 * number + 1)):
            left = disk.after_power_cut(chance)
            key = done, frozenset(left.items())
            if key in seen:
                continue
            seen.add(key)
            copy = tmp_path / f"left {len(cases)}"
            copy.mkdir()
            for path, content in left.items():
                if content is None:
                    (copy / path).mkdir()
                else:
                    (copy / path).write_bytes(content)
            cases.append((copy / "objects", done))
    assert done == 3
    assert len(cases) > 20
    problems = in_fresh_process(problems_of, name, cases)
    assert not problems, "\n".join(problems[:20])
