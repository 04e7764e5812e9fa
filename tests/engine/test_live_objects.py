"""Which objects are live after a transaction was given up, a removal failed, or a backup was restored."""

from __future__ import annotations

import copyreg
import os
import shutil
import sys
import types

import pytest

from gc3store import ConflictError, Persistable, StoreError
from gc3store.testing import Node, Point


def given_up(store, *calls):
    with pytest.raises(ZeroDivisionError), store.transaction():
        for call in calls:
            call()
        raise ZeroDivisionError


@pytest.mark.parametrize("cls", [Node, Point])
def test_an_object_whose_removal_was_undone_is_its_record_again(database_store, cls):
    obj, referrer = cls([1]), Node("referrer")
    id_ = database_store.save(obj)
    database_store.save(referrer)
    given_up(database_store, lambda: database_store.remove(id_))
    assert (obj.persistent_id, obj._id) == (id_, id_)
    if cls is Node:
        assert database_store.load(id_) is obj
    database_store.save_many([obj])
    assert len(database_store) == 2
    if cls is Node:
        assert database_store.describe(id_).revision == 1  # nothing had changed
        obj.value.append(2)
    else:
        obj.x.append(2)
    assert database_store.save(obj) == id_
    assert len(database_store) == 2


def test_an_object_that_was_replaced_in_a_transaction_that_was_given_up_is_live_again(database_store):
    node = Node("old", Node("part"))
    root = Node("root", node)
    root_id, id_ = database_store.save(root), node.persistent_id
    new = Node("new")
    given_up(database_store, lambda: database_store.replace(id_, new), lambda: database_store.load(root_id))
    assert database_store.load(id_) is node
    assert database_store.load(root_id) is root
    assert not hasattr(new, "persistent_id")
    assert database_store.save(new) != id_
    node.value = "changed"
    database_store.save(root)
    assert database_store.load(id_, fresh=True).value == "changed"
    assert database_store.describe(id_).revision == 2


def test_what_was_written_and_given_up_is_written_again(database_store):
    """Also when the object is as it was saved then: the store does not have that."""
    node = Node("old")
    id_ = database_store.save(node)
    node.value = "new"
    given_up(database_store, lambda: database_store.save(node), lambda: database_store.save(node))
    assert database_store.load(id_, fresh=True).value == "old"
    assert database_store.save(node) == id_
    assert database_store.load(id_, fresh=True).value == "new"
    assert database_store.describe(id_).revision == 2


@pytest.mark.parametrize("first", ["part", "whole"])
def test_a_live_object_that_is_newer_than_a_restored_backup_is_outdated(place, tmp_path, first):
    """What is stored counts; the object is neither returned, nor does it overwrite that."""
    with place.open() as store:
        node, whole = Node("old"), Node("whole")
        whole.links.append(node)
        whole_id, id_ = store.save(whole), node.persistent_id
    shutil.copytree(place.folder, tmp_path / "backup")
    store = place.open()
    node, whole = store.load(id_), store.load(whole_id)
    node.value = "new"
    store.save(node)
    if place.kind == "sqlite":  # no database may be exchanged while it is open
        store.close()
    shutil.rmtree(place.folder)
    shutil.copytree(tmp_path / "backup", place.folder)
    if place.kind == "sqlite":
        store = place.open()
    loaded = store.load(id_) if first == "part" else store.load(whole_id).links[0]
    assert loaded is not node
    assert loaded is store.load(id_)
    assert loaded.value == "old"
    assert store.load(whole_id).links == [loaded]
    for obj in (node, whole):
        obj.value = "newest"
        with pytest.raises(ConflictError) as caught:
            store.save(obj)
        assert (caught.value.id, caught.value.expected, caught.value.found) == (id_, 2, 1)
    assert store.load(id_, fresh=True).value == "old"
    loaded.value = "after"
    assert store.save(loaded) == id_
    assert place.open().load(id_).value == "after"


def test_a_removal_of_many_that_fails_takes_the_ids_of_what_is_gone(directory, monkeypatch):
    """What is still there keeps its ID, and can be saved under it."""
    store, other = directory.open(durable=False), directory.open()
    objects = [cls(number) for number in range(4) for cls in (Node, Point)]
    ids = store.save_many(objects)
    real = os.unlink

    def unlink(path, *args, **options):
        if ids[4] in os.fspath(path):
            raise PermissionError(13, "Permission denied", path)
        real(path, *args, **options)

    with monkeypatch.context() as patch, pytest.raises(StoreError):
        patch.setattr(os, "unlink", unlink)
        store.remove_many(ids)
    left = set(other.list())
    assert ids[4] in left
    assert 0 < len(left) < len(ids)
    assert {obj.persistent_id for obj in objects if hasattr(obj, "persistent_id")} == left
    saved = store.save_many(objects)
    assert {id_ for id_, before in zip(saved, ids, strict=True) if id_ == before} == left
    assert len(set(saved)) == len(ids)


def test_a_reducer_that_is_registered_after_the_first_save_is_used(store, monkeypatch):
    first = store.save([Registered("before")])
    monkeypatch.setitem(copyreg.dispatch_table, Registered, lambda obj: (Registered, (f"reduced {obj.x}",)))
    second = store.save([Registered("after")])
    assert store.load(first)[0].x == "before"
    assert store.load(second)[0].x == "reduced after"


class Registered:
    def __init__(self, x):
        self.x = x


def test_two_classes_of_one_name_are_told_apart(place, monkeypatch):
    """IDs begin alike; each object comes back with the methods of its own class."""
    with place.open() as store:
        ids = []
        for name in ("one", "other"):
            module = types.ModuleType(f"{name}_module_of_this_test")
            monkeypatch.setitem(sys.modules, module.__name__, module)
            exec(
                "from gc3store import Persistable\n"
                f"class Thing(Persistable):\n    def name(self):\n        return {name!r}\n",
                vars(module),
            )
            ids += store.save_many([module.Thing(), module.Thing()])
    assert [id_.rpartition(".")[0] for id_ in ids] == ["Thing"] * 4
    store = place.open()
    assert [store.load(id_).name() for id_ in ids] == ["one", "one", "other", "other"]
    assert store.list(cls="one_module_of_this_test.Thing") == ids[:2]
    assert store.list(cls="other_module_of_this_test.Thing") == ids[2:]
    assert store.list(cls="Thing") == ids


def test_two_local_classes_of_one_name_are_told_apart(store):
    def make(text):
        class Local(Persistable):
            def name(self):
                return text

        return Local()

    one, other = make("one"), make("other")
    ids = store.save_many([one, other])
    store.invalidate_cache()
    loaded = list(store.load_many(ids))
    assert [obj.name() for obj in loaded] == ["one", "other"]


class TestGC3Pie:
    """The mark of GC3Pie's own Persistables that they must be saved."""

    @pytest.fixture
    def task(self):
        pytest.importorskip("gc3libs")
        from gc3libs import Application

        task = Application(["/bin/true"], inputs=[], outputs=[], output_dir="/tmp/out")
        task.changed = True
        return task

    def test_is_taken_away_by_a_save(self, place, task):
        place.open().save([task])
        assert task.changed is False

    def test_stays_after_a_save_that_fails(self, place, task):
        store, other = place.open(), place.open()
        id_ = store.save(task)
        theirs = other.load(id_)
        theirs.extra = "theirs"
        other.save(theirs)
        task.changed = True
        task.extra = "mine"
        for call in (store.save, lambda obj: store.save([obj]), lambda obj: store.save_many([1, obj])):
            with pytest.raises(ConflictError):
                call(task)
            assert task.changed is True
        task.extra = x = (n for n in range(3))
        with pytest.raises(StoreError):
            store.save(task)
        assert task.changed is True
        x.close()

    def test_comes_back_with_a_transaction_that_was_given_up(self, database_store, task):
        given_up(database_store, lambda: database_store.save(task))
        assert task.changed is True
        assert not hasattr(task, "persistent_id")
        database_store.save(task)
        task.changed = True
        given_up(database_store, lambda: database_store.save(task))  # which was unchanged
        assert task.changed is True
