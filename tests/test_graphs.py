"""Graphs of Persistables (C4): cycles, long chains, classes with ways of their own."""

from __future__ import annotations

import pickle
import random
import sqlite3
import sys
import warnings

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gc3store import DanglingReferenceError, DanglingReferenceWarning, LoadError, make_store
from gc3store.ids import number_of
from gc3store.testing import Node, Point, in_fresh_process
from gc3store.testing.contract import _shape

from .samples import Arguments, Defaults, DictLike, Job, ListLike, NeedsItsPart, Ordered, Rebuilt, Recounts


def _look(url, id_, look):
    with make_store(url) as store:
        return look(store.load(id_))


def _length(node):
    count = 1
    while node.links:
        node = node.links[0]
        count += 1
    return count


def chain(length):
    last = Node(0)
    for i in range(1, length):
        last = Node(i, last)
    return last


@pytest.mark.parametrize(
    "length", [20_000, pytest.param(1_000_000, marks=[pytest.mark.soak, pytest.mark.timeout(3600)])]
)
def test_a_long_chain(place, length):
    limit = sys.getrecursionlimit()
    with place.open(durable=False) as store:
        first = chain(length)
        id_ = store.save(first)
        assert len(store) == length
        assert store.load(id_) is first
        first.value = "changed"
        assert store.save(first) == id_
    assert in_fresh_process(_look, place.url, id_, _length, timeout=3000) == length
    assert sys.getrecursionlimit() == limit
    while first.links:  # taken apart step by step, for the interpreter's own sake
        first = first.links.pop()


def test_a_long_ring_and_a_wide_star(place):
    with place.open(durable=False) as store:
        ring = chain(3000)
        last = ring
        while last.links:
            last = last.links[0]
        last.links.append(ring)
        hub = Node("hub", *(Node(i, ring) for i in range(3000)), ring)
        id_ = store.save(hub)
        expected = _shape(hub)
        last.links.clear()
    assert in_fresh_process(_look, place.url, id_, _shape) == expected


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.lists(st.lists(st.integers(0, 7), max_size=4), min_size=1, max_size=8), seed=st.integers())
@pytest.mark.parametrize("kind", ["directory", "sqlite"])
def test_any_graph_keeps_its_shape(kind, data, seed, tmp_path_factory):
    from .conftest import place_in

    place = place_in(tmp_path_factory.mktemp("graph"), kind)
    rng = random.Random(seed)
    nodes = [Node(i) for i in range(len(data))]
    for node, links in zip(nodes, data, strict=True):
        node.links = [nodes[i % len(nodes)] for i in links]
        if rng.random() < 0.3 and node.links:
            node.value = [{"inner": node.links[0]}, node.links[0]]
    with make_store(place.url, durable=False) as store:
        id_ = store.save([nodes[0], nodes[-1]])
        first, last = store.load(id_)
        assert first is nodes[0]
        assert last is nodes[-1]
    with make_store(place.url) as store:
        first, last = store.load(id_)
        assert [_values(first), _values(last)] == [_values(nodes[0]), _values(nodes[-1])]
        assert len(store) == 1 + len({id(n) for root in (nodes[0], nodes[-1]) for n in _all(root)})


def _all(root):
    seen, queue = {id(root)}, [root]
    for node in queue:
        inner = [node.value[0]["inner"]] if isinstance(node.value, list) else []
        for link in node.links + inner:
            if id(link) not in seen:
                seen.add(id(link))
                queue.append(link)
    return queue


def _values(root):
    nodes = _all(root)
    order = {id(node): i for i, node in enumerate(nodes)}
    return [
        (
            [order[id(node.value[0]["inner"])], order[id(node.value[1])]]
            if isinstance(node.value, list)
            else node.value,
            [order[id(link)] for link in node.links],
        )
        for node in nodes
    ]


class TestOwnWays:
    def test_setstate_that_fills_in_defaults_is_no_change(self, place):
        with place.open() as store:
            root = Defaults(Defaults(1))
            id_ = store.save(root)
        with place.open() as store:
            root = store.load(id_)
            assert (root.added, root.x.added) == ("default", "default")
            store.save(root)
            store.save(["container", root])
            assert store.describe(id_).revision == 1
            root.x.seen.append(1)
            store.save(root)
            assert store.load(root.x.persistent_id, fresh=True).seen == [1]

    def test_setstate_that_changes_each_time_does_no_harm(self, place):
        with place.open() as store:
            id_ = store.save(Recounts())
        for _ in range(3):
            with place.open() as store:
                obj = store.load(id_)
                assert store.load(id_) is obj
                store.save(obj)

    def test_a_part_is_complete_before_what_refers_to_it_is_filled_in(self, place):
        with place.open() as store:
            id_ = store.save(Ordered(Ordered(Ordered(), Ordered()), Ordered()))
        assert in_fresh_process(_look, place.url, id_, lambda o: (o.total, o.parts[0].total)) == (3, 2)

    def test_constructors_with_arguments(self, place):
        with place.open() as store:
            shared = Job("shared")
            obj = Arguments(1, [shared])
            obj.extra = [shared, obj]
            id_ = store.save(obj)
        look = in_fresh_process(
            _look, place.url, id_, lambda o: (o.a, o.b[0] is o.extra[0], o.extra[1] is o, o.b[0].name)
        )
        assert look == (1, True, True, "shared")

    def test_cycles_through_objects_that_say_how_they_are_made(self, place):
        with place.open() as store:
            one = Rebuilt()
            one.other = Rebuilt(one)
            id_ = store.save(one)
        assert in_fresh_process(_look, place.url, id_, lambda o: (o.other is not o, o.other.other is o)) == (
            True,
            True,
        )

    def test_a_cycle_through_a_constructor_is_said_to_be_impossible(self, place):
        with place.open() as store:
            one = NeedsItsPart()
            one.other = NeedsItsPart(one)
            id_ = store.save(one)
        with place.open() as store, pytest.raises(LoadError, match="constructor needs") as caught:
            store.load(id_)
        assert caught.value.id is not None

    def test_containers_that_are_persistables(self, place):
        with place.open() as store:
            leaf = ListLike([1, 2])
            root = DictLike(leaf=leaf)
            root["self"] = root
            leaf.append(root)
            id_ = store.save(root)
        look = in_fresh_process(
            _look,
            place.url,
            id_,
            lambda d: (d["self"] is d, list(d["leaf"])[:2], d["leaf"][2] is d, type(d).__name__),
        )
        assert look == (True, [1, 2], True, "DictLike")

    def test_plain_objects_in_cycles_with_persistables(self, place):
        with place.open() as store:
            point = Point()
            node = Node(point)
            point.x, point.y = node, [point]
            id_ = store.save(point)
        look = in_fresh_process(_look, place.url, id_, lambda p: (p.x.value.x is p.x, p.y[0] is p))
        assert look == (True, True)

    def test_persistables_as_keys_and_members(self, place):
        with place.open() as store:
            one, two = Job("one"), Node("two")
            id_ = store.save({two: [two], "set": {two}, "job": one})
        look = in_fresh_process(
            _look, place.url, id_, lambda d: next(k for k in d if not isinstance(k, str)) in d["set"]
        )
        assert look is True


class TestReferences:
    def test_are_told_in_both_directions(self, store):
        shared = Node("shared")
        one, two = Node("one", shared, shared), Node("two", shared)
        ids = [store.save(one), store.save(two)]
        assert store.references(ids[0]) == [shared.persistent_id]
        assert store.referrers(shared.persistent_id) == ids
        assert store.references(shared.persistent_id) == []
        assert store.describe(ids[1]).references == (shared.persistent_id,)

    def test_removing_what_is_referred_to_warns_first(self, store):
        shared = Node("shared")
        root = Node("root", shared)
        id_, shared_id = store.save(root), shared.persistent_id
        with warnings.catch_warnings():
            warnings.simplefilter("error", DanglingReferenceWarning)
            with pytest.raises(DanglingReferenceWarning, match=f"{shared_id} is being removed, and {id_}"):
                store.remove(shared_id)
        assert shared_id in store
        with pytest.warns(DanglingReferenceWarning):
            store.remove(shared_id)
        store.invalidate_cache()
        for fresh in (False, True):
            with pytest.raises(DanglingReferenceError) as caught:
                store.load(id_, fresh=fresh)
            assert caught.value.id == id_
            # In a database the number is what is left of an ID.
            assert number_of(caught.value.missing) == number_of(shared_id)
            assert caught.value.missing in str(caught.value)
        assert list(map(number_of, store.references(id_))) == [number_of(shared_id)]
        store.remove(id_)

    def test_removing_recursively_takes_what_nothing_else_refers_to(self, store):
        shared, own = Node("shared"), Node("own", Node("own's own"))
        own.links.append(own)
        root, other = Node("root", shared, own), Node("other", shared)
        store.save_many([root, other])
        store.remove(root.persistent_id, recursive=True)
        assert sorted(store.load(id_).value for id_ in store.list()) == ["other", "shared"]

    def test_removing_a_ring_recursively(self, store):
        one = Node("one")
        one.links = [Node("two", one)]
        store.save(one)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            store.remove(one.persistent_id, recursive=True)
        assert store.list() == []

    def test_orphans_are_parts_that_nothing_leads_to(self, store):
        root = Node("root", Node("part", Node("part of a part")), Node("stays"))
        store.save(root)
        explicit = Node("explicit")
        store.save(explicit)
        assert store.orphans() == []
        part = root.links.pop(0)
        store.save(root)
        assert store.orphans() == [part.persistent_id, part.links[0].persistent_id] or set(
            store.orphans()
        ) == {
            part.persistent_id,
            part.links[0].persistent_id,
        }
        store.save(part)
        assert store.orphans() == []

    def test_what_is_removed_and_put_back_is_a_part_as_before(self, store, tmp_path):
        root = Node("root", Node("part"))
        store.save(root)
        part = root.links[0].persistent_id
        assert store.describe(root.persistent_id).is_root
        assert not store.describe(part).is_root
        data = store.export(part)
        with pytest.warns(DanglingReferenceWarning):
            store.remove(part)
        assert store.restore(data) == part
        assert not store.describe(part).is_root
        beside = store.restore(data)  # its ID is taken: a record of its own
        assert store.describe(beside).is_root
        store.remove(beside)
        root.links.clear()
        store.save(root)
        assert store.orphans() == [part]
        with make_store(tmp_path / "elsewhere") as other:  # where it was put by itself
            there = other.restore(data)
            assert other.describe(there).is_root
            assert other.orphans() == []

    def test_a_reference_reads_back_with_a_plain_unpickler(self, place):
        """Payloads are standard pickle streams."""
        import io

        from gc3store.persistable import Reference

        with place.open() as store:
            store.save(Node("root", Node("child")))
            stored = store.backend.read_one("Node.1")
            stream = stored.open().file().read()
        obj = pickle.Unpickler(io.BytesIO(stream)).load()
        assert type(obj) is Node
        assert obj.value == "root"
        assert isinstance(obj.links[0], Reference)


class TestGC3Pie:
    """GC3Pie's own Persistables take part as ours do."""

    @pytest.fixture(autouse=True)
    def _gc3libs(self):
        pytest.importorskip("gc3libs")

    def test_a_collection_of_tasks(self, place):
        from gc3libs import Application
        from gc3libs.workflow import ParallelTaskCollection

        def task(i):
            return Application(
                ["/bin/echo", str(i)], inputs=[], outputs=[], output_dir=f"/tmp/out{i}", jobname=f"task{i}"
            )

        with place.open() as store:
            study = ParallelTaskCollection([task(i) for i in range(3)], jobname="study")
            id_ = store.save(study)
            assert len(store) == 4
            assert study.persistent_id == id_
            study.tasks[1].execution.returncode = 3
            store.save(study)
            ids = [t.persistent_id for t in study.tasks]
        look = in_fresh_process(
            _look,
            place.url,
            id_,
            lambda s: [(t.persistent_id, t.jobname, t.execution.returncode) for t in s.tasks],
        )
        assert look == [(ids[0], "task0", None), (ids[1], "task1", 3), (ids[2], "task2", None)]

    def test_their_changed_flag_is_not_relied_on(self, place):
        from gc3libs import Application

        with place.open() as store:
            task = Application(["/bin/true"], inputs=[], outputs=[], output_dir="/tmp/out")
            id_ = store.save(task)
            task.extra = "x"
            task.changed = False
            store.save([task])
        assert in_fresh_process(_look, place.url, id_, lambda t: t.extra) == "x"

    def test_their_changed_flag_is_taken_back_once_it_is_known_that_nothing_changed(self, place):
        from gc3libs import Application

        with place.open() as store:
            task = Application(["/bin/true"], inputs=[], outputs=[], output_dir="/tmp/out")
            id_ = store.save([task])
            task.changed = True
            store.save([task])
            assert task.changed is False
            assert store.describe(task.persistent_id).revision == 1
            assert task.persistent_id != id_


class TestRoundTrips:
    def test_a_graph_is_loaded_with_a_constant_number_of_queries(self, tmp_path, monkeypatch):
        connections = []
        real = sqlite3.connect

        def connect(*args, **options):
            connections.append(real(*args, **options))
            return connections[-1]

        monkeypatch.setattr(sqlite3, "connect", connect)
        counts = []
        for size in (3, 400):
            url = f"sqlite:///{tmp_path}/{size}.db"
            with make_store(url, durable=False) as store:
                id_ = store.save(chain(size))
            with make_store(url) as store:
                statements = []
                store.list()
                connections[-1].set_trace_callback(statements.append)
                assert store.load(id_).value == size - 1
                counts.append(len(statements))
        assert 1 < counts[0] == counts[1] <= 10

    def test_a_directory_reads_each_record_once(self, tmp_path, monkeypatch):
        with make_store(tmp_path / "objects", durable=False) as store:
            shared = Node("shared")
            id_ = store.save(Node("root", *(Node(i, shared) for i in range(50))))
        with make_store(tmp_path / "objects") as store:
            opened = []
            layout = store.backend.layout
            real = layout.read_file
            monkeypatch.setattr(layout, "read_file", lambda path: opened.append(path) or real(path))
            store.load(id_)
        records = [path for path in opened if path.endswith(".gc3")]
        assert len(set(records)) == 52
        # The root is looked at first by itself.
        assert len(records) <= 53
