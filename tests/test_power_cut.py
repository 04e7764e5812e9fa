"""A power cut at any moment (C5, C6): what was said to be stored is there, and whole.

A child process works through a history and marks each step that has returned; strace
writes down its system calls. `tests.disk` tells what may be left on the disk after each of
them, and a fresh process looks at every such state.
"""

from __future__ import annotations

import hashlib
import os
import random
import re
import shutil
import sqlite3
from contextlib import closing, suppress

import pytest

from gc3store import make_store
from gc3store.ids import number_of
from gc3store.testing import FreshProcess, Node, Point, in_fresh_process

from .disk import OPTIONS, Disk
from .tracing import trace, wait_at

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")

#: A directory, a database with a write-ahead log, and one of somebody else's with a rollback journal.
KINDS = ("directory", "sqlite", "foreign")

LARGE = bytes(range(256)) * 4200


def _change_graph(store, root):
    root.value, root.links[0].value = "new root", "new child"
    root.links.append(Node("extra"))
    store.save(root)


def _transaction(store):
    with store.transaction():
        store.save(Point("first of two"))
        store.replace("Point.1", Point("third"))
        store.save(Point("second of two"))
        store.remove("Point.3")


#: What is done, one after the other; the IDs are those that a store gives out.
HISTORY = {
    "save": lambda store, root: store.save(Point("first"), name="label"),
    "save_many": lambda store, root: store.save_many([Point(i) for i in range(4)]),
    "save graph": lambda store, root: store.save(root),
    "save large": lambda store, root: store.save(Point(LARGE)),
    "replace": lambda store, root: store.replace("Point.1", Point("second")),
    "replace large": lambda store, root: store.replace("Point.8", Point(LARGE[::-1])),
    "update": lambda store, root: store.update("Point.1", name="new label", tags=["tag"]),
    "change graph": _change_graph,
    "remove": lambda store, root: store.remove("Point.2"),
    "save the newest": lambda store, root: store.save(Point("newest")),
    "remove the newest": lambda store, root: store.remove("Point.10"),
    "save after it": lambda store, root: store.save(Point("after")),
    "transaction": lambda store, root: _transaction(store),
    "remove_many": lambda store, root: store.remove_many(["Point.4", "Point.5"]),
    "remove large": lambda store, root: store.remove("Point.8"),
}


def url_of(folder, kind):
    return f"file://{folder}/new/objects" if kind == "directory" else f"sqlite:///{folder}/objects.db"


def contents(store):
    found = {}
    for record in store.records():
        assert record.error is None, f"{record.id}: {record.error}"
        store.verify(record.id)
        obj = store.load(record.id, fresh=True)
        if isinstance(obj, Node):
            content = (obj.value, [link.persistent_id for link in obj.links])
        else:
            content = hashlib.md5(obj.x).hexdigest() if isinstance(obj.x, bytes) else obj.x
        found[record.id] = (content, record.name, record.tags, store.describe(record.id).origin)
    return found


def leave_out(pattern):
    """Let the file store synchronise nothing any more whose path is like that."""
    from gc3store.filesystem import backend, layout, numbering, staging
    from gc3store.support import files

    def unless(function):
        def sync(path):
            if not re.search(pattern, path):
                function(path)

        return sync

    for name in ("sync_file", "sync_directory"):
        changed = unless(getattr(files, name))
        setattr(files, name, changed)
        for module in (backend, layout, numbering, staging):
            if hasattr(module, name):
                setattr(module, name, changed)


def live(url, gate, durable, left_out):
    """Work through the history; return what was there after each step."""
    if left_out:
        leave_out(left_out)
    wait_at(gate)
    store = make_store(url, durable=durable)
    root = Node("root", Node("child"))
    states = [{}]
    for number, step in enumerate(HISTORY.values()):
        step(store, root)
        with suppress(FileNotFoundError):
            os.mkdir(f"/mark/{number}")
        states.append(contents(store))
    store.close()
    return states


def problem_of(folder, kind, before, after, highest):
    """Return what is wrong with what a power cut left, `None` if nothing is."""
    try:
        with make_store(url_of(folder, kind), durable=False) as store:
            found = contents(store)
            changed = {id_ for id_ in {*before, *after} if before.get(id_) != after.get(id_)}
            for id_ in {*before, *after, *found} - changed:
                assert found.get(id_) == after.get(id_), f"{id_} is {found.get(id_)}"
            for id_ in changed:
                assert found.get(id_) in (before.get(id_), after.get(id_)), f"{id_} is {found.get(id_)}"
            if kind != "directory":
                assert found in (before, after), "half of a step"
            id_ = store.save(Point("later"))
            assert number_of(id_) > highest, f"{id_} was given before"
            assert store.load(id_).x == "later"
            store.remove(id_)
            assert store.list() == list(found)
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def problems_of(cases):
    return [problem_of(*case) for case in cases]


def run(folder, kind, *, durable=True, left_out=None, chances=3):
    """Work through the history once; return the states looked at, and the problems found."""
    folder.mkdir()
    if kind == "foreign":
        with closing(sqlite3.connect(folder / "objects.db")) as connection:
            connection.execute("CREATE TABLE theirs (x)")
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    disk = Disk(folder)
    gate = folder.parent / "gate"
    os.mkfifo(gate)
    child = FreshProcess(live, url_of(folder, kind), str(gate), durable, left_out)
    lines = trace(child, gate, *OPTIONS)
    states = child.result(60)
    cases, labels, seen = [], [], set()
    done = 0
    for number, mark in enumerate(disk.play(lines)):
        if mark is not None:
            done = int(mark) + 1
        for seed in (None, *range(chances)):
            chance = None if seed is None else random.Random(1000 * number + seed)
            left = disk.after_power_cut(chance)
            key = (
                done,
                frozenset(
                    (path, content and hashlib.md5(content).digest()) for path, content in left.items()
                ),
            )
            if key in seen:
                continue
            seen.add(key)
            copy = folder.parent / f"left {len(cases)}"
            copy.mkdir()
            for path, content in left.items():
                if content is None:
                    (copy / path).mkdir()
                elif not path.endswith("-shm"):
                    (copy / path).write_bytes(content)
            highest = max((number_of(id_) for state in states[: done + 1] for id_ in state), default=0)
            before, after = states[done], states[min(done + 1, len(states) - 1)]
            cases.append((str(copy), kind, before, after, highest))
            labels.append(f"call {number}, in {[*HISTORY, 'nothing'][done]!r}, chance {seed}")
    found = in_fresh_process(problems_of, cases, timeout=600)
    return len(cases), [f"{label}: {what}" for label, what in zip(labels, found, strict=True) if what]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "chances", [1, pytest.param(30, marks=[pytest.mark.soak, pytest.mark.timeout(3600)])]
)
def test_at_any_moment(tmp_path, kind, chances, record_property):
    looked_at, problems = run(tmp_path / "disk", kind, chances=chances)
    record_property("states after a power cut", f"{kind}: {looked_at}")
    assert not problems, "\n".join(problems[:20])


@pytest.mark.parametrize(
    ("what", "pattern"),
    {
        "the new directory above the store": r"/disk$",
        "the store's directory within it": r"/new$",
        "that it is a store": r"/\.gc3store-\w+$",
        "the store's identity": r"store\.json$",
        "records": r"/tmp/.*-\d+$",
        "names of records": r"/objects$",
        "names of large payloads": r"/data$",
        "which numbers were given": r"/\.gc3store$",
        "who wrote records": r"/environments$",
    }.items(),
)
def test_each_synchronisation_is_needed(tmp_path, what, pattern):
    """Without it, something is lost: which also shows that this would be noticed."""
    _, problems = run(tmp_path / "disk", "directory", left_out=pattern, chances=0)
    assert problems


def test_without_synchronisation_a_database_loses_something(tmp_path):
    _, problems = run(tmp_path / "disk", "sqlite", durable=False, chances=0)
    assert problems
