"""Records that another store replaces while they are exported, copied or loaded."""

from __future__ import annotations

import pytest

from gc3store import ConflictError, copy, make_store
from gc3store.testing import Node

from .meanwhile import meanwhile, moments

#: Bytes of a payload that a directory keeps in a file of its own, and a database in several rows.
LARGE = 1_100_000


@pytest.mark.parametrize("size", [10, LARGE], ids=["small", "large"])
def test_an_export_has_entry_and_payload_of_one_revision(place, tmp_path, size):
    options = {"columns": {"n": "n"}, "durable": False}
    store = place.open(**options)
    id_ = store.save({"n": 0})
    other = place.open(**options)

    def write(number):
        store.replace(id_, {"n": number, "data": bytes(size + abs(number))}, name=f"name {number}")

    write(0)
    with make_store(f"file://{tmp_path}/target", **options) as target:
        seen = set()
        for line in moments(other.export, id_, most=30):
            write(-line)
            data, _ = meanwhile(line, lambda line=line: write(line), other.export, id_)
            new = target.restore(data)
            record, number = target.describe(new), target.load(new)["n"]
            assert number in (line, -line)
            assert (record.columns["n"], record.name) == (number, f"name {number}")
            seen.add(number < 0)
            target.remove(new)
        assert seen == {True, False}


@pytest.mark.parametrize(
    ("call", "size"),
    [("load", LARGE), ("load_many", 10), ("load_many", LARGE), ("load_many of parts", LARGE)],
)
def test_what_is_loaded_knows_which_revision_it_is(place, call, size):
    """So what others have written meanwhile is never overwritten."""
    other = place.open(durable=False)
    theirs = Node([0, bytes(size)], Node([0, bytes(size)]))
    id_ = other.save(theirs)
    part_id = theirs.links[0].persistent_id
    store = place.open(durable=False)
    wanted = [part_id, id_, part_id] if call == "load_many of parts" else [id_]

    def load():
        store.invalidate_cache()
        return [store.load(id_)] if call == "load" else list(store.load_many(wanted))

    def change(number):
        changed = other.load(id_)
        changed.value = changed.links[0].value = [number, bytes(size + 1)]
        other.save(changed)

    for line in moments(load, most=15):
        loaded, _ = meanwhile(line, lambda line=line: change(line), load)
        assert len(loaded) == len(wanted)
        for obj in {id(obj): obj for root in loaded for obj in (root, *root.links)}.values():
            stored = other.load(obj.persistent_id, fresh=True).value
            is_current = obj.value[0] == stored[0]
            obj.value = [-line, bytes(size)]
            if is_current:
                assert store.save_many([obj]) == [obj.persistent_id]
            else:
                with pytest.raises(ConflictError):
                    store.save_many([obj])
                assert other.load(obj.persistent_id, fresh=True).value == stored


@pytest.mark.parametrize("what", ["the whole", "a part"])
def test_a_copy_shows_the_source_as_it_was_at_one_time(place, tmp_path, what):
    """Parts that arrive while it is made come with it: a whole counts its parts, and each has its value."""
    source, other = place.open(durable=False), place.open(durable=False)

    def graph():
        root = Node(1, Node(["old"]))
        other.save(root)
        return root

    def change(root):
        root.links[0].value = ["new"]
        if what == "the whole":
            root.value = 2
            root.links.append(Node(["new"], root.links[0]))
        other.save(root)

    with make_store(f"sqlite:///{tmp_path}/copy.db", durable=False) as target:
        graph()
        copy(source, target, progress=False)
        seen = set()
        for line in moments(copy, source, target, [graph().persistent_id], progress=False, most=20):
            root = graph()
            id_ = root.persistent_id
            copied, _ = meanwhile(
                line, lambda root=root: change(root), copy, source, target, [id_], progress=False
            )
            assert copied.failed == {}
            for found in (
                target.load(copied.ids[id_]),
                target.load(copy(source, target, [id_], progress=False).ids[id_]),
            ):
                values = [link.value for link in found.links]
                assert len(values) == found.value
                assert values in ([["old"]], [["new"]], [["new"]] * 2)
            assert values == [link.value for link in root.links]
            seen.add(found.value)
        assert seen == {len(root.links)}
        list(target.load_many(target.list()))  # no copy refers to a record that was not copied
