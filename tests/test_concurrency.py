"""Many processes, threads and forks on one store, checked against recorded intervals (C2, C5, C7, C11)."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import random
import signal
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from gc3store import ConflictError, ObjectNotFoundError, make_store
from gc3store.ids import number_of
from gc3store.testing import FreshProcess, Node, Point, in_fresh_process, results_of

from .conftest import descriptors

WORKERS = 3


def whole(tag, i):
    """An object that shows whether it is of one piece."""
    return {"tag": tag, "i": i, "fill": [(tag, i)] * random.Random(i).randrange(200)}


def is_whole(obj):
    return obj["fill"] == [(obj["tag"], obj["i"])] * len(obj["fill"])


def work(url, worker, seconds, start):
    """Save, replace, remove and list for a while; return what was done, and when."""
    rng = random.Random(worker)
    # A database lets its writers wait; on a busy machine, longer than by default.
    patience = {} if url.startswith("file:") else {"timeout": 200}
    store = make_store(url, durable=False, **patience)
    mine, log = [], []
    while time.time() < start:
        time.sleep(0.001)
    end = start + seconds
    i = 0
    while time.time() < end or i < 20:
        i += 1
        what = rng.choice(["save", "save", "save_many", "replace", "remove", "list", "load"])
        began = time.monotonic_ns()
        if what == "save":
            ids = [store.save(whole(worker, i))]
            mine += ids
        elif what == "save_many":
            ids = store.save_many([whole(worker, i), whole(worker, i + 1000)])
            mine += ids
        elif what == "replace" and mine:
            ids = [rng.choice(mine)]
            store.replace(ids[0], whole(worker, i))
        elif what == "remove" and mine:
            ids = [mine.pop(rng.randrange(len(mine)))]
            store.remove(ids[0])
        elif what == "list":
            ids = store.list()
            assert ids == sorted(ids, key=number_of)
        elif what == "load":
            ids = store.list()[-5:]
            for id_ in ids:
                try:
                    assert is_whole(store.load(id_)), "a torn object"
                except ObjectNotFoundError:
                    continue  # removed meanwhile
        else:
            continue
        log.append((what, began, time.monotonic_ns(), ids))
    store.close()
    return log, mine


@pytest.mark.parametrize(
    "seconds", [1.5, pytest.param(60, marks=[pytest.mark.soak, pytest.mark.timeout(600)])]
)
def test_processes_that_save_replace_remove_and_list_at_once(place, seconds):
    start = time.time() + 0.5
    workers = [FreshProcess(work, place.url, w, seconds, start) for w in range(WORKERS)]
    results = results_of(workers, timeout=250)
    log = [entry for entries, _ in results for entry in entries]
    saved = [(began, ended, id_) for what, began, ended, ids in log if what.startswith("save") for id_ in ids]
    removed = {ids[0]: (began, ended) for what, began, ended, ids in log if what == "remove"}
    assert len({id_ for *_, id_ in saved}) == len(saved), "an ID was given twice"
    # What was saved before another began to be saved has the lower number.
    by_end = sorted(saved, key=lambda entry: entry[1])
    highest, position = 0, 0
    for began, _, id_ in sorted(saved):
        while position < len(by_end) and by_end[position][1] < began:
            highest = max(highest, number_of(by_end[position][2]))
            position += 1
        assert number_of(id_) > highest, "numbers do not grow"
    # A list shows what was there all the while it was made, and nothing that never was.
    existed = {id_: (began, ended) for began, ended, id_ in saved}
    for what, began, ended, ids in log:
        if what == "list":
            listed = set(ids)
            for id_, (save_began, save_ended) in existed.items():
                gone_began, gone_ended = removed.get(id_, (float("inf"), float("inf")))
                if save_ended < began and ended < gone_began:
                    assert id_ in listed, "a saved object was not listed"
                if ended < save_began or gone_ended < began:
                    assert id_ not in listed, "an object was listed that did not exist"
    left = {id_ for _, mine in results for id_ in mine}
    store = place.open()
    assert set(store.list()) == left
    for id_ in left:
        store.verify(id_)
        assert is_whole(store.load(id_))
    assert len(log) > 10


def count_up(url, id_, times):
    """Change one record again and again, as one does who may meet others."""
    store = make_store(url, durable=False)
    conflicts = done = 0
    while done < times:
        counter = store.load(id_)
        counter.value += 1
        try:
            store.save(counter)
            done += 1
        except ConflictError:
            conflicts += 1
            time.sleep(random.random() * 0.01)
    store.close()
    return conflicts


def test_no_change_of_a_shared_record_is_lost(place):
    store = place.open()
    id_ = store.save(Node(0))
    workers = [FreshProcess(count_up, place.url, id_, 15) for _ in range(WORKERS)]
    results_of(workers)
    assert store.load(id_).value == 15 * WORKERS
    assert store.describe(id_).revision == 1 + 15 * WORKERS


def test_a_graph_is_seen_in_one_state(place):
    """Readers never see a referrer without what it refers to."""
    store = place.open(durable=False)
    id_ = store.save(Node(0, Node(0)))
    reader = FreshProcess(_read_graphs, place.url, id_, time.time() + 1.5)
    root = store.load(id_)
    end = time.time() + 1.2
    i = 0
    while time.time() < end or i < 10:
        i += 1
        root.value = i
        root.links = [Node(i), *root.links[:1]]
        root.links[-1].value = -i
        store.save(root)
    assert reader.result() > 0


def _read_graphs(url, id_, end):
    store = make_store(url, read_only=True)
    seen = 0
    while time.time() < end or not seen:
        root = store.load(id_)
        assert all(isinstance(link, Node) for link in root.links)
        seen += 1
    store.close()
    return seen


def test_large_objects_are_read_whole_while_they_are_replaced(place):
    store = place.open(durable=False)
    ids = [store.save(np.full(400_000, 0)) for _ in range(2)]  # not in one piece with their records
    reader = FreshProcess(_read_arrays, place.url, ids, time.time() + 1.5)
    end = time.time() + 1.5
    i = 0
    while time.time() < end or i < 10:
        i += 1
        for id_ in ids:
            store.replace(id_, np.full(400_000, i))
    assert reader.result() > 0


def _read_arrays(url, ids, end):
    store = make_store(url, read_only=True)
    seen = 0
    while time.time() < end or not seen:
        for array in [store.load(ids[0]), *store.load_many(ids)]:
            assert (array == array[0]).all()
            seen += 1
    store.close()
    return seen


def test_many_threads_on_one_store_object(store):
    barrier = threading.Barrier(16)
    shared = store.save(Node("shared"))

    def use(t):
        barrier.wait()
        mine = []
        for i in range(6):
            mine.append(store.save(whole(t, i)))
            assert is_whole(store.load(mine[-1]))
            assert mine[-1] in store
            assert store.describe(mine[-1]).id == mine[-1]
            assert set(mine) <= set(store.list())
            assert store.load(shared).value == "shared"
            store.replace(mine[0], whole(t, i + 100))
            graph = Node(i, Node("child"))
            mine.append(store.save(graph))
            assert store.load(mine[-1]) is graph
            store.find("x"), store.count(), list(store.load_many(mine))
        store.remove(mine.pop())
        with store.transaction():
            mine.append(store.save("in a transaction"))
        return mine

    with ThreadPoolExecutor(16) as pool:
        given = [id_ for ids in pool.map(use, range(16)) for id_ in ids]
    assert len(set(given)) == len(given) == 16 * 12
    assert set(given) <= set(store.list())


def test_threads_that_end_leave_nodescriptors_open(place):
    store = place.open()
    id_ = store.save(Point(1))

    def used_by_a_thread():
        thread = threading.Thread(target=lambda: (store.load(id_), store.list()))
        thread.start()
        thread.join()

    for _ in range(3):
        used_by_a_thread()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        used_by_a_thread()
    assert len(os.listdir("/proc/self/fd")) <= before + 3


def test_closing_leaves_nodescriptors_open(place, no_leaked_descriptors):
    for _ in range(3):
        with place.open() as store:
            ids = [store.save(Point(1)), store.save(os.urandom(3_000_000)), store.save(Node(1, Node(2)))]
            list(store.load_many(ids)), store.list(), store.verify(ids[1]), store.export(ids[1])
            with ThreadPoolExecutor(4) as pool:
                list(pool.map(store.load, ids * 4))
            store.replace(ids[1], "small")
            store.remove(ids[0])
            del ids


def test_a_closed_store_says_so(place):
    from gc3store import ClosedStoreError

    store = place.open()
    id_ = store.save(1)
    store.close()
    store.close()
    with pytest.raises(ClosedStoreError, match="make_store"):
        store.save(2)
    assert place.open().list() == [id_]


def _forking(function):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        status = 1
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(60)
        try:
            function()
            status = 0
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            os._exit(status)
    return pid


def test_forks_in_the_middle_of_use(place):
    """The child starts while threads of the parent hold every lock there is."""
    store = place.open(durable=False)
    kept = store.save(Node("kept"))
    stop = threading.Event()

    def busy(t):
        i = 0
        while not stop.is_set():
            i += 1
            store.load(store.save([t, i]))

    threads = [threading.Thread(target=busy, args=(t,)) for t in range(3)]
    for thread in threads:
        thread.start()

    def child():
        assert store.load(kept).value == "kept"
        for i in range(3):
            id_ = store.save({"child": i})
            assert store.load(id_) == {"child": i}
        assert kept in store.list()
        node = store.load(kept)
        store.save_many([node, 1])

    try:
        children = []
        for _ in range(4):
            children.append(_forking(child))
            time.sleep(0.05)
        statuses = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert statuses == [0] * 4
    ids = store.list()
    assert len(ids) == len(set(ids))
    assert sum(isinstance(obj, dict) for obj in store.load_many(ids)) == 12


def test_forks_while_threads_do_nothing_but_read(place):
    """A child that inherits a lock of SQLite's own, held for a moment within a read, would wait forever."""
    store = place.open(durable=False)
    ids = store.save_many([[i] for i in range(50)])
    stop = threading.Event()

    def reading(look):
        while not stop.is_set():
            look()

    looks = [
        lambda: store.load(ids[7]),
        lambda: store.list(order="-size"),
        lambda: next(store.records()),
        lambda: store.describe(ids[3]),
        lambda: store.count(),
    ]
    threads = [threading.Thread(target=reading, args=(look,)) for look in looks]
    for thread in threads:
        thread.start()

    def child():
        assert store.load(ids[9]) == [9]
        assert store.load(store.save("child")) == "child"

    statuses = []
    try:
        for _ in range(25):
            statuses.append(os.waitstatus_to_exitcode(os.waitpid(_forking(child), 0)[1]))
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert statuses == [0] * 25
    assert len(store) == 75


def test_a_fork_leaves_idle_connections_to_nobody(tmp_path):
    """SQLite takes a file that its process has open for locked as it was, also where it was forked since."""
    path = str(tmp_path / "jobs.db")
    store = make_store(f"sqlite:///{path}")
    store.save_many([[i] for i in range(3000)])
    thread = threading.Thread(target=store.list)
    thread.start()
    thread.join()

    def opened():
        return [name for name in descriptors().values() if name.startswith(path)]

    assert opened()

    def child():
        assert not opened()
        assert store.load("list.1") == [0]
        assert opened()

    assert os.waitstatus_to_exitcode(os.waitpid(_forking(child), 0)[1]) == 0
    assert not opened()
    records = store.records()
    assert next(records).id == "list.1"
    pid = _forking(lambda: store.load("list.1"))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert len(list(records)) == 2999  # what was begun goes on


def test_a_fork_within_a_transaction(place):
    store = place.open()
    store.save("before")
    with store.transaction():
        store.save("by the parent")

        def child():
            other = make_store(place.url)
            assert "before" in [other.load(id_) for id_ in other.list()]
            assert store.load("str.1") == "before"

        pid = _forking(child)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert [store.load(id_) for id_ in store.list()] == ["before", "by the parent"]


def test_the_original_calls_around_a_fork(place):
    store = place.open()
    id_ = store.save("a")
    store.pre_fork()

    def child():
        store.post_fork()
        assert store.load(id_) == "a"
        store.save("child")

    pid = _forking(child)
    store.post_fork()
    assert store.load(id_) == "a"
    store.save("parent")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert sorted(store.load_many(store.list())) == ["a", "child", "parent"]


def _use_pickled(store, i):
    try:
        id_ = store.save([i])
        assert store.load(id_) == [i]
        return id_
    finally:
        store.close()


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_a_store_is_passed_to_workers(place, method):
    store = place.open()
    with multiprocessing.get_context(method).Pool(2) as pool:
        ids = pool.starmap(_use_pickled, [(store, i) for i in range(4)], chunksize=1)
        pool.close()
        pool.join()
    assert len(set(ids)) == 4
    assert sorted(store.load_many(ids)) == [[i] for i in range(4)]


def test_a_store_inside_a_stored_object(place):
    store = place.open()
    inside = store.save("inside")
    id_ = store.save({"store": store})
    assert in_fresh_process(_through, place.url, id_, inside) == "inside"


def _through(url, id_, inside):
    with make_store(url) as store:
        other = store.load(id_)["store"]
        try:
            return other.load(inside)
        finally:
            other.close()


def test_a_relative_location_is_pickled_as_absolute(tmp_path, monkeypatch):
    for kind in ("directory", "sqlite"):
        monkeypatch.chdir(tmp_path)
        with make_store("objects" if kind == "directory" else "sqlite:///objects.db") as store:
            id_ = store.save(kind)
            data = pickle.dumps(store)
        monkeypatch.chdir("/")
        with pickle.loads(data) as again:
            assert again.load(id_) == kind


def test_a_busy_database_is_waited_for_and_then_named(tmp_path):
    import sqlite3

    from gc3store import StoreUnavailableError

    url = f"sqlite:///{tmp_path}/x.db"
    with make_store(url, timeout=0.2) as store:
        id_ = store.save(1)
        other = sqlite3.connect(tmp_path / "x.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailableError, match=r"busy for more than 0\.2 seconds"):
            store.save(2)
        assert store.load(id_) == 1
        other.execute("ROLLBACK")
        other.close()
        assert store.load(store.save(2)) == 2
