"""Columns that are filled afterwards: they show what is stored, whatever happens meanwhile."""

from __future__ import annotations

import pytest

from gc3store.testing import Node, Point


def columns_of(store, name):
    return {record.id: record.columns[name] for record in store.records()}


def value_of(obj):
    return obj.value


def test_they_show_what_is_stored_and_not_what_a_live_object_has_become(place):
    with place.open() as store:
        store.save(0)
    store = place.open(columns={"function": value_of, "path": "value", "first": "links[0].value"})
    part = Node("stored part")
    node = Node("stored", part)
    with place.open() as other:  # without the columns
        id_ = other.save(node)
        part_id = part.persistent_id
    live = store.load(id_)
    live.value = live.links[0].value = "changed, and not saved"
    node.value = part.value = "changed, and not saved"
    with pytest.warns(match="'function' of int.1 stays empty"):
        assert store.fill_columns() == 2
    assert dict(store.describe(id_).columns) == {
        "function": "stored",
        "path": "stored",
        "first": "stored part",
    }
    assert store.describe(part_id).columns["function"] == "stored part"
    assert store.list(function="stored") == [id_]
    assert live.value == "changed, and not saved"
    assert store.load(id_) is live
    assert store.describe(id_).revision == 1


@pytest.mark.parametrize("how", ["path", "function"])
def test_a_record_that_is_replaced_meanwhile_is_filled_with_what_it_has_then(any_place, how):
    """The function that is called first replaces records: one that was read, and one that is still to be."""
    plain = any_place.open()
    ids = plain.save_many([Point("old") for _ in range(4)])
    replaced = []

    def replacing(obj):
        if not replaced:
            replaced.extend([ids[0], ids[2]])
            for id_ in replaced:
                plain.replace(id_, Point("new"))
        return obj.x

    other_name = {"path": "x", "function": lambda obj: obj.x}[how]
    store = any_place.open(columns={"replacing": replacing, "other": other_name})
    assert store.fill_columns() == 4
    expected = {id_: "new" if id_ in replaced else "old" for id_ in ids}
    assert columns_of(store, "replacing") == columns_of(store, "other") == expected
    assert store.list(replacing="new") == store.list(other="new") == replaced
    assert [store.describe(id_).revision for id_ in ids] == [2, 1, 2, 1]
    assert store.fill_columns() == 0


def test_a_record_that_is_replaced_all_the_time_never_shows_an_older_value(place):
    """It stays empty then; the others are filled, and the next call goes on."""
    plain = place.open()
    busy, kept = plain.save_many([Point(0), Point("kept")])
    going_on = True

    def replacing(obj):
        if going_on and obj.x != "kept":
            plain.replace(busy, Point(obj.x + 1))
        return str(obj.x)

    store = place.open(columns={"n": replacing})
    assert store.fill_columns() == 1
    assert columns_of(store, "n") == {busy: None, kept: "kept"}
    going_on = False
    assert store.fill_columns() == 1
    assert columns_of(store, "n") == {busy: str(plain.load(busy).x), kept: "kept"}


def test_filling_again_never_puts_back_an_older_value(place):
    """The record is replaced by a store that records the column itself, after it was read here."""
    going_on = True

    def replacing(obj):
        nonlocal going_on
        if going_on:
            going_on = False
            writer.replace(id_, Point("new"))
        return obj.x

    with place.open(columns={"x": lambda obj: obj.x}) as first:
        id_ = first.save(Point("old"))
    writer = place.open(columns={"x": lambda obj: obj.x})
    store = place.open(columns={"x": replacing})
    store.fill_columns(again=True)
    assert store.describe(id_).columns["x"] == "new"
    assert store.list(x="new") == [id_]
    assert store.list(x="old") == []


def test_a_record_that_is_removed_meanwhile_hinders_nothing(place):
    plain = place.open()
    ids = plain.save_many([Point(number) for number in range(3)])

    def removing(obj):
        if obj.x == 0:
            plain.remove(ids[1])
        return obj.x

    store = place.open(columns={"n": removing, "x": "x"})
    with pytest.warns(match=f"'n' of {ids[1]} stays empty"):
        assert store.fill_columns() == 2
    assert columns_of(store, "n") == columns_of(store, "x") == {ids[0]: 0, ids[2]: 2}


def test_what_has_a_value_keeps_it_unless_it_is_asked_for_again(place):
    with place.open(columns={"x": lambda obj: obj.x}) as store:
        ids = store.save_many([Point(number) for number in range(3)])
    meaning = {0: "zero", 1: None, 2: "two"}
    store = place.open(columns={"x": lambda obj: meaning[obj.x], "y": "x"})
    assert store.fill_columns() == 3
    assert columns_of(store, "y") == dict(zip(ids, range(3), strict=True))
    assert columns_of(store, "x") == dict(zip(ids, range(3), strict=True))
    assert store.fill_columns(["x"], again=True, order="-number", limit=2) == 2
    assert columns_of(store, "x") == dict(zip(ids, [0, None, "two"], strict=True))
    assert store.fill_columns(["x"], again=True) == 1
    assert columns_of(store, "x") == dict(zip(ids, ["zero", None, "two"], strict=True))
    assert (store.list(x="zero"), store.list(x=None), store.list(x=1)) == ([ids[0]], [ids[1]], [])
