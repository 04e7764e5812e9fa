"""Large objects in every kind of store: what a record kept apart from itself goes with it, and nothing else does."""

from __future__ import annotations

import os

import pytest

from gc3store import ConflictError, ObjectNotFoundError, UnpicklableError
from gc3store.testing import Node, Point
from tests.everywhere import KINDS, execute, place_of

SIZE = 2_500_000  # of several rows in a database, and a file of its own in a directory


@pytest.fixture(params=KINDS)
def place(request, tmp_path):
    with place_of(request.param, tmp_path) as place:
        yield place


@pytest.fixture
def store(place):
    return place.open(durable=False)


def kept_apart(place):
    """Return the IDs of the records of which something is kept apart: a file, or rows for chunks."""
    if place.kind == "directory":
        names = os.listdir(place.path / ".gc3store" / "data")
        return sorted(name.rpartition("-")[0] for name in names)
    rows = execute(
        place,
        "SELECT DISTINCT chunk.number, record.id FROM gc3store_chunk AS chunk "
        "LEFT JOIN gc3store AS record ON record.number = chunk.number",
    )
    return sorted(id_ or f"nothing.{number}" for number, id_ in rows)


def large(seed):
    return bytes([seed]) * SIZE


def test_removing_takes_all_of_a_record_and_no_other(place, store):
    first, second, third = store.save_many([Point(large(n)) for n in range(3)])
    small = store.save(Point("small"))
    assert kept_apart(place) == [first, second, third]
    store.remove(second)
    assert kept_apart(place) == [first, third]
    for id_, value in ((first, large(0)), (third, large(2)), (small, "small")):
        store.verify(id_)
        assert store.load(id_).x == value
    store.remove_many([first, small])
    assert kept_apart(place) == [third]
    store.remove(third)
    assert kept_apart(place) == []
    assert store.list() == []


def test_what_was_removed_can_be_put_back(place, store):
    id_ = store.save(Point(large(1)), name="label")
    other = store.save(Point(large(2)))
    data = store.export(id_)
    for _ in range(2):
        store.remove(id_)
        with pytest.raises(ObjectNotFoundError):
            store.load(id_)
        assert store.restore(data) == id_
        assert kept_apart(place) == [id_, other]
        store.verify(id_)
        fresh = place.open()
        assert (fresh.load(id_).x, fresh.describe(id_).name) == (large(1), "label")
        assert fresh.load(other).x == large(2)


def test_a_replaced_payload_is_gone(place, store):
    id_ = store.save(Point(large(1)))
    for content, left in ((large(2), [id_]), (b"small", []), (large(3), [id_]), (large(4), [id_])):
        store.replace(id_, Point(content))
        assert kept_apart(place) == left
        store.verify(id_)
        assert place.open().load(id_).x == content
    if place.kind != "directory":
        rows = execute(place, "SELECT data FROM gc3store_chunk ORDER BY position")
        assert b"".join(bytes(data) for (data,) in rows).count(large(4)[:1000]) == SIZE // 1000


def test_a_graph_that_is_saved_again_leaves_nothing_of_its_former_state(place, store):
    root = Node(large(1), Node(large(2)))
    id_ = store.save(root)
    both = sorted([id_, root.links[0].persistent_id])
    root.value = large(3)
    root.links[0].value = large(4)
    store.save(root)
    assert kept_apart(place) == both
    root.value, root.links[0].value = "small", large(5)
    store.save(root)
    assert kept_apart(place) == [root.links[0].persistent_id]
    loaded = place.open().load(id_)
    assert (loaded.value, loaded.links[0].value) == ("small", large(5))


def test_a_save_that_fails_leaves_nothing_apart(place, store):
    node = Node(large(1))
    id_ = store.save(node)
    theirs = place.open(durable=False)
    other = theirs.load(id_)
    other.value = large(2)
    theirs.save(other)
    node.value, new = large(3), Node(large(4))
    with pytest.raises(ConflictError):
        store.save_many([new, node])
    with pytest.raises(UnpicklableError):
        store.save_many([Node(large(5)), Node([large(6), (x for x in "abc")])])
    assert kept_apart(place) == store.list() == [id_]
    assert place.open().load(id_).value == large(2)
    if place.kind == "directory":
        assert os.listdir(place.path / ".gc3store" / "tmp") == []


def test_a_transaction_that_was_given_up_changes_nothing_apart(place, store):
    if place.kind == "directory":
        pytest.skip("in a directory each record is a step")
    kept = store.save(Point(large(1)))
    with pytest.raises(ZeroDivisionError), store.transaction():
        store.save(Point(large(2)))
        store.replace(kept, Point(large(3)))
        store.remove(kept)
        1 / 0
    assert kept_apart(place) == store.list() == [kept]
    store.verify(kept)
    assert place.open().load(kept).x == large(1)
