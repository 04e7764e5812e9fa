"""Versions under a name: when `save_version` makes a new one, and when the newest is the one."""

from __future__ import annotations

import pytest

from gc3store.testing import Node, Point


def replaced(store, id_, obj):
    store.replace(id_, obj)
    return store.describe(id_).revision


def test_the_same_content_makes_no_version(place):
    store = place.open()
    point = Point(1)
    first = store.save_version(point, name="state")
    assert store.save_version(point, name="state") == first  # the same object
    assert store.save_version(Point(1), name="state") == first  # an equal one
    point.x = 2
    second = store.save_version(point, name="state")
    assert second != first
    assert store.find("state") == [second, first]
    assert [store.load(id_).x for id_ in (first, second)] == [1, 2]
    assert store.describe(second).revision == 1


def test_equal_bytes_that_refer_to_another_object_make_a_version(any_store):
    one, other = Node("part"), Node("part")
    first = any_store.save_version([one], name="state")
    second = any_store.save_version([other], name="state")
    assert second != first
    assert any_store.find("state") == [second, first]
    assert any_store.load(first)[0] is one
    assert any_store.load(second)[0] is other
    assert any_store.save_version([other], name="state") == second


def test_an_object_that_refers_to_another_one_now_makes_a_version(store):
    one, other = Node("part"), Node("part")
    point = Point(one)
    first = store.save_version(point, name="state")
    point.x = other
    second = store.save_version(point, name="state")
    assert second != first
    assert store.load(first).x is one
    assert store.load(second).x is other


def test_a_changed_part_is_saved_without_a_version(place):
    """The newest version refers to the same record, which has another content now."""
    store, other = place.open(), place.open()
    part = Node("old")
    first = store.save_version([part], name="state")
    part.value = "new"
    assert store.save_version([part], name="state") == first
    assert store.find("state") == [first]
    assert other.load(first)[0].value == "new"


def test_what_another_store_has_put_in_place_of_the_newest_makes_a_version(any_place):
    """Also if the object is what this store saw there last."""
    store, other = any_place.open(), any_place.open()
    point = Point("mine")
    first = store.save_version(point, name="state")
    assert replaced(other, first, Point("theirs")) == 2
    second = store.save_version(point, name="state")
    assert second != first
    assert [other.load(id_).x for id_ in (first, second)] == ["theirs", "mine"]


def test_what_is_there_again_makes_no_version(place):
    """The newest was replaced by what this store has not saved, and has just that content."""
    store, other = place.open(), place.open()
    first = store.save_version(Point("old"), name="state")
    assert replaced(other, first, Point("theirs")) == 2
    assert store.save_version(Point("theirs"), name="state") == first
    assert store.describe(first).revision == 2


def test_an_older_version_is_a_version_again(store):
    """What was saved before, but not as the newest, becomes a record of its own."""
    point = Point("old")
    first = store.save_version(point, name="state")
    second = store.save_version(Point("new"), name="state")
    third = store.save_version(point, name="state")
    assert len({first, second, third}) == 3
    assert store.find("state") == [third, second, first]
    assert store.load(first).x == "old"
    assert store.describe(first).revision == 1
    assert point.persistent_id == third


def test_the_newest_is_the_one_of_that_name(store):
    point = Point(1)
    first = store.save_version(point, name="one")
    second = store.save_version(point, name="other")
    assert second != first
    assert store.find("one") == [first]
    assert store.find("other") == [second]


def test_tags_are_those_of_the_last_call(store):
    first = store.save_version(Point(1), name="state", tags=["a"])
    assert store.save_version(Point(1), name="state") == first
    assert store.describe(first).tags == ("a",)
    assert store.save_version(Point(1), name="state", tags=["b", "c"]) == first
    assert store.describe(first).tags == ("b", "c")
    assert store.describe(first).revision == 1


def test_a_persistable_is_one_record(store):
    node = Node(1)
    id_ = store.save_version(node, name="state")
    node.value = 2
    assert store.save_version(node, name="state") == id_
    assert store.find("state") == [id_]
    assert store.load(id_, fresh=True).value == 2


@pytest.mark.parametrize("large", [False, True])
def test_a_version_of_a_name_that_is_removed_begins_anew(store, large):
    value = [bytes(2_000_000) if large else b"small"]
    first = store.save_version(value, name="state")
    store.remove(first)
    second = store.save_version(value, name="state")
    assert second != first
    assert store.find("state") == [second]
    assert store.load(second) == value
