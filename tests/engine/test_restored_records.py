"""Exported records that are put back, where they were and elsewhere."""

from __future__ import annotations

import pytest

from gc3store import CorruptRecordError, DanglingReferenceError, make_store
from gc3store.testing import Node, Point


@pytest.fixture
def foreign(tmp_path):
    """Another store, with records under the first few numbers."""
    with make_store(f"sqlite:///{tmp_path}/foreign.db") as store:
        yield store


def test_a_record_is_put_back_as_it_was(any_place):
    store, other = any_place.open(), any_place.open()
    part = Node("part")
    node = Node("old", part)
    id_ = store.save(node, name="name", tags=["a", "b"], origin={"cell": 7})
    node.value = "new"
    store.save(node)
    before, data = store.describe(id_), store.export(id_)
    store.remove(id_)
    assert id_ not in other
    assert store.restore(data) == id_
    for looking in (store, other):
        assert looking.describe(id_) == before
        assert looking.references(id_) == [part.persistent_id]
        assert looking.load(id_).value == "new"
    assert store.export(id_) == data
    assert before.revision == 2


def test_a_record_of_another_store_takes_no_id_of_its_own(store, foreign):
    """Also where the ID is free here, and was given here."""
    ids = store.save_many([Point("mine") for _ in range(3)])
    store.remove(ids[1])
    theirs = foreign.save_many([Point("theirs") for _ in range(3)])
    assert theirs == ids
    new = store.restore(foreign.export(theirs[1]))
    assert new not in ids
    assert ids[1] not in store
    assert store.load(new).x == "theirs"
    assert store.describe(new).revision == 1


def test_a_record_of_another_store_refers_to_no_strangers(any_store, foreign):
    """Its references are refused, whether there is something under these IDs here or not."""
    part = Node("theirs")
    whole = foreign.save(Node("whole", part))
    any_store.save_many([Node("stranger") for _ in range(3)])
    gone = any_store.save(Node("free"))
    any_store.remove(gone)
    before = any_store.list()
    assert {whole, part.persistent_id} <= set(before)
    data = foreign.export(whole)
    with pytest.raises(DanglingReferenceError) as caught:
        any_store.restore(data)
    assert (caught.value.id, caught.value.missing) == (whole, part.persistent_id)
    assert any_store.list() == before
    any_store.remove(whole)
    with pytest.raises(DanglingReferenceError):
        any_store.restore(data)
    assert whole not in any_store


def test_references_of_another_store_lead_where_the_caller_says(store, foreign):
    part, second = Node("part"), Node("second")
    whole = foreign.save(Node("whole", part, second, part))
    store.save_many([Node("stranger") for _ in range(5)])
    there = {id_: store.restore(foreign.export(id_)) for id_ in (part.persistent_id, second.persistent_id)}
    store.remove(whole)
    new = store.restore(foreign.export(whole), references=there.__getitem__)
    assert new != whole
    assert whole not in store
    assert store.references(new) == list(there.values())
    loaded = store.load(new)
    assert [link.value for link in loaded.links] == ["part", "second", "part"]
    assert loaded.links[0] is loaded.links[2]
    assert store.referrers(there[part.persistent_id]) == [new]


def test_where_the_id_is_taken_the_record_gets_a_new_one(store):
    part = Node("part")
    id_ = store.save(Node("older", part), name="name")
    store.replace(id_, Node("old", part))
    data = store.export(id_)
    store.replace(id_, Node("new"))
    copied = store.restore(data)
    assert copied != id_
    assert store.load(id_).value == "new"
    loaded = store.load(copied)
    assert (loaded.value, loaded.links) == ("old", [part])
    record = store.describe(copied)
    assert (record.name, record.revision) == ("name", 1)


def test_a_record_of_the_future_gets_a_new_id(place, tmp_path):
    """The store is as it was in a backup: that it will give the ID again must not matter."""
    import shutil

    store = place.open()
    store.save(Point("kept"))
    store.close()
    shutil.copytree(place.folder, tmp_path / "backup")
    with place.open() as store:
        ids = store.save_many([Point(number) for number in range(3)])
        data = store.export(ids[2])
    shutil.rmtree(place.folder)
    shutil.copytree(tmp_path / "backup", place.folder)
    store = place.open()
    new = store.restore(data)
    assert store.load(new).x == 2
    others = store.save_many([Point("other") for _ in range(4)])
    assert new not in others
    assert len(set(others)) == 4
    assert store.load(new).x == 2


@pytest.mark.parametrize("size", [10, 1_100_000], ids=["small", "large"])
def test_damaged_exports_are_refused(place, size):
    store = place.open(durable=False)
    id_ = store.save({"data": bytes(size)})
    data = store.export(id_)
    store.remove(id_)
    for damaged in (
        data[:-1],
        data + b"\0",
        data[: len(data) // 2],
        data[:-3] + bytes([data[-3] ^ 1]) + data[-2:],
        b"",
        b"something else",
    ):
        with pytest.raises(CorruptRecordError):
            store.restore(damaged)
    assert store.list() == []
    assert store.restore(bytearray(data)) == id_
    assert store.load(id_) == {"data": bytes(size)}


def test_a_removed_large_record_can_be_put_back_again_and_again(any_store):
    id_ = any_store.save({"data": bytes(3_000_000)})
    data = any_store.export(id_)
    for _ in range(2):
        any_store.remove(id_)
        assert any_store.restore(data) == id_
        assert any_store.load(id_) == {"data": bytes(3_000_000)}
        any_store.verify(id_)
