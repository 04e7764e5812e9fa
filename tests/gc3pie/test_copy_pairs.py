"""Copies between every two kinds of stores, interrupted ones, large ones, and ones that others write to meanwhile."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import product
from pathlib import Path

import pytest

import gc3store
from gc3store import Persistable, copy, make_store
from gc3store.errors import StoreUnavailableError, StoreWarning, UsageError
from gc3store.gc3pie.database import create_gc3pie_table
from gc3store.support import batching
from gc3store.testing import FreshProcess
from tests import servers
from tests.gc3pie.conftest import fingerprint

OURS = ("directory", "sqlite", *servers.KINDS)
KINDS = (*OURS, "gc3pie directory", "gc3pie table")


class Node(Persistable):
    def __init__(self, name, *others, data=None):
        self.name = name
        self.others = list(others)
        self.data = data


@pytest.fixture(autouse=True)
def classes(monkeypatch):
    """The class of this module under a name that can be imported, or not."""
    module = type(sys)("classes_of_copies")
    module.Node = Node
    monkeypatch.setattr(Node, "__module__", module.__name__)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


@pytest.fixture
def place_of(samples):
    """Returns where a new store of a kind can be."""

    def place(kind, name):
        if kind in servers.KINDS:
            return servers.new_place(kind)
        if kind == "sqlite":
            return f"sqlite:///{samples}/{name}.db"
        if kind == "directory":
            return str(samples / name)
        if kind == "gc3pie table":
            create_gc3pie_table(f"sqlite:///{samples}/{name}.db", None, [])
            return f"sqlite:///{samples}/{name}.db"
        (samples / name).mkdir()
        shutil.copyfile(
            samples / "fs" / "IsingRun.27", samples / name / "IsingRun.27"
        )  # or it would be one of ours
        return str(samples / name)

    return place


def picture(store, root):
    """What a graph looks like, whatever the IDs are."""
    numbers, seen = {}, []
    queue = [store.load(root, fresh=True)]
    for node in queue:
        if id(node) not in numbers:
            numbers[id(node)] = len(numbers)
            seen.append(node)
            queue += node.others
    return [
        (n.name, [numbers[id(o)] for o in n.others], None if n.data is None else n.data.tolist())
        for n in seen
    ]


@pytest.mark.parametrize(("here", "there"), [*product(KINDS, KINDS)])
def test_every_pair(place_of, samples, monkeypatch, here, there):
    numpy = pytest.importorskip("numpy")
    place = place_of(here, "source")
    source = make_store(place)
    shared = Node("shared, geteilt, 共有, \N{SNAKE}", data=numpy.arange(200_000.0))
    top = Node("end", shared)
    top.others.append(top)
    if here in OURS and there in OURS:
        shared.others.append(top)  # a circle
    for i in range(20):
        top = Node(f"link {i}", top, shared, data=numpy.arange(i))
    labels = {"name": "die Wurzel, 根", "tags": ["a", "b"]} if here in OURS else {}
    root = source.save(top, **labels)
    looks = picture(source, root)
    before = {r.id: (r.revision, r.modified) for r in source.records()}
    target = make_store(place_of(there, "target"))
    source.close()
    files = fingerprint(samples) if there in servers.KINDS else None

    source = make_store(place, read_only=True)
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "classes_of_copies", None)
        result = copy(source, target, [root])
        again = copy(source, target, [root])
    assert (result.new, len(result.ids), result.failed) == (22, 22, {})
    assert (again.new, again.ids) == (0, result.ids)
    assert {r.id: (r.revision, r.modified) for r in source.records()} == before
    if (
        files is not None
    ):  # with servers as targets nothing is written here, but what SQLite keeps beside what is open
        now = fingerprint(samples)
        assert {name: now[name] for name in now if not name.endswith(("-shm", "-wal"))} == files
    assert picture(target, result.ids[root]) == looks
    for old, new in result.ids.items():
        target.verify(new)
        if there in OURS:
            assert new.startswith("Node.")
            assert target.describe(new).origin["copy_of"] == {
                "store": source.uuid,
                "id": old,
                "revision": before[old][0],
            }
        if here in OURS and there in OURS:
            for field in (
                "checksum",
                "name",
                "tags",
                "created",
                "modified",
                "cls",
                "state",
                "size",
                "preview",
            ):
                assert getattr(target.describe(new), field) == getattr(source.describe(old), field), field
            assert target.describe(new).origin.items() >= source.describe(old).origin.items()
    if here in OURS and there in OURS:
        assert target.find("die Wurzel, 根") == [result.ids[root]]
        assert [id_ for id_ in target.list() if target.describe(id_).is_root] == [result.ids[root]]
    target.close()
    source.close()


def copy_in_small_batches(source, target):
    batching.MAX_COUNT = 7
    return len(copy(make_store(source), make_store(target)).ids)


@pytest.mark.parametrize("there", KINDS)
def test_a_copy_that_is_killed_goes_on(place_of, there):
    source = make_store(place_of("directory", "source"))
    source.save_many([Node(f"{i}", Node(f"below {i}")) for i in range(150)])
    place = place_of(there, "target")
    with make_store(place) as watched, ThreadPoolExecutor(1) as pool:
        before = len(watched)
        sizes = [0]
        for round_ in range(30):
            child = FreshProcess(copy_in_small_batches, source.url, place)
            copied = pool.submit(child.result)
            while not copied.done():
                if round_ < 6 and len(watched) - before >= sizes[-1] + 30:
                    with suppress(ProcessLookupError):
                        os.kill(child.pid, signal.SIGKILL)
                time.sleep(0.01)
            sizes.append(len(watched) - before)
            if copied.exception() is None:
                break
    assert copied.result() == 300
    assert len([size for size in sizes if 0 < size < 300]) >= 2, "it was never killed in the middle"
    assert sizes[-1] == 300, "something was copied twice, or not at all"
    target = make_store(place)
    result = copy(source, target)
    assert result.new == 0
    names = {target.load(id_).name for id_ in result.ids.values()}
    assert names == {f"{i}" for i in range(150)} | {f"below {i}" for i in range(150)}


@pytest.mark.parametrize("kind", ["directory", "sqlite", "gc3pie directory", "gc3pie table"])
def test_a_store_is_not_copied_into_itself(place_of, kind):
    place = place_of(kind, "source")
    store = make_store(place)
    store.save(Node("one"))
    before = store.list()
    for other in (store, make_store(place)):
        with pytest.raises(UsageError, match="one store"):
            copy(store, other)
    assert store.list() == before


@pytest.mark.parametrize(("here", "there"), [*product(["directory", "sqlite"], repeat=2)])
def test_what_others_change_meanwhile_is_copied_in_one_of_its_states(place_of, here, there):
    source, target = make_store(place_of(here, "source")), make_store(place_of(there, "target"))
    nodes = [Node(f"{i}", Node(f"below {i}")) for i in range(100)]
    ids = source.save_many(nodes)
    done = threading.Event()

    def change():
        with make_store(source.url) as other:
            i = 0
            while not done.is_set():
                node = other.load(ids[i % 100])
                below, new = node.others[0], Node(f"below {i % 100}")
                node.others = [new]  # what it refers to is new as well, and what it referred to goes
                other.save(node)
                other.remove(below.persistent_id)
                i += 7

    thread = threading.Thread(target=change)
    thread.start()
    try:
        result = copy(source, target)
    finally:
        done.set()
        thread.join()
    assert set(ids) - set(result.ids) <= set(result.failed)
    assert len(result.ids) >= 100
    for id_ in set(ids) & set(result.ids):
        node = target.load(result.ids[id_])
        assert node.others[0].name == f"below {node.name}"
    result = copy(source, target, ids)
    assert not result.failed
    names = [target.load(result.ids[id_]).name for id_ in ids]
    assert names == [f"{i}" for i in range(100)]


LARGE = """
import resource, sys
import numpy
from gc3store import copy, make_store
source, target = make_store(sys.argv[1]), make_store(sys.argv[2])
copy(make_store(sys.argv[3]), target)  # whatever is imported late is imported by now
used = int(open("/proc/self/statm").read().split()[5]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_DATA, (used + 60 * 2**20, -1))
try:
    bytearray(90 * 2**20)
except MemoryError:
    result = copy(source, target)
    assert result.new == 2 and not result.failed, result
    for id_ in source:
        source.verify(id_)
        with open("/dev/null", "wb") as file:
            for piece in source.export_pieces(id_):
                file.write(piece)
    print("done")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux's")
@pytest.mark.parametrize(
    ("here", "there"), [(a, b) for a in OURS for b in OURS if (a == "directory") != (b == "directory")]
)
def test_large_buffers_need_no_memory(place_of, here, there):
    numpy = pytest.importorskip("numpy")
    source, target = place_of(here, "source"), place_of(there, "target")
    array = numpy.arange(15 * 2**20, dtype=float)  # 120 MB
    with make_store(source, durable=False) as store:
        id_ = store.save(array)
        store.save(["x" * 15_000_000, numpy.arange(2**20)])  # a large stream, and a buffer behind it
    with make_store(place_of("directory", "small")) as store:
        store.save(numpy.arange(10))
        small = store.url
    done = subprocess.run(
        [sys.executable, "-c", LARGE, source, target, small], stdout=subprocess.PIPE, text=True, timeout=300
    )
    assert done.stdout == "done\n"
    with make_store(source) as a, make_store(target) as b:
        assert b.describe(b.list(cls="ndarray")[-1]).checksum == a.describe(id_).checksum
        text, numbers = b.load(b.list(cls="list")[-1])
        assert len(text) == 15_000_000
        assert numpy.array_equal(numbers, numpy.arange(2**20))


def test_large_streams_and_buffers_are_exported_and_restored(place_of):
    numpy = pytest.importorskip("numpy")
    store = make_store(place_of("directory", "source"))
    id_ = store.save(["x" * 20_000_000, numpy.arange(2**17)])
    data = store.export(id_)
    assert len(data) < store.describe(id_).size + 10_000
    store.remove(id_)
    assert store.restore(data) == id_
    assert store.load(id_)[0] == "x" * 20_000_000


def test_two_copies_at_once_are_not_made(place_of):
    source, target = make_store(place_of("directory", "source")), make_store(place_of("directory", "target"))
    source.save_many([Node(f"{i}") for i in range(3)])
    [path] = [Path(p) for p in _journals(lambda: copy(source, target, [source.list()[0]]))]
    held = sqlite3.connect(path)
    held.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreUnavailableError, match="Another process is copying"):
        copy(source, target)
    held.close()
    assert copy(source, target).new == 2


def _journals(work):
    folder = Path(os.environ["XDG_CACHE_HOME"]) / "gc3store" / "copies"
    before = set(folder.glob("*.db")) if folder.exists() else set()
    work()
    return set(folder.glob("*.db")) - before


def test_without_a_place_for_notes_the_copies_tell(place_of, monkeypatch):
    source, target = make_store(place_of("directory", "source")), make_store(place_of("directory", "target"))
    source.save_many([Node(f"{i}") for i in range(3)])
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere")
    for new in (3, 0):
        with pytest.warns(StoreWarning, match="cannot be noted"):
            assert gc3store.copy(source, target).new == new
