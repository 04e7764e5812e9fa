"""Killed, or refused by the system, at any system call that writes: nothing stored is hurt.

A child process that holds the store open is attached to by strace, which makes its N-th
call that writes kill it, or fail with ENOSPC or EIO. With ``-m soak`` each call meets each
fault. Otherwise each call meets one of them, and which one changes from call to call and
from operation to operation; of the many calls that write a large object some are chosen.
Then a fresh process looks at what is left.
"""

from __future__ import annotations

import os
import re
import shutil
from collections import Counter

import pytest

from gc3store import StoreError, make_store
from gc3store.ids import number_of
from gc3store.testing import FreshProcess, Node, Point, in_fresh_process

from .conftest import place_in
from .tracing import WRITING, trace, wait_at

FAULTS = {"KILL": "signal=KILL", "ENOSPC": "error=ENOSPC", "EIO": "error=EIO"}
#: How many calls of an operation meet a fault by default.
SOME = 18

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


def _transaction(store, ids):
    yield None
    with store.transaction():
        store.replace(ids["plain"], Point("new"))
        store.save(Point("in a transaction"))
        if ids["doomed"] in store:  # when it is tried again
            store.remove(ids["doomed"])


def _remove_graph(store, ids):
    yield None
    if ids["root"] in store:
        store.remove(ids["root"], recursive=True)


OPERATIONS = {
    "save": lambda store, ids: _save(store, ids, "saved"),
    "save large": lambda store, ids: _save(store, ids, LARGE[::-1]),
    "save graph": _save_graph,
    "save_many": _call("save_many", [Point(f"batch {i}") for i in range(5)]),
    "replace": _call("replace", "plain", Point("new")),
    "replace large": _call("replace", "large", Point("new large")),
    "update": _update,
    "remove": _remove,
    "remove graph": _remove_graph,
    "transaction": _transaction,
}


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
    file = url.startswith("file:")
    store = make_store(url)
    listed = store.list()
    assert len(set(listed)) == len(listed)
    objects = {}
    for id_ in listed:
        store.verify(id_)
        assert store.describe(id_).error is None, id_
        objects[id_] = store.load(id_)
    assert objects[ids["large"]].x in ((LARGE, "new large") if name == "replace large" else (LARGE,))
    plain = objects[ids["plain"]].x
    assert plain in (("old", "new") if name in ("replace", "transaction") else ("old",))
    expected = {("label", ()), ("new label", ("tag",))} if name == "update" else {("label", ())}
    record = store.describe(ids["plain"])
    assert (record.name, record.tags) in expected
    graph = None
    if ids["root"] in objects:
        root, child = objects[ids["root"]], objects[ids["child"]]
        assert root.links[0] is child
        graph = (root.value, child.value, [n.value for n in root.links[1:]])
    before, after = ("root", "child", []), ("new root", "new child", ["extra"])
    if name == "save graph":
        # In a directory each record is a step, what is referred to first.
        between = [("root", "new child", [])] if file else []
        assert graph in (before, after, *between), graph
    elif name == "remove graph":
        # What refers goes first.
        assert graph == before or (graph is None and (file or ids["child"] not in objects))
    else:
        assert graph == before
    if name not in ("remove", "transaction"):
        assert objects[ids["doomed"]] == ["doomed"]
    new = [id_ for id_ in listed if id_ not in ids.values()]
    assert all(number_of(id_) > given for id_ in new), new
    values = [getattr(objects[id_], "x", getattr(objects[id_], "value", None)) for id_ in new]
    if name == "save_many":
        wanted = [f"batch {i}" for i in range(5)]
        assert values == wanted[: len(values)] if file else values in ([], wanted)
    elif name == "save":
        assert values in ([], ["saved"])
    elif name == "save large":
        assert values in ([], [LARGE[::-1]])
    elif name == "save graph":
        assert values in ([], ["extra"])
    elif name == "transaction":
        # In a directory each record is a step, and repeating all of them saves anew.
        assert set(values) <= {"in a transaction"}
        steps = (plain == "new", values != [], ids["doomed"] not in objects)
        assert steps == tuple(sorted(steps, reverse=True)) if file else len(set(steps)) == 1, steps
    else:
        assert values == []
    if whole:  # it was said to have been done
        assert {
            "save": values == ["saved"],
            "save large": values == [LARGE[::-1]],
            "save_many": len(values) == 5,
            "save graph": graph == after,
            "replace": plain == "new",
            "replace large": objects[ids["large"]].x == "new large",
            "update": record.name == "new label",
            "remove": ids["doomed"] not in listed,
            "remove graph": graph is None,
            "transaction": ids["doomed"] not in listed,
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
    return points_of(trace(child, gate, "-e", f"trace={WRITING}", *options))


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
    # How often other threads call: another time it may be one of them that does so each time.
    elsewhere = Counter(call for thread, call, _ in found if thread != first)
    return [(call, nth, nth > elsewhere[call]) for _, call, nth in found]


def outcome_of(child):
    try:
        return child.result(60)
    except AssertionError as error:
        if str(error) == "the process died":
            return ["killed"]
        raise


class Trials:
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


@pytest.fixture(scope="module", params=["directory", "sqlite"])
def trials(request, tmp_path_factory):
    return Trials(tmp_path_factory.mktemp("trials"), request.param)


def chosen(calls, first, form):
    """Return the numbers of calls, and the fault that each meets."""
    if form == "every fault":
        return [(n, fault) for n in range(len(calls)) for fault in FAULTS]
    step = max(1, len(calls) / SOME)
    numbers = sorted({int(n * step) for n in range(min(SOME, len(calls)))} | {len(calls) - 1})
    return [(n, list(FAULTS)[(first + i) % len(FAULTS)]) for i, n in enumerate(numbers)]


FORMS = [
    "one fault",
    pytest.param("every fault", marks=[pytest.mark.soak, pytest.mark.timeout(3600)]),
]


@pytest.mark.parametrize("name", list(OPERATIONS))
@pytest.mark.parametrize("form", FORMS)
def test_a_fault_at_a_call_that_writes(trials, name, form, record_property):
    outcomes, calls = trials.run(name)
    assert outcomes == ["done"]
    assert calls
    tried, problems = [], []
    for n, fault in chosen(calls, list(OPERATIONS).index(name), form):
        call, nth, again = calls[n]
        what = f"{fault} at {call} {nth}"
        try:
            outcomes, _ = trials.run(name, "-e", f"inject={call}:{FAULTS[fault]}:when={nth}")
        except AssertionError as error:
            problems.append(f"{what}: {error}")
            continue
        tried.append(f"{what}: {', '.join(outcomes)}")
        # Threads are new each time, and counted anew: there it cannot succeed.
        if again and outcomes[-1] not in ("done", "killed"):
            problems.append(f"{what}: does not succeed when tried again: {outcomes}")
    record_property(
        "faults", f"{trials.kind}, {name}: {len(tried)} at {len(calls)} calls: {'; '.join(tried)}"
    )
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("call", ["fsync", "fdatasync", "rename", "unlink"])
def test_killed_in_a_thread_that_syncs(trials, call):
    """Calls are counted for each thread; batches are synchronized by several."""
    for name in ("save_many", "save graph"):
        trials.run(name, "-e", f"inject={call}:signal=KILL:when=1")
        trials.run(name, "-e", f"inject={call}:error=EIO:when=1")


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


@pytest.mark.parametrize("kind", ["directory", "sqlite"])
@pytest.mark.parametrize("form", ["some calls", pytest.param("every call", marks=FORMS[1].marks)])
def test_killed_while_the_store_is_created(tmp_path, kind, form, record_property):
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
    step = 1 if form == "every call" else max(1, len(calls) // 8)
    killed = [c for n, c in enumerate(calls) if n % step == 0 or c[0].startswith("rename")]
    for call, nth, _ in killed:
        outcome, _ = trial("-e", f"inject={call}:signal=KILL:when={nth}")
        assert outcome == ["killed"]
    tried = "; ".join(f"{call} {nth}" for call, nth, _ in killed)
    record_property("faults", f"{kind}, first save, KILL: {len(killed)} of {len(calls)}: {tried}")
