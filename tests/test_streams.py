"""Streams of objects: as many as there are, with no more than a few in memory."""

from __future__ import annotations

import gc
import pickle
import weakref

import pytest

from gc3store import Persistable
from gc3store.support.batching import MAX_BYTES, MAX_COUNT, Batches
from gc3store.testing import Node, Point

LARGE = MAX_BYTES + 2**20


#: The large objects that there are.
alive = weakref.WeakSet()


class Plain:
    """A large object."""

    def __init__(self, number):
        self.number, self.data = number, bytearray(LARGE)
        alive.add(self)

    def __getstate__(self):
        return self.number, pickle.PickleBuffer(self.data)

    def __setstate__(self, state):
        self.number, self.data = state
        alive.add(self)


class Heavy(Plain, Persistable):
    """A record of its own."""


@pytest.mark.parametrize("kind", [Plain, Heavy])
def test_large_objects_pass_one_by_one(place, kind):
    most = []

    def large():
        for number in range(6):
            obj = kind(number)
            most.append(len(alive))
            yield obj
            del obj

    with place.open(durable=False) as store:
        ids = store.save_many(range(300))
        few = store.save_many(large())
        ids[300:] = few + store.save_many(range(300))
    assert max(most) <= 2
    with place.open() as store:
        most.clear()
        numbers = []
        for obj in store.load_many(ids):
            most.append(len(alive))
            numbers.append(obj.number if isinstance(obj, kind) else obj)
            del obj
    assert numbers == [*range(300), *range(6), *range(300)]
    assert 1 <= max(most) <= 2


def test_a_loaded_object_of_a_local_class_goes_with_its_last_reference(store):
    class Local(Persistable):
        pass

    class Plain:
        pass

    ids = [store.save(Local()), store.save(Plain()), store.save([Local(), Plain()])]
    gc.collect()
    gc.disable()
    try:
        for id_ in ids:
            obj = store.load(id_)
            dead = [weakref.ref(part) for part in (obj if isinstance(obj, list) else [obj])]
            del obj
            assert [ref() for ref in dead] == [None] * len(dead)
    finally:
        gc.enable()


def test_what_changes_while_it_is_streamed_is_loaded_as_it_is_then(place):
    with place.open(durable=False) as store:
        nodes = [Heavy(number) for number in range(3)]
        ids = store.save_many([*nodes, *map(Point, range(50))])
        seen = []
        for obj in store.load_many(ids):
            if isinstance(obj, Heavy):
                seen.append(obj)
                if obj is nodes[0]:
                    nodes[2].number = "new"
                    store.save(nodes[2])
        assert [obj is node for obj, node in zip(seen, nodes, strict=True)] == [True] * 3
        nodes[2].number = "newer"
        assert store.save(nodes[2]) == ids[2]


def test_what_a_stream_changes_while_it_goes_on_is_saved_as_it_is_in_the_end(place):
    """Objects that come again, and parts of those that come later: none is an older state of itself."""
    store, other = place.open(durable=False), place.open()
    point, part, deep = Point(), Node("part"), Node("deep")
    part.links.append(deep)

    def stream():
        for number in range(40):
            point.x = part.value = deep.value = number
            yield point
            yield Node(number, part)
            if number == 20:
                part.links.append(Node("late", deep))

    ids = store.save_many(stream())
    assert len(set(ids)) == 41
    assert len(other) == 44
    assert other.load(ids[0]).x == 39
    for number, id_ in enumerate(ids[1::2]):
        node = other.load(id_)
        assert (node.value, node.links[0].value, node.links[0].links[0].value) == (number, 39, 39)
        assert node.links[0].links[1].links == [node.links[0].links[0]]
    again = store.describe(part.persistent_id).revision
    store.save_many([part, deep, point])  # there was no change since
    assert store.describe(part.persistent_id).revision == again


def test_a_stream_may_save_what_it_gives(place):
    with place.open(durable=False) as store:
        nodes = [Node(number) for number in range(50)]

        def stream():
            for number, node in enumerate(nodes):
                if number % 3 == 0:
                    store.save(node)
                yield node
                if number % 3 == 1:
                    node.value = -number
                    store.save(nodes[number // 2])
                    store.save(node)

        ids = store.save_many(stream())
        assert ids == [node.persistent_id for node in nodes]
        assert len(store) == 50
        assert [store.load(id_, fresh=True).value for id_ in ids] == [node.value for node in nodes]


def test_batches_take_again_what_did_not_fit():
    batches = Batches(range(MAX_COUNT * 3))
    seen = []
    for batch in batches:
        part = batch[: max(1, len(batch) // 3)]
        seen += part
        batches.report_size(len(part), len(part))
    assert seen == list(range(MAX_COUNT * 3))
