"""Which record an object is, and whether it is up to date (C3, C7, section 2a)."""

from __future__ import annotations

import copy
import dataclasses
import gc
import multiprocessing
import pickle
import weakref

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gc3store import ConflictError, ObjectNotFoundError, Persistable, make_store
from gc3store.engine.identity import IdentityMap, kind_of
from gc3store.errors import StoreUnavailableError
from gc3store.support.graph import dependents
from gc3store.testing import Node, Point, in_fresh_process

from .conftest import place_in
from .samples import (
    DictLike,
    DictWithoutWeakref,
    Frozen,
    Job,
    ListLike,
    OwnCopy,
    OwnSetattr,
    Slots,
    Slotted,
    WithoutInit,
)

PERSISTABLES = [
    Job("a"),
    Frozen(3),
    WithoutInit([1]),
    Slotted(1),
    ListLike([1, 2]),
    DictLike(a=1),
    OwnCopy(2),
    Node([1]),
]


@pytest.fixture(params=PERSISTABLES, ids=lambda obj: type(obj).__name__)
def obj(request):
    return pickle.loads(pickle.dumps(request.param))


class TestCopies:
    @pytest.mark.parametrize(
        "duplicate",
        [
            copy.copy,
            copy.deepcopy,
            lambda obj: copy.deepcopy([obj])[0],
            lambda obj: copy.deepcopy({1: obj})[1],
        ],
    )
    def test_are_new_records(self, store, obj, duplicate):
        id_ = store.save(obj)
        twin = duplicate(obj)
        assert type(twin) is type(obj)
        assert not hasattr(twin, "persistent_id")
        new = store.save(twin)
        assert new != id_
        assert (obj.persistent_id, twin.persistent_id) == (id_, new)
        assert store.load(id_) is obj
        assert store.load(new) is twin
        assert store.save(obj) == id_

    def test_by_dataclasses_replace_are_new_records(self, store):
        job = Job("a")
        id_ = store.save(job)
        done = dataclasses.replace(job, state="DONE")
        assert store.save(done) != id_
        assert store.load(id_).state == "NEW"
        frozen = Frozen(1)
        id_ = store.save(frozen)
        assert store.save(dataclasses.replace(frozen, x=2)) != id_
        assert frozen == Frozen(1)

    def test_of_a_whole_graph_are_new_records(self, store):
        root = Node("root", Node("child"))
        root.links[0].links.append(root)
        ids = {store.save(root), root.links[0].persistent_id}
        twin = copy.deepcopy(root)
        new = {store.save(twin), twin.links[0].persistent_id}
        assert len(ids | new) == 4
        assert twin.links[0].links[0] is twin

    def test_by_pickle_are_the_same_record(self, store, obj):
        id_ = store.save(obj)
        twin = pickle.loads(pickle.dumps(obj))
        assert twin.persistent_id == id_
        assert store.save(twin) == id_

    def test_of_an_attribute_dictionary_are_not_taken_for_the_object(self, store):
        first, second = Node(1), Node(2)
        id_ = store.save(first)
        second.__dict__.update(first.__dict__)
        assert store.save(second) != id_
        assert store.load(id_) is first

    def test_of_plain_objects_are_new_records(self, store):
        point = Point(1)
        id_ = store.save(point)
        for twin in (copy.copy(point), copy.deepcopy(point), pickle.loads(pickle.dumps(point))):
            assert store.save(twin) != id_
        assert store.save(point) == id_


class TestTellingObjectsTheirId:
    def test_persistables_without_initialization(self, store):
        obj = Job.__new__(Job)
        obj.name = "x"
        assert store.save(obj) == obj.persistent_id

    def test_objects_without_an_instance_dictionary(self, store):
        obj = Slots()
        obj.a, obj.b = 1, [2]
        id_ = store.save(obj)
        assert not hasattr(obj, "persistent_id")
        loaded = store.load(id_)
        assert (loaded.a, loaded.b) == (1, [2])
        assert store.save(obj) != id_  # cannot be referred to weakly

    def test_objects_with_a_dictionary_and_no_weak_references(self, store):
        obj = DictWithoutWeakref()
        obj.x = 1
        id_ = store.save(obj)
        assert (obj.persistent_id, obj._id) == (id_, id_)
        assert store.save(obj) != id_

    def test_objects_that_set_attributes_their_own_way_are_still_tracked(self, store):
        obj = OwnSetattr()
        id_ = store.save(obj)
        assert vars(obj) == {}
        assert store.save(obj) == id_

    def test_data_frames_do_not_change(self, store):
        pd = pytest.importorskip("pandas")
        frame = pd.DataFrame({"_id": [1, 2], "persistent_id": [3, 4]})
        before = frame.copy()
        id_ = store.save(frame)
        assert frame.equals(before)
        assert vars(frame).keys() == vars(before).keys()
        assert store.load(id_).equals(before)
        frame["_id"] = 5
        assert store.save(frame) == id_
        assert (store.load(id_)["_id"] == 5).all()

    def test_removed_objects_have_none(self, store):
        for obj in (Node(1), Point(1)):
            id_ = store.save(obj)
            store.remove(id_)
            assert not hasattr(obj, "persistent_id")
            assert not hasattr(obj, "_id")
            assert store.save(obj) != id_

    def test_payloads_hold_none_of_it(self, place):
        with place.open() as store:
            node, point = Node(1), Point(1)
            store.save([node, point])
            store.save(point)
            store.save(node)
            store.save({"again": point, "node": node})
        stored = b"".join(place.bytes().values())
        assert b"persistent_id" not in stored
        assert b"_gc3store_identity" not in stored


class TestWeakness:
    def test_objects_are_not_kept_alive(self, store):
        for cls in (Node, Point):
            obj = cls("x")
            id_ = store.save(obj)
            watch = weakref.ref(obj)
            del obj
            gc.collect()
            assert watch() is None
            assert store.load(id_) is not None

    def test_an_id_of_memory_used_again_is_no_mistaken_identity(self, store):
        seen = set()
        for i in range(200):
            id_ = store.save(Point(i))
            assert id_ not in seen
            seen.add(id_)

    def test_equality_and_hashing_are_left_alone(self, store):
        one, two = Node(1), Node(1)
        assert Persistable.__eq__ is object.__eq__
        assert Persistable.__hash__ is object.__hash__
        store.save_many([one, two])
        assert one != two
        assert len({one, two, one}) == 2

    def test_objects_of_two_stores_with_the_same_id_differ(self, tmp_path):
        a, b = (make_store(tmp_path / name) for name in "ab")
        one, two = Node(1), Node(2)
        assert a.save(one) == b.save(two)
        assert one != two
        a.close(), b.close()


class TestTwoStores:
    def test_an_object_of_one_is_new_in_the_other(self, tmp_path):
        a = make_store(tmp_path / "a")
        b = make_store(f"sqlite:///{tmp_path}/b.db")
        for _ in range(5):
            b.save("filler")
        root = Node("root", Node("child"))
        in_a = a.save(root)
        in_b = b.save(root)
        assert in_a == "Node.1"
        assert in_b == "Node.6"
        assert root.persistent_id == in_b
        fresh = a.load(in_a, fresh=True)
        assert [fresh.value, fresh.links[0].value] == ["root", "child"]
        fresh.value = "changed"
        assert b.save(fresh) != in_b
        assert a.load(in_a, fresh=True).value == "root"
        a.close(), b.close()

    def test_two_store_objects_on_one_place_know_the_same_records(self, place):
        first, second = place.open(), place.open()
        node = Node(1)
        id_ = first.save(node)
        node.value = 2
        assert second.save(node) == id_
        assert first.load(id_, fresh=True).value == 2
        node.value = 3
        assert first.save(node) == id_
        assert second.load(id_, fresh=True).value == 3

    def test_a_copied_directory_is_still_the_same_store(self, place, tmp_path):
        import shutil

        store = place.open()
        node = Node(1)
        id_ = store.save(node)
        store.close()
        (tmp_path / "copy").mkdir()
        shutil.copytree(place.folder, tmp_path / "copy" / place.folder.name)
        with make_store(place_in(tmp_path / "copy", place.kind).url) as other:
            assert other.save(node) == id_


def _work(job):
    job.state = "DONE"
    job.parts.append(Job("output"))
    return job


def _save_there(url, job):
    with make_store(url) as store:
        job.state = "SAVED THERE"
        return store.save(job), job


class TestWorkers:
    @pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
    def test_a_job_that_comes_back_changed_updates_its_record(self, place, method):
        store = place.open()
        jobs = [Job(f"job {i}") for i in range(3)]
        ids = store.save_many(jobs)
        with multiprocessing.get_context(method).Pool(2) as pool:
            back = pool.map(_work, jobs)
            pool.close()
            pool.join()
        assert [job.persistent_id for job in back] == ids
        assert [store.save(job) for job in back] == ids
        assert [store.load(id_).state for id_ in ids] == ["DONE"] * 3
        assert len(store) == 6
        for job in jobs:  # those that stayed at home are outdated now
            job.state = "FAILED"
            with pytest.raises(ConflictError):
                store.save(job)
        assert [store.load(id_, fresh=True).state for id_ in ids] == ["DONE"] * 3

    def test_an_outdated_copy_that_comes_back_is_not_taken_for_the_live_one(self, place):
        store = place.open()
        job = Job("a")
        id_ = store.save(job)
        outdated = pickle.dumps(job)
        job.state = "RUNNING"
        store.save(job)
        back = pickle.loads(outdated)
        back.state = "NEW"
        with pytest.raises(ConflictError):
            store.save(back)
        assert store.load(id_) is job

    def test_a_job_saved_by_the_worker_is_not_forked_here(self, place):
        store = place.open()
        job = Job("a")
        id_ = store.save(job)
        there, back = in_fresh_process(_save_there, place.url, job)
        assert there == id_
        with pytest.raises(ConflictError):
            store.save(job)
        assert back.persistent_id == id_
        back.name = "b"
        assert store.save(back) == id_
        assert store.load(id_) is back


class TestFreshness:
    def test_changed_parts_and_all_that_reach_them_are_made_anew(self, place):
        first, second = place.open(), place.open()
        leaf, other = Node("leaf"), Node("other")
        middle = Node("middle", leaf)
        root = Node("root", middle, other)
        ids = [first.save(root), middle.persistent_id, leaf.persistent_id, other.persistent_id]
        theirs = second.load(ids[2])
        theirs.value = "changed"
        second.save(theirs)
        loaded = first.load(ids[0])
        assert loaded is not root
        assert loaded.links[0] is not middle
        assert loaded.links[0].links[0].value == "changed"
        assert loaded.links[1] is other
        for outdated in (leaf,):
            outdated.value = "mine"
            with pytest.raises(ConflictError):
                first.save(outdated)

    def test_a_newer_part_loaded_by_itself_makes_what_refers_to_it_anew(self, place):
        first, second = place.open(), place.open()
        leaf = Node("leaf")
        middle = Node("middle", leaf)
        root = Node("root", middle)
        middle.links.append(root)
        id_ = first.save(root)
        theirs = second.load(leaf.persistent_id)
        theirs.value = "theirs"
        second.save(theirs)
        newer = first.load(leaf.persistent_id)
        loaded = first.load(id_)
        assert loaded is not root
        assert loaded.links[0].links == [newer, loaded]
        assert newer.value == "theirs"
        assert first.load(id_) is loaded
        assert first.load(middle.persistent_id) is loaded.links[0]
        first.replace(leaf.persistent_id, Node("replaced"))
        assert first.load(id_).links[0].links[0].value == "replaced"

    @pytest.mark.parametrize("circular", [False, True])
    def test_a_root_that_dropped_its_parts_is_still_the_live_instance(self, store, circular):
        """They were not saved without; what only they refer to is gone as well."""
        last = Node("last")
        root = Node("root", Node("middle", last))
        if circular:
            last.links.append(root)
        id_ = store.save(root)
        middle, end = root.links[0].persistent_id, last.persistent_id
        del last
        root.links.clear()
        gc.collect()
        assert store.load(id_) is root
        others = [Node(number) for number in range(2500)]
        store.save_many(others)  # what is gone is swept meanwhile
        assert store.load(id_) is root
        assert list(store.load_many([id_, others[0].persistent_id])) == [root, others[0]]
        part = store.load(middle)
        assert part.value == "middle"
        assert part.links[0] is store.load(end)
        assert part.links[0].links == ([root] if circular else [])
        assert store.load(id_) is root
        assert root.links == []
        store.save(root)
        assert store.load(id_, fresh=True).links == []

    @pytest.mark.parametrize("loaded", [False, True])
    def test_a_root_that_dropped_a_part_is_outdated_once_that_was_changed(self, place, loaded):
        store, other = place.open(), place.open()
        root = Node("root", Node("part"))
        id_ = store.save(root)
        theirs = other.load(id_)
        root.links.clear()
        gc.collect()
        theirs.links[0].value = "changed"
        other.save(theirs)
        if loaded:  # and gone again
            assert store.load(theirs.links[0].persistent_id).value == "changed"
        again = store.load(id_)
        assert again is not root
        assert again.links[0].value == "changed"
        assert store.load(id_) is again

    def test_saving_an_outdated_root_raises_also_when_only_a_part_is_newer(self, place):
        first, second = place.open(), place.open()
        leaf = Node("leaf")
        root = Node("root", leaf)
        id_ = first.save(root)
        theirs = second.load(leaf.persistent_id)
        theirs.value = "theirs"
        second.save(theirs)
        leaf.value = "mine"
        root.value = "changed"
        with pytest.raises(ConflictError) as caught:
            first.save(root)
        assert caught.value.id == leaf.persistent_id
        assert second.load(id_, fresh=True).value == "root"

    def test_an_older_instance_is_outdated_once_a_newer_was_loaded(self, place):
        first, second = place.open(), place.open()
        node = Node(1)
        id_ = first.save(node)
        theirs = second.load(id_)
        theirs.value = 2
        second.save(theirs)
        newer = first.load(id_)
        with pytest.raises(ConflictError):
            first.save(node)
        node.value = 9
        with pytest.raises(ConflictError):
            first.save(node)
        newer.value = 3
        assert first.save(newer) == id_
        assert second.load(id_).value == 3

    def test_saving_what_was_removed_elsewhere_is_a_conflict(self, place):
        first, second = place.open(), place.open()
        node = Node(1)
        id_ = first.save(node)
        second.remove(id_)
        for value in (1, 2):
            node.value = value
            with pytest.raises(ConflictError) as caught:
                first.save(node)
            assert (caught.value.id, caught.value.found) == (id_, None)
        assert first.list() == []
        assert first.save(copy.copy(node)) != id_

    def test_replace_expecting_a_revision(self, store):
        id_ = store.save([1])
        store.replace(id_, [2], expected=1)
        with pytest.raises(ConflictError) as caught:
            store.replace(id_, [3], expected=1)
        assert (caught.value.id, caught.value.expected, caught.value.found) == (id_, 1, 2)
        assert store.load(id_) == [2]
        with pytest.raises(ObjectNotFoundError):
            store.replace("list.99", [3])

    def test_replacing_makes_live_instances_outdated(self, store):
        node = Node(1)
        id_ = store.save(node)
        store.replace(id_, Node(2))
        assert store.load(id_).value == 2
        node.value = 3
        with pytest.raises(ConflictError):
            store.save(node)

    def test_an_object_given_to_replace_is_that_record_unless_it_has_one(self, store):
        mine, other = Node("mine"), Node("other")
        id_, other_id = store.save(Node("old")), store.save(other)
        store.replace(id_, mine)
        assert mine.persistent_id == id_
        store.replace(id_, other)
        assert other.persistent_id == other_id
        assert store.load(id_).value == "other"
        assert store.load(id_) is not other
        other.value = "changed"
        store.save(other)
        assert (store.load(id_).value, store.load(other_id).value) == ("other", "changed")

    def test_fresh_copies_are_independent(self, store):
        root = Node("root", Node("child"))
        id_ = store.save(root)
        fresh = store.load(id_, fresh=True)
        assert fresh is not root
        assert fresh.links[0] is not root.links[0]
        assert store.load(id_) is root
        fresh.value = "changed"
        assert store.save(fresh) == id_
        root.value = "mine"
        with pytest.raises(ConflictError):
            store.save(root)

    def test_an_unchanged_object_costs_no_revision(self, store):
        node = Node("root", Node({"a", "b", "c"}))
        id_ = store.save(node)
        for _ in range(3):
            store.save(node)
        assert store.describe(id_).revision == 1
        del node
        loaded = store.load(id_)
        store.save(loaded)
        assert store.describe(id_).revision == 1

    def test_invalidating_the_cache_gives_new_instances(self, store):
        node = Node(1)
        id_ = store.save(node)
        store.invalidate_cache()
        again = store.load(id_)
        assert again is not node
        again.value = 2
        store.save(again)
        node.value = 3
        with pytest.raises(ConflictError):
            store.save(node)

    def test_every_mutation_of_a_loaded_object_is_saved(self, place):
        """No mutation is silently lost, however deep inside."""
        with place.open() as store:
            id_ = store.save(Node({"a": [1, {"b": {3}}]}, Node([])))
        for mutate in (
            lambda n: n.value["a"].append(1),
            lambda n: n.value["a"][1]["b"].add(4),
            lambda n: n.links[0].value.append("x"),
            lambda n: n.links.append(n),
            lambda n: n.links.reverse(),
            lambda n: setattr(n, "extra", 1),
            lambda n: delattr(n, "extra"),
            lambda n: n.links.clear(),
        ):
            with place.open() as store:
                node = store.load(id_)
                mutate(node)
                store.save(node)
                expected = pickle.dumps((node.value, len(node.links), hasattr(node, "extra")))
            with place.open() as store:
                node = store.load(id_)
                assert pickle.dumps((node.value, len(node.links), hasattr(node, "extra"))) == expected


def interrupt(*_args, **_kwargs):
    raise KeyboardInterrupt


class TestTransactions:
    def test_identities_after_a_transaction_that_was_given_up(self, store):
        existing = Node("old")
        id_ = store.save(existing)
        new = Node("new")
        with pytest.raises(ZeroDivisionError), store.transaction():
            existing.value = "changed"
            store.save(existing)
            store.save(new)
            raise ZeroDivisionError
        if store.backend.atomic:
            assert store.list() == [id_]
            assert store.load(id_, fresh=True).value == "old"
            assert not hasattr(new, "persistent_id")
        else:
            assert new.persistent_id in store
        assert store.save(existing) == id_
        assert store.load(id_, fresh=True).value == "changed"
        store.save(new)
        assert store.list() == [id_, new.persistent_id]

    def test_objects_that_passed_through_a_transaction_are_not_kept_alive(self, store):
        store.save(0)
        kept = Node(["kept"])
        store.save(kept)
        with store.transaction():
            gone = Node(["large"], Node("part"))
            part = weakref.ref(gone.links[0])
            store.save(gone)
            gone = weakref.ref(gone)
            kept.value = Node("was here")
            store.save(kept)
            value = weakref.ref(kept.value)
            kept.value = None
            gc.collect()
            assert (gone(), part(), value()) == (None, None, None)

    def test_what_was_live_before_is_live_after_a_transaction_that_was_given_up(self, store):
        if not store.backend.atomic:
            pytest.skip("what a directory has written stays written")
        node = Node("old")
        id_ = store.save(node)
        other = store.load(id_, fresh=True)
        other.value = "other"
        with pytest.raises(ZeroDivisionError), store.transaction():
            store.save(other)
            raise ZeroDivisionError
        assert store.load(id_) is node

    def test_numbers_given_out_in_one_that_was_given_up(self, place):
        store, other = place.open(), place.open()
        first = store.save([1])
        with pytest.raises(ZeroDivisionError), store.transaction():
            store.save([2])
            raise ZeroDivisionError
        ids = [first, store.save([3]), other.save([4]), store.save([5]), other.save([6])]
        other.remove(ids.pop())
        store.close()
        ids.append(other.save([7]))
        assert len(set(ids)) == 5
        assert set(ids) <= set(other.list())

    def test_a_save_that_is_refused_within_one_leaves_nothing(self, place):
        """Whoever catches the error may go on, and commit the rest."""
        store, other = place.open(), place.open()
        changed, unchanged, gone = Node("changed"), Node("unchanged"), Node("gone")
        id_, _, _ = store.save_many([changed, unchanged, gone])
        theirs = other.load(id_)
        theirs.value = "theirs"
        other.save(theirs)
        other.remove(gone.persistent_id)
        with store.transaction():
            for outdated in (changed, gone):
                outdated.links.append(Node("new"))
                with pytest.raises(ConflictError):
                    store.save(Node("whole", unchanged, outdated), name="refused")
                with pytest.raises(ConflictError):
                    store.save_many([unchanged, outdated])
            kept = store.save(Node("kept"))
        assert sorted(other.list()) == sorted([id_, unchanged.persistent_id, kept])
        assert other.find("refused") == []
        assert not hasattr(changed.links[0], "persistent_id")

    def test_an_interrupt_while_it_is_undone_keeps_nothing_from_being_undone(self, store, monkeypatch):
        if not store.backend.atomic:
            pytest.skip("what a directory has written stays written")
        kept = Node("kept")
        id_ = store.save(kept)
        nodes = [Node(number) for number in range(4)]
        unbind, interrupts = store._identities._unbind, iter([True])

        def interrupted(*args):
            if next(interrupts, False):
                raise KeyboardInterrupt
            unbind(*args)

        monkeypatch.setattr(store._identities, "_unbind", interrupted)
        with pytest.raises(KeyboardInterrupt), store.transaction():
            store.save_many(nodes)
            raise ValueError("given up")
        assert not any(hasattr(node, "persistent_id") for node in nodes)
        assert store.list() == [id_]
        assert [store.load(i).value for i in store.save_many(nodes)] == [0, 1, 2, 3]

    def test_an_interrupt_of_a_part_undoes_the_whole(self, store, monkeypatch):
        if not store.backend.atomic:
            pytest.skip("what a directory has written stays written")
        id_ = store.save(Node("kept"))
        # Between the two rows of a record; behind both.
        for owner, name in ((store.backend._writer, "_insert_records"), (store._transaction, "bind")):
            first, second = Node(1), Node(2)
            undone = pytest.raises(StoreUnavailableError, match=r"undone this transaction.*KeyboardInterrupt")
            with undone, store.transaction():
                store.save(first)
                with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
                    patch.setattr(owner, name, interrupt)
                    store.save(second)
                with pytest.raises(StoreUnavailableError, match="undone this transaction"):
                    store.save(second)
            assert store.list() == [id_]
            assert not any(hasattr(node, "persistent_id") for node in (first, second))

    def test_reading_goes_on_after_an_interrupt_kept_a_step_from_ending(self, store, monkeypatch):
        if not store.backend.atomic:
            pytest.skip("what a directory has written stays written")
        id_ = store.save(Node("kept"))
        rollback = store.backend.rollback

        def interrupted_once():
            monkeypatch.setattr(store.backend, "rollback", rollback)
            raise KeyboardInterrupt

        monkeypatch.setattr(store.backend, "rollback", interrupted_once)
        with pytest.raises(KeyboardInterrupt), store.transaction():
            store.save(Node("gone"))
            raise OSError
        assert (store.list(), store.load(id_).value) == ([id_], "kept")
        assert store.load(store.save(Node("next"))).value == "next"

    def test_nested_transactions_are_one(self, store):
        with store.transaction():
            first = store.save(1)
            with store.transaction():
                second = store.save(2)
            store.remove(first)
        assert store.list() == [second]

    def test_pickled_stores_know_their_options(self, place):
        store = place.open(durable=False)
        again = pickle.loads(pickle.dumps(store))
        assert (again.durable, again.url) == (False, store.url)
        again.close()


class Thing(Persistable):
    pass


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                ["bind", "advance", "drop", "gone", "begin", "rollback", "commit", "supersede", "sweep"]
            ),
            st.integers(0, 5),
            st.sets(st.integers(0, 5), max_size=3),
        ),
        max_size=40,
    )
)
def test_what_leads_to_a_record_is_known_without_looking_at_all(steps):
    """Whatever happened before, and was undone."""
    identities = IdentityMap()
    objects = {}
    begun = False
    for what, number, others in steps:
        id_, references = f"Thing.{number}", tuple(f"Thing.{other}" for other in sorted(others))
        if what == "bind":
            objects[id_] = Thing()
            identities.bind(objects[id_], kind_of(type(objects[id_])), id_, 1, None, references)
        elif what == "advance" and id_ in objects and identities.by_id.get(id_) is not None:
            identities.advance(identities.by_id[id_], 2, None, references)
        elif what == "drop":
            identities.drop(id_)
        elif what == "gone":
            objects.pop(id_, None)
        elif what == "begin" and not begun:
            identities.begin()
            begun = True
        elif what in ("rollback", "commit") and begun:
            getattr(identities, what)()
            begun = False
        elif what == "supersede":
            identities.supersede({id_: (Thing(), 3)})
        elif what == "sweep":
            identities._sweep()
        graph = {one: identity.references for one, identity in identities.by_id.items()}
        assert identities._reaching({id_}) == dependents(graph, {id_})
