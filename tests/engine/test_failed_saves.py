"""What is stored, and what objects know, after a save that failed."""

from __future__ import annotations

import errno
import os
from itertools import count

import pytest

from gc3store import ConflictError, StoreError
from gc3store.testing import Node, Point


def contents(store):
    """Return the value and the revision of each record."""
    return {id_: (store.load(id_, fresh=True).value, store.describe(id_).revision) for id_ in store.list()}


@pytest.mark.parametrize("changed", [True, False])
@pytest.mark.parametrize("call", ["save", "save_many"])
def test_a_conflict_leaves_the_parts_as_they_were(any_place, call, changed):
    """The root is outdated; its parts are not written, be they changed or new."""
    store, other = any_place.open(), any_place.open()
    part = Node("part")
    root = Node("root", part)
    id_ = store.save(root)
    theirs = other.load(id_)
    theirs.value = "theirs"
    other.save(theirs)
    before = contents(other)
    part.value = "mine"
    part.links.append(Node("new"))
    if changed:
        root.value = "mine"
    with pytest.raises(ConflictError) as caught:
        store.save(root) if call == "save" else store.save_many([part, root])
    assert (caught.value.id, caught.value.expected, caught.value.found) == (id_, 1, 2)
    assert contents(other) == before
    assert not hasattr(part.links[0], "persistent_id")
    assert store.save(part) == part.persistent_id  # which is up to date
    assert contents(other)[part.persistent_id] == ("mine", 2)


def test_a_conflict_of_a_part_leaves_the_root_as_it_was(place):
    store, other = place.open(), place.open()
    part = Node("part")
    root = Node("root", Node("first"), part)
    store.save(root)
    theirs = other.load(part.persistent_id)
    theirs.value = "theirs"
    other.save(theirs)
    before = contents(other)
    root.value = root.links[0].value = part.value = "mine"
    with pytest.raises(ConflictError) as caught:
        store.save(root)
    assert caught.value.id == part.persistent_id
    assert contents(other) == before


class Failing:
    """Lets one of the calls that bring files to their places fail, as a full or broken disk does.

    Attributes
    ----------
    reached : bool
        Whether there were so many calls.
    """

    NAMES = ("rename", "replace", "link", "fsync")

    def __init__(self, monkeypatch, number, *, directories_only=False):
        self.reached = False
        self._calls = count(1)
        self._number = number
        self._directories_only = directories_only
        self._patch = monkeypatch.context()

    def __enter__(self):
        patch = self._patch.__enter__()
        for name in self.NAMES:
            patch.setattr(os, name, self._failing(name, getattr(os, name)))
        return self

    def __exit__(self, *exc_info):
        return self._patch.__exit__(*exc_info)

    def _failing(self, name, real):
        def call(*args, **options):
            counts = not self._directories_only or (
                name == "fsync" and os.path.isdir(f"/proc/self/fd/{args[0]}")
            )
            if counts and next(self._calls) == self._number:
                self.reached = True
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return real(*args, **options)

        return call


@pytest.mark.parametrize("large", [False, True])
def test_after_a_directory_could_not_be_synchronised_the_next_save_writes_again(
    directory, monkeypatch, large
):
    """The file has got its name, but it is not certain that it keeps it."""
    store, other = directory.open(), directory.open()
    node = Node("old")
    node.data = bytes(2_000_000 if large else 10)
    id_ = store.save(node)
    for number in count(1):
        node.value = f"new {number}"
        with Failing(monkeypatch, number, directories_only=True) as failing:
            try:
                store.save(node)
            except StoreError:
                assert failing.reached
            else:
                assert not failing.reached
        if not failing.reached:
            break
        seen = other.describe(id_).revision
        assert store.save(node) == id_
        assert other.describe(id_).revision == seen + 1
        assert other.load(id_).value == node.value
    assert number > 1
    revision = other.describe(id_).revision
    store.save(node)
    assert other.describe(id_).revision == revision


@pytest.mark.parametrize(
    "shape",
    ["circle", "circle from the new one", "circle of three", "chain", "with a whole", "beside a circle"],
)
def test_wherever_a_graph_with_replaced_and_new_records_fails_no_reference_leads_to_nothing(
    directory, monkeypatch, shape
):
    """A directory keeps what has its place; then what it refers to has one as well."""
    store, other = directory.open(), directory.open()
    for number in count(1):
        known, new = Node("known"), Node("new")
        known_id = store.save(known)
        known.value = "changed"
        known.links.append(new)
        match shape:
            case "circle" | "circle from the new one":
                new.links.append(known)
            case "circle of three":
                new.links.append(Node("newer", known))
            case "chain":
                new.links.append(Node("newer"))
            case "with a whole":
                new.links.append(Node("newer", known, new))
            case "beside a circle":
                new.links.append(Node("newer", new))
                known.links.clear()
        root = {
            "circle from the new one": new,
            "with a whole": Node("whole", known),
            "beside a circle": Node("whole", known, new),
        }.get(shape, known)
        objects = [root, known, new, *new.links]
        with Failing(monkeypatch, number) as failing:
            try:
                store.save(root)
            except StoreError:
                assert failing.reached
            else:
                assert not failing.reached
        present = set(other.list())
        for id_ in present:
            other.load(id_, fresh=True)  # with all that it refers to
        assert {obj.persistent_id for obj in objects if hasattr(obj, "persistent_id")} <= present
        assert other.load(known_id, fresh=True).value in ("known", "changed")
        store.save(root)
        assert other.load(known_id, fresh=True).value == "changed"
        assert len(other) == len({id(obj) for obj in objects})
        other.remove_many(other.list())
        if not failing.reached:
            break
    assert number > 5


def test_a_graph_of_new_records_that_fails_leaves_none_of_them(directory, monkeypatch):
    store, other = directory.open(), directory.open()
    kept = store.save("kept")
    for number in count(1):
        objects = [Node("circle"), Node("part"), Node("whole"), Point(1)]
        circle, part, whole, point = objects
        circle.links.append(Node("other half", circle))
        part.links.append(circle)
        whole.links += [part, circle]
        with Failing(monkeypatch, number) as failing:
            try:
                store.save([whole, point])
            except StoreError:
                assert failing.reached
        if not failing.reached:
            break
        assert other.list() == [kept]
        assert not any(hasattr(obj, "persistent_id") for obj in [*objects, *circle.links])
    assert number > 5
    assert len(other) == 6


def test_a_failed_save_of_an_unchanged_object_gives_no_labels(place):
    store, other = place.open(), place.open()
    node = Node("node", Node("part"))
    id_ = store.save(node, name="before", tags=["before"])
    theirs = other.load(id_)
    theirs.value = "theirs"
    other.save(theirs)
    with pytest.raises(ConflictError):
        store.save(node, name="after", tags=["after"])
    record = other.describe(id_)
    assert (record.name, record.tags) == ("before", ("before",))


def test_a_failed_replacement_leaves_its_parts_unsaved(place):
    store = place.open()
    id_ = store.save(Point("old"))
    part = Node("part")
    store.replace(id_, Point("new"))
    with pytest.raises(ConflictError):
        store.replace(id_, Point(part), expected=1)
    assert not hasattr(part, "persistent_id")
    assert store.list() == [id_]
    assert store.load(id_).x == "new"
