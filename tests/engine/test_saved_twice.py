"""Objects that are given to one `save_many` twice, or saved while it runs."""

from __future__ import annotations

from gc3store.testing import Node, Point


def test_a_list_that_is_given_twice_becomes_two_records(place):
    """It allows no weak reference, so it cannot be recognized: this must not depend on the batch."""
    store, other = place.open(), place.open()
    value, point, node = [1], Point(2), Node(3)
    ids = store.save_many([value, point, node, value, point, node])
    assert len(set(ids)) == len(other) == 4
    assert ids[0] != ids[3]
    assert ids[1:3] == ids[4:]
    assert other.load(ids[0]) == other.load(ids[3]) == [1]


def test_a_list_that_changes_between_two_yields_is_saved_as_it_was_each_time(place):
    store, other = place.open(), place.open()

    def stream():
        value = []
        for number in range(3):
            value.append(number)
            yield value

    ids = store.save_many(stream())
    assert len(set(ids)) == 3
    assert [other.load(id_) for id_ in ids] == [[0], [0, 1], [0, 1, 2]]


def test_a_generator_that_saves_a_known_object_meanwhile_has_no_conflict_with_itself(any_place):
    """The batch knew an older revision of the object, and writes the newest content."""
    store, other = any_place.open(), any_place.open()
    given, part = Node("old"), Node("old")
    ids = store.save_many([given, part])

    def stream():
        given.value = part.value = "seen"
        yield given
        yield Node("whole", part)
        given.value = part.value = "saved meanwhile"
        store.save(given)
        store.save(part)
        given.value = part.value = "newest"
        yield Node("last", given)

    saved = store.save_many(stream())
    assert saved[0] == ids[0]
    assert len(other) == 4
    assert [other.load(id_).value for id_ in ids] == ["newest", "newest"]
    given.value = part.value = "after"
    assert store.save_many([given, part]) == ids
    assert [other.load(id_).value for id_ in ids] == ["after", "after"]


def test_a_new_object_that_a_generator_saves_itself_is_one_record(place):
    store, other = place.open(), place.open()
    node, point = Node(1), Point(1)

    def stream():
        yield node
        yield point
        store.save(node)
        store.save(point)
        yield node

    ids = store.save_many(stream())
    assert ids == [node.persistent_id, point.persistent_id, node.persistent_id]
    assert sorted(other.list()) == sorted(set(ids))


def test_an_object_that_loses_its_last_reference_while_it_is_streamed(place):
    """It comes again without it, and is stored as it is then."""
    store, other = place.open(), place.open()
    node, point, whole = Node("node", Node("part")), Point(Node("part")), Node("whole")
    whole.links.append(node)

    def stream():
        yield node
        yield point
        node.links.clear()
        point.x = None
        yield whole
        yield point

    node_id, point_id, whole_id, _ = store.save_many(stream())
    for looking in (store, other):
        assert [looking.references(id_) for id_ in (node_id, point_id)] == [[], []]
        assert looking.references(whole_id) == [node_id]
    loaded = other.load(whole_id).links[0]
    assert (loaded.value, loaded.links) == ("node", [])
    assert other.load(point_id).x is None
    revision = store.describe(node_id).revision
    store.save_many([node, whole])
    assert store.describe(node_id).revision == revision


def test_an_object_that_gets_a_reference_while_it_is_streamed(place):
    store, other = place.open(), place.open()
    node = Node("node")

    def stream():
        yield node
        node.links.append(Node("late", node))
        yield node

    id_ = store.save_many(stream())[0]
    loaded = other.load(id_)
    assert loaded.links[0].value == "late"
    assert loaded.links[0].links == [loaded]
    assert len(other) == 2
