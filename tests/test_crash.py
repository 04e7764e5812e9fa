"""Killed, or refused by the system, at any system call that writes: nothing stored is hurt.

A child process that holds the store open is attached to by strace, which makes its N-th
call that writes kill it, or fail with ENOSPC or EIO; for every N in turn (all of them with
``-m soak``, some otherwise). Then a fresh process looks at what is left.
"""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from gc3store import StoreError, make_store
from gc3store.ids import number_of
from gc3store.testing import FreshProcess, Node, Point, in_fresh_process

from .conftest import place_in

CALLS = (
    "write,writev,pwrite64,pwritev,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,"
    "mkdir,mkdirat,rmdir,ftruncate,fallocate,link,linkat,sync_file_range"
)
#: How many points of each series are tried by default.
SOME = 5

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")


# What is stored, and what happens to it. These run in fresh processes.

LARGE = bytes(range(256)) * 5000


def build(url):
    with make_store(url) as store:
        child = Node("child")
        ids = {
            "plain": store.save(Point("old"), name="label"),
            "root": store.save(Node("root", child)),
            "child": child.persistent_id,
            "large": store.save(Point(LARGE)),
            "doomed": store.save(["doomed"]),
        }
        removed = store.save("removed")
        store.remove(removed)
        return ids, number_of(removed)


def _save_graph(store, ids):
    root = store.load(ids["root"])
    root.value, root.links[0].value = "new root", "new child"
    if len(root.links) == 1:
        root.links.append(Node("extra"))
    yield root
    store.save(root)


def _save(store, ids, value):
    obj = Point(value)
    yield obj
    store.save(obj)


def _call(method, *args):
    def operation(store, ids):
        yield None
        getattr(store, method)(*(ids.get(a, a) if isinstance(a, str) else a for a in args))

    return operation


def _update(store, ids):
    yield None
    store.update(ids["plain"], name="new label", tags=["tag"])


def _remove(store, ids):
    yield None
    if ids["doomed"] in store:  # when it is tried again
        store.remove(ids["doomed"])


OPERATIONS = {
    "save": lambda store, ids: _save(store, ids, "saved"),
    "save large": lambda store, ids: _save(store, ids, LARGE[::-1]),
    "save graph": _save_graph,
    "save_many": _call("save_many", [Point(f"batch {i}") for i in range(5)]),
    "replace": _call("replace", "plain", Point("new")),
    "replace large": _call("replace", "large", Point("new large")),
    "update": _update,
    "remove": _remove,
}


def wait_at(gate):
    """Wait until the parent has let strace attach to this process."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(0x59616D61, ctypes.c_ulong(-1), 0, 0, 0)  # strace may attach
    Path(f"{gate}.ready").touch()
    with open(gate) as file:
        file.read()


def perform(url, name, ids, gate):
    """Do it, and once more if it failed; return what came of it."""
    store = make_store(url)
    steps = OPERATIONS[name](store, ids)
    obj = next(steps)
    wait_at(gate)
    outcomes = []
    for _ in range(3):
        try:
            next(steps, None)
            outcomes.append("done")
            break
        except StoreError as error:
            outcomes.append(type(error).__name__)
            for part in [obj, *getattr(obj, "links", ())]:
                if (id_ := getattr(part, "persistent_id", None)) is not None:
                    assert id_ in store, f"{id_} does not exist"
            again = OPERATIONS[name](store, ids)
            if obj is not None:
                steps = _again(store, obj)
            else:
                next(again)
                steps = again
    store.close()
    return outcomes


def _again(store, obj):
    store.save(obj)
    yield


def inspect(url, name, ids, given, whole):
    """Check that the state is the one before or the one after, and that work goes on."""
    store = make_store(url)
    listed = store.list()
    assert len(set(listed)) == len(listed)
    objects = {}
    for id_ in listed:
        store.verify(id_)
        assert store.describe(id_).error is None, id_
        objects[id_] = store.load(id_)
    assert objects[ids["large"]].x in ((LARGE, "new large") if name == "replace large" else (LARGE,))
    assert objects[ids["plain"]].x in (("old", "new") if name == "replace" else ("old",))
    expected = {("label", ()), ("new label", ("tag",))} if name == "update" else {("label", ())}
    record = store.describe(ids["plain"])
    assert (record.name, record.tags) in expected
    root, child = objects[ids["root"]], objects[ids["child"]]
    assert root.links[0] is child
    graph = (root.value, child.value, [n.value for n in root.links[1:]])
    before, after = ("root", "child", []), ("new root", "new child", ["extra"])
    if name == "save graph":
        # In a directory each record is a step, what is referred to first.
        between = [("root", "new child", [])] if url.startswith("file:") else []
        assert graph in (before, after, *between), graph
    else:
        assert graph == before
    if name != "remove":
        assert objects[ids["doomed"]] == ["doomed"]
    new = [id_ for id_ in listed if id_ not in ids.values()]
    assert all(number_of(id_) > given for id_ in new), new
    values = [getattr(objects[id_], "x", getattr(objects[id_], "value", None)) for id_ in new]
    if name == "save_many":
        wanted = [f"batch {i}" for i in range(5)]
        assert values == wanted[: len(values)] if url.startswith("file:") else values in ([], wanted)
    elif name == "save":
        assert values in ([], ["saved"])
    elif name == "save large":
        assert values in ([], [LARGE[::-1]])
    elif name == "save graph":
        assert values in ([], ["extra"])
    else:
        assert values == []
    if whole:  # it was said to have been done
        assert {
            "save": values == ["saved"],
            "save large": values == [LARGE[::-1]],
            "save_many": len(values) == 5,
            "save graph": graph == after,
            "replace": objects[ids["plain"]].x == "new",
            "replace large": objects[ids["large"]].x == "new large",
            "update": record.name == "new label",
            "remove": ids["doomed"] not in listed,
        }[name], (values, graph)
    # Work goes on.
    highest = max(number_of(id_) for id_ in (*listed, *ids.values()))
    later = store.save(Point("later"))
    assert number_of(later) > max(highest, given)
    store.replace(later, Point("replaced"))
    assert store.load(later).x == "replaced"
    store.remove(later)
    assert store.list() == listed
    store.close()


# Here strace comes in.


def attach(child, gate, *options):
    """Let strace watch a process, and then let that go on; return what strace wrote."""
    deadline = time.monotonic() + 60
    while not os.path.exists(f"{gate}.ready"):
        assert time.monotonic() < deadline, "the process did not come to the gate"
        time.sleep(0.002)
    strace = subprocess.Popen(
        ["strace", "-f", "-p", str(child.pid), "-e", f"trace={CALLS}", *options],
        stderr=subprocess.PIPE,
        text=True,
    )
    lines = []
    for line in strace.stderr:
        lines.append(line)
        if "attached" in line:
            break
        if "not permitted" in line or "Could not" in line:
            child.kill()
            pytest.skip(f"strace may not attach to processes: {line.strip()}")
    with open(gate, "w"):
        pass
    lines += strace.stderr.readlines()
    strace.wait()
    strace.stderr.close()
    return points_of(lines)


def points_of(lines):
    """Return the calls in a trace as (name, how many-th in its thread, whether only in the first thread)."""
    counts = Counter()
    found = []
    first = re.search(r"Process (\d+) attached", "".join(lines))[1]
    for line in lines:
        match = re.match(r"(?:\[pid +(\d+)\] )?(\w+)\(", line)
        if match:
            thread, call = match[1] or first, match[2]
            counts[thread, call] += 1
            found.append((thread, call, counts[thread, call]))
    return [
        (call, nth, not any(t != first and c == call and n >= nth for t, c, n in found))
        for thread, call, nth in found
    ]


def outcome_of(child):
    try:
        return child.result(60)
    except AssertionError as error:
        if str(error) == "the process died":
            return ["killed"]
        raise


class Trial:
    """A store as it was before, as often as it is needed."""

    def __init__(self, folder, kind):
        self.folder, self.kind = folder, kind
        (folder / "before").mkdir()
        self.ids, self.given = in_fresh_process(build, place_in(folder / "before", kind).url)
        self.count = 0

    def run(self, name, *options):
        self.count += 1
        copy = self.folder / f"trial {self.count}"
        shutil.copytree(self.folder / "before", copy)
        url = place_in(copy, self.kind).url
        gate = copy / "gate"
        os.mkfifo(gate)
        child = FreshProcess(perform, url, name, self.ids, str(gate))
        calls = attach(child, gate, *options)
        outcomes = outcome_of(child)
        os.unlink(gate)
        in_fresh_process(inspect, url, name, self.ids, self.given, outcomes[-1] == "done")
        shutil.rmtree(copy)
        return outcomes, calls


def _kinds():
    return pytest.mark.parametrize("kind", ["directory", "sqlite"])


@_kinds()
@pytest.mark.parametrize("name", list(OPERATIONS))
@pytest.mark.parametrize("fault", ["KILL", "ENOSPC", "EIO"])
@pytest.mark.parametrize("form", ["some points", pytest.param("every point", marks=pytest.mark.soak)])
def test_a_fault_at_a_call_that_writes(tmp_path, kind, name, fault, form, capsys):
    trial = Trial(tmp_path, kind)
    outcomes, calls = trial.run(name)
    assert outcomes == ["done"]
    assert calls
    points = list(range(1, len(calls) + 1))
    if form == "some points" and len(points) > SOME:
        # The same ones each time, others for each operation; the last ones, where the state changes.
        start = (list(OPERATIONS).index(name) + len(fault)) % 3
        points = sorted({*points[start :: max(1, len(points) // (SOME - 2))], *points[-2:]})
    injection = "signal=KILL" if fault == "KILL" else f"error={fault}"
    tried, problems = [], []
    for n in points:
        call, nth, again = calls[n - 1]
        what = f"{call} {nth}"
        try:
            outcomes, _ = trial.run(name, "-e", f"inject={call}:{injection}:when={nth}")
        except AssertionError as error:
            problems.append(f"{what}: {error}")
            continue
        tried.append(f"{what}: {', '.join(outcomes)}")
        # Threads are new each time, and counted anew: there it cannot succeed.
        if again and outcomes[-1] not in ("done", "killed"):
            problems.append(f"{what}: does not succeed when tried again: {outcomes}")
    with capsys.disabled():
        print(f"\n{kind}, {name}, {fault}: {len(points)} of {len(calls)} points: {'; '.join(tried)}")
    assert not problems, "\n".join(problems)


@_kinds()
@pytest.mark.parametrize("call", ["fsync", "fdatasync", "rename", "unlink"])
def test_killed_in_a_thread_that_syncs(tmp_path, kind, call):
    """Calls are counted for each thread; batches are synchronized by several."""
    trial = Trial(tmp_path, kind)
    for name in ("save_many", "save graph"):
        trial.run(name, "-e", f"inject={call}:signal=KILL:when=1")
        trial.run(name, "-e", f"inject={call}:error=EIO:when=1")


def create(url, gate):
    wait_at(gate)
    with make_store(url) as store:
        return store.save(Point("first"))


def created(url):
    with make_store(url) as store:
        assert [store.load(id_).x for id_ in store.list()] in ([], ["first"])
        before = store.list()
        id_ = store.save(Point("second"))
        assert store.load(id_).x == "second"
        assert store.list() == [*before, id_]


@_kinds()
@pytest.mark.parametrize("form", ["some points", pytest.param("every point", marks=pytest.mark.soak)])
def test_killed_while_the_store_is_created(tmp_path, kind, form, capsys):
    def trial(*options):
        trial.count += 1
        folder = tmp_path / str(trial.count)
        folder.mkdir()
        url = place_in(folder, kind).url
        gate = folder / "gate"
        os.mkfifo(gate)
        child = FreshProcess(create, url, str(gate))
        calls = attach(child, gate, *options)
        outcome = outcome_of(child)
        in_fresh_process(created, url)
        return outcome, calls

    trial.count = 0
    outcome, calls = trial()
    assert outcome == "Point.1"
    chosen = calls if form == "every point" else calls[:: max(1, len(calls) // 8)]
    for call, nth, _ in chosen:
        outcome, _ = trial("-e", f"inject={call}:signal=KILL:when={nth}")
        assert outcome == ["killed"]
    with capsys.disabled():
        print(f"\n{kind}, first save, KILL: {len(chosen)} of {len(calls)} points")
