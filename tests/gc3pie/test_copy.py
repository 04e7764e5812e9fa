"""Copies between any two stores: ours and those that GC3Pie wrote."""

import pickle
import sqlite3
import subprocess
import sys

import pytest

from gc3store import Persistable, copy, copying, make_store
from gc3store.errors import NotSupportedError, ObjectNotFoundError, StoreWarning
from gc3store.store import Store
from gc3store.support import batching

WITHOUT_CLASSES = """
import sys
for name in ("gc3libs", "ising"):
    sys.modules[name] = None
from gc3store import copy, make_store
result = copy(make_store(sys.argv[1]), make_store(sys.argv[2]))
assert result.new == 23 and not result.failed, result
print(result.ids[sys.argv[3]])
"""


class Node(Persistable):
    def __init__(self, name, *others):
        self.name = name
        self.others = list(others)


@pytest.fixture(autouse=True)
def classes(monkeypatch):
    """The classes of this module under a name that can be imported."""
    module = type(sys)("test_copy_classes")
    module.Node = Node
    monkeypatch.setattr(Node, "__module__", "test_copy_classes")
    monkeypatch.setitem(sys.modules, "test_copy_classes", module)


def target_of(samples, kind):
    """An empty store of each kind, or one that GC3Pie wrote."""
    return {
        "directory": samples / "copy",
        "database": f"sqlite:///{samples}/copy.db",
        "fs": samples / "fs",
        "jobs.db": samples / "jobs.db",
    }[kind]


def check_study(study):
    runs = [run for sweep in study.tasks for run in sweep.tasks]
    assert len({id(run) for run in runs}) == 20
    assert [run.execution.exitcode for run in runs].count(1) == 2
    assert min(run.magnetization for run in runs if 0 < run.temperature < 2) > 0.9


@pytest.mark.parametrize("kind", ["directory", "database"])
def test_gc3pies_objects_move_without_their_classes(sample, untouched_source, samples, kind):
    place = str(target_of(samples, kind))
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_CLASSES, str(sample.path), place, sample.root],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=200,
    )
    target = make_store(place)
    root = done.stdout.strip()
    study = target.load(root)
    check_study(study)
    assert study.persistent_id == root
    assert root.startswith("FiniteSizeStudy.")
    assert target.orphans() == []
    assert target.describe(root).state == "TERMINATED"
    assert target.describe(root).origin["copy_of"]["id"] == sample.root
    assert b"gc3libs.persistence" not in target.export(root)
    target.save(study)
    assert target.describe(root).revision <= 2


@pytest.fixture
def untouched_source(sample):
    def content():
        paths = (
            [sample.path]
            if sample.path.is_file()
            else sorted(p for p in sample.path.rglob("*") if p.is_file())
        )
        return {path: path.read_bytes() for path in paths}

    before = content()
    yield
    assert content() == before


@pytest.mark.parametrize("kind", ["directory", "database"])
def test_there_and_back_again(samples, kind):
    from gc3libs.persistence.filesystem import FilesystemStore

    ours = make_store(target_of(samples, kind))
    there = copy(make_store(samples / "jobs.db"), ours)
    directory = make_store(samples / "fs")
    back = copy(ours, directory)
    assert len(directory) == 46
    root = back.ids[there.ids["47"]]
    theirs = FilesystemStore(str(samples / "fs"))
    check_study(theirs.load(root))
    assert theirs.load(root).tasks[0].persistent_id == back.ids[there.ids["48"]]
    table = make_store(samples / "jobs.db")
    onwards = copy(directory, table, [root])
    assert onwards.new == 23
    check_study(table.load(onwards.ids[root]))
    assert table.list(temperature=1.5, offset=3)  # further columns are filled


@pytest.mark.parametrize("kind", ["directory", "database", "fs", "jobs.db"])
def test_graphs_stay_as_they_are(samples, kind):
    source = make_store(samples / "source")
    shared = Node("shared")
    end = Node("end", shared)
    end.others += [Node("back", shared), end]
    if kind in ("directory", "database"):  # GC3Pie could not load a circle
        end.others[1].others.append(end)
    chain = end
    for i in range(30):
        chain = Node(f"link {i}", chain, shared)
    id_ = source.save(chain, name="chain", tags=["a", "b"])
    target = make_store(target_of(samples, kind))
    result = copy(source, target)
    assert result.new == 33
    found = target.load(result.ids[id_])
    seen = []
    while found.name != "end":
        seen.append(found.others[1])
        found = found.others[0]
    assert len({id(node) for node in seen}) == 1
    assert found.others[0] is found.others[1].others[0] is seen[0]
    assert found.others[2] is found
    if kind in ("directory", "database"):
        assert found.others[1].others[1] is found
        assert target.find("chain") == [result.ids[id_]]
        assert target.describe(result.ids[id_]).tags == ("a", "b")
        assert target.describe(result.ids[id_]).created == source.describe(id_).created


@pytest.mark.parametrize("kind", ["directory", "database", "fs", "jobs.db"])
def test_doing_it_again_copies_what_is_new(samples, kind):
    source, target = make_store(samples / "source"), make_store(target_of(samples, kind))
    leaf = Node("leaf")
    roots = [Node("one", leaf), Node("two")]
    ids = source.save_many(roots)
    before = len(target)
    first = copy(source, target)
    assert first.new == 3
    again = copy(source, target)
    assert (again.new, again.ids) == (0, first.ids)
    leaf.name = "changed"
    source.save(roots[0])
    third = copy(source, target)
    assert third.new == 2  # the leaf, and what refers to it
    assert third.ids[ids[1]] == first.ids[ids[1]]
    assert target.load(third.ids[ids[0]]).others[0].name == "changed"
    assert target.load(first.ids[ids[0]]).others[0].name == "leaf"
    assert len(target) == before + 5


@pytest.mark.parametrize("when", ["while writing", "before it is noted"])
@pytest.mark.parametrize("kind", ["directory", "database", "fs", "jobs.db"])
def test_an_interrupted_copy_goes_on(samples, monkeypatch, kind, when):
    source, target = make_store(samples / "source"), make_store(target_of(samples, kind))
    source.save_many([Node(f"number {i}") for i in range(10)])
    before = len(target)
    monkeypatch.setattr(batching, "MAX_COUNT", 3)
    calls = []
    where, name = (target.backend, "write") if when == "while writing" else (copying._Journal, "note")
    original = getattr(where, name)

    def interrupted(*args):
        calls.append(args)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return original(*args)

    with monkeypatch.context() as patch:
        patch.setattr(where, name, interrupted)
        with pytest.raises(KeyboardInterrupt):
            copy(source, target)
    written = len(target) - before
    assert written > 0
    result = copy(source, target)
    assert result.new == 10 - written
    assert len(result.ids) == 10
    assert len(target) == before + 10
    assert sorted(target.load(id_).name for id_ in result.ids.values()) == [f"number {i}" for i in range(10)]


def test_what_is_noted_can_be_lost(samples, monkeypatch):
    """The copies themselves say what they are copies of."""
    source, target = make_store(samples / "source"), make_store(samples / "copy")
    source.save_many([Node("a"), Node("b")])
    assert copy(source, target).new == 2
    monkeypatch.setenv("XDG_CACHE_HOME", str(samples / "another cache"))
    assert copy(source, target).new == 0


def test_damaged_records_are_left_out_and_named(samples):
    path = samples / "fs" / "IsingRun.28"
    path.write_bytes(path.read_bytes()[:50])
    (samples / "fs" / "IsingRun.29").unlink()
    target = make_store(samples / "copy")
    with pytest.warns(StoreWarning, match=r"1 not copied: The record of IsingRun\.28 is damaged"):
        result = copy(make_store(samples / "fs"), target)
    assert list(result.failed) == ["IsingRun.28"]
    assert result.new == 21
    assert target.load(result.ids["IsingRun.27"]).jobname
    target.load(result.ids["TemperatureSweep.36"])


def test_a_copy_that_does_not_fit_its_checksum_is_not_made(samples):
    source = make_store(f"sqlite:///{samples}/source.db")
    ids = source.save_many([Node("a"), Node("b")])
    source.close()
    connection = sqlite3.connect(samples / "source.db")
    with connection:
        data = connection.execute("SELECT data FROM gc3store_payload WHERE number = 1").fetchone()[0]
        connection.execute(
            "UPDATE gc3store_payload SET data = ? WHERE number = 1", (data.replace(b"a", b"b"),)
        )
    connection.close()
    target = make_store(samples / "copy")
    with pytest.warns(StoreWarning, match="not copied"):
        result = copy(make_store(f"sqlite:///{samples}/source.db"), target)
    assert list(result.failed) == [ids[0]]
    assert list(result.ids) == [ids[1]]


def test_large_payloads_and_values_of_any_kind(samples):
    numpy = pytest.importorskip("numpy")
    source = make_store(samples / "source")
    values = [None, 3, "text", {"a": [1]}, numpy.arange(300_000.0)]
    ids = source.save_many(values)
    target = make_store(f"sqlite:///{samples}/copy.db")
    result = copy(source, target, ids)
    for id_, value in zip(ids[:-1], values[:-1], strict=True):
        assert target.load(result.ids[id_]) == value
    assert numpy.array_equal(target.load(result.ids[ids[-1]]), values[-1])
    table = make_store(samples / "jobs.db")
    with pytest.warns(StoreWarning, match="4 not copied: .*could not load an object of type NoneType"):
        back = copy(target, table)
    assert back.failed.keys() == {result.ids[id_] for id_ in ids[:-1]}
    assert numpy.array_equal(pickle.loads(table.backend.raw([*back.ids.values()][-1])), values[-1])


def test_what_refers_to_something_refused_is_refused_too(samples):
    source, target = make_store(samples / "source"), make_store(samples / "fs")
    one, other = Node("one"), Node("other")
    one.others.append(other)
    other.others.append(one)
    ids = source.save_many([Node("root", one), Node("alone"), Node("above", Node("below"))])
    before = len(target)
    with pytest.warns(StoreWarning, match="3 not copied"):
        result = copy(source, target)
    assert result.new == 3
    assert ids[0] in result.failed
    assert "refers to" in result.failed[ids[0]]
    assert len(target) == before + 3
    assert target.load(result.ids[ids[2]]).others[0].name == "below"
    with pytest.warns(StoreWarning, match="3 not copied"):
        assert copy(source, target).new == 0


def test_what_cannot_be_copied_says_so(samples):
    class Minimal(Store):
        save = load = replace = remove = None

    with pytest.raises(NotSupportedError, match="no records that can be copied"):
        copy(Minimal(), make_store(samples / "copy"))
    with pytest.raises(ObjectNotFoundError):
        copy(make_store(samples / "fs"), make_store(samples / "copy"), ["IsingRun.999"])
    with pytest.raises(TypeError):
        copy(make_store(samples / "fs"), make_store(samples / "copy"), limit=3)
